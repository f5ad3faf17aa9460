/**
 * What a restore is decided from, at 1,000,000 snapshots of one job and beside 2,000 runs of another: what is really sent to
 * Postgres is explained, so a list that would read the whole job shows here and not in production.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createRestorePointRepository } from '../../src/db/restore-points.ts'
import { insertCheckpoint } from '../support/checkpoints.ts'
import type { TestDatabase } from '../support/database.ts'
import { insertSavepoint, type Tenant } from '../support/fixtures.ts'
import { explaining, nodesOf, openMany, rowsRead } from '../support/plans.ts'

/** Five lists of at most 300 and the rows they name; savepoints are looked for among checkpoints nowhere. */
const MOST_ROWS = 2_500

let database: TestDatabase
let ours: Tenant
let theirs: Tenant

beforeAll(async () => {
  ;({ database, ours, theirs } = await openMany('restore_point_plan'))
}, 180_000)

afterAll(() => database?.drop())

async function explain(tenant: Tenant) {
  const { db, plan } = explaining(database.db)
  const repository = createRestorePointRepository(db)
  const surroundings = await repository.readSurroundings(tenant.caller, 'orders')
  const candidates = await repository.listCandidates(tenant.caller, tenant.jobId)
  return { surroundings, candidates, plan }
}

describe('what a restore is decided from', () => {
  test('reads no more than its lists at 1,000,000 snapshots of one job', async () => {
    const { surroundings, candidates, plan } = await explain(ours)
    expect(surroundings?.surroundings).toMatchObject({ hadState: true, runs: [{ live: true }] })
    const [newest] = await database.db.sql<{ id: string }>(
      `select id from snapshot where job_id = $1 and status = 'Present' order by flink_checkpoint_id desc limit 1`,
      [ours.jobId],
    )
    expect(candidates.map(({ snapshot }) => snapshot)).toContain(newest?.id)
    expect(new Set(candidates.map(({ kind }) => kind))).toEqual(new Set(['CHECKPOINT', 'SAVEPOINT']))
    expect(candidates.length).toBeLessThan(700)
    expect(nodesOf(plan, 'snapshot').map((node) => node['Node Type'])).not.toContain('Seq Scan')
    expect(rowsRead(plan, 'snapshot')).toBeLessThan(MOST_ROWS)
  })

  test('is as flat for the statements as they are prepared', async () => {
    const repository = createRestorePointRepository(database.db)
    const times: number[] = []
    for (let n = 0; n < 20; n++) {
      const begun = performance.now()
      await repository.readSurroundings(ours.caller, 'orders')
      await repository.listCandidates(ours.caller, ours.jobId)
      times.push(performance.now() - begun)
    } // by then Postgres uses a plan for any parameters
    expect(Math.min(...times.slice(10))).toBeLessThan(250)
  })

  test('finds what lies behind 2,000 runs and 1,000 failed savepoints that left nothing', async () => {
    const checkpoint = await insertCheckpoint(database.db, theirs, {
      flinkCheckpointId: 1,
      at: new Date(Date.now() - 86_400_000),
    })
    const savepoint = await insertSavepoint(database.db, theirs, {
      status: 'Present',
      location: 's3://theirs/flink/sp',
    })
    await database.db.sql(
      `update snapshot set completed_at = now() - interval '1 day', created_at = now() - interval '1 day' where id = $1`,
      [savepoint],
    )
    await database.db.sql(
      `insert into run (id, namespace_id, job_id, cluster_id, flink_job_id, epoch, state, flink_state, flink_start_time,
         started_at, ended_at)
       select gen_random_uuid(), $1, $2, $3, repeat('a', 32), n, 'LOST', 'FAILED', n, now() + make_interval(secs => n), now()
       from generate_series(1, 2000) n`,
      [theirs.caller.namespaceId, theirs.jobId, theirs.clusterId],
    )
    await database.db.sql(
      `with made as (
         insert into snapshot (id, namespace_id, job_id, storage_id, kind, status, reason, source, description, attempt,
           created_by, settled_at)
         select gen_random_uuid(), $1, $2, $3, 'SAVEPOINT', 'Creating', 'REQUESTED', 'MANUAL', '', 1, 'test', now()
         from generate_series(1, 1000) returning id)
       select count(*) from made`,
      [theirs.caller.namespaceId, theirs.jobId, theirs.storageId],
    )
    await database.db.sql(`update snapshot set status = 'Failed' where job_id = $1 and status = 'Creating'`, [
      theirs.jobId,
    ])
    const { surroundings, candidates, plan } = await explain(theirs)
    const found = candidates.map(({ snapshot }) => snapshot)
    expect(found).toEqual(expect.arrayContaining([checkpoint, savepoint]))
    expect(surroundings?.surroundings.runs).toHaveLength(200)
    expect(nodesOf(plan, 'snapshot').map((node) => node['Node Type'])).not.toContain('Seq Scan')
    expect(rowsRead(plan, 'snapshot')).toBeLessThan(MOST_ROWS)
  })
})
