/** Retained checkpoints of ended runs, on real Postgres with folders and an S3 that remembers each request: what goes, and what never. */
import { access, mkdir, mkdtemp, rename, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import {
  HeadObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { v7 } from 'uuid'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Fauxqs, startFauxqs, startVersityGateway, type VersityGateway } from '../../dev/services/s3.ts'
import { createInspectionRepository } from '../../src/db/inspections.ts'
import { createStorageRepository } from '../../src/db/storages.ts'
import { DomainError } from '../../src/domain/errors.ts'
import type { ObjectStores } from '../../src/ports/storage.ts'
import { readInspection } from '../../src/services/read-inspection.ts'
import { createObjectStores } from '../../src/storage/stores.ts'
import { insertCheckpoint } from '../support/checkpoints.ts'
import { type ClearingBench, openClearingBench } from '../support/clearing.ts'
import { openMigratedDatabase, type TestDatabase } from '../support/database.ts'
import { createTenants, insertRun, newFlinkJobId, type Tenant } from '../support/fixtures.ts'
import { metadataWithFiles } from '../support/metadata-with-files.ts'
import { fixedSecrets } from '../support/storage-address.ts'

let database: TestDatabase
let s3: Fauxqs
let folder: string
let gateway: VersityGateway
let versioned: S3Client

beforeAll(async () => {
  database = await openMigratedDatabase('retained-checkpoints')
  folder = await mkdtemp(join(tmpdir(), 'tidemark-retained-'))
  s3 = await startFauxqs()
  await s3.createBucket('state')
  gateway = await startVersityGateway({ accessKey: 'test', secretKey: 'test', versioning: true })
  await gateway.createBucket('versioned')
  versioned = new S3Client({
    endpoint: gateway.url,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  })
  await versioned.send(
    new PutBucketVersioningCommand({ Bucket: 'versioned', VersioningConfiguration: { Status: 'Enabled' } }),
  )
})
afterAll(async () => {
  versioned.destroy()
  await gateway.stop()
  await s3.stop()
  await database.drop()
  await rm(folder, { recursive: true, force: true })
})

type Kind = {
  provider: string
  endpoint: () => string | null
  root: (name: string) => string
  put: (location: string, bytes: Uint8Array | string) => Promise<void>
  has: (location: string) => Promise<boolean>
  age: ((location: string, to: Date) => Promise<void>) | null
}
const urlOf = (location: string): string => `${s3.url}/${location.replace('s3://', '')}`
const KINDS: Record<string, Kind> = {
  folder: {
    provider: 'local',
    endpoint: () => null,
    root: (name) => pathToFileURL(join(folder, name)).href,
    async put(location, bytes) {
      const file = fileURLToPath(location)
      await mkdir(dirname(file), { recursive: true })
      await writeFile(file, bytes)
    },
    has: (location) =>
      access(fileURLToPath(location)).then(
        () => true,
        () => false,
      ),
    age: (location, to) => utimes(fileURLToPath(location), to, to),
  },
  s3: {
    provider: 'minio',
    endpoint: () => s3.url,
    root: (name) => `s3://state/${name}`,
    async put(location, bytes) {
      const { ok } = await fetch(urlOf(location), { method: 'PUT', body: Buffer.from(bytes) })
      if (!ok) throw new Error(`${location} was not written`)
    },
    has: async (location) => (await fetch(urlOf(location), { method: 'HEAD' })).ok,
    age: null,
  },
  'bucket that keeps versions': {
    provider: 'minio',
    endpoint: () => gateway.url,
    root: (name) => `s3://versioned/${name}`,
    // written twice: each has two versions
    async put(location, bytes) {
      const key = location.replace('s3://versioned/', '')
      for (let time = 0; time < 2; time++) {
        await versioned.send(
          new PutObjectCommand({ Bucket: 'versioned', Key: key, Body: Buffer.from(bytes) }),
        )
      }
    },
    has: (location) =>
      versioned
        .send(new HeadObjectCommand({ Bucket: 'versioned', Key: location.replace('s3://versioned/', '') }))
        .then(
          () => true,
          () => false,
        ),
    age: null,
  },
}

const countVersions = async (location: string): Promise<number> => {
  const Prefix = location.replace('s3://versioned/', '')
  const answer = await versioned.send(new ListObjectVersionsCommand({ Bucket: 'versioned', Prefix }))
  return (answer.Versions ?? []).length + (answer.DeleteMarkers ?? []).length
}

describe.each(Object.entries(KINDS))('in a %s', (name, kind) => {
  const copies = name.includes('versions') ? 2 : 1
  let stores: ObjectStores
  let bench: ClearingBench
  let ours: Tenant
  let theirs: Tenant
  let root: string
  let flinkJobId: string
  let directory: string

  beforeEach(async () => {
    const { db } = database
    await db.sql('truncate namespace cascade')
    ;({ ours, theirs } = await createTenants(db))
    const name = v7()
    const credentials = {
      accessKeyId: { env: 'TIDEMARK_SECRET_OURS_ID' },
      secretAccessKey: { env: 'TIDEMARK_SECRET_OURS_KEY' },
    }
    for (const tenant of [ours, theirs]) {
      const uri = kind.root(`${name}-${tenant.caller.namespace}`)
      await db.sql(
        `update storage set uri = $1, root_key = $2, provider = $3, endpoint = $4, credentials = $5::jsonb,
           clear_checkpoints = true where id = $6`,
        [
          uri,
          `${uri}/`,
          kind.provider,
          kind.endpoint(),
          kind.endpoint() && JSON.stringify(credentials),
          tenant.storageId,
        ],
      )
      if (tenant === ours) root = uri
    }
    stores = createObjectStores({ secrets: fixedSecrets, localRoots: [folder] })
    bench = openClearingBench(db, stores)
    flinkJobId = newFlinkJobId()
    directory = `${root}/checkpoints/${flinkJobId}`
    await db.sql(
      `update run set flink_job_id = $1, state = 'CANCELED', flink_state = 'CANCELED', ended_at = now() where id = $2`,
      [flinkJobId, ours.runId],
    )
    // a newer one elsewhere: none of those below is the newest
    await retained(900, [], { at: `${root}/elsewhere/${flinkJobId}/chk-900` })
    s3.forgetRequests()
    return () => stores.close()
  })

  const shared = (name: string): string => `${directory}/shared/${name}`
  /** `chk-N` with its own file, naming files that lie beside it. */
  async function retained(
    number: number,
    names: readonly string[],
    given: { at?: string; row?: boolean; metadata?: Uint8Array; files?: readonly string[] } = {},
  ): Promise<{ id: string; location: string }> {
    const location = given.at ?? `${directory}/chk-${number}`
    const files = given.files ?? names.map(shared)
    const bytes = metadataWithFiles([...files.map((path) => ({ path })), { path: 'own', relative: true }])
    for (const file of files) await kind.put(file, 'x'.repeat(100))
    await kind.put(`${location}/own`, 'x'.repeat(100))
    await kind.put(`${location}/_metadata`, given.metadata ?? bytes)
    if (given.row === false) return { id: '', location }
    const id = await insertCheckpoint(database.db, ours, {
      flinkCheckpointId: number,
      at: new Date(Date.now() - 10_000 + number),
      location,
    })
    await database.db.sql('update snapshot set storage_id = $1 where id = $2', [ours.storageId, id])
    return { id, location }
  }
  const inspect = async ({ id, location }: { id: string; location: string }): Promise<void> => {
    const [storage] = await database.db.sql<{ id: string; name: string }>(
      'select id, name from storage where id = $1',
      [ours.storageId],
    )
    const inspections = createInspectionRepository(database.db)
    // what the worker has read for its list is no longer what lies there
    await database.db.sql('delete from snapshot_inspection where snapshot_id = $1', [id])
    await readInspection(
      { inspections, storages: createStorageRepository(database.db), stores },
      ours.caller,
      { id, status: 'Present', location, storage: storage ?? null, verdict: null },
    )
  }
  const clear = (snapshot: string, tenant: Tenant = ours) => bench.clear({ caller: tenant.caller, snapshot })
  const refusal = async (asked: Promise<unknown>): Promise<string> => {
    const error = await asked.then(
      () => null,
      (reason: unknown) => reason,
    )
    if (!(error instanceof DomainError)) throw new Error(`it was not refused: ${String(error)}`)
    return error.code
  }
  const which = async (names: readonly string[]): Promise<string[]> => {
    const found: string[] = []
    for (const name of names) if (await kind.has(shared(name))) found.push(name)
    return found
  }
  const messageOf = async (id: string): Promise<string | null> => {
    const [row] = await database.db.sql<{ message: string | null }>(
      'select message from clearing where snapshot_id = $1',
      [id],
    )
    return row?.message ?? null
  }
  /** No key outside the directory of the job id was ever in a delete request. */
  const expectOnlyInside = (): void => {
    const below = `${directory.replace('s3://state/', '')}/`
    for (const { deletedKeys } of s3.requests)
      for (const key of deletedKeys) expect(key.startsWith(below)).toBe(true)
  }
  const setRun = (state: string, more = '') =>
    database.db.sql(`update run set state = $1 ${more} where id = $2`, [state, ours.runId])

  it('of three that share files the oldest goes with what it alone needs', async () => {
    const oldest = await retained(1, ['a', 'b'])
    const middle = await retained(2, ['b', 'c'])
    const newest = await retained(3, ['c', 'd'])
    expect(await clear(oldest.id)).toMatchObject({ status: 'Clearing', reason: 'BY_HAND' })
    expect(await bench.drain(oldest.id)).toMatchObject({
      status: 'Cleared',
      reason: 'CLEARED',
      error: null,
      objects: 3 * copies,
      deleted: 3 * copies,
    })
    if (copies === 2) expect(await countVersions(`${oldest.location}/`)).toBe(0)
    expect(await which(['a', 'b', 'c', 'd'])).toEqual(['b', 'c', 'd'])
    expect(await kind.has(`${oldest.location}/_metadata`)).toBe(false)
    expect(await kind.has(`${oldest.location}/own`)).toBe(false)
    for (const { location } of [middle, newest]) {
      expect(await kind.has(`${location}/_metadata`)).toBe(true)
      expect(await kind.has(`${location}/own`)).toBe(true)
    }
    expectOnlyInside()
    const [first] = s3.requests.filter(({ deletedKeys }) => deletedKeys.length > 0)
    if (first) expect(first.deletedKeys).toEqual([`${oldest.location}/_metadata`.replace('s3://state/', '')])
  })

  // Only a folder has a disk that may be missing: a bucket that is not there answers so.
  if (name === 'folder')
    it('is not taken for gone while its disk is not mounted', async () => {
      const one = await retained(1, ['a'])
      await retained(2, [])
      await clear(one.id)
      const mountPoint = fileURLToPath(root)
      await rename(mountPoint, `${mountPoint}-disk`)
      await mkdir(mountPoint)
      expect(await bench.drain(one.id)).toMatchObject({ status: 'Clearing', error: 'STORAGE_UNREACHABLE' })
      await rm(mountPoint, { recursive: true })
      await rename(`${mountPoint}-disk`, mountPoint)
      await database.db.sql('update clearing set error_code = null')
      expect(await bench.drain(one.id)).toMatchObject({ status: 'Cleared', deleted: 3 })
      expect(await which(['a'])).toEqual([])
    })

  it('two asked for at once go one after the other, and nothing of them stays', async () => {
    const one = await retained(1, ['a', 'b'])
    const two = await retained(2, ['b', 'c'])
    await retained(3, ['c', 'd'])
    await Promise.all([clear(one.id), clear(two.id)])
    for (let round = 0; round < 20; round++) await Promise.all([bench.sweep(), bench.sweep()])
    expect(await bench.read(one.id)).toMatchObject({ status: 'Cleared', error: null })
    expect(await bench.read(two.id)).toMatchObject({ status: 'Cleared', error: null })
    expect(await which(['a', 'b', 'c', 'd'])).toEqual(['c', 'd'])
  })

  it('beside one that nobody knows spares what that names, and all that is shared when it cannot be read', async () => {
    const one = await retained(1, ['a', 'b'])
    await retained(2, ['b'], { row: false })
    await clear(one.id)
    await bench.drain(one.id)
    expect(await which(['a', 'b'])).toEqual(['b'])

    const other = await retained(3, ['e'])
    await retained(4, [], { row: false, metadata: new Uint8Array([1, 2, 3]) })
    await clear(other.id)
    expect(await bench.drain(other.id)).toMatchObject({ status: 'Cleared', objects: 2 * copies })
    expect(await which(['e'])).toEqual(['e'])
    expect(await messageOf(other.id)).toMatch(/Nothing that other checkpoints may share.*chk-4/)
  })

  it('spares what a snapshot elsewhere needs, once that was looked into, and everything when it cannot be', async () => {
    const one = await retained(1, ['a', 'b'])
    await retained(901, [], { at: `${root}/elsewhere/${flinkJobId}/chk-901`, files: [shared('b')] })
    await clear(one.id)
    await bench.drain(one.id)
    expect(await which(['a', 'b'])).toEqual(['b'])

    const two = await retained(2, ['f'])
    await retained(902, [], {
      at: `${root}/elsewhere/${flinkJobId}/chk-902`,
      metadata: new Uint8Array([1]),
    })
    await clear(two.id)
    expect(await bench.drain(two.id)).toMatchObject({ status: 'Cleared' })
    expect(await which(['f'])).toEqual(['f'])
  })

  it('stays whole when a later checkpoint beside it, that nobody registered, names a file in its chk-N', async () => {
    const one = await retained(1, [])
    await retained(2, [], { row: false, files: [`${one.location}/own`] })
    await clear(one.id)
    expect(await bench.drain(one.id)).toMatchObject({ error: 'SNAPSHOT_IN_USE', deleted: 0 })
    for (const file of ['own', '_metadata']) expect(await kind.has(`${one.location}/${file}`)).toBe(true)
  })

  it('stays whole when a snapshot elsewhere needs a file in its chk-N, also when another one cannot be read', async () => {
    const one = await retained(1, ['a'])
    const needer = await retained(901, [], {
      at: `${root}/elsewhere/${flinkJobId}/chk-901`,
      files: [`${one.location}/own`],
    })
    await retained(902, [], {
      at: `${root}/elsewhere/${flinkJobId}/chk-902`,
      metadata: new Uint8Array([1]),
    })
    await clear(one.id)
    const state = await bench.drain(one.id)
    expect(state).toMatchObject({ error: 'SNAPSHOT_IN_USE', deleted: 0 })
    expect(state.message).toContain(needer.id)
    expect(await kind.has(`${one.location}/own`)).toBe(true)
  })

  it('is refused at once when a snapshot that was looked into needs a file in its chk-N', async () => {
    const one = await retained(1, [])
    const needer = await retained(2, [], { files: [`${one.location}/own`] })
    await inspect(needer)
    const error: unknown = await clear(one.id).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'SNAPSHOT_IN_USE', extra: { neededBy: [needer.id] } })
  })

  it('stops before anything goes when a snapshot that needs a file in its chk-N is looked into after the list', async () => {
    const one = await retained(1, [])
    await clear(one.id)
    const needer = await retained(901, [], { at: `${root}/elsewhere/${flinkJobId}/chk-901` })
    await bench
      .sweep({
        crashPoint: (passed) => {
          if (passed === 'clearing-list-stored') throw new Error('killed')
        },
      })
      .catch(() => undefined)
    expect(await bench.read(one.id)).toMatchObject({ phase: 'DELETING_METADATA' })
    await kind.put(`${needer.location}/_metadata`, metadataWithFiles([{ path: `${one.location}/own` }]))
    await inspect(needer)
    await database.db.sql('update clearing set error_code = null')
    expect(await bench.drain(one.id)).toMatchObject({ error: 'SNAPSHOT_IN_USE', deleted: 0 })
    expect(await kind.has(`${one.location}/_metadata`)).toBe(true)
  })

  it('that somebody wrote a snapshot into stays', async () => {
    const one = await retained(1, ['a'])
    await kind.put(`${one.location}/deep/_metadata`, metadataWithFiles([{ path: shared('a') }]))
    await clear(one.id)
    expect(await bench.drain(one.id)).toMatchObject({ error: 'FILES_OUTSIDE_PREFIX', deleted: 0 })
  })

  it('touches nothing that it names outside the directory of its job id', async () => {
    const other = `${root}/checkpoints/${newFlinkJobId()}/shared/x`
    const beside = `${directory}2/shared/x`
    const chk = `${directory}/chk-77/x`
    const one = await retained(1, [], { files: [other, beside, chk, shared('a')] })
    await clear(one.id)
    await bench.drain(one.id)
    expect(await which(['a'])).toEqual([])
    for (const file of [other, beside, chk]) expect(await kind.has(file)).toBe(true)
    expectOnlyInside()
  })

  it('is refused while a run with its Flink job id lives, of whatever job, and while one was lost', async () => {
    const one = await retained(1, ['a'])
    const again = await insertRun(database.db, ours)
    await database.db.sql('update run set flink_job_id = $1, epoch = 2 where id = $2', [flinkJobId, again])
    expect(await refusal(clear(one.id))).toBe('SNAPSHOT_IN_USE')
    await database.db.sql(`update run set state = 'LOST' where id = $1`, [again])
    expect(await refusal(clear(one.id))).toBe('SNAPSHOT_IN_USE')
    await database.db.sql('update run set end_confirmed_at = now() where id = $1', [again])
    await clear(one.id)
    expect(await bench.drain(one.id)).toMatchObject({ status: 'Cleared' })
    expect(await which(['a'])).toEqual([])
  })

  it('is refused while its own run is lost, until somebody confirms its end', async () => {
    const one = await retained(1, ['a'])
    await setRun('LOST')
    expect(await refusal(clear(one.id))).toBe('SNAPSHOT_IN_USE')
    await setRun('LOST', ', end_confirmed_at = now()')
    expect(await clear(one.id)).toMatchObject({ status: 'Clearing' })
  })

  it('is refused while a run that claimed a neighbour lives, but not for one restored with NO_CLAIM', async () => {
    const one = await retained(1, ['a'])
    const two = await retained(2, ['b'])
    const heir = await insertRun(database.db, ours)
    const restore = (mode: string) =>
      database.db.sql(
        'update run set restored_key = $1, restored_location = $1, claim_mode = $2, completed_checkpoints = 5 where id = $3',
        [two.location, mode, heir],
      )
    await restore('CLAIM')
    expect(await refusal(clear(one.id))).toBe('SNAPSHOT_IN_USE')
    await restore('NO_CLAIM')
    expect(await clear(one.id)).toMatchObject({ status: 'Clearing' })
  })

  describe('from which a run of another Flink job id was restored, which has ended', () => {
    /** From a chk-9 that Flink has dropped since; `from`: from there instead. */
    async function restoreHeir(from = `${directory}/chk-9`): Promise<{ run: string; id: string }> {
      const id = newFlinkJobId()
      const run = await insertRun(database.db, ours, { state: 'FAILED' })
      await database.db.sql(
        `update run set flink_job_id = $1, restored_key = $2, claim_mode = 'CLAIM', completed_checkpoints = 4,
           ended_at = now() where id = $3`,
        [id, from, run],
      )
      return { run, id }
    }
    const insertDroppedRow = (runId: string, number: number, location: string) =>
      insertCheckpoint(
        database.db,
        { ...ours, runId },
        { flinkCheckpointId: number, at: new Date(), location, status: 'Cleared' },
      )

    it('spares what its last checkpoint names, which nobody saw, where its job was told another directory', async () => {
      const one = await retained(1, ['a', 'b'])
      const heir = await restoreHeir()
      await insertDroppedRow(heir.run, 14, `${root}/other/${heir.id}/chk-14`)
      await retained(15, ['b'], { row: false, at: `${root}/other/${heir.id}/chk-15` })
      await clear(one.id)
      expect(await bench.drain(one.id)).toMatchObject({ status: 'Cleared' })
      expect(await messageOf(one.id)).toBeNull()
      expect(await which(['a', 'b'])).toEqual(['b'])
    })

    it('stays whole when that one names a file in its chk-N', async () => {
      const one = await retained(1, [])
      const heir = await restoreHeir()
      await insertDroppedRow(heir.run, 14, `${root}/other/${heir.id}/chk-14/_metadata`)
      await retained(15, [], {
        row: false,
        at: `${root}/other/${heir.id}/chk-15`,
        files: [`${one.location}/own`],
      })
      await clear(one.id)
      expect(await bench.drain(one.id)).toMatchObject({ error: 'SNAPSHOT_IN_USE', deleted: 0 })
    })

    it('spares what a later run under its own Flink job id left in another directory', async () => {
      const one = await retained(1, ['a', 'b'])
      const again = await insertRun(database.db, ours, { state: 'FAILED' })
      await database.db.sql('update run set flink_job_id = $1, epoch = 2, ended_at = now() where id = $2', [
        flinkJobId,
        again,
      ])
      await insertDroppedRow(again, 14, `${root}/other/${flinkJobId}/chk-14`)
      await retained(15, ['b'], { row: false, at: `${root}/other/${flinkJobId}/chk-15` })
      await clear(one.id)
      expect(await bench.drain(one.id)).toMatchObject({ status: 'Cleared' })
      expect(await which(['a', 'b'])).toEqual(['b'])
    })

    it('loses nothing shared when no checkpoint says where that run kept its own, or no storage reaches the place', async () => {
      const one = await retained(1, ['a'])
      const heir = await restoreHeir()
      await clear(one.id)
      expect(await bench.drain(one.id)).toMatchObject({ status: 'Cleared' })
      expect(await messageOf(one.id)).toContain(`where the Flink job ${heir.id}`)

      const two = await retained(2, ['b'])
      await insertDroppedRow(heir.run, 14, `s3://unknown/${heir.id}/chk-14`)
      await clear(two.id)
      expect(await bench.drain(two.id)).toMatchObject({ status: 'Cleared' })
      expect(await messageOf(two.id)).toContain(`s3://unknown/${heir.id}`)
      expect(await which(['a', 'b'])).toEqual(['a', 'b'])
    })

    it('is refused while another job lives that was restored from a checkpoint of that run which nobody saw', async () => {
      const one = await retained(1, ['a'])
      const heir = await restoreHeir()
      const third = await restoreHeir(`${root}/checkpoints/${heir.id}/chk-15`)
      const jobId = v7()
      await database.db.sql(
        `insert into job (id, namespace_id, name, cluster_id, savepoint_storage_id, attach_flink_job_name)
         values ($1, $2, 'orders-v2', $3, $4, 'orders-v2')`,
        [jobId, ours.caller.namespaceId, ours.clusterId, ours.storageId],
      )
      const live = (mode: string | null) =>
        database.db.sql(
          `update run set job_id = $1, state = 'RUNNING', ended_at = null, claim_mode = $2 where id = $3`,
          [jobId, mode, third.run],
        )
      await live(null)
      expect(await refusal(clear(one.id))).toBe('SNAPSHOT_IN_USE')
      await live('NO_CLAIM')
      expect(await clear(one.id)).toMatchObject({ status: 'Clearing' })
      await live('CLAIM')
      expect(await bench.drain(one.id)).toMatchObject({ error: 'SNAPSHOT_IN_USE', deleted: 0 })
      expect(await which(['a'])).toEqual(['a'])
    })

    it("does not wait for another tenant's run that was restored from a place of the same name", async () => {
      const one = await retained(1, ['a'])
      await database.db.sql('update run set restored_key = $1 where namespace_id = $2', [
        `${root}/checkpoints/${flinkJobId}/chk-15`,
        theirs.caller.namespaceId,
      ])
      await clear(one.id)
      expect(await bench.drain(one.id)).toMatchObject({ status: 'Cleared' })
      expect(await which(['a'])).toEqual([])
    })
  })

  it('is only reported until the storage allows it, and forgotten on request', async () => {
    const one = await retained(1, ['a'])
    await database.db.sql('update storage set clear_checkpoints = false')
    expect(await refusal(clear(one.id))).toBe('CLEARING_NOT_ENABLED')
    await bench.clear({ caller: ours.caller, snapshot: one.id, data: 'keep' })
    expect(await bench.drain(one.id)).toMatchObject({ status: 'Cleared', reason: 'FORGOTTEN' })
    expect(await kind.has(`${one.location}/_metadata`)).toBe(true)
  })

  it('without a directory per job id is refused, as is one that lies elsewhere', async () => {
    const one = await retained(1, ['a'])
    await database.db.sql(
      `insert into job_version (namespace_id, job_id, number, spec, created_by) values ($1, $2, 1, $3::jsonb, 'test')`,
      [
        ours.caller.namespaceId,
        ours.jobId,
        JSON.stringify({ flinkConfiguration: { 'state.checkpoints.create-subdir': ' FALSE' } }),
      ],
    )
    expect(await refusal(clear(one.id))).toBe('FILES_OUTSIDE_PREFIX')
    await database.db.sql('delete from job_version')
    const flat = await retained(5, [], { at: `${root}/checkpoints/chk-5` })
    expect(await refusal(clear(flat.id))).toBe('FILES_OUTSIDE_PREFIX')
  })

  it('stops before anything goes when a run appears, or the storage changes its mind, after it was asked for', async () => {
    const one = await retained(1, ['a'])
    await clear(one.id)
    await setRun('RUNNING')
    expect(await bench.drain(one.id)).toMatchObject({
      status: 'Clearing',
      error: 'SNAPSHOT_IN_USE',
      deleted: 0,
    })
    await setRun('CANCELED')
    await database.db.sql('update storage set clear_checkpoints = false')
    await database.db.sql('update clearing set error_code = null')
    expect(await bench.drain(one.id)).toMatchObject({ error: 'CLEARING_NOT_ENABLED', deleted: 0 })
    expect(await kind.has(`${one.location}/_metadata`)).toBe(true)
    await database.db.sql('update storage set clear_checkpoints = true')
    await database.db.sql('update clearing set error_code = null')
    expect(await bench.drain(one.id)).toMatchObject({ status: 'Cleared' })
  })

  if (kind.age) {
    const hoursAgo = (hours: number) => new Date(Date.now() - hours * 3_600_000)
    const askedDaysAgo = (days: number) =>
      database.db.sql('update clearing set requested_at = now() - make_interval(days => $1)', [days])

    it('stops when somebody writes into the directory', async () => {
      const one = await retained(1, ['a'])
      await clear(one.id)
      await kind.age?.(shared('a'), new Date(Date.now() + 600_000))
      expect(await bench.drain(one.id)).toMatchObject({ error: 'SNAPSHOT_IN_USE', deleted: 0 })
    })

    it('goes on an hour after the last write of a run that began and ended while it waited', async () => {
      const one = await retained(1, ['a', 'b'])
      for (const file of ['_metadata', 'own']) await kind.age?.(`${one.location}/${file}`, hoursAgo(24 * 40))
      const later = await retained(500, ['b'], { row: false })
      await clear(one.id)
      await askedDaysAgo(30)
      for (const file of ['_metadata', 'own']) await kind.age?.(`${later.location}/${file}`, hoursAgo(2))
      for (const file of ['a', 'b']) await kind.age?.(shared(file), hoursAgo(0.5))
      expect(await bench.drain(one.id)).toMatchObject({ error: 'SNAPSHOT_IN_USE', deleted: 0 })
      for (const file of ['a', 'b']) await kind.age?.(shared(file), hoursAgo(2))
      await database.db.sql('update clearing set error_code = null')
      expect(await bench.drain(one.id)).toMatchObject({ status: 'Cleared' })
      expect(await which(['a', 'b'])).toEqual(['b'])
    })

    it('stays, and says how to end it, when a later run has written its own checkpoint at the place', async () => {
      const one = await retained(1, [])
      await database.db.sql(`update snapshot set completed_at = now() - interval '31 days' where id = $1`, [
        one.id,
      ])
      await clear(one.id)
      await askedDaysAgo(30)
      for (const file of ['_metadata', 'own']) await kind.age?.(`${one.location}/${file}`, hoursAgo(2))
      const state = await bench.drain(one.id)
      expect(state).toMatchObject({ status: 'Clearing', error: 'SNAPSHOT_IN_USE', deleted: 0 })
      expect(state.message).toMatch(/written again.*data=keep/)
      await bench.clear({ caller: ours.caller, snapshot: one.id, data: 'keep' })
      expect(await bench.read(one.id)).toMatchObject({ status: 'Cleared', reason: 'GIVEN_UP' })
      expect(await kind.has(`${one.location}/_metadata`)).toBe(true)
    })
  }

  it('says for which one it waits, and goes once that one has gone', async () => {
    const one = await retained(1, ['a'])
    const two = await retained(2, ['b'])
    await clear(one.id)
    await clear(two.id)
    await database.db.sql(
      `update clearing set lease_token = $1, lease_until = now() + interval '1 hour' where snapshot_id = $2`,
      [v7(), one.id],
    )
    const state = await bench.drain(two.id)
    expect(state).toMatchObject({ error: 'SNAPSHOT_IN_USE', deleted: 0 })
    expect(state.message).toContain(`waits for the clearing of ${one.id}`)
    await database.db.sql('update clearing set lease_token = null, lease_until = null')
    for (let round = 0; round < 20; round++) await bench.sweep()
    expect(await bench.read(two.id)).toMatchObject({ status: 'Cleared', error: null })
  })

  it('does not wait for one that needs its end first', async () => {
    const one = await retained(1, [])
    const two = await retained(2, [], { files: [`${one.location}/own`] })
    await clear(one.id)
    await clear(two.id)
    for (let round = 0; round < 20; round++) await bench.sweep()
    for (const { id } of [one, two])
      expect(await bench.read(id)).toMatchObject({ status: 'Cleared', error: null })
  })

  it("of another tenant is not found, and the other tenant's rows do not matter", async () => {
    const one = await retained(1, ['a'])
    expect(await refusal(clear(one.id, theirs))).toBe('NOT_FOUND')
    await database.db.sql('update run set flink_job_id = $1 where namespace_id = $2', [
      flinkJobId,
      theirs.caller.namespaceId,
    ])
    await clear(one.id)
    expect(await bench.drain(one.id)).toMatchObject({ status: 'Cleared' })
  })

  it.each([
    'clearing-listed',
    'clearing-list-stored',
    'clearing-batch-deleted',
    'clearing-batch-recorded',
    'clearing-verified',
  ])('after a crash at %s goes on, and loses nothing', async (name) => {
    for (const passage of [1, 2]) {
      const number = passage * 10
      const one = await retained(number, ['a', 'b'])
      await retained(number + 1, ['b', 'c'])
      await clear(one.id)
      let [passages, crashed] = [0, false]
      for (let round = 0; round < 6 && !crashed; round++) {
        await bench.sweep({
          crashPoint: (passed) => {
            if (passed !== name) return
            passages += 1
            crashed = passages >= passage
            if (crashed) throw new Error('killed')
          },
          clearingWork: {
            ...bench.work,
            release: (...values) => (crashed ? Promise.resolve(false) : bench.work.release(...values)),
          },
        })
      }
      await database.db.sql(
        `update clearing set lease_until = now() - interval '1 s' where lease_until is not null`,
      )
      const { ended } = await bench.read(one.id)
      const state = ended ? await bench.read(one.id) : await bench.drain(one.id)
      expect(state).toMatchObject({ status: 'Cleared', error: null, batches: 0 })
      expect(await which(['a', 'b', 'c'])).toEqual(['b', 'c'])
      expectOnlyInside()
    }
  })
})
