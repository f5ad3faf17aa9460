/**
 * Applies prisma/migrations with `pg` alone: Prisma's own `migrate deploy` needs an engine that is downloaded. Rows in
 * `_prisma_migrations` are in Prisma's format, so `prisma migrate status` agrees where the engine is to be had.
 *
 * One advisory lock, so that concurrent runs wait for each other. Each file and its booking are one transaction (a
 * `create index concurrently` stands alone in its file). An applied file whose bytes changed is refused.
 */
import { createHash, randomUUID } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'pg'

const LOCK = 7_346_201_355

const CREATE_BOOK = `create table if not exists _prisma_migrations (
  id varchar(36) primary key not null, checksum varchar(64) not null, finished_at timestamptz,
  migration_name varchar(255) not null, logs text, rolled_back_at timestamptz,
  started_at timestamptz not null default now(), applied_steps_count integer not null default 0)`

export class MigrationError extends Error {
  override name = 'MigrationError'
}

type Migration = { name: string; sql: string; checksum: string }
type BookRow = { migration_name: string; checksum: string; finished_at: Date | null }

/** Brings the database to the newest migration; answers the names it applied now. */
export async function migrate(databaseUrl: string, directory: string): Promise<string[]> {
  const migrations = await readMigrations(directory)
  const client = new Client({ connectionString: databaseUrl, application_name: 'tidemark-migrate' })
  await client.connect()
  try {
    await client.query('select pg_advisory_lock($1)', [LOCK])
    await client.query(CREATE_BOOK)
    const pending = choosePending(migrations, await readBook(client))
    for (const migration of pending) await apply(client, migration)
    if (migrations.some((m) => m.name.endsWith('_history'))) await client.query('select history.maintain()')
    return pending.map((m) => m.name)
  } finally {
    await client.end() // also releases the advisory lock
  }
}

/** The migrations that are not applied yet; empty when the database is up to date. */
export async function listPendingMigrations(databaseUrl: string, directory: string): Promise<string[]> {
  const migrations = await readMigrations(directory)
  const client = new Client({ connectionString: databaseUrl, application_name: 'tidemark-migrate' })
  await client.connect()
  try {
    const book = await client.query<{ exists: boolean }>(
      `select to_regclass('_prisma_migrations') is not null as exists`,
    )
    if (!book.rows[0]?.exists) return migrations.map((m) => m.name)
    return choosePending(migrations, await readBook(client)).map((m) => m.name)
  } finally {
    await client.end()
  }
}

/** In the order they are applied. */
export async function readMigrationNames(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true })
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort()
}

async function readMigrations(directory: string): Promise<Migration[]> {
  const names = await readMigrationNames(directory)
  return Promise.all(
    names.map(async (name) => {
      const sql = await readFile(join(directory, name, 'migration.sql'), 'utf8')
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') }
    }),
  )
}

async function readBook(client: Client): Promise<BookRow[]> {
  const { rows } = await client.query<BookRow>(
    'select migration_name, checksum, finished_at from _prisma_migrations where rolled_back_at is null',
  )
  return rows
}

function choosePending(migrations: Migration[], book: BookRow[]): Migration[] {
  const applied = new Map(book.map((row) => [row.migration_name, row]))
  const known = new Set(migrations.map((m) => m.name))
  const foreign = book.find((row) => !known.has(row.migration_name))
  if (foreign)
    throw new MigrationError(
      `the database has migration ${foreign.migration_name}, which this version does not know: use the newer version`,
    )
  return migrations.filter((migration) => {
    const row = applied.get(migration.name)
    if (!row) return true
    if (!row.finished_at)
      throw new MigrationError(
        `migration ${migration.name} is half applied: look at _prisma_migrations.logs, mend the database, delete that row, and migrate again`,
      )
    if (row.checksum !== migration.checksum)
      throw new MigrationError(
        `migration ${migration.name} was changed after it was applied: restore the file`,
      )
    return false
  })
}

const BOOK = `insert into _prisma_migrations (id, checksum, finished_at, migration_name, started_at, applied_steps_count)
  values ($1, $2, $3, $4, $5, $6)`

async function apply(client: Client, migration: Migration): Promise<void> {
  const inTransaction = !/\bconcurrently\b/i.test(migration.sql)
  const id = randomUUID()
  const startedAt = new Date()
  try {
    if (inTransaction) {
      await client.query('begin')
      await client.query(migration.sql)
      await client.query(BOOK, [id, migration.checksum, new Date(), migration.name, startedAt, 1])
      await client.query('commit')
      return
    }
    // Cannot be undone by a rollback: booked as begun first, so that a crash in it is seen and refused.
    await client.query(BOOK, [id, migration.checksum, null, migration.name, startedAt, 0])
    await client.query(migration.sql)
    await client.query(
      'update _prisma_migrations set finished_at = now(), applied_steps_count = 1 where id = $1',
      [id],
    )
  } catch (error) {
    if (inTransaction) await client.query('rollback')
    const what = inTransaction ? 'failed and was rolled back' : 'failed half way'
    throw new MigrationError(
      `migration ${migration.name} ${what}: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    )
  }
}
