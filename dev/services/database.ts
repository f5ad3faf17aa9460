/** Each test file, run or benchmark has a database of its own on a Postgres that several share. */
import { randomBytes } from 'node:crypto'
import { Client, escapeIdentifier } from 'pg'

export type TestDatabase = {
  readonly name: string
  readonly url: string
  /** Cuts whoever is still connected. */
  drop(): Promise<void>
}

/** `template`: a database nobody is connected to, say one with all migrations; copying it beats migrating again. */
export async function createDatabase(
  adminUrl: string,
  prefix: string,
  { template }: { template?: string } = {},
): Promise<TestDatabase> {
  const name = `${prefix
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .slice(0, 40)}_${randomBytes(4).toString('hex')}`
  const from = template ? ` template ${escapeIdentifier(template)}` : ''
  await execute(adminUrl, `create database ${escapeIdentifier(name)}${from}`)
  const url = new URL(adminUrl)
  url.pathname = `/${name}`
  return {
    name,
    url: url.href,
    drop: () => execute(adminUrl, `drop database if exists ${escapeIdentifier(name)} with (force)`),
  }
}

async function execute(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
