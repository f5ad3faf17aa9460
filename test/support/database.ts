/** A database of its own for each test file, on the Postgres the environment names or one that is started here. */
import { createDatabase } from '../../dev/services/database.ts'
import { provisionServices } from '../../dev/services/provision.ts'
import { type Database, openDatabase } from '../../src/db/client.ts'
import { migrate } from '../../src/db/migrate.ts'

export const MIGRATIONS = 'prisma/migrations'

export type EmptyDatabase = { url: string; drop(): Promise<void> }
export type TestDatabase = EmptyDatabase & { db: Database }

/** `ownServer`: transactions of other databases on the server would be seen, too (`pg_snapshot_xmin`). */
type DatabaseOptions = { ownServer?: boolean }

/** A Postgres that makes empty databases, for tests that migrate themselves. */
export async function openPostgres({ ownServer = false }: DatabaseOptions = {}): Promise<{
  createEmpty(prefix: string): Promise<EmptyDatabase>
  stop(): Promise<void>
}> {
  const { env, stop } = await provisionServices({ need: ['postgres'], own: ownServer })
  return { createEmpty: (prefix) => createDatabase(env['TEST_DATABASE_URL'] ?? '', prefix), stop }
}

export async function openMigratedDatabase(prefix: string, options?: DatabaseOptions): Promise<TestDatabase> {
  const postgres = await openPostgres(options)
  const { url, drop } = await postgres.createEmpty(prefix)
  await migrate(url, MIGRATIONS)
  const db = openDatabase({ url, poolSize: 16, applicationName: prefix })
  return {
    url,
    db,
    async drop() {
      await db.close()
      await drop()
      await postgres.stop()
    },
  }
}
