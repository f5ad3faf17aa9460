/** Writes of a worker that share a statement: what is one row's trouble is nobody else's. */
import { v7 } from 'uuid'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createSavepointWorkRepository } from '../../src/db/savepoint-work.ts'
import type { SavepointWork, SavepointWorkRepository, StatusMove } from '../../src/ports/savepoint-work.ts'
import { openMigratedDatabase, type TestDatabase } from '../support/database.ts'
import { createTenants, insertSavepoint, type Tenant } from '../support/fixtures.ts'

let database: TestDatabase
let ours: Tenant
let savepoints: SavepointWorkRepository
let held: SavepointWork[]

beforeAll(async () => {
  database = await openMigratedDatabase('savepoint_writes')
})
afterAll(() => database?.drop())

beforeEach(async () => {
  await database.db.sql('truncate namespace, worker cascade')
  await database.db.sql('truncate history.snapshot_transition, history.event')
  ;({ ours } = await createTenants(database.db))
  savepoints = createSavepointWorkRepository(database.db, {
    leaseMs: 60_000,
    newLease: () => v7(),
    workerName: 'worker:test',
  })
  for (let n = 0; n < 4; n++) {
    const id = await insertSavepoint(database.db, ours, { settled: true }) // a job has one unsettled at a time
    await database.db.sql(`update snapshot set deadline_at = now() + interval '1 hour' where id = $1`, [id])
    await database.db.sql(
      `insert into attempt (namespace_id, snapshot_id, number, trigger_id, directory)
       values ($1, $2, 1, $3, 's3://ours/flink/x/')`,
      [ours.caller.namespaceId, id, v7().replaceAll('-', '')],
    )
    await database.db.sql('update snapshot set next_action_at = now(), owned_prefix = $2 where id = $1', [
      id,
      's3://ours/flink/x/',
    ])
  }
  held = await savepoints.claimDue(10)
})

const present = (location: string): StatusMove => ({
  to: 'Present',
  reason: 'COMPLETED',
  facts: { location, locationKey: location, sizeBytes: 2 ** 40, completedAt: new Date(0) },
  attempt: { outcome: 'COMPLETED' },
  settled: true,
  nextActionInMs: null,
})
const transitions = () =>
  database.db.sql(
    `select t.to_status, t.reason, e.data ->> 'to' as told, s.status, s.size_bytes, a.outcome
     from history.snapshot_transition t join history.event e on e.snapshot_id = t.snapshot_id
       join snapshot s on s.id = t.snapshot_id join attempt a on a.snapshot_id = s.id
     where t.by = 'worker:test'`,
  )

test('all are asked and moved together, each with its own facts, transition and event', async () => {
  const flinkJobIds = held.map((_, index) => `${index}`.repeat(32))
  const asked = await Promise.all(
    held.map((work, index) => savepoints.markAsked(work, flinkJobIds[index] ?? '', index)),
  )
  expect(asked.every((at) => at instanceof Date)).toBe(true)
  const rows = await database.db.sql(
    'select flink_job_id, asked_flink_start from attempt order by asked_flink_start',
  )
  expect(rows).toEqual(flinkJobIds.map((id, index) => ({ flink_job_id: id, asked_flink_start: index })))
  // A second time each was asked already.
  expect(await Promise.all(held.map((work) => savepoints.markAsked(work, 'x', 1)))).toEqual(
    held.map(() => null),
  )
  const moved = await Promise.all(held.map((work) => savepoints.move(work, present(`s3://ours/${work.id}`))))
  expect(moved).toEqual(held.map(() => 'moved'))
  expect(await transitions()).toEqual(
    held.map(() => ({
      to_status: 'Present',
      reason: 'COMPLETED',
      told: 'Present',
      status: 'Present',
      size_bytes: 2 ** 40,
      outcome: 'COMPLETED',
    })),
  )
  expect(await Promise.all(held.map((work) => savepoints.move(work, present('s3://ours/late'))))).toEqual(
    held.map(() => 'stale'),
  )
  expect(await transitions()).toHaveLength(held.length)
})

test('one that the database refuses fails alone', async () => {
  await insertSavepoint(database.db, ours, { status: 'Present', location: 's3://ours/taken' })
  const results = await Promise.allSettled(
    held.map((work, index) =>
      savepoints.move(work, present(index === 1 ? 's3://ours/taken' : `s3://ours/${work.id}`)),
    ),
  )
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled'])
  expect(await transitions()).toHaveLength(held.length - 1)
})

test('one that somebody else has locked holds up nobody, and is written once it is free', async () => {
  const [locked, ...others] = held
  if (!locked) throw new Error('nothing was claimed')
  const holder = await database.db.pool.connect()
  try {
    await holder.query('begin')
    await holder.query('select 1 from snapshot where id = $1 for update', [locked.id])
    const late = savepoints.move(locked, present('s3://ours/late'))
    const asked = savepoints.markAsked(locked, 'a'.repeat(32), 1).catch((error: unknown) => error)
    expect(
      await Promise.all(others.map((work) => savepoints.move(work, present(`s3://ours/${work.id}`)))),
    ).toEqual(others.map(() => 'moved'))
    expect(
      await Promise.all(others.map((work) => savepoints.release(work, { nextActionInMs: 1, tries: 0 }))),
    ).toEqual(
      others.map(() => false), // their leases ended with the move
    )
    await holder.query('commit')
    expect(await late).toBe('moved')
    await asked
  } finally {
    holder.release()
  }
  expect(await transitions()).toHaveLength(held.length)
})

test('one that is gone is missing, and one of another worker is stale, whatever stands beside it', async () => {
  const [mine, gone, taken] = held
  if (!mine || !gone || !taken) throw new Error('nothing was claimed')
  await database.db.sql('update snapshot set lease_token = $2 where id = $1', [taken.id, v7()])
  const moves = [mine, { ...gone, id: v7() }, taken].map((work) =>
    savepoints.move(work, present(`s3://ours/${work.id}`)),
  )
  expect(await Promise.all(moves)).toEqual(['moved', 'missing', 'stale'])
  const released = [gone, taken].map((work) => savepoints.release(work, { nextActionInMs: 5_000, tries: 2 }))
  expect(await Promise.all(released)).toEqual([true, false])
})

test('a write under a lease that was lost shares the statement with the one that holds it, and writes nothing', async () => {
  await database.db.sql(`update snapshot set lease_until = now() - interval '1 s'`) // slept past it
  const again = await savepoints.claimDue(10)
  const pairs = held.map((stale) => ({ stale, fresh: again.find(({ id }) => id === stale.id) ?? stale }))
  expect(pairs.every(({ stale, fresh }) => stale.lease !== fresh.lease)).toBe(true)

  const asked = await Promise.all(
    pairs.flatMap(({ stale, fresh }) => [
      savepoints.markAsked(stale, 'a'.repeat(32), 1),
      savepoints.markAsked(fresh, 'b'.repeat(32), 2),
    ]),
  )
  expect(asked.map((at) => at !== null)).toEqual(pairs.flatMap(() => [false, true]))
  const asks = await database.db.sql('select distinct flink_job_id from attempt')
  expect(asks).toEqual([{ flink_job_id: 'b'.repeat(32) }])

  const late: StatusMove = { to: 'Timeout', reason: 'DEADLINE_PASSED', settled: false, nextActionInMs: 1_000 }
  const moved = await Promise.all(
    pairs.flatMap(({ stale, fresh }) => [
      savepoints.move(stale, late),
      savepoints.move(fresh, present(`s3://ours/${fresh.id}`)),
    ]),
  )
  expect(moved).toEqual(pairs.flatMap(() => ['stale', 'moved']))
  const written = await transitions()
  expect(written).toHaveLength(pairs.length)
  expect(
    new Set(written.map((row) => `${row['to_status']} ${row['told']} ${row['status']} ${row['outcome']}`)),
  ).toEqual(new Set(['Present Present Present COMPLETED']))
})

test('what is given back under a lease that was lost is not', async () => {
  await database.db.sql(`update snapshot set lease_until = now() - interval '1 s'`)
  const again = await savepoints.claimDue(10)
  const given = await Promise.all(
    again.flatMap((fresh) => [
      savepoints.release(held.find(({ id }) => id === fresh.id) ?? fresh, {
        nextActionInMs: null,
        tries: 9,
        settled: true,
        attempt: { outcome: 'FAILED' },
      }),
      savepoints.release(fresh, { nextActionInMs: 5_000, tries: 1 }),
    ]),
  )
  expect(given).toEqual(again.flatMap(() => [false, true]))
  const rows = await database.db.sql(
    `select distinct s.tries, s.next_action_at is not null as due, a.outcome
     from snapshot s join attempt a on a.snapshot_id = s.id`,
  )
  expect(rows).toEqual([{ tries: 1, due: true, outcome: null }])
})

test('of two writes under one lease at once the first is done, and the other finds it done', async () => {
  const late: StatusMove = { to: 'Timeout', reason: 'DEADLINE_PASSED', settled: false, nextActionInMs: 1_000 }
  const moved = await Promise.all(
    held.flatMap((work) => [
      savepoints.move(work, present(`s3://ours/${work.id}`)),
      savepoints.move(work, late), // the deadline came while the step before was still under way
    ]),
  )
  expect(moved).toEqual(held.flatMap(() => ['moved', 'stale']))
  const written = await transitions()
  expect(written).toHaveLength(held.length)
  expect(written.map((row) => `${row['to_status']} ${row['status']} ${row['outcome']}`)).toEqual(
    held.map(() => 'Present Present COMPLETED'),
  )
})
