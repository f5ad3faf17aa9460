/** One contract, kept by every object store: the same tests run on a local folder and on the S3 protocol. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { startFauxqs } from 'fauxqs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { formatLocation, joinLocation, type Location } from '../../src/domain/location.ts'
import type { ObjectStore, ObjectStores, StorageAddress } from '../../src/ports/storage.ts'
import { createObjectStores } from '../../src/storage/stores.ts'
import { HOSTILE_SEGMENTS } from '../support/hostile-locations.ts'
import { fixedSecrets, storageAddress } from '../support/storage-address.ts'

type Backend = {
  address: StorageAddress
  missing: StorageAddress
  localRoots: string[]
  /** Puts one byte under a key below the root, without the store under test. */
  seed(key: string): Promise<void>
  stop(): Promise<void>
}

async function startLocal(): Promise<Backend> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-store-'))
  await mkdir(join(folder, 'root'))
  return {
    address: storageAddress(`file://${folder}/root`, { provider: 'local', credentials: null }),
    missing: storageAddress(`file://${folder}/missing`, { provider: 'local', credentials: null }),
    localRoots: [folder],
    seed: async (key) => {
      const path = join(folder, 'root', key)
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, '1')
    },
    stop: () => rm(folder, { recursive: true }),
  }
}

async function startS3(): Promise<Backend> {
  const server = await startFauxqs({ port: 0, logger: false })
  server.createBucket('bucket')
  const endpoint = `http://127.0.0.1:${server.port}`
  return {
    address: storageAddress('s3://bucket/root', { provider: 'minio', endpoint }),
    missing: storageAddress('s3://missing-bucket/root', { provider: 'minio', endpoint }),
    localRoots: [],
    seed: async (key) => {
      const { ok } = await fetch(`${endpoint}/bucket/root/${key}`, { method: 'PUT', body: '1' })
      if (!ok) throw new Error(`${key} was not written`)
    },
    stop: () => server.stop(),
  }
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (chunk: Uint8Array | null): string | null =>
  chunk === null ? null : new TextDecoder().decode(chunk)

async function readAll(store: ObjectStore, location: Location): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of store.read(location)) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

async function listAll(store: ObjectStore, prefix: Location, pageSize?: number): Promise<string[][]> {
  const pages: string[][] = []
  let pageToken: string | null = null
  do {
    const options = {
      ...(pageSize === undefined ? {} : { pageSize }),
      ...(pageToken === null ? {} : { pageToken }),
    }
    const page = await store.list(prefix, options)
    pages.push(page.objects.map((object) => object.location.segments.slice(prefix.segments.length).join('/')))
    pageToken = page.nextPageToken
  } while (pageToken !== null)
  return pages
}

describe.each([
  { name: 'a local folder', start: startLocal },
  { name: 'the S3 protocol', start: startS3 },
])('the object store on $name', ({ start }) => {
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
    await stores.close()
    await backend.stop()
  })

  it('reads back what it wrote', async () => {
    const location = joinLocation(root, 'write', 'Zustände', '快照 +%41&\'"<>.bin')
    await store.put(location, bytes('first'))
    await store.put(location, bytes('hello world'))
    expect(await store.head(location)).toMatchObject({
      location,
      sizeBytes: 11,
      modifiedAt: expect.any(Date),
      archived: false,
    })
    expect(await readAll(store, location)).toBe('hello world')
    expect(text(await store.readRange(location, 6, 5))).toBe('world')
    expect(text(await store.readRange(location, 6, 500))).toBe('world')
    expect(text(await store.readRange(location, 0, 0))).toBe('')
    expect(await listAll(store, joinLocation(root, 'write'))).toEqual([['Zustände/快照 +%41&\'"<>.bin']])
  })

  it('reads nothing at and beyond the end of an object', async () => {
    const location = joinLocation(root, 'short')
    await store.put(location, bytes('ab'))
    expect(text(await store.readRange(location, 2, 10))).toBe('')
    expect(text(await store.readRange(location, 50, 10))).toBe('')
  })

  it('keeps an empty object', async () => {
    const location = joinLocation(root, 'empty')
    await store.put(location, new Uint8Array())
    expect(await store.head(location)).toMatchObject({ sizeBytes: 0 })
    expect(await readAll(store, location)).toBe('')
  })

  it('streams a large object in pieces', async () => {
    const location = joinLocation(root, 'large')
    await store.put(location, new Uint8Array(3_000_000).fill(7))
    let size = 0
    let pieces = 0
    for await (const chunk of store.read(location)) {
      size += chunk.length
      pieces += 1
    }
    expect(size).toBe(3_000_000)
    expect(pieces).toBeGreaterThan(1)
  })

  it('proves that an object is missing', async () => {
    const location = joinLocation(root, 'no', 'such', 'object')
    expect(await store.head(location)).toBeNull()
    expect(await store.readRange(location, 0, 10)).toBeNull()
    expect(await store.readRange(location, 0, 0)).toBeNull()
    await expect(readAll(store, location)).rejects.toMatchObject({ name: 'StorageError', kind: 'not-found' })
  })

  it('does not take a folder for an object', async () => {
    await store.put(joinLocation(root, 'folder', 'object'), bytes('x'))
    expect(await store.head(joinLocation(root, 'folder'))).toBeNull()
    expect(await store.readRange(joinLocation(root, 'folder'), 0, 1)).toBeNull()
  })

  it('never proves anything missing when the bucket is missing', async () => {
    const lost = stores.of(backend.missing)
    const location = joinLocation(backend.missing.root, 'a')
    const missing = { name: 'StorageError', kind: 'bucket-missing' }
    await expect(lost.head(location)).rejects.toMatchObject(missing)
    await expect(lost.readRange(location, 0, 1)).rejects.toMatchObject(missing)
    await expect(readAll(lost, location)).rejects.toMatchObject(missing)
    await expect(lost.list(backend.missing.root)).rejects.toMatchObject(missing)
    await expect(lost.put(location, bytes('x'))).rejects.toMatchObject(missing)
    await expect(lost.deleteMany([location])).rejects.toMatchObject(missing)
  })

  it('lists in key order, page by page, and never a sibling', async () => {
    const prefix = joinLocation(root, 'pre')
    for (const names of [
      ['pre', 'b'],
      ['pre', 'a', 'x'],
      ['pre', 'a-b'],
      ['pre', 'ab'],
      ['prefix2', 'c'],
      ['pre-2'],
      ['pre', 'é'],
    ]) {
      await store.put(joinLocation(root, ...names), bytes('1'))
    }
    const keys = ['a-b', 'a/x', 'ab', 'b', 'é']
    expect((await listAll(store, prefix)).flat()).toEqual(keys)
    expect(await listAll(store, prefix, 2)).toEqual([['a-b', 'a/x'], ['ab', 'b'], ['é']])
    expect(await listAll(store, joinLocation(root, 'pr'))).toEqual([[]])
  })

  it('lists 2,500 keys and deletes them all, twice', async () => {
    const prefix = joinLocation(root, 'many')
    const names = Array.from({ length: 2_500 }, (_, index) => [
      `part-${index % 7}`,
      `${index}`.padStart(5, '0'),
    ])
    for (let at = 0; at < names.length; at += 100) {
      await Promise.all(names.slice(at, at + 100).map((name) => backend.seed(['many', ...name].join('/'))))
    }
    const pages = await listAll(store, prefix)
    expect(pages.map((page) => page.length)).toEqual([1000, 1000, 500])
    expect(pages.flat()).toEqual(names.map((name) => name.join('/')).sort())
    const locations = names.map((name) => joinLocation(prefix, ...name))
    expect(await store.deleteMany(locations)).toEqual([])
    expect(await listAll(store, prefix)).toEqual([[]])
    expect(await store.deleteMany(locations)).toEqual([])
  }, 60_000)

  it('deletes only what was named', async () => {
    const [doomed, kept] = [joinLocation(root, 'some', 'a'), joinLocation(root, 'some', 'ab')]
    await store.put(doomed, bytes('1'))
    await store.put(kept, bytes('1'))
    expect(await store.deleteMany([doomed, doomed, joinLocation(root, 'some', 'missing')])).toEqual([])
    expect(await store.head(doomed)).toBeNull()
    expect(await store.head(kept)).not.toBeNull()
  })

  it('refuses every location outside its root before anything happens', async () => {
    const inside = joinLocation(root, 'inside')
    await store.put(inside, bytes('1'))
    const parent = { ...root, segments: root.segments.slice(0, -1) }
    const outside = [
      parent,
      joinLocation(parent, 'root2', 'a'),
      { ...root, bucket: 'other' },
      { ...joinLocation(root, 'a'), scheme: 'hdfs' },
    ]
    for (const location of outside) {
      const refused = { code: 'LOCATION_OUTSIDE_ROOT' }
      await expect(store.list(location), formatLocation(location)).rejects.toMatchObject(refused)
      await expect(store.head(location)).rejects.toMatchObject(refused)
      await expect(store.readRange(location, 0, 1)).rejects.toMatchObject(refused)
      await expect(readAll(store, location)).rejects.toMatchObject(refused)
      await expect(store.put(location, bytes('x'))).rejects.toMatchObject(refused)
      await expect(store.deleteMany([inside, location])).rejects.toMatchObject(refused)
    }
    await expect(store.deleteMany([root])).rejects.toMatchObject({ code: 'LOCATION_OUTSIDE_ROOT' })
    expect(await store.head(inside)).not.toBeNull()
  })

  it.each(HOSTILE_SEGMENTS.map((each) => [each]))(
    'refuses the segment %j and deletes the others',
    async (segment) => {
      const hostile = { ...root, segments: [...root.segments, 'hostile', segment, 'x'] }
      const ordinary = joinLocation(root, 'hostile', 'ordinary')
      await store.put(ordinary, bytes('1'))
      const refused = { code: 'LOCATION_INVALID' }
      await expect(store.list(hostile)).rejects.toMatchObject(refused)
      await expect(store.head(hostile)).rejects.toMatchObject(refused)
      await expect(store.readRange(hostile, 0, 1)).rejects.toMatchObject(refused)
      await expect(readAll(store, hostile)).rejects.toMatchObject(refused)
      await expect(store.put(hostile, bytes('x'))).rejects.toMatchObject(refused)
      expect(await store.deleteMany([hostile, ordinary])).toMatchObject([
        { location: hostile, code: 'LOCATION_INVALID' },
      ])
      expect(await store.head(ordinary)).toBeNull()
    },
  )
})
