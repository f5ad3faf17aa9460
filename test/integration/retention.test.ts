/**
 * Retention over a real Postgres with two namespaces: what people save, and what a round of the workers does about it. The
 * rounds ask the real clearing; that its data then goes is shown elsewhere.
 */
import { randomUUID } from 'node:crypto'
import { v7 } from 'uuid'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createCheckpointDirectoryRepository } from '../../src/db/checkpoint-directories.ts'
import { createClearingRepository } from '../../src/db/clearings.ts'
import { createInspectionRepository } from '../../src/db/inspections.ts'
import { createProtectionRepository } from '../../src/db/protections.ts'
import { createReferenceRepository } from '../../src/db/references.ts'
import { createRetentionRepository } from '../../src/db/retention.ts'
import { createRetentionWorkRepository } from '../../src/db/retention-work.ts'
import { createSnapshotRepository } from '../../src/db/snapshots.ts'
import { createStorageRepository } from '../../src/db/storages.ts'
import { DomainError } from '../../src/domain/errors.ts'
import type { SnapshotSource } from '../../src/domain/snapshot.ts'
import type { RunningServer } from '../../src/server.ts'
import type { RetentionPreview, Services } from '../../src/services/api.ts'
import { createRetentionRound } from '../../src/services/apply-retention.ts'
import { clearSnapshot } from '../../src/services/clear-snapshot.ts'
import { createExpiryRound } from '../../src/services/expire-snapshots.ts'
import type { Api } from '../support/api.ts'
import type { TestDatabase } from '../support/database.ts'
import { fakeStore } from '../support/fakes.ts'
import { createTenants, insertRun, insertSavepoint, type Tenant } from '../support/fixtures.ts'
import { startApiOfTwoTenants } from '../support/two-tenants.ts'

let database: TestDatabase
let server: RunningServer
let ours: Tenant
let theirs: Tenant
let api: Api
let other: Api

beforeAll(async () => {
  ;({ database, server, api, other } = await startApiOfTwoTenants('retention'))
}, 120_000)
afterAll(async () => {
  await server?.close()
  await database?.drop()
})
beforeEach(async () => {
  ;({ ours, theirs } = await createTenants(database.db))
  await nextRound()
})
afterEach(async () => {
  await database.db.sql(
    'truncate retention, clearing, cluster, storage, job, run, snapshot, job_version, attempt, worker, operation cascade',
  )
  await database.db.sql('truncate history.event')
})

const sql = <Result extends Record<string, unknown>>(text: string, values: unknown[] = []) =>
  database.db.sql<Result>(text, values)
const nextRound = () => sql('update rule_round set due_at = now(), after_id = null, after_at = null')

type Facts = {
  source?: SnapshotSource
  secondsAgo: number
  pinned?: boolean
  expiresInSeconds?: number
  status?: 'Present' | 'Failed'
}

/** A savepoint with a directory of its own, as old as is said. */
async function savepoint(tenant: Tenant, facts: Facts): Promise<string> {
  const name = randomUUID()
  const prefix = `s3://${tenant.caller.namespace}/flink/${name}/`
  const id = await insertSavepoint(database.db, tenant, {
    status: facts.status ?? 'Present',
    source: facts.source ?? 'SCHEDULE',
    location: `${prefix}savepoint`,
  })
  await sql(
    `update snapshot set created_at = now() - make_interval(secs => $2), completed_at = now() - make_interval(secs => $2),
       owned_prefix = $3, size_bytes = 1000, pinned = $4, expires_at = now() + make_interval(secs => $5) where id = $1`,
    [id, facts.secondsAgo, prefix, facts.pinned ?? false, facts.expiresInSeconds ?? null],
  )
  return id
}

/** The newest first. */
const scheduled = async (tenant: Tenant, count: number): Promise<string[]> => {
  const ids: string[] = []
  for (let n = 0; n < count; n++) ids.push(await savepoint(tenant, { secondsAgo: 3600 * n + 60 }))
  return ids
}

const statusOf = async (id: string): Promise<string> =>
  (await sql<{ status: string }>('select status from snapshot where id = $1', [id]))[0]?.status ?? ''
const goneOf = async (ids: readonly string[]): Promise<string[]> => {
  const statuses = await Promise.all(ids.map(statusOf))
  return ids.filter((_, n) => statuses[n] === 'Clearing')
}
const save = (policy: object, { as = api, job = '/jobs/orders' } = {}) =>
  as.call('PUT', `/v1${job}/retention`, { body: policy })
const preview = async (body?: object): Promise<RetentionPreview> => {
  const answer = await api.call<RetentionPreview>('POST', '/v1/jobs/orders/retention/preview', {
    ...(body && { body }),
  })
  expect(answer.status, JSON.stringify(answer.body)).toBe(200)
  return answer.body
}

// ---------------------------------------------------------------------------------------------------- workers

const LOG = { info: () => undefined, warn: () => undefined, error: () => undefined }

/** One worker process: it remembers nothing of the others. */
function worker(
  changes: { clearSnapshot?: Services['clearSnapshot']; recordApplied?: () => Promise<void> } = {},
) {
  const { db } = database
  const references = createReferenceRepository(db)
  const inspections = createInspectionRepository(db)
  const protections = createProtectionRepository(db)
  const realClear = clearSnapshot({
    snapshots: createSnapshotRepository(db),
    storages: createStorageRepository(db),
    clearings: createClearingRepository(db, {
      references,
      inspections,
      checkpointDirectories: createCheckpointDirectoryRepository(db),
    }),
    inspections,
    protections,
    stores: { of: () => fakeStore({}) },
    nudges: { savepointDue: () => undefined },
    newId: () => v7(),
  })
  const retentionWork = createRetentionWorkRepository(db)
  const ports = {
    clearSnapshot: changes.clearSnapshot ?? realClear,
    protections,
    retentionWork: changes.recordApplied
      ? { ...retentionWork, recordApplied: changes.recordApplied }
      : retentionWork,
    log: LOG,
    limits: { retentionIntervalMs: 60_000 },
  }
  const retention = createRetentionRound(ports)
  const expiry = createExpiryRound(ports)
  return {
    realClear,
    async round() {
      while (await retention.round());
    },
    async expire() {
      while (await expiry.round());
    },
  }
}
const runRound = async () => {
  await nextRound()
  await worker().round()
}
const expireAll = async () => {
  await nextRound()
  await worker().expire()
}

// ------------------------------------------------------------------------------------------------- what is saved

describe('a rule of retention', () => {
  it('is switched on, changed and switched off per job, with ETag and If-Match [A-42] [A-43] [A-44]', async () => {
    const none = await api.call('GET', '/v1/jobs/orders/retention')
    expect(none.body).toMatchObject({ origin: 'NONE', keepCount: null, maxAgeSeconds: null })
    const saved = await save({ keepCount: 3 })
    expect(saved.status).toBe(200)
    expect(saved.body).toMatchObject({
      origin: 'JOB',
      keepCount: 3,
      maxAgeSeconds: null,
      job: { name: 'orders' },
    })
    const tag = String(saved.headers['etag'])

    const again = await save({ keepCount: 3 })
    expect(again.headers['etag']).toBe(tag) // the same once more changes nothing
    const both = await api.call('PUT', '/v1/jobs/orders/retention', {
      body: { keepCount: 5, maxAgeSeconds: 86_400, rollbackWindowSeconds: 0 },
      headers: { 'if-match': tag },
    })
    expect(both.body).toMatchObject({ keepCount: 5, maxAgeSeconds: 86_400, rollbackWindowSeconds: 0 })
    for (const method of ['PUT', 'DELETE'] as const) {
      const late = await api.call(method, '/v1/jobs/orders/retention', {
        ...(method === 'PUT' && { body: { keepCount: 9 } }),
        headers: { 'if-match': tag },
      })
      expect(late).toMatchObject({ status: 412, body: { code: 'PRECONDITION_FAILED' } })
    }
    expect((await api.call('DELETE', '/v1/jobs/orders/retention')).status).toBe(204)
    expect((await api.call('DELETE', '/v1/jobs/orders/retention')).body).toMatchObject({ code: 'NOT_FOUND' })
    expect((await api.call('GET', '/v1/jobs/orders/retention')).body).toMatchObject({ origin: 'NONE' })
    // A tag of the rule that was deleted is not that of the one saved since.
    await save({ keepCount: 3 })
    const stale = await api.call('DELETE', '/v1/jobs/orders/retention', { headers: { 'if-match': tag } })
    expect(stale.status).toBe(412)
  })

  it('tells every change as an event', async () => {
    await save({ keepCount: 3 })
    await save({ keepCount: 3 })
    await save({ maxAgeSeconds: 60 })
    await api.call('DELETE', '/v1/jobs/orders/retention')
    const events = await sql<{ data: Record<string, unknown> }>(
      `select data from history.event where type = 'retention.changed' and job_id = $1 order by seq`,
      [ours.jobId],
    )
    expect(events.map(({ data }) => [data['keepCount'], data['maxAgeSeconds'], data['deleted']])).toEqual([
      [3, null, undefined],
      [null, 60, undefined],
      [undefined, undefined, true],
    ])
  })

  it('of the namespace holds for jobs without one of their own, which replaces it as a whole', async () => {
    await save({ keepCount: 7, rollbackWindowSeconds: 60 }, { job: '' })
    expect((await api.call('GET', '/v1/jobs/orders/retention')).body).toMatchObject({
      origin: 'NAMESPACE',
      keepCount: 7,
    })
    await save({ maxAgeSeconds: 60 })
    expect((await api.call('GET', '/v1/jobs/orders/retention')).body).toMatchObject({
      origin: 'JOB',
      keepCount: null,
      maxAgeSeconds: 60,
      rollbackWindowSeconds: null,
    })
    expect((await api.call('GET', '/v1/retention')).body).toMatchObject({
      origin: 'NAMESPACE',
      keepCount: 7,
      job: null,
    })
    // Another namespace sees nothing of either.
    expect((await other.call('GET', '/v1/retention')).body).toMatchObject({ origin: 'NONE' })
    expect((await other.call('GET', '/v1/jobs/orders/retention')).body).toMatchObject({ origin: 'NONE' })
    expect((await other.call('GET', `/v1/jobs/${ours.jobId}/retention`)).status).toBe(404)
    expect(
      (await other.call('PUT', `/v1/jobs/${ours.jobId}/retention`, { body: { keepCount: 1 } })).status,
    ).toBe(404)
    expect((await other.call('POST', `/v1/jobs/${ours.jobId}/retention/preview`)).status).toBe(404)
    expect((await api.call('DELETE', '/v1/retention')).status).toBe(204)
    expect((await api.call('DELETE', '/v1/retention')).status).toBe(404)
  })

  it.each([
    [{}],
    [{ keepCount: 0 }],
    [{ keepCount: 1001 }],
    [{ keepCount: 1.5 }],
    [{ keepCount: null }],
    [{ keepCount: '3' }],
    [{ maxAgeSeconds: 0 }],
    [{ maxAgeSeconds: 9_007_199_254_740_991 }],
    [{ rollbackWindowSeconds: -1 }],
    [{ keepCount: 3, keepcount: 3 }],
  ])('is refused as %j', async (body) => {
    expect(await save(body)).toMatchObject({ status: 400, body: { code: 'VALIDATION_FAILED' } })
  })

  it('saved by two at once is one of both', async () => {
    const answers = await Promise.all([1, 2, 3, 4].map((keepCount) => save({ keepCount })))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    const first = await Promise.all(
      [1, 2, 3].map((maxAgeSeconds) =>
        other.call('PUT', '/v1/jobs/orders/retention', {
          body: { maxAgeSeconds },
          headers: { 'if-match': '"none"' },
        }),
      ),
    )
    expect(first.map(({ status }) => status).sort()).toEqual([200, 412, 412])
  })

  it('comes with a warning of what nothing clears [A-48]', async () => {
    await scheduled(ours, 2)
    await savepoint(ours, { source: 'MANUAL', secondsAgo: 5 })
    await savepoint(ours, { source: 'MANUAL', secondsAgo: 6, expiresInSeconds: 60 })
    const noticeOf = async () => (await api.call('GET', '/v1/jobs/orders/retention')).body['notice']
    expect(await noticeOf()).toMatchObject({
      savepoints: 3,
      bytes: 3000,
      more: false,
      message: expect.stringMatching(/occupy storage and cost/),
    })
    await save({ keepCount: 1 })
    expect(await noticeOf()).toMatchObject({ savepoints: 1, bytes: 1000 })
  })
})

describe('a preview of retention', () => {
  it('lists what would go and why, what stays and why, and changes nothing [N-07]', async () => {
    const ids = await scheduled(ours, 4)
    const [newest, second, third, fourth] = ids
    await sql('update snapshot set pinned = true where id = $1', [third])
    const manual = await savepoint(ours, { source: 'MANUAL', secondsAgo: 9_999_999 })
    const answer = await preview({ keepCount: 1 })
    expect(answer).toMatchObject({
      origin: 'REQUEST',
      keepCount: 1,
      suspended: null,
      counts: { clear: 2, keep: 2, clearBytes: 2000 },
      more: false,
    })
    expect(answer.items.map(({ snapshot, verdict, rule }) => [snapshot, verdict, rule])).toEqual([
      [newest, 'KEEP', null],
      [second, 'CLEAR', 'KEEP_COUNT'],
      [third, 'KEEP', 'KEEP_COUNT'],
      [fourth, 'CLEAR', 'KEEP_COUNT'],
    ])
    expect(answer.items[2]?.because).toMatch(/pinned/)
    expect(answer.items[0]?.protections.map(({ code }) => code)).toContain('NEWEST_RESTORABLE_SAVEPOINT')
    expect(answer.items.map(({ snapshot }) => snapshot)).not.toContain(manual)
    expect(await goneOf([...ids, manual])).toEqual([])
    expect((await api.call('GET', '/v1/jobs/orders/retention')).body).toMatchObject({ origin: 'NONE' })
    expect((await preview()).suspended?.code).toBe('NO_RULE')
    await save({ keepCount: 2 })
    expect((await preview()).counts).toMatchObject({ clear: 1, keep: 3 })
  })

  it('names the newest as protected although it is too old, and the rest as going', async () => {
    const ids = await scheduled(ours, 3)
    const { items } = await preview({ maxAgeSeconds: 1 })
    expect(items.map(({ verdict }) => verdict)).toEqual(['KEEP', 'CLEAR', 'CLEAR'])
    expect(items[0]).toMatchObject({ snapshot: ids[0], rule: 'MAX_AGE' })
    expect(items[0]?.because).toMatch(/protected/)
  })

  it('shows who uses one, and what has expired besides', async () => {
    const [, second] = await scheduled(ours, 2)
    await sql('update run set restored_snapshot_id = $1 where id = $2', [second, ours.runId])
    const expired = await savepoint(ours, { source: 'MANUAL', secondsAgo: 99_999, expiresInSeconds: -1 })
    const { items } = await preview({ keepCount: 1 })
    const by = new Map(items.map((item) => [item.snapshot, item]))
    expect(by.get(second ?? '')).toMatchObject({ verdict: 'KEEP', rule: 'KEEP_COUNT' })
    expect(by.get(second ?? '')?.because).toMatch(/in use/)
    expect(by.get(expired)).toMatchObject({ verdict: 'CLEAR', rule: 'EXPIRED', source: 'MANUAL' })
  })

  it('takes the window for rollbacks from the rule that is asked about', async () => {
    const ids = await scheduled(ours, 3)
    const old = ids[2] ?? ''
    await sql('update snapshot set job_version = 1 where id = $1', [old])
    await sql('update snapshot set job_version = 2 where id = any($1::uuid[])', [ids.slice(0, 2)])
    await sql('update run set version = 2 where id = $1', [ours.runId])
    const before = await insertRun(database.db, ours, { state: 'CANCELED' })
    await sql(
      `update run set version = 1, started_at = now() - interval '2 hours', ended_at = now() - interval '1 hour' where id = $1`,
      [before],
    )
    const verdictOf = async (body: object) =>
      (await preview(body)).items.find(({ snapshot }) => snapshot === old)
    expect(await verdictOf({ keepCount: 1 })).toMatchObject({
      verdict: 'KEEP',
      protections: [{ code: 'ROLLBACK_POINT' }],
    })
    expect(await verdictOf({ keepCount: 1, rollbackWindowSeconds: 60 })).toMatchObject({ verdict: 'CLEAR' })
    // What is saved counts for the workers.
    await save({ keepCount: 1 })
    await runRound()
    expect(await statusOf(old)).toBe('Present')
    await save({ keepCount: 1, rollbackWindowSeconds: 60 })
    await runRound()
    expect(await statusOf(old)).toBe('Clearing')
  })
})

// ------------------------------------------------------------------------------------------------- what is cleared

describe('a round', () => {
  it('clears when either condition is met, with the reason and as a rule [A-45]', async () => {
    const ids = await scheduled(ours, 5)
    await save({ keepCount: 3, maxAgeSeconds: 5_000 })
    await runRound()
    expect(await goneOf(ids)).toEqual(ids.slice(2)) // 3 and 4 by number, 2 by age
    const clearings = await sql<{ snapshot_id: string; reason: string; requested_by: string }>(
      'select snapshot_id, reason, requested_by from clearing order by requested_at',
    )
    expect(new Map(clearings.map(({ snapshot_id, reason }) => [snapshot_id, reason]))).toEqual(
      new Map([
        [ids[2], 'MAX_AGE'],
        [ids[3], 'KEEP_COUNT'],
        [ids[4], 'KEEP_COUNT'],
      ]),
    )
    expect(new Set(clearings.map(({ requested_by }) => requested_by))).toEqual(new Set(['rule:retention']))
    const events = await sql<{ job_id: string; data: unknown }>(
      `select job_id, data from history.event where type = 'retention.applied'`,
    )
    expect(events).toEqual([
      { job_id: ours.jobId, data: { cleared: { KEEP_COUNT: 2, MAX_AGE: 1, EXPIRED: 0 }, kept: 0 } },
    ])
    await runRound()
    expect(await goneOf(ids)).toEqual(ids.slice(2))
  })

  it('touches neither what a person asked for nor what is protected, pinned, claimed or in use [A-47] [A-53]', async () => {
    const spared: string[] = []
    for (const source of ['MANUAL', 'STOP'] as const) {
      spared.push(await savepoint(ours, { source, secondsAgo: 900_000 }))
    }
    spared.push(await savepoint(ours, { secondsAgo: 800_000, pinned: true }))
    const claimed = await savepoint(ours, { secondsAgo: 700_000 })
    await sql('update snapshot set claimed_by_run_id = $1 where id = $2', [ours.runId, claimed])
    const used = await savepoint(ours, { secondsAgo: 600_000 })
    await sql('update run set restored_snapshot_id = $1 where id = $2', [used, ours.runId])
    const old = await savepoint(ours, { source: 'DEPLOY', secondsAgo: 500_000 })
    const newest = await savepoint(ours, { secondsAgo: 400_000 })
    await save({ keepCount: 1, maxAgeSeconds: 1 })
    await runRound()
    expect(await goneOf([...spared, claimed, used, old, newest])).toEqual([old])
    // The run has ended: nobody needs it any more.
    await sql('update run set restored_snapshot_id = null where id = $1', [ours.runId])
    await runRound()
    expect(await goneOf([used])).toEqual([used])
  })

  it('of a job that is stopped clears nothing until it runs again [A-46] [A-55]', async () => {
    const ids = await scheduled(ours, 3)
    await save({ keepCount: 1 })
    for (const state of ['CANCELED', 'FINISHED', 'FAILED', 'LOST', 'SUBMITTING', 'STOPPING']) {
      await sql('update run set state = $1 where id = $2', [state, ours.runId])
      await runRound()
      expect(await goneOf(ids)).toEqual([])
    }
    expect((await preview()).suspended?.code).toBe('JOB_NOT_RUNNING')
    const run = await insertRun(database.db, ours)
    await sql('update job set current_run_id = $1 where id = $2', [run, ours.jobId])
    await runRound()
    expect(await goneOf(ids)).toEqual(ids.slice(1))
  })

  it('of a cluster that is only observed, or is another one by now, clears nothing', async () => {
    const ids = await scheduled(ours, 3)
    await save({ keepCount: 1 })
    await sql(`update cluster set mode = 'OBSERVE_ONLY' where id = $1`, [ours.clusterId])
    await runRound()
    expect((await preview()).suspended?.code).toBe('OBSERVE_ONLY')
    await sql(`update cluster set mode = 'MANAGE', changed_to = '{}' where id = $1`, [ours.clusterId])
    await runRound()
    expect((await preview()).suspended?.code).toBe('CLUSTER_IDENTITY_CHANGED')
    expect(await goneOf(ids)).toEqual([])
  })

  it("goes by the namespace's default unless the job has a rule of its own, and by nobody else's", async () => {
    const [mine, foreign] = [await scheduled(ours, 3), await scheduled(theirs, 3)]
    await save({ keepCount: 1 }, { job: '' })
    await save({ rollbackWindowSeconds: 60 }) // clears nothing: the job is exempt
    await runRound()
    expect(await goneOf([...mine, ...foreign])).toEqual([])
    await api.call('DELETE', '/v1/jobs/orders/retention')
    await runRound()
    expect(await goneOf([...mine, ...foreign])).toEqual(mine.slice(1))
  })

  it('is shared: of several workers one takes the page, and no snapshot is asked to go twice', async () => {
    const ids = await scheduled(ours, 30)
    await save({ keepCount: 1 })
    const asked: string[] = []
    const counting: Services['clearSnapshot'] = async (command) => {
      asked.push(command.snapshot)
      return worker().realClear(command)
    }
    await Promise.all([1, 2, 3].map(() => worker({ clearSnapshot: counting }).round()))
    expect(await goneOf(ids)).toEqual(ids.slice(1))
    expect(asked.toSorted()).toEqual(ids.slice(1).toSorted())
    const [{ n } = { n: 0 }] = await sql<{ n: number }>('select count(*) as n from clearing')
    expect(n).toBe(29)
  })

  it('that ended in the middle is finished by the next one, and two that look at once do no harm', async () => {
    const ids = await scheduled(ours, 6)
    await save({ keepCount: 1 })
    let passed = 0
    const dying: Services['clearSnapshot'] = async (command) => {
      passed += 1
      if (passed === 3) throw new DomainError('DATABASE_UNAVAILABLE', 'everything is gone')
      return worker().realClear(command)
    }
    await expect(worker({ clearSnapshot: dying }).round()).rejects.toThrow('gone')
    expect(await goneOf(ids)).toHaveLength(2)
    // Nobody takes its page before the next round is due.
    await worker().round()
    expect(await goneOf(ids)).toHaveLength(2)
    const before: Services['clearSnapshot'] = async (command) => {
      await worker().realClear(command)
      return worker().realClear(command) // somebody else was quicker
    }
    await nextRound()
    await worker({ clearSnapshot: before }).round()
    expect(await goneOf(ids)).toEqual(ids.slice(1))
    const [{ n } = { n: 0 }] = await sql<{ n: number }>('select count(*) as n from clearing')
    expect(n).toBe(5)
  })

  it('that could not tell what it did has done it', async () => {
    const ids = await scheduled(ours, 3)
    await save({ keepCount: 1 })
    const mute = () => Promise.reject(new DomainError('DATABASE_UNAVAILABLE', 'everything is gone'))
    await expect(worker({ recordApplied: mute }).round()).rejects.toThrow('gone')
    await runRound()
    expect(await goneOf(ids)).toEqual(ids.slice(1))
  })

  it('leaves alone what was refused until the rule or the list changes', async () => {
    const ids = await scheduled(ours, 3)
    await save({ keepCount: 1 })
    const asked: string[] = []
    const refusing: Services['clearSnapshot'] = async ({ snapshot }) => {
      asked.push(snapshot)
      throw new DomainError('SNAPSHOT_IN_USE', 'somebody needs it')
    }
    const one = worker({ clearSnapshot: refusing })
    for (let n = 0; n < 3; n++) {
      await nextRound()
      await one.round()
    }
    expect(asked.toSorted()).toEqual(ids.slice(1).toSorted())
    const older = await savepoint(ours, { secondsAgo: 900_000 })
    await nextRound()
    await one.round()
    expect(asked.slice(2)).toEqual([older])
    expect(await goneOf(ids)).toEqual([])
  })

  it('goes on to the others when one cannot be cleared for a reason nobody foresaw', async () => {
    const [mine, foreign] = [await scheduled(ours, 3), await scheduled(theirs, 2)]
    await save({ keepCount: 1 })
    await save({ keepCount: 1 }, { as: other })
    const failing: Services['clearSnapshot'] = async (command) => {
      if (command.snapshot === mine[2]) throw new TypeError('a mistake of ours')
      return worker().realClear(command)
    }
    await worker({ clearSnapshot: failing }).round()
    expect(await goneOf([...mine, ...foreign])).toEqual([mine[1], foreign[1]])
  })

  it('goes over all jobs, page by page, and costs one row where nobody has a rule', async () => {
    const work = createRetentionWorkRepository(database.db)
    expect(await work.claimJobs({ limit: 1, everyMs: 60_000 })).toBeNull() // no rule anywhere
    await save({ keepCount: 1 }, { job: '' })
    await nextRound()
    const pages: string[] = []
    for (;;) {
      const page = await work.claimJobs({ limit: 1, everyMs: 60_000 })
      if (page === null) break
      pages.push(page.until)
    }
    expect(pages).toEqual([ours.jobId, theirs.jobId].toSorted())
    expect(await work.claimJobs({ limit: 1, everyMs: 60_000 })).toBeNull() // not due yet
  })
})

describe('expiresAt', () => {
  it('clears one savepoint, also one made by hand and of a stopped job', async () => {
    await sql(`update run set state = 'CANCELED' where id = $1`, [ours.runId])
    await savepoint(ours, { secondsAgo: 1 }) // the newest, which is protected
    const [manual, later] = [
      await savepoint(ours, { source: 'MANUAL', secondsAgo: 60, expiresInSeconds: -1 }),
      await savepoint(ours, { source: 'MANUAL', secondsAgo: 60, expiresInSeconds: 600 }),
    ]
    const failed = await savepoint(ours, {
      source: 'MANUAL',
      secondsAgo: 90,
      expiresInSeconds: -5,
      status: 'Failed',
    })
    const foreign = await savepoint(theirs, { source: 'MANUAL', secondsAgo: 60, expiresInSeconds: -1 })
    await expireAll()
    expect(await goneOf([manual, later, failed, foreign])).toEqual([manual, failed])
    expect(await sql('select distinct reason from clearing')).toEqual([{ reason: 'EXPIRED' }])
    const [event] = await sql<{ data: unknown }>(
      `select data from history.event where type = 'retention.applied'`,
    )
    expect(event?.data).toEqual({ cleared: { KEEP_COUNT: 0, MAX_AGE: 0, EXPIRED: 2 }, kept: 0 })
    // Theirs is their newest: it stays, and the preview says why.
    const { body } = await other.call<RetentionPreview>('POST', '/v1/jobs/orders/retention/preview')
    expect(body.items).toMatchObject([{ snapshot: foreign, verdict: 'KEEP', rule: 'EXPIRED' }])
    expect(body.items[0]?.because).toMatch(/protected/)
    await savepoint(theirs, { secondsAgo: 1 })
    await expireAll()
    expect(await goneOf([foreign])).toEqual([foreign])
  })

  it('never prevails over a pin or a use, and is tried again when that ends', async () => {
    await savepoint(ours, { secondsAgo: 1 })
    const id = await savepoint(ours, { source: 'MANUAL', secondsAgo: 60, expiresInSeconds: -1, pinned: true })
    await expireAll()
    await sql('update snapshot set pinned = false where id = $1', [id])
    await sql('update run set restored_snapshot_id = $1 where id = $2', [id, ours.runId])
    await expireAll()
    expect(await goneOf([id])).toEqual([])
    await sql('update run set restored_snapshot_id = null where id = $1', [ours.runId])
    await expireAll()
    expect(await goneOf([id])).toEqual([id])
  })

  it('is shared by workers page by page, equal instants and all', async () => {
    await savepoint(ours, { secondsAgo: 1 })
    const ids: string[] = []
    for (let n = 0; n < 5; n++) {
      ids.push(await savepoint(ours, { source: 'MANUAL', secondsAgo: 60, expiresInSeconds: -1 }))
    }
    await sql(`update snapshot set expires_at = '2026-01-01T00:00:00Z' where id = any($1::uuid[])`, [ids])
    const work = createRetentionWorkRepository(database.db)
    const pages = await Promise.all(
      Array.from({ length: 12 }, () => work.claimExpired({ limit: 1, everyMs: 60_000 })),
    )
    expect(
      pages
        .flat()
        .map(({ id }) => id)
        .toSorted(),
    ).toEqual(ids.toSorted())
    expect(await work.claimExpired({ limit: 2, everyMs: 60_000 })).toEqual([])
  })
})

describe('the rows of retention', () => {
  it('are read by namespace only', async () => {
    await save({ keepCount: 3 })
    const retention = createRetentionRepository(database.db)
    expect((await retention.read(theirs.caller, ours.jobId)).own).toBeNull()
    expect(await retention.readHistory(theirs.caller, ours.jobId, 10)).toBeNull()
    const rule = { id: v7(), by: 'test', keepCount: 1, maxAgeSeconds: null, rollbackWindowSeconds: null }
    expect(await retention.save(theirs.caller, ours.jobId, null, rule)).toBe(false)
    const { own } = await retention.read(ours.caller, ours.jobId)
    expect(await retention.save(theirs.caller, ours.jobId, own?.etag ?? '', rule)).toBe(false)
    expect(await retention.remove(theirs.caller, ours.jobId, own?.etag ?? '', 'test')).toBe(false)
    expect((await retention.read(ours.caller, ours.jobId)).own).toEqual(own)
  })
})

describe('a round that takes its time', () => {
  /** Once, as the first savepoint is asked for. */
  const clearingAfter = (first: () => Promise<unknown>) => {
    const { realClear } = worker()
    let happened: Promise<unknown> | undefined
    return worker({
      clearSnapshot: async (command) => {
        happened ??= first()
        await happened
        return realClear(command)
      },
    })
  }

  it('leaves what does not expire any more, whatever it read at its begin', async () => {
    await savepoint(ours, { secondsAgo: 10 })
    const [withdrawn, put_off, expired] = [
      await savepoint(ours, { source: 'MANUAL', secondsAgo: 1_000, expiresInSeconds: -30 }),
      await savepoint(ours, { source: 'MANUAL', secondsAgo: 900, expiresInSeconds: -20 }),
      await savepoint(ours, { source: 'MANUAL', secondsAgo: 800, expiresInSeconds: -10 }),
    ]
    const later = new Date(Date.now() + 3_600_000).toISOString()
    const slow = clearingAfter(async () => {
      for (const [id, expiresAt] of [
        [withdrawn, null],
        [put_off, later],
      ]) {
        expect((await api.call('PATCH', `/v1/snapshots/${id}`, { body: { expiresAt } })).status).toBe(200)
      }
    })
    await nextRound()
    await slow.expire()
    expect([await statusOf(withdrawn), await statusOf(put_off)]).toEqual(['Present', 'Present'])
    expect(await statusOf(expired)).toBe('Clearing')
  })

  it.each<[string, () => Promise<unknown>]>([
    ['the rule is deleted', () => api.call('DELETE', '/v1/jobs/orders/retention')],
    ['it keeps more', () => save({ keepCount: 10 })],
    ['the job is stopped', () => sql(`update run set state = 'CANCELED', ended_at = now()`)],
  ])('clears nothing more once %s', async (_, happens) => {
    const ids = await scheduled(ours, 6)
    await save({ keepCount: 1 })
    await nextRound()
    await clearingAfter(happens).round()
    expect(await goneOf(ids)).toEqual([])
  })

  it('clears nothing more of a job that got a rule of its own over the default of its namespace', async () => {
    const ids = await scheduled(ours, 6)
    expect((await api.call('PUT', '/v1/retention', { body: { keepCount: 1 } })).status).toBe(200)
    await nextRound()
    await clearingAfter(() => save({ keepCount: 10 })).round()
    expect(await goneOf(ids)).toEqual([])
    await runRound()
    expect(await goneOf(ids)).toEqual([])
  })
})
