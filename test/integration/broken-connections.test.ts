/** Connections that Postgres ends in the middle: a restart, a failover, an administrator. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openMigratedDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await openMigratedDatabase('broken')
})
afterAll(() => database?.drop())

const endBackend = (pid: number) =>
  database.db.sql('select pg_terminate_backend($1, 5000) as ended', [pid]).then(([row]) => row?.['ended'])

describe('a connection that ends', () => {
  // Without a listener of its own the client's error would end the process, and with it this test run.
  it('between two statements of a transaction fails the transaction, and nothing else', async () => {
    const { db } = database
    const id = '01a1fc17-33fb-77dc-868c-270712e43ced'
    const broken = db.transaction(async (sql) => {
      await sql(`insert into namespace (id, name) values ('${id}', 'half')`)
      const [backend] = await sql<{ pid: number }>('select pg_backend_pid() as pid')
      expect(await endBackend(backend?.pid ?? 0)).toBe(true)
      return sql('select 1')
    })
    await expect(broken).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' })
    expect(await db.sql('select 1 from namespace where id = $1::uuid', [id])).toEqual([])
    const again = db.transaction((sql) => sql<{ one: number }>('select 1 as one'))
    expect(await again).toEqual([{ one: 1 }])
  })
})
