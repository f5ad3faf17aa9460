/** Large objects, streamed: the same contract on a local folder, on a small S3 server and on a real one; then their faults. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startFauxqs, startVersityGateway } from '../../dev/services/s3.ts'
import { joinLocation, type Location } from '../../src/domain/location.ts'
import type { ObjectContent, ObjectStore, ObjectStores, StorageAddress } from '../../src/ports/storage.ts'
import { openLocalStore } from '../../src/storage/local.ts'
import type { OpenStore } from '../../src/storage/open-store.ts'
import { openS3Store } from '../../src/storage/s3.ts'
import { createObjectStores } from '../../src/storage/stores.ts'
import { HOSTILE_SEGMENTS } from '../support/hostile-locations.ts'
import { type ScriptedS3, sendError, sendXml, startScriptedS3 } from '../support/scripted-s3.ts'
import { fixedSecrets, storageAddress } from '../support/storage-address.ts'

const MIB = 1024 * 1024

type Backend = { address: StorageAddress; localRoots: string[]; stop(): Promise<void> }

async function startLocal(): Promise<Backend> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-stream-'))
  await mkdir(join(folder, 'root'))
  return {
    address: storageAddress(`file://${folder}/root`, { provider: 'local', credentials: null }),
    localRoots: [folder],
    stop: () => rm(folder, { recursive: true }),
  }
}

async function startFaux(): Promise<Backend> {
  const server = await startFauxqs()
  await server.createBucket('bucket')
  const address = storageAddress('s3://bucket/root', { provider: 'minio', endpoint: server.url })
  return { address, localRoots: [], stop: server.stop }
}

async function startVersity(): Promise<Backend> {
  const gateway = await startVersityGateway({ accessKey: 'test', secretKey: 'test' })
  await gateway.createBucket('bucket')
  const address = storageAddress('s3://bucket/root', { provider: 'minio', endpoint: gateway.url })
  return { address, localRoots: [], stop: gateway.stop }
}

/** `sizeBytes` of bytes that differ from place to place and from `seed` to `seed`, never all in memory. */
function content(sizeBytes: number, seed = 1): ObjectContent & { reads: number } {
  const counted = {
    sizeBytes,
    reads: 0,
    async *read() {
      counted.reads += 1
      for (let at = 0; at < sizeBytes; at += 1_000_003) {
        yield new Uint8Array(Math.min(1_000_003, sizeBytes - at)).fill((at / 1_000_003 + seed) % 251)
      }
    },
  }
  return counted
}

async function digest(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of chunks) hash.update(chunk)
  return hash.digest('hex')
}

/** What breaks off after its first piece. */
const broken = (sizeBytes: number): ObjectContent => ({
  sizeBytes,
  async *read() {
    yield new Uint8Array(1_000_000)
    throw new Error('the source broke')
  },
})

describe.each([
  { name: 'a local folder', start: startLocal, largest: 96 * MIB },
  { name: 'a small S3 server', start: startFaux, largest: 5 * MIB }, // it takes no larger bodies
  { name: 'versitygw', start: startVersity, largest: 96 * MIB },
])('a stream put into $name', ({ start, largest }) => {
  let backend: Backend
  let stores: ObjectStores
  let store: ObjectStore
  let root: Location
  beforeAll(async () => {
    backend = await start()
    stores = createObjectStores({ secrets: fixedSecrets, localRoots: backend.localRoots })
    store = stores.of(backend.address)
    root = backend.address.root
  })
  afterAll(async () => {
    await stores?.close()
    await backend?.stop()
  })
  const keysBelow = async (folder: string) =>
    (await store.list(joinLocation(root, folder))).objects.map(({ location }) => location.segments.at(-1))

  it.each([0, 1, 5 * MIB, 64 * MIB, 64 * MIB + 1, 96 * MIB].filter((size) => size <= largest))(
    'of %i bytes is there, whole',
    async (size) => {
      const location = joinLocation(root, 'sizes', `of-${size}`)
      await store.putStream(location, content(size))
      expect(await store.head(location)).toMatchObject({ sizeBytes: size })
      expect(await digest(store.read(location))).toBe(await digest(content(size).read()))
    },
  )

  it('replaces what stood there, and is one object when two put it at once', async () => {
    const location = joinLocation(root, 'twice', 'object')
    const size = Math.min(70 * MIB, largest)
    await store.putStream(location, content(3 * MIB, 7))
    await Promise.all([1, 1, 1].map((seed) => store.putStream(location, content(size, seed))))
    expect(await digest(store.read(location))).toBe(await digest(content(size, 1).read()))
    expect(await keysBelow('twice')).toEqual(['object'])
  })

  it.each([2 * MIB, 80 * MIB].filter((size) => size < largest))(
    'that breaks off (%i bytes) changes nothing and leaves nothing',
    async (size) => {
      const location = joinLocation(root, `broken-${size}`, 'object')
      await expect(store.putStream(location, broken(size))).rejects.toThrow('the source broke')
      expect(await store.head(location)).toBeNull()
      await store.putStream(location, content(1_000))
      await expect(store.putStream(location, broken(size))).rejects.toThrow('the source broke')
      expect(await digest(store.read(location))).toBe(await digest(content(1_000).read()))
      expect(await keysBelow(`broken-${size}`)).toEqual(['object'])
    },
  )

  const LIES: [what: string, announced: number, real: number][] = [
    ['shorter', 4 * MIB, 3 * MIB],
    ['longer', 4 * MIB, 5 * MIB],
    ['longer by a piece', 1_000_003, 1_000_004],
    ['shorter, in parts,', 90 * MIB, 89 * MIB],
    ['longer, in parts,', 90 * MIB, 91 * MIB],
  ]
  it.each(LIES.filter(([, announced]) => announced <= largest))(
    'that is %s than announced is refused',
    async (what, announced, real) => {
      const location = joinLocation(root, 'lies', what.replaceAll(/\W/g, '-'))
      const lie = { ...content(real), sizeBytes: announced }
      await expect(store.putStream(location, lie)).rejects.toMatchObject({ kind: 'refused' })
      expect(await store.head(location)).toBeNull()
    },
  )

  it('that breaks off only when it is read again changes nothing', async () => {
    const location = joinLocation(root, 'second', 'object')
    let reads = 0
    const source = {
      sizeBytes: 4 * MIB,
      async *read() {
        reads += 1
        yield new Uint8Array(3 * MIB)
        if (reads === 2) throw new Error('the source broke')
        yield new Uint8Array(MIB)
      },
    }
    const outcome = await store.putStream(location, source).catch((error: Error) => error.message)
    expect([undefined, 'the source broke']).toContain(outcome)
    const object = await store.head(location)
    expect(object?.sizeBytes).toBe(outcome === undefined ? 4 * MIB : undefined)
  })

  it('never leaves the root', async () => {
    const source = content(10)
    for (const segment of HOSTILE_SEGMENTS) {
      const location = { ...root, segments: [...root.segments, segment, 'object'] }
      await expect(store.putStream(location, source), JSON.stringify(segment)).rejects.toMatchObject({
        code: expect.stringMatching(/^LOCATION_/),
      })
    }
    const beside = { ...root, segments: [...root.segments.slice(0, -1), 'other'] }
    await expect(store.putStream(beside, source)).rejects.toMatchObject({ code: 'LOCATION_OUTSIDE_ROOT' })
    await expect(store.putStream(root, source)).rejects.toMatchObject({ code: 'LOCATION_OUTSIDE_ROOT' })
    expect(source.reads).toBe(0)
  })
})

it('holds a part of a large object in memory, not the object', { timeout: 120_000 }, async () => {
  const backend = await startVersity()
  const stores = createObjectStores({ secrets: fixedSecrets })
  try {
    const measure = () => process.memoryUsage().arrayBuffers
    const before = measure()
    let most = 0
    const source = content(400 * MIB)
    await stores.of(backend.address).putStream(joinLocation(backend.address.root, 'large'), {
      sizeBytes: source.sizeBytes,
      async *read() {
        for await (const chunk of source.read()) {
          most = Math.max(most, measure() - before)
          yield chunk
        }
      },
    })
    expect(most).toBeLessThan(150 * MIB)
  } finally {
    await stores.close()
    await backend.stop()
  }
})

describe('a local folder', () => {
  let backend: Backend
  let folder: string
  beforeEach(async () => {
    backend = await startLocal()
    folder = backend.localRoots[0] ?? ''
  })
  afterEach(() => backend.stop())
  const open = () => openLocalStore(backend.address.root, backend.localRoots)

  it('shows nothing of a process that dies between writing and renaming, and the next one succeeds', async () => {
    const location = joinLocation(backend.address.root, '_artifacts', 'jar')
    const code = `
      const { openLocalStore } = await import(${JSON.stringify(sourceUrl('storage/local.ts'))})
      const { parseLocation } = await import(${JSON.stringify(sourceUrl('domain/location.ts'))})
      const store = openLocalStore(parseLocation('${folder}/root'), ['${folder}'])
      await store.putStream(parseLocation('${folder}/root/_artifacts/jar'), {
        sizeBytes: 9,
        async *read() {
          yield new TextEncoder().encode('complete!')
          process.kill(process.pid, 'SIGKILL')
        },
      })`
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code], {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
      stdio: 'inherit',
    })
    const [, signal] = await once(child, 'exit')
    expect(signal).toBe('SIGKILL')
    const left = await readdir(join(folder, 'root/_artifacts'))
    expect(left).toEqual([expect.stringMatching(/^jar\.[0-9a-f-]{36}\.unfinished$/)])
    expect(await open().head(location)).toBeNull()

    await open().putStream(location, content(1_000))
    expect(await open().head(location)).toMatchObject({ sizeBytes: 1_000 })
  })

  it('is not left through a link', async () => {
    await mkdir(join(folder, 'outside'))
    await symlink(join(folder, 'outside'), join(folder, 'root/_artifacts'))
    const location = joinLocation(backend.address.root, '_artifacts', 'jar')
    await expect(open().putStream(location, content(10))).rejects.toMatchObject({
      code: 'LOCATION_OUTSIDE_ROOT',
    })
    expect(await readdir(join(folder, 'outside'))).toEqual([])
  })
})

const sourceUrl = (path: string): string => new URL(`../../src/${path}`, import.meta.url).href

describe('an S3 server', () => {
  const LIMITS = {
    requestTimeoutMs: 5_000,
    connectionTimeoutMs: 5_000,
    callTimeoutMs: 10_000,
    maxAttempts: 1,
  }
  let server: ScriptedS3
  let store: OpenStore
  let location: Location
  beforeAll(async () => {
    server = await startScriptedS3()
    const address = storageAddress('s3://bucket/root', { provider: 'minio', endpoint: server.url })
    location = joinLocation(address.root, 'object')
    store = openS3Store('minio', address, fixedSecrets, LIMITS)
  })
  afterAll(async () => {
    store.close()
    await server.close()
  })
  const asked = () =>
    server.requests.map(({ method, query }) =>
      `${method} ${query.get('partNumber') ?? [...query.keys()].join(',')}`.trim(),
    )
  /** Accepts every step of an upload in parts. */
  const accept = (
    { method, query }: ScriptedS3['requests'][number],
    response: Parameters<typeof sendXml>[0],
  ) => {
    if (query.has('uploads')) {
      sendXml(
        response,
        200,
        '<InitiateMultipartUploadResult><UploadId>up</UploadId></InitiateMultipartUploadResult>',
      )
    } else if (method === 'POST') {
      sendXml(
        response,
        200,
        '<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>',
      )
    } else if (method === 'DELETE') {
      response.writeHead(204).end()
    } else {
      response.writeHead(200, { etag: `"part-${query.get('partNumber')}"` }).end()
    }
  }

  it('gets up to 64 MiB in one request of a known length, and no checksum it did not ask for', async () => {
    server.answerWith(accept)
    await store.putStream(location, content(5 * MIB))
    expect(asked()).toEqual(['PUT x-id'])
    const [{ headers }] = server.requests as [ScriptedS3['requests'][number]]
    expect(headers).toMatchObject({
      'content-length': String(5 * MIB),
      'x-amz-content-sha256': await digest(content(5 * MIB).read()),
    })
    expect(Object.keys(headers).filter((name) => /checksum|trailer|transfer-encoding/.test(name))).toEqual([])
  })

  it('gets more in parts of 16 MiB, ended by their ETags', async () => {
    server.answerWith(accept)
    await store.putStream(location, content(70 * MIB))
    expect(asked()).toEqual(['POST uploads', 'PUT 1', 'PUT 2', 'PUT 3', 'PUT 4', 'PUT 5', 'POST uploadId'])
    const lengths = server.requests.slice(1, 6).map(({ headers }) => Number(headers['content-length']))
    expect(lengths).toEqual([16, 16, 16, 16, 6].map((mib) => mib * MIB))
    expect(server.requests.at(-1)?.body).toContain('&quot;part-5&quot;')
    expect(server.requests.at(-1)?.body).not.toContain('Checksum')
  })

  it.each([
    ['one request', 5 * MIB],
    ['parts', 70 * MIB],
  ])('that fails twice gets the content (in %s) a third time, from its beginning', async (_way, size) => {
    let failures = 0
    server.answerWith((request, response) => {
      if (request.method === 'PUT' && failures++ < 2) sendError(response, 503, 'SlowDown')
      else accept(request, response)
    })
    await store.putStream(location, content(size))
    expect(failures).toBeGreaterThanOrEqual(3)
  })

  it('that goes on failing is given up, its parts aborted', async () => {
    const source = content(70 * MIB)
    server.answerWith((request, response) => {
      if (request.query.get('partNumber') === '2') sendError(response, 500, 'InternalError')
      else accept(request, response)
    })
    await expect(store.putStream(location, source)).rejects.toMatchObject({ kind: 'unreachable' })
    const once = ['POST uploads', 'PUT 1', 'PUT 2', 'DELETE uploadId,x-id']
    expect(asked().map((line) => line.replace('x-id,uploadId', 'uploadId,x-id'))).toEqual([
      ...once,
      ...once,
      ...once,
    ])
    expect(source.reads).toBe(3)
  })

  it('that fails while we end the upload is asked again, also when it has forgotten the upload', async () => {
    let failures = 0
    const source = content(65 * MIB)
    server.answerWith((request, response) => {
      if (request.method === 'POST' && request.query.has('uploadId') && failures++ === 0) {
        sendError(response, 404, 'NoSuchUpload')
      } else accept(request, response)
    })
    await store.putStream(location, source)
    expect(source.reads).toBe(2)
  })

  it.each([
    [403, 'AccessDenied', 'access-denied'],
    [404, 'NoSuchBucket', 'bucket-missing'],
    [501, 'NotImplemented', 'refused'],
  ])('that answers %i %s is not asked again', async (status, code, kind) => {
    server.answerWith((_request, response) => sendError(response, status, code))
    for (const size of [MIB, 70 * MIB]) {
      const source = content(size)
      await expect(store.putStream(location, source)).rejects.toMatchObject({ name: 'StorageError', kind })
      expect(server.requests.filter(({ method }) => method !== 'DELETE')).toHaveLength(1)
      server.requests.length = 0
    }
  })
})
