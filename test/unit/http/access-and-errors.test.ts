import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { DomainError, ERROR_CODES } from '../../../src/domain/errors.ts'
import { createAuthenticate } from '../../../src/http/authenticate.ts'
import type { App } from '../../../src/http/fastify-app.ts'
import { PROBLEM_KINDS } from '../../../src/http/problems.ts'
import type { Caller, Services } from '../../../src/services/api.ts'
import { aSnapshot, CALLER, type Setup, shareApp, startApp, stubServices } from './support.ts'

const start = async (stubs: Partial<Services>, setup?: Setup) => {
  const app = await startApp(stubServices(stubs), setup)
  onTestFinished(() => app.close())
  return app
}
const shared = shareApp()
afterAll(shared.close)
const TEAM_A: Caller = { namespaceId: 'ns-a', namespace: 'team-a', principal: 'token:team-a' }
const tokens = new Map([
  ['token-of-a', TEAM_A],
  ['token-of-b', { ...TEAM_A, namespace: 'team-b' }],
])
const system = async () => ({
  name: 'tidemark' as const,
  version: '0.1.0',
  startedAt: '2026-11-21T08:00:00.000Z',
  queue: 'redis' as const,
  node: 'v20',
  database: { serverVersion: '18', migration: '0003' },
})
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

describe('with tokens', () => {
  const authenticate = createAuthenticate(tokens, CALLER)
  const checkReadiness: Services['checkReadiness'] = async () => ({ ready: true, checks: [] })
  let app: App
  beforeAll(async () => {
    app = await startApp(stubServices({ readSystem: system, checkReadiness }), { authenticate })
  })
  afterAll(() => app.close())

  test.each(['/v1/system', '/metrics', '/docs', '/openapi.json', '/nowhere'])('%s needs one', async (url) => {
    const answer = await app.inject({ url })
    expect([answer.statusCode, answer.json().code]).toEqual([401, 'UNAUTHENTICATED'])
    expect(answer.headers['www-authenticate']).toBe('Bearer realm="tidemark"')
    expect((await app.inject({ url, headers: bearer('token-of-a') })).statusCode).toBe(
      url === '/nowhere' ? 404 : 200,
    )
  })

  test.each([
    'Bearer wrong',
    'Bearer',
    'Basic dG9rZW4tb2YtYTo=',
    'token-of-a',
    'Bearer token-of-a token-of-b',
  ])('%s is refused', async (authorization) => {
    expect((await app.inject({ url: '/v1/system', headers: { authorization } })).statusCode).toBe(401)
  })

  test('the namespace comes from the token, and no log line holds it', async () => {
    const callers: Caller[] = []
    const log: string[] = []
    const listJobs: Services['listJobs'] = async ({ caller }) => {
      callers.push(caller)
      return { items: [], nextPageToken: null }
    }
    const app = await start({ listJobs }, { authenticate, log })
    await app.inject({ url: '/v1/jobs', headers: bearer('token-of-a') })
    await app.inject({ url: '/v1/jobs', headers: bearer('token-of-c') })
    expect(callers).toEqual([TEAM_A])
    expect(log.join('')).toContain('request completed')
    expect(log.join('')).not.toMatch(/token-of-/)
  })

  test('the probes need none', async () => {
    expect((await app.inject({ url: '/livez' })).json()).toEqual({ status: 'ok' })
    expect((await app.inject({ url: '/readyz' })).json()).toEqual({ ready: true, checks: [] })
  })
})

describe('without a token', () => {
  const authenticate = createAuthenticate(new Map(), CALLER)
  let app: App
  beforeAll(async () => {
    app = await startApp(stubServices({ readSystem: system }), { authenticate })
  })
  afterAll(() => app.close())

  test.each([
    ['this machine', {}, {}, 200],
    ['another machine', { remoteAddress: '10.0.0.7' }, {}, 403],
    ['a name that leads here (DNS rebinding)', {}, { host: 'evil.example' }, 403],
    ['a page of another site', {}, { origin: 'https://evil.example' }, 403],
    ['a page without an origin', {}, { origin: 'null' }, 403],
    ['a page of ours', {}, { origin: 'http://localhost:8080' }, 200],
  ])('%s', async (_name, from, headers, status) => {
    expect((await app.inject({ url: '/v1/system', headers, ...from })).statusCode).toBe(status)
  })
})

describe('errors', () => {
  const answerTo = async (error: unknown, log?: string[]) => {
    const fail = async (): Promise<never> => {
      throw error
    }
    const app = await (log === undefined
      ? shared.start({ listJobs: fail })
      : start({ listJobs: fail }, { log }))
    return app.inject({ url: '/v1/jobs' })
  }

  test.each(ERROR_CODES)('%s keeps its status, code, places and extra members', async (code) => {
    const errors = [{ pointer: '/body/x', detail: 'wrong' }]
    const answer = await answerTo(new DomainError(code, 'words', { errors, extra: { hint: 'look there' } }))
    expect(answer.statusCode).toBe(PROBLEM_KINDS[code].status)
    expect(answer.json().code).toBe(code)
    if (code !== 'INTERNAL')
      expect(answer.json()).toMatchObject({ errors, detail: 'words', hint: 'look there' })
  })

  test('an unexpected one is logged under the request id and tells the caller nothing else', async () => {
    const log: string[] = []
    const answer = await answerTo(new Error('password is hunter2'), log)
    const { code, requestId } = answer.json()
    expect([answer.statusCode, code, requestId]).toEqual([500, 'INTERNAL', answer.headers['x-request-id']])
    expect(requestId).toMatch(/^req-/)
    expect(answer.body).not.toMatch(/hunter2|stack/)
    expect(log.join('')).toContain('hunter2')
    expect(log.join('')).toContain(requestId)
  })

  test.each([
    Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }),
    Object.assign(new Error('terminating connection'), { code: '57P01' }),
    Object.assign(new Error("Can't reach database server"), { code: 'P1001' }),
    new Error('query failed', { cause: Object.assign(new Error('too many clients'), { code: '53300' }) }),
  ])('a database that is down is 503 with Retry-After: %s', async (error) => {
    const answer = await answerTo(error)
    expect([answer.statusCode, answer.json().code]).toEqual([503, 'DATABASE_UNAVAILABLE'])
    expect(answer.headers['retry-after']).toBe('5')
  })

  test('readiness that cannot be checked is not ready', async () => {
    const app = await shared.start({ checkReadiness: async () => Promise.reject(new Error('down')) })
    const answer = await app.inject({ url: '/readyz' })
    expect([answer.statusCode, answer.json().ready]).toEqual([503, false])
  })

  test('too much pressure is 503 OVERLOADED, except for the probes', async () => {
    const app = await start({ readSystem: system }, { options: { maxEventLoopDelayMs: 0.000_001 } })
    const busyUntil = Date.now() + 1200
    while (Date.now() < busyUntil) await new Promise((resolve) => setTimeout(resolve, 20))
    const answer = await app.inject({ url: '/v1/system' })
    expect([answer.statusCode, answer.json().code]).toEqual([503, 'OVERLOADED'])
    expect((await app.inject({ url: '/livez' })).statusCode).toBe(200)
  })

  test('bytes that are not HTTP are a problem document too', async () => {
    const app = await start({})
    const { port } = new URL(await app.listen({ port: 0, host: '127.0.0.1' }))
    const answer = await new Promise<string>((resolve) => {
      let text = ''
      const socket = connect(Number(port), '127.0.0.1', () => socket.write('NOT HTTP\r\n\r\n'))
      socket.on('data', (chunk) => {
        text += chunk.toString()
      })
      socket.on('close', () => resolve(text))
    })
    expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\nContent-Type: application\/problem\+json/)
    expect(answer).toContain('"code":"VALIDATION_FAILED"')
  })
})

test('metrics count requests by route, and every app has its own registry', async () => {
  const app = await start({ readSystem: system })
  const other = await shared.start({})
  await app.inject({ url: '/v1/system' })
  const line = 'http_request_duration_seconds_count{method="GET",route="/v1/system",status_code="200"} 1'
  expect((await app.inject({ url: '/metrics' })).body).toContain(line)
  expect((await other.inject({ url: '/metrics' })).body).not.toContain(line)
})

test('the documentation shows the document that is served', async () => {
  const app = await shared.start({})
  const served = (await app.inject({ url: '/openapi.json' })).json()
  expect((await app.inject({ url: '/docs/json' })).json()).toEqual(served)
  expect((await app.inject({ url: '/docs/' })).headers['content-type']).toMatch('text/html')
})

test('a page of 50 snapshots is written in well under 10 ms', async () => {
  const items = Array.from({ length: 50 }, () => aSnapshot())
  const app = await shared.start({ listSnapshots: async () => ({ items, nextPageToken: null }) })
  const ask = () => app.inject({ url: '/v1/jobs/orders/snapshots' })
  for (let round = 0; round < 20; round++) await ask()
  const times: number[] = []
  for (let round = 0; round < 20; round++) {
    const began = performance.now()
    await ask()
    times.push(performance.now() - began)
  }
  expect(Math.min(...times)).toBeLessThan(10)
})
