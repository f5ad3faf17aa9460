/** Copies over HTTP and by workers, on a real Postgres, local folders and an S3 server: repeated, killed, refused, too late. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { v7 } from 'uuid'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { startFauxqs, startVersityGateway } from '../../dev/services/s3.ts'
import { createCopyWorkRepository } from '../../src/db/copies.ts'
import { createInspectionRepository } from '../../src/db/inspections.ts'
import { createStorageRepository } from '../../src/db/storages.ts'
import { joinLocation } from '../../src/domain/location.ts'
import type { CopyOperation } from '../../src/domain/operation.ts'
import type { Snapshot } from '../../src/domain/snapshot.ts'
import { readMetadata } from '../../src/metadata/read-metadata.ts'
import { summarize } from '../../src/metadata/summarize.ts'
import type { ObjectCopier, ObjectStores } from '../../src/ports/storage.ts'
import type { RunningServer } from '../../src/server.ts'
import { sweepCopies } from '../../src/services/advance-copy.ts'
import { createObjectStores } from '../../src/storage/stores.ts'
import { type Api, until } from '../support/api.ts'
import { incrementalCheckpoint, type WrittenFile } from '../support/copied-snapshots.ts'
import { type CountingProxy, startCountingProxy } from '../support/counting-proxy.ts'
import type { TestDatabase } from '../support/database.ts'
import { createTenants, type Tenant } from '../support/fixtures.ts'
import { fixedSecrets, storageAddress } from '../support/storage-address.ts'
import { startApiOfTwoTenants } from '../support/two-tenants.ts'

vi.setConfig({ testTimeout: 30_000, hookTimeout: 120_000 })

type Answer = CopyOperation & { code?: string; detail?: string }

const LEASE_MS = 500
const MIB = 1024 * 1024
let database: TestDatabase
let server: RunningServer
let folder: string
let s3: Awaited<ReturnType<typeof startFauxqs>>
let proxy: CountingProxy
let client: S3Client
let stores: ObjectStores & ObjectCopier
let ours: Tenant
let theirs: Tenant
let api: Api
let other: Api

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidemark-copies-'))
  ;({ database, server, api, other } = await startApiOfTwoTenants('copies'))
  s3 = await startFauxqs()
  for (const bucket of ['one', 'two']) await s3.createBucket(bucket)
  proxy = await startCountingProxy(s3.url)
  client = new S3Client({
    endpoint: s3.url,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  })
  stores = createObjectStores({
    secrets: fixedSecrets,
    localRoots: [folder],
    s3Limits: { maxAttempts: 1, callTimeoutMs: 5_000 },
  })
})
afterAll(async () => {
  await stores?.close()
  client?.destroy()
  await proxy?.close()
  await s3?.stop()
  await server?.close()
  await database?.drop()
  await rm(folder, { recursive: true, force: true })
})

beforeEach(async () => {
  const tenants = await createTenants(database.db)
  ours = tenants.ours
  theirs = tenants.theirs
  for (const name of ['flink', 'archive', 'foreign']) await mkdir(join(folder, name), { recursive: true })
  await addStorage(ours, 'flink', `file://${folder}/flink`, 'local')
  await addStorage(ours, 'archive', `file://${folder}/archive`, 'local')
  await addStorage(theirs, 'archive', `file://${folder}/foreign`, 'local')
  proxy.requests.length = 0
  proxy.intercept = () => false
})
afterEach(async () => {
  await sql(
    'truncate cluster, storage, job, run, snapshot, job_version, attempt, worker, operation, idempotency_record cascade',
  )
  await sql('truncate history.event, history.snapshot_transition')
  for (const name of ['flink', 'archive', 'foreign']) {
    await rm(join(folder, name), { recursive: true, force: true })
  }
})

const sql = <Row extends Record<string, unknown>>(text: string, values: unknown[] = []) =>
  database.db.sql<Row>(text, values)

async function addStorage(
  { caller }: Tenant,
  name: string,
  uri: string,
  provider: string,
  endpoint: string | null = null,
): Promise<void> {
  await sql(
    `insert into storage (id, namespace_id, name, uri, root_key, provider, endpoint, credentials)
     values ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [
      v7(),
      caller.namespaceId,
      name,
      uri,
      `${uri}/`,
      provider,
      endpoint,
      endpoint && JSON.stringify({ accessKeyId: { env: 'A' }, secretAccessKey: { env: 'B' } }),
    ],
  )
}

const addBuckets = async (): Promise<void> => {
  await addStorage(ours, 'one', 's3://one/flink', 'minio', proxy.url)
  await addStorage(ours, 'two', 's3://two/archive', 'minio', proxy.url)
}

/** A Present checkpoint of a run, with all its files. */
async function insertCheckpoint(root: string, options: { sharedFiles?: number; bytes?: number } = {}) {
  const { location, files, needs } = incrementalCheckpoint(`${root}/checkpoints/0a1b`, options)
  for (const { name, bytes } of files) await writeTo(`${root}/checkpoints/0a1b/${name}`, bytes)
  const id = await insertRow(location)
  return { id, location, files, needs }
}

async function insertRow(location: string, tenant = ours): Promise<string> {
  const id = v7()
  await sql(
    `insert into snapshot (id, namespace_id, job_id, run_id, storage_id, kind, status, reason, source, description,
       flink_checkpoint_id, completed_at, settled_at, location, location_key, size_bytes, job_version, incremental, created_by)
     values ($1, $2, $3, $4, null, 'CHECKPOINT', 'Present', 'COMPLETED', 'SYSTEM', 'a checkpoint', 7,
       now() - interval '1 hour', now(), $5, $5, 4242, 3, true, 'flink')`,
    [id, tenant.caller.namespaceId, tenant.jobId, tenant.runId, location],
  )
  return id
}

async function writeTo(location: string, bytes: Uint8Array): Promise<void> {
  const [, Bucket, Key] = /^s3:\/\/([^/]+)\/(.*)$/.exec(location) ?? []
  if (Bucket) {
    await client.send(new PutObjectCommand({ Bucket, Key, Body: bytes }))
    return
  }
  const path = fileURLToPath(location)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, bytes)
}

async function readFrom(location: string): Promise<Uint8Array> {
  const [, Bucket, Key] = /^s3:\/\/([^/]+)\/(.*)$/.exec(location) ?? []
  if (!Bucket) return readFile(fileURLToPath(location))
  const object = await client.send(new GetObjectCommand({ Bucket, Key }))
  return (await object.Body?.transformToByteArray()) ?? new Uint8Array()
}

const copy = (snapshot: string, body: object, headers: Record<string, string> = {}, as = api) =>
  as.call<Answer>('POST', `/v1/snapshots/${snapshot}/copy`, { body, headers })
const codeOf = ({ status, body }: { status: number; body: Answer }) => [status, body.code]
const readOperation = async (id: string) => (await api.call<Answer>('GET', `/v1/operations/${id}`)).body
const readSnapshot = async (id: string) => (await api.call<Snapshot>('GET', `/v1/snapshots/${id}`)).body

class Killed extends Error {}

/** A worker that is killed where `at` says, on its `passage`-th way past it. */
function worker({
  at,
  passage = 1,
  use = stores,
}: {
  at?: string
  passage?: number
  use?: typeof stores
} = {}) {
  let passages = 0
  return sweepCopies({
    copyWork: createCopyWorkRepository(database.db, { leaseMs: LEASE_MS, newLease: v7 }),
    storages: createStorageRepository(database.db),
    inspections: createInspectionRepository(database.db),
    stores: use,
    crashPoint: (name) => {
      if (name !== at) return
      passages += 1
      if (passages >= passage) throw new Killed(`at ${name}`)
    },
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
    limits: { renewMs: LEASE_MS / 3, holdMs: 60_000 },
  })
}
const round = async (sweep = worker()) => (await sweep(10)).done

/** By workers that come and go, as the sweep of a process would. */
const untilEnded = (id: string, sweep = worker()): Promise<Answer> =>
  until(`operation ${id} has ended`, async () => {
    await round(sweep)
    const operation = await readOperation(id)
    return operation.endedAt !== null && operation
  })

/** Everything the checkpoint needs, byte by byte, where the copy's own metadata says. */
async function expectWhole(copied: Snapshot, files: readonly WrittenFile[]): Promise<void> {
  const metadata = await readMetadata(await readFrom(`${copied.location}/_metadata`))
  const summary = summarize(metadata)
  expect(summary).toMatchObject({ selfContained: true, checkpointId: '7', incremental: true })
  expect(summary.properties).toMatchObject({ kind: 'checkpoint' })
  const byName = new Map(files.map(({ name, bytes }) => [name.split('/').at(-1), bytes]))
  for (const { path, size } of summary.files) {
    const bytes = await readFrom(`${copied.location}/${path}`)
    const expected = path === 'merged' ? byName.get('merged')?.subarray(50, 150) : byName.get(path)
    expect(Buffer.compare(bytes, expected ?? new Uint8Array()), path).toBe(0)
    expect(bytes.length).toBe(Number(size))
  }
}

describe('a copy', () => {
  it('is a savepoint of its own that needs nothing else, and ranks as its source [N-11]', async () => {
    const checkpoint = await insertCheckpoint(`file://${folder}/flink`)
    const { status, headers, body } = await copy(checkpoint.id, {
      storage: 'archive',
      description: 'before the move',
      labels: { why: 'move' },
    })
    expect(status).toBe(202)
    expect(headers['location']).toBe(`/v1/operations/${body.id}`)
    expect(body).toMatchObject({ kind: 'COPY', status: 'RUNNING', snapshot: null, job: { name: 'orders' } })

    const ended = await untilEnded(body.id)
    expect(ended).toMatchObject({ status: 'SUCCEEDED', failure: null })
    expect(ended.steps.map(({ name, status }) => [name, status])).toEqual(
      ['read', 'plan', 'copy', 'metadata', 'verify', 'record'].map((name) => [name, 'DONE']),
    )
    expect(ended.result).toMatchObject({
      relocatable: true,
      progress: { files: checkpoint.needs, filesDone: checkpoint.needs, filesInside: checkpoint.needs - 1 },
    })
    const copied = await readSnapshot(ended.snapshot ?? '')
    const prefix = `file://${folder}/archive/ours/orders/savepoints/${copied.id}/`
    expect(copied).toMatchObject({
      kind: 'SAVEPOINT',
      status: 'Present',
      reason: 'COPIED',
      source: 'COPY',
      copyOf: checkpoint.id,
      description: 'before the move',
      labels: { why: 'move' },
      run: ours.runId,
      jobVersion: 3,
      flinkCheckpointId: 7,
      format: 'NATIVE',
      sizeBytes: 4242,
      ownedPrefix: prefix,
      location: `${prefix}1`,
      storage: { name: 'archive' },
      restorable: true,
      verdict: 'WHOLE',
    })
    expect(copied.completedAt).toBe((await readSnapshot(checkpoint.id)).completedAt)
    await rm(join(folder, 'flink'), { recursive: true })
    await expectWhole(copied, checkpoint.files)

    const { body: transitions } = await api.call<{ items: object[] }>(
      'GET',
      `/v1/snapshots/${copied.id}/transitions`,
    )
    expect(transitions.items).toMatchObject([{ to: 'Present', reason: 'COPIED' }])
    const point = await api.call<{ candidates: { snapshot: string; rank: object }[] }>(
      'GET',
      '/v1/jobs/orders/restore-point',
    )
    const ranks = point.body.candidates.map(({ snapshot, ...rest }) => [snapshot, rest])
    expect(ranks.map(([id]) => id)).toEqual([checkpoint.id, copied.id])
  })

  it('asked for twice while it is open is made once, and again afterwards is another one', async () => {
    const { id } = await insertCheckpoint(`file://${folder}/flink`)
    const answers = await Promise.all(
      [1, 2, 3].map((key) => copy(id, { storage: 'archive' }, { 'idempotency-key': `k${key}` })),
    )
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1)
    const first = answers[0]?.body.id ?? ''
    expect((await copy(id, { storage: 'flink' })).body.id).not.toBe(first)
    expect(await untilEnded(first)).toMatchObject({ status: 'SUCCEEDED' })
    const replayed = await copy(id, { storage: 'archive' }, { 'idempotency-key': 'k2' })
    expect(replayed.headers['idempotency-replayed']).toBe('true')
    expect(replayed.body.id).toBe(first)
    expect(codeOf(await copy(id, { storage: 'flink' }, { 'idempotency-key': 'k2' }))).toEqual([
      422,
      'IDEMPOTENCY_KEY_REUSED',
    ])
    expect((await copy(id, { storage: 'archive' })).body.id).not.toBe(first)
  })

  it('keeps its source in use, and its storage, until it has ended', async () => {
    const { id } = await insertCheckpoint(`file://${folder}/flink`)
    const uses = async () =>
      (await api.call<{ inUseBy: object[] }>('GET', `/v1/snapshots/${id}/references`)).body.inUseBy
    expect(await uses()).toEqual([])
    const { body } = await copy(id, { storage: 'archive' })
    expect(await uses()).toMatchObject([{ reason: 'COPYING' }])
    expect((await api.call('DELETE', '/v1/storages/archive')).status).toBe(409)
    await untilEnded(body.id)
    expect(await uses()).toEqual([])
  })

  it.each([
    ['copy-planned', 1],
    ['copy-file-copied', 1],
    ['copy-file-copied', 20],
    ['copy-slice-recorded', 1],
    ['copy-metadata-written', 1],
    ['copy-recorded', 1],
  ])('goes on when a worker is killed at %s (%i)', async (at, passage) => {
    const checkpoint = await insertCheckpoint(`file://${folder}/flink`, { sharedFiles: 30 })
    const { body } = await copy(checkpoint.id, { storage: 'archive' })
    await round(worker({ at, passage }))
    const ended = await untilEnded(body.id)
    expect(ended).toMatchObject({
      status: 'SUCCEEDED',
      result: { progress: { files: 32, filesDone: 32 } },
    })
    await expectWhole(await readSnapshot(ended.snapshot ?? ''), checkpoint.files)
    const rows = await sql(`select id from snapshot where source = 'COPY'`)
    expect(rows).toHaveLength(1)
  })

  it('by two workers at once, of which one sleeps past its lease, is one copy', async () => {
    const checkpoint = await insertCheckpoint(`file://${folder}/flink`, { sharedFiles: 30 })
    const { body } = await copy(checkpoint.id, { storage: 'archive' })
    let wake = () => {}
    const asleep = new Promise<void>((resolve) => {
      wake = resolve
    })
    const slow: typeof stores = {
      ...stores,
      copy: async (...place) => {
        await asleep
        return stores.copy(...place)
      },
    }
    const sleeper = await worker({ use: slow })(10)
    await sql("update operation set lease_until = now() - interval '1 s', lease_token = gen_random_uuid()")
    const ended = await untilEnded(body.id)
    wake()
    await sleeper.done
    expect(ended.status).toBe('SUCCEEDED')
    expect(await readOperation(body.id)).toEqual(ended)
    await expectWhole(await readSnapshot(ended.snapshot ?? ''), checkpoint.files)
    expect(await sql(`select id from snapshot where source = 'COPY'`)).toHaveLength(1)
  })

  it('of a checkpoint that Flink subsumes meanwhile fails, and takes what it wrote with it', async () => {
    const checkpoint = await insertCheckpoint(`file://${folder}/flink`, { sharedFiles: 30 })
    const { body } = await copy(checkpoint.id, { storage: 'archive' })
    await round(worker({ at: 'copy-slice-recorded' }))
    expect((await readdir(join(folder, 'archive'), { recursive: true })).length).toBeGreaterThan(10)
    await rm(join(folder, 'flink/checkpoints/0a1b/shared'), { recursive: true })
    const ended = await untilEnded(body.id)
    expect(ended).toMatchObject({ status: 'FAILED', failure: { code: 'SOURCE_GONE' }, snapshot: null })
    expect(ended.steps.find(({ status }) => status === 'FAILED')?.name).toBe('copy')
    await until('what was written is gone', async () => {
      const left = await readdir(join(folder, 'archive'), { recursive: true, withFileTypes: true })
      return left.every((entry) => !entry.isFile())
    })
    expect(await sql(`select id from snapshot where source = 'COPY'`)).toEqual([])
  })

  it('that failed stays failed when the worker is killed before it has tidied up', async () => {
    const checkpoint = await insertCheckpoint(`file://${folder}/flink`, { sharedFiles: 30 })
    const { body } = await copy(checkpoint.id, { storage: 'archive' })
    await round(worker({ at: 'copy-slice-recorded' }))
    await rm(join(folder, 'flink/checkpoints/0a1b/shared'), { recursive: true })
    const ended = await untilEnded(body.id, worker({ at: 'copy-failed' }))
    await round()
    expect(await readOperation(body.id)).toEqual(ended)
    expect(ended.failure?.code).toBe('SOURCE_GONE')
    const left = await readdir(body.request.directory.replace('file://', ''))
    expect(left.length).toBeGreaterThan(0)
    expect(left).not.toContain('_metadata')
  })

  it('is refused with its reason where it cannot be made', async () => {
    const { id } = await insertCheckpoint(`file://${folder}/flink`)
    await addStorage(ours, 'hdfs', 'hdfs://n/x', 'flink-only')
    expect(codeOf(await copy(id, { storage: 'hdfs' }))).toEqual([409, 'STORAGE_NOT_ADDRESSABLE'])
    expect(codeOf(await copy(id, { storage: 'nowhere' }))).toEqual([404, 'REFERENCE_NOT_FOUND'])
    expect(codeOf(await copy(v7(), { storage: 'archive' }))).toEqual([404, 'NOT_FOUND'])
    expect(codeOf(await copy(id, { storage: 'archive', to: 1 }))).toEqual([400, 'VALIDATION_FAILED'])
    expect(codeOf(await copy(id, {}))).toEqual([400, 'VALIDATION_FAILED'])

    // a shared file lies where no storage of this namespace reaches
    await sql(`update storage set uri = uri || '/checkpoints/0a1b/chk-7', root_key = root_key || 'checkpoints/0a1b/chk-7/'
      where name = 'flink'`)
    const far = await untilEnded((await copy(id, { storage: 'archive' })).body.id)
    expect(far).toMatchObject({
      failure: { code: 'COPY_NOT_POSSIBLE' },
      result: { findings: [{ code: 'STORAGE_NOT_ADDRESSABLE' }] },
    })
    await sql(`update snapshot set status = 'Cleared' where id = $1`, [id])
    expect(codeOf(await copy(id, { storage: 'archive' }))).toEqual([409, 'SNAPSHOT_NOT_PRESENT'])
  })

  it('of what is damaged, unreadable or gone fails and says so', async () => {
    const { id, location } = await insertCheckpoint(`file://${folder}/flink`)
    const failWith = async () =>
      (await untilEnded((await copy(id, { storage: 'archive' })).body.id)).failure?.code
    await writeTo(`file://${folder}/flink/checkpoints/0a1b/shared/sst-1`, new Uint8Array(3))
    expect(await failWith()).toBe('SOURCE_DAMAGED')
    await writeTo(`${location}/_metadata`, new Uint8Array(30))
    expect(await failWith()).toBe('METADATA_UNREADABLE')
    await rm(fileURLToPath(`${location}/_metadata`))
    expect(await failWith()).toBe('SOURCE_GONE')
    await rm(join(folder, 'archive'), { recursive: true })
    for (const { name, bytes } of incrementalCheckpoint(`file://${folder}/flink/checkpoints/0a1b`).files) {
      await writeTo(`file://${folder}/flink/checkpoints/0a1b/${name}`, bytes)
    }
    expect(await failWith()).toBe('STORAGE_BUCKET_MISSING')
  })

  it('is given up at its deadline', async () => {
    const { id } = await insertCheckpoint(`file://${folder}/flink`)
    const { body } = await copy(id, { storage: 'archive', timeoutSeconds: 60 })
    await sql(`update operation set deadline_at = now() - interval '1 s'`)
    expect(await untilEnded(body.id)).toMatchObject({ status: 'FAILED', failure: { code: 'COPY_TIMEOUT' } })
  })

  it("is nothing of another tenant's", async () => {
    const { id } = await insertCheckpoint(`file://${folder}/flink`)
    expect(codeOf(await copy(id, { storage: 'archive' }, {}, other))).toEqual([404, 'NOT_FOUND'])
    const { body } = await copy(id, { storage: 'archive' })
    expect((await other.call('GET', `/v1/operations/${body.id}`)).status).toBe(404)
    await untilEnded(body.id)
    expect(await readdir(join(folder, 'foreign'))).toEqual([])
    // their row names our files: no storage of theirs reaches them
    const stolen = await insertRow(`file://${folder}/flink/checkpoints/0a1b/chk-7`, theirs)
    const theft = await copy(stolen, { storage: 'archive' }, {}, other)
    await round()
    const { body: failed } = await other.call<Answer>('GET', `/v1/operations/${theft.body.id}`)
    expect(failed.failure?.code).toBe('STORAGE_NOT_ADDRESSABLE')
  })
})

describe('a copy on S3', () => {
  beforeEach(addBuckets)
  const gets = () =>
    proxy.requests.filter(({ method, path }) => method === 'GET' && path.includes('/shared/sst-')).length

  it('from bucket to bucket is made by the store itself [N-11]', async () => {
    const checkpoint = await insertCheckpoint('s3://one/flink')
    const { body } = await copy(checkpoint.id, { storage: 'two' })
    const ended = await untilEnded(body.id)
    expect(ended).toMatchObject({ status: 'SUCCEEDED', result: { progress: { filesInside: 4, files: 5 } } })
    expect(gets()).toBe(0)
    await expectWhole(await readSnapshot(ended.snapshot ?? ''), checkpoint.files)
  })

  it('to a folder goes through us', async () => {
    const checkpoint = await insertCheckpoint('s3://one/flink')
    const ended = await untilEnded((await copy(checkpoint.id, { storage: 'archive' })).body.id)
    expect(ended).toMatchObject({ status: 'SUCCEEDED', result: { progress: { filesInside: 0 } } })
    expect(gets()).toBe(3)
    await expectWhole(await readSnapshot(ended.snapshot ?? ''), checkpoint.files)
  })

  it('goes on when the store was too busy for a while', async () => {
    const checkpoint = await insertCheckpoint('s3://one/flink', { sharedFiles: 6 })
    let busy = 3
    proxy.intercept = (message, response) => {
      if (message.method !== 'PUT' || busy === 0) return false
      busy -= 1
      message.resume()
      response
        .writeHead(503, { 'content-type': 'application/xml' })
        .end('<Error><Code>SlowDown</Code><Message>later</Message></Error>')
      return true
    }
    const { body } = await copy(checkpoint.id, { storage: 'two' })
    await round()
    expect((await readOperation(body.id)).steps.find(({ name }) => name === 'copy')).toMatchObject({
      status: 'RUNNING',
      message: expect.stringContaining('SlowDown'),
    })
    await sql('update operation set next_action_at = now()')
    const ended = await untilEnded(body.id)
    expect(ended.status).toBe('SUCCEEDED')
    await expectWhole(await readSnapshot(ended.snapshot ?? ''), checkpoint.files)
  })

  it('that answers 200 with an error in it was not made', async () => {
    const { id } = await insertCheckpoint('s3://one/flink')
    proxy.intercept = (message, response) => {
      if (!message.headers['x-amz-copy-source']) return false
      message.resume()
      response
        .writeHead(200, { 'content-type': 'application/xml' })
        .end('<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>no</Message></Error>')
      return true
    }
    const ended = await untilEnded((await copy(id, { storage: 'two' })).body.id)
    expect(ended).toMatchObject({ status: 'FAILED', failure: { code: 'STORAGE_ACCESS_DENIED' } })
  })
})

describe('a large object on a real S3 server', () => {
  it('is copied in parts, and leaves nothing behind when one fails', async () => {
    const keys = { accessKey: 'test', secretKey: 'test' }
    const gateway = await startVersityGateway(keys)
    const counted = await startCountingProxy(gateway.url)
    const small = createObjectStores({
      secrets: fixedSecrets,
      s3Limits: { maxAttempts: 1, singleCopyBytes: 5 * MIB, copyPartBytes: 5 * MIB },
    })
    try {
      for (const bucket of ['one', 'two']) await gateway.createBucket(bucket)
      const [from, to] = ['s3://one/flink', 's3://two/archive'].map((uri) =>
        storageAddress(uri, { provider: 'minio', endpoint: counted.url }),
      )
      if (!from || !to) throw new Error('no addresses')
      const bytes = new Uint8Array(12 * MIB).map((_, at) => at >> 16)
      const source = joinLocation(from.root, 'large +%')
      const target = joinLocation(to.root, 'a b', 'large')
      await small.of(from).put(source, bytes)
      const place = { storage: to, location: target }
      const copying = () =>
        small.copy({ storage: from, location: source, sizeBytes: bytes.length, piece: null }, place)

      counted.intercept = (message, response) => {
        if (!message.url?.includes('partNumber=2')) return false
        message.resume()
        response.writeHead(200).end('<Error><Code>InternalError</Code><Message>no</Message></Error>')
        return true
      }
      await expect(copying()).rejects.toMatchObject({ name: 'StorageError' })
      expect(counted.requests.at(-1)).toMatchObject({ method: 'DELETE' })
      expect(await small.of(to).head(target)).toBeNull()

      counted.intercept = () => false
      counted.requests.length = 0
      expect(await copying()).toBe('INSIDE')
      expect(counted.requests.filter(({ path }) => path.includes('partNumber='))).toHaveLength(3)
      expect(counted.requests.filter(({ method }) => method === 'GET')).toEqual([])
      const copied: Uint8Array[] = []
      for await (const chunk of small.of(to).read(target)) copied.push(chunk)
      expect(Buffer.compare(Buffer.concat(copied), bytes)).toBe(0)
    } finally {
      await small.close()
      await counted.close()
      await gateway.stop()
    }
  })
})
