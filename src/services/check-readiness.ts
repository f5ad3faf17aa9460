import type { Services } from './api.ts'
import { within } from './within.ts'

export type ReadinessPorts = {
  health: {
    /** Server version; throws when the database cannot be asked. */
    databaseVersion(): Promise<string>
    /** Names of migrations that are not applied; throws when that cannot be told. */
    pendingMigrations(): Promise<string[]>
    /** Throws when the queue cannot be reached. */
    pingQueue(): Promise<void>
  }
}

type Check = Awaited<ReturnType<Services['checkReadiness']>>['checks'][number]

const LIMIT_MS = 3_000

/** The queue is reported and never makes us unready: without it the sweep does the work, only later. */
export const checkReadiness =
  ({ health }: ReadinessPorts): Services['checkReadiness'] =>
  async () => {
    const checks = await Promise.all([
      check('database', () => health.databaseVersion()),
      check('migrations', async () => {
        const pending = await health.pendingMigrations()
        if (pending.length > 0) throw new Error(`not applied: ${pending.join(', ')}; run tidemark migrate`)
      }),
      check('queue', () => health.pingQueue()),
    ])
    return { ready: checks.every((each) => each.ok || each.name === 'queue'), checks }
  }

async function check(name: Check['name'], ask: () => Promise<unknown>): Promise<Check> {
  try {
    if ((await within(LIMIT_MS, ask(), 'late')) === 'late') throw new Error(`no answer within ${LIMIT_MS} ms`)
    return { name, ok: true, message: null }
  } catch (error) {
    return { name, ok: false, message: error instanceof Error ? error.message : String(error) }
  }
}
