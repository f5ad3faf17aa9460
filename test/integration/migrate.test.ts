import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { listPendingMigrations, MigrationError, migrate } from '../../src/db/migrate.ts'
import { type EmptyDatabase, MIGRATIONS, openPostgres } from '../support/database.ts'

const SHIPPED = [
  '0001_tables',
  '0002_rules',
  '0003_history',
  '0004_what_runs',
  '0005_lifecycle',
  '0006_inside',
  '0007_rules_of_a_job',
  '0008_looked',
  '0009_failed_of_a_kind',
  '0010_heirs',
  '0011_schedule_catch_up',
  '0012_schedule_rule_id',
  '0013_given_up',
]

let postgres: Awaited<ReturnType<typeof openPostgres>>
let database: EmptyDatabase
let directory: string

beforeAll(async () => {
  postgres = await openPostgres()
}, 60_000)
afterAll(() => postgres.stop())
beforeEach(async () => {
  database = await postgres.createEmpty('migrate')
  directory = await mkdtemp(join(tmpdir(), 'tidemark-migrations-'))
  await cp(MIGRATIONS, directory, { recursive: true })
})
afterEach(async () => {
  await database.drop()
  await rm(directory, { recursive: true })
})

const run = () => migrate(database.url, directory)

async function write(name: string, sql: string): Promise<void> {
  await mkdir(join(directory, name), { recursive: true })
  await writeFile(join(directory, name, 'migration.sql'), sql)
}

async function query<Row extends object>(sql: string): Promise<Row[]> {
  const client = new Client({ connectionString: database.url })
  await client.connect()
  try {
    return (await client.query<Row>(sql)).rows
  } finally {
    await client.end()
  }
}

const readBook = () =>
  query<{ name: string; done: boolean; steps: number }>(
    `select migration_name as name, finished_at is not null as done, applied_steps_count as steps
     from _prisma_migrations order by migration_name`,
  )

describe('migrating', () => {
  it('applies every migration to an empty database, and nothing the second time', async () => {
    expect(await listPendingMigrations(database.url, directory)).toEqual(SHIPPED)
    expect(await run()).toEqual(SHIPPED)
    expect(await run()).toEqual([])
    expect(await listPendingMigrations(database.url, directory)).toEqual([])
    expect(await readBook()).toEqual(SHIPPED.map((name) => ({ name, done: true, steps: 1 })))
  })

  it('applies each migration once when four runners start together', async () => {
    const applied = await Promise.all([run(), run(), run(), run()])
    expect(applied.flat()).toEqual(SHIPPED)
    expect(await readBook()).toHaveLength(SHIPPED.length)
  })

  it('leaves no trace of a migration that fails, and goes on once it is mended', async () => {
    await write('9004_broken', 'create table half (id int); select 1 / 0;')
    await expect(run()).rejects.toThrow(/9004_broken failed and was rolled back: division by zero/)
    expect(await query(`select to_regclass('half') as found`)).toEqual([{ found: null }])
    expect((await readBook()).map((row) => row.name)).toEqual(SHIPPED)

    await write('9004_broken', 'create table whole (id int);')
    expect(await run()).toEqual(['9004_broken'])
  })

  it('refuses an applied migration whose file was changed', async () => {
    await run()
    await write('0002_rules', 'select 1;')
    await expect(run()).rejects.toThrow(/0002_rules was changed after it was applied/)
    await expect(run()).rejects.toBeInstanceOf(MigrationError)
    await expect(listPendingMigrations(database.url, directory)).rejects.toBeInstanceOf(MigrationError)
  })

  it('refuses to go on after a migration without transaction stopped half way', async () => {
    await run()
    await query('create table twice (id int)')
    await query('insert into twice values (1), (1)')
    await write('9004_index', 'create unique index concurrently twice_key on twice (id);')
    await expect(run()).rejects.toThrow(/9004_index failed half way/)
    await expect(run()).rejects.toThrow(/9004_index is half applied: look at _prisma_migrations/)

    // What the message says to do.
    await query('drop index twice_key')
    await query('delete from twice')
    await query(`delete from _prisma_migrations where migration_name = '9004_index'`)
    expect(await run()).toEqual(['9004_index'])
  })

  it('refuses a database that a newer version has migrated', async () => {
    await write('9004_newer', 'select 1;')
    await run()
    await rm(join(directory, '9004_newer'), { recursive: true })
    await expect(run()).rejects.toThrow(/has migration 9004_newer, which this version does not know/)
  })

  it('does not count a migration that was booked as rolled back', async () => {
    await write('9004_again', 'create table again (id int);')
    await run()
    await query('drop table again')
    await query(`update _prisma_migrations set rolled_back_at = now() where migration_name = '9004_again'`)
    expect(await run()).toEqual(['9004_again'])
  })
})
