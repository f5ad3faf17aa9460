/** Starting, stopping and cancelling jobs through the client: on simulated Flinks of three versions, and on servers that are hostile. */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { DomainError, FlinkUnavailableError, StorageError } from '../../src/domain/errors.ts'
import type { RunAnswer, RunRequest } from '../../src/domain/flink.ts'
import type { ClusterAuth } from '../../src/domain/resources.ts'
import { classifyStartFailure } from '../../src/domain/start-failure.ts'
import { createFlinkConnections, type FlinkConnectionOptions } from '../../src/flink/connections.ts'
import type { FlinkClient } from '../../src/ports/flink.ts'
import type { Secrets } from '../../src/ports/storage.ts'
import type { SimulatedFlinkOptions } from '../../src/simulated-flink/start.ts'
import { type ScriptedFlink, startScriptedFlink } from '../support/simulated-flink.ts'

const id = (): string => randomBytes(16).toString('hex')
const JOB = 'abcdef'.padEnd(32, '0')
const RUN: RunRequest = {
  jarId: 'a0b1_sample.jar',
  flinkJobId: JOB,
  entryClass: null,
  programArgs: [],
  parallelism: null,
  savepointPath: null,
  claimMode: 'NO_CLAIM',
  claimModeField: 'claimMode',
  allowNonRestoredState: false,
  flinkConfiguration: {},
}

const open: (() => Promise<unknown>)[] = []
let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'flink-jobs-client-'))
  open.push(() => rm(directory, { recursive: true, force: true }))
})
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
})

const NO_SECRETS: Secrets = {
  async read() {
    throw new DomainError('SECRET_MISSING', 'no such secret')
  },
}

function connect(
  url: string,
  options: Partial<FlinkConnectionOptions> = {},
  auth: ClusterAuth = { type: 'none' },
): FlinkClient {
  const connections = createFlinkConnections(NO_SECRETS, {
    connectTimeoutMs: 2_000,
    requestTimeoutMs: 5_000,
    runTimeoutMs: 5_000,
    ...options,
  })
  open.push(() => connections.close())
  return connections.to({ key: 'c1', namespace: 'default', url, auth })
}

async function* inChunks(bytes: Buffer, chunkBytes = 64 * 1024): AsyncIterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes)
}
const jarOf = (bytes: Buffer, name = 'sample.jar') => ({
  name,
  sizeBytes: bytes.length,
  read: () => inChunks(bytes),
})

describe.each([
  ['1.19.1', 'restoreMode'],
  ['1.20.4', 'claimMode'],
  ['2.3.0', 'claimMode'],
] as const)('a job on Flink %s', (version, claimModeField) => {
  async function start(jobDefaults: SimulatedFlinkOptions['jobDefaults'] = {}) {
    const scripted: ScriptedFlink = await startScriptedFlink({
      version,
      checkpointDir: `file://${directory}/ck`,
      savepointDurationMs: 1,
      jobDefaults: { checkpointDurationMs: 1, ...jobDefaults },
      seedJobs: [{ name: 'orders', id: JOB }],
    })
    open.push(() => scripted.flink.stop())
    const client = connect(scripted.flink.url)
    const upload = () => client.uploadJar(jarOf(randomBytes(300_000)))
    const run = async (changes: Partial<RunRequest> = {}) =>
      client.runJar({ ...RUN, flinkJobId: id(), claimModeField, jarId: await upload(), ...changes })
    const end = async (flinkJobId: string, drain = false) => {
      const request = {
        flinkJobId,
        triggerId: id(),
        targetDirectory: `file://${directory}/sp`,
        format: 'CANONICAL',
        drain,
      } as const
      expect(await client.stopJob(request)).toEqual({ kind: 'accepted' })
      const result = await vi.waitFor(async () => {
        const answer = await client.readSavepoint(flinkJobId, request.triggerId)
        if (answer.kind !== 'completed') throw new Error(`still ${answer.kind}`)
        return answer
      })
      return { request, location: result.location }
    }
    return { ...scripted, client, upload, run, end }
  }
  const failureOf = (answer: RunAnswer) => {
    if (answer.kind !== 'refused') throw new Error(`not refused but ${answer.kind}`)
    return { httpStatus: answer.httpStatus, code: classifyStartFailure(answer.text).code }
  }
  const toPath = (location: string): string => location.replace(/^file:/, '')

  it('is uploaded, listed and run under our id; the second run of the id is refused', async () => {
    const { client, upload, flink } = await start()
    const jarId = await upload()
    expect(jarId).toMatch(/_sample\.jar$/)
    expect(await client.listJars()).toEqual([{ id: jarId, name: 'sample.jar' }])
    const request = { ...RUN, jarId, flinkJobId: id(), parallelism: 2, programArgs: ['--name', 'from jar'] }
    expect(await client.runJar(request)).toEqual({ kind: 'started' })
    expect(flink.findJob(request.flinkJobId)).toMatchObject({ name: 'from jar', parallelism: 2 })
    expect(failureOf(await client.runJar(request))).toEqual({ httpStatus: 400, code: 'JOB_ID_TAKEN' })
  })

  it('runs once when two ask for the same id at once', async () => {
    const { client, upload } = await start()
    const request = { ...RUN, jarId: await upload(), flinkJobId: id() }
    const answers = await Promise.all([client.runJar(request), client.runJar(request)])
    expect(answers.map(({ kind }) => kind).sort()).toEqual(['refused', 'started'])
  })

  it('stops with a savepoint where it was asked, once however often the stop is repeated', async () => {
    const { client, end, flink } = await start()
    const { request, location } = await end(JOB)
    expect(location).toContain(`${directory}/sp/savepoint-abcdef-`)
    expect(existsSync(`${toPath(location)}/_metadata`)).toBe(true)
    expect(await client.findJob(JOB)).toMatchObject({ state: 'FINISHED' })
    expect(await client.stopJob(request)).toEqual({ kind: 'accepted' })
    expect(await client.readSavepoint(JOB, request.triggerId)).toEqual({ kind: 'completed', location })
    expect(flink.acceptLog).toMatchObject([{ kind: 'stop', repeats: 1 }])
  })

  it('drains: the savepoint says that the job ended for good', async () => {
    const { end } = await start()
    const drained = await end(JOB, true)
    const metadata = await readFile(`${toPath(drained.location)}/_metadata`)
    // Before version 5 the properties are not written.
    if (version === '2.3.0') expect(metadata.includes('TERMINATE')).toBe(true)
  })

  it('is cancelled, and again; an ended one and an unknown one say so', async () => {
    const { client, run, end } = await start()
    const flinkJobId = id()
    await run({ flinkJobId })
    expect(await client.cancelJob(flinkJobId)).toEqual({ kind: 'accepted' })
    await vi.waitFor(async () =>
      expect(await client.findJob(flinkJobId)).toMatchObject({ state: 'CANCELED' }),
    )
    expect(await client.cancelJob(flinkJobId)).toEqual({ kind: 'accepted' })
    await end(JOB)
    const ended = await client.cancelJob(JOB)
    expect(ended).toMatchObject({ kind: 'ended', text: expect.stringContaining('(FINISHED)') })
    expect(await client.cancelJob(id())).toEqual({ kind: 'unknown' })
  })

  it.each([
    ['RESTORE_STATE_MISSING', { savepointPath: 'file:///no/such/savepoint' }],
    ['RESTORE_MAX_PARALLELISM', { programArgs: ['--max-parallelism', '64'] }],
    ['PROGRAM_INVALID', { programArgs: ['--frobnicate', '1'] }],
  ])('does not start: %s', async (code, changes) => {
    const { run, end } = await start()
    const { location } = await end(JOB)
    expect(failureOf(await run({ savepointPath: location, ...changes }))).toEqual({ httpStatus: 400, code })
  })

  it('uses up the id of a start that failed, and tells the reason in its exceptions too', async () => {
    const { client, run } = await start()
    const flinkJobId = id()
    await run({ flinkJobId, savepointPath: 'file:///no/such/savepoint' })
    expect(await client.findJob(flinkJobId)).toMatchObject({ state: 'FAILED' })
    const [exception] = await client.listExceptions(flinkJobId)
    expect(classifyStartFailure(exception?.text ?? '').code).toBe('RESTORE_STATE_MISSING')
    expect(failureOf(await run({ flinkJobId }))).toMatchObject({ code: 'JOB_ID_TAKEN' })
  })

  it('does not drop state of a removed operator unless that is allowed', async () => {
    const { run, end } = await start()
    const flinkJobId = id()
    await run({ flinkJobId, programArgs: ['--extra-operator'] })
    const savepointPath = (await end(flinkJobId)).location
    expect(failureOf(await run({ savepointPath }))).toMatchObject({ code: 'RESTORE_OPERATOR_MISSING' })
    expect(await run({ savepointPath, allowNonRestoredState: true })).toEqual({ kind: 'started' })
  })

  it('owns what it claimed: deleted once it has so many checkpoints of its own as it retains', async () => {
    const { flink, client, run, end } = await start({ numRetained: 2 })
    const { location } = await end(JOB)
    const flinkJobId = id()
    await run({ flinkJobId, savepointPath: location, claimMode: 'CLAIM' })
    const checkpoint = async () => {
      const number = flink.triggerCheckpoint(flinkJobId)
      await vi.waitFor(async () => {
        const statistics = await client.readCheckpoints(flinkJobId)
        expect(statistics?.latest.completed?.id).toBe(number)
      })
    }
    await checkpoint()
    expect(existsSync(toPath(location))).toBe(true)
    await checkpoint()
    await vi.waitFor(() => expect(existsSync(toPath(location))).toBe(false))
  })

  it('leaves alone what it did not claim, also what is claimed under the name of another version', async () => {
    const { flink, client, run, end } = await start()
    const { location } = await end(JOB)
    const deaf = id()
    const otherField = version === '1.19.1' ? 'claimMode' : null
    await run({
      flinkJobId: deaf,
      savepointPath: location,
      ...(otherField === null ? {} : { claimMode: 'CLAIM', claimModeField: otherField }),
    })
    const number = flink.triggerCheckpoint(deaf)
    await vi.waitFor(async () =>
      expect((await client.readCheckpoints(deaf))?.latest.completed?.id).toBe(number),
    )
    expect(existsSync(`${toPath(location)}/_metadata`)).toBe(true)
  })

  it.each([true, false])(
    'says that the jar is gone with its JobManager (high availability: %s)',
    async (ha) => {
      const { client, upload, flink } = await start()
      const jarId = await upload()
      await flink.restartJobManager({ ha })
      expect(await vi.waitFor(() => client.listJars())).toEqual([])
      const request = { ...RUN, jarId, flinkJobId: id() }
      expect(await client.runJar(request)).toEqual({ kind: 'jar-missing' })
      expect(await client.findJob(request.flinkJobId)).toBeNull()
    },
  )

  it('knows after a lost answer only that it may have arrived; the id tells that it did', async () => {
    const { client, upload, faults } = await start()
    const request = { ...RUN, jarId: await upload(), flinkJobId: id() }
    faults.reply({ route: 'runJar' }, { kind: 'reply-lost' })
    await expect(client.runJar(request)).rejects.toMatchObject({ kind: 'unreachable', mayHaveArrived: true })
    expect(await client.findJob(request.flinkJobId)).toMatchObject({ state: 'RUNNING' })
    expect(failureOf(await client.runJar(request))).toMatchObject({ code: 'JOB_ID_TAKEN' })
  })

  it('did nothing while a leader is elected', async () => {
    const { client, upload, faults } = await start()
    const request = { ...RUN, jarId: await upload(), flinkJobId: id() }
    faults.reply({ route: 'runJar' }, { kind: 'leader-election' })
    await expect(client.runJar(request)).rejects.toMatchObject({ mayHaveArrived: false })
    expect(await client.runJar(request)).toEqual({ kind: 'started' })
  })
})

// ------------------------------------------------------------------------------------------------ hostile servers

type Handler = (request: IncomingMessage, response: ServerResponse) => void

async function listen(server: Server): Promise<string> {
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
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
const serve = (handler: Handler): Promise<string> => listen(createServer(handler))

/** Reads the request to its end before it answers. */
const serveAfter = (answer: (response: ServerResponse, body: Buffer, request: IncomingMessage) => void) =>
  serve((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => answer(response, Buffer.concat(chunks), request))
  })
const json = (response: ServerResponse, body: unknown, status = 200): void => {
  response
    .writeHead(status, { 'content-type': 'application/json' })
    .end(typeof body === 'string' ? body : JSON.stringify(body))
}
const serverError = (text: string) => ({
  errors: [
    'Internal server error.',
    `<Exception on server side:\n${text}\n\tat x.Y.z(Y.java:1)\n\nEnd of exception on server side>`,
  ],
})

const STOP = {
  flinkJobId: JOB,
  triggerId: 'f'.repeat(32),
  targetDirectory: 's3://b/sp/1',
  format: 'NATIVE',
  drain: true,
} as const
const CALLS: [string, (client: FlinkClient) => Promise<unknown>][] = [
  ['runJar', (client) => client.runJar(RUN)],
  ['stopJob', (client) => client.stopJob(STOP)],
  ['cancelJob', (client) => client.cancelJob(JOB)],
  ['uploadJar', (client) => client.uploadJar(jarOf(randomBytes(200_000)))],
]

async function failure(call: Promise<unknown>): Promise<FlinkUnavailableError> {
  const error: unknown = await call.then(
    (value) => value,
    (reason: unknown) => reason,
  )
  if (!(error instanceof FlinkUnavailableError))
    throw new Error('did not throw FlinkUnavailableError', { cause: error })
  return error
}

describe.each(CALLS)('%s, without an answer', (_, call) => {
  it('certainly did nothing when the connection is refused', async () => {
    const url = await serve(() => {})
    await open.pop()?.()
    for (const each of [url, url.replace('127.0.0.1', 'localhost')]) {
      expect(await failure(call(connect(each)))).toMatchObject({ kind: 'unreachable', mayHaveArrived: false })
    }
  })

  it('certainly did nothing when no connection comes about in time', async () => {
    const silent = (await listen(createTcpServer())).replace('http:', 'https:')
    expect(await failure(call(connect(silent, { connectTimeoutMs: 200 })))).toMatchObject({
      kind: 'timeout',
      mayHaveArrived: false,
    })
  })

  it('certainly did nothing when the host is unknown, the url is none or the secret is missing', async () => {
    for (const client of [
      connect('http://no-such-host.invalid:8081'),
      connect('ftp://x/'),
      connect('http://127.0.0.1:1', {}, { type: 'bearer', token: { env: 'TIDEMARK_SECRET_DEFAULT_X' } }),
    ]) {
      expect(await failure(call(client))).toMatchObject({ mayHaveArrived: false })
    }
  })

  it('may have arrived when the connection is reset after the request', async () => {
    const url = await serveAfter((response) => response.socket?.resetAndDestroy())
    expect(await failure(call(connect(url)))).toMatchObject({ kind: 'unreachable', mayHaveArrived: true })
  })

  it('may have arrived when half of the answer comes', async () => {
    const url = await serveAfter((response) => {
      response.writeHead(200, { 'content-length': '1000' }).write('{"jobid":')
      setTimeout(() => response.socket?.resetAndDestroy(), 20)
    })
    expect(await failure(call(connect(url)))).toMatchObject({ kind: 'unreachable', mayHaveArrived: true })
  })

  it('may have arrived when the answer has 100 MB, which are not read to their end', async () => {
    let sentBytes = 0
    const url = await serveAfter((response) => {
      const chunk = Buffer.alloc(64 * 1024, 0x20)
      const pump = (): void => {
        while (sentBytes < 100e6 && !response.destroyed) {
          sentBytes += chunk.length
          if (!response.write(chunk)) return void response.once('drain', pump)
        }
        response.end()
      }
      pump()
    })
    const error = await failure(call(connect(url, { maxBodyBytes: 1024 * 1024 })))
    expect(error).toMatchObject({ kind: 'unreadable', mayHaveArrived: true })
    expect(sentBytes).toBeLessThan(50e6)
  })

  it.each([
    [
      503,
      false,
      { errors: ['Service temporarily unavailable due to an ongoing leader election. Please refresh.'] },
    ],
    [503, true, '<html>upstream reset</html>'],
    [401, false, ''],
    [403, false, '<html>no</html>'],
    [407, false, ''],
    [502, true, ''],
    [504, true, ''],
    [500, true, serverError('java.util.concurrent.TimeoutException: Invocation timed out')],
    [200, true, '[]'],
    [302, true, ''],
    [404, false, { errors: ['Not found: /jars'] }],
  ])('after a %i it may have arrived: %s', async (status, mayHaveArrived, body) => {
    const url = await serveAfter((response) => json(response, body, status))
    // Nothing is read of the answer to a cancel but its status.
    if (status === 200 && call === CALLS[2]?.[1]) return
    expect(await failure(call(connect(url)))).toMatchObject({ mayHaveArrived })
  })

  it('is a timeout when nothing comes', async () => {
    const url = await serve(() => {})
    const error = await failure(call(connect(url, { requestTimeoutMs: 200, runTimeoutMs: 200 })))
    expect(error).toMatchObject({ kind: 'timeout', mayHaveArrived: true })
  })
})

describe('what is sent', () => {
  async function record(answer: unknown) {
    const sent: { method: string; path: string; body: Buffer; headers: IncomingMessage['headers'] }[] = []
    const url = await serveAfter((response, body, { method = '', url: path = '', headers }) => {
      sent.push({ method, path, body, headers })
      json(response, answer)
    })
    return { client: connect(url), sent, bodyOf: () => JSON.parse(sent[0]?.body.toString() ?? 'null') }
  }

  it('to run without state: nothing about a restore', async () => {
    const { client, sent, bodyOf } = await record({ jobid: JOB })
    await client.runJar({ ...RUN, allowNonRestoredState: true, claimMode: 'CLAIM' })
    expect(sent).toMatchObject([{ method: 'POST', path: '/jars/a0b1_sample.jar/run' }])
    expect(bodyOf()).toEqual({ jobId: JOB, programArgsList: [], flinkConfiguration: {} })
  })

  it.each(['claimMode', 'restoreMode'] as const)('to run from a savepoint, claimed by %s', async (field) => {
    const { client, bodyOf } = await record({ jobid: JOB })
    await client.runJar({
      ...RUN,
      entryClass: 'com.acme.Main',
      programArgs: ['--name', 'a "b" c'],
      parallelism: 4,
      savepointPath: 's3://b/sp/1',
      claimMode: 'CLAIM',
      claimModeField: field,
      flinkConfiguration: { 'state.backend.type': 'rocksdb' },
    })
    expect(bodyOf()).toEqual({
      jobId: JOB,
      entryClass: 'com.acme.Main',
      programArgsList: ['--name', 'a "b" c'],
      parallelism: 4,
      savepointPath: 's3://b/sp/1',
      allowNonRestoredState: false,
      [field]: 'CLAIM',
      flinkConfiguration: { 'state.backend.type': 'rocksdb' },
    })
  })

  it('to stop: `targetDirectory`, which `/savepoints` spells with a hyphen', async () => {
    const { client, sent, bodyOf } = await record({ 'request-id': STOP.triggerId })
    expect(await client.stopJob(STOP)).toEqual({ kind: 'accepted' })
    expect(sent).toMatchObject([{ method: 'POST', path: `/jobs/${JOB}/stop` }])
    expect(bodyOf()).toEqual({
      targetDirectory: 's3://b/sp/1',
      drain: true,
      formatType: 'NATIVE',
      triggerId: STOP.triggerId,
    })
  })

  it('to cancel: a PATCH without a body', async () => {
    const { client, sent } = await record({})
    expect(await client.cancelJob(JOB)).toEqual({ kind: 'accepted' })
    expect(sent).toMatchObject([{ method: 'PATCH', path: `/jobs/${JOB}?mode=cancel`, body: Buffer.alloc(0) }])
  })

  it('to upload: one file field of a known length, byte for byte', async () => {
    const bytes = randomBytes(1_500_000)
    const { client, sent } = await record({ filename: '/web/upload/6f_orders-1.2.jar', status: 'success' })
    expect(await client.uploadJar(jarOf(bytes, 'orders-1.2.jar'))).toBe('6f_orders-1.2.jar')
    const [{ headers, body } = { headers: {}, body: Buffer.alloc(0) }] = sent
    expect(headers['content-length']).toBe(String(body.length))
    expect(headers['transfer-encoding']).toBeUndefined()
    const form = await new Response(body, {
      headers: { 'content-type': headers['content-type'] ?? '' },
    }).formData()
    const [[field, file] = ['', ''], ...others] = [...form]
    if (typeof file === 'string') throw new Error('not a file')
    expect([field, file.name, file.type, others]).toEqual([
      'jarfile',
      'orders-1.2.jar',
      'application/x-java-archive',
      [],
    ])
    expect(Buffer.from(await file.arrayBuffer()).equals(bytes)).toBe(true)
  })

  it.each(['orders.zip', '.jar', '../x.jar', 'a"b.jar', 'a\r\nx: y.jar', `${'x'.repeat(300)}.jar`, 'ä.jar'])(
    'no jar under the name %j',
    async (name) => {
      const { client, sent } = await record({})
      await expect(client.uploadJar(jarOf(randomBytes(10), name))).rejects.toThrow(RangeError)
      expect(sent).toEqual([])
    },
  )
})

describe('an upload', () => {
  it('that cannot be read to its end fails with the error of the reader, and never arrives whole', async () => {
    let arrived = 0
    const url = await serveAfter((response) => {
      arrived++
      json(response, { filename: '/x/1_a.jar' })
    })
    const client = connect(url)
    const broken = async function* () {
      yield randomBytes(100_000)
      throw new StorageError('unreachable', 'the bucket is gone')
    }
    const jar = { name: 'a.jar', sizeBytes: 200_000, read: broken }
    await expect(client.uploadJar(jar)).rejects.toMatchObject({ name: 'StorageError', kind: 'unreachable' })
    for (const sizeBytes of [99_999, 100_001]) {
      const other = { ...jarOf(randomBytes(100_000)), sizeBytes }
      await expect(client.uploadJar(other)).rejects.toMatchObject({ name: 'StorageError', kind: 'refused' })
    }
    expect(arrived).toBe(0)
  })

  it('has a second more for each MiB', async () => {
    const url = await serve(() => {})
    const bytes = Buffer.alloc(512 * 1024)
    const error = await failure(connect(url, { requestTimeoutMs: 100 }).uploadJar(jarOf(bytes)))
    expect(error.message).toMatch(/no complete answer within 60\d ms/)
  })

  it('ends when its source hangs', async () => {
    const url = await serve(() => {})
    const hanging = async function* () {
      yield randomBytes(10)
      await new Promise(() => {})
    }
    const upload = connect(url, { requestTimeoutMs: 100 }).uploadJar({
      name: 'a.jar',
      sizeBytes: 20,
      read: hanging,
    })
    expect(await failure(upload)).toMatchObject({ kind: 'timeout' })
  })

  it('may not blame its source when the connection is reset in the middle', async () => {
    const url = await serve((request) => {
      request.once('data', () => request.socket.resetAndDestroy())
    })
    let closed = false
    const endless = async function* () {
      try {
        while (true) yield randomBytes(64 * 1024)
      } finally {
        closed = true
      }
    }
    const upload = connect(url).uploadJar({ name: 'a.jar', sizeBytes: 1e9, read: endless })
    expect(await failure(upload)).toMatchObject({ kind: 'unreachable', mayHaveArrived: true })
    await vi.waitFor(() => expect(closed).toBe(true))
  })

  it('is answered early by a server that does not want it', async () => {
    const url = await serve((_, response) => json(response, '', 403))
    const error = await failure(connect(url).uploadJar(jarOf(Buffer.alloc(20_000_000))))
    expect(['unauthorized', 'unreachable']).toContain(error.kind)
  })

  it('without a file name in the answer is unreadable', async () => {
    const url = await serveAfter((response) => json(response, { filename: '/x/', status: 'success' }))
    expect(await failure(connect(url).uploadJar(jarOf(randomBytes(10))))).toMatchObject({
      kind: 'unreadable',
    })
  })
})

describe('the answer to a run', () => {
  const answering = async (status: number, body: unknown) =>
    connect(await serveAfter((response) => json(response, body, status))).runJar(RUN)

  it('waits longer than other calls: the main method runs meanwhile', async () => {
    const url = await serveAfter((response) => {
      setTimeout(() => json(response, { jobid: JOB }), 400)
    })
    const client = connect(url, { requestTimeoutMs: 100, runTimeoutMs: 5_000 })
    expect(await client.runJar(RUN)).toEqual({ kind: 'started' })
  })

  it('is unreadable when another job was started', async () => {
    await expect(answering(200, { jobid: id() })).rejects.toMatchObject({ kind: 'unreadable' })
  })

  it('knows a missing jar only by its own id', async () => {
    const missing = (path: string) =>
      serverError(
        `java.util.concurrent.CompletionException: org.apache.flink.runtime.rest.handler.RestHandlerException: Jar file ${path} does not exist`,
      )
    expect(await answering(500, missing(`/web/flink-web-upload/${RUN.jarId}`))).toEqual({
      kind: 'jar-missing',
    })
    await expect(answering(500, missing('/opt/lib/other.jar'))).rejects.toMatchObject({
      kind: 'server-error',
    })
  })

  it('is a refusal, although a 500, when there is no such class in the jar', async () => {
    const answer = await answering(
      500,
      serverError(
        "java.util.concurrent.CompletionException: org.apache.flink.client.program.ProgramInvocationException: The program's entry point class 'com.acme.Nope' was not found in the jar file.",
      ),
    )
    expect(answer).toMatchObject({ kind: 'refused', httpStatus: 500 })
  })

  it('is could-not-ask for any other 500, whatever words it carries', async () => {
    const text =
      'org.apache.flink.client.program.ProgramInvocationException: The main method caused an error: Job has already been submitted.'
    await expect(answering(500, serverError(text))).rejects.toMatchObject({ mayHaveArrived: true })
  })

  it('keeps a bounded text of a refusal', async () => {
    const trace = `org.apache.flink.runtime.rest.handler.RestHandlerException: Could not execute application.${'\n\tat a.B.c(B.java:1)'.repeat(100_000)}\nCaused by: com.acme.X: full`
    const answer = await answering(400, { errors: [trace] })
    expect(answer).toMatchObject({ kind: 'refused', httpStatus: 400 })
    if (answer.kind === 'refused') {
      expect(answer.text.length).toBeLessThan(10_000)
      expect(answer.text).toContain('com.acme.X: full')
    }
  })
})

it('a server that does not speak HTTP may have understood', async () => {
  const url = await listen(
    createTcpServer((socket) => socket.once('data', () => socket.end('SSH-2.0-OpenSSH_9.2\r\n'))),
  )
  expect(await failure(connect(url).runJar(RUN))).toMatchObject({ kind: 'unreadable', mayHaveArrived: true })
})
