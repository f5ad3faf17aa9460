/** What runs on a cluster, attaching it by pattern, and registering savepoints that exist: services on a real Postgres. */
import { mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { v7 } from 'uuid'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createClusterRepository } from '../../src/db/clusters.ts'
import { createJobRepository } from '../../src/db/jobs.ts'
import { createSnapshotRepository } from '../../src/db/snapshots.ts'
import { createStorageRepository } from '../../src/db/storages.ts'
import { FlinkUnavailableError } from '../../src/domain/errors.ts'
import type { FlinkJob } from '../../src/domain/flink.ts'
import type { AttachInput, Caller, RegisterSnapshotInput } from '../../src/services/api.ts'
import { attachFlinkJobs } from '../../src/services/attach-flink-jobs.ts'
import { createJob } from '../../src/services/create-job.ts'
import { listFlinkJobs } from '../../src/services/list-flink-jobs.ts'
import { registerSnapshot } from '../../src/services/register-snapshot.ts'
import { createObjectStores } from '../../src/storage/stores.ts'
import { openMigratedDatabase, type TestDatabase } from '../support/database.ts'
import { fakeFlink, flinkJob } from '../support/fakes.ts'
import { createCaller } from '../support/fixtures.ts'

let database: TestDatabase
let services: ReturnType<typeof wire>
let folder: string
let ours: Caller
let theirs: Caller
/** What Flink lists; an error is thrown instead. */
let running: FlinkJob[] | Error = []

beforeAll(async () => {
  database = await openMigratedDatabase('fleet')
  folder = await mkdtemp(join(tmpdir(), 'tidemark-fleet-'))
  services = wire()
})
afterAll(async () => {
  await database?.drop()
  await rm(folder, { recursive: true, force: true })
})

let round = 0
beforeEach(async () => {
  round++
  running = []
  ours = await createTenant(`ours-${round}`)
  theirs = await createTenant(`theirs-${round}`)
})

function wire() {
  const ports = {
    clusters: createClusterRepository(database.db),
    storages: createStorageRepository(database.db),
    jobs: createJobRepository(database.db),
    snapshots: createSnapshotRepository(database.db),
    stores: createObjectStores({
      secrets: { read: async () => '' },
      localRoots: [folder],
      s3Limits: { requestTimeoutMs: 1_000 },
    }),
    flink: {
      to: () =>
        fakeFlink({
          listJobs: async () => {
            if (running instanceof Error) throw running
            return running
          },
        }),
    },
    newId: v7,
  }
  return {
    ports,
    attach: attachFlinkJobs(ports),
    createJob: createJob(ports),
    list: listFlinkJobs(ports),
    register: registerSnapshot(ports),
  }
}

const rootOf = ({ namespace }: Caller): string => join(folder, namespace)

async function createTenant(namespace: string): Promise<Caller> {
  const caller = await createCaller(database.db, namespace)
  await database.db.sql(
    `insert into cluster (id, namespace_id, name, url, mode) values ($1, $2, 'flink', 'http://flink:8081', 'OBSERVE_ONLY')`,
    [v7(), caller.namespaceId],
  )
  await createStorage(caller, 'state', rootOf(caller))
  return caller
}

async function createStorage(caller: Caller, name: string, path: string, provider = 'local'): Promise<void> {
  await mkdir(path, { recursive: true })
  await database.db.sql(
    `insert into storage (id, namespace_id, name, uri, root_key, provider) values ($1, $2, $3, $4, $5, $6)`,
    [v7(), caller.namespaceId, name, `file://${path}`, `file://${path}/`, provider],
  )
}

const named = (name: string, changes: Partial<FlinkJob> = {}): FlinkJob =>
  flinkJob({ name, flinkJobId: Buffer.from(name).toString('hex').padEnd(32, '0').slice(0, 32), ...changes })
const attach = (input: Partial<AttachInput> = {}, caller = ours) =>
  services.attach({ caller, cluster: 'flink', namePattern: '*', savepointStorage: 'state', ...input })
const countJobs = async (caller: Caller): Promise<number> => {
  const [row] = await database.db.sql<{ count: number }>('select count(*) from job where namespace_id = $1', [
    caller.namespaceId,
  ])
  return row?.count ?? -1
}
const newJob = (name: string, attached: { flinkJobId: string } | { flinkJobName: string }, caller = ours) =>
  services.createJob({ caller, name, cluster: 'flink', savepointStorage: 'state', attach: attached })

describe('what runs on a cluster', () => {
  it('is shown live first, then newest, each with the job of ours that follows it', async () => {
    running = [
      named('old', { startTime: 1_000, state: 'FINISHED', endTime: 2_000 }),
      named('by-name', { startTime: 3_000 }),
      named('by-id', { startTime: 5_000, state: 'RESTARTING', allTasksRunning: false }),
      named('free', { startTime: 4_000 }),
      named('recent', { startTime: 9_000, state: 'CANCELED', endTime: -1 }),
    ]
    const { resource: byName } = await newJob('one', { flinkJobName: 'by-name' })
    const { resource: byId } = await newJob('two', { flinkJobId: named('by-id').flinkJobId })
    await newJob('elsewhere', { flinkJobName: 'free' }, theirs)
    const { items, truncated } = await services.list({ caller: ours, cluster: 'flink' })
    expect(items.map(({ name, job }) => [name, job])).toEqual([
      ['by-id', { id: byId.id, name: 'two' }],
      ['free', null],
      ['by-name', { id: byName.id, name: 'one' }],
      ['recent', null],
      ['old', null],
    ])
    expect(truncated).toBe(false)
    expect(items[4]).toMatchObject({
      startTime: '1970-01-01T00:00:01.000Z',
      endTime: '1970-01-01T00:00:02.000Z',
      state: 'FINISHED',
      ambiguous: false,
    })
    expect(items[3]?.endTime).toBeNull()
  })

  it('says which names more than one live job has', async () => {
    running = [
      named('twice', { flinkJobId: '1' }),
      named('twice', { flinkJobId: '2' }),
      named('twice', { flinkJobId: '3', state: 'FAILED' }),
      named('once'),
    ]
    const { items } = await services.list({ caller: ours, cluster: 'flink' })
    expect(items.map(({ flinkJobId, ambiguous }) => [flinkJobId, ambiguous])).toEqual([
      ['1', true],
      ['2', true],
      [named('once').flinkJobId, false],
      ['3', false],
    ])
  })

  it('is cut at 1000, which is said', async () => {
    running = Array.from({ length: 1001 }, (_, n) => named(`job-${n}`, { startTime: n + 1 }))
    const { items, truncated } = await services.list({ caller: ours, cluster: 'flink' })
    expect([items.length, items[0]?.name, truncated]).toEqual([1000, 'job-1000', true])
  })

  it.each([
    ['unreachable', 'CLUSTER_UNREACHABLE'],
    ['leader-election', 'CLUSTER_UNREACHABLE'],
    ['timeout', 'CLUSTER_TOO_SLOW'],
    ['unauthorized', 'CLUSTER_REFUSED'],
  ] as const)('cannot be said when Flink is %s: %s', async (kind, code) => {
    running = new FlinkUnavailableError(kind, 'no answer')
    await expect(services.list({ caller: ours, cluster: 'flink' })).rejects.toMatchObject({ code })
    await expect(attach()).rejects.toMatchObject({ code })
  })
})

describe('an attach by pattern', () => {
  it('attaches what matches, once: the second call attaches nothing', async () => {
    running = [
      named('Orders EU'),
      named('orders us'),
      named('other'),
      named('orders old', { state: 'CANCELED' }),
    ]
    const first = await attach({ namePattern: '?rders*', labels: { team: 'a' }, savepointTimeoutSeconds: 60 })
    expect(first.attached.map(({ flinkJobName, job }) => [flinkJobName, job.name])).toEqual([
      ['Orders EU', 'orders-eu'],
      ['orders us', 'orders-us'],
    ])
    expect(first.counts).toEqual({ matched: 2, attached: 2, skipped: 0, left: 0 })
    const job = await services.ports.jobs.find(ours, 'orders-eu')
    expect(job).toMatchObject({
      id: first.attached[0]?.job.id,
      attach: { flinkJobName: 'Orders EU' },
      cluster: { name: 'flink' },
      savepointStorage: { name: 'state' },
      labels: { team: 'a' },
      savepointTimeoutSeconds: 60,
      allowStop: false,
    })
    const second = await attach({ namePattern: '?rders*' })
    expect(second.attached).toEqual([])
    expect(second.skipped).toEqual([
      { flinkJobName: 'Orders EU', reason: 'ALREADY_ATTACHED', job: { id: job?.id, name: 'orders-eu' } },
      expect.objectContaining({ flinkJobName: 'orders us', reason: 'ALREADY_ATTACHED' }),
    ])
    expect([await countJobs(ours), await countJobs(theirs)]).toEqual([2, 0])
  })

  it('makes names that are free, also when several Flink names come to one', async () => {
    await newJob('orders', { flinkJobName: 'something else' })
    running = [named('Orders'), named('orders!'), named('(orders)'), named('orders-2')]
    const { attached } = await attach()
    const names = attached.map(({ job }) => job.name)
    expect(names.every((name) => /^orders-[2-9](-2)?$/.test(name))).toBe(true)
    expect(new Set(names).size).toBe(4)
  })

  it('finds a free name past many taken ones', async () => {
    for (let n = 1; n <= 40; n++) {
      await newJob(n === 1 ? 'orders' : `orders-${n}`, { flinkJobName: `taken ${n}` })
    }
    running = [named('orders')]
    expect((await attach()).attached[0]?.job.name).toBe('orders-41')
  })

  it('makes no duplicate when two attach at once, and each job is reported by one of them', async () => {
    running = Array.from({ length: 60 }, (_, n) => named(`job ${n}`))
    const reports = await Promise.all([attach(), attach(), attach({ namePattern: 'job *' })])
    expect(await countJobs(ours)).toBe(60)
    expect(reports.reduce((sum, { counts }) => sum + counts.attached, 0)).toBe(60)
    for (const { counts, skipped } of reports) {
      expect(counts).toMatchObject({ matched: 60, left: 0 })
      expect(counts.attached + counts.skipped).toBe(60)
      expect(skipped.every(({ reason, job }) => reason === 'ALREADY_ATTACHED' && job !== null)).toBe(true)
    }
  })

  it('goes side by side with others that create jobs of the cluster', async () => {
    running = Array.from({ length: 20 }, (_, n) => named(`job ${n}`))
    const creating = Array.from({ length: 12 }, (_, n) =>
      newJob(`other-${n}`, { flinkJobName: `other ${n}` }),
    )
    await Promise.all([...creating, ...[1, 2, 3, 4].map(() => attach({ namePattern: 'job *' }))])
    expect(await countJobs(ours)).toBe(32)
  })

  it('writes nothing in a dry run, and says the same', async () => {
    running = [named('orders'), named('日本')]
    const dry = await attach({ dryRun: true })
    expect(await countJobs(ours)).toBe(0)
    expect(dry.attached).toEqual([{ flinkJobName: 'orders', job: { id: null, name: 'orders' } }])
    expect(dry.skipped).toEqual([{ flinkJobName: '日本', reason: 'NAME_UNUSABLE', job: null }])
    expect((await attach()).attached[0]?.job.name).toBe('orders')
  })

  it('attaches at most 500 at a time and says how many are left', async () => {
    running = Array.from({ length: 503 }, (_, n) => named(`job-${n}`))
    expect((await attach()).counts).toEqual({ matched: 503, attached: 500, skipped: 0, left: 3 })
    expect((await attach()).counts).toEqual({ matched: 503, attached: 3, skipped: 500, left: 0 })
  })

  it('needs a storage and a cluster of its own namespace', async () => {
    running = [named('orders')]
    await expect(attach({ savepointStorage: 'nothing' })).rejects.toMatchObject({
      code: 'REFERENCE_NOT_FOUND',
    })
    const cluster = await services.ports.clusters.find(theirs, 'flink')
    const foreign = services.attach({
      caller: ours,
      cluster: cluster?.id ?? '',
      namePattern: '*',
      savepointStorage: 'state',
    })
    await expect(foreign).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('registering a savepoint that exists', () => {
  const MODIFIED = new Date('2026-11-01T10:00:00.000Z')
  const metadata = (checkpointId: number): Buffer => {
    const bytes = Buffer.alloc(64)
    bytes.writeUInt32BE(0x4960672d, 0)
    bytes.writeUInt32BE(4, 4)
    bytes.writeBigInt64BE(BigInt(checkpointId), 8)
    return bytes
  }
  const writeSavepoint = async (path: string, bytes = metadata(17)): Promise<void> => {
    await mkdir(path, { recursive: true })
    await writeFile(join(path, '_metadata'), bytes)
    await utimes(join(path, '_metadata'), MODIFIED, MODIFIED)
  }
  const register = (input: RegisterSnapshotInput, { caller = ours, key = '' } = {}) =>
    services.register({
      caller,
      job: 'orders',
      ...(key !== '' && { idempotency: { key, route: 'r', bodyHash: JSON.stringify(input) } }),
      ...input,
    })
  beforeEach(async () => {
    for (const caller of [ours, theirs]) await newJob('orders', { flinkJobName: 'orders' }, caller)
  })

  it('makes it a Present IMPORT with what its _metadata says, once', async () => {
    const place = join(rootOf(ours), 'old', 'savepoint-1')
    await writeSavepoint(place)
    const first = await register({ location: `file://${place}`, labels: { from: 'before' } })
    expect([first.existed, first.replayed]).toEqual([false, false])
    expect(first.resource).toMatchObject({
      kind: 'SAVEPOINT',
      status: 'Present',
      reason: 'IMPORTED',
      source: 'IMPORT',
      description: 'Savepoint of orders, registered by token:test',
      labels: { from: 'before' },
      job: { name: 'orders' },
      flinkCheckpointId: 17,
      completedAt: MODIFIED.toISOString(),
      settledAt: expect.any(String),
      verifiedAt: expect.any(String),
      verdict: null,
      storage: { name: 'state' },
      ownedPrefix: null,
      location: `file://${place}`,
      restorable: true,
      attempts: [],
    })
    expect(await services.ports.snapshots.listTransitions(ours, first.resource.id)).toMatchObject([
      { from: null, to: 'Present', reason: 'IMPORTED', by: 'token:test' },
    ])
    for (const location of [place, `${place}/`, `file:${place}`, `file://${place}/_metadata`]) {
      const again = await register({ location })
      expect([again.existed, again.resource.id]).toEqual([true, first.resource.id])
    }
  })

  it('lets two at once make one row, and one key mean one', async () => {
    const place = join(rootOf(ours), 'savepoint-2')
    await writeSavepoint(place)
    const four = await Promise.all([1, 2, 3, 4].map(() => register({ location: place })))
    expect(new Set(four.map(({ resource }) => resource.id)).size).toBe(1)
    expect(four.filter(({ existed }) => !existed)).toHaveLength(1)

    const other = join(rootOf(ours), 'savepoint-3')
    await writeSavepoint(other)
    const keyed = await Promise.all([1, 2].map(() => register({ location: other }, { key: 'k' })))
    await rm(other, { recursive: true })
    const later = await register({ location: other }, { key: 'k' })
    expect(new Set([...keyed, later].map(({ resource }) => resource.id)).size).toBe(1)
    expect(later.replayed).toBe(true)
    await expect(register({ location: place }, { key: 'k' })).rejects.toMatchObject({
      code: 'IDEMPOTENCY_KEY_REUSED',
    })
  })

  it('takes the most specific storage', async () => {
    await createStorage(ours, 'archive', join(rootOf(ours), 'archive'))
    const place = join(rootOf(ours), 'archive', 'savepoint-4')
    await writeSavepoint(place)
    expect((await register({ location: place })).resource.storage?.name).toBe('archive')
    const beside = join(rootOf(ours), 'archive-2', 'savepoint-5')
    await writeSavepoint(beside)
    expect((await register({ location: beside })).resource.storage?.name).toBe('state')
  })

  it('owns it only when asked to, and only a folder that holds nothing else', async () => {
    const place = join(rootOf(ours), 'savepoint-6')
    await writeSavepoint(place)
    await writeFile(join(place, 'state-1'), 'x')
    const { resource } = await register({ location: place, owned: true })
    expect(resource.ownedPrefix).toBe(`file://${place}/`)
    const parent = join(rootOf(ours), 'parent')
    await writeSavepoint(parent)
    await writeSavepoint(join(parent, 'savepoint-7'))
    await expect(register({ location: parent, owned: true })).rejects.toMatchObject({
      code: 'VALIDATION_FAILED',
      errors: [{ pointer: '/body/owned' }],
    })
    expect((await register({ location: parent })).resource.ownedPrefix).toBeNull()
  })

  it.each([
    'checkpoints/0123456789abcdef0123456789abcdef/chk-7',
    'checkpoints/0123456789abcdef0123456789abcdef/shared/sp',
    'moved/chk-7',
  ])('owns no checkpoint of Flink: %s', async (path) => {
    const place = join(rootOf(ours), path)
    await writeSavepoint(place)
    await expect(register({ location: place, owned: true })).rejects.toMatchObject({
      code: 'VALIDATION_FAILED',
      errors: [{ pointer: '/body/owned' }],
    })
    expect((await register({ location: place })).resource.ownedPrefix).toBeNull()
  })

  it.each<[string, (root: string, foreign: string) => string, string]>([
    ["another tenant's savepoint", (_, foreign) => `${foreign}/savepoint`, 'LOCATION_OUTSIDE_ROOT'],
    ['the root', (root) => root, 'LOCATION_INVALID'],
    ['the _metadata of the root', (root) => `${root}/_metadata`, 'LOCATION_INVALID'],
    ['a way out of it', (root) => `${root}/x/../../elsewhere`, 'LOCATION_INVALID'],
    ['an encoded way out of it', (root) => `${root}/%2e%2e/elsewhere`, 'LOCATION_INVALID'],
    ['a name beside the root', (root) => `${root}-2/savepoint`, 'LOCATION_OUTSIDE_ROOT'],
    ['a bucket of nobody', () => 's3://bucket/savepoint', 'LOCATION_OUTSIDE_ROOT'],
    ['no location', () => 'savepoint-1', 'LOCATION_INVALID'],
    ['nothing there', (root) => `${root}/nothing`, 'METADATA_MISSING'],
    ['no metadata of Flink', (root) => `${root}/text`, 'METADATA_UNREADABLE'],
    ['an empty metadata', (root) => `${root}/empty`, 'METADATA_UNREADABLE'],
  ])('refuses %s', async (_, at, code) => {
    const [root, foreign] = [rootOf(ours), rootOf(theirs)]
    await writeSavepoint(`${foreign}/savepoint`)
    await writeSavepoint(root)
    await writeSavepoint(`${root}/text`, Buffer.from('this is a text, not a metadata file'))
    await writeSavepoint(`${root}/empty`, Buffer.alloc(0))
    await expect(register({ location: at(root, foreign) })).rejects.toMatchObject({ code })
    const rows = await database.db.sql('select 1 from snapshot where namespace_id = $1', [ours.namespaceId])
    expect(rows).toEqual([])
  })

  it('names the storages it looked at', async () => {
    await expect(register({ location: 's3://bucket/x' })).rejects.toThrow('looked at: state')
  })

  it('follows no link out of the root', async () => {
    const [root, foreign] = [rootOf(ours), rootOf(theirs)]
    await writeSavepoint(`${foreign}/savepoint`)
    await symlink(`${foreign}/savepoint`, `${root}/link`)
    await expect(register({ location: `${root}/link` })).rejects.toThrow()
  })

  it('cannot look into a storage that only Flink reaches', async () => {
    await createStorage(ours, 'hdfs', join(rootOf(ours), 'hdfs'), 'flink-only')
    await writeSavepoint(join(rootOf(ours), 'hdfs', 'savepoint'))
    await expect(register({ location: join(rootOf(ours), 'hdfs', 'savepoint') })).rejects.toMatchObject({
      code: 'STORAGE_NOT_ADDRESSABLE',
    })
  })

  it('answers for a location of another tenant nothing, even where it is registered there', async () => {
    const place = join(rootOf(theirs), 'savepoint-8')
    await writeSavepoint(place)
    await register({ location: place }, { caller: theirs })
    await expect(register({ location: place })).rejects.toMatchObject({ code: 'LOCATION_OUTSIDE_ROOT' })
  })

  it('leaves what lies in the directory of a savepoint of ours to that one', async () => {
    const job = await services.ports.jobs.find(ours, 'orders')
    const storage = await services.ports.storages.find(ours, 'state')
    const id = v7()
    const prefix = join(rootOf(ours), ours.namespace, 'orders', 'savepoints', id)
    await database.db.sql(
      `insert into snapshot (id, namespace_id, job_id, storage_id, kind, status, reason, source, description, attempt,
         created_by, owned_prefix)
       values ($1, $2, $3, $4, 'SAVEPOINT', 'Creating', 'REQUESTED', 'MANUAL', 'a test', 1, 'test', $5)`,
      [id, ours.namespaceId, job?.id, storage?.id, `file://${prefix}/`],
    )
    const place = join(prefix, '1', 'savepoint-123456-abcdef')
    await writeSavepoint(place)
    await expect(register({ location: place })).rejects.toMatchObject({
      code: 'IN_USE',
      extra: { snapshot: `/v1/snapshots/${id}` },
    })
    // Once it is Present there, it is the answer.
    await database.db.sql(
      `update snapshot set status = 'Present', settled_at = now(), location = $2, location_key = $2 where id = $1`,
      [id, `file://${place}`],
    )
    expect(await register({ location: place })).toMatchObject({ existed: true, resource: { id } })
    const owned = join(rootOf(ours), 'owned')
    await writeSavepoint(owned)
    await register({ location: owned, owned: true })
    await writeSavepoint(join(owned, 'deeper'))
    await expect(register({ location: join(owned, 'deeper') })).rejects.toMatchObject({ code: 'IN_USE' })
  })

  it('needs a job', async () => {
    const place = join(rootOf(ours), 'savepoint-9')
    await writeSavepoint(place)
    const nobody = services.register({ caller: ours, job: 'nobody', location: place })
    await expect(nobody).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})
