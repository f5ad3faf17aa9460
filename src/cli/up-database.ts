/** The embedded Postgres of `tidemark up` with our database in it, migrated. */
import { Client } from 'pg'
import { migrate } from '../db/migrate.ts'
import { MIGRATIONS } from '../wiring.ts'
import type { EmbeddedPostgres } from './embedded-postgres.ts'

const DATABASE = 'tidemark'

/** Answers the address of the database and the migrations that were applied just now. */
export async function prepareDatabase({
  url,
}: EmbeddedPostgres): Promise<{ url: string; applied: string[] }> {
  await createDatabase(url)
  const ours = new URL(url)
  ours.pathname = `/${DATABASE}`
  return { url: ours.href, applied: await migrate(ours.href, MIGRATIONS) }
}

async function createDatabase(url: string): Promise<void> {
  const client = new Client({ connectionString: url, application_name: 'tidemark-up' })
  await client.connect()
  try {
    const found = await client.query('select 1 from pg_database where datname = $1', [DATABASE])
    if (found.rowCount === 0) await client.query(`create database ${DATABASE}`)
  } finally {
    await client.end()
  }
}
