/** What the database refuses by itself, whatever the code does: shown by behaviour, since Prisma cannot express it. */
import type { Client, PoolClient } from 'pg'
import { v7 } from 'uuid'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { ASKED_SOURCES } from '../../src/domain/snapshot.ts'
import { canMove, SNAPSHOT_STATUSES, type SnapshotStatus } from '../../src/domain/snapshot-status.ts'
import { openMigratedDatabase, type TestDatabase } from '../support/database.ts'
import { createTenants, insertSavepoint, type Tenant } from '../support/fixtures.ts'

const ILLEGAL_MOVE = 'TM001'
const UNIQUE = '23505'
const FOREIGN_KEY = '23503'
const CHECK = '23514'

let database: TestDatabase
let ours: Tenant
let theirs: Tenant

beforeAll(async () => {
  database = await openMigratedDatabase('database-rules', { ownServer: true })
  const tenants = await createTenants(database.db)
  ours = tenants.ours
  theirs = tenants.theirs
}, 60_000)
afterAll(() => database.drop())
beforeEach(() => database.db.sql('truncate snapshot, attempt cascade'))

const sql = (text: string, values?: unknown[]) => database.db.sql(text, values)

describe('the status of a snapshot', () => {
  const pairs = SNAPSHOT_STATUSES.flatMap((from) =>
    SNAPSHOT_STATUSES.map((to) => [from, to] as const),
  ).filter(([from, to]) => from !== to)

  it.each(pairs)('moves from %s to %s only if the table in the domain says so', async (from, to) => {
    const id = await insertSavepoint(database.db, ours, { status: from })
    const move = sql('update snapshot set status = $1 where id = $2', [to, id])
    if (canMove(from, to)) await move
    else await expect(move).rejects.toMatchObject({ code: ILLEGAL_MOVE })
    const [row] = await sql('select status from snapshot where id = $1', [id])
    expect(row?.['status']).toBe(canMove(from, to) ? to : from)
  })

  it('may be written again without a move', async () => {
    for (const status of SNAPSHOT_STATUSES) {
      const id = await insertSavepoint(database.db, ours, { status, settled: true })
      await sql('update snapshot set status = status, tries = tries + 1 where id = $1', [id])
    }
  })

  const insertAs = (status: SnapshotStatus, source: string, kind: string) =>
    sql(
      `insert into snapshot (id, namespace_id, job_id, kind, status, reason, source, description, attempt, settled_at,
         created_by) values ($1, $2, $3, $4, $5, 'A_TEST', $6, '', 1, now(), 'test')`,
      [v7(), ours.caller.namespaceId, ours.jobId, kind, status, source],
    )

  it.each([
    ['MANUAL', 'SAVEPOINT', ['Creating']],
    ['STOP', 'SAVEPOINT', ['Creating']],
    ['DEPLOY', 'SAVEPOINT', ['Creating']],
    ['SCHEDULE', 'SAVEPOINT', ['Creating']],
    ['EXTERNAL', 'SAVEPOINT', ['Present']],
    ['IMPORT', 'SAVEPOINT', ['Present']],
    ['COPY', 'SAVEPOINT', ['Present']],
    ['SYSTEM', 'CHECKPOINT', ['Present', 'Timeout', 'Failed']],
    ['SYSTEM', 'SAVEPOINT', []],
    ['MANUAL', 'CHECKPOINT', []],
  ])('of source %s (%s) begins as %j only', async (source, kind, beginnings: readonly string[]) => {
    for (const status of SNAPSHOT_STATUSES) {
      const insert = insertAs(status, source, kind)
      if (beginnings.includes(status)) await insert
      else
        await expect(insert).rejects.toMatchObject({
          code: expect.stringMatching(`${ILLEGAL_MOVE}|${CHECK}`),
        })
    }
  })

  it('is one of the six', async () => {
    const id = await insertSavepoint(database.db, ours)
    await expect(sql(`update snapshot set status = 'Gone' where id = $1`, [id])).rejects.toMatchObject({
      code: expect.stringMatching(`${ILLEGAL_MOVE}|${CHECK}`),
    })
  })
})

describe('one unsettled savepoint that we asked for', () => {
  it.each(ASKED_SOURCES)('keeps out a second one of source %s', async (source) => {
    await insertSavepoint(database.db, ours)
    await expect(insertSavepoint(database.db, ours, { source })).rejects.toMatchObject({
      code: UNIQUE,
      constraint: 'snapshot_unsettled_key',
    })
  })

  it('lets one of several that come at once in', async () => {
    const inserts = await Promise.allSettled(
      Array.from({ length: 8 }, () => insertSavepoint(database.db, ours)),
    )
    expect(inserts.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  it('counts per job, and only until it is settled', async () => {
    const id = await insertSavepoint(database.db, ours)
    await insertSavepoint(database.db, theirs)
    await sql('update snapshot set settled_at = now() where id = $1', [id])
    await insertSavepoint(database.db, ours)
  })
})

describe('one location', () => {
  const location = 's3://shared/flink/savepoint-1'

  it('is one row, whatever its status, unless that is Cleared', async () => {
    for (const status of SNAPSHOT_STATUSES) {
      await insertSavepoint(database.db, ours, { status, settled: true, location })
      const second = insertSavepoint(database.db, ours, { settled: true, location })
      if (status === 'Cleared') await second
      else await expect(second).rejects.toMatchObject({ code: UNIQUE, constraint: 'snapshot_location_key' })
      await sql('truncate snapshot cascade')
    }
  })

  it('may be known to two namespaces', async () => {
    await insertSavepoint(database.db, ours, { settled: true, location })
    await insertSavepoint(database.db, theirs, { settled: true, location })
  })

  it('stays free when it is not addressable', async () => {
    await insertSavepoint(database.db, ours, { settled: true })
    await insertSavepoint(database.db, ours, { settled: true })
  })
})

describe('a reference across namespaces', () => {
  /** Enumerated from the catalog, so that a foreign key added later is tested too. */
  it('is ruled out by the shape of every foreign key', async () => {
    const keys = await sql(
      `select conname as name, conrelid::regclass::text as child, confrelid::regclass::text as parent,
         (select array_agg(attname::text order by at) from unnest(conkey) with ordinality k(n, at)
            join pg_attribute on attrelid = conrelid and attnum = n) as columns,
         (select array_agg(attname::text order by at) from unnest(confkey) with ordinality k(n, at)
            join pg_attribute on attrelid = confrelid and attnum = n) as targets
       from pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace order by conname`,
    )
    expect(keys.length).toBeGreaterThan(10)
    for (const key of keys) {
      const targets = key['parent'] === 'namespace' ? ['id'] : ['namespace_id', 'id']
      expect(key, String(key['name'])).toMatchObject({
        targets,
        columns: expect.arrayContaining(['namespace_id']),
      })
    }
  })

  /** One row of ours in every table that refers to another; each reference in turn is pointed at their row. */
  it('cannot be written, reference by reference', async () => {
    const rows = await insertOneOfEach(ours, 1)
    const strangers = await insertOneOfEach(theirs, 2)
    await sql('delete from cluster_revision where cluster_id = $1', [theirs.clusterId])
    const references = await sql(
      `select c.conrelid::regclass::text as child, a.attname::text as col, c.confrelid::regclass::text as parent
       from pg_constraint c
         join unnest(c.conkey, c.confkey) as pair(child_no, parent_no) on true
         join pg_attribute a on a.attrelid = c.conrelid and a.attnum = pair.child_no
         join pg_attribute p on p.attrelid = c.confrelid and p.attnum = pair.parent_no
       where c.contype = 'f' and c.connamespace = 'public'::regnamespace and p.attname = 'id'
         and c.confrelid <> 'namespace'::regclass
       order by 1, 2`,
    )
    for (const { child, col, parent } of references) {
      const where = rows[String(child)]
      const stranger = strangers[String(parent)]?.id
      expect(where, `insertOneOfEach lacks ${child}`).toBeDefined()
      expect(stranger, `insertOneOfEach lacks ${parent}`).toBeDefined()
      const point = sql(`update ${child} set ${col} = $1 where ${where?.key} = $2`, [stranger, where?.id])
      await expect(point, `${child}.${col}`).rejects.toMatchObject({ code: FOREIGN_KEY })
    }
    expect(references.length).toBeGreaterThan(8)
  })

  /** Numbers and followed names differ and the savepoint is settled: else a unique index would answer first. */
  async function insertOneOfEach(
    tenant: Tenant,
    number: number,
  ): Promise<Record<string, { key: string; id: string }>> {
    const snapshotId = await insertSavepoint(database.db, tenant, { settled: true })
    const operationId = v7()
    const { namespaceId } = tenant.caller
    await sql('update job set attach_flink_job_name = id::text where id = $1', [tenant.jobId])
    await sql(
      `insert into attempt (namespace_id, snapshot_id, number, trigger_id, directory) values ($1, $2, $3, $4, 'd')`,
      [namespaceId, snapshotId, number, snapshotId],
    )
    await sql(
      `insert into job_version (namespace_id, job_id, number, created_by) values ($1, $2, $3, 'test')`,
      [namespaceId, tenant.jobId, number],
    )
    await sql(
      `insert into operation (id, namespace_id, kind, status, job_id, created_by, ended_at)
       values ($1, $2, 'STOP', 'SUCCEEDED', $3, 'test', now())`,
      [operationId, namespaceId, tenant.jobId],
    )
    await sql(
      `insert into operation_item (namespace_id, operation_id, position, job_id) values ($1, $2, $3, $4)`,
      [namespaceId, operationId, number, tenant.jobId],
    )
    await sql(`insert into checkpoint_hour (namespace_id, job_id, hour) values ($1, $2, now())`, [
      namespaceId,
      tenant.jobId,
    ])
    const clearingId = v7()
    await sql(
      `insert into clearing (id, namespace_id, subject, snapshot_id, storage_id, method, reason, requested_by, ended_at)
       values ($1, $2, 'SNAPSHOT', $3, $4, 'OBJECTS', 'BY_HAND', 'test', now())`,
      [clearingId, namespaceId, snapshotId, tenant.storageId],
    )
    await sql(
      `insert into clearing_batch (namespace_id, clearing_id, number, locations) values ($1, $2, $3, '[]')`,
      [namespaceId, clearingId, number],
    )
    await sql(
      `insert into operation_file (namespace_id, operation_id, position, source, target, size_bytes)
       values ($1, $2, $3, 's', 't', 1)`,
      [namespaceId, operationId, number],
    )
    await sql(
      `insert into audit_finding (namespace_id, operation_id, number, kind, location, message)
       values ($1, $2, $3, 'ORPHAN', 'l', 'm')`,
      [namespaceId, operationId, number],
    )
    await sql(
      `insert into audit_usage (namespace_id, operation_id, job_key, version, kind, objects, bytes)
       values ($1, $2, '', $3, 'k', 1, 1)`,
      [namespaceId, operationId, number],
    )
    await sql(
      `insert into snapshot_file (namespace_id, snapshot_id, position, path, kind, "references", may_be_shared)
       values ($1, $2, $3, 'p', 'absolute', 1, false)`,
      [namespaceId, snapshotId, number],
    )
    await sql(
      `insert into schedule_firing (namespace_id, job_id, slot_at, outcome) values ($1, $2, now(), 'FIRED')`,
      [namespaceId, tenant.jobId],
    )
    await sql(`insert into retention (id, namespace_id, job_id, created_by) values ($1, $2, $3, 'test')`, [
      operationId,
      namespaceId,
      tenant.jobId,
    ])
    if (number === 1) {
      // one per snapshot or job: the stranger's would collide before the reference is looked at
      await sql(
        `insert into snapshot_inspection (namespace_id, snapshot_id, summary, metadata_bytes, file_count, file_bytes)
         values ($1, $2, '{}', 1, 0, 0)`,
        [namespaceId, snapshotId],
      )
      await sql(
        `insert into snapshot_verification (namespace_id, snapshot_id, verdict, verified_by) values ($1, $2, 'WHOLE', 'test')`,
        [namespaceId, snapshotId],
      )
      await sql(
        `insert into schedule (namespace_id, job_id, every_seconds, created_by) values ($1, $2, 3600, 'test')`,
        [namespaceId, tenant.jobId],
      )
    }
    return {
      clearing: { key: 'id', id: clearingId },
      clearing_batch: { key: 'clearing_id', id: clearingId },
      operation_file: { key: 'operation_id', id: operationId },
      audit_finding: { key: 'operation_id', id: operationId },
      audit_usage: { key: 'operation_id', id: operationId },
      snapshot_file: { key: 'snapshot_id', id: snapshotId },
      snapshot_inspection: { key: 'snapshot_id', id: snapshotId },
      snapshot_verification: { key: 'snapshot_id', id: snapshotId },
      schedule: { key: 'job_id', id: tenant.jobId },
      schedule_firing: { key: 'job_id', id: tenant.jobId },
      retention: { key: 'id', id: operationId },
      cluster_revision: { key: 'cluster_id', id: tenant.clusterId },
      operation_item: { key: 'operation_id', id: operationId },
      checkpoint_hour: { key: 'job_id', id: tenant.jobId },
      cluster: { key: 'id', id: tenant.clusterId },
      storage: { key: 'id', id: tenant.storageId },
      job: { key: 'id', id: tenant.jobId },
      run: { key: 'id', id: tenant.runId },
      snapshot: { key: 'id', id: snapshotId },
      operation: { key: 'id', id: operationId },
      attempt: { key: 'snapshot_id', id: snapshotId },
      job_version: { key: 'job_id', id: tenant.jobId },
    }
  }
})

describe('the history', () => {
  const listPartitions = async () =>
    (
      await sql(`select relname::text as name from pg_class where relnamespace = 'history'::regnamespace
      and relispartition and relkind = 'r' order by 1`)
    ).map((row) => row['name'])

  it('is partitioned for this month and the next two, however often and by however many at once', async () => {
    const before = await listPartitions()
    expect(before).toHaveLength(2 * (3 + 1)) // three months and the default, of transitions and of events
    await sql('select history.maintain()')
    await Promise.all(Array.from({ length: 4 }, () => sql('select history.maintain()')))
    expect(await listPartitions()).toEqual(before)
  })

  it('keeps what came while a month had no partition, and gives it to the month once it has one', async () => {
    const [month] = await sql(`select to_char(now() at time zone 'UTC', 'YYYYMM') as now`)
    await sql(`drop table history.event_${month?.['now']}`)
    await sql(`insert into history.event (namespace_id, type) values ($1, 'test.missed')`, [
      ours.caller.namespaceId,
    ])
    await sql('select history.maintain()')
    const rows = await sql(
      `select tableoid::regclass::text as place from history.event where type = 'test.missed'`,
    )
    expect(rows).toEqual([{ place: `history.event_${month?.['now']}` }])
  })

  it('ends 90 days after the month did', async () => {
    const created = await sql(
      `select name, create_sql from (
         select months, format('event_%s', to_char(month, 'YYYYMM')) as name,
           format('create table history.%I partition of history.event for values from (%L) to (%L)',
             format('event_%s', to_char(month, 'YYYYMM')), month at time zone 'UTC',
             (month + interval '1 month') at time zone 'UTC') as create_sql
         from (select m as months, date_trunc('month', now() at time zone 'UTC') - make_interval(months => m) as month
           from generate_series(1, 6) m) t) u order by months`,
    )
    for (const { create_sql } of created) await sql(String(create_sql))
    await sql('select history.maintain()')
    const kept = await listPartitions()
    const names = created.map((row) => row['name'])
    expect(names.map((name) => kept.includes(name))).toEqual([
      true,
      true,
      expect.any(Boolean),
      false,
      false,
      false,
    ])
    await sql(`select history.maintain('1 day')`)
    expect((await listPartitions()).filter((name) => names.slice(1).includes(name))).toEqual([])
  })
})

describe('the order of events', () => {
  /** What a reader may see: everything after its cursor whose transaction can no longer be overtaken. */
  const READ = `select type, xid::text as xid, seq from history.event
    where namespace_id = $1 and (xid, seq) > ($2::text::xid8, $3) and xid < pg_snapshot_xmin(pg_current_snapshot())
    order by xid, seq`
  type Cursor = { xid: string; seq: number }

  const write = (client: PoolClient | Client, type: string) =>
    client.query('insert into history.event (namespace_id, type) values ($1, $2)', [
      theirs.caller.namespaceId,
      type,
    ])

  const read = async (cursor: Cursor) => {
    const rows = await database.db.sql<Cursor & { type: string }>(READ, [
      theirs.caller.namespaceId,
      cursor.xid,
      cursor.seq,
    ])
    return { types: rows.map((row) => row.type), cursor: rows.at(-1) ?? cursor }
  }

  it('does not lose an event whose transaction began first and committed last', async () => {
    const slow = await database.db.pool.connect()
    const fast = await database.db.pool.connect()
    try {
      await slow.query('begin')
      await write(slow, 'slow')
      await write(fast, 'fast')

      const meanwhile = await read({ xid: '0', seq: 0 })
      expect(meanwhile.types).toEqual([]) // not `fast`: going on from there would step over `slow`
      await slow.query('commit')
      const afterwards = await read(meanwhile.cursor)
      expect(afterwards.types).toEqual(['slow', 'fast'])
      expect((await read(afterwards.cursor)).types).toEqual([])
    } finally {
      slow.release()
      fast.release()
    }
  })

  it('does not wait for a transaction that began later and is rolled back', async () => {
    const { cursor } = await read({ xid: '0', seq: 0 })
    const open = await database.db.pool.connect()
    const done = await database.db.pool.connect()
    try {
      await write(done, 'first')
      await open.query('begin')
      await write(open, 'never')
      expect((await read(cursor)).types).toEqual(['first'])
      await open.query('rollback')
      expect((await read(cursor)).types).toEqual(['first'])
    } finally {
      open.release()
      done.release()
    }
  })
})
