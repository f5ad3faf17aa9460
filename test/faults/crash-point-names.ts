/** Every named crash point, read from the sources: a new one cannot be forgotten. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

export type CrashPointName = { name: string; process: 'worker' | 'server' }

/** Only passed by operations: test/e2e/fleet.test.ts and test/e2e/managed-crashes.test.ts strike them. */
const OF_BULK = /^bulk-/
const OF_LIFECYCLE = /^(?:start|stop|cancel)-/
const OF_CLEARING = /^clearing-/
/** test/e2e/suite-copies.ts and test/integration/copies.test.ts strike them. */
const OF_COPY = /^copy-/
/** Only passed by audits: test/integration/storage-audit.test.ts strikes them. */
const OF_AUDIT = /^audit-/
/** Only passed by schedules: test/e2e/schedules.test.ts strikes them. */
const OF_SCHEDULE = /^schedule-/

const ELSEWHERE = [OF_BULK, OF_LIFECYCLE, OF_CLEARING, OF_COPY, OF_AUDIT, OF_SCHEDULE]

/** Those on the way of one savepoint. */
export const findCrashPoints = () => findThose((name) => !ELSEWHERE.some((of) => of.test(name)))
export const findBulkCrashPoints = () => findThose((name) => OF_BULK.test(name))
export const findLifecycleCrashPoints = () => findThose((name) => OF_LIFECYCLE.test(name))
export const findClearingCrashPoints = () => findThose((name) => OF_CLEARING.test(name))
export const findScheduleCrashPoints = () => findThose((name) => OF_SCHEDULE.test(name))
/** Those that a random run passes; it clears past Flink. */
export const findRandomCrashPoints = () =>
  findThose((name) => ![OF_BULK, OF_COPY, OF_AUDIT, /^clearing-flink-/].some((of) => of.test(name)))

const findThose = async (wanted: (name: string) => boolean): Promise<CrashPointName[]> =>
  (await findAllCrashPoints('src')).filter(({ name }) => wanted(name))

async function findAllCrashPoints(folder: string): Promise<CrashPointName[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
  const found = await Promise.all(
    files.map(async (entry) => {
      const text = await readFile(join(entry.parentPath, entry.name), 'utf8')
      return [...text.matchAll(/\bcrashPoint\('([a-z-]+)'\)/g)].map(([, name = '']) => ({
        name,
        process: entry.name === 'request-savepoint.ts' ? ('server' as const) : ('worker' as const),
      }))
    }),
  )
  return found.flat()
}
