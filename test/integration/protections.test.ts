/** Which snapshots of a job are spared, read from rows: the newest by rank, and the way back to the last three versions. */
import { v7 } from 'uuid'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createProtectionRepository } from '../../src/db/protections.ts'
import type { ProtectionRepository } from '../../src/ports/clearing.ts'
import { insertOwnedSavepoint, type SavepointAt } from '../support/clearing.ts'
import { openMigratedDatabase, type TestDatabase } from '../support/database.ts'
import { createTenants, insertRun, type Tenant } from '../support/fixtures.ts'

const ROOT = 's3://state/flink'
let database: TestDatabase
let ours: Tenant
let theirs: Tenant
let protections: ProtectionRepository

beforeAll(async () => {
  database = await openMigratedDatabase('protections')
  protections = createProtectionRepository(database.db)
})
afterAll(() => database.drop())
beforeEach(async () => {
  await database.db.sql('truncate namespace cascade')
  ;({ ours, theirs } = await createTenants(database.db))
})

const read = async (tenant: Tenant = ours): Promise<Record<string, string[]>> =>
  Object.fromEntries(
    [...(await protections.ofJob(tenant.caller, tenant.jobId))].map(([id, reasons]) => [
      id,
      reasons.map(({ code }) => code).toSorted(),
    ]),
  )

/** A run of a version that began, and ended, so many days ago; null: it is live. */
async function run(version: number, startedDaysAgo: number, endedDaysAgo: number | null): Promise<Tenant> {
  const runId = await insertRun(database.db, ours, {
    id: v7(),
    state: endedDaysAgo === null ? 'RUNNING' : 'FINISHED',
  })
  await database.db.sql(
    `update run set version = $2, started_at = now() - make_interval(days => $3),
       ended_at = case when $4::int is not null then now() - make_interval(days => $4::int) end where id = $1`,
    [runId, version, startedDaysAgo, endedDaysAgo],
  )
  return { ...ours, runId }
}
const savepoint = async (tenant: Tenant, given: SavepointAt = {}): Promise<string> =>
  (await insertOwnedSavepoint(database.db, tenant, ROOT, given)).id

const NEWEST = ['NEWEST_RESTORABLE_SAVEPOINT', 'NEWEST_RESTORABLE_SNAPSHOT']

describe('protected', () => {
  it('is the newest by the order of runs and of Flink, though an older one completed last', async () => {
    const [first, second] = [await run(1, 9, 8), await run(1, 7, 6)]
    const newest = await savepoint(second, { checkpointId: 3 })
    await savepoint(first, { checkpointId: 90 })
    await savepoint(second, { checkpointId: 2 })
    expect(await read()).toEqual({ [newest]: NEWEST })
  })

  it('is what can be restored, and only where nothing can the newest that is left', async () => {
    const { db } = database
    const doubtful = await savepoint(ours, { checkpointId: 5 })
    await db.sql(`update snapshot set verdict = 'DAMAGED' where id = $1`, [doubtful])
    const claimed = await savepoint(ours, { checkpointId: 4 })
    await db.sql('update snapshot set claimed_by_run_id = $1 where id = $2', [ours.runId, claimed])
    await savepoint(ours, { checkpointId: 3, status: 'Failed' })
    const older = await savepoint(ours, { checkpointId: 2 })
    await db.sql(`update snapshot set verdict = 'UNREADABLE' where id = $1`, [older])
    expect(await read()).toEqual({ [doubtful]: ['NEWEST_PRESENT_SNAPSHOT'] })
    const whole = await savepoint(ours, { checkpointId: 1 })
    expect(await read()).toEqual({ [whole]: NEWEST })
  })

  it('is the newest one, however many older ones have been copied since', async () => {
    const newest = await savepoint(ours, { checkpointId: 1_000 })
    for (let number = 1; number <= 25; number++) {
      const copy = await savepoint(ours, { checkpointId: number })
      await database.db.sql(
        `update snapshot set source = 'COPY', created_at = now() + interval '1 minute' where id = $1`,
        [copy],
      )
    }
    expect(await read()).toEqual({ [newest]: NEWEST })
    // of content that is gone elsewhere a copy is the newest
    await database.db.sql(`update snapshot set status = 'Clearing' where id = $1`, [newest])
    expect(Object.values(await read())).toEqual([NEWEST])
  })

  it('is the newest checkpoint, and the newest savepoint beside it', async () => {
    const older = await savepoint(ours, { checkpointId: 1 })
    const checkpoint = v7()
    await database.db.sql(
      `insert into snapshot (id, namespace_id, job_id, run_id, kind, status, reason, source, description, created_by,
         settled_at, completed_at, flink_checkpoint_id, location)
       values ($1, $2, $3, $4, 'CHECKPOINT', 'Present', 'COMPLETED', 'SYSTEM', '', 'flink', now(), now(), 9, 's3://state/c/chk-9')`,
      [checkpoint, ours.caller.namespaceId, ours.jobId, ours.runId],
    )
    expect(await read()).toEqual({
      [checkpoint]: ['NEWEST_RESTORABLE_SNAPSHOT'],
      [older]: ['NEWEST_RESTORABLE_SAVEPOINT'],
    })
  })

  it('is the way back to each of the last three versions that ran, for the window after its last run', async () => {
    const runs = [
      { version: 1, tenant: await run(1, 40, 6) },
      { version: 2, tenant: await run(2, 30, 5) },
      { version: 3, tenant: await run(3, 20, 2) },
      { version: 4, tenant: await run(4, 1, null) },
    ]
    const ids: string[] = []
    for (const { version, tenant } of runs) {
      await savepoint(tenant, { version, checkpointId: 1 })
      ids.push(await savepoint(tenant, { version, checkpointId: 2 }))
    }
    const [, second = '', third = '', fourth = ''] = ids
    expect(await read()).toEqual({
      [second]: ['ROLLBACK_POINT'],
      [third]: ['ROLLBACK_POINT'],
      [fourth]: [...NEWEST, 'ROLLBACK_POINT'],
    })

    const setWindow = (job: string | null, seconds: number) =>
      database.db.sql(
        `insert into retention (id, namespace_id, job_id, rollback_window_seconds, created_by) values ($1, $2, $3, $4, 't')`,
        [v7(), ours.caller.namespaceId, job, seconds],
      )
    await setWindow(null, 3 * 86_400)
    expect(Object.keys(await read()).toSorted()).toEqual([third, fourth].toSorted())
    await setWindow(ours.jobId, 0)
    expect(await read()).toEqual({ [fourth]: [...NEWEST, 'ROLLBACK_POINT'] })
  })

  it("is each tenant's own", async () => {
    const mine = await savepoint(ours)
    const [id] = [await savepoint(theirs)]
    expect(Object.keys(await read(ours))).toEqual([mine])
    expect(Object.keys(await read(theirs))).toEqual([id])
    expect(await protections.ofJob(theirs.caller, ours.jobId)).toEqual(new Map())
  })
})
