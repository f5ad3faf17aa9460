import { afterAll, describe, expect, test } from 'vitest'
import { DomainError } from '../../../src/domain/errors.ts'
import type { BulkSavepointOperation as Operation } from '../../../src/domain/operation.ts'
import type { Services } from '../../../src/services/api.ts'
import { aSnapshot, CALLER, SNAPSHOT_ID, shareApp } from './support.ts'

const { start, close } = shareApp()
afterAll(close)

const OPERATION_ID = '01900000-0000-7000-8000-0000000000aa'
const AT = '2026-11-21T08:00:00.000Z'
const anOperation = (changes: Partial<Operation> = {}): Operation => ({
  id: OPERATION_ID,
  kind: 'BULK_SAVEPOINT',
  status: 'RUNNING',
  request: {
    cluster: { id: 'c', name: 'prod' },
    labels: null,
    maxParallel: 5,
    savepoint: { format: 'NATIVE' },
  },
  counts: { waiting: 1, running: 1, done: 0, failed: 0, skipped: 1 },
  createdAt: AT,
  createdBy: 'tester',
  endedAt: null,
  items: [
    {
      position: 1,
      job: { id: 'j', name: 'orders' },
      status: 'SKIPPED',
      snapshot: null,
      snapshotStatus: null,
      joined: false,
      startedAt: AT,
      endedAt: AT,
      failure: { code: 'JOB_NOT_RUNNING', message: 'why' },
    },
  ],
  nextPageToken: null,
  ...changes,
})
const BULK = { method: 'POST', url: '/v1/savepoints' } as const
const ATTACH = { method: 'POST', url: '/v1/clusters/prod/attach' } as const
const REGISTER = { method: 'POST', url: '/v1/jobs/orders/snapshots' } as const

/** A service that answers and remembers what it was asked. */
const recorded = <Answer>(answer: Answer) => {
  const asked: object[] = []
  const service = async ({ caller, ...input }: { caller: unknown }): Promise<Answer> => {
    expect(caller).toEqual(CALLER)
    asked.push(input)
    return answer
  }
  return { asked, service }
}

describe('a bulk savepoint', () => {
  test('answers 202 with the whole operation, where it is and when to look again [N-16]', async () => {
    const { asked, service } = recorded({ resource: anOperation(), replayed: false })
    const app = await start({ createBulkSavepoint: service })
    const payload = {
      cluster: 'prod',
      labels: { team: 'a' },
      maxParallel: 50,
      savepoint: { expiresAt: '2027-01-01T02:00:00+02:00', format: 'NATIVE' },
    }
    const answer = await app.inject({ ...BULK, payload })
    expect(answer.statusCode).toBe(202)
    expect(answer.headers).toMatchObject({ location: `/v1/operations/${OPERATION_ID}`, 'retry-after': '2' })
    expect(answer.headers['idempotency-replayed']).toBeUndefined()
    expect(answer.json()).toEqual(anOperation())
    expect(asked).toEqual([
      {
        ...payload,
        savepoint: { ...payload.savepoint, expiresAt: '2027-01-01T00:00:00.000Z' },
        idempotency: undefined,
      },
    ])
  })

  test('says when it is the answer of an earlier request', async () => {
    const { asked, service } = recorded({ resource: anOperation(), replayed: true })
    const app = await start({ createBulkSavepoint: service })
    const answer = await app.inject({
      ...BULK,
      payload: { cluster: 'prod' },
      headers: { 'idempotency-key': 'k' },
    })
    expect(answer.headers['idempotency-replayed']).toBe('true')
    expect(asked).toMatchObject([{ idempotency: { key: 'k', route: 'POST /v1/savepoints' } }])
  })

  test.each([
    ['SUCCEEDED', 201],
    ['FAILED', 201],
    ['RUNNING', 202],
  ] as const)('that is %s after the wait answers %i', async (status, code) => {
    const app = await start({
      createBulkSavepoint: recorded({ resource: anOperation(), replayed: false }).service,
      waitForOperation: async () => anOperation({ status }),
    })
    const answer = await app.inject({ ...BULK, payload: { cluster: 'prod' }, headers: { prefer: 'wait=5' } })
    expect([answer.statusCode, answer.json().status]).toEqual([code, status])
  })

  test.each([
    [{ cluster: 'prod', maxParallel: 0 }],
    [{ cluster: 'prod', maxParallel: 51 }],
    [{ cluster: 'prod', maxParallel: -1 }],
    [{ labels: {} }],
    [{ labels: { 'not a key!': 'x' } }],
    [{ cluster: '../other' }],
    [{ cluster: 'prod', jobs: ['orders'] }],
    [{ cluster: 'prod', savepoint: { ifRunning: 'JOIN' } }],
    [{ cluster: 'prod', savepoint: { timeoutSeconds: 0 } }],
    [[]],
  ])('of %j is refused', async (payload) => {
    const app = await start({})
    const answer = await app.inject({ ...BULK, payload })
    expect([answer.statusCode, answer.json().code]).toEqual([400, 'VALIDATION_FAILED'])
  })

  test.each([
    ['NOTHING_SELECTED', 409],
    ['TOO_MANY_SELECTED', 409],
    ['REFERENCE_NOT_FOUND', 404],
    ['IDEMPOTENCY_KEY_REUSED', 422],
  ] as const)('that is refused as %s answers %i', async (code, status) => {
    const app = await start({
      createBulkSavepoint: async () => {
        throw new DomainError(code, 'why')
      },
    })
    const answer = await app.inject({ ...BULK, payload: { cluster: 'prod' } })
    expect([answer.statusCode, answer.json().code]).toEqual([status, code])
  })
})

describe('an operation', () => {
  test('is read with its report, page by page', async () => {
    const { asked, service } = recorded(anOperation({ nextPageToken: 'next' }))
    const app = await start({ getOperation: service })
    const answer = await app.inject(`/v1/operations/${OPERATION_ID}?pageToken=token`)
    expect([answer.statusCode, answer.json()]).toEqual([200, anOperation({ nextPageToken: 'next' })])
    expect(asked).toEqual([{ operation: OPERATION_ID, pageToken: 'token' }])
  })

  test.each([
    ['PARTIAL', 200],
    ['RUNNING', 202],
  ] as const)('waited for and %s answers %i', async (status, code) => {
    const seen: unknown[] = []
    const app = await start({
      waitForOperation: async ({ operation, waitSeconds }) => {
        seen.push([operation, waitSeconds])
        return anOperation({ status })
      },
    })
    const answer = await app.inject({
      url: `/v1/operations/${OPERATION_ID}`,
      headers: { prefer: 'wait=7' },
    })
    expect([answer.statusCode, answer.headers['preference-applied']]).toEqual([code, 'wait'])
    expect(seen).toEqual([[OPERATION_ID, 7]])
  })

  test('is listed without its items', async () => {
    const { items: _items, nextPageToken: _token, ...summary } = anOperation()
    const { asked, service } = recorded({ items: [summary], nextPageToken: 'more' })
    const app = await start({ listOperations: service })
    const answer = await app.inject('/v1/operations?pageSize=1')
    expect(answer.json()).toEqual({ items: [summary], nextPageToken: 'more' })
    expect(asked).toEqual([{ pageSize: 1 }])
  })

  test.each([
    '/v1/operations/not-an-id',
    '/v1/operations?kind=x',
    `/v1/operations/${OPERATION_ID}?pageSize=5`,
  ])('asked for as %s is refused', async (url) => {
    const app = await start({})
    expect((await app.inject(url)).statusCode).toBe(400)
  })
})

describe('the jobs of a cluster', () => {
  const item = {
    flinkJobId: 'ab'.repeat(16),
    name: 'Orders',
    state: 'RUNNING',
    startTime: AT,
    endTime: null,
    allTasksRunning: true,
    job: { id: 'j', name: 'orders' },
    ambiguous: false,
  } as const

  test('are what Flink lists [N-13]', async () => {
    const list = {
      items: [item, { ...item, job: null, state: 'FINISHED' as const, endTime: AT }],
      truncated: true,
    }
    const { asked, service } = recorded(list)
    const app = await start({ listFlinkJobs: service })
    const answer = await app.inject('/v1/clusters/prod/flink-jobs')
    expect([answer.statusCode, answer.json(), asked]).toEqual([200, list, [{ cluster: 'prod' }]])
  })

  test.each([
    ['CLUSTER_UNREACHABLE', 503],
    ['CLUSTER_TOO_SLOW', 504],
    ['CLUSTER_REFUSED', 502],
  ] as const)('cannot be told when %s: %i', async (code, status) => {
    const refuse = async () => {
      throw new DomainError(code, 'why')
    }
    const app = await start({ listFlinkJobs: refuse, attachFlinkJobs: refuse })
    expect((await app.inject('/v1/clusters/prod/flink-jobs')).statusCode).toBe(status)
    const payload = { namePattern: '*', savepointStorage: 'state' }
    expect((await app.inject({ ...ATTACH, payload })).statusCode).toBe(status)
  })

  test('are attached by pattern [N-13]', async () => {
    const report = {
      dryRun: false,
      attached: [{ flinkJobName: 'Orders', job: { id: 'j', name: 'orders' } }],
      skipped: [{ flinkJobName: '日本', reason: 'NAME_UNUSABLE' as const, job: null }],
      counts: { matched: 2, attached: 1, skipped: 1, left: 0 },
    }
    const { asked, service } = recorded(report)
    const app = await start({ attachFlinkJobs: service })
    const payload = { namePattern: 'Orders (*)?', savepointStorage: 'state', dryRun: false }
    const answer = await app.inject({ ...ATTACH, payload })
    expect([answer.statusCode, answer.json()]).toEqual([200, report])
    expect(asked).toEqual([{ cluster: 'prod', ...payload }])
  })

  test.each([
    [{ savepointStorage: 'state' }],
    [{ namePattern: '', savepointStorage: 'state' }],
    [{ namePattern: '*'.repeat(256), savepointStorage: 'state' }],
    [{ namePattern: 'a\nb', savepointStorage: 'state' }],
    [{ namePattern: '*' }],
    [{ namePattern: '*', savepointStorage: 'state', allowStop: true }],
    [{ namePattern: '*', savepointStorage: 'state', savepointTimeoutSeconds: 0 }],
  ])('are not attached by %j', async (payload) => {
    const app = await start({})
    const answer = await app.inject({ ...ATTACH, payload })
    expect([answer.statusCode, answer.json().code]).toEqual([400, 'VALIDATION_FAILED'])
  })
})

describe('a savepoint that exists', () => {
  type Registered = Awaited<ReturnType<Services['registerSnapshot']>>
  const registered = (changes: Partial<Registered> = {}): Registered => ({
    resource: aSnapshot({ status: 'Present', source: 'IMPORT' }),
    replayed: false,
    existed: false,
    ...changes,
  })

  test.each([
    [{}, 201, undefined],
    [{ existed: true }, 200, undefined],
    [{ replayed: true }, 201, 'true'],
  ])('registered as %j answers %i', async (changes, status, replayed) => {
    const { asked, service } = recorded(registered(changes))
    const app = await start({ registerSnapshot: service })
    const payload = { location: 's3://bucket/x', owned: true, labels: {} }
    const answer = await app.inject({ ...REGISTER, payload })
    expect([answer.statusCode, answer.headers['idempotency-replayed']]).toEqual([status, replayed])
    expect(answer.headers).toMatchObject({ location: `/v1/snapshots/${SNAPSHOT_ID}`, etag: '"7"' })
    expect(asked).toEqual([{ job: 'orders', idempotency: undefined, ...payload }])
  })

  test.each([[{}], [{ location: '' }], [{ location: 7 }], [{ location: 's3://b/x', kind: 'CHECKPOINT' }]])(
    'given as %j is refused',
    async (payload) => {
      const app = await start({})
      const answer = await app.inject({ ...REGISTER, payload })
      expect([answer.statusCode, answer.json().code]).toEqual([400, 'VALIDATION_FAILED'])
    },
  )

  test.each([
    ['METADATA_MISSING', 409],
    ['METADATA_UNREADABLE', 409],
    ['LOCATION_OUTSIDE_ROOT', 400],
    ['LOCATION_INVALID', 400],
    ['STORAGE_NOT_ADDRESSABLE', 409],
    ['STORAGE_UNREACHABLE', 503],
  ] as const)('that is refused as %s answers %i', async (code, status) => {
    const app = await start({
      registerSnapshot: async () => {
        throw new DomainError(code, 'why')
      },
    })
    const answer = await app.inject({ ...REGISTER, payload: { location: 's3://b/x' } })
    expect([answer.statusCode, answer.json().code]).toEqual([status, code])
  })
})
