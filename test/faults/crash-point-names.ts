/** Every named crash point, read from the sources: a new one cannot be forgotten. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

export type CrashPointName = { name: string; process: 'worker' | 'server' }

/** Only passed by operations: test/e2e/fleet.test.ts and test/integration/lifecycle-*.test.ts strike them. */
const OF_OPERATIONS = /^(?:bulk|start|stop|cancel)-/

/** Those on the way of one savepoint. */
export async function findCrashPoints(folder = 'src'): Promise<CrashPointName[]> {
  return (await findAllCrashPoints(folder)).filter(({ name }) => !OF_OPERATIONS.test(name))
}

export async function findBulkCrashPoints(folder = 'src'): Promise<CrashPointName[]> {
  return (await findAllCrashPoints(folder)).filter(({ name }) => name.startsWith('bulk-'))
}

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
