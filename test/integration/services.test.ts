/** Proves the services under dev/services on real ones: they start, survive what tests do to them, and go. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { DeleteObjectsCommand, ListBucketsCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import { Agent, request } from 'undici'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { createDatabase } from '../../dev/services/database.ts'
import { provisionServices } from '../../dev/services/provision.ts'
import { startRedis } from '../../dev/services/redis.ts'
import { startFauxqs, startVersityGateway } from '../../dev/services/s3.ts'
import { startTcpProxy } from '../../dev/services/tcp-proxy.ts'
import { findVersityGateway } from '../../dev/services/versitygw-binary.ts'
import { startPostgres } from '../../src/cli/embedded-postgres.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

describe('the embedded Postgres', () => {
  // One folder for all: initdb takes longer than everything else here.
  let dataDir = ''
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'tidemark-test-'))
  })
  afterAll(() => rm(dataDir, { recursive: true, force: true }))

  it('keeps committed rows over a fast restart, an immediate one and a kill', async () => {
    const postgres = await startOwnPostgres(dataDir, { fsync: 'off' })
    await query(postgres.url, 'create table fact (n int); insert into fact values (1)')
    await postgres.restart('fast')
    await query(postgres.url, 'insert into fact values (2)')
    await postgres.restart('immediate')
    await query(postgres.url, 'insert into fact values (3)')
    await postgres.kill()
    expect(await isListening(postgres.port)).toBe(false)
    await postgres.restart()
    expect(await query(postgres.url, 'select n from fact order by n')).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
  })

  it('is durable, UTF-8 and on loopback only', async () => {
    const postgres = await startOwnPostgres(dataDir)
    const [row] = await query(
      postgres.url,
      `select current_setting('fsync') as fsync, current_setting('server_encoding') as encoding,
              current_setting('listen_addresses') as address, current_setting('unix_socket_directories') as socket`,
    )
    expect(row).toEqual({ fsync: 'on', encoding: 'UTF8', address: '127.0.0.1', socket: '' })
  })

  it('refuses a second caller on the same folder and lets one in after stop', async () => {
    const first = await startPostgres({ dataDir, settings: { fsync: 'off' } })
    await expect(startPostgres({ dataDir })).rejects.toThrow('already in use')
    const neighbour = runScript(
      `${IMPORT_POSTGRES}; await startPostgres({ dataDir: ${JSON.stringify(dataDir)} })`,
    )
    expect(await neighbour.failure()).toContain(`in use by process ${process.pid}`)
    await query(first.url, 'select 1')
    await first.stop()
    expect(await isListening(first.port)).toBe(false)
    const second = await startPostgres({ dataDir, settings: { fsync: 'off' } })
    expect(second.url).toBe(first.url)
    await second.stop()
  })

  it('takes over what a killed owner left running', async () => {
    const owner = runScript(
      `${IMPORT_POSTGRES}; const { url } = await startPostgres({ dataDir: ${JSON.stringify(dataDir)}, settings: { fsync: 'off' } })
       console.log(url); setInterval(() => {}, 1000)`,
    )
    const url = await owner.firstLine()
    await query(url, 'create table legacy as select 1 as n')
    await owner.end('SIGKILL')
    expect(await isListening(Number(new URL(url).port))).toBe(true)
    const heir = await startPostgres({ dataDir })
    expect(await query(heir.url, `select n, current_setting('fsync') as fsync from legacy`)).toEqual([
      { n: 1, fsync: 'on' },
    ])
    await heir.stop()
    expect(await isListening(heir.port)).toBe(false)
  })

  it('starts although postmaster.pid names a pid that now belongs to another program', async () => {
    const pidFile = join(dataDir, 'pgdata', 'postmaster.pid')
    const first = await startPostgres({ dataDir, settings: { fsync: 'off' } })
    const [, ...rest] = (await readFile(pidFile, 'utf8')).split('\n')
    await first.kill()
    await first.stop()
    await writeFile(pidFile, [process.pid, ...rest].join('\n'))
    const second = await startPostgres({ dataDir, settings: { fsync: 'off' } })
    expect(await query(second.url, 'select 1 as n')).toEqual([{ n: 1 }])
    await second.stop()
  })
})

describe('Redis', () => {
  it('keeps an append-only data set over a kill, and loses it on an empty restart', async () => {
    const { redis, client } = await startOwnRedis({ appendonly: true })
    expect(await client.config('GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'noeviction'])
    await client.set('key', 'value')
    await redis.kill()
    expect(await isListening(redis.port)).toBe(false)
    await redis.restart()
    expect(await client.get('key')).toBe('value')
    await redis.restart({ empty: true })
    expect(await client.get('key')).toBeNull()
    client.disconnect()
    await redis.stop()
    expect(await isListening(redis.port)).toBe(false)
  })

  it('falls silent while paused and answers afterwards', async () => {
    const { redis, client } = await startOwnRedis({})
    await client.ping()
    redis.pause()
    const answer = client.ping()
    expect(await Promise.race([answer, wait(200, 'silence')])).toBe('silence')
    redis.cont()
    expect(await answer).toBe('PONG')
    redis.pause() // and a paused one can be stopped
  })
})

describe('fauxqs', () => {
  it('remembers each request with the keys of a DeleteObjects', async () => {
    const server = await startFauxqs()
    onTestFinished(() => server.stop())
    await server.createBucket('bucket')
    expect(server.requests).toEqual([])
    const client = createS3Client(server.url, 'any', 'secret')
    await client.send(new PutObjectCommand({ Bucket: 'bucket', Key: 'dir/a&b', Body: 'text' }))
    const Objects = [{ Key: 'dir/a&b' }, { Key: 'dir/<ü>' }]
    await client.send(new DeleteObjectsCommand({ Bucket: 'bucket', Delete: { Objects } }))
    const [put, deletion] = server.requests
    expect(put).toMatchObject({ method: 'PUT', path: '/bucket/dir/a%26b', status: 200 })
    expect(deletion).toMatchObject({ method: 'POST', deletedKeys: ['dir/a&b', 'dir/<ü>'], status: 200 })
    server.forgetRequests()
    expect(server.requests).toEqual([])
  })
})

const hasGateway = process.env['CI'] === 'true' || (await findVersityGateway()) !== undefined

describe.skipIf(!hasGateway)('versitygw', () => {
  it('serves the right credentials and refuses others', { timeout: 600_000 }, async () => {
    const gateway = await startVersityGateway({ accessKey: 'access', secretKey: 'right', versioning: true })
    onTestFinished(() => gateway.stop())
    await gateway.createBucket('bucket')
    const { Buckets } = await createS3Client(gateway.url, 'access', 'right').send(new ListBucketsCommand())
    expect(Buckets?.map(({ Name }) => Name)).toEqual(['bucket'])
    const stranger = createS3Client(gateway.url, 'access', 'wrong').send(new ListBucketsCommand())
    await expect(stranger).rejects.toMatchObject({ name: 'SignatureDoesNotMatch' })
    await gateway.stop()
    expect(await isListening(gateway.port)).toBe(false)
  })
})

describe('the TCP proxy', async () => {
  const seen: string[] = []
  const server = createServer(({ url = '' }, response) => {
    seen.push(url)
    response.end('x'.repeat(1000))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const proxy = await startTcpProxy({ target: `http://127.0.0.1:${port}` })
  const dispatcher = new Agent()
  const get = async (path: string, timeoutMs = 5000) => {
    const signal = AbortSignal.timeout(timeoutMs)
    // `reset`: a connection per request.
    const { body } = await request(`${proxy.url}${path}`, { dispatcher, signal, reset: true })
    return body.text()
  }

  afterEach(() => {
    proxy.clear()
    seen.length = 0
  })
  afterAll(async () => {
    await dispatcher.destroy()
    await proxy.stop()
    server.close()
  })

  it('passes everything while no fault is set', async () => {
    expect(await get('/plain')).toHaveLength(1000)
  })

  it('delays both ways', async () => {
    proxy.set({ kind: 'latency', ms: 100 })
    const startedAt = performance.now()
    await get('/late')
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(195)
  })

  it('trickles, and hurries once the fault is lifted', async () => {
    proxy.set({ kind: 'slow', bytesPerSecond: 1000 })
    const answer = get('/slow')
    expect(await Promise.race([answer, wait(300, 'slow')])).toBe('slow')
    proxy.clear()
    expect(await answer).toHaveLength(1000)
  })

  it('swallows everything, and delivers it once the fault is lifted', async () => {
    proxy.set({ kind: 'blackhole' })
    const answer = get('/hole')
    expect(await Promise.race([answer, wait(200, 'nothing')])).toBe('nothing')
    expect(seen).toEqual([])
    proxy.clear()
    expect(await answer).toHaveLength(1000)
  })

  it('loses the answer after the server has acted', async () => {
    proxy.set({ kind: 'break-answer', afterBytes: 0, ending: 'reset' })
    await expect(get('/lost')).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(seen).toEqual(['/lost'])
  })

  it('loses the answer without a sign', async () => {
    proxy.set({ kind: 'break-answer', afterBytes: 0, ending: 'hang' })
    await expect(get('/hang', 200)).rejects.toMatchObject({ name: 'TimeoutError' })
    expect(seen).toEqual(['/hang'])
    await vi.waitFor(() => expect(proxy.connections).toBe(0))
  })

  it('delivers half a body', async () => {
    proxy.set({ kind: 'break-answer', afterBytes: 600, ending: 'cut' })
    await expect(get('/half')).rejects.toMatchObject({ code: 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH' })
    expect(seen).toEqual(['/half'])
  })

  it('resets new connections', async () => {
    proxy.set({ kind: 'refuse' })
    await expect(get('/refused')).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(seen).toEqual([])
  })

  it.each(['cut', 'reset'] as const)('breaks what is open: %s', async (ending) => {
    proxy.set({ kind: 'blackhole' })
    const answer = get('/open').catch((error: Error) => error)
    await vi.waitFor(() => expect(proxy.connections).toBe(1))
    proxy.breakAll(ending)
    expect(await answer).toBeInstanceOf(Error)
    await vi.waitFor(() => expect(proxy.connections).toBe(0))
  })
})

describe('provisionServices', () => {
  it('gives each caller a database of its own on the services it started', async () => {
    // The run's own services are in our environment; this test starts others.
    for (const name of ['TEST_DATABASE_URL', 'TEST_REDIS_URL', 'TEST_S3_URL']) vi.stubEnv(name, '')
    onTestFinished(() => void vi.unstubAllEnvs())
    const { env, stop } = await provisionServices({ need: ['postgres', 'redis', 's3'] })
    const url = env['TEST_DATABASE_URL'] ?? ''
    const [one, two] = await Promise.all([createDatabase(url, 'Run 1'), createDatabase(url, 'Run 1')])
    await query(one.url, 'create table fact (n int)')
    const copy = await createDatabase(url, 'copy', { template: one.name })
    expect(await query(copy.url, 'select * from fact')).toEqual([])
    await expect(query(two.url, 'select * from fact')).rejects.toThrow('does not exist')
    await Promise.all([one, two, copy].map((database) => database.drop()))
    await expect(query(one.url, 'select 1')).rejects.toThrow('does not exist')
    await stop()
    await stop()
    expect(await areListening(env)).toEqual([false, false, false])
  })

  it('uses what the environment names', async () => {
    vi.stubEnv('TEST_REDIS_URL', 'redis://elsewhere:6379')
    onTestFinished(() => void vi.unstubAllEnvs())
    const { env, stop } = await provisionServices({ need: ['redis'] })
    expect(env).toEqual({ TEST_REDIS_URL: 'redis://elsewhere:6379' })
    await stop()
  })

  it.each([
    { signal: 'SIGINT', need: ['postgres', 'redis'] },
    { signal: 'SIGTERM', need: ['redis'] },
  ] as const)('leaves no process behind on $signal', async ({ signal, need }) => {
    const child = runScript(provisionAndWait(need))
    const env = JSON.parse(await child.firstLine())
    expect(await areListening(env)).not.toContain(false)
    expect(await child.end(signal)).toBe(signal)
    expect(await areListening(env)).not.toContain(true)
  })

  it('reaps what a killed process left, at the next start', async () => {
    const child = runScript(provisionAndWait(['postgres', 'redis']))
    const env = JSON.parse(await child.firstLine())
    await child.end('SIGKILL')
    expect(await areListening(env)).toEqual([true, true])
    const next = runScript(`${IMPORT_PROVISION}; await (await provisionServices({ need: ['redis'] })).stop()`)
    expect(await next.end()).toBe(0)
    expect(await areListening(env)).toEqual([false, false])
  })
})

// --- helpers

const importOf = (names: string, path: string) =>
  `const { ${names} } = await import(${JSON.stringify(resolve(path))})`
const IMPORT_POSTGRES = importOf('startPostgres', 'src/cli/embedded-postgres.ts')
const IMPORT_PROVISION = importOf('provisionServices', 'dev/services/provision.ts')
const provisionAndWait = (need: readonly string[]) => `${IMPORT_PROVISION}
  const { env } = await provisionServices({ need: ${JSON.stringify(need)} })
  console.log(JSON.stringify(env)); setInterval(() => {}, 1000)`

/** Runs a script in a process of its own, without the services our environment may name. */
function runScript(script: string) {
  const env = { ...process.env, TEST_DATABASE_URL: '', TEST_REDIS_URL: '' }
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], { env })
  onTestFinished(() => void child.kill('SIGKILL'))
  const exited = once(child, 'exit')
  let errors = ''
  child.stderr.on('data', (text) => {
    errors += text
  })
  return {
    firstLine: () => readFirstLine(child, () => errors),
    failure: async () => {
      await exited
      return errors
    },
    /** Answers the signal or the code it ended with. */
    end: async (signal?: NodeJS.Signals) => {
      if (signal) child.kill(signal)
      const [code, endedBy] = await exited
      return endedBy ?? code
    },
  }
}

async function readFirstLine(child: ChildProcess, errors: () => string): Promise<string> {
  for await (const text of child.stdout ?? []) return String(text).trim()
  throw new Error(`The script ended without a word: ${errors()}`)
}

async function startOwnPostgres(dataDir: string, settings: Record<string, string> = {}) {
  const postgres = await startPostgres({ dataDir, settings })
  onTestFinished(() => postgres.stop())
  return postgres
}

async function startOwnRedis(options: { appendonly?: boolean }) {
  const redis = await startRedis(options)
  const client = new Redis(redis.url, { retryStrategy: () => 20, maxRetriesPerRequest: null })
  client.on('error', () => undefined)
  onTestFinished(async () => {
    client.disconnect()
    await redis.stop()
  })
  return { redis, client }
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

const createS3Client = (endpoint: string, accessKeyId: string, secretAccessKey: string) =>
  new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  })

const areListening = (env: Record<string, string>) =>
  Promise.all(Object.values(env).map((url) => isListening(Number(new URL(url).port))))

function isListening(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      done(true)
    }).once('error', () => done(false))
  })
}

const wait = <T>(ms: number, value: T) => new Promise<T>((done) => setTimeout(() => done(value), ms))
