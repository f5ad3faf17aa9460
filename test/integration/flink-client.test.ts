/** The client against servers that behave badly on purpose. Each test has its own server; nothing leaves this machine. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { DomainError, FlinkUnavailableError } from '../../src/domain/errors.ts'
import type { ClusterAuth } from '../../src/domain/resources.ts'
import { createFlinkConnections, type FlinkConnectionOptions } from '../../src/flink/connections.ts'
import type { FlinkClient } from '../../src/ports/flink.ts'
import type { Secrets } from '../../src/ports/storage.ts'
import { TEST_CERTIFICATE, TEST_PRIVATE_KEY } from '../support/tls-certificate.ts'

const JOB = '0123456789abcdef0123456789abcdef'
const TRIGGER = {
  flinkJobId: JOB,
  triggerId: 'f'.repeat(32),
  targetDirectory: 's3://b/sp/1',
  format: 'CANONICAL',
} as const

const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
})

type Handler = (request: IncomingMessage, response: ServerResponse) => void

async function listen(server: Server | ReturnType<typeof createTcpServer>): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  open.push(() => {
    for (const socket of sockets) socket.destroy()
    return new Promise((resolve) => server.close(resolve))
  })
  return (server.address() as AddressInfo).port
}

const serve = (handler: Handler): Promise<number> => listen(createServer(handler))

const SECRETS: Secrets = {
  async read(_namespace, reference) {
    if ('env' in reference && reference.env === 'TIDEMARK_SECRET_DEFAULT_X') return 'hush\n'
    throw new DomainError('SECRET_MISSING', 'no such secret')
  },
}
const SECRET = { env: 'TIDEMARK_SECRET_DEFAULT_X' }
const FAST: Partial<FlinkConnectionOptions> = { connectTimeoutMs: 500, requestTimeoutMs: 400, connections: 2 }

function connect(
  port: number,
  more: { path?: string; auth?: ClusterAuth; options?: Partial<FlinkConnectionOptions> } = {},
) {
  const connections = createFlinkConnections(SECRETS, { ...FAST, ...more.options })
  open.push(() => connections.close())
  const url = `http://127.0.0.1:${port}${more.path ?? ''}`
  return connections.to({ key: 'c1', namespace: 'default', url, auth: more.auth ?? { type: 'none' } })
}

const json = (response: ServerResponse, body: unknown, status = 200): void => {
  response
    .writeHead(status, { 'content-type': 'application/json' })
    .end(typeof body === 'string' ? body : JSON.stringify(body))
}
const EMPTY = '{"jobs":[]}'

/** The error of a call that must fail, and how long it took. */
async function failure(call: Promise<unknown>): Promise<FlinkUnavailableError & { tookMs: number }> {
  const startedAt = performance.now()
  const error = await call.then(
    () => null,
    (reason: unknown) => reason,
  )
  if (!(error instanceof FlinkUnavailableError))
    throw new Error('did not throw FlinkUnavailableError', { cause: error })
  return Object.assign(error, { tookMs: performance.now() - startedAt })
}

describe('could not ask', () => {
  it('is unreachable when the connection is refused', async () => {
    const gone = await serve(() => {})
    await open.pop()?.()
    const error = await failure(connect(gone).listJobs())
    expect(error.kind).toBe('unreachable')
    expect(error.message).toContain('connection refused (ECONNREFUSED)')
  })

  it('is a timeout when no headers come', async () => {
    const error = await failure(connect(await serve(() => {})).listJobs())
    expect(error.kind).toBe('timeout')
    expect(error.message).toContain('/jobs/overview: no complete answer within 400 ms')
    expect(error.tookMs).toBeLessThan(3_000)
  })

  it('is a timeout when the body stops in the middle, or drips for ever', async () => {
    const hang = await serve((_, response) => response.writeHead(200).write('{"jobs":['))
    expect((await failure(connect(hang).listJobs())).kind).toBe('timeout')
    let aborted = false
    const drip = await serve((_, response) => {
      const timer = setInterval(() => response.write(' '), 20)
      response.writeHead(200).on('close', () => {
        aborted = true
        clearInterval(timer)
      })
    })
    const error = await failure(connect(drip).listJobs())
    expect(error).toMatchObject({ kind: 'timeout' })
    expect(error.tookMs).toBeLessThan(3_000)
    await expect.poll(() => aborted).toBe(true)
  })

  it('is unreachable when the connection breaks after half a body', async () => {
    const half = await serve((_, response) => {
      response.writeHead(200, { 'content-length': '1000' }).write('{"jobs":[')
      setTimeout(() => response.socket?.resetAndDestroy(), 20)
    })
    expect((await failure(connect(half).listJobs())).kind).toBe('unreachable')
  })

  it('is unreadable, with bounded memory and a closed socket, when 100 MB come', async () => {
    let sentBytes = 0
    let closed = false
    const flood = await serve((_, response) => {
      const chunk = Buffer.alloc(64 * 1024, 0x20)
      const pump = (): void => {
        while (sentBytes < 100e6 && !response.destroyed) {
          sentBytes += chunk.length
          if (!response.write(chunk)) return void response.once('drain', pump)
        }
        response.end()
      }
      response.writeHead(200).on('close', () => {
        closed = true
      })
      pump()
    })
    const client = connect(flood, { options: { requestTimeoutMs: 20_000, maxBodyBytes: 1024 * 1024 } })
    const error = await failure(client.listJobs())
    expect(error.kind).toBe('unreadable')
    expect(error.message).toContain('answer too long')
    await expect.poll(() => closed).toBe(true)
    expect(sentBytes).toBeLessThan(50e6)
  })

  it.each([
    ['100,000 levels of arrays', '['.repeat(100_000) + ']'.repeat(100_000)],
    ['100,000 levels where jobs should be', `{"jobs":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
    ['a list where an object should be', '[]'],
    ['half of a document', '{"jobs":[{"jid":'],
    ['nothing', ''],
    ['a login page', '<!doctype html><title>Sign in</title>'],
    ['compressed bytes', Buffer.from([0x1f, 0x8b, 8, 0, 0]).toString('latin1')],
  ])('is unreadable when the answer is %s', async (_, body) => {
    const port = await serve((_request, response) => json(response, body))
    expect((await failure(connect(port, { options: { requestTimeoutMs: 5_000 } }).listJobs())).kind).toBe(
      'unreadable',
    )
  })

  it('is unreadable when the other side does not speak HTTP', async () => {
    const port = await listen(
      createTcpServer((socket) => socket.once('data', () => socket.end('SSH-2.0-OpenSSH_9.2\r\n'))),
    )
    expect((await failure(connect(port).listJobs())).kind).toBe('unreadable')
  })

  it.each([301, 302, 307, 308])('never follows a redirect (%i), for GET or POST', async (status) => {
    let asked = 0
    const elsewhere = await serve((_, response) => {
      asked++
      json(response, EMPTY)
    })
    const port = await serve((_, response) => {
      response.writeHead(status, { location: `http://127.0.0.1:${elsewhere}/jobs/overview?t=hush` }).end()
    })
    const client = connect(port)
    for (const call of [() => client.listJobs(), () => client.triggerSavepoint(TRIGGER)]) {
      const error = await failure(call())
      expect(error.kind).toBe('unreadable')
      expect(error.message).toContain(
        `answered ${status}, a redirect to http://127.0.0.1:${elsewhere}/jobs/overview;`,
      )
      expect(error.message).not.toContain('hush')
    }
    expect(asked).toBe(0)
  })

  it.each([
    [
      503,
      'leader-election',
      { errors: ['Service temporarily unavailable due to an ongoing leader election. Please refresh.'] },
    ],
    [401, 'unauthorized', '<html>Unauthorized</html>'],
    [403, 'unauthorized', ''],
    [502, 'unreachable', '<html>Bad Gateway</html>'],
    [504, 'timeout', ''],
    [429, 'server-error', ''],
    [418, 'unreadable', 'teapot'],
  ])('says what %i means: %s', async (status, kind, body) => {
    const port = await serve((_, response) => json(response, body, status))
    const error = await failure(connect(port).listJobs())
    expect(error.kind).toBe(kind)
    expect(error.message).toContain(`answered ${status}`)
  })

  it('shortens a 500 with two strings to its root cause', async () => {
    const frames = '\n\tat org.apache.flink.Foo.bar(Foo.java:1)'.repeat(5_000)
    const trace = `<Exception on server side:\njava.util.concurrent.CompletionException: a.A: x${frames}\nCaused by: org.apache.flink.util.FlinkException: Could not retrieve the archived graph${frames}\n\nEnd of exception on server side>`
    const port = await serve((_, response) =>
      json(response, { errors: ['Internal server error.', trace] }, 500),
    )
    const error = await failure(connect(port, { options: { requestTimeoutMs: 5_000 } }).listJobs())
    expect(error.kind).toBe('server-error')
    expect(error.message).toContain('Could not retrieve the archived graph')
    expect(error.message.length).toBeLessThan(1_500)
  })

  it('is unreachable for an address that is none', async () => {
    const connections = createFlinkConnections(SECRETS, FAST)
    open.push(() => connections.close())
    for (const url of ['not a url', 'ftp://x/', 'http://no-such-host.invalid:8081']) {
      const client = connections.to({ key: url, namespace: 'default', url, auth: { type: 'none' } })
      expect(['unreachable', 'timeout']).toContain((await failure(client.listJobs())).kind)
    }
  })
})

describe('a 404', () => {
  const notFound = async (text: string): Promise<FlinkClient> =>
    connect(await serve((_, response) => json(response, { errors: [text] }, 404)))

  it('for an id is an answer: not known now', async () => {
    const client = await notFound(
      `org.apache.flink.runtime.rest.NotFoundException: Job ${JOB} not found\n\tat x.Y.z(Y.java:1)`,
    )
    expect(await client.findJob(JOB)).toBeNull()
    expect(await client.listExceptions(JOB)).toEqual([])
    expect(await client.readCheckpoints(JOB)).toBeNull()
    expect(await client.readCheckpointConfig(JOB)).toBeNull()
    expect(await client.readSavepoint(JOB, TRIGGER.triggerId)).toEqual({ kind: 'unknown' })
  })

  it('for a route is not', async () => {
    for (const text of ['Not found: /jobs/x', 'Unable to load requested file /jobs/x.']) {
      const client = await notFound(text)
      expect((await failure(client.findJob(JOB))).kind).toBe('unreadable')
      expect((await failure(client.readSavepoint(JOB, TRIGGER.triggerId))).kind).toBe('unreadable')
      expect((await failure(client.triggerSavepoint(TRIGGER))).kind).toBe('unreadable')
    }
  })
})

describe('sockets', () => {
  it('a GET is asked once more on a fresh connection when a kept one is reset, a POST never', async () => {
    const methods: string[] = []
    const seen = new WeakSet<Socket>()
    const port = await serve((request, response) => {
      methods.push(request.method ?? '')
      if (seen.has(request.socket)) return void request.socket.resetAndDestroy()
      seen.add(request.socket)
      json(response, EMPTY)
    })
    const client = connect(port, { options: { connections: 1 } })
    await client.listJobs()
    expect(await client.listJobs()).toEqual([])
    expect(methods).toEqual(['GET', 'GET', 'GET'])
    await client.listJobs()
    expect((await failure(client.triggerSavepoint(TRIGGER))).kind).toBe('unreachable')
    expect(methods.filter((method) => method === 'POST')).toHaveLength(1)
  })

  it('a GET is not asked a third time', async () => {
    let asked = 0
    const port = await serve((request) => {
      asked++
      request.socket.resetAndDestroy()
    })
    expect((await failure(connect(port).listJobs())).kind).toBe('unreachable')
    expect(asked).toBe(2)
  })

  it('are kept between requests, closed when idle, and opened again by the same client', async () => {
    let sockets = 0
    const server = createServer((_, response) => json(response, EMPTY)).on('connection', () => sockets++)
    const client = connect(await listen(server), { options: { connections: 1, idleCloseMs: 100 } })
    await client.listJobs()
    await client.listJobs()
    expect(sockets).toBe(1)
    await expect
      .poll(() => new Promise((resolve) => server.getConnections((_, count) => resolve(count))))
      .toBe(0)
    expect(await client.listJobs()).toEqual([])
    expect(sockets).toBe(2)
  })

  it('answer after others timed out on the same pool', async () => {
    let hang = true
    const port = await serve((_, response) => (hang ? undefined : json(response, EMPTY)))
    const client = connect(port)
    const errors = await Promise.all(Array.from({ length: 8 }, () => failure(client.listJobs())))
    expect(new Set(errors.map(({ kind }) => kind))).toEqual(new Set(['timeout']))
    hang = false
    expect(await client.listJobs()).toEqual([])
  })

  it('are not opened once everything is closed', async () => {
    const connections = createFlinkConnections(SECRETS)
    const client = connections.to({
      key: 'c',
      namespace: 'default',
      url: 'http://127.0.0.1:1',
      auth: { type: 'none' },
    })
    await connections.close()
    expect((await failure(client.listJobs())).message).toContain('closed')
  })
})

describe('a request', () => {
  it('carries credentials from the secrets, below the path prefix of the address', async () => {
    const seen: (string | undefined)[] = []
    const port = await serve((request, response) => {
      seen.push(request.url, request.headers.authorization)
      json(response, EMPTY)
    })
    await connect(port, { path: '/flink/orders/', auth: { type: 'bearer', token: SECRET } }).listJobs()
    await connect(port, { auth: { type: 'basic', username: 'ana', password: SECRET } }).listJobs()
    const basic = `Basic ${Buffer.from('ana:hush').toString('base64')}`
    expect(seen).toEqual(['/flink/orders/jobs/overview', 'Bearer hush', '/jobs/overview', basic])
  })

  it('is not sent when its secret cannot be read', async () => {
    let asked = 0
    const port = await serve((_, response) => {
      asked++
      json(response, EMPTY)
    })
    const error = await failure(
      connect(port, { auth: { type: 'bearer', token: { file: 'gone' } } }).listJobs(),
    )
    expect(error).toMatchObject({ kind: 'unauthorized' })
    expect(error.message).toContain('no such secret')
    expect(asked).toBe(0)
  })

  it('reads the secret again after a 401', async () => {
    const tokens = ['old', 'new']
    const secrets: Secrets = { read: async () => tokens.shift() ?? 'none' }
    const port = await serve((request, response) =>
      request.headers.authorization === 'Bearer new' ? json(response, EMPTY) : json(response, '', 401),
    )
    const connections = createFlinkConnections(secrets, FAST)
    open.push(() => connections.close())
    const auth: ClusterAuth = { type: 'bearer', token: SECRET }
    const client = connections.to({ key: 'k', namespace: 'default', url: `http://127.0.0.1:${port}`, auth })
    expect((await failure(client.listJobs())).kind).toBe('unauthorized')
    expect(await client.listJobs()).toEqual([])
  })
})

describe('TLS', () => {
  const PEMS: Record<string, string> = { cert: TEST_CERTIFICATE, key: TEST_PRIVATE_KEY }
  const secrets: Secrets = {
    read: async (_, reference) =>
      'env' in reference ? (PEMS[reference.env] ?? '') : Promise.reject(new Error('gone')),
  }
  const ask = async (auth: ClusterAuth) => {
    const tls = { cert: TEST_CERTIFICATE, key: TEST_PRIVATE_KEY, ca: TEST_CERTIFICATE, requestCert: true }
    const port = await listen(createTlsServer(tls, (_, response) => json(response, EMPTY)))
    const connections = createFlinkConnections(secrets, { ...FAST, requestTimeoutMs: 5_000 })
    open.push(() => connections.close())
    const url = `https://127.0.0.1:${port}`
    return connections.to({ key: 'tls', namespace: 'default', url, auth }).listJobs()
  }
  const [certificate, key] = [{ env: 'cert' }, { env: 'key' }]

  it('lets us in with a client certificate', async () => {
    expect(await ask({ type: 'clientCertificate', certificate, key, ca: certificate })).toEqual([])
  })

  it('trusts no unknown authority', async () => {
    const error = await failure(ask({ type: 'clientCertificate', certificate, key }))
    expect(error).toMatchObject({ kind: 'unreachable' })
    expect(error.message).toContain('DEPTH_ZERO_SELF_SIGNED_CERT')
  })

  it('is not tried with a certificate that cannot be read', async () => {
    const error = await failure(
      ask({ type: 'clientCertificate', certificate: { file: 'x' }, key, ca: certificate }),
    )
    expect(error).toMatchObject({ kind: 'unauthorized' })
  })
})

describe('a trigger', () => {
  const trigger = async (status: number, body: unknown) => {
    const bodies: unknown[] = []
    const port = await serve(async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk)
      bodies.push(request.url, JSON.parse(Buffer.concat(chunks).toString()))
      json(response, body, status)
    })
    return { answer: connect(port).triggerSavepoint(TRIGGER), bodies }
  }

  it('is accepted under our own id', async () => {
    const { answer, bodies } = await trigger(202, { 'request-id': TRIGGER.triggerId })
    expect(await answer).toEqual({ kind: 'accepted' })
    expect(bodies).toEqual([
      `/jobs/${JOB}/savepoints`,
      {
        'target-directory': 's3://b/sp/1',
        'cancel-job': false,
        formatType: 'CANONICAL',
        triggerId: TRIGGER.triggerId,
      },
    ])
  })

  it('under another id is an answer we cannot use', async () => {
    const error = await failure((await trigger(202, { 'request-id': 'e'.repeat(32) })).answer)
    expect(error.message).toContain('another trigger id')
  })

  it('may be refused with a reason, bounded', async () => {
    const text = `org.apache.flink.runtime.rest.handler.RestHandlerException: Config key [state.savepoints.dir] is not set.${'\n\tat a.B.c(B.java:1)'.repeat(9_000)}`
    const answer = await (await trigger(400, { errors: [text] })).answer
    expect(answer).toMatchObject({ kind: 'refused', httpStatus: 400 })
    expect(JSON.stringify(answer).length).toBeLessThan(3_000)
  })

  it('that fails inside Flink is not refused: it may have begun', async () => {
    expect(
      (await failure((await trigger(500, { errors: ['Internal server error.', 'x'] })).answer)).kind,
    ).toBe('server-error')
  })
})

describe('a disposal', () => {
  const LOCATION = 's3://b/sp/1/savepoint-abcdef-0123456789ab'
  const answering = async (status: number, body: unknown) => {
    const asked: unknown[] = []
    const port = await serve(async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk)
      asked.push(`${request.method} ${request.url}`, Buffer.concat(chunks).toString())
      json(response, body, status)
    })
    return { client: connect(port), asked }
  }
  const cause = {
    class: 'java.io.IOException',
    'stack-trace': 'java.io.IOException: Permission denied\n\tat a.B',
  }

  it('is asked for by its path, and has an id of Flink', async () => {
    const { client, asked } = await answering(200, { 'request-id': 'e'.repeat(32) })
    expect(await client.disposeSavepoint(LOCATION)).toEqual({ kind: 'accepted', triggerId: 'e'.repeat(32) })
    expect(asked).toEqual(['POST /savepoint-disposal', JSON.stringify({ 'savepoint-path': LOCATION })])
  })

  it('may be refused', async () => {
    const { client } = await answering(400, {
      errors: ['Field savepoint-path must not be omitted or be null.'],
    })
    expect(await client.disposeSavepoint('')).toMatchObject({ kind: 'refused', httpStatus: 400 })
  })

  it.each([
    [200, { status: { id: 'IN_PROGRESS' } }, { kind: 'pending' }],
    [200, { status: { id: 'COMPLETED' }, operation: {} }, { kind: 'completed' }],
    [200, { status: { id: 'COMPLETED' }, operation: { 'failure-cause': cause } }, { kind: 'failed' }],
    [404, { errors: ['Operation not found under key: x'] }, { kind: 'unknown' }],
  ])('is done when its result is COMPLETED without a cause: %i %j', async (status, body, read) => {
    const { client, asked } = await answering(status, body)
    expect(await client.readDisposal('e'.repeat(32))).toMatchObject(read)
    expect(asked[0]).toBe(`GET /savepoint-disposal/${'e'.repeat(32)}`)
  })

  it('that is COMPLETED without saying how is no answer', async () => {
    const { client } = await answering(200, { status: { id: 'COMPLETED' } })
    expect((await failure(client.readDisposal('e'.repeat(32)))).kind).toBe('unreadable')
  })
})

describe('numbers', () => {
  it('of 64 bits are read as unknown, not as wrong ones', async () => {
    const config =
      '{"mode":"exactly_once","interval":9223372036854775807,"timeout":9223372036854775807,"min_pause":0,"max_concurrent":1,"externalization":{"enabled":false,"delete_on_cancellation":true}}'
    const client = connect(await serve((_, response) => json(response, config)))
    expect(await client.readCheckpointConfig(JOB)).toMatchObject({
      intervalMs: null,
      timeoutMs: Number.MAX_SAFE_INTEGER,
    })
  })
})
