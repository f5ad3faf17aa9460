/** Garbage in: a 4xx problem out, and nothing written. */
import { Client } from 'pg'
import { request } from 'undici'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openSimulatedFlink } from '../support/flink-under-test.ts'
import { HOSTILE_LOCATIONS } from '../support/hostile-locations.ts'
import { openScene, type Scene, type SceneJob } from './scene.ts'

let scene: Scene
let job: SceneJob
let snapshotId: string

beforeAll(async () => {
  // what a verification writes by itself would be counted
  scene = await openScene('hostile', openSimulatedFlink('2.3.0'), 'local', {
    TIDEMARK_VERIFY_PER_SECOND: '0',
  })
  job = await scene.newJob()
  const { body } = await job.savepoint({}, { waitSeconds: 55 })
  expect(body.status).toBe('Present')
  snapshotId = body.id
})
afterAll(() => scene?.close())

type Sent = { status: number; type: string; body: Record<string, unknown> }

/** Bytes as they are, not what a well-behaved client would make of them. */
async function send(
  method: 'GET' | 'POST' | 'PATCH',
  path: string,
  body: string | Buffer | null,
  headers: Record<string, string> = {},
): Promise<Sent> {
  const { TIDEMARK_TOKENS = '' } = scene.system.env
  const token = /default:([^,]+)/.exec(TIDEMARK_TOKENS)?.[1]
  const answer = await request(`${scene.system.api.url}${path}`, {
    method,
    body,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === null ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
  })
  const text = await answer.body.text()
  return {
    status: answer.statusCode,
    type: String(answer.headers['content-type']),
    body: JSON.parse(text === '' ? '{}' : text),
  }
}

const sendJson = (method: 'POST' | 'PATCH', path: string, body: unknown, headers?: Record<string, string>) =>
  send(method, path, JSON.stringify(body), headers)

/** Every row there is, by table; `worker`, whose heartbeats go on, aside. */
async function countRows(): Promise<Record<string, number>> {
  const client = new Client({ connectionString: scene.system.databaseUrl })
  await client.connect()
  try {
    const { rows: tables } = await client.query<{ name: string }>(
      `select format('%I.%I', schemaname, tablename) as name from pg_tables
       where schemaname in ('public', 'history') and tablename not like '%worker%' and tablename not like '%migration%'`,
    )
    const counts = tables.map(async ({ name }) => {
      const { rows } = await client.query<{ n: number }>(`select count(*)::int as n from ${name}`)
      return [name, rows[0]?.n ?? -1] as const
    })
    return Object.fromEntries(await Promise.all(counts))
  } finally {
    await client.end()
  }
}

async function expectRefused(sent: Promise<Sent>, statuses: readonly number[] = [400]): Promise<Sent> {
  const answer = await sent
  expect(statuses, JSON.stringify(answer)).toContain(answer.status)
  expect(answer.type).toContain('application/problem+json')
  expect(answer.body).toMatchObject({
    code: expect.any(String),
    status: answer.status,
    requestId: expect.any(String),
  })
  return answer
}

const savepoints = () => `/v1/jobs/${job.name}/savepoints`

describe('hostile input', () => {
  it.each([
    ['half an object', '{"description": "x"'],
    ['no JSON at all', 'description=x'],
    ['two documents', '{} {}'],
    ['a trailing comma', '{"description": "x",}'],
    ['an array', '[]'],
    ['null', 'null'],
    ['a number', '7'],
    ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])],
    ['a NUL in a string', '{"description": "a\\u0000b"}'],
    ['half a surrogate pair', '{"description": "\\ud800"}'],
    ['a prototype', '{"__proto__": {"admin": true}}'],
    ['nesting without end', '['.repeat(200_000)],
  ])('is refused and writes nothing: %s as a body', async (_what, body) => {
    const before = await countRows()
    await expectRefused(send('POST', savepoints(), body))
    await expectRefused(send('POST', '/v1/clusters', body))
    expect(await countRows()).toEqual(before)
  })

  it('is refused and writes nothing: unknown properties and wrong types', async () => {
    const before = await countRows()
    const bodies: readonly [path: string, body: Record<string, unknown>][] = [
      [savepoints(), { descripton: 'a typo' }],
      [savepoints(), { description: 7 }],
      [savepoints(), { description: 'x'.repeat(1025) }],
      [savepoints(), { timeoutSeconds: '60' }],
      [savepoints(), { timeoutSeconds: -1 }],
      [savepoints(), { timeoutSeconds: 1e300 }],
      [savepoints(), { timeoutSeconds: 1.5 }],
      [savepoints(), { format: 'native' }],
      [savepoints(), { source: 'SCHEDULE' }],
      [savepoints(), { labels: { a: 1 } }],
      [savepoints(), { labels: { ['x'.repeat(64)]: 'a' } }],
      [savepoints(), { expiresAt: '2026-02-30T00:00:00Z' }],
      ['/v1/clusters', { name: 'UPPER', url: 'http://flink:8081' }],
      ['/v1/clusters', { name: 'a', url: 'file:///etc/passwd' }],
      ['/v1/clusters', { name: 'a', url: 'http://user:secret@flink:8081' }],
      ['/v1/clusters', { name: '0190a1b2-0000-7000-8000-000000000000', url: 'http://flink' }],
      [
        '/v1/jobs',
        { name: 'a', cluster: 'flink', savepointStorage: 'savepoints', attach: { flinkJobId: 'x' } },
      ],
      ['/v1/jobs', { name: 'a', cluster: { id: 1 }, savepointStorage: 'savepoints' }],
      [`/v1/jobs/${job.name}/versions`, { parallelism: 'many' }],
    ]
    for (const [path, body] of bodies) {
      const { body: problem } = await expectRefused(sendJson('POST', path, body))
      expect(problem['errors'], JSON.stringify(body)).not.toEqual([])
    }
    expect(await countRows()).toEqual(before)
  })

  it('answers 404 or 400 for an id of another kind, never a thing of another kind', async () => {
    const before = await countRows()
    const { body: list } = await send('GET', '/v1/clusters', null)
    const cluster = JSON.stringify(list).match(/[0-9a-f]{8}-[0-9a-f-]{27}/)?.[0] ?? ''
    for (const path of [
      `/v1/jobs/${snapshotId}`,
      `/v1/jobs/${cluster}/snapshots`,
      `/v1/clusters/${snapshotId}`,
      `/v1/storages/${cluster}`,
      `/v1/snapshots/${cluster}`,
      `/v1/snapshots/${cluster}/transitions`,
      `/v1/snapshots/${job.name}`,
      `/v1/jobs/${job.name}/versions/9999999999`,
      `/v1/jobs/${job.name}/versions/-1`,
      '/v1/jobs/..%2f..%2fetc',
      '/v1/jobs/%00',
      '/v1/jobs/%ff',
      `/v1/snapshots/${'a'.repeat(5_000)}`,
    ]) {
      await expectRefused(send('GET', path, null), [400, 404, 414])
    }
    await expectRefused(sendJson('POST', `/v1/jobs/${snapshotId}/savepoints`, {}), [404])
    for (const reference of [{ cluster: snapshotId }, { savepointStorage: cluster }]) {
      const body = { name: 'a', cluster: 'flink', savepointStorage: 'savepoints', ...reference }
      await expectRefused(
        sendJson('POST', '/v1/jobs', { ...body, attach: { flinkJobName: 'a' } }),
        [400, 404, 409],
      )
    }
    expect(await countRows()).toEqual(before)
  })

  it('refuses queries and headers that mean nothing', async () => {
    const list = `/v1/jobs/${job.name}/snapshots`
    for (const query of [
      'pageSize=0',
      'pageSize=1e9',
      'pageToken=%7B%7D',
      'status=Presnt',
      'unknown=1',
      "createdAfter=1'%20or%201=1",
    ]) {
      await expectRefused(send('GET', `${list}?${query}`, null))
    }
    const before = await countRows()
    await expectRefused(sendJson('POST', savepoints(), {}, { prefer: 'wait=-1' }))
    await expectRefused(sendJson('POST', savepoints(), {}, { prefer: 'wait=56' }))
    await expectRefused(sendJson('POST', savepoints(), {}, { 'idempotency-key': 'x'.repeat(256) }))
    await expectRefused(send('POST', savepoints(), '<a/>', { 'content-type': 'text/xml' }), [415])
    expect(await countRows()).toEqual(before)
  })

  it('refuses a body of 10 MB with 413, and says so to a client that is still sending', async () => {
    const before = await countRows()
    const huge = JSON.stringify({ description: 'x'.repeat(10_000_000) })
    const { body } = await expectRefused(send('POST', savepoints(), huge), [413])
    expect(body['code']).toBe('BODY_TOO_LARGE')
    expect(await countRows()).toEqual(before)
  })

  it('lets no storage lead out of where it may lie', async () => {
    const before = await countRows()
    const { uri } = scene.flink.storage.input
    const outside = [
      'file:///etc',
      'file:///',
      `${String(uri)}/..`,
      `${String(uri)}/../other`,
      `${String(uri).replace(/\/[^/]+$/, '')}-neighbour`, // beside the allowed root, with its name as a prefix
      `${String(uri)}/%2e%2e/other`,
      's3://other/../bucket',
    ]
    const texts = [...outside, ...HOSTILE_LOCATIONS.map(([text]) => text)]
    for (const text of texts) {
      await expectRefused(sendJson('POST', '/v1/storages', { name: 'evil', uri: text }), [400, 403, 409])
    }
    expect(await countRows()).toEqual(before)
  })

  it('lets nobody move a storage in use, nor put one inside it', async () => {
    const before = await countRows()
    const { uri } = scene.flink.storage.input
    for (const other of ['s3://other/savepoints', 'file:///etc', `${String(uri)}/../x`]) {
      await expectRefused(sendJson('PATCH', '/v1/storages/savepoints', { uri: other }), [400, 403, 409])
    }
    expect(await countRows()).toEqual(before)
  })

  it('leaves a system that still works, without one error of its own in the log', async () => {
    expect((await job.savepoint({}, { waitSeconds: 55 })).body.status).toBe('Present')
    expect(scene.system.output()).not.toMatch(/"status(?:Code)?":5\d\d/)
  })
})
