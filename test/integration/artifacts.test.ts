/** Uploading and finding jars over HTTP: real services on a real Postgres, on local folders and on S3. */
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { request } from 'undici'
import { v7 } from 'uuid'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Fauxqs, startFauxqs } from '../../dev/services/s3.ts'
import { createClusterRepository } from '../../src/db/clusters.ts'
import { createJobRepository } from '../../src/db/jobs.ts'
import { createSnapshotRepository } from '../../src/db/snapshots.ts'
import { createStorageRepository } from '../../src/db/storages.ts'
import { buildApp } from '../../src/http/app.ts'
import { authenticateByToken } from '../../src/http/authenticate.ts'
import type { App } from '../../src/http/fastify-app.ts'
import type { Uploads } from '../../src/ports/artifacts.ts'
import type { Artifact, Caller } from '../../src/services/api.ts'
import { createCluster } from '../../src/services/create-cluster.ts'
import { createJob } from '../../src/services/create-job.ts'
import { createJobVersion } from '../../src/services/create-job-version.ts'
import { createStorage } from '../../src/services/create-storage.ts'
import { findArtifact } from '../../src/services/find-artifact.ts'
import { resolveArtifact } from '../../src/services/resolve-artifact.ts'
import { uploadArtifact } from '../../src/services/upload-artifact.ts'
import { createJars } from '../../src/storage/jars.ts'
import { createObjectStores } from '../../src/storage/stores.ts'
import { createUploads } from '../../src/storage/uploads.ts'
import { openMigratedDatabase, type TestDatabase } from '../support/database.ts'
import { createCaller } from '../support/fixtures.ts'
import { aClass, aJar, makeJar, manifestOf } from '../support/jars.ts'
import { stubServices } from '../unit/http/support.ts'

const MIB = 1024 * 1024
const MAX_BYTES = 120 * MIB
const JAR = { 'content-type': 'application/java-archive' }

type Answer = { status: number; headers: Record<string, unknown>; body: Record<string, unknown> }

let database: TestDatabase
let folder: string
let s3: Fauxqs
let ports: ReturnType<typeof wire>
let app: App
let url: string
let ours: Caller
let theirs: Caller
/** Uploads under way, and kept on this machine, at the moment; how the last one ended. */
let underWay = 0
let kept = 0
let lastEnd: unknown = null
let callers: Map<string, Caller>

beforeAll(async () => {
  database = await openMigratedDatabase('artifacts')
  folder = await mkdtemp(join(tmpdir(), 'tidemark-artifacts-'))
  await mkdir(join(folder, 'uploads'))
  s3 = await startFauxqs()
  ports = wire()
  callers = new Map()
  app = await buildApp({
    services: stubServices({
      uploadArtifact: uploadArtifact(ports),
      findArtifact: findArtifact(ports),
      createJobVersion: createJobVersion(ports),
    }),
    logger: pino({ level: 'silent' }),
    authenticate: (asking) => authenticateByToken(callers)(asking),
    metrics: new Registry(),
    options: { maxEventLoopDelayMs: 0 },
  })
  url = await app.listen({ host: '127.0.0.1', port: 0 })
})
afterAll(async () => {
  await app?.close()
  await ports?.stores.close()
  await s3?.stop()
  await database?.drop()
  await rm(folder, { recursive: true, force: true })
})

let round = 0
beforeEach(async () => {
  round += 1
  ours = await createTenant('ours')
  theirs = await createTenant('theirs')
})

function wire() {
  const uploads = createUploads({ directory: join(folder, 'uploads') })
  const counted: Uploads = {
    async receive(body, maxBytes) {
      underWay += 1
      const upload = await uploads
        .receive(body, maxBytes)
        .catch((error: unknown) => {
          lastEnd = error
          throw error
        })
        .finally(() => {
          underWay -= 1
        })
      kept += 1
      return { ...upload, discard: () => upload.discard().finally(() => (kept -= 1)) }
    },
  }
  return {
    clusters: createClusterRepository(database.db),
    storages: createStorageRepository(database.db),
    jobs: createJobRepository(database.db),
    snapshots: createSnapshotRepository(database.db),
    stores: createObjectStores({
      secrets: { read: async () => 'test' },
      localRoots: [folder],
      s3Limits: { requestTimeoutMs: 1_000, connectionTimeoutMs: 1_000, maxAttempts: 1 },
    }),
    uploads: counted,
    jars: createJars(),
    maxArtifactBytes: MAX_BYTES,
    localRoots: [folder],
    newId: v7,
  }
}

/** With the storages `state` (a folder), `bucket` (S3), `away` (nobody listens) and `hdfs` (Flink alone reaches it). */
async function createTenant(name: string): Promise<Caller> {
  const caller = await createCaller(database.db, `${name}-${round}`)
  callers.set(tokenOf(caller), caller)
  const root = join(folder, caller.namespace)
  await mkdir(root)
  await s3.createBucket(caller.namespace)
  const credentials = {
    accessKeyId: { env: `TIDEMARK_SECRET_${caller.namespace.toUpperCase().replace('-', '_')}_ID` },
    secretAccessKey: { env: `TIDEMARK_SECRET_${caller.namespace.toUpperCase().replace('-', '_')}_KEY` },
  }
  const onS3 = { provider: 'minio' as const, credentials }
  const create = createStorage(ports)
  await create({ caller, name: 'state', uri: `file://${root}` })
  await create({ caller, name: 'bucket', uri: `s3://${caller.namespace}/flink`, endpoint: s3.url, ...onS3 })
  await create({
    caller,
    name: 'away',
    uri: `s3://${caller.namespace}-away/x`,
    endpoint: 'http://127.0.0.1:1',
    ...onS3,
  })
  await create({ caller, name: 'hdfs', uri: `hdfs://${caller.namespace}/x`, provider: 'flink-only' })
  return caller
}

const tokenOf = (caller: Caller) => `token-of-${caller.namespace}`
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const filesOf = async (caller: Caller) =>
  readdir(join(folder, caller.namespace, '_artifacts')).catch(() => [] as string[])

async function send(
  method: 'GET' | 'POST',
  path: string,
  {
    caller = ours,
    body,
    headers = JAR,
  }: { caller?: Caller; body?: unknown; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const answer = await request(`${url}${path}`, {
    method,
    headers: { authorization: `Bearer ${tokenOf(caller)}`, ...(method === 'POST' ? headers : {}) },
    ...(body === undefined ? {} : { body: body as Buffer }),
  })
  return {
    status: answer.statusCode,
    headers: answer.headers,
    body: (await answer.body.json()) as Record<string, unknown>,
  }
}
const upload = (body: unknown, storage = 'state', options: Parameters<typeof send>[2] = {}) =>
  send('POST', `/v1/artifacts?storage=${storage}`, { body, ...options })

/** Nothing is kept: neither in the storage nor on this machine. */
async function expectNothingKept() {
  expect(await filesOf(ours)).toEqual([])
  expect(await readdir(join(folder, 'uploads'))).toEqual([])
  expect(kept).toBe(0)
}

describe('a jar', () => {
  it.each(['state', 'bucket'])(
    'is kept by its content in the storage %s, and found there',
    async (storage) => {
      const jar = aJar(`first ${storage}`)
      const answer = await upload(jar, storage)
      const root = storage === 'state' ? `file://${folder}/${ours.namespace}` : `s3://${ours.namespace}/flink`
      const artifact = {
        artifact: `sha256:${sha256(jar)}`,
        sha256: sha256(jar),
        sizeBytes: jar.length,
        storage: { id: expect.any(String), name: storage },
        location: `${root}/_artifacts/${sha256(jar)}`,
        mainClass: 'org.example.Job',
      }
      expect(answer).toMatchObject({ status: 201, body: { ...artifact, existed: false } })
      expect(answer.headers['location']).toBe(`/v1/artifacts/sha256:${sha256(jar)}?storage=${storage}`)

      const again = await upload(jar, storage, { headers: { ...JAR, 'idempotency-key': 'k' } })
      expect(again).toMatchObject({ status: 200, body: { ...artifact, existed: true } })
      const found = await send('GET', String(answer.headers['location']))
      expect(found).toMatchObject({ status: 200, body: { ...artifact, existed: true } })
      expect(kept).toBe(0)
      expect(await readdir(join(folder, 'uploads'))).toEqual([])
    },
  )

  it('without a main class, sent in chunks of unknown length under any of its media types, is one, too', async () => {
    for (const type of ['application/x-java-archive', 'application/zip', 'application/octet-stream; x=y']) {
      const jar = makeJar([aClass, { name: 'type', content: type }])
      async function* pieces() {
        for (let at = 0; at < jar.length; at += 10) yield jar.subarray(at, at + 10)
      }
      const answer = await upload(pieces(), 'state', { headers: { 'content-type': type } })
      expect(answer).toMatchObject({ status: 201, body: { sha256: sha256(jar), mainClass: null } })
    }
  })

  it('sent by many at once is one object', async () => {
    const jar = aJar('many')
    const answers = await Promise.all(Array.from({ length: 8 }, () => upload(jar)))
    expect(answers.every(({ status }) => status === 201 || status === 200)).toBe(true)
    expect(await filesOf(ours)).toEqual([sha256(jar)])
    expect(await readFile(join(folder, ours.namespace, '_artifacts', sha256(jar)))).toEqual(jar)
  })

  it('of 100 MB goes through without being held in memory', async () => {
    const jar = makeJar([
      manifestOf(),
      { name: 'large', content: Buffer.alloc(100_000_000, 'x'), store: true },
    ])
    const measure = () => process.memoryUsage().arrayBuffers
    const before = measure()
    let most = 0
    async function* pieces() {
      for (let at = 0; at < jar.length; at += 65_536) {
        most = Math.max(most, measure() - before)
        yield jar.subarray(at, at + 65_536)
      }
    }
    expect(await upload(pieces())).toMatchObject({ status: 201, body: { sha256: sha256(jar) } })
    expect(most).toBeLessThan(64 * MIB)
  })

  it('replaces what has its name and another size', async () => {
    const jar = aJar('replaced')
    await mkdir(join(folder, ours.namespace, '_artifacts'), { recursive: true })
    await writeFile(join(folder, ours.namespace, '_artifacts', sha256(jar)), 'half')
    const path = `/v1/artifacts/sha256:${sha256(jar)}?storage=state`
    expect(await send('GET', path)).toMatchObject({ status: 409, body: { code: 'STORAGE_INCONSISTENT' } })
    expect(await upload(jar)).toMatchObject({ status: 201, body: { existed: false } })
    expect(await send('GET', path)).toMatchObject({ status: 200 })
  })

  it('of another tenant is not there for us, and their storage is none', async () => {
    const jar = aJar('theirs')
    const { body } = await upload(jar, 'state', { caller: theirs })
    expect(await send('GET', `/v1/artifacts/sha256:${sha256(jar)}?storage=state`)).toMatchObject({
      status: 404,
      body: { code: 'NOT_FOUND' },
    })
    const { id } = body['storage'] as { id: string }
    expect(await upload(jar, id)).toMatchObject({ status: 404, body: { code: 'REFERENCE_NOT_FOUND' } })
    expect(await send('GET', `/v1/artifacts/sha256:${sha256(jar)}?storage=${id}`)).toMatchObject({
      status: 404,
      body: { code: 'REFERENCE_NOT_FOUND' },
    })
    await expectNothingKept()
  })
})

describe('refused, with nothing kept:', () => {
  const cutOff = aJar('cut').subarray(0, 100)
  it.each([
    ['no body', undefined],
    ['an empty body', Buffer.alloc(0)],
    ['a text', Buffer.from('public class Job {}')],
    ['a zip file that was cut off', cutOff],
    ['a zip file of texts', makeJar([{ name: 'readme.txt', content: 'hello' }])],
  ])('%s', async (_what, body) => {
    expect(await upload(body)).toMatchObject({ status: 400, body: { code: 'ARTIFACT_INVALID' } })
    await expectNothingKept()
  })

  it.each(['application/json', 'text/plain', 'multipart/form-data; boundary=x'])(
    'the media type %s',
    async (type) => {
      const answer = await upload(aJar(), 'state', { headers: { 'content-type': type } })
      expect(answer).toMatchObject({ status: 415, body: { code: 'UNSUPPORTED_MEDIA_TYPE' } })
      expect(String(answer.body['detail'])).toContain('application/java-archive')
      await expectNothingKept()
    },
  )

  it('what is no media type', async () => {
    const answer = await upload(aJar(), 'state', { headers: { 'content-type': 'nonsense' } })
    expect(answer).toMatchObject({ status: 415, body: { code: 'UNSUPPORTED_MEDIA_TYPE' } })
  })

  it('a jar where JSON is asked for', async () => {
    const answer = await send('POST', '/v1/jobs/orders/versions', { body: aJar() })
    expect(answer).toMatchObject({ status: 415, body: { code: 'UNSUPPORTED_MEDIA_TYPE' } })
  })

  it.each(['', '../state', '%2e%2e', 'a/b', 'State', '&storage=state&storage=state', 'state&other=1'])(
    'the storage %j',
    async (storage) => {
      expect(await upload(aJar(), storage)).toMatchObject({
        status: 400,
        body: { code: 'VALIDATION_FAILED' },
      })
      await expectNothingKept()
    },
  )

  it('no storage, one that is not there, one that only Flink reaches, one that is away', async () => {
    const refusals = [
      [await send('POST', '/v1/artifacts', { body: aJar() }), 400, 'VALIDATION_FAILED'],
      [await upload(aJar(), 'nowhere'), 404, 'REFERENCE_NOT_FOUND'],
      [await upload(aJar(), 'hdfs'), 409, 'STORAGE_NOT_ADDRESSABLE'],
      [await upload(aJar(), 'away'), 503, 'STORAGE_UNREACHABLE'],
    ] as const
    for (const [answer, status, code] of refusals) expect(answer).toMatchObject({ status, body: { code } })
    await expectNothingKept()
  })

  it('more than is allowed, said or unsaid, and the client hears of it', async () => {
    const piece = Buffer.alloc(MIB)
    async function* endless(pieces: number) {
      for (let at = 0; at < pieces; at++) yield piece
    }
    const tooMuch = MAX_BYTES / MIB + 1
    expect(await upload(endless(tooMuch))).toMatchObject({ status: 413, body: { code: 'BODY_TOO_LARGE' } })
    const length = { ...JAR, 'content-length': String(tooMuch * MIB) }
    expect(await upload(endless(tooMuch), 'state', { headers: length })).toMatchObject({ status: 413 })
    await expectNothingKept()
  })

  it('an upload that breaks off', async () => {
    const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
    socket.write(
      `POST /v1/artifacts?storage=state HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${tokenOf(ours)}\r\n` +
        `content-type: application/zip\r\ncontent-length: 1000000\r\n\r\n`,
    )
    socket.write(aJar())
    await expect.poll(() => underWay).toBe(1)
    socket.destroy()
    await expect.poll(() => underWay).toBe(0)
    expect(lastEnd).toMatchObject({ code: 'ARTIFACT_INVALID' })
    await expectNothingKept()
  })

  it('a JSON body that does not come within a minute; a jar may take longer', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const slow = (path: string, type: string) => {
        const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
        socket.write(
          `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${tokenOf(ours)}\r\n` +
            `content-type: ${type}\r\ncontent-length: 1000\r\n\r\n{`,
        )
        return socket
      }
      const timers = vi.getTimerCount()
      const json = slow('/v1/jobs/orders/versions', 'application/json')
      const jar = slow('/v1/artifacts?storage=state', 'application/zip')
      const closed = new Promise<void>((resolve) => json.once('close', () => resolve()))
      while (underWay === 0 || vi.getTimerCount() === timers) await new Promise(setImmediate)
      vi.advanceTimersByTime(59_000)
      expect(json.closed).toBe(false)
      vi.advanceTimersByTime(1_000)
      await closed
      expect(underWay).toBe(1)
      jar.destroy()
    } finally {
      vi.useRealTimers()
    }
    await expect.poll(() => underWay).toBe(0)
  })

  it('without a token, or a name that is no artifact', async () => {
    const answer = await request(`${url}/v1/artifacts?storage=state`, {
      method: 'POST',
      headers: JAR,
      body: aJar(),
    })
    expect(answer.statusCode).toBe(401)
    for (const name of [
      'sha256:00',
      'SHA256:'.padEnd(71, '0'),
      '..%2f..%2fetc',
      `sha256:${'0'.repeat(65)}`,
    ]) {
      expect(await send('GET', `/v1/artifacts/${name}?storage=state`), name).toMatchObject({ status: 400 })
    }
    await expectNothingKept()
  })
})

describe('the artifact of a version', () => {
  const newJob = async (savepointStorage: string, attach?: { flinkJobName: string }) => {
    await createCluster(ports)({ caller: ours, name: 'flink', url: 'http://flink:8081' })
    await createJob(ports)({
      caller: ours,
      name: 'orders',
      cluster: 'flink',
      savepointStorage,
      ...(attach && { attach }),
    })
  }
  const newVersion = (artifact: string) =>
    send('POST', '/v1/jobs/orders/versions', {
      body: Buffer.from(JSON.stringify({ artifact })),
      headers: { 'content-type': 'application/json' },
    })

  it('must be there when the job is managed', async () => {
    await newJob('state')
    const jar = aJar('version')
    const artifact = `sha256:${sha256(jar)}`
    const missing = {
      status: 404,
      body: { code: 'REFERENCE_NOT_FOUND', errors: [{ pointer: '/body/artifact' }] },
    }
    expect(await newVersion(artifact)).toMatchObject(missing)
    expect(await newVersion(`file://${folder}/${ours.namespace}/no.jar`)).toMatchObject(missing)
    const { body } = await upload(jar)
    expect(await newVersion(artifact)).toMatchObject({ status: 201, body: { artifact, warnings: [] } })
    const location = String(body['location'])
    expect(await newVersion(location)).toMatchObject({
      status: 201,
      body: { artifact: location, warnings: [] },
    })
  })

  it('lies inside a storage of the namespace', async () => {
    await newJob('state')
    await upload(aJar('theirs'), 'state', { caller: theirs })
    const [file] = await filesOf(theirs)
    for (const [artifact, code] of [
      [`file://${folder}/${theirs.namespace}/_artifacts/${file}`, 'LOCATION_OUTSIDE_ROOT'],
      ['s3://elsewhere/job.jar', 'LOCATION_OUTSIDE_ROOT'],
      [`file://${folder}/${ours.namespace}/../${theirs.namespace}/x`, 'LOCATION_INVALID'],
      ['job.jar', 'LOCATION_INVALID'],
    ] as const) {
      expect(await newVersion(artifact), artifact).toMatchObject({
        status: 400,
        body: { code, errors: [{ pointer: '/body/artifact' }] },
      })
    }
  })

  it.each(['away', 'hdfs'])('is not asked for in vain: the storage %s is a warning', async (storage) => {
    await newJob(storage)
    expect(await newVersion(`sha256:${'0'.repeat(64)}`)).toMatchObject({
      status: 201,
      body: { warnings: [{ code: 'ARTIFACT_UNCHECKED', pointers: ['/artifact'] }] },
    })
  })

  it('is not asked for when the job is attached', async () => {
    await newJob('state', { flinkJobName: 'orders' })
    expect(await newVersion('local:///opt/flink/usrlib/job.jar')).toMatchObject({
      status: 201,
      body: { warnings: [] },
    })
  })
})

describe('resolving an artifact', () => {
  const resolve = async (artifact: string, storage = 'state') => {
    const row = await ports.storages.find(ours, storage)
    if (row === null) throw new Error(storage)
    return resolveArtifact(ports, ours, { storage: { ...row.address, name: row.name }, artifact })
  }
  const readAll = async (chunks: AsyncIterable<Uint8Array>) => {
    const all: Uint8Array[] = []
    for await (const chunk of chunks) all.push(chunk)
    return Buffer.concat(all)
  }

  it.each(['state', 'bucket'])('gives its bytes, again and again (%s)', async (storage) => {
    const jar = aJar(`resolved ${storage}`)
    const { body } = (await upload(jar, storage)) as unknown as { body: Artifact }
    const byContent = await resolve(body.artifact, storage)
    expect(byContent).toMatchObject({ name: `${body.sha256}.jar`, sizeBytes: jar.length })
    expect(await readAll(byContent.read())).toEqual(jar)
    expect(await readAll(byContent.read())).toEqual(jar)
    const byPlace = await resolve(body.location)
    expect(byPlace.name).toMatch(/^[0-9a-f]{64}\.jar$/)
    expect(await readAll(byPlace.read())).toEqual(jar)
    expect((await resolve(body.location)).name).toBe(byPlace.name)
  })

  it('names a jar anew when another one lies in its place', async () => {
    const place = join(folder, ours.namespace, 'orders.jar')
    await writeFile(place, aJar('one'))
    const { name } = await resolve(`file://${place}`)
    await writeFile(place, aJar('another one'))
    expect((await resolve(`file://${place}`)).name).not.toBe(name)
  })

  it('says apart what is proven missing and what could not be asked', async () => {
    const none = `sha256:${'0'.repeat(64)}`
    await expect(resolve(none)).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' })
    await expect(resolve(none, 'bucket')).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' })
    await expect(resolve(none, 'away')).rejects.toMatchObject({ name: 'StorageError', kind: 'unreachable' })
    await expect(resolve(none, 'hdfs')).rejects.toMatchObject({ code: 'STORAGE_NOT_ADDRESSABLE' })
    await rm(join(folder, ours.namespace), { recursive: true })
    await expect(resolve(none)).rejects.toMatchObject({ kind: 'bucket-missing' })
  })
})
