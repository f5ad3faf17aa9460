/** The API over a Postgres of its own, without a worker, and a client for each of the namespaces `ours` and `theirs`. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { readConfig } from '../../src/config.ts'
import { type RunningServer, startServer } from '../../src/server.ts'
import { type Api, apiClient } from './api.ts'
import { openMigratedDatabase, type TestDatabase } from './database.ts'
import type { Tenant } from './fixtures.ts'

export const TOKEN_OF_OURS = 'token-of-ours-123'
const TOKEN_OF_THEIRS = 'token-of-theirs-123'

export type ApiOfTwoTenants = { database: TestDatabase; server: RunningServer; api: Api; other: Api }

/** `localRoots`: a folder of this machine that their storages may lie in. */
export async function startApiOfTwoTenants(
  name: string,
  { localRoots }: { localRoots?: string } = {},
): Promise<ApiOfTwoTenants> {
  const database = await openMigratedDatabase(name)
  const server = await startServer(
    readConfig({
      DATABASE_URL: database.url,
      TIDEMARK_TOKENS: `ours:${TOKEN_OF_OURS},theirs:${TOKEN_OF_THEIRS}`,
      TIDEMARK_HOST: '127.0.0.1',
      TIDEMARK_PORT: '0',
      TIDEMARK_LOG_LEVEL: 'fatal',
      TIDEMARK_MAX_EVENT_LOOP_DELAY_MS: '0',
      ...(localRoots === undefined ? {} : { TIDEMARK_LOCAL_ROOTS: localRoots }),
    }),
  )
  return {
    database,
    server,
    api: apiClient(server.url, TOKEN_OF_OURS),
    other: apiClient(server.url, TOKEN_OF_THEIRS),
  }
}

/** Its storage lies in a folder of this machine, named as its namespace. */
export async function moveStorageTo(folder: string, { db }: TestDatabase, tenant: Tenant): Promise<void> {
  const root = join(folder, tenant.caller.namespace)
  await mkdir(root, { recursive: true })
  const uri = pathToFileURL(root).href
  await db.sql(`update storage set uri = $1, root_key = $2, provider = 'local' where id = $3`, [
    uri,
    `${uri}/`,
    tenant.storageId,
  ])
}
