import { describe, expect, it } from 'vitest'
import { DomainError, StorageError } from '../../src/domain/errors.ts'
import { formatLocation, isInside, type Location, parseLocation } from '../../src/domain/location.ts'
import type { CandidateFacts, Restore } from '../../src/domain/restore-point.ts'
import type { StorageRow } from '../../src/ports/resources.ts'
import {
  findRestorePoint,
  type RestorePointPorts,
  resolveRestorePoint,
  type VerifyCandidate,
} from '../../src/services/find-restore-point.ts'
import { fakeStore } from '../support/fakes.ts'

const CALLER = { namespaceId: 'ns', namespace: 'default', principal: 'tester' }
const NOW = '2026-11-21T12:00:00.000Z'
const ROOT = parseLocation('s3://bucket/flink')
const STORAGE: StorageRow = {
  id: 'st',
  name: 'state',
  uri: 's3://bucket/flink',
  provider: 'aws',
  endpoint: null,
  region: null,
  pathStyle: null,
  credentials: null,
  clearCheckpoints: false,
  createdAt: NOW,
  updatedAt: NOW,
  etag: '1',
  address: {
    key: 'k',
    namespace: 'default',
    root: ROOT,
    provider: 'aws',
    endpoint: null,
    region: null,
    pathStyle: null,
    credentials: null,
  },
}
const RUN = { id: 'run', startedAt: '2026-11-21T00:00:00.000Z', epoch: 1 }

const checkpoint = (id: number, changes: Partial<CandidateFacts> = {}): CandidateFacts => ({
  snapshot: `chk-${id}`,
  kind: 'CHECKPOINT',
  source: 'SYSTEM',
  status: 'Present',
  verdict: null,
  claimed: false,
  location: `s3://bucket/flink/job/chk-${id}`,
  job: { id: 'job', name: 'orders' },
  jobVersion: 1,
  completedAt: '2026-11-21T11:59:00.000Z',
  run: RUN,
  flinkCheckpointId: id,
  metadata: { is: 'unchecked' },
  ...changes,
})

/** `_metadata` as Flink begins it: magic, version, checkpoint id. */
const header = (checkpointId: number): Uint8Array => {
  const view = new DataView(new ArrayBuffer(16))
  view.setUint32(0, 0x4960672d)
  view.setUint32(4, 4)
  view.setBigInt64(8, BigInt(checkpointId))
  return new Uint8Array(view.buffer)
}

type World = {
  candidates?: CandidateFacts[]
  files?: Record<string, Uint8Array>
  refuse?: Error
  latestVersion?: number
}
/** What storage was asked for is in `asked`. */
function world({ candidates = [], files = {}, refuse, latestVersion }: World) {
  const asked: string[] = []
  const store = fakeStore(files)
  const ports: RestorePointPorts = {
    restorePoints: {
      readSurroundings: async (_scope, job) =>
        job === 'orders'
          ? {
              surroundings: {
                job: { id: 'job', name: 'orders' },
                attached: true,
                ambiguous: false,
                cluster: { name: 'flink', asked: true, changed: false },
                runs: [],
                unsettled: [],
                hadState: true,
                lastRunBeganFrom: null,
              },
              latestVersion: latestVersion ?? null,
              now: NOW,
            }
          : null,
      listCandidates: async () => candidates,
      findCandidate: async (_scope, place) =>
        candidates.find((one) =>
          'snapshot' in place ? one.snapshot === place.snapshot : one.location === place.locationKey,
        ) ?? null,
    },
    jobs: { findVersion: async () => null },
    storages: {
      findContaining: async (_scope, location) => (isInside(ROOT, location) ? STORAGE : null),
    },
    stores: {
      of: () => ({
        ...store,
        head: async (location: Location) => {
          asked.push(formatLocation(location))
          if (refuse) throw refuse
          return store.head(location)
        },
      }),
    },
  }
  const find = (restore: Restore & { version?: number } = {}, job = 'orders') =>
    findRestorePoint(ports)({ caller: CALLER, job, ...restore })
  /** As a start asks, which looks for the files, too. */
  const choose = (verify: VerifyCandidate, restore: Restore = {}) =>
    resolveRestorePoint(ports, { namespaceId: 'ns' }, 'orders', { restore, verify, pointer: '/body' })
  return { find, choose, asked }
}
const metadataOf = (...ids: number[]) =>
  Object.fromEntries(ids.map((id) => [`s3://bucket/flink/job/chk-${id}/_metadata`, header(id)]))

describe('the files of the chosen one', () => {
  const threeOf = () =>
    world({ candidates: [1, 2, 3].map((id) => checkpoint(id)), files: metadataOf(1, 2, 3) })

  it('are looked for, and a damaged one is passed over with its reason', async () => {
    const looked: (string | null)[] = []
    const answer = await threeOf().choose(async ({ snapshot }) => {
      looked.push(snapshot)
      return snapshot === 'chk-3' ? { is: 'damaged', message: '1 file is gone.' } : { is: 'there' }
    })
    expect(looked).toEqual(['chk-3', 'chk-2'])
    expect(answer).toMatchObject({ decision: 'restore', chosen: { snapshot: 'chk-2' }, findings: [] })
    expect(answer.because.message).toContain('DAMAGED')
    expect(answer.candidates[0]?.rejected).toEqual({ code: 'DAMAGED', message: '1 file is gone.' })
  })
  it('that could not be looked for do not stand in the way, and that is said', async () => {
    const answer = await threeOf().choose(async () => ({ is: 'there', notVerified: 'it took too long.' }))
    expect(answer).toMatchObject({ decision: 'restore', chosen: { snapshot: 'chk-3' } })
    expect(answer.findings).toMatchObject([
      { code: 'NOT_VERIFIED', message: expect.stringContaining('it took too long') },
    ])
  })
  it.each([
    [{ is: 'missing' } as const, 'METADATA_GONE'],
    [{ is: 'unreadable', message: 'at byte 12' } as const, 'UNREADABLE'],
  ])('%o is passed over as %s', async (proof, code) => {
    const answer = await threeOf().choose(async ({ snapshot }) =>
      snapshot === 'chk-3' ? proof : { is: 'there' },
    )
    expect(answer.chosen?.snapshot).toBe('chk-2')
    expect(answer.candidates[0]?.rejected?.code).toBe(code)
  })
  it('of a named one that is damaged are a refusal', async () => {
    const answer = await threeOf().choose(async () => ({ is: 'damaged', message: 'gone' }), {
      strategy: 'FROM_SNAPSHOT',
      snapshot: 'chk-3',
    })
    expect(answer).toMatchObject({ decision: 'refuse', because: { code: 'NAMED_NOT_RESTORABLE' } })
  })
  it('are looked for of five at most', async () => {
    const ids = Array.from({ length: 9 }, (_, id) => id + 1)
    let looks = 0
    const { choose } = world({ candidates: ids.map((id) => checkpoint(id)), files: metadataOf(...ids) })
    const answer = await choose(async () => {
      looks += 1
      return { is: 'damaged', message: 'gone' }
    })
    expect(looks).toBe(5)
    expect(answer).toMatchObject({ chosen: { snapshot: 'chk-4' }, findings: [{ code: 'NOT_VERIFIED' }] })
  })
  it('are not looked for where the answer is a refusal anyway', async () => {
    const { choose } = world({ candidates: [checkpoint(1)], refuse: new StorageError('unreachable', 'no') })
    const answer = await choose(async () => {
      throw new Error('looked')
    })
    expect(answer).toMatchObject({ decision: 'refuse', because: { code: 'STORE_NOT_ASKED' } })
  })
})

describe('the proof of the chosen one', () => {
  it('is one look, at the chosen one only', async () => {
    const { find, asked } = world({
      candidates: [1, 2, 3].map((id) => checkpoint(id)),
      files: metadataOf(1, 2, 3),
    })
    expect(await find()).toMatchObject({
      decision: 'restore',
      chosen: { snapshot: 'chk-3' },
      decidedAt: NOW,
      strategy: 'LATEST_STATE',
      more: false,
    })
    expect(asked).toEqual(['s3://bucket/flink/job/chk-3/_metadata'])
  })

  it('goes down to the next where it is proven gone, and says so', async () => {
    const { find } = world({ candidates: [1, 2, 3].map((id) => checkpoint(id)), files: metadataOf(1) })
    const answer = await find()
    expect(answer.chosen?.snapshot).toBe('chk-1')
    expect(answer.candidates.map(({ rejected }) => rejected?.code)).toEqual([
      'METADATA_GONE',
      'METADATA_GONE',
      undefined,
    ])
  })

  it('takes an empty _metadata for one that cannot be read', async () => {
    const files = { ...metadataOf(1), 's3://bucket/flink/job/chk-2/_metadata': new Uint8Array() }
    const { find } = world({ candidates: [checkpoint(2), checkpoint(1)], files })
    const answer = await find()
    expect(answer.chosen?.snapshot).toBe('chk-1')
    expect(answer.candidates[0]?.rejected?.code).toBe('UNREADABLE')
  })

  it('ends after twenty that have gone', async () => {
    const { find, asked } = world({ candidates: Array.from({ length: 60 }, (_, id) => checkpoint(id + 1)) })
    const answer = await find()
    expect(answer).toMatchObject({ decision: 'refuse', because: { code: 'TOO_MANY_GONE' }, more: true })
    expect(answer.candidates).toHaveLength(50)
    expect(answer.candidates[20]?.rejected?.code).toBe('NOT_CHECKED')
    expect(asked).toHaveLength(20)
  })

  it.each([
    new StorageError('unreachable', 'connection refused'),
    new StorageError('access-denied', '403'),
    new StorageError('bucket-missing', 'no such bucket'),
    new DomainError('SECRET_MISSING', 'TIDEMARK_SECRET_DEFAULT_KEY is not set'),
    new DomainError('STORAGE_NOT_ADDRESSABLE', 'This storage is reached only through Flink'),
  ])('a store that could not be asked proves nothing: $message', async (refuse) => {
    const { find, asked } = world({ candidates: [checkpoint(2), checkpoint(1)], refuse })
    for (const restore of [{}, { fallback: 'NONE', acceptOlder: true }] satisfies Restore[]) {
      expect(await find(restore)).toMatchObject({
        decision: 'refuse',
        because: { code: 'STORE_NOT_ASKED', message: expect.stringContaining('the storage state') },
        candidates: [{ rejected: { code: 'STORE_NOT_ASKED' } }, { rejected: { code: 'OLDER' } }],
      })
    }
    expect(asked).toHaveLength(2)
  })

  it('a defect is not taken for a store that could not be asked', async () => {
    const { find } = world({ candidates: [checkpoint(1)], refuse: new TypeError('a defect') })
    await expect(find()).rejects.toThrow('a defect')
  })

  it('cannot be had where no storage of the namespace holds the place', async () => {
    const { find } = world({ candidates: [checkpoint(1, { location: 'hdfs://elsewhere/chk-1' })] })
    expect(await find()).toMatchObject({
      decision: 'refuse',
      because: { code: 'STORE_NOT_ASKED', message: expect.stringContaining('hdfs://elsewhere/chk-1') },
    })
  })

  it('is not needed for a start without state', async () => {
    const { find, asked } = world({ candidates: [checkpoint(1)], files: metadataOf(1) })
    expect((await find({ strategy: 'NONE' })).decision).toBe('start-empty')
    expect(asked).toEqual([])
  })
})

describe('a place that is named', () => {
  const strategy = 'FROM_SNAPSHOT'

  it('is looked into, by its folder or its _metadata file', async () => {
    const files = { 's3://bucket/flink/elsewhere/sp/_metadata': header(12) }
    for (const location of ['s3://bucket/flink/elsewhere/sp', 's3://bucket/flink/elsewhere/sp/_metadata']) {
      expect(await world({ files }).find({ strategy, location })).toMatchObject({
        decision: 'restore',
        chosen: { snapshot: null, status: null, job: null, flinkCheckpointId: 12 },
        because: { code: 'NAMED' },
        findings: [{ code: 'OTHER_JOB' }],
      })
    }
  })

  it('that holds nothing, or something else, is refused', async () => {
    const location = 's3://bucket/flink/elsewhere/sp'
    expect(await world({}).find({ strategy, location })).toMatchObject({
      decision: 'refuse',
      because: { code: 'NAMED_NOT_RESTORABLE' },
      candidates: [{ rejected: { code: 'METADATA_GONE' } }],
    })
    const files = { [`${location}/_metadata`]: new TextEncoder().encode('not what Flink writes') }
    expect(await world({ files }).find({ strategy, location })).toMatchObject({
      candidates: [{ rejected: { code: 'UNREADABLE' } }],
    })
    const refuse = new StorageError('unreachable', 'connection refused')
    expect(await world({ refuse }).find({ strategy, location, fallback: 'NONE' })).toMatchObject({
      decision: 'refuse',
      because: { code: 'STORE_NOT_ASKED' },
    })
  })

  it('that is a snapshot of ours is that snapshot', async () => {
    const candidates = [checkpoint(1, { claimed: true })]
    const location = 's3://bucket/flink/job/chk-1/_metadata'
    expect(await world({ candidates, files: metadataOf(1) }).find({ strategy, location })).toMatchObject({
      decision: 'refuse',
      candidates: [{ snapshot: 'chk-1', rejected: { code: 'CLAIMED' } }],
    })
  })
})

describe('a question that cannot be answered', () => {
  const code = async (asked: Promise<unknown>): Promise<unknown> =>
    asked.then(
      () => null,
      (error: unknown) => (error instanceof DomainError ? [error.code, error.errors[0]?.pointer] : error),
    )

  it('says where it is wrong', async () => {
    const { find } = world({})
    const named = { strategy: 'FROM_SNAPSHOT' as const }
    expect(await code(find({}, 'nobody'))).toEqual(['NOT_FOUND', undefined])
    expect(await code(find({ version: 9 }))).toEqual(['REFERENCE_NOT_FOUND', '/query/version'])
    expect(await code(find(named))).toEqual(['VALIDATION_FAILED', '/query/snapshot'])
    expect(await code(find({ ...named, snapshot: 'nobody' }))).toEqual([
      'REFERENCE_NOT_FOUND',
      '/query/snapshot',
    ])
    expect(await code(find({ ...named, snapshot: 'a', location: 's3://b/c' }))).toEqual([
      'VALIDATION_FAILED',
      '/query/location',
    ])
    expect(await code(find({ ...named, location: 's3://other/x' }))).toEqual([
      'LOCATION_OUTSIDE_ROOT',
      '/query/location',
    ])
    expect(await code(find({ ...named, location: 's3://bucket/flink/../x' }))).toEqual([
      'LOCATION_INVALID',
      undefined,
    ])
    expect(await code(find({ snapshot: 'a' }))).toEqual(['VALIDATION_FAILED', '/query/snapshot'])
    expect(await code(find({ strategy: 'LATEST_SAVEPOINT', preferCheckpoint: true }))).toEqual([
      'VALIDATION_FAILED',
      '/query/preferCheckpoint',
    ])
  })
})
