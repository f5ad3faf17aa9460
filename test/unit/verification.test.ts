import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DomainError, StorageError } from '../../src/domain/errors.ts'
import type { StoredFile } from '../../src/domain/inspection.ts'
import { formatLocation, isInside, locationKey, parseLocation } from '../../src/domain/location.ts'
import {
  judgeFile,
  judgeFiles,
  type NeededFile,
  nextVerificationInMs,
} from '../../src/domain/verification.ts'
import { goOnListing, planLooks } from '../../src/domain/verification-plan.ts'
import type { StorageRow } from '../../src/ports/resources.ts'
import type { ObjectStore, StoredObject } from '../../src/ports/storage.ts'
import { inParallel } from '../../src/services/in-parallel.ts'
import { lookAtFiles } from '../../src/services/look-at-files.ts'
import { lookAtSnapshot } from '../../src/services/look-at-snapshot.ts'
import { metadataWithFiles } from '../support/metadata-with-files.ts'
import { storageAddress } from '../support/storage-address.ts'

const needed = (place: string, sizeBytes: number | null = 100, exact = true): NeededFile => ({
  path: place,
  location: parseLocation(place),
  sizeBytes,
  exact,
})
const OWN = parseLocation('s3://b/root/sp-1')

describe('the plan', () => {
  it('lists the own folder once, whatever number of files lies in it', () => {
    const [folder, ...others] = planLooks([needed('s3://b/root/sp-1/a'), needed('s3://b/root/sp-1/b')], OWN)
    expect(others).toEqual([])
    expect(folder).toMatchObject({ list: true })
    expect(folder?.files).toHaveLength(2)
  })
  it('asks for one file, and for few in a folder that others use, one by one', () => {
    const shared = ['x', 'y', 'z'].map((name) => needed(`s3://b/root/shared/${name}`))
    const plan = planLooks([needed('s3://b/root/sp-1/a'), ...shared], OWN)
    expect(plan.map(({ list, files }) => [list, files.length])).toEqual([
      [false, 1],
      [false, 3],
    ])
  })
  it('begins to list a shared folder of which many are needed', () => {
    const many = Array.from({ length: 20 }, (_, n) => needed(`s3://b/root/shared/${n}`))
    expect(planLooks(many, OWN)).toMatchObject([{ list: true }])
  })
  it('never lists a whole bucket', () => {
    const many = Array.from({ length: 20 }, (_, n) => needed(`s3://b/${n}`))
    expect(planLooks(many, OWN)).toMatchObject([{ list: false }])
  })
  it('asks once for an object that several handles name, and orders keys by their bytes', () => {
    const plan = planLooks(
      [
        needed('s3a://b/root/sp-1/\u{1f600}'),
        needed('s3://b/root/sp-1/\uffee'),
        needed('s3://b/root/sp-1/a', 10),
        needed('s3a://b/root/sp-1/a', 20, false),
      ],
      OWN,
    )
    expect(plan[0]?.files.map(({ key, needs }) => [key, needs.length])).toEqual([
      ['s3://b/root/sp-1/a', 2],
      ['s3://b/root/sp-1/\uffee', 1],
      ['s3://b/root/sp-1/\u{1f600}', 1],
    ])
  })
  it.each([
    [{ pages: 1, passed: 0, left: 500 }, false],
    [{ pages: 1, passed: 1, left: 500 }, false],
    [{ pages: 1, passed: 5, left: 4995 }, true],
    [{ pages: 10, passed: 300, left: 1 }, false],
    [{ pages: 10, passed: 300, left: 0 }, false],
  ])('reads on while a page passes more than one of our files: %o %s', (listed, goesOn) => {
    expect(goOnListing(listed)).toBe(goesOn)
  })
})

describe('the judgement of a file', () => {
  it.each([
    ['whole', 100, true, { sizeBytes: 100, archived: false }, null],
    ['gone', 100, true, null, 'FILE_MISSING'],
    ['cut', 100, true, { sizeBytes: 99, archived: false }, 'SIZE_DIFFERS'],
    ['longer than it was written', 100, true, { sizeBytes: 101, archived: false }, 'SIZE_DIFFERS'],
    ['longer than its segments', 100, false, { sizeBytes: 101, archived: false }, null],
    ['cut within a segment', 100, false, { sizeBytes: 99, archived: false }, 'SIZE_DIFFERS'],
    ['of unknown size', null, true, { sizeBytes: 0, archived: false }, null],
    ['archived', 100, true, { sizeBytes: 100, archived: true }, 'NOT_READABLE'],
    ['archived and cut', 100, true, { sizeBytes: 1, archived: true }, 'SIZE_DIFFERS'],
  ])('that is %s', (_, sizeBytes, exact, found, code) => {
    expect(judgeFile({ path: 'f', sizeBytes, exact }, found)?.code ?? null).toBe(code)
  })
})

describe('the judgement of a snapshot', () => {
  it('never calls whole what was not looked at to the last file', () => {
    const counts = fc
      .tuple(fc.nat(20), fc.nat(20), fc.nat(20), fc.boolean())
      .map(([sound, damaged, unknown, said]) => ({ sound, damaged, unknown, said }))
    fc.assert(
      fc.property(counts, ({ sound, damaged, unknown, said }) => {
        const notAsked = said ? 'why' : null
        const { verdict } = judgeFiles({ needed: sound + damaged + unknown, sound, damaged, notAsked })
        expect(verdict === 'WHOLE').toBe(damaged === 0 && unknown === 0 && !said)
        expect(verdict === 'DAMAGED').toBe(damaged > 0)
      }),
    )
  })
  it('comes back soon where a store may answer again, and otherwise with the others', () => {
    const everyMs = 168 * 3_600_000
    expect(nextVerificationInMs('WHOLE', { everyMs, passing: false })).toBe(everyMs)
    expect(nextVerificationInMs('NOT_ASKED', { everyMs, passing: true })).toBe(300_000)
    expect(nextVerificationInMs('NOT_ASKED', { everyMs, passing: false })).toBeGreaterThan(300_000)
    expect(nextVerificationInMs('NOT_ASKED', { everyMs: 1_000, passing: true })).toBe(1_000)
  })
})

// ------------------------------------------------------------------------------------------------------- looking

const storageAt = (uri: string): StorageRow => ({
  id: uri,
  name: uri,
  uri,
  provider: 'aws',
  endpoint: null,
  region: null,
  pathStyle: null,
  credentials: null,
  clearCheckpoints: false,
  createdAt: '',
  updatedAt: '',
  etag: '1',
  address: storageAddress(uri),
})

type World = {
  roots?: string[]
  files: Record<string, Partial<StoredObject> | Uint8Array>
  /** Called before each request; may throw. */
  onRequest?: (kind: 'head' | 'list' | 'read', place: string) => void
  pageSize?: number
}
/** Storages that hold these files, in pages; counts what they are asked. */
function world({ roots = ['s3://b/root'], files, onRequest = () => undefined, pageSize = 1000 }: World) {
  const storages = roots.map(storageAt)
  const asked = { head: 0, list: 0, read: 0, atOnce: 0, most: 0 }
  const objectOf = (place: string): StoredObject | null => {
    const file = files[place]
    if (!file) return null
    const object = { location: parseLocation(place), sizeBytes: 100, modifiedAt: null, archived: false }
    return file instanceof Uint8Array ? { ...object, sizeBytes: file.length } : { ...object, ...file }
  }
  const request = async <Answer>(kind: 'head' | 'list' | 'read', place: string, answer: () => Answer) => {
    asked[kind] += 1
    asked.atOnce += 1
    asked.most = Math.max(asked.most, asked.atOnce)
    await new Promise((resolve) => setImmediate(resolve))
    asked.atOnce -= 1
    onRequest(kind, place)
    return answer()
  }
  const keys = () => Object.keys(files).toSorted() // names here are ASCII
  const store: Pick<ObjectStore, 'head' | 'list' | 'read' | 'readRange'> = {
    head: (location) => request('head', formatLocation(location), () => objectOf(locationKey(location))),
    list: (prefix, options = {}) =>
      request('list', formatLocation(prefix), () => {
        const all = keys().filter((key) => key.startsWith(`${locationKey(prefix)}/`))
        const from = Number(options.pageToken ?? 0)
        const to = from + (options.pageSize ?? pageSize)
        const objects = all.slice(from, to).flatMap((key) => objectOf(key) ?? [])
        return { objects, nextPageToken: to < all.length ? String(to) : null }
      }),
    readRange: (location, offset, length) =>
      request('read', formatLocation(location), () => {
        const bytes = files[locationKey(location)]
        return bytes instanceof Uint8Array ? bytes.subarray(offset, offset + length) : null
      }),
    async *read(location) {
      await request('read', formatLocation(location), () => undefined)
      const bytes = files[locationKey(location)]
      if (!(bytes instanceof Uint8Array)) throw new StorageError('not-found', 'no content')
      yield bytes
    },
  }
  const ports = {
    storages: {
      findContaining: async (_: unknown, location: ReturnType<typeof parseLocation>) =>
        storages.find(
          ({ address }) =>
            isInside(address.root, location) || locationKey(address.root) === locationKey(location),
        ) ?? null,
    },
    stores: { of: () => store as ObjectStore },
  }
  return { ports, asked, files }
}

const stored = (
  place: string | null,
  sizeBytes: number | null = 100,
  kind: StoredFile['kind'] = 'absolute',
) =>
  ({
    position: 0,
    key: place,
    path: place ?? 'nowhere',
    kind,
    roles: [],
    sizeBytes,
    references: 1,
    mayBeShared: false,
  }) satisfies StoredFile
const SCOPE = { namespaceId: 'ns' }
const NO_HURRY = { atOnce: 16, isOver: () => false }
const lookAt = (of: ReturnType<typeof world>, files: StoredFile[], limits = NO_HURRY) =>
  lookAtFiles(of.ports, SCOPE, { directory: OWN, files }, limits)

describe('looking for files', () => {
  const shared = (count: number, from = 0) =>
    Array.from({ length: count }, (_, n) => `s3://b/root/shared/${String(from + n).padStart(6, '0')}`)
  const withFiles = (places: string[]) => Object.fromEntries(places.map((place) => [place, {}]))

  it('finds three of very many with three requests', async () => {
    const all = world({ files: withFiles(shared(20_000)) })
    const seen = await lookAt(all, [
      stored(shared(1)[0] ?? ''),
      ...shared(2, 15_000).map((place) => stored(place)),
    ])
    expect(seen).toMatchObject({ sound: 3, notAsked: null, requests: 3 })
    expect(all.asked).toMatchObject({ head: 3, list: 0 })
  })
  it('finds all of a folder with its pages', async () => {
    const places = shared(2_500)
    const all = world({ files: withFiles(places) })
    expect(
      await lookAt(
        all,
        places.map((place) => stored(place)),
      ),
    ).toMatchObject({ sound: 2_500, requests: 3 })
    expect(all.asked.head).toBe(0)
  })
  it('stops listing where most objects are others’', async () => {
    const all = world({ files: withFiles(shared(20_000)) })
    const wanted = shared(50).map((_, n) => stored(shared(1, n * 397)[0] ?? ''))
    const seen = await lookAt(all, wanted)
    expect(seen).toMatchObject({ sound: 50, damaged: 0 })
    expect(seen.requests).toBeLessThanOrEqual(53)
  })
  it('believes no listing that leaves one out: a HEAD decides', async () => {
    const places = shared(30)
    const late = world({ files: withFiles(places) })
    const list = late.ports.stores.of().list
    late.ports.stores.of = () => ({
      ...world({ files: late.files }).ports.stores.of(),
      list: async (prefix, options) => {
        const page = await list(prefix, options)
        return { ...page, objects: page.objects.slice(0, 10) }
      },
    })
    expect(
      await lookAt(
        late,
        places.map((place) => stored(place)),
      ),
    ).toMatchObject({ sound: 30, damaged: 0 })
  })
  it('asks one by one where it may not list', async () => {
    const places = shared(30)
    const denied = world({
      files: withFiles(places),
      onRequest: (kind) => {
        if (kind === 'list') throw new StorageError('access-denied', 'no')
      },
    })
    expect(
      await lookAt(
        denied,
        places.map((place) => stored(place)),
      ),
    ).toMatchObject({
      sound: 30,
      notAsked: null,
    })
  })
  it('has no more than the given number of requests under way', async () => {
    const all = world({ files: {} })
    await lookAt(
      all,
      shared(8).map((place) => stored(place)),
      { atOnce: 3, isOver: () => false },
    )
    expect(all.asked.most).toBeLessThanOrEqual(3)
  })
  it('names at most 100 of what it finds, and stops when the verdict is sure', async () => {
    const all = world({ files: { 's3://b/root/other': {} } })
    const seen = await lookAt(
      all,
      shared(2_000).map((place) => stored(place)),
    )
    expect(seen.findings).toHaveLength(100)
    expect(seen.damaged).toBeGreaterThanOrEqual(1_000)
    expect(seen.damaged).toBeLessThan(1_100)
    expect(judgeFiles(seen)).toMatchObject({
      verdict: 'DAMAGED',
      message: expect.stringContaining('not looked at'),
    })
  })
  it('takes nothing for missing while the root does not answer', async () => {
    const away = world({
      files: {},
      onRequest: (kind) => {
        if (kind === 'list') throw new StorageError('bucket-missing', 'no bucket')
      },
    })
    expect(await lookAt(away, [stored('s3://b/root/shared/a')])).toMatchObject({
      damaged: 0,
      notAsked: expect.stringContaining('no bucket'),
      passing: false,
    })
  })
  it('takes a folder without any file for a disk that is not mounted', async () => {
    const empty = world({ roots: ['file:///data'], files: {} })
    expect(await lookAt(empty, [stored('file:///data/shared/a')])).toMatchObject({
      damaged: 0,
      notAsked: expect.stringContaining('mounted'),
    })
  })
  it('gives up after ten refusals', async () => {
    const away = world({
      files: {},
      onRequest: () => {
        throw new StorageError('unreachable', 'SlowDown')
      },
    })
    const seen = await lookAt(
      away,
      shared(500).map((place) => stored(place)),
    )
    expect(seen).toMatchObject({ sound: 0, damaged: 0, passing: true, notAsked: expect.any(String) })
    expect(away.asked.head).toBeLessThan(30)
  })
  it('asks nothing of places outside every storage, and says so', async () => {
    const all = world({ files: {} })
    const seen = await lookAt(all, [stored('s3://elsewhere/a'), stored(null), stored('s3://b/root2/x')])
    expect(seen.findings.map(({ code }) => code)).toEqual(Array(3).fill('OUTSIDE_STORAGES'))
    expect(seen).toMatchObject({ requests: 0, notAsked: expect.any(String), passing: false })
    expect(judgeFiles(seen).verdict).toBe('NOT_ASKED')
  })
  it('looks in every storage of the namespace', async () => {
    const two = world({
      roots: ['s3://b/root', 's3://chk/jobs'],
      files: { 's3://b/root/sp-1/a': {}, 's3://chk/jobs/x/shared/b': {} },
    })
    expect(
      await lookAt(two, [stored('s3://b/root/sp-1/a'), stored('s3://chk/jobs/x/shared/b')]),
    ).toMatchObject({
      sound: 2,
      notAsked: null,
    })
  })
  it('lets a bug be a bug', async () => {
    const broken = world({
      files: {},
      onRequest: () => {
        throw new TypeError('a bug')
      },
    })
    await expect(lookAt(broken, [stored('s3://b/root/a')])).rejects.toThrow('a bug')
  })

  it('never finds whole what lacks a file, whatever the store is like', async () => {
    const cases = fc.record({
      own: fc.uniqueArray(fc.nat(60), { maxLength: 40 }),
      shared: fc.uniqueArray(fc.nat(200), { maxLength: 60 }),
      others: fc.uniqueArray(fc.nat(400), { maxLength: 200 }),
      missing: fc.nat(200),
      cut: fc.nat(200),
      failing: fc.integer({ min: 0, max: 40 }),
      pageSize: fc.integer({ min: 1, max: 50 }),
      isOverAfter: fc.integer({ min: 0, max: 200 }),
    })
    await fc.assert(
      fc.asyncProperty(cases, async (c) => {
        const places = [
          ...c.own.map((n) => `s3://b/root/sp-1/${n}`),
          ...c.shared.map((n) => `s3://b/root/shared/${n}`),
        ]
        const files: Record<string, Partial<StoredObject>> = {}
        for (const n of c.others) files[`s3://b/root/shared/other-${n}`] = {}
        for (const place of places) files[place] = {}
        const missing = places[c.missing]
        const cut = places[c.cut]
        if (cut) files[cut] = { sizeBytes: 99 }
        if (missing) delete files[missing]
        let asked = 0
        const one = world({
          files,
          pageSize: c.pageSize,
          onRequest: () => {
            asked += 1
            if (c.failing > 0 && asked % c.failing === 0) throw new StorageError('unreachable', '503')
          },
        })
        const seen = await lookAt(
          one,
          places.map((place) => stored(place)),
          {
            atOnce: 4,
            isOver: () => asked > c.isOverAfter,
          },
        )
        const { verdict } = judgeFiles(seen)
        if (missing || cut) expect(verdict).not.toBe('WHOLE')
        else expect(verdict).not.toBe('DAMAGED')
        if (!(missing || cut) && c.failing === 0 && c.isOverAfter === 200) expect(verdict).toBe('WHOLE')
        expect(seen.sound + seen.damaged).toBeLessThanOrEqual(seen.needed)
      }),
      { numRuns: 150 },
    )
  })
})

// ------------------------------------------------------------------------------------------------- the snapshot

const METADATA = 's3://b/root/sp-1/_metadata'
const look = (of: ReturnType<typeof world>) =>
  lookAtSnapshot(of.ports, SCOPE, { location: 's3://b/root/sp-1', by: 'test', limitMs: 10_000 })
const sound = () => ({
  [METADATA]: metadataWithFiles([
    { path: 'data', relative: true },
    { path: 's3a://b/root/shared/merged', from: 50n, size: 50n },
  ]),
  's3://b/root/sp-1/data': {},
  's3://b/root/shared/merged': { sizeBytes: 4096 },
})

describe('looking at a snapshot', () => {
  it('finds it whole', async () => {
    expect(await look(world({ files: sound() }))).toMatchObject({
      report: {
        verdict: 'WHOLE',
        message: null,
        findings: [],
        checkedFiles: 2,
        checkedBytes: 200,
        verifiedBy: 'test',
      },
      lost: false,
    })
  })
  it('counts every request to the store', async () => {
    const all = world({ files: sound() })
    const { report } = await look(all)
    expect(report.requests).toBe(all.asked.head + all.asked.list + all.asked.read)
  })
  it('names what is missing', async () => {
    const files: World['files'] = sound()
    delete files['s3://b/root/shared/merged']
    expect((await look(world({ files }))).report).toMatchObject({
      verdict: 'DAMAGED',
      findings: [
        { code: 'FILE_MISSING', path: 's3a://b/root/shared/merged', expectedBytes: 100, foundBytes: null },
      ],
    })
  })
  it('calls it gone, not damaged, when it goes at that moment', async () => {
    const files: World['files'] = sound()
    const going = world({
      files,
      onRequest: (kind) => {
        if (kind !== 'read') return
        for (const place of Object.keys(sound())) if (place !== METADATA) delete files[place]
        setImmediate(() => delete files[METADATA])
      },
    })
    expect(await look(going)).toMatchObject({ report: { verdict: 'METADATA_MISSING' }, lost: true })
  })
  it('cannot be read', async () => {
    const files = { ...sound(), [METADATA]: new Uint8Array(64) }
    expect(await look(world({ files }))).toMatchObject({ report: { verdict: 'UNREADABLE' }, lost: false })
  })
  it('is archived', async () => {
    const files = { ...sound(), [METADATA]: { archived: true } }
    const archived = world({
      files,
      onRequest: (kind) => {
        if (kind === 'read') throw new StorageError('refused', 'InvalidObjectState')
      },
    })
    expect((await look(archived)).report).toMatchObject({
      verdict: 'DAMAGED',
      findings: [{ code: 'NOT_READABLE', path: '_metadata' }],
    })
  })
  it('is lost when its _metadata is gone and the root answers', async () => {
    const files: World['files'] = sound()
    delete files[METADATA]
    expect(await look(world({ files }))).toMatchObject({
      report: { verdict: 'METADATA_MISSING' },
      lost: true,
    })
  })
  it.each(['bucket-missing', 'access-denied', 'unreachable', 'refused'] as const)(
    'is not lost while the root answers %s',
    async (kind) => {
      const away = world({
        files: {},
        onRequest: (what) => {
          if (what === 'list') throw new StorageError(kind, 'no')
        },
      })
      expect(await look(away)).toMatchObject({
        report: { verdict: 'NOT_ASKED' },
        lost: false,
        passing: kind === 'unreachable',
      })
    },
  )
  it('is not lost in a folder without any file, nor where no storage reaches', async () => {
    const empty = world({ roots: ['file:///data'], files: {} })
    const at = (location: string) =>
      lookAtSnapshot(empty.ports, SCOPE, { location, by: 'test', limitMs: 1_000 })
    expect(await at('file:///data/sp-1')).toMatchObject({ report: { verdict: 'NOT_ASKED' }, lost: false })
    expect(await at('s3://elsewhere/sp-1')).toMatchObject({ report: { verdict: 'NOT_ASKED' }, lost: false })
    expect(await at('hdfs:///sp-1')).toMatchObject({ report: { verdict: 'NOT_ASKED' }, lost: false })
  })
  it('says that a secret is missing', async () => {
    const closed = world({
      files: {},
      onRequest: () => {
        throw new DomainError('SECRET_MISSING', 'TIDEMARK_SECRET_X is not set')
      },
    })
    expect((await look(closed)).report).toMatchObject({
      verdict: 'NOT_ASKED',
      message: expect.stringContaining('TIDEMARK_SECRET_X'),
    })
  })
})

describe('work in parallel', () => {
  it('begins nothing further after an error', async () => {
    const begun: number[] = []
    const work = async (n: number) => {
      begun.push(n)
      if (n === 1) throw new Error('one')
      await new Promise((resolve) => setImmediate(resolve))
    }
    await expect(inParallel([1, 2, 3, 4, 5, 6], 2, work)).rejects.toThrow('one')
    expect(begun.length).toBeLessThanOrEqual(3)
  })
})
