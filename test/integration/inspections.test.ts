/** What lies inside snapshots and who shares their files: HTTP over a real Postgres and a local storage, and the S3 protocol. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createInspectionRepository } from '../../src/db/inspections.ts'
import { createSnapshotRepository } from '../../src/db/snapshots.ts'
import { createStorageRepository } from '../../src/db/storages.ts'
import type { SnapshotInspection, StoredFile } from '../../src/domain/inspection.ts'
import { parseLocation } from '../../src/domain/location.ts'
import type { ObjectStore, ObjectStores } from '../../src/ports/storage.ts'
import type { RunningServer } from '../../src/server.ts'
import type { InspectionView, Page, SnapshotReferences } from '../../src/services/api.ts'
import { readInspection } from '../../src/services/read-inspection.ts'
import { createObjectStores } from '../../src/storage/stores.ts'
import type { Api } from '../support/api.ts'
import { insertCheckpoint } from '../support/checkpoints.ts'
import type { TestDatabase } from '../support/database.ts'
import { createTenants, insertSavepoint, type Tenant, WAY_TO } from '../support/fixtures.ts'
import { metadataWithFiles, type NamedFile } from '../support/metadata-with-files.ts'
import { openBucketOfTheRun } from '../support/savepoint-storage.ts'
import { startApiOfTwoTenants, TOKEN_OF_OURS } from '../support/two-tenants.ts'

const SAMPLES = 'test/support/flink-metadata-samples'
const SAMPLE = 'v4-flink1.17-udf-rocksdb-checkpoint-unaligned'
const TOKEN = TOKEN_OF_OURS

let database: TestDatabase
let server: RunningServer
let ours: Tenant
let theirs: Tenant
let api: Api
let other: Api
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidemark-inspections-'))
  ;({ database, server, api, other } = await startApiOfTwoTenants('inspections', { localRoots: folder }))
}, 120_000)
afterAll(async () => {
  await server?.close()
  await database?.drop()
  if (folder) await rm(folder, { recursive: true, force: true })
})

beforeEach(async () => {
  await sql(
    'truncate cluster, storage, job, run, snapshot, checkpoint_hour, job_version, attempt, worker, operation cascade',
  )
  const tenants = await createTenants(database.db)
  ours = tenants.ours
  theirs = tenants.theirs
  for (const tenant of [ours, theirs]) {
    const root = uriOf(tenant, '')
    await mkdir(fileURLToPath(root), { recursive: true })
    await sql(`update storage set uri = $1, root_key = $2, provider = 'local' where id = $3`, [
      root.replace(/\/$/, ''),
      root,
      tenant.storageId,
    ])
  }
})

const sql = <Row extends Record<string, unknown>>(text: string, values: unknown[] = []) =>
  database.db.sql<Row>(text, values)
const uriOf = (tenant: Tenant, path: string): string =>
  pathToFileURL(join(folder, tenant.caller.namespace, path)).href + (path === '' ? '/' : '')

/** A Present savepoint whose `_metadata` holds these bytes; null for none. */
async function writeSnapshot(tenant: Tenant, path: string, metadata: Uint8Array | null): Promise<string> {
  const location = uriOf(tenant, path)
  await mkdir(fileURLToPath(location), { recursive: true })
  if (metadata) await writeFile(join(fileURLToPath(location), '_metadata'), metadata)
  return insertSavepoint(database.db, tenant, { status: 'Present', location })
}
const named = (tenant: Tenant, path: string, files: NamedFile[]) =>
  writeSnapshot(tenant, path, metadataWithFiles(files))
const sample = () => readFile(`${SAMPLES}/${SAMPLE}/_metadata`)

const inspect = (id: string, client = api) =>
  client.call<InspectionView & { code?: string; detail?: string; metadata?: object }>(
    'GET',
    `/v1/snapshots/${id}/inspection`,
  )
const listFiles = (id: string, query = '') =>
  api.call<Page<StoredFile> & { code?: string }>('GET', `/v1/snapshots/${id}/inspection/files${query}`)
const readReferences = async (id: string) => {
  const { status, body } = await api.call<SnapshotReferences>('GET', `/v1/snapshots/${id}/references`)
  expect(status).toBe(200)
  return body
}
const countRows = async (id: string): Promise<[number, number]> => {
  const [row] = await sql<{ inspections: number; files: number }>(
    `select (select count(*)::int from snapshot_inspection where snapshot_id = $1) as inspections,
       (select count(*)::int from snapshot_file where snapshot_id = $1) as files`,
    [id],
  )
  return [row?.inspections ?? -1, row?.files ?? -1]
}

describe('the inspection of a snapshot', () => {
  it('has what Flink finds under the names of the offline inspection [N-05]', async () => {
    const expected: Record<string, Record<string, unknown>> = JSON.parse(
      await readFile(`${SAMPLES}/expected.json`, 'utf8'),
    )
    const names = Object.keys(expected)
    expect(names.length).toBeGreaterThan(30)
    for (const name of names) {
      const { relativeFiles, absoluteFiles, ...summary } = expected[name] ?? {}
      const id = await writeSnapshot(ours, name, await readFile(`${SAMPLES}/${name}/_metadata`))
      const { status, body } = await inspect(id)
      expect([name, status]).toEqual([name, 200])
      expect(body).toMatchObject({ ...summary, snapshot: id, location: uriOf(ours, name) })
      const { body: page } = await listFiles(id, '?pageSize=200')
      const paths = page.items.map(({ path }) => path).sort()
      expect(paths).toEqual([...new Set([relativeFiles, absoluteFiles].flat())].sort())
      expect(body.fileCount).toBe(page.items.length)
    }
  })

  it('is read once: the second answer needs no store, and is the same', async () => {
    const id = await writeSnapshot(ours, 'once', await sample())
    const first = await inspect(id)
    expect(first.status).toBe(200)
    await rm(fileURLToPath(uriOf(ours, 'once')), { recursive: true })
    const again = await inspect(id)
    expect(again).toMatchObject({ status: 200, body: first.body })
    expect((await listFiles(id)).status).toBe(200)
  })

  it('asked for by many at once is kept once, whole', async () => {
    const files = Array.from({ length: 6_000 }, (_, index) => ({ path: `file:///shared/${index}` }))
    const id = await named(ours, 'many', files)
    const answers = await Promise.all(Array.from({ length: 5 }, () => inspect(id)))
    expect(answers.map(({ status, body }) => [status, body.fileCount])).toEqual(
      answers.map(() => [200, 6_000]),
    )
    expect(await countRows(id)).toEqual([1, 6_000])
  })

  it('is of the namespace of the caller', async () => {
    const id = await writeSnapshot(theirs, 'hidden', await sample())
    expect((await inspect(id)).status).toBe(404)
    expect((await listFiles(id)).status).toBe(404)
    expect((await inspect(id, other)).status).toBe(200)
    expect((await inspect(id)).status).toBe(404)
    const repository = createInspectionRepository(database.db)
    const page = { pageSize: 10, after: null }
    expect(await repository.find(ours.caller, id)).toBeNull()
    expect((await repository.listFiles(ours.caller, id, page)).items).toEqual([])
    expect((await repository.listFiles(theirs.caller, id, page)).items).not.toEqual([])
    const kept = await repository.find(theirs.caller, id)
    expect(kept && (await repository.save(ours.caller, id, kept, []))).toBe(false)
  })

  it.each<[string, (whole: Buffer) => Uint8Array, string]>([
    ['empty', () => new Uint8Array(), 'truncated'],
    ['cut off', (whole) => whole.subarray(0, whole.length - 700), 'truncated'],
    ['something else', () => Buffer.from('<html>no such key</html>'), 'bad-magic'],
    [
      'of a version to come',
      (whole) => Buffer.concat([whole.subarray(0, 7), Buffer.from([7]), whole.subarray(8)]),
      'unsupported-version',
    ],
    [
      'corrupt',
      (whole) => Buffer.concat([whole.subarray(0, 20), Buffer.from([0x7f, 0xff]), whole.subarray(22)]),
      'bad-count',
    ],
  ])('says byte and field of a _metadata that is %s', async (name, damage, code) => {
    const id = await writeSnapshot(ours, name.replaceAll(' ', '-'), damage(await sample()))
    const { status, body } = await inspect(id)
    expect([status, body.code]).toEqual([409, 'METADATA_UNREADABLE'])
    expect(body.metadata).toMatchObject({ code, offset: expect.any(Number), path: expect.any(String) })
    expect(body.detail).toMatch(/byte \d+/)
    expect(await countRows(id)).toEqual([0, 0])
  })

  it('says that there is none: no _metadata, no data, no storage', async () => {
    const missing = await writeSnapshot(ours, 'missing', null)
    expect(await inspect(missing)).toMatchObject({ status: 409, body: { code: 'METADATA_MISSING' } })
    const statuses = Object.keys(WAY_TO) as (keyof typeof WAY_TO)[]
    for (const status of statuses.filter((one) => one !== 'Present')) {
      const id = await insertSavepoint(database.db, ours, { status, location: uriOf(ours, `is-${status}`) })
      expect(await inspect(id)).toMatchObject({ status: 409, body: { code: 'SNAPSHOT_NOT_PRESENT' } })
      expect(await listFiles(id)).toMatchObject({ status: 409, body: { code: 'SNAPSHOT_NOT_PRESENT' } })
    }
    const at = new Date()
    const inMemory = await insertCheckpoint(database.db, ours, { flinkCheckpointId: 1, at, location: null })
    expect(await inspect(inMemory)).toMatchObject({ status: 409, body: { code: 'SNAPSHOT_NOT_PRESENT' } })
    const nowhere = ['hdfs:///flink/chk-2', 's3://nobody/chk-3', uriOf(theirs, 'chk-4')]
    for (const [index, location] of nowhere.entries()) {
      const id = await insertCheckpoint(database.db, ours, { flinkCheckpointId: 2 + index, at, location })
      expect(await inspect(id)).toMatchObject({ status: 409, body: { code: 'STORAGE_NOT_ADDRESSABLE' } })
    }
    expect((await inspect('01900000-0000-7000-8000-000000000000')).status).toBe(404)
  })

  it('of a checkpoint that a later run may have overwritten is read anew and replaced', async () => {
    const location = uriOf(ours, 'job/chk-5')
    const file = join(fileURLToPath(location), '_metadata')
    await mkdir(fileURLToPath(location), { recursive: true })
    await writeFile(file, metadataWithFiles([{ path: 'file:///old/1' }, { path: 'file:///old/2' }]))
    const id = await insertCheckpoint(database.db, ours, { flinkCheckpointId: 5, at: new Date(), location })
    expect((await inspect(id)).body.fileCount).toBe(2)
    await writeFile(file, metadataWithFiles([{ path: 'file:///new/1' }]))
    expect((await inspect(id)).body.fileCount).toBe(2)
    await sql(`update snapshot set verdict = 'ENDANGERED' where id = $1`, [id])
    expect((await inspect(id)).body.fileCount).toBe(1)
    expect((await listFiles(id)).body.items.map(({ key }) => key)).toEqual(['file:///new/1'])
    await sql('update snapshot set verdict = null where id = $1', [id])
    expect((await inspect(id)).body.fileCount).toBe(1)
    await rm(file)
    await sql(`update snapshot set verdict = 'ENDANGERED' where id = $1`, [id])
    expect((await inspect(id)).body.code).toBe('METADATA_MISSING')
  })

  it('is gone with the data, and with the place', async () => {
    const files: NamedFile[] = [{ path: 'file:///shared/x' }]
    const subsumed = await named(ours, 'subsumed', files)
    const moved = await named(ours, 'moved', files)
    const cleared = await named(ours, 'cleared', files)
    for (const id of [subsumed, moved, cleared]) {
      await inspect(id)
      expect(await countRows(id)).toEqual([1, 1])
    }
    const repository = createInspectionRepository(database.db)
    const kept = await repository.find(ours.caller, cleared)
    await sql(`update snapshot set status = 'Clearing' where id = $1`, [cleared])
    expect(await countRows(cleared)).toEqual([1, 1])
    await sql(`update snapshot set status = 'Cleared' where id = any($1::uuid[])`, [[cleared, subsumed]])
    await sql('update snapshot set location = $2, location_key = $2 where id = $1', [moved, uriOf(ours, 'x')])
    for (const id of [subsumed, moved, cleared]) expect(await countRows(id)).toEqual([0, 0])
    // Whoever read it before comes too late.
    expect(kept && (await repository.save(ours.caller, cleared, kept, []))).toBe(false)
    expect(await countRows(cleared)).toEqual([0, 0])
  })

  it('cannot be kept beside a clearing under way: the row is waited for', async () => {
    const id = await named(ours, 'racing', [{ path: 'file:///shared/x' }])
    const client = await database.db.pool.connect()
    await client.query('begin')
    await client.query(`update snapshot set status = 'Cleared', reason = 'SUBSUMED' where id = $1`, [id])
    const repository = createInspectionRepository(database.db)
    const late = repository.save(ours.caller, id, anInspection(), [aFile(0)])
    try {
      await waitForLock()
      await client.query('commit')
    } finally {
      client.release()
    }
    expect(await late).toBe(false)
    expect(await countRows(id)).toEqual([0, 0])
  })

  it('has only what the last reading found', async () => {
    const id = await named(ours, 'again', [])
    const repository = createInspectionRepository(database.db)
    const positions = (count: number) => Array.from({ length: count }, (_, position) => aFile(position))
    await repository.save(ours.caller, id, anInspection(), positions(12_000))
    const versions = () =>
      sql<{ position: number; xmin: string }>(
        'select position, xmin::text from snapshot_file where snapshot_id = $1 order by position',
        [id],
      )
    const before = await versions()
    expect(before).toHaveLength(12_000)
    await repository.save(ours.caller, id, anInspection(), positions(12_000))
    expect(await versions()).toEqual(before) // what has not changed is not written
    await repository.save(ours.caller, id, anInspection(), [aFile(0), { ...aFile(1), key: null }])
    const page = await repository.listFiles(ours.caller, id, { pageSize: 50, after: null })
    expect(page).toEqual({ items: [aFile(0), { ...aFile(1), key: null }], next: null })
  })

  it('is read by the command, by its id [N-05]', async () => {
    const id = await writeSnapshot(ours, 'by-command', await sample())
    const missing = await writeSnapshot(ours, 'by-command-missing', null)
    const { code, stdout } = await runInspect(id, missing, `${SAMPLES}/${SAMPLE}`)
    expect(code).toBe(5)
    const [found, failed, offline] = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(failed).toMatchObject({ snapshot: missing, error: { code: 'METADATA_MISSING' } })
    const { path: _p, files: _f, relativeFiles: _r, absoluteFiles: _a, ...summary } = offline
    expect(found).toMatchObject({ ...summary, snapshot: id })
    const page = await runInspect(id)
    expect(page).toMatchObject({ code: 0, stdout: expect.stringContaining('unaligned') })
  })
})

describe('the files of a snapshot', () => {
  it('come by pages in the order of the metadata, and each token is of its own snapshot', async () => {
    const files = Array.from({ length: 25 }, (_, index) => ({
      path: `file:///shared/${index}`,
      size: BigInt(index),
    }))
    const id = await named(ours, 'paged', files)
    const another = await named(ours, 'paged-too', files)
    const seen: StoredFile[] = []
    let token: string | null = null
    let next: string | null = null
    do {
      const answer: Awaited<ReturnType<typeof listFiles>> = await listFiles(
        id,
        `?pageSize=10${token === null ? '' : `&pageToken=${token}`}`,
      )
      expect(answer.status).toBe(200)
      seen.push(...answer.body.items)
      next = token ?? next
      token = answer.body.nextPageToken
    } while (token !== null)
    expect(seen.map(({ position, key, sizeBytes }) => [position, key, sizeBytes])).toEqual(
      files.map(({ path, size }, position) => [position, path, Number(size)]),
    )
    expect(next).not.toBeNull()
    const foreign = [
      await listFiles(another, `?pageToken=${next}`),
      await listFiles(id, '?pageToken=WzEsIng="'.slice(0, -1)),
      await listFiles(id, `?pageToken=${Buffer.from(`[1,"${id}","x"]`).toString('base64url')}`),
    ]
    expect(foreign.map(({ status, body }) => [status, body.code])).toEqual(
      foreign.map(() => [400, 'PAGE_TOKEN_INVALID']),
    )
  })

  it('with hostile paths are shown as what they are, and never asked for', async () => {
    // Four bytes a character, and nothing that compresses: more than an entry of an index may have.
    const characters = Array.from({ length: 1_000 }, (_, n) =>
      String.fromCodePoint(0x20000 + ((n * 7_919) % 40_000)),
    )
    const long = `file:///${characters.join('')}`
    const paths = [
      'file:///x/../../etc/passwd',
      'file:///etc/passwd',
      's3://elsewhere/y',
      'file:///a\u0000b',
      'nothing',
      long,
    ]
    const id = await named(ours, 'hostile', [
      ...paths.map((path) => ({ path, size: 2n ** 62n })),
      { path: '../../../etc/shadow', relative: true },
    ])
    const { status, body } = await inspect(id)
    expect([status, body.fileBytes]).toEqual([200, Number.MAX_SAFE_INTEGER])
    const { items } = (await listFiles(id)).body
    const keys = Object.fromEntries(items.map(({ path, key }) => [path, key]))
    expect(keys).toEqual({
      'file:///x/../../etc/passwd': null,
      'file:///etc/passwd': 'file:///etc/passwd', // a place, outside every storage of ours
      's3://elsewhere/y': 's3://elsewhere/y',
      'file:///a\ufffdb': null,
      nothing: null,
      [long]: long,
      '../../../etc/shadow': null,
    })
  })
})

describe('references of a snapshot', () => {
  it('do not claim what was not read [N-05]', async () => {
    const id = await named(ours, 'unread', [{ path: 'file:///shared/a' }])
    const neighbour = await named(ours, 'neighbour', [{ path: 'file:///shared/a' }])
    expect(await readReferences(id)).toEqual({
      inUseBy: [],
      filesKnown: false,
      needs: null,
      sharesWith: null,
      sharesWithMore: false,
      neededBy: [],
      neededByMore: false,
      uninspected: 1,
    })
    await inspect(id)
    expect(await readReferences(id)).toMatchObject({ filesKnown: true, sharesWith: [], uninspected: 1 })
    await inspect(neighbour)
    expect(await readReferences(id)).toMatchObject({
      sharesWith: [{ id: neighbour, files: 1 }],
      uninspected: 0,
    })
  })

  it('name who shares its files, who needs what lies in its folder, and what it needs elsewhere', async () => {
    const inFolder = uriOf(ours, 'base/state-1')
    const base = await named(ours, 'base', [
      { path: 'state-1', relative: true },
      { path: 'state-2', relative: true },
      { path: 'file:///shared/a' },
      { path: 'file:///shared/b' },
      { path: '../x', relative: true },
    ])
    const both = await named(ours, 'both', [
      { path: 'file:///shared/a' },
      { path: 'file:///shared/b' },
      { path: inFolder },
    ])
    const one = await named(ours, 'one', [{ path: 'file:///shared/b' }])
    const similar = await named(ours, 'base-2', [{ path: 'state-1', relative: true }])
    const foreign = await named(theirs, 'foreign', [{ path: 'file:///shared/a' }, { path: inFolder }])
    for (const id of [base, both, one, similar]) expect((await inspect(id)).status).toBe(200)
    expect((await inspect(foreign, other)).status).toBe(200)
    const job = { id: ours.jobId, name: 'orders' }
    expect(await readReferences(base)).toMatchObject({
      needs: { files: 5, outsideFolder: 2, unplaced: 1, selfContained: false },
      sharesWith: [
        { id: both, job, kind: 'SAVEPOINT', files: 3 },
        { id: one, job, kind: 'SAVEPOINT', files: 1 },
      ],
      neededBy: [{ id: both, files: 1 }],
      uninspected: 0,
    })
    expect((await readReferences(similar)).needs).toMatchObject({ outsideFolder: 0, selfContained: true })
    await sql(`update snapshot set status = 'Cleared' where id = $1`, [both])
    expect(await readReferences(base)).toMatchObject({ sharesWith: [{ id: one }], neededBy: [] })
  })

  it('show at most 50, and say that there are more', async () => {
    const base = await named(ours, 'popular', [
      { path: 'state', relative: true },
      { path: 'file:///shared/a' },
    ])
    await inspect(base)
    for (let index = 0; index < 51; index++) {
      const id = await named(ours, `fan-${index}`, [
        { path: 'file:///shared/a' },
        { path: uriOf(ours, 'popular/state') },
      ])
      await inspect(id)
    }
    const { sharesWith, sharesWithMore, neededBy, neededByMore } = await readReferences(base)
    expect([sharesWith?.length, sharesWithMore, neededBy.length, neededByMore]).toEqual([50, true, 50, true])
  })

  it('find the keys others need, and whoever needs something below a folder, however long the path is', async () => {
    const deep = `file:///${'d'.repeat(600)}`
    const a = await named(ours, 'deep-a', [
      { path: `${deep}/one/x` },
      { path: `${deep}/one/y` },
      { path: `${deep}-2/z` },
    ])
    const b = await named(ours, 'deep-b', [{ path: `${deep}/one/y` }, { path: `${deep}/two/z` }])
    for (const id of [a, b]) await inspect(id)
    const repository = createInspectionRepository(database.db)
    const below = async (folderKey: string, except: string | null) =>
      (await repository.listNeedersBelow(ours.caller, folderKey, except, 10)).map(({ id, files }) => [
        id,
        files,
      ])
    expect(await below(`${deep}/one/`, null)).toEqual([
      [a, 2],
      [b, 1],
    ])
    expect(await below(`${deep}/one/`, a)).toEqual([[b, 1]])
    expect(await below(`${deep}/`, null)).toEqual([
      [b, 2],
      [a, 2],
    ])
    expect(await below(`${deep}/three/`, null)).toEqual([])
    const keys = [`${deep}/one/x`, `${deep}/one/y`, `${deep}/two/z`, `${deep}/none`]
    expect((await repository.findNeeded(ours.caller, keys, [])).sort()).toEqual(keys.slice(0, 3).sort())
    expect((await repository.findNeeded(ours.caller, keys, [a])).sort()).toEqual(keys.slice(1, 3).sort())
    expect(await repository.findNeeded(ours.caller, keys, [a, b])).toEqual([])
    expect(await repository.findNeeded(theirs.caller, keys, [])).toEqual([])
    expect(await repository.findNeeded(ours.caller, [], [])).toEqual([])
  })
})

describe('in a bucket', () => {
  it('_metadata is read with one request, a large one with three, and a kept inspection with none', async () => {
    const s3 = await openBucketOfTheRun()
    const real = createObjectStores({
      secrets: {
        read: async (_, reference) =>
          'env' in reference && reference.env === 'id' ? s3.accessKey : s3.secretKey,
      },
    })
    const asked: string[] = []
    const stores = countingStores(real, asked)
    const root = `s3a://${s3.bucket}/savepoints`
    try {
      await sql(
        `update storage set uri = $1, root_key = $2, provider = 'generic', endpoint = $3, credentials = $4 where id = $5`,
        [
          root,
          `s3://${s3.bucket}/savepoints/`,
          s3.endpoint,
          JSON.stringify({ accessKeyId: { env: 'id' }, secretAccessKey: { env: 'key' } }),
          ours.storageId,
        ],
      )
      const storages = createStorageRepository(database.db)
      const storage = await storages.find(ours.caller, ours.storageId)
      if (!storage) throw new Error('no storage')
      const location = `s3://${s3.bucket}/savepoints/sp-1`
      await real
        .of(storage.address)
        .put(
          parseLocation(`${location}/_metadata`),
          metadataWithFiles([{ path: 'state', relative: true }, { path: 's3://elsewhere/x' }]),
        )
      const id = await insertSavepoint(database.db, ours, { status: 'Present', location })
      const snapshot = await createSnapshotRepository(database.db).find(ours.caller, id)
      if (!snapshot) throw new Error('no snapshot')
      const ports = { storages, stores, inspections: createInspectionRepository(database.db) }
      const first = await readInspection(ports, ours.caller, snapshot)
      expect(asked).toEqual([`readRange ${location}/_metadata`])
      expect(first.files?.map(({ key }) => key)).toEqual([`${location}/state`, 's3://elsewhere/x'])
      const second = await readInspection(ports, ours.caller, snapshot)
      expect(second.inspection).toEqual(first.inspection)
      expect(asked).toHaveLength(1)
      // Whose storage is gone, or never was, is found by the place.
      await sql('delete from snapshot_inspection where snapshot_id = $1', [id])
      await readInspection(ports, ours.caller, { ...snapshot, storage: null })
      expect(asked).toHaveLength(2)
      const many = Array.from({ length: 4_000 }, (_, index) => ({
        path: `s3://elsewhere/${'x'.repeat(100)}-${index}`,
      }))
      await real.of(storage.address).put(parseLocation(`${location}/_metadata`), metadataWithFiles(many))
      await sql('delete from snapshot_inspection where snapshot_id = $1', [id])
      const large = await readInspection(ports, ours.caller, snapshot)
      expect(large.inspection).toMatchObject({ fileCount: 4_000 })
      expect(large.inspection.metadataBytes).toBeGreaterThan(256 * 1024)
      expect(asked.slice(2).map((each) => each.split(' ')[0])).toEqual(['readRange', 'head', 'read'])
      await real.of(storage.address).deleteMany([parseLocation(`${location}/_metadata`)])
      const doubted = readInspection(ports, ours.caller, { ...snapshot, verdict: 'ENDANGERED' })
      await expect(doubted).rejects.toMatchObject({ code: 'METADATA_MISSING' })
      await sql(`update storage set endpoint = 'http://127.0.0.1:1' where id = $1`, [ours.storageId])
      const unasked = readInspection(ports, ours.caller, { ...snapshot, verdict: 'ENDANGERED' })
      await expect(unasked).rejects.toMatchObject({ code: 'STORAGE_UNREACHABLE' })
    } finally {
      await real.close()
    }
  })
})

const anInspection = (): SnapshotInspection => ({
  summary: {
    version: 5,
    flinkVersions: { from: '2.0', to: '2.0' },
    checkpointId: '7',
    masterStates: [],
    kind: null,
    format: null,
    incremental: false,
    unaligned: false,
    changelog: false,
    fileMerging: false,
    selfContained: true,
    directories: [],
    operators: [],
    stateSize: '0',
    handleCounts: {},
    fileCounts: {},
    warnings: [],
  },
  metadataBytes: 100,
  fileCount: 1,
  fileBytes: 10,
  inspectedAt: '2026-11-21T12:00:00.000Z',
})

const aFile = (position: number): StoredFile => ({
  position,
  key: `file:///shared/${position}`,
  path: `file:///shared/${position}`,
  kind: 'absolute',
  roles: ['managedKeyed/incrementalShared', 'managedKeyed'],
  sizeBytes: null,
  references: 1,
  mayBeShared: true,
})

async function waitForLock(): Promise<void> {
  await expect
    .poll(async () => {
      const [row] = await sql<{ waiting: number }>(
        `select count(*)::int as waiting from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock'`,
      )
      return row?.waiting
    })
    .toBe(1)
}

function countingStores(real: ObjectStores, asked: string[]): Pick<ObjectStores, 'of'> {
  const note = (what: string, { scheme, bucket, segments }: ReturnType<typeof parseLocation>) =>
    asked.push(`${what} ${scheme}://${bucket}/${segments.join('/')}`)
  return {
    of(storage): ObjectStore {
      const store = real.of(storage)
      return {
        list: store.list.bind(store),
        put: store.put.bind(store),
        putStream: store.putStream.bind(store),
        deleteMany: store.deleteMany.bind(store),
        readRange(location, offset, length) {
          note('readRange', location)
          return store.readRange(location, offset, length)
        },
        head(location) {
          note('head', location)
          return store.head(location)
        },
        read(location) {
          note('read', location)
          return store.read(location)
        },
      }
    },
  }
}

const runInspect = (...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
  new Promise((resolve) => {
    execFile(
      process.execPath,
      ['--import', 'tsx', 'src/cli/main.ts', 'inspect', ...args, '--api-url', server.url, '--token', TOKEN],
      (error, stdout, stderr) =>
        resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    )
  })
