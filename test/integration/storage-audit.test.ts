/** Audits of a storage on real Postgres, with folders and an S3 that remembers each request; and the orphans they find. */
import { access, mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { v7 } from 'uuid'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Fauxqs, startFauxqs } from '../../dev/services/s3.ts'
import { createAuditWorkRepository } from '../../src/db/audit-work.ts'
import { createAuditRepository } from '../../src/db/audits.ts'
import { createInspectionRepository } from '../../src/db/inspections.ts'
import { createOperationRepository } from '../../src/db/operations.ts'
import { createSnapshotRepository } from '../../src/db/snapshots.ts'
import { createStorageRepository } from '../../src/db/storages.ts'
import type { AuditFinding } from '../../src/domain/audit.ts'
import { DomainError, StorageError } from '../../src/domain/errors.ts'
import type { Operation } from '../../src/domain/operation.ts'
import type { AuditWorkRepository } from '../../src/ports/audits.ts'
import type { ObjectStore, ObjectStores } from '../../src/ports/storage.ts'
import { sweepAudits } from '../../src/services/advance-audit.ts'
import { auditStorage } from '../../src/services/audit-storage.ts'
import { clearOrphans } from '../../src/services/clear-orphans.ts'
import { getStorageUsage } from '../../src/services/get-storage-usage.ts'
import { listAuditFindings } from '../../src/services/list-audit-findings.ts'
import { createObjectStores } from '../../src/storage/stores.ts'
import { insertCheckpoint } from '../support/checkpoints.ts'
import { type ClearingBench, insertOwnedSavepoint, openClearingBench } from '../support/clearing.ts'
import { openMigratedDatabase, type TestDatabase } from '../support/database.ts'
import { createTenants, insertRun, newFlinkJobId, type Tenant } from '../support/fixtures.ts'
import { explaining, nodesOf, rowsRead } from '../support/plans.ts'
import { fixedSecrets } from '../support/storage-address.ts'

let database: TestDatabase
let s3: Fauxqs
let folder: string
let ours: Tenant
let theirs: Tenant
let stores: ObjectStores
let bench: ClearingBench
let work: AuditWorkRepository
let root: string

beforeAll(async () => {
  database = await openMigratedDatabase('storage-audit')
  folder = await mkdtemp(join(tmpdir(), 'tidemark-audit-'))
  s3 = await startFauxqs()
  await s3.createBucket('state')
})
afterAll(async () => {
  await s3.stop()
  await database.drop()
  await rm(folder, { recursive: true, force: true })
})
beforeEach(async () => {
  await database.db.sql('truncate namespace cascade')
  ;({ ours, theirs } = await createTenants(database.db))
  stores = createObjectStores({ secrets: fixedSecrets, localRoots: [folder] })
  bench = openClearingBench(database.db, stores)
  work = createAuditWorkRepository(database.db, createInspectionRepository(database.db), {
    leaseMs: 20_000,
    newLease: v7,
  })
  root = pathToFileURL(join(folder, v7())).href
  await mkdir(fileURLToPath(root))
  await useStorage(root, 'local')
  return () => stores.close()
})

async function useStorage(uri: string, provider: string, endpoint: string | null = null): Promise<void> {
  const credentials = endpoint && {
    accessKeyId: { env: 'TIDEMARK_SECRET_OURS_ID' },
    secretAccessKey: { env: 'TIDEMARK_SECRET_OURS_KEY' },
  }
  await database.db.sql(
    `update storage set uri = $1, root_key = $2, provider = $3, endpoint = $4, credentials = $5::jsonb,
       clear_checkpoints = true where id = $6`,
    [uri, `${uri}/`, provider, endpoint, credentials && JSON.stringify(credentials), ours.storageId],
  )
}

const HOUR_MS = 3_600_000
const put = async (location: string, hoursOld = 48, body = 'x'.repeat(10)): Promise<void> => {
  const file = fileURLToPath(location)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, body)
  const at = new Date(Date.now() - hoursOld * HOUR_MS)
  await utimes(file, at, at)
}
const has = (location: string): Promise<boolean> =>
  access(fileURLToPath(location)).then(
    () => true,
    () => false,
  )

const ports = () => {
  const { db } = database
  return {
    audits: createAuditRepository(db),
    operations: createOperationRepository(db),
    snapshots: createSnapshotRepository(db),
    storages: createStorageRepository(db),
    nudges: { savepointDue: () => undefined },
    newId: v7,
  }
}
const LOG = { info: () => undefined, warn: () => undefined, error: () => undefined }
type Sweep = Partial<Parameters<typeof sweepAudits>[0]>
const sweep = async (changes: Sweep = {}): Promise<number> => {
  await database.db.sql(`update operation set next_action_at = now() where next_action_at is not null`)
  const { claimed, done } = await sweepAudits({
    auditWork: work,
    stores,
    crashPoint: () => undefined,
    log: LOG,
    limits: { renewMs: 5_000, holdMs: 60_000 },
    ...changes,
  })(5)
  await done
  return claimed
}
const begin = async (tenant: Tenant = ours): Promise<Operation> =>
  (await auditStorage(ports())({ caller: tenant.caller, storage: 'state' })).resource
const readOperation = async (id: string): Promise<Operation> => {
  const found = await ports().operations.find(ours.caller, id, { pageSize: 1, after: null })
  if (!found) throw new Error(`there is no operation ${id}`)
  return found
}
async function audit(changes: Sweep = {}): Promise<Operation> {
  const { id } = await begin()
  for (let round = 0; round < 20; round++) {
    await sweep(changes)
    const operation = await readOperation(id)
    if (operation.status !== 'RUNNING') return operation
  }
  throw new Error('the audit does not end')
}
async function findingsOf({ id }: { id: string }, kind?: AuditFinding['kind']): Promise<AuditFinding[]> {
  const found: AuditFinding[] = []
  let pageToken: string | undefined
  do {
    const query = { caller: ours.caller, operation: id, kind, pageSize: 2, pageToken }
    const page = await listAuditFindings(ports())(query)
    found.push(...page.items)
    pageToken = page.nextPageToken ?? undefined
  } while (pageToken !== undefined)
  return found
}
const places = (findings: readonly AuditFinding[]): string[] =>
  findings.map(({ kind, location }) => `${kind} ${location.replace(`${root}/`, '')}`).toSorted()
const clear = (operation: string, findings: number[], tenant: Tenant = ours) =>
  clearOrphans(ports())({ caller: tenant.caller, storage: 'state', operation, findings })
const drainClearings = async () => {
  for (let round = 0; round < 8; round++) await bench.sweep()
}
const restore = (run: string, { key, mode }: { key: string; mode: string | null }) =>
  database.db.sql(
    'update run set restored_key = $1, claim_mode = $2, completed_checkpoints = 9 where id = $3',
    [key, mode, run],
  )
const attempt = (id: string, more = '1/savepoint-abcdef-0123456789ab') =>
  `ours/orders/savepoints/${id}/${more}`

describe('an audit', () => {
  it("tells orphans, unregistered and missing snapshots and what is nobody's apart, and touches nothing", async () => {
    const owned = await insertOwnedSavepoint(database.db, ours, root, { version: 3 })
    await put(`${owned.location}/_metadata`)
    await put(`${owned.location}/data`)
    const leftover = attempt(owned.id, '1/savepoint-abcdef-ffffffffffff')
    await put(`${root}/${leftover}/part`)
    const lost = await insertOwnedSavepoint(database.db, ours, root)
    const failed = await insertOwnedSavepoint(database.db, ours, root, { status: 'Failed' })
    await put(`${failed.location}/part`)
    const [nobody, young, whole] = [v7(), v7(), v7()]
    await put(`${root}/${attempt(nobody)}/part-1`)
    await put(`${root}/${attempt(nobody)}/part-2`)
    await put(`${root}/${attempt(young)}/old`)
    await put(`${root}/${attempt(young)}/young`, 23)
    await put(`${root}/${attempt(whole)}/_metadata`)
    await put(`${root}/foreign/thing`)
    await put(`${root}/theirs/orders/savepoints/${v7()}/1/savepoint-abcdef-0123456789ab/part`)
    await put(`${root}/old/savepoint-123456-0123456789ab/_metadata`)
    const before = [`${root}/${leftover}/part`, `${root}/${attempt(nobody)}/part-1`]

    const operation = await audit()
    expect(operation).toMatchObject({ kind: 'AUDIT', status: 'SUCCEEDED', failure: null })
    const findings = await findingsOf(operation)
    expect(places(findings)).toEqual(
      [
        `ORPHAN ${attempt(nobody)}/`,
        `ORPHAN ${leftover}/`,
        `UNREGISTERED ${attempt(whole)}/`,
        'UNREGISTERED old/savepoint-123456-0123456789ab/',
        `MISSING ${lost.location.replace(`${root}/`, '')}`,
      ].toSorted(),
    )
    expect(findings.find(({ kind }) => kind === 'MISSING')?.snapshot).toBe(lost.id)
    expect(operation).toMatchObject({
      result: {
        listed: { objects: 12, bytes: 120 },
        found: {
          ORPHAN: { count: 2, objects: 3, bytes: 30 },
          UNREGISTERED: { count: 2, objects: 2, bytes: 20 },
          MISSING: { count: 1, objects: 0, bytes: 0 },
        },
        foreign: { objects: 2, bytes: 20 },
      },
    })
    for (const file of before) expect(await has(file)).toBe(true)

    const usage = await getStorageUsage(ports())({ caller: ours.caller, storage: 'state' })
    expect(usage).toMatchObject({
      operation: operation.id,
      measuredAt: expect.any(String),
      total: { objects: 12, bytes: 120 },
      jobsLeftOut: 0,
    })
    expect(usage.jobs).toContainEqual({
      job: { id: ours.jobId, name: 'orders' },
      version: 3,
      kind: 'SAVEPOINT',
      objects: 2,
      bytes: 20,
    })
    expect(usage.reclaimable.map(({ kind, bytes }) => `${kind} ${bytes}`).toSorted()).toEqual([
      'FAILED 10',
      'ORPHAN 30',
    ])
  })

  it('tells checkpoints of live runs, retained ones and shared state apart', async () => {
    const [live, over] = [newFlinkJobId(), newFlinkJobId()]
    await database.db.sql('update run set flink_job_id = $1, version = 4 where id = $2', [live, ours.runId])
    await put(`${root}/cp/${live}/chk-5/_metadata`)
    await put(`${root}/cp/${live}/shared/a`)
    await put(`${root}/cp/${over}/chk-9/_metadata`)
    const id = await insertCheckpoint(database.db, ours, {
      flinkCheckpointId: 6,
      at: new Date(),
      location: `${root}/cp/${live}/chk-6`,
    })
    await put(`${root}/cp/${live}/chk-6/_metadata`)
    await database.db.sql('update snapshot set storage_id = $1 where id = $2', [ours.storageId, id])
    const kinds = async () => {
      const { kinds: all } = await getStorageUsage(ports())({ caller: ours.caller, storage: 'state' })
      return Object.fromEntries(all.map(({ kind, objects }) => [kind, objects]))
    }
    expect(places(await findingsOf(await audit()))).toEqual([`UNREGISTERED cp/${over}/chk-9/`])
    expect(await kinds()).toEqual({ CHECKPOINT: 2, SHARED_STATE: 1, UNREGISTERED: 1 })
    await database.db.sql(`update run set state = 'CANCELED' where id = $1`, [ours.runId])
    expect(places(await findingsOf(await audit(), 'UNREGISTERED'))).toEqual(
      [`UNREGISTERED cp/${live}/chk-5/`, `UNREGISTERED cp/${over}/chk-9/`].toSorted(),
    )
    expect(await kinds()).toEqual({ RETAINED_CHECKPOINT: 1, SHARED_STATE: 1, UNREGISTERED: 2 })
  })

  /** The same store, a few objects a page. */
  const paged = (pageSize: number): Pick<ObjectStores, 'of'> => ({
    of: (address) => {
      const store: ObjectStore = stores.of(address)
      return new Proxy(store, {
        get: (target, name, receiver) =>
          name === 'list'
            ? (prefix: Parameters<ObjectStore['list']>[0], options = {}) =>
                target.list(prefix, { ...options, pageSize })
            : Reflect.get(target, name, receiver),
      })
    },
  })

  it.each(['audit-page-recorded', 'audit-rows-recorded'])(
    'that crashes at %s again and again counts nothing twice',
    async (name) => {
      const ids = [v7(), v7(), v7()]
      for (const id of ids) for (const part of ['a', 'b', 'c']) await put(`${root}/${attempt(id)}/${part}`)
      const lost = await insertOwnedSavepoint(database.db, ours, root)
      const { id } = await begin()
      for (let round = 0; round < 30; round++) {
        if ((await readOperation(id)).status !== 'RUNNING') break
        await sweep({
          stores: paged(2),
          crashPoint: (passed) => {
            if (passed === name) throw new Error('killed')
          },
        })
        await database.db.sql(
          `update operation set lease_until = now() - interval '1 s' where lease_until is not null`,
        )
      }
      const operation = await readOperation(id)
      expect(operation).toMatchObject({
        status: 'SUCCEEDED',
        result: {
          listed: { objects: 9, bytes: 90 },
          found: { ORPHAN: { count: 3, objects: 9 }, MISSING: { count: 1 } },
        },
      })
      const findings = await findingsOf(operation)
      expect(places(findings)).toEqual(
        [
          ...ids.map((each) => `ORPHAN ${attempt(each)}/`),
          `MISSING ${lost.location.replace(`${root}/`, '')}`,
        ].toSorted(),
      )
      const usage = await getStorageUsage(ports())({ caller: ours.caller, storage: 'state' })
      expect(usage.total).toEqual({ objects: 9, bytes: 90 })
    },
  )

  it('goes on where it was when another worker takes it up, and a stale one writes nothing', async () => {
    for (const part of ['a', 'b', 'c', 'd']) await put(`${root}/x/${part}`)
    const { id } = await begin()
    const [mine] = await work.claimDue(1)
    if (!mine) throw new Error('nothing was due')
    expect(await work.claimDue(1)).toEqual([])
    await database.db.sql(`update operation set lease_until = now() - interval '1 s' where id = $1`, [id])
    const [other] = await work.claimDue(1)
    expect(other?.id).toBe(id)
    expect(await work.complete(mine, { steps: [], result: {}, listing: null })).toBe(false)
    expect(await work.renew(mine)).toBe(false)
  })

  it('asked for twice is one while it is open, and another tenant sees nothing of it', async () => {
    const first = await begin()
    const again = await auditStorage(ports())({ caller: ours.caller, storage: 'state' })
    expect(again).toMatchObject({ joined: true, resource: { id: first.id } })
    const query = { caller: theirs.caller, operation: first.id }
    await expect(listAuditFindings(ports())(query)).rejects.toThrow(DomainError)
    const usage = await getStorageUsage(ports())({ caller: theirs.caller, storage: 'state' })
    expect(usage).toMatchObject({ measuredAt: null, total: { objects: 0 } })
  })

  it('of an S3 storage only lists and asks for single objects', async () => {
    const name = v7()
    await useStorage(`s3://state/${name}`, 'minio', s3.url)
    await fetch(`${s3.url}/state/${name}/${attempt(v7())}/part`, { method: 'PUT', body: 'x' })
    await insertOwnedSavepoint(database.db, ours, `s3://state/${name}`)
    s3.forgetRequests()
    const operation = await audit()
    expect(operation).toMatchObject({ result: { found: { ORPHAN: { count: 0 }, MISSING: { count: 1 } } } })
    expect(new Set(s3.requests.map(({ method }) => method))).toEqual(new Set(['GET', 'HEAD']))
  })
})

describe('an orphan', () => {
  const orphan = async (): Promise<{ id: string; operation: string; number: number; file: string }> => {
    const id = v7()
    const file = `${root}/${attempt(id)}/part`
    await put(file)
    const operation = await audit()
    const found = (await findingsOf(operation, 'ORPHAN')).find(({ location }) => location.includes(id))
    if (!found) throw new Error('no orphan was found')
    return { id, operation: operation.id, number: found.number, file }
  }
  const clearingOf = async ({ operation, number }: { operation: string; number: number }) =>
    (await findingsOf({ id: operation })).find((each) => each.number === number)?.clearing

  it('goes when somebody asks for it, and only it', async () => {
    const other = await orphan()
    const one = await orphan()
    const { items } = await clear(one.operation, [one.number, one.number])
    expect(items).toMatchObject([{ finding: one.number, clearing: expect.any(String), refusal: null }])
    const again = await clear(one.operation, [one.number])
    expect(again.items[0]?.clearing).toBe(items[0]?.clearing)
    await drainClearings()
    expect(await clearingOf(one)).toMatchObject({
      phase: 'DONE',
      deleted: 1,
      error: null,
      endedAt: expect.any(String),
    })
    expect(await has(one.file)).toBe(false)
    expect(await has(other.file)).toBe(true)
  })

  it('is only reported until the storage allows it', async () => {
    const one = await orphan()
    await database.db.sql('update storage set clear_checkpoints = false')
    await expect(clear(one.operation, [one.number])).rejects.toMatchObject({ code: 'CLEARING_NOT_ENABLED' })
  })

  it.each([
    ['holds _metadata by now', (file: string) => put(file.replace(/part$/, '_metadata'))],
    ['holds _metadata deeper down', (file: string) => put(file.replace(/part$/, 'deep/_metadata'))],
    ['is written again', (file: string) => put(file.replace(/part$/, 'more'), 1)],
    ['may not be cleared any more', () => database.db.sql('update storage set clear_checkpoints = false')],
    [
      'was restored with CLAIM by a live run',
      (file: string) => restore(ours.runId, { key: file.replace(/\/part$/, ''), mode: 'CLAIM' }),
    ],
    [
      'is copied to',
      (_file: string, id: string) =>
        database.db.sql(
          `insert into operation (id, namespace_id, kind, status, input, created_by)
           values ($1, $2, 'COPY', 'RUNNING', $3::jsonb, 'test')`,
          [
            v7(),
            ours.caller.namespaceId,
            JSON.stringify({ copy: id, snapshot: v7(), storage: { id: v7() } }),
          ],
        ),
    ],
  ])('stays when it %s', async (_, change) => {
    const one = await orphan()
    await clear(one.operation, [one.number])
    await change(one.file, one.id)
    await drainClearings()
    expect(await has(one.file)).toBe(true)
    expect(await clearingOf(one)).toMatchObject({
      phase: 'LISTING',
      deleted: 0,
      error: { code: expect.any(String) },
      endedAt: expect.any(String), // nobody asks again, and no clearing is stuck
    })
    const [open] = await database.db.sql(
      'select 1 from clearing where next_action_at is not null or ended_at is null',
    )
    expect(open).toBeUndefined()
  })

  it('that was none for a while is found by the next audit, and goes', async () => {
    const one = await orphan()
    const metadata = one.file.replace(/part$/, '_metadata')
    await put(metadata)
    await clear(one.operation, [one.number])
    await drainClearings()
    expect(await has(one.file)).toBe(true)
    await rm(fileURLToPath(metadata))
    const operation = await audit()
    const found = (await findingsOf(operation, 'ORPHAN')).find(({ location }) => location.includes(one.id))
    const { items } = await clear(operation.id, [found?.number ?? -1])
    expect(items[0]?.refusal).toBeNull()
    await drainClearings()
    expect(await has(one.file)).toBe(false)
  })

  describe('of a savepoint that Flink has subsumed, its SST files left where checkpoints name them,', () => {
    /** Its `_metadata` is gone, and the row says so; restored by our run. */
    const subsumed = async (mode: string | null) => {
      const { db } = database
      const claimed = await insertOwnedSavepoint(db, ours, root)
      await put(`${claimed.location}/000012.sst`)
      await restore(ours.runId, { key: claimed.location, mode })
      await db.sql(`update snapshot set status = 'Cleared', reason = 'SUBSUMED' where id = $1`, [claimed.id])
      return claimed
    }
    const orphans = async () => places(await findingsOf(await audit(), 'ORPHAN')).length
    const end = (run: string) =>
      database.db.sql(`update run set state = 'CANCELED', ended_at = now() where id = $1`, [run])
    const inspect = (snapshot: string, key: string | null) => {
      const empty = { summary: JSON.parse('{}'), metadataBytes: 1, fileCount: 1, fileBytes: 1 }
      const file = { kind: 'absolute' as const, roles: [], sizeBytes: 1, references: 1, mayBeShared: true }
      return createInspectionRepository(database.db).save(
        ours.caller,
        snapshot,
        { ...empty, inspectedAt: new Date().toISOString() },
        key === null ? [] : [{ ...file, position: 0, key, path: key }],
      )
    }

    it.each(['CLAIM', 'LEGACY', null])(
      'is none while the run that was restored with %s lives',
      async (mode) => {
        await subsumed(mode)
        expect(await orphans()).toBe(0)
        const { reclaimable } = await getStorageUsage(ports())({ caller: ours.caller, storage: 'state' })
        expect(reclaimable).toEqual([])
      },
    )

    it('is one after NO_CLAIM, which builds on nothing', async () => {
      await subsumed('NO_CLAIM')
      expect(await orphans()).toBe(1)
    })

    it('is none either when only the id of the savepoint says what the run was restored from', async () => {
      const { id } = await subsumed('CLAIM')
      await database.db.sql('update run set restored_key = null, restored_snapshot_id = $1', [id])
      expect(await orphans()).toBe(0)
    })

    it('is none after the run until each checkpoint it left was looked into, and names nothing there', async () => {
      const { location } = await subsumed('CLAIM')
      const left = await insertCheckpoint(database.db, ours, { flinkCheckpointId: 12, at: new Date() })
      await end(ours.runId)
      expect(await orphans()).toBe(0)
      await inspect(left, `${location}/000012.sst`)
      expect(await orphans()).toBe(0)
      await inspect(left, null)
      expect(await orphans()).toBe(1)
    })

    it('is none after a lost run until somebody confirms its end', async () => {
      await subsumed('CLAIM')
      await database.db.sql(`update run set state = 'LOST' where id = $1`, [ours.runId])
      expect(await orphans()).toBe(0)
      await database.db.sql('update run set end_confirmed_at = now() where id = $1', [ours.runId])
      expect(await orphans()).toBe(1)
    })

    it('is none while a run lives that was restored from a checkpoint nobody saw, through any number of runs', async () => {
      await subsumed('CLAIM')
      let before = ours.runId
      for (const name of ['second', 'third']) {
        await end(before)
        const jobId = v7()
        await database.db.sql(
          `insert into job (id, namespace_id, name, cluster_id, savepoint_storage_id, attach_flink_job_name)
           values ($1, $2, $3, $4, $5, $3)`,
          [jobId, ours.caller.namespaceId, name, ours.clusterId, ours.storageId],
        )
        const run = await insertRun(database.db, { ...ours, jobId })
        const [{ id } = { id: '' }] = await database.db.sql<{ id: string }>(
          'select flink_job_id as id from run where id = $1',
          [before],
        )
        await restore(run, { key: `s3://elsewhere/${id}/chk-7`, mode: null })
        before = run
      }
      expect(await orphans()).toBe(0)
      await restore(before, { key: `s3://elsewhere/${newFlinkJobId()}/chk-7`, mode: null })
      expect(await orphans()).toBe(1)
    })
  })

  it('is told by indexes among 5,000 runs that were restored', async () => {
    const { db } = database
    await db.sql(
      `insert into run (id, namespace_id, job_id, cluster_id, flink_job_id, state, flink_state, flink_start_time, started_at,
         restored_key, claim_mode)
       select gen_random_uuid(), $1, $2, $3, md5(n::text), 'FINISHED', 'FINISHED', n, now(),
         's3://elsewhere/' || md5((n / 2)::text) || '/chk-' || n, 'CLAIM'
       from generate_series(1, 5000) n`,
      [ours.caller.namespaceId, ours.jobId, ours.clusterId],
    )
    const { location } = await insertOwnedSavepoint(db, ours, root)
    await restore(ours.runId, { key: location, mode: 'CLAIM' })
    await db.pool.query('analyze run, snapshot')
    const { db: explained, plan } = explaining(db)
    const repository = createAuditWorkRepository(explained, createInspectionRepository(db), {
      leaseMs: 20_000,
      newLease: v7,
    })
    const units = [v7(), v7(), v7()].map((id) => ({
      key: `${root}/${attempt(id)}`,
      snapshotId: id,
      flinkJobId: null,
    }))
    const used = { key: location, snapshotId: v7(), flinkJobId: null }
    const facts = await repository.readUnits(ours.caller, [...units, used])
    expect(facts.map(({ builtOn }) => builtOn)).toEqual([false, false, false, true])
    expect(nodesOf(plan, 'run').map((node) => node['Node Type'])).not.toContain('Seq Scan')
    expect(rowsRead(plan, 'run')).toBeLessThan(100)
  }, 30_000)

  it('is asked about again while its store is away', async () => {
    const one = await orphan()
    await clear(one.operation, [one.number])
    const away: Pick<ObjectStores, 'of'> = {
      of: (storage) => ({
        ...stores.of(storage),
        list: () => Promise.reject(new StorageError('unreachable', 'no answer')),
      }),
    }
    await bench.sweep({ stores: away })
    expect(await clearingOf(one)).toMatchObject({ error: { code: 'STORAGE_UNREACHABLE' }, endedAt: null })
    await drainClearings()
    expect(await has(one.file)).toBe(false)
  })

  it('of another storage, another tenant or another kind is none', async () => {
    const one = await orphan()
    await put(`${root}/${attempt(v7())}/_metadata`)
    const operation = await audit()
    const [unregistered] = await findingsOf(operation, 'UNREGISTERED')
    const { items } = await clear(operation.id, [unregistered?.number ?? -1, 9_999])
    expect(items.map(({ refusal }) => refusal?.code)).toEqual(['NOT_FOUND', 'NOT_FOUND'])
    await database.db.sql('update storage set clear_checkpoints = true')
    const theirsAnswer = await clear(one.operation, [one.number], theirs)
    expect(theirsAnswer.items[0]?.refusal?.code).toBe('NOT_FOUND')
    await drainClearings()
    expect(await has(one.file)).toBe(true)
  })
})
