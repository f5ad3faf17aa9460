import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { App } from '../../../src/http/fastify-app.ts'
import { SNAPSHOT_ID, startApp } from './support.ts'

let app: App
beforeAll(async () => {
  app = await startApp()
})
afterAll(() => app.close())

const JSON_TYPE = { 'content-type': 'application/json' }
const SAVEPOINTS = '/v1/jobs/orders/savepoints'

type Refusal = { status: number; code: string; pointer?: string }
const post = (url: string, payload: string | object, headers = JSON_TYPE) =>
  app.inject({ method: 'POST', url, payload, headers })
const refusal = (answer: Awaited<ReturnType<typeof post>>): Refusal => {
  expect(answer.headers['content-type']).toBe('application/problem+json')
  const problem = answer.json()
  expect(problem).toMatchObject({
    type: expect.stringMatching(/^urn:tidemark:problem:[a-z-]+$/),
    title: expect.any(String),
    status: answer.statusCode,
    detail: expect.any(String),
    requestId: answer.headers['x-request-id'],
  })
  expect(answer.body).not.toMatch(/node_modules|\.ts:\d|"stack"/)
  return { status: answer.statusCode, code: problem.code, pointer: problem.errors[0]?.pointer }
}

const cluster = { name: 'prod', url: 'http://flink:8081' }
const deep = `{"checkpointing":${'{"a":'.repeat(40)}1${'}'.repeat(40)}}`
const endless = `${'['.repeat(400_000)}${']'.repeat(400_000)}`

describe('bodies that are refused', () => {
  test.each<[string, string, string | object, Refusal]>([
    ['malformed JSON', SAVEPOINTS, '{"description":', { status: 400, code: 'MALFORMED_BODY' }],
    [
      'bytes that are not UTF-8',
      SAVEPOINTS,
      Buffer.from([0x22, 0xff, 0x22]),
      { status: 400, code: 'MALFORMED_BODY' },
    ],
    ['__proto__', SAVEPOINTS, '{"__proto__":{"a":1}}', { status: 400, code: 'MALFORMED_BODY' }],
    [
      'a constructor with a prototype',
      SAVEPOINTS,
      '{"constructor":{"prototype":{}}}',
      { status: 400, code: 'MALFORMED_BODY' },
    ],
    ['10 MB', SAVEPOINTS, { description: 'x'.repeat(10_000_000) }, { status: 413, code: 'BODY_TOO_LARGE' }],
    [
      'an unknown property',
      SAVEPOINTS,
      { descripton: 'x' },
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body/descripton' },
    ],
    [
      'a wrong type, never coerced',
      SAVEPOINTS,
      { timeoutSeconds: '60' },
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body/timeoutSeconds' },
    ],
    ['an array', SAVEPOINTS, [], { status: 400, code: 'VALIDATION_FAILED', pointer: '/body' }],
    ['null', SAVEPOINTS, 'null', { status: 400, code: 'VALIDATION_FAILED', pointer: '/body' }],
    [
      'no body where one is needed',
      '/v1/clusters',
      '',
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body' },
    ],
    [
      'a missing member',
      '/v1/clusters',
      { name: 'prod' },
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body/url' },
    ],
    [
      'NUL in a string',
      SAVEPOINTS,
      '{"description":"a\\u0000b"}',
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body/description' },
    ],
    [
      'NUL in a key',
      SAVEPOINTS,
      '{"labels":{"a\\u0000":"b"}}',
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body/labels' },
    ],
    [
      'half a surrogate pair',
      SAVEPOINTS,
      '{"description":"\\ud800"}',
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body/description' },
    ],
    [
      'a number beyond 2^53',
      '/v1/jobs/orders/versions',
      '{"state":{"n":9007199254740993}}',
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body/state/n' },
    ],
    [
      'an infinite number',
      '/v1/jobs/orders/versions',
      '{"state":{"n":1e999}}',
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body/state/n' },
    ],
    [
      'a huge timeout',
      SAVEPOINTS,
      { timeoutSeconds: 86_401 },
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body/timeoutSeconds' },
    ],
    [
      'a long description',
      SAVEPOINTS,
      { description: 'x'.repeat(1025) },
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body/description' },
    ],
    [
      'a day that does not exist',
      SAVEPOINTS,
      { expiresAt: '2027-02-30T00:00:00Z' },
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body/expiresAt' },
    ],
    [
      'an instant without a zone',
      SAVEPOINTS,
      { expiresAt: '2027-02-20T00:00:00' },
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body/expiresAt' },
    ],
    [
      'a leap second',
      SAVEPOINTS,
      { expiresAt: '2026-12-31T23:59:60Z' },
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body/expiresAt' },
    ],
    [
      'the year 10000',
      SAVEPOINTS,
      { expiresAt: '9999-12-31T23:59:59-23:00' },
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body/expiresAt' },
    ],
    [
      'a name like a UUID',
      '/v1/clusters',
      { ...cluster, name: SNAPSHOT_ID },
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body/name' },
    ],
    [
      'a name that is no DNS label',
      '/v1/clusters',
      { ...cluster, name: 'Prod_1' },
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body/name' },
    ],
    [
      'a long name',
      '/v1/clusters',
      { ...cluster, name: 'x'.repeat(64) },
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body/name' },
    ],
    [
      'an address with a password',
      '/v1/clusters',
      { ...cluster, url: 'http://u:p@flink' },
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body/url' },
    ],
    [
      'an address with a query',
      '/v1/clusters',
      { ...cluster, url: 'http://flink/?a=b' },
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body/url' },
    ],
    [
      'another scheme',
      '/v1/clusters',
      { ...cluster, url: 'file:///etc/passwd' },
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body/url' },
    ],
    [
      'a secret in clear',
      '/v1/clusters',
      { ...cluster, auth: { type: 'bearer', token: 'abc' } },
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body/auth' },
    ],
    [
      '33 labels',
      SAVEPOINTS,
      { labels: Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`k${n}`, 'v'])) },
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body/labels' },
    ],
    [
      'a label key with a space',
      SAVEPOINTS,
      { labels: { 'a b': 'c' } },
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body/labels/a b' },
    ],
    [
      'both ways to attach',
      '/v1/jobs',
      {
        name: 'orders',
        cluster: 'prod',
        savepointStorage: 'main',
        attach: { flinkJobId: 'ab'.repeat(16), flinkJobName: 'x' },
      },
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body/attach' },
    ],
    [
      'a body where none is known',
      '/v1/clusters/prod/probe',
      { a: 1 },
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/body/a' },
    ],
  ])('%s', async (_name, url, payload, expected) => {
    expect(refusal(await post(url, payload))).toMatchObject(expected)
  })

  test('JSON nested deeper than 32, without running out of stack', async () => {
    expect(refusal(await post('/v1/jobs/orders/versions', deep))).toMatchObject({ status: 400 })
    expect(refusal(await post('/v1/jobs/orders/versions', endless))).toMatchObject({ status: 400 })
  })

  test('a content type that is not JSON', async () => {
    const answer = await post(SAVEPOINTS, 'description=x', {
      'content-type': 'application/x-www-form-urlencoded',
    })
    expect(refusal(answer)).toMatchObject({ status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' })
    const text = await post(SAVEPOINTS, '{}', { 'content-type': 'text/plain' })
    expect(refusal(text)).toMatchObject({ status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' })
  })

  test('a DELETE with a body, which could mean something we would ignore', async () => {
    const answer = await app.inject({ method: 'DELETE', url: '/v1/jobs/orders', payload: { data: 'keep' } })
    expect(refusal(answer)).toMatchObject({ status: 400, pointer: '/body' })
  })

  test('an empty change, and a change of the name', async () => {
    const patch = (payload: object) => app.inject({ method: 'PATCH', url: '/v1/jobs/orders', payload })
    expect(refusal(await patch({}))).toMatchObject({ status: 400, pointer: '/body' })
    expect(refusal(await patch({ name: 'x' }))).toMatchObject({ status: 400, pointer: '/body/name' })
  })
})

describe('paths and queries that are refused', () => {
  test.each<[string, string, Refusal]>([
    ['broken percent-encoding', '/v1/jobs/%zz', { status: 400, code: 'VALIDATION_FAILED' }],
    ['an over-long segment', `/v1/jobs/${'x'.repeat(5000)}`, { status: 400, code: 'VALIDATION_FAILED' }],
    [
      'a segment of 64 characters',
      `/v1/jobs/${'x'.repeat(64)}`,
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/path/job' },
    ],
    ['NUL in the path', '/v1/jobs/a%00b', { status: 400, code: 'VALIDATION_FAILED', pointer: '/path/job' }],
    [
      'NUL in the query',
      '/v1/jobs?label=a=%00',
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/query/label' },
    ],
    [
      'a name where an id is needed',
      '/v1/snapshots/orders',
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/path/snapshot' },
    ],
    ['a UUID as a URN', `/v1/snapshots/urn:uuid:${SNAPSHOT_ID}`, { status: 400, code: 'VALIDATION_FAILED' }],
    [
      'a version number beyond 32 bits',
      '/v1/jobs/orders/versions/99999999999',
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/path/number' },
    ],
    [
      'an unknown query parameter',
      '/v1/jobs?pagesize=1',
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/query/pagesize' },
    ],
    [
      'an unknown query parameter where none is known',
      '/v1/system?x=1',
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/query/x' },
    ],
    ['__proto__ in the query', '/v1/jobs?__proto__=1', { status: 400, code: 'VALIDATION_FAILED' }],
    [
      'a duplicate query parameter',
      '/v1/jobs?pageSize=1&pageSize=2',
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/query/pageSize' },
    ],
    [
      'a page size of 0',
      '/v1/jobs?pageSize=0',
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/query/pageSize' },
    ],
    [
      'a page size of 201',
      '/v1/jobs?pageSize=201',
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/query/pageSize' },
    ],
    [
      'a status that does not exist',
      '/v1/jobs/orders/snapshots?status=Done',
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/query/status/0' },
    ],
    [
      'an instant that is none',
      '/v1/jobs/orders/snapshots?createdAfter=yesterday',
      { status: 400, code: 'VALIDATION_FAILED', pointer: '/query/createdAfter' },
    ],
    ['an unknown route', '/v2/jobs', { status: 404, code: 'ROUTE_NOT_FOUND' }],
  ])('%s', async (_name, url, expected) => {
    expect(refusal(await app.inject({ url }))).toMatchObject(expected)
  })
})
