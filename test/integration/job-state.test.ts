/** What the API says about a job's state, its runs and who needs a snapshot: HTTP over a real Postgres, two namespaces. */
import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createMetricsRepository } from '../../src/db/metrics.ts'
import type { JobState } from '../../src/domain/job-state.ts'
import type { Cluster } from '../../src/domain/resources.ts'
import type { Run } from '../../src/domain/run.ts'
import type { RunningServer } from '../../src/server.ts'
import type { Api } from '../support/api.ts'
import { insertCheckpoint, insertDropped } from '../support/checkpoints.ts'
import type { TestDatabase } from '../support/database.ts'
import { createTenants, insertRun, insertSavepoint, type Tenant } from '../support/fixtures.ts'
import { startApiOfTwoTenants } from '../support/two-tenants.ts'

let database: TestDatabase
let server: RunningServer
let ours: Tenant
let theirs: Tenant
let api: Api
let other: Api

beforeAll(async () => {
  ;({ database, server, api, other } = await startApiOfTwoTenants('job_state'))
}, 120_000)
afterAll(async () => {
  await server?.close()
  await database?.drop()
})

beforeEach(async () => {
  const tenants = await createTenants(database.db)
  ours = tenants.ours
  theirs = tenants.theirs
})
afterEach(async () => {
  await database.db.sql(
    'truncate cluster, storage, job, run, snapshot, checkpoint_hour, job_version, attempt, worker, operation cascade',
  )
  await database.db.sql('truncate history.event')
})

const sql = (text: string, values: unknown[] = []) => database.db.sql(text, values)
const ago = (seconds: number): Date => new Date(Date.now() - seconds * 1000)
const readState = async (query = ''): Promise<JobState> => {
  const { status, body } = await api.call<JobState>('GET', `/v1/jobs/orders/state${query}`)
  expect(status).toBe(200)
  return body
}
const events = (type: string) =>
  database.db.sql<{ namespace_id: string; data: Record<string, unknown> }>(
    'select namespace_id, data from history.event where type = $1 order by seq',
    [type],
  )

describe('the state of a job', () => {
  it('of which nothing is known yet is empty, not missing', async () => {
    await sql('update job set current_run_id = null')
    const state = await readState()
    expect(state).toMatchObject({
      job: { id: ours.jobId, name: 'orders' },
      run: null,
      observation: { fresh: false, clusterReachable: null, observedAt: null },
      windowSeconds: 86_400,
      history: [],
      checkpointConfig: null,
      flinkCounts: null,
      restorePoint: null,
    })
    const none = { completed: 0, present: 0, cleared: 0, failed: 0, timedOut: 0 }
    const unknown = { p50: null, p90: null, p99: null, max: null }
    expect(state.checkpoints).toMatchObject({ lastSuccessful: null, counts: none, durationMs: unknown })
    expect(state.savepoints).toMatchObject({ lastFailed: null, counts: none, sizeBytes: unknown })
  })

  it('shows the last successful and the last failed checkpoint [A-06, A-34, A-35]', async () => {
    await insertCheckpoint(database.db, ours, { flinkCheckpointId: 1, at: ago(300), status: 'Cleared' })
    const present = await insertCheckpoint(database.db, ours, {
      flinkCheckpointId: 2,
      at: ago(200),
      durationMs: 1_500,
      sizeBytes: 2 ** 40,
    })
    await insertCheckpoint(database.db, ours, { flinkCheckpointId: 3, at: ago(150), status: 'Failed' })
    const expired = await insertCheckpoint(database.db, ours, {
      flinkCheckpointId: 4,
      at: ago(100),
      status: 'Timeout',
    })
    const { checkpoints } = await readState()
    expect(checkpoints.lastSuccessful).toMatchObject({
      snapshot: present,
      status: 'Present',
      flinkCheckpointId: 2,
      completedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      durationMs: 1_500,
      sizeBytes: 2 ** 40,
      failure: null,
    })
    expect(checkpoints.lastFailed).toMatchObject({
      snapshot: expired,
      status: 'Timeout',
      completedAt: null,
      failedAt: expect.stringMatching(/Z$/),
      failure: { code: 'CHECKPOINT_EXPIRED', message: 'Checkpoint expired before completing.' },
    })
    expect(checkpoints.counts).toEqual({ completed: 2, present: 1, cleared: 1, failed: 1, timedOut: 1 })
  })

  it('shows what was last successful although Flink has dropped it since', async () => {
    const id = await insertCheckpoint(database.db, ours, {
      flinkCheckpointId: 1,
      at: ago(5 * 86_400),
      status: 'Cleared',
    })
    const { checkpoints, restorePoint } = await readState()
    expect(checkpoints.lastSuccessful).toMatchObject({ snapshot: id, status: 'Cleared' })
    expect(checkpoints.counts.completed).toBe(0)
    expect(restorePoint).toBeNull()
  })

  it('shows the last successful and the last failed savepoint, with its failure time, and the one in progress [A-34, A-36]', async () => {
    const done = await insertSavepoint(database.db, ours, { status: 'Present', location: 's3://x/sp-1' })
    await sql('update snapshot set completed_at = now(), duration_ms = 900, size_bytes = 7 where id = $1', [
      done,
    ])
    const failed = await insertSavepoint(database.db, ours, { status: 'Failed' })
    await sql(
      `update snapshot set failed_at = now(), failure_code = 'TASK_FAILED', failure_message = 'why' where id = $1`,
      [failed],
    )
    const open = await insertSavepoint(database.db, ours)
    const { savepoints } = await readState()
    expect(savepoints.lastSuccessful).toMatchObject({
      snapshot: done,
      durationMs: 900,
      location: 's3://x/sp-1',
    })
    expect(savepoints.lastFailed).toMatchObject({
      snapshot: failed,
      failedAt: expect.stringMatching(/Z$/),
      failure: { code: 'TASK_FAILED', message: 'why' },
    })
    expect(savepoints.inProgress).toMatchObject({ snapshot: open, status: 'Creating' })
    expect(savepoints.counts).toEqual({ completed: 1, present: 1, cleared: 0, failed: 1, timedOut: 0 })
    expect(savepoints.sizeBytes).toEqual({ p50: 7, p90: 7, p99: 7, max: 7 })
  })

  it('counts an EXTERNAL savepoint among the savepoints, and an IMPORT nowhere', async () => {
    const add = async (source: string) => {
      const id = randomUUID()
      await sql(
        `insert into snapshot (id, namespace_id, job_id, kind, status, reason, source, description, created_by, settled_at,
           completed_at, location) values ($1, $2, $3, 'SAVEPOINT', 'Present', 'FOUND', $4, '', 'test', now(), now(), 's3://x')`,
        [id, ours.caller.namespaceId, ours.jobId, source],
      )
      return id
    }
    const external = await add('EXTERNAL')
    await add('IMPORT')
    const { savepoints, restorePoint } = await readState()
    expect(savepoints.lastSuccessful?.snapshot).toBe(external)
    expect(savepoints.counts.completed).toBe(1)
    expect(restorePoint?.snapshot).toBe(external)
  })

  it('gives percentiles of values that occurred, within the window only', async () => {
    await insertDropped(database.db, ours, { count: 100, endsAt: ago(10) })
    const { checkpoints } = await readState('?windowSeconds=3600')
    expect(checkpoints.durationMs).toEqual({ p50: 50, p90: 90, p99: 99, max: 100 })
    expect(checkpoints.sizeBytes.max).toBe(1_000)
    expect(checkpoints.uploadedBytes.p50).toBe(100)
    const narrow = await readState('?windowSeconds=60')
    expect(narrow.checkpoints.counts.completed).toBeLessThan(60)
    expect(narrow.checkpoints.durationMs.p50).toBeGreaterThan(50)
  })

  it('merges folded hours and rows still kept into one history [A-01]', async () => {
    const hour = new Date(Math.floor(Date.now() / 3_600_000) * 3_600_000)
    await insertCheckpoint(database.db, ours, {
      flinkCheckpointId: 9,
      at: hour,
      durationMs: 400,
      sizeBytes: 1_000,
      uploadedBytes: 5,
    })
    await sql(
      `insert into checkpoint_hour (namespace_id, job_id, hour, completed, failed, timed_out, duration_ms_sum, duration_ms_max,
         size_bytes_sum, size_bytes_max, uploaded_bytes_sum)
       values ($1, $2, $3, 3, 1, 2, 600, 300, 1000, 900, 50), ($1, $2, $3::timestamptz - interval '3 hours', 1, 0, 0, 1, 1, 1, 1, 1),
         ($1, $2, $3::timestamptz - interval '40 days', 5, 0, 0, 1, 1, 1, 1, 1)`,
      [ours.caller.namespaceId, ours.jobId, hour.toISOString()],
    )
    const { history, checkpoints } = await readState()
    expect(history.map((each) => each.completed)).toEqual([1, 4])
    expect(history[1]).toEqual({
      hour: hour.toISOString(),
      completed: 4,
      failed: 1,
      timedOut: 2,
      durationMsAvg: 250,
      durationMsMax: 400,
      sizeBytesAvg: 500,
      sizeBytesMax: 1_000,
      uploadedBytes: 55,
    })
    expect(checkpoints.counts).toEqual({ completed: 5, present: 1, cleared: 4, failed: 1, timedOut: 2 })
    expect(checkpoints.coveredSince).toBe(hour.toISOString())
  })

  it('shows the run, what is in progress and the configuration as Flink reports it [A-01, A-06]', async () => {
    const config = {
      mode: 'exactly_once',
      intervalMs: 60_000,
      timeoutMs: 600_000,
      minPauseMs: 0,
      maxConcurrent: 1,
      externalized: { enabled: true, deleteOnCancellation: false },
      stateBackend: 'HashMapStateBackend',
      checkpointStorage: 'FileSystemCheckpointStorage',
      unaligned: false,
      tolerableFailures: 0,
    }
    const inProgress = { id: 12, triggeredAt: '2026-11-21T08:00:00.000Z', checkpointType: 'CHECKPOINT' }
    const counts = { restored: 1, total: 12, inProgress: 1, completed: 10, failed: 1 }
    await sql(
      `update run set checkpoint_config = $2, in_progress = $3, checkpoint_counts = $4, completed_checkpoints = 10,
         version = 3, version_basis = 'DECLARED', declared_version = 3, restored_location = 's3://x/chk-1',
         restored_checkpoint_id = 1, recheck_at = now() where id = $1`,
      [ours.runId, ...[config, inProgress, counts].map((value) => JSON.stringify(value))],
    )
    await sql('insert into worker (id) values ($1)', [ours.jobId])
    await sql('update cluster set observer_id = $1, reachable = true where id = $2', [
      ours.jobId,
      ours.clusterId,
    ])
    const state = await readState()
    expect(state.run).toMatchObject({
      id: ours.runId,
      cluster: { name: 'flink' },
      version: 3,
      versionBasis: 'DECLARED',
      restoredFrom: { snapshot: null, location: 's3://x/chk-1', flinkCheckpointId: 1 },
      completedCheckpoints: 10,
      checkpointsUnderReview: true,
    })
    expect(state.observation).toMatchObject({ fresh: true, clusterReachable: true })
    expect(state.checkpoints.inProgress).toEqual(inProgress)
    expect(state.checkpointConfig).toEqual(config)
    expect(state.flinkCounts).toEqual(counts)

    await sql(`update run set state = 'FINISHED', ended_at = now() where id = $1`, [ours.runId])
    expect((await readState()).checkpoints.inProgress).toBeNull()
  })

  it('names the newest restorable snapshot: by the order of runs and of Flink ids, never by completion time', async () => {
    const late = await insertCheckpoint(database.db, ours, { flinkCheckpointId: 50, at: ago(5) })
    const runId = await insertRun(database.db, ours)
    await sql(`update run set started_at = now() + interval '1 second' where id = $1`, [runId])
    const savepoint = await insertSavepoint(
      database.db,
      { ...ours, runId },
      { status: 'Present', location: 's3://sp' },
    )
    await sql('update snapshot set completed_at = $2, flink_checkpoint_id = 3 where id = $1', [
      savepoint,
      ago(60),
    ])
    expect((await readState()).restorePoint).toMatchObject({ snapshot: savepoint, kind: 'SAVEPOINT' })
    await sql(`update snapshot set verdict = 'DAMAGED' where id = $1`, [savepoint])
    expect((await readState()).restorePoint).toMatchObject({ snapshot: late, kind: 'CHECKPOINT' })
    await sql(`update snapshot set verdict = 'ENDANGERED' where id = $1`, [late])
    expect((await readState()).restorePoint).toBeNull()
  })

  it("never shows another namespace's job, and refuses windows it cannot serve", async () => {
    await insertCheckpoint(database.db, theirs, { flinkCheckpointId: 1, at: ago(10) })
    expect((await readState()).checkpoints.lastSuccessful).toBeNull()
    expect((await api.call('GET', `/v1/jobs/${theirs.jobId}/state`)).body).toMatchObject({
      code: 'NOT_FOUND',
    })
    for (const window of ['59', '2592001', '1e9', 'x', '']) {
      const { status, body } = await api.call('GET', `/v1/jobs/orders/state?windowSeconds=${window}`)
      expect([window, status, body['code']]).toEqual([window, 400, 'VALIDATION_FAILED'])
    }
    expect((await api.call('GET', '/v1/jobs/orders/state?windowSeconds=2592000')).status).toBe(200)
  })
})

describe('runs', () => {
  it('are listed newest first by pages, and only to their namespace', async () => {
    for (let n = 1; n <= 4; n++) {
      const id = await insertRun(database.db, ours, { state: 'FINISHED' })
      await sql('update run set started_at = now() - make_interval(hours => $2::int) where id = $1', [id, n])
    }
    type Runs = { items: Run[]; nextPageToken: string | null }
    const first = (await api.call<Runs>('GET', '/v1/jobs/orders/runs?pageSize=3')).body
    const token = first.nextPageToken ?? ''
    const second = (await api.call<Runs>('GET', `/v1/jobs/orders/runs?pageSize=3&pageToken=${token}`)).body
    const all = [...first.items, ...second.items]
    expect(all).toHaveLength(5)
    expect(second.nextPageToken).toBeNull()
    expect(all[0]?.id).toBe(ours.runId)
    expect(all.map((run) => run.startedAt)).toEqual(
      all
        .map((run) => run.startedAt)
        .sort()
        .reverse(),
    )
    const bad = await api.call('GET', '/v1/jobs/orders/runs?pageToken=bm9uc2Vuc2U')
    expect([bad.status, bad.body['code']]).toEqual([400, 'PAGE_TOKEN_INVALID'])
    expect((await other.call('GET', `/v1/jobs/${ours.jobId}/runs`)).status).toBe(404)
    expect((await api.call('GET', `/v1/runs/${ours.runId}`)).status).toBe(200)
    expect((await other.call('GET', `/v1/runs/${ours.runId}`)).status).toBe(404)
    expect((await api.call('GET', '/v1/runs/orders')).status).toBe(400)
  })
})

describe('POST confirm-ended', () => {
  const confirm = (as: Api = api, run = ours.runId) =>
    as.call<Run & { code?: string }>('POST', `/v1/runs/${run}/confirm-ended`)

  it('is refused while the run is live and listed', async () => {
    await sql('update cluster set reachable = true')
    const { status, body } = await confirm()
    expect([status, body.code, body.state]).toEqual([409, 'RUN_IS_LIVE', 'RUNNING'])
    expect(await events('run.state')).toEqual([])
  })

  it('ends a run that a reachable leader does not list, once, with its event', async () => {
    await sql('update cluster set reachable = true')
    await sql('update run set missing_since = now() where id = $1', [ours.runId])
    const [first, second] = await Promise.all([confirm(), confirm()])
    expect([first?.status, second?.status]).toEqual([200, 200])
    expect(first?.body).toEqual(second?.body)
    expect(first?.body).toMatchObject({ state: 'LOST', checkpointsUnderReview: true })
    expect(first?.body.endConfirmedAt).not.toBeNull()
    expect(first?.body.endedAt).not.toBeNull()
    expect((await confirm()).body).toEqual(first?.body)
    const told = await events('run.state')
    expect(told.map(({ namespace_id, data }) => [namespace_id, data['run'], data['by']])).toEqual([
      [ours.caller.namespaceId, ours.runId, 'token:ours'],
    ])
  })

  it('takes a word about a LOST run, and about one whose cluster cannot be reached', async () => {
    await sql(`update run set state = 'LOST', ended_at = '2026-01-01T00:00:00Z' where id = $1`, [ours.runId])
    expect((await confirm()).body).toMatchObject({ state: 'LOST', endedAt: '2026-01-01T00:00:00.000Z' })
    const unreachable = await insertRun(database.db, ours)
    expect((await confirm(api, unreachable)).body.code).toBe('RUN_IS_LIVE') // not tried yet
    await sql('update cluster set reachable = false')
    expect((await confirm(api, unreachable)).body).toMatchObject({ state: 'LOST' })
  })

  it('changes nothing about a run that was seen to end', async () => {
    for (const state of ['FINISHED', 'CANCELED', 'FAILED']) {
      const id = await insertRun(database.db, ours, { state })
      const { status, body } = await confirm(api, id)
      expect([status, body.state, body.endConfirmedAt]).toEqual([200, state, null])
    }
  })

  it("does not hear of another namespace's runs", async () => {
    await sql(`update run set state = 'LOST'`)
    expect((await confirm(other)).status).toBe(404)
    const [row] = await database.db.sql<{ n: number }>(
      'select count(*)::int as n from run where end_confirmed_at is not null',
    )
    expect(row?.n).toBe(0)
  })
})

describe('POST confirm-identity', () => {
  const FIRST = { haClusterId: 'a', kubernetesClusterId: null }
  const SECOND = { haClusterId: 'b', kubernetesClusterId: 'ns/b' }
  const THIRD = { haClusterId: 'c', kubernetesClusterId: null }
  const answer = (seen: object | null) =>
    sql('update cluster set fingerprint = $1, changed_to = $2 where id = $3', [
      JSON.stringify(FIRST),
      seen && JSON.stringify(seen),
      ours.clusterId,
    ])
  const confirm = (body?: object, as = api, cluster = 'flink') =>
    as.call<Cluster & Record<string, unknown>>(
      'POST',
      `/v1/clusters/${cluster}/confirm-identity`,
      body ? { body } : {},
    )

  it('adopts the cluster that answers, once, with its event', async () => {
    await answer(SECOND)
    const before = (await api.call<Cluster>('GET', '/v1/clusters/flink')).body
    expect(before).toMatchObject({ fingerprint: FIRST, changedTo: SECOND })
    const both = await Promise.all([confirm({ fingerprint: SECOND }), confirm({ fingerprint: SECOND })])
    for (const { status, body } of both) {
      expect(status).toBe(200)
      expect(body).toMatchObject({ fingerprint: SECOND, changedTo: null })
    }
    expect(both[0]?.body.etag).not.toBe(before.etag)
    expect((await confirm()).body).toMatchObject({ fingerprint: SECOND, changedTo: null })
    const told = await events('cluster.identity')
    expect(told.map(({ data }) => data)).toEqual([
      { cluster: ours.clusterId, name: 'flink', from: FIRST, to: SECOND, by: 'token:ours' },
    ])
  })

  it('without a body adopts what answers now', async () => {
    await answer(SECOND)
    expect((await confirm()).body).toMatchObject({ fingerprint: SECOND, changedTo: null })
  })

  it('refuses a cluster that is not the one that was read', async () => {
    await answer(THIRD)
    const { status, body } = await confirm({ fingerprint: SECOND })
    expect([status, body['code'], body['given'], body['answers']]).toEqual([
      409,
      'CLUSTER_IDENTITY_CHANGED',
      SECOND,
      THIRD,
    ])
    await answer(null) // the first one answers again
    expect((await confirm({ fingerprint: SECOND })).status).toBe(409)
    expect((await confirm({ fingerprint: FIRST })).status).toBe(200)
    expect(await events('cluster.identity')).toEqual([])
  })

  it("refuses other shapes, and other namespaces' clusters", async () => {
    await answer(SECOND)
    expect((await confirm({ fingerprint: { haClusterId: 'b' } })).status).toBe(400)
    expect((await confirm({ fingerprint: { ...SECOND, more: 1 } })).status).toBe(400)
    expect((await confirm({ force: true })).status).toBe(400)
    expect((await confirm(undefined, other, ours.clusterId)).status).toBe(404)
    expect((await api.call<Cluster>('GET', '/v1/clusters/flink')).body.changedTo).toEqual(SECOND)
  })
})

describe('a cluster', () => {
  it('says what it does not support, with the way out [T-28]', async () => {
    const read = async () => (await api.call<Cluster>('GET', '/v1/clusters/flink')).body
    expect((await read()).unsupported).toEqual([])
    await sql(
      `update cluster set flink_version = '1.14.6', capabilities = '{"idempotentTriggers": false, "triggerCheckpoint": false,
        "jarSubmission": true, "claimMode": false}', recovery_path = 's3://x/sp', recovery_key = 's3://x/sp'
       where id = $1`,
      [ours.clusterId],
    )
    const cluster = await read()
    expect(cluster.recoveryPath).toBe('s3://x/sp')
    expect(cluster.unsupported.map(({ feature, since }) => [feature, since])).toEqual([
      ['SAVEPOINTS', '1.15'],
      ['CHECKPOINT_ON_DEMAND', '1.17'],
      ['CLAIM_MODE', '1.20'],
    ])
    expect(cluster.unsupported[0]?.because).toContain('Upgrade the cluster to Flink 1.15 or newer')
    const refused = await api.call('POST', '/v1/jobs/orders/savepoints', { body: {} })
    expect([refused.status, refused.body['code']]).toEqual([409, 'CLUSTER_UNSUPPORTED'])
  })
})

describe('references of a snapshot', () => {
  type Uses = { inUseBy: { reason: string; run: string | null; cluster: { id: string } | null }[] }
  const uses = async (id: string) => {
    const { status, body } = await api.call<Uses>('GET', `/v1/snapshots/${id}/references`)
    expect(status).toBe(200)
    return body.inUseBy.map(({ reason, run }) => [reason, run])
  }
  const KEY = 's3://ours/savepoint-1'
  const newSavepoint = () => insertSavepoint(database.db, ours, { status: 'Present', location: KEY })

  it('are none for one that nobody names', async () => {
    await sql('update run set restored_key = $1, restored_location = $1 where id = $2', [KEY, theirs.runId])
    await sql('update cluster set recovery_key = $1 where id = $2', [KEY, theirs.clusterId])
    expect(await uses(await newSavepoint())).toEqual([])
  })

  it('name the cluster whose configuration restores it at every restart', async () => {
    const id = await newSavepoint()
    await sql('update cluster set recovery_key = $1 where id = $2', [KEY, ours.clusterId])
    expect(await uses(id)).toEqual([['CLUSTER_CONFIGURATION', null]])
  })

  it('name the attached run that was restored from it, once, until it ends', async () => {
    const id = await newSavepoint()
    await sql(
      'update run set restored_key = $1, restored_snapshot_id = $2, completed_checkpoints = 9 where id = $3',
      [KEY, id, ours.runId],
    )
    expect(await uses(id)).toEqual([['RUN', ours.runId]])
    await sql(`update run set state = 'FINISHED', ended_at = now() where id = $1`, [ours.runId])
    expect(await uses(id)).toEqual([])
  })

  it('hold a savepoint of a LOST run until a later run completed a checkpoint, a checkpoint until the end is confirmed', async () => {
    const savepoint = await newSavepoint()
    const checkpoint = await insertCheckpoint(database.db, ours, { flinkCheckpointId: 1, at: ago(60) })
    const lost = [ours.runId, await insertRun(database.db, ours)]
    await sql(`update run set state = 'LOST', restored_snapshot_id = $2, ended_at = now() where id = $1`, [
      lost[0],
      savepoint,
    ])
    await sql(`update run set state = 'LOST', restored_snapshot_id = $2, ended_at = now() where id = $1`, [
      lost[1],
      checkpoint,
    ])
    expect([await uses(savepoint), await uses(checkpoint)]).toEqual([[['RUN', lost[0]]], [['RUN', lost[1]]]])
    const later = await insertRun(database.db, ours)
    await sql(
      `update run set started_at = now() + interval '1 minute', completed_checkpoints = 1 where id = $1`,
      [later],
    )
    expect([await uses(savepoint), await uses(checkpoint)]).toEqual([[], [['RUN', lost[1]]]])
    await api.call('POST', `/v1/runs/${lost[1]}/confirm-ended`)
    expect(await uses(checkpoint)).toEqual([])
  })

  it('name the run that claimed it, and are not found in another namespace', async () => {
    const id = await newSavepoint()
    await sql('update snapshot set claimed_by_run_id = $2 where id = $1', [id, ours.runId])
    expect(await uses(id)).toEqual([['CLAIMED', ours.runId]])
    expect((await other.call('GET', `/v1/snapshots/${id}/references`)).status).toBe(404)
  })
})

describe('a system checkpoint', () => {
  it('can be described, labelled and pinned, and nothing else [A-07]', async () => {
    const id = await insertCheckpoint(database.db, ours, { flinkCheckpointId: 1, at: ago(60) })
    const changes = { description: 'before the incident', labels: { keep: 'yes' }, pinned: true }
    const { status, body } = await api.call('PATCH', `/v1/snapshots/${id}`, { body: changes })
    expect([status, body]).toEqual([
      200,
      expect.objectContaining({ ...changes, kind: 'CHECKPOINT', status: 'Present' }),
    ])
    for (const member of ['status', 'location', 'kind', 'claimed', 'flinkCheckpointId', 'verdict', 'job']) {
      const refused = await api.call('PATCH', `/v1/snapshots/${id}`, { body: { [member]: 'Cleared' } })
      expect([member, refused.status, refused.body['code']]).toEqual([member, 400, 'VALIDATION_FAILED'])
    }
  })

  it('cannot be created or deleted by hand: there is no such call [A-07]', async () => {
    const id = await insertCheckpoint(database.db, ours, { flinkCheckpointId: 1, at: ago(60) })
    for (const [method, path] of [
      ['POST', '/v1/jobs/orders/checkpoints'],
      ['PUT', `/v1/snapshots/${id}`],
      ['POST', '/v1/snapshots'],
    ] as const) {
      const { status, body } = await api.call(method, path, { body: {} })
      expect([path, status, body['code']]).toEqual([path, 404, 'ROUTE_NOT_FOUND'])
    }
    const asked = await api.call('POST', '/v1/jobs/orders/savepoints', { body: { kind: 'CHECKPOINT' } })
    expect([asked.status, asked.body['code']]).toEqual([400, 'VALIDATION_FAILED'])
    await api.call('DELETE', `/v1/snapshots/${id}`)
    expect((await api.call('GET', `/v1/snapshots/${id}`)).body).toMatchObject({ status: 'Present' })
  })

  it('stays in the list as Cleared once Flink has dropped it, and cannot be restored [T-10]', async () => {
    const id = await insertCheckpoint(database.db, ours, {
      flinkCheckpointId: 1,
      at: ago(60),
      status: 'Cleared',
    })
    const { body } = await api.call<{ items: Record<string, unknown>[] }>(
      'GET',
      '/v1/jobs/orders/snapshots?status=Cleared&kind=CHECKPOINT',
    )
    expect(body.items).toEqual([
      expect.objectContaining({ id, status: 'Cleared', reason: 'SUBSUMED', restorable: false }),
    ])
  })

  it('is the selectable state for recovery that a job keeps', async () => {
    await insertDropped(database.db, ours, { count: 3, endsAt: ago(60) })
    const newest = await insertCheckpoint(database.db, ours, { flinkCheckpointId: 9, at: ago(30) })
    const { body } = await api.call<{ items: { id: string; restorable: boolean }[] }>(
      'GET',
      '/v1/jobs/orders/snapshots?kind=CHECKPOINT',
    )
    expect(body.items.filter(({ restorable }) => restorable).map(({ id }) => id)).toEqual([newest])
    expect((await readState()).restorePoint).toMatchObject({ snapshot: newest })
  })
})

describe('the alert on the age of the restore point', () => {
  const ageOf = async (as = api) => {
    const { readJobs } = createMetricsRepository(database.db)
    const tenant = as === api ? ours : theirs
    return (await readJobs(tenant.caller))[0]?.restorePointAgeSeconds ?? null
  }

  it('counts a restorable checkpoint like a savepoint', async () => {
    await sql(`update run set started_at = now() - interval '1 hour'`)
    expect(await ageOf()).toBeGreaterThan(3_500)
    await insertSavepoint(database.db, ours, { status: 'Present', location: 's3://x' })
    await sql(`update snapshot set completed_at = now() - interval '10 minutes'`)
    const byCheckpoint = await insertCheckpoint(database.db, ours, { flinkCheckpointId: 2, at: ago(60) })
    expect(await ageOf()).toBeLessThan(100)
    expect(await ageOf(other)).toBeGreaterThan(3_500)
    for (const [column, value] of [
      ['verdict', `'ENDANGERED'`],
      ['verdict', `'METADATA_MISSING'`],
      ['claimed_by_run_id', `'${ours.runId}'`],
      ['location_key', 'null, location = null'],
      ['status', `'Cleared'`],
    ]) {
      await sql(`update snapshot set ${column} = ${value} where id = $1`, [byCheckpoint])
      const age = await ageOf()
      expect([column, age !== null && age > 500 && age < 700]).toEqual([column, true])
      if (column !== 'status') {
        await sql(
          `update snapshot set verdict = null, claimed_by_run_id = null, location = 's3://y', location_key = 's3://y' where id = $1`,
          [byCheckpoint],
        )
        expect(await ageOf()).toBeLessThan(100)
      }
    }
  })
})
