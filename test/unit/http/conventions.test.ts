import { afterAll, describe, expect, test } from 'vitest'
import { DomainError } from '../../../src/domain/errors.ts'
import type { Idempotency, Services } from '../../../src/services/api.ts'
import { aCluster, aJob, aSnapshot, aStorage, aVersion, CALLER, SNAPSHOT_ID, shareApp } from './support.ts'

const { start, close } = shareApp()
afterAll(close)
const created = (changes = {}, marks = {}) => ({
  resource: aSnapshot(changes),
  replayed: false,
  joined: false,
  reused: false,
  ...marks,
})
const SAVEPOINTS = { method: 'POST', url: '/v1/jobs/orders/savepoints' } as const

describe('a savepoint', () => {
  test('answers 202 with the whole Creating snapshot, where it is and when to look again', async () => {
    const app = await start({ requestSavepoint: async () => created() })
    const answer = await app.inject({ ...SAVEPOINTS, payload: { description: 'before the upgrade' } })
    expect(answer.statusCode).toBe(202)
    expect(answer.headers).toMatchObject({
      location: `/v1/snapshots/${SNAPSHOT_ID}`,
      etag: '"7"',
      'retry-after': '2',
    })
    expect(answer.json()).toEqual(aSnapshot())
  })

  test('takes no body for an empty one, and instants in any zone', async () => {
    const seen: unknown[] = []
    const app = await start({
      requestSavepoint: async ({ caller, ...input }) => {
        seen.push(caller, input)
        return created()
      },
    })
    await app.inject(SAVEPOINTS)
    await app.inject({ ...SAVEPOINTS, headers: { 'content-type': 'application/json' } })
    await app.inject({ ...SAVEPOINTS, payload: { expiresAt: '2027-01-01T02:00:00+02:00' } })
    const input = { idempotency: undefined, job: 'orders' }
    const expiring = { ...input, expiresAt: '2027-01-01T00:00:00.000Z' }
    expect(seen).toEqual([CALLER, input, CALLER, input, CALLER, expiring])
  })

  test.each([
    ['Present', 201],
    ['Timeout', 201],
    ['Failed', 201],
    ['Creating', 202],
  ] as const)('that is %s after the wait answers %i', async (status, code) => {
    const waits: number[] = []
    const app = await start({
      requestSavepoint: async () => created(),
      waitForSnapshot: async ({ waitSeconds }) => {
        waits.push(waitSeconds)
        return aSnapshot({ status })
      },
    })
    const answer = await app.inject({ ...SAVEPOINTS, headers: { prefer: 'respond-async, wait=55' } })
    expect([answer.statusCode, answer.headers['preference-applied'], waits]).toEqual([code, 'wait', [55]])
    expect(answer.json().status).toBe(status)
  })

  test('stays accepted when the wait fails', async () => {
    const app = await start({
      requestSavepoint: async () => created(),
      waitForSnapshot: async () => {
        throw new DomainError('DATABASE_UNAVAILABLE', 'gone')
      },
    })
    expect((await app.inject({ ...SAVEPOINTS, headers: { prefer: 'wait=1' } })).statusCode).toBe(202)
  })

  test.each([
    ['joined', 'Creating', 202],
    ['joined', 'Present', 200],
    ['reused', 'Present', 200],
  ] as const)('that was %s and is %s answers %i and says so', async (mark, status, code) => {
    const app = await start({ requestSavepoint: async () => created({ status }, { [mark]: true }) })
    const answer = await app.inject(SAVEPOINTS)
    expect([answer.statusCode, answer.headers[`tidemark-${mark}`]]).toEqual([code, 'true'])
  })

  test('in progress refuses a second one with the address of the first', async () => {
    const app = await start({
      requestSavepoint: async () => {
        const extra = { savepoint: `/v1/snapshots/${SNAPSHOT_ID}`, status: 200 }
        throw new DomainError('SAVEPOINT_IN_PROGRESS', 'one is running', { extra })
      },
    })
    const answer = await app.inject(SAVEPOINTS)
    expect(answer.statusCode).toBe(409)
    expect(answer.json()).toMatchObject({
      code: 'SAVEPOINT_IN_PROGRESS',
      status: 409,
      savepoint: `/v1/snapshots/${SNAPSHOT_ID}`,
    })
  })

  test('of a job that does not run is refused', async () => {
    const app = await start({
      requestSavepoint: async () => {
        throw new DomainError('JOB_NOT_RUNNING', 'orders is FINISHED')
      },
    })
    const answer = await app.inject(SAVEPOINTS)
    expect([answer.statusCode, answer.json().code]).toEqual([409, 'JOB_NOT_RUNNING'])
  })

  test.each(['wait=56', 'wait=-1', 'wait=1.5', 'wait', 'wait=abc'])('refuses Prefer: %s', async (prefer) => {
    const app = await start({})
    const answer = await app.inject({ ...SAVEPOINTS, headers: { prefer } })
    expect([answer.statusCode, answer.json().errors[0].pointer]).toEqual([400, '/headers/prefer'])
  })
})

describe('waiting', () => {
  test('ends when the client disconnects, and not when its body has been read', async () => {
    const aborted: boolean[] = []
    const { promise: waiting, resolve: began } = deferred()
    const app = await start({
      requestSavepoint: async () => created(),
      waitForSnapshot: async ({ signal }) => {
        await new Promise((resolve) => setImmediate(resolve))
        aborted.push(signal.aborted)
        began(undefined)
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        aborted.push(signal.aborted)
        ended(undefined)
        return aSnapshot()
      },
    })
    const { promise: end, resolve: ended } = deferred()
    const base = await app.listen({ port: 0, host: '127.0.0.1' })
    const client = new AbortController()
    const headers = { prefer: 'wait=50', 'content-type': 'application/json' }
    const request = fetch(`${base}${SAVEPOINTS.url}`, {
      method: 'POST',
      headers,
      body: '{}',
      signal: client.signal,
    })
    await waiting
    client.abort()
    await expect(request).rejects.toThrow()
    await end
    expect(aborted).toEqual([false, true])
  })

  test('answers 200 when the snapshot is final, 202 when it is still Creating', async () => {
    let status: 'Creating' | 'Present' = 'Creating'
    const app = await start({
      getSnapshot: async () => aSnapshot({ status }),
      waitForSnapshot: async () => aSnapshot({ status }),
    })
    const get = (prefer?: string) =>
      app.inject({ url: `/v1/snapshots/${SNAPSHOT_ID}`, headers: prefer === undefined ? {} : { prefer } })
    expect((await get()).statusCode).toBe(200)
    const open = await get('wait=1')
    expect([open.statusCode, open.headers['retry-after']]).toEqual([202, '2'])
    status = 'Present'
    expect((await get('wait=1')).statusCode).toBe(200)
  })
})

const deferred = () => {
  let resolve: (value: unknown) => void = () => undefined
  const promise = new Promise((done) => {
    resolve = done
  })
  return { promise, resolve }
}

describe('an Idempotency-Key', () => {
  const post = async (payloads: [string, string][]) => {
    const seen: (Idempotency | undefined)[] = []
    const app = await start({
      createCluster: async ({ idempotency }) => {
        seen.push(idempotency)
        return { resource: aCluster(), replayed: seen.length > 1 }
      },
    })
    const answers = []
    for (const [key, payload] of payloads) {
      const headers = { 'idempotency-key': key, 'content-type': 'application/json' }
      answers.push(await app.inject({ method: 'POST', url: '/v1/clusters', headers, payload }))
    }
    return { seen, answers }
  }

  test('hashes what the body means, not how it is written, and says when an answer is a replay', async () => {
    const { seen, answers } = await post([
      ['k', '{"name":"prod","url":"http://f"}'],
      ['k', '{ "url": "http://f", "name": "prod" }'],
      ['k', '{"name":"prod","url":"http://g"}'],
    ])
    expect(seen[0]).toEqual({
      key: 'k',
      route: 'POST /v1/clusters',
      bodyHash: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
    expect(seen[1]).toEqual(seen[0])
    expect(seen[2]?.bodyHash).not.toBe(seen[0]?.bodyHash)
    expect(answers.map(({ headers }) => headers['idempotency-replayed'])).toEqual([undefined, 'true', 'true'])
  })

  test.each([[' '], ['a b'], ['ü'], ['x'.repeat(256)], ['']])('is refused when it is %j', async (key) => {
    const { answers } = await post([[key, '{"name":"prod","url":"http://f"}']])
    expect(answers[0]?.statusCode).toBe(400)
  })
})

describe('resources', () => {
  const caught: unknown[] = []
  const stubs: Partial<Services> = {
    createCluster: async () => ({ resource: aCluster(), replayed: false }),
    getCluster: async () => aCluster(),
    updateCluster: async (command) => {
      caught.push(command)
      return aCluster({ etag: '2' })
    },
    deleteCluster: async (command) => void caught.push(command),
    createStorage: async () => ({ resource: aStorage(), replayed: false }),
    getStorage: async () => aStorage(),
    createJob: async () => ({ resource: aJob(), replayed: false }),
    getJob: async () => aJob(),
    createJobVersion: async () => ({ resource: aVersion(), replayed: false }),
    getJobVersion: async () => aVersion(),
    listClusters: async (query) => {
      caught.push(query)
      return { items: [aCluster()], nextPageToken: 'next' }
    },
  }

  test.each([
    [
      '/v1/clusters',
      { name: 'prod', url: 'https://flink/base' },
      `/v1/clusters/${aCluster().id}`,
      aCluster(),
    ],
    [
      '/v1/storages',
      { name: 'main', uri: 's3://bucket/savepoints' },
      `/v1/storages/${aStorage().id}`,
      aStorage(),
    ],
    [
      '/v1/jobs',
      { name: 'orders', cluster: 'prod', savepointStorage: 'main', attach: { flinkJobName: 'o' } },
      `/v1/jobs/${aJob().id}`,
      aJob(),
    ],
    [
      '/v1/jobs/orders/versions',
      { parallelism: 4, labels: { git: 'abc' } },
      '/v1/jobs/orders/versions/1',
      aVersion(),
    ],
  ])(
    'POST %s answers 201 with the whole resource, and it can be read there',
    async (url, payload, location, body) => {
      const app = await start(stubs)
      const answer = await app.inject({ method: 'POST', url, payload })
      expect([answer.statusCode, answer.headers['location'], answer.json()]).toEqual([201, location, body])
      expect((await app.inject({ url: location })).json()).toEqual(body)
    },
  )

  test.each([
    [{ type: 'none' }, 201],
    [{ type: 'basic', username: 'u', password: { env: 'TIDEMARK_SECRET_X' } }, 201],
    [{ type: 'bearer', token: { file: 'token' } }, 201],
    [{ type: 'clientCertificate', certificate: { file: 'c' }, key: { file: 'k' } }, 201],
    [{ type: 'basic', username: 'u' }, 400],
    [{ type: 'bearer', token: { file: 'token', env: 'X' } }, 400],
    [{ type: 'kerberos' }, 400],
  ])('cluster authentication %j answers %i', async (auth, status) => {
    const app = await start(stubs)
    const answer = await app.inject({
      method: 'POST',
      url: '/v1/clusters',
      payload: { name: 'p', url: 'http://f', auth },
    })
    expect(answer.statusCode).toBe(status)
  })

  test('carry an ETag; If-Match reaches the service without quotes, * as nothing', async () => {
    const app = await start(stubs)
    caught.length = 0
    const change = (tag: string) =>
      app.inject({
        method: 'PATCH',
        url: '/v1/clusters/prod',
        headers: { 'if-match': tag },
        payload: { mode: 'MANAGE' },
      })
    const answer = await change('"1"')
    expect([answer.statusCode, answer.headers['etag']]).toEqual([200, '"2"'])
    await change('*')
    await app.inject({ method: 'DELETE', url: '/v1/clusters/prod', headers: { 'if-match': '"1"' } })
    expect(caught).toMatchObject([{ ifMatch: '1' }, { ifMatch: undefined }, { ifMatch: '1' }])
    expect((await change('1')).statusCode).toBe(400)
    expect((await change('W/"1"')).statusCode).toBe(412)
  })

  test('answer 304 to whoever holds the version, and 204 once deleted', async () => {
    const app = await start(stubs)
    const held = await app.inject({ url: '/v1/clusters/prod', headers: { 'if-none-match': '"0", W/"1"' } })
    expect([held.statusCode, held.body]).toEqual([304, ''])
    const gone = await app.inject({ method: 'DELETE', url: '/v1/clusters/prod' })
    expect([gone.statusCode, gone.body]).toEqual([204, ''])
  })

  test('are listed by pages of 50 unless asked otherwise', async () => {
    const app = await start(stubs)
    caught.length = 0
    const page = (await app.inject({ url: '/v1/clusters' })).json()
    expect([page.items.length, page.nextPageToken]).toEqual([1, 'next'])
    await app.inject({ url: '/v1/clusters?pageSize=7&pageToken=next' })
    expect(caught).toEqual([
      { caller: CALLER, pageSize: 50 },
      { caller: CALLER, pageSize: 7, pageToken: 'next' },
    ])
  })
})

test('snapshots are filtered by everything the list knows', async () => {
  const seen: unknown[] = []
  const app = await start({
    listSnapshots: async (query) => {
      seen.push(query)
      return { items: [aSnapshot()], nextPageToken: null }
    },
  })
  const filter =
    'kind=SAVEPOINT&status=Present&status=Failed&source=MANUAL&version=3&label=a=b&createdAfter=2026-01-01T01:00:00%2B01:00&orderBy=completedAt&order=asc'
  const expected = {
    caller: CALLER,
    job: 'orders',
    kind: 'SAVEPOINT',
    status: ['Present', 'Failed'],
    source: ['MANUAL'],
    version: 3,
    label: ['a=b'],
    createdAfter: '2026-01-01T00:00:00.000Z',
    orderBy: 'completedAt',
    order: 'asc',
    pageSize: 50,
  }
  const answer = await app.inject({ url: `/v1/jobs/orders/snapshots?${filter}` })
  expect(answer.json()).toEqual({ items: [aSnapshot()], nextPageToken: null })
  expect(seen).toEqual([expected])
})

test('a snapshot is described, labelled, pinned and expired, and tells its history', async () => {
  const changes: unknown[] = []
  const history = {
    items: [{ from: null, to: 'Creating', reason: 'REQUESTED', message: null, at: 'x', by: 'y' } as const],
  }
  const app = await start({
    updateSnapshot: async (command) => {
      changes.push(command.changes)
      return aSnapshot({ pinned: true })
    },
    listTransitions: async () => ({ items: [...history.items] }),
  })
  const url = `/v1/snapshots/${SNAPSHOT_ID}`
  const patch = { description: 'd', labels: { a: 'b' }, pinned: true, expiresAt: null }
  expect((await app.inject({ method: 'PATCH', url, payload: patch })).json().pinned).toBe(true)
  expect(changes).toEqual([patch])
  expect((await app.inject({ url: `${url}/transitions` })).json()).toEqual(history)
})
