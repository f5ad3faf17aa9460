/** Postgres and Redis of one benchmark, as production runs them: every commit reaches the disk, AOF every second. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createDatabase } from '../../dev/services/database.ts'
import { startRedis } from '../../dev/services/redis.ts'
import { openRunFolder, POSTGRES_PREFIX, removeRunFolder } from '../../dev/services/run-folder.ts'
import { startPostgres } from '../../src/cli/embedded-postgres.ts'
import { migrate } from '../../src/db/migrate.ts'

export const POSTGRES_SETTINGS = {
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  max_connections: 200,
} as const

export type BenchServices = {
  databaseUrl: string
  redisUrl: string
  /** For logs and what else goes when we go. */
  folder: string
  stop(): Promise<void>
}

export async function startServices(): Promise<BenchServices> {
  const folder = await openRunFolder()
  const dataDir = join(folder, `${POSTGRES_PREFIX}bench`)
  const redis = await startRedis({ appendonly: true, appendfsync: 'everysec' })
  const postgres = await startPostgres({ dataDir, settings: POSTGRES_SETTINGS })
  const stop = async () => {
    await postgres.stop()
    await redis.stop()
    await rm(dataDir, { recursive: true, force: true })
    await removeRunFolder()
  }
  try {
    const { url } = await createDatabase(postgres.url, 'bench')
    await migrate(url, 'prisma/migrations')
    return { databaseUrl: url, redisUrl: redis.url, folder, stop }
  } catch (error) {
    await stop()
    throw error
  }
}
