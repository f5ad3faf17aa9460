/** What a request to start or to stop a job answers, over HTTP: a real Postgres, two namespaces, no Flink and no worker. */
import { v7 } from 'uuid'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { LifecycleOperation } from '../../src/domain/operation.ts'
import type { RunningServer } from '../../src/server.ts'
import type { Api } from '../support/api.ts'
import type { TestDatabase } from '../support/database.ts'
import { createTenants, insertSavepoint, type Tenant } from '../support/fixtures.ts'
import { startApiOfTwoTenants } from '../support/two-tenants.ts'

type Answer = LifecycleOperation & { code?: string; detail?: string; operation?: string; commands?: object }

let database: TestDatabase
let server: RunningServer
let ours: Tenant
let api: Api
let other: Api

beforeAll(async () => {
  ;({ database, server, api, other } = await startApiOfTwoTenants('accept_lifecycle'))
}, 120_000)
afterAll(async () => {
  await server?.close()
  await database?.drop()
})

/** Ours is managed and stopped, and has one version with an artifact; what runs at the other tenant is attached. */
beforeEach(async () => {
  const tenants = await createTenants(database.db)
  ours = tenants.ours
  for (const { clusterId } of [tenants.ours, tenants.theirs]) {
    const worker = v7()
    await sql('insert into worker (id) values ($1)', [worker])
    await sql('update cluster set observer_id = $1, reachable = true where id = $2', [worker, clusterId])
  }
  await sql('update job set attach_flink_job_name = null, latest_version = 1 where id = $1', [ours.jobId])
  await insertVersion(1, { artifact: 's3://ours/flink/job.jar' })
  await setRun('FINISHED')
})
afterEach(async () => {
  await sql(
    'truncate cluster, storage, job, run, snapshot, job_version, attempt, worker, operation, idempotency_record cascade',
  )
  await sql('truncate history.event, history.snapshot_transition')
})

const sql = (text: string, values: unknown[] = []) => database.db.sql(text, values)
const insertVersion = (number: number, spec: object) =>
  sql(
    `insert into job_version (namespace_id, job_id, number, spec, created_by) values ($1, $2, $3, $4, 'token:test')`,
    [ours.caller.namespaceId, ours.jobId, number, JSON.stringify(spec)],
  )
const setRun = (state: string) =>
  sql(
    `update run set state = $2, flink_state = $2, ended_at = case when $2 in ('FINISHED', 'CANCELED', 'FAILED', 'LOST') then now() end
     where id = $1`,
    [ours.runId, state],
  )
const start = (body: object = {}, headers: Record<string, string> = {}, as = api) =>
  as.call<Answer>('POST', '/v1/jobs/orders/start', { body, headers })
const stop = (body: object = {}, headers: Record<string, string> = {}, as = api) =>
  as.call<Answer>('POST', '/v1/jobs/orders/stop', { body, headers })
const codeOf = ({ status, body }: { status: number; body: Answer }) => [status, body.code]
const operations = () => sql('select id, kind, status from operation')

describe('a start', () => {
  it('is an operation at once, with its steps, and shows itself', async () => {
    const answer = await start({ restore: { strategy: 'LATEST_SAVEPOINT', maxAgeSeconds: 60 } })
    expect([answer.status, answer.headers['retry-after']]).toEqual([202, '2'])
    expect(answer.body).toMatchObject({
      kind: 'START',
      status: 'RUNNING',
      job: { id: ours.jobId, name: 'orders' },
      request: { version: 1, restore: { strategy: 'LATEST_SAVEPOINT', maxAgeSeconds: 60 } },
      steps: ['upload', 'choose', 'submit', 'run'].map((name) => ({ name, status: 'WAITING' })),
      run: null,
      failure: null,
      endedAt: null,
    })
    expect(Date.parse(answer.body.deadlineAt) - Date.parse(answer.body.createdAt)).toBe(600_000)
    const place = String(answer.headers['location'])
    expect(place).toBe(`/v1/operations/${answer.body.id}`)
    expect((await api.call('GET', place)).body).toEqual(answer.body)
    const { steps: _steps, result: _result, ...summary } = answer.body
    expect((await api.call('GET', '/v1/operations')).body).toEqual({ items: [summary], nextPageToken: null })
    expect(await sql(`select type, data ->> 'to' as to from history.event`)).toEqual([
      { type: 'operation.status', to: 'RUNNING' },
    ])
    expect((await other.call('GET', place)).status).toBe(404)
  })

  it('is one for one Idempotency-Key, and one at a time', async () => {
    const key = { 'idempotency-key': 'deploy-7' }
    const [first, second] = await Promise.all([start({}, key), start({}, key)])
    expect(new Set([first.body.id, second.body.id]).size).toBe(1)
    const replayed = await start({}, key)
    expect([replayed.body.id, replayed.headers['idempotency-replayed']]).toEqual([first.body.id, 'true'])
    expect(codeOf(await start({ version: 1 }, key))).toEqual([422, 'IDEMPOTENCY_KEY_REUSED'])
    const busy = await start()
    expect(codeOf(busy)).toEqual([409, 'OPERATION_IN_PROGRESS'])
    expect(busy.body.operation).toBe(`/v1/operations/${first.body.id}`)
    expect(codeOf(await stop())).toEqual([409, 'OPERATION_IN_PROGRESS'])
    expect(await operations()).toHaveLength(1)
  })

  it('of ten requests at once is accepted once', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => start()))
    expect(answers.map(({ status }) => status).sort()).toEqual([202, ...Array.from({ length: 9 }, () => 409)])
    expect(await operations()).toHaveLength(1)
  })

  it('is refused while the last run may go on [A-40]', async () => {
    await setRun('RUNNING')
    expect(codeOf(await start())).toEqual([409, 'RUN_IS_LIVE'])
    await sql('update run set missing_since = now() where id = $1', [ours.runId])
    expect(codeOf(await start())).toEqual([409, 'RUN_STATE_UNKNOWN'])
    await sql('update run set missing_since = null where id = $1', [ours.runId])
    await sql('update cluster set reachable = false')
    expect(codeOf(await start())).toEqual([409, 'RUN_STATE_UNKNOWN'])
    await setRun('LOST')
    expect(codeOf(await start())).toEqual([409, 'RUN_STATE_UNKNOWN'])
    expect((await api.call('POST', `/v1/runs/${ours.runId}/confirm-ended`)).status).toBe(200)
    expect((await start()).status).toBe(202)
  })

  it('needs a version that can be run', async () => {
    expect(codeOf(await start({ version: 7 }))).toEqual([404, 'REFERENCE_NOT_FOUND'])
    await insertVersion(2, {})
    expect(codeOf(await start({ version: 2 }))).toEqual([409, 'VERSION_NOT_STARTABLE'])
    await sql('update job set latest_version = null')
    expect(codeOf(await start())).toEqual([409, 'VERSION_NOT_STARTABLE'])
  })

  it('claims only for a version that keeps its checkpoints when it is cancelled', async () => {
    await insertVersion(2, { artifact: 'x', checkpointing: { retention: 'DELETE_ON_CANCELLATION' } })
    const restore = { claimMode: 'CLAIM' }
    expect(codeOf(await start({ version: 2, restore }))).toEqual([409, 'CLAIM_NOT_ALLOWED'])
    expect((await start({ version: 1, restore })).status).toBe(202)
  })

  it('of an attached job says how whoever manages it begins from there', async () => {
    await sql(`update job set attach_flink_job_name = 'orders' where id = $1`, [ours.jobId])
    await insertSavepoint(database.db, ours, { status: 'Present', location: 's3://ours/flink/sp-1' })
    const answer = await start({ restore: { strategy: 'NONE', allowNonRestoredState: true } })
    expect(codeOf(answer)).toEqual([409, 'MANAGED_ELSEWHERE'])
    expect(answer.body.commands).toMatchObject({
      flink: 'flink run --detached --allowNonRestoredState <jar>',
      kubernetes: { spec: { job: { allowNonRestoredState: true } } },
    })
    expect(await operations()).toEqual([])
  })

  it('is refused where nothing may be triggered, or by the wrong caller', async () => {
    expect(codeOf(await start({}, {}, other))).toEqual([409, 'MANAGED_ELSEWHERE']) // their own job of that name
    expect(codeOf(await other.call<Answer>('POST', `/v1/jobs/${ours.jobId}/start`, { body: {} }))).toEqual([
      404,
      'NOT_FOUND',
    ])
    await sql(`update cluster set capabilities = '{"jarSubmission": false}'`)
    expect(codeOf(await start())).toEqual([409, 'CLUSTER_UNSUPPORTED'])
    await sql(`update cluster set changed_to = '{}'`)
    expect(codeOf(await start())).toEqual([409, 'CLUSTER_IDENTITY_CHANGED'])
    await sql(`update cluster set mode = 'OBSERVE_ONLY'`)
    expect(codeOf(await start())).toEqual([409, 'OBSERVE_ONLY'])
  })

  it.each([
    { restore: { strategy: 'FROM_SNAPSHOT' } },
    { restore: { snapshot: v7() } },
    { restore: { strategy: 'SOMEWHERE' } },
    { restore: { maxAgeSeconds: -1 } },
    { version: 0 },
    { timeoutSeconds: 0 },
    { mode: 'CANCEL' },
  ])('refuses %j and writes nothing', async (body) => {
    expect(codeOf(await start(body))).toEqual([400, 'VALIDATION_FAILED'])
    expect(await operations()).toEqual([])
  })
})

describe('a managed job', () => {
  const remove = () => api.call<Answer>('DELETE', '/v1/jobs/orders')

  it('is not deleted while its last run may go on, or while it is started', async () => {
    await setRun('RUNNING')
    expect(codeOf(await remove())).toEqual([409, 'IN_USE'])
    await setRun('LOST') // it may still write, until a person says that it does not
    expect(codeOf(await remove())).toEqual([409, 'IN_USE'])
    expect((await api.call('POST', `/v1/runs/${ours.runId}/confirm-ended`)).status).toBe(200)
    const { body } = await start()
    expect(codeOf(await remove())).toEqual([409, 'IN_USE'])
    await sql('update operation set ended_at = now() where id = $1', [body.id])
    expect((await remove()).status).toBe(204)
  })
})

describe('a stop', () => {
  beforeEach(() => setRun('RUNNING'))

  it('is an operation at once; a second request joins it, whatever it asks for [T-30]', async () => {
    const [first, second] = await Promise.all([stop({ description: 'upgrade' }), stop({ mode: 'CANCEL' })])
    expect([first.status, second.status]).toEqual([202, 202])
    expect(first.body.id).toBe(second.body.id)
    expect(await operations()).toHaveLength(1)
    const third = await stop({}, { 'idempotency-key': 'k' })
    expect(third.body.id).toBe(first.body.id)
    expect((await stop({}, { 'idempotency-key': 'k' })).headers['idempotency-replayed']).toBe('true')
    expect(codeOf(await start())).toEqual([409, 'OPERATION_IN_PROGRESS'])
  })

  it('takes a canonical savepoint within the time of the job unless told otherwise', async () => {
    const { body } = await api.call<Answer>('POST', '/v1/jobs/orders/stop') // without a body
    expect(body.request).toEqual({
      mode: 'SAVEPOINT',
      description: null,
      format: 'CANONICAL',
      timeoutSeconds: 1800,
    })
    expect(body.steps.map(({ name }) => name)).toEqual(['wait', 'savepoint', 'end'])
  })

  it('that cancels takes none', async () => {
    expect(codeOf(await stop({ mode: 'CANCEL', format: 'NATIVE' }))).toEqual([400, 'VALIDATION_FAILED'])
    const { body } = await stop({ mode: 'CANCEL', timeoutSeconds: 7 })
    expect(body.steps.map(({ name }) => name)).toEqual(['cancel', 'end'])
    expect(Date.parse(body.deadlineAt) - Date.parse(body.createdAt)).toBe(7_000)
  })

  it('of a job that does not run is refused', async () => {
    await setRun('CANCELED')
    expect(codeOf(await stop())).toEqual([409, 'JOB_NOT_RUNNING'])
    await setRun('LOST')
    expect(codeOf(await stop())).toEqual([409, 'RUN_STATE_UNKNOWN'])
    await sql('update job set current_run_id = null')
    expect(codeOf(await stop())).toEqual([409, 'JOB_NOT_RUNNING'])
  })

  it('of an attached job needs its allowStop', async () => {
    await sql(`update job set attach_flink_job_name = 'orders' where id = $1`, [ours.jobId])
    const refused = await stop({ mode: 'DRAIN' })
    expect(codeOf(refused)).toEqual([409, 'MANAGED_ELSEWHERE'])
    expect(JSON.stringify(refused.body.commands)).toContain('flink stop --drain')
    await sql('update job set allow_stop = true where id = $1', [ours.jobId])
    expect((await stop()).status).toBe(202)
  })
})
