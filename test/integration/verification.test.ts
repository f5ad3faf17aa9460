/** Verification against a real Postgres: storages on this machine and on a scripted S3, two namespaces, two workers. */
import { mkdir, mkdtemp, rename, rm, truncate, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { v7 } from 'uuid'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { createCheckpointRepository } from '../../src/db/checkpoints.ts'
import { createInspectionRepository } from '../../src/db/inspections.ts'
import { createSavepointWorkRepository } from '../../src/db/savepoint-work.ts'
import { createStorageRepository } from '../../src/db/storages.ts'
import { createVerificationRepository } from '../../src/db/verifications.ts'
import type { VerificationReport } from '../../src/domain/verification.ts'
import type { VerificationWork } from '../../src/ports/inspections.ts'
import type { ObjectStores } from '../../src/ports/storage.ts'
import type { RunningServer } from '../../src/server.ts'
import type { Verification } from '../../src/services/api.ts'
import { createVerificationRound } from '../../src/services/verify-due.ts'
import { verifyAndKeep } from '../../src/services/verify-snapshot.ts'
import { createObjectStores } from '../../src/storage/stores.ts'
import type { Api } from '../support/api.ts'
import { insertCheckpoint } from '../support/checkpoints.ts'
import type { TestDatabase } from '../support/database.ts'
import { createTenants, insertSavepoint, type Tenant } from '../support/fixtures.ts'
import { metadataWithFiles, type NamedFile } from '../support/metadata-with-files.ts'
import {
  type S3Script,
  type ScriptedS3,
  sendError,
  sendXml,
  startScriptedS3,
} from '../support/scripted-s3.ts'
import { fixedSecrets } from '../support/storage-address.ts'
import { startApiOfTwoTenants } from '../support/two-tenants.ts'

const SILENT = { info: () => undefined, warn: () => undefined, error: () => undefined }
const HOUR_MS = 3_600_000

let database: TestDatabase
let server: RunningServer
let s3: ScriptedS3
let stores: ObjectStores
let folder: string
let ours: Tenant
let theirs: Tenant
let api: Api
let other: Api

beforeAll(async () => {
  s3 = await startScriptedS3()
  folder = await mkdtemp(join(tmpdir(), 'tidemark-verification-'))
  ;({ database, server, api, other } = await startApiOfTwoTenants('verification', { localRoots: folder }))
  stores = createObjectStores({
    secrets: fixedSecrets,
    localRoots: [folder],
    s3Limits: { requestTimeoutMs: 200, callTimeoutMs: 400, maxAttempts: 1 },
  })
}, 120_000)
afterAll(async () => {
  await stores?.close()
  await server?.close()
  await s3?.close()
  await database?.drop()
  if (folder) await rm(folder, { recursive: true, force: true })
})

beforeEach(async () => {
  const tenants = await createTenants(database.db)
  ours = tenants.ours
  theirs = tenants.theirs
  for (const tenant of [ours, theirs]) {
    const root = rootOf(tenant)
    await mkdir(root, { recursive: true })
    await writeFile(join(root, 'somebody-elses'), 'x')
    const uri = pathToFileURL(root).href
    await sql(`update storage set uri = $1, root_key = $2, provider = 'local' where id = $3`, [
      uri,
      `${uri}/`,
      tenant.storageId,
    ])
  }
})
afterEach(async () => {
  await sql('truncate cluster, storage, job, run, snapshot, job_version, attempt, worker, operation cascade')
  await sql('truncate history.event, history.snapshot_transition')
  for (const tenant of [ours, theirs]) await rm(rootOf(tenant), { recursive: true, force: true })
})

const sql = (text: string, values: unknown[] = []) => database.db.sql(text, values)
const rootOf = ({ caller }: Tenant): string => join(folder, caller.namespace)
const scopeOf = ({ caller }: Tenant) => ({ namespaceId: caller.namespaceId })

const FILES: NamedFile[] = [
  { path: 'data-1', relative: true },
  { path: 'data-2', relative: true },
]
/** A folder with its files, 100 bytes each, and the `_metadata` that names them. */
async function store(tenant: Tenant, name: string, files = FILES): Promise<string> {
  const place = join(rootOf(tenant), name)
  await mkdir(place, { recursive: true })
  await writeFile(join(place, '_metadata'), metadataWithFiles(files))
  for (const { path, relative } of files)
    if (relative) await writeFile(join(place, path), new Uint8Array(100))
  return place
}
/** Present and found by the look at its completion, due now. */
async function savepoint(tenant: Tenant, place: string): Promise<string> {
  const location = place.includes('://') ? place : pathToFileURL(place).href
  const id = await insertSavepoint(database.db, tenant, { status: 'Present', location })
  await sql(
    `update snapshot set verify_at = now(), verified_at = now(), verdict = 'METADATA_FOUND', completed_at = now() where id = $1`,
    [id],
  )
  return id
}

const workerPorts = () => ({
  storages: createStorageRepository(database.db),
  inspections: createInspectionRepository(database.db),
  verifications: createVerificationRepository(database.db),
  stores,
  log: SILENT,
})
async function workOnce(ports = workerPorts(), perSecond = 10): Promise<void> {
  const worker = createVerificationRound(ports, { perSecond, everyMs: 168 * HOUR_MS })
  await worker.round()
  await worker.idle()
}
const row = async (id: string) => {
  const [found] = await database.db.sql<{
    status: string
    reason: string
    verdict: string | null
    verified_at: string
    due_in_ms: number
    row_version: number
  }>(
    `select status, reason, verdict, verified_at, row_version,
       (extract(epoch from verify_at - now()) * 1000)::bigint as due_in_ms from snapshot where id = $1`,
    [id],
  )
  if (!found) throw new Error('no snapshot')
  return found
}
const reportOf = (tenant: Tenant, id: string): Promise<VerificationReport | null> =>
  createVerificationRepository(database.db).find(scopeOf(tenant), id)
const transitions = (id: string) =>
  sql(
    `select to_status, reason, by from history.snapshot_transition where snapshot_id = $1 and reason = 'DATA_LOST'`,
    [id],
  )
const verify = (id: string, as = api) =>
  as.call<Verification & { code?: string }>('POST', `/v1/snapshots/${id}/verify`)
const read = (id: string, as = api) =>
  as.call<Verification & { code?: string }>('GET', `/v1/snapshots/${id}/verification`)
const show = (id: string) =>
  api.call<{ status: string; reason: string; verdict: string; restorable: boolean }>(
    'GET',
    `/v1/snapshots/${id}`,
  )

describe('asked for by a person', () => {
  it('a snapshot is whole, and the report stays [N-05]', async () => {
    const id = await savepoint(ours, await store(ours, 'sp'))
    expect((await read(id)).status).toBe(404)
    const { status, body } = await verify(id)
    expect([status, body]).toMatchObject([
      200,
      {
        snapshot: id,
        verdict: 'WHOLE',
        findings: [],
        checkedFiles: 2,
        checkedBytes: 200,
        verifiedBy: 'token:ours',
      },
    ])
    expect((await read(id)).body).toEqual(body)
    expect((await show(id)).body).toMatchObject({ verdict: 'WHOLE', restorable: true })
    expect((await api.call('GET', `/v1/snapshots/${id}/inspection`)).body).toMatchObject({ fileCount: 2 })
  })

  it('a damaged one is named with its file and not restorable, until it is found whole again [N-05]', async () => {
    const place = await store(ours, 'sp')
    const id = await savepoint(ours, place)
    await rename(join(place, 'data-2'), join(folder, 'aside'))
    expect((await verify(id)).body).toMatchObject({
      verdict: 'DAMAGED',
      findingCount: 1,
      findings: [{ code: 'FILE_MISSING', path: 'data-2', expectedBytes: 100, foundBytes: null }],
    })
    expect((await show(id)).body).toMatchObject({ status: 'Present', verdict: 'DAMAGED', restorable: false })
    await rename(join(folder, 'aside'), join(place, 'data-2'))
    expect((await verify(id)).body).toMatchObject({ verdict: 'WHOLE' })
    expect((await show(id)).body).toMatchObject({ verdict: 'WHOLE', restorable: true })
    const told = await sql(
      `select data ->> 'to' as verdict from history.event where type = 'snapshot.verdict'`,
    )
    expect(told.map(({ verdict }) => verdict).toSorted()).toEqual(['DAMAGED', 'WHOLE'])
  })

  it('a file that is cut is found by its size [N-05]', async () => {
    const place = await store(ours, 'sp')
    await truncate(join(place, 'data-1'), 99)
    expect((await verify(await savepoint(ours, place))).body).toMatchObject({
      verdict: 'DAMAGED',
      findings: [{ code: 'SIZE_DIFFERS', path: 'data-1', expectedBytes: 100, foundBytes: 99 }],
    })
  })

  it('one whose _metadata is no _metadata cannot be restored [N-05]', async () => {
    const place = await store(ours, 'sp')
    await writeFile(join(place, '_metadata'), 'nothing of Flink')
    const id = await savepoint(ours, place)
    expect((await verify(id)).body).toMatchObject({ verdict: 'UNREADABLE' })
    expect((await show(id)).body).toMatchObject({ status: 'Present', restorable: false })
  })

  it('one whose _metadata is gone is Cleared(DATA_LOST), once; its report outlives it [N-05]', async () => {
    const place = await store(ours, 'sp')
    const id = await savepoint(ours, place)
    await unlink(join(place, '_metadata'))
    const { status, body } = await verify(id)
    expect([status, body]).toMatchObject([200, { verdict: 'METADATA_MISSING' }])
    expect((await show(id)).body).toMatchObject({ status: 'Cleared', reason: 'DATA_LOST' })
    expect(await transitions(id)).toEqual([{ to_status: 'Cleared', reason: 'DATA_LOST', by: 'token:ours' }])
    expect(await verify(id)).toMatchObject({ status: 409, body: { code: 'SNAPSHOT_NOT_PRESENT' } })
    expect((await read(id)).body).toEqual(body)
    expect(await transitions(id)).toHaveLength(1)
  })

  it('a storage whose root is gone, or empty, loses nothing [N-05]', async () => {
    const id = await savepoint(ours, await store(ours, 'sp'))
    await rename(rootOf(ours), join(folder, 'unmounted'))
    expect((await verify(id)).body).toMatchObject({ verdict: 'NOT_ASKED' })
    await mkdir(rootOf(ours))
    expect((await verify(id)).body).toMatchObject({ verdict: 'NOT_ASKED' })
    expect(await row(id)).toMatchObject({ status: 'Present', verdict: 'METADATA_FOUND' })
    await rm(rootOf(ours), { recursive: true })
    await rename(join(folder, 'unmounted'), rootOf(ours))
    expect((await verify(id)).body).toMatchObject({ verdict: 'WHOLE' })
  })

  it('twenty at once find the same and write one verdict each [N-05]', async () => {
    const id = await savepoint(ours, await store(ours, 'sp'))
    const answers = await Promise.all(Array.from({ length: 20 }, () => verify(id)))
    expect(new Set(answers.map(({ status, body }) => `${status} ${body.verdict}`))).toEqual(
      new Set(['200 WHOLE']),
    )
  })

  it('keeps to its namespace: another one’s snapshot is not there, its files are nobody’s [N-05]', async () => {
    const theirPlace = await store(theirs, 'sp')
    const theirId = await savepoint(theirs, theirPlace)
    for (const answer of [await verify(theirId), await read(theirId)]) {
      expect(answer).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } })
    }
    const place = await store(ours, 'sp', [{ path: pathToFileURL(join(theirPlace, 'data-1')).href }])
    expect((await verify(await savepoint(ours, place))).body).toMatchObject({
      verdict: 'NOT_ASKED',
      findings: [{ code: 'OUTSIDE_STORAGES', foundBytes: null }],
    })
    expect((await verify(theirId, other)).body).toMatchObject({ verdict: 'WHOLE' })
  })

  it('what is not Present, has no location or no such id is refused [N-05]', async () => {
    const failed = await insertSavepoint(database.db, ours, { status: 'Failed' })
    expect(await verify(failed)).toMatchObject({ status: 409, body: { code: 'SNAPSHOT_NOT_PRESENT' } })
    const inMemory = await insertSavepoint(database.db, ours, { status: 'Present' })
    expect(await verify(inMemory)).toMatchObject({ status: 409, body: { code: 'SNAPSHOT_NOT_PRESENT' } })
    expect(await verify(v7())).toMatchObject({ status: 404 })
    expect(await read(v7())).toMatchObject({ status: 404 })
    expect(await verify('no-id')).toMatchObject({ status: 400 })
  })
})

describe('what Flink owns', () => {
  it('is not lost: a checkpoint of a live run, one under review, a claimed one', async () => {
    const checkpoint = async (n: number, runId?: string) => {
      const place = await store(ours, `chk-${n}`)
      const location = pathToFileURL(place).href
      const id = await insertCheckpoint(database.db, ours, {
        flinkCheckpointId: n,
        at: new Date(),
        location,
        ...(runId ? { runId } : {}),
      })
      await sql('update snapshot set verified_at = now() where id = $1', [id])
      await unlink(join(place, '_metadata'))
      return id
    }
    const live = await checkpoint(1)
    expect((await verify(live)).body).toMatchObject({ verdict: 'METADATA_MISSING' })
    expect(await row(live)).toMatchObject({ status: 'Present', verdict: 'METADATA_MISSING' })
    await sql(`update run set state = 'FINISHED', ended_at = now(), recheck_at = now()`)
    const reviewed = await checkpoint(2)
    await verify(reviewed)
    expect(await row(reviewed)).toMatchObject({ status: 'Present', verdict: 'METADATA_MISSING' })
    await sql('update run set recheck_at = null')
    const retained = await checkpoint(3)
    await verify(retained)
    expect(await row(retained)).toMatchObject({ status: 'Cleared', reason: 'DATA_LOST' })
    const place = await store(ours, 'sp')
    const claimed = await savepoint(ours, place)
    await sql('update snapshot set claimed_by_run_id = $2 where id = $1', [claimed, ours.runId])
    await unlink(join(place, '_metadata'))
    await verify(claimed)
    expect(await row(claimed)).toMatchObject({ status: 'Present' })
  })

  it('stays endangered until its run was looked at, whatever is found', async () => {
    const location = pathToFileURL(await store(ours, 'chk-1')).href
    const id = await insertCheckpoint(database.db, ours, {
      flinkCheckpointId: 1,
      at: new Date(),
      location,
      verdict: 'ENDANGERED',
    })
    expect((await verify(id)).body).toMatchObject({ verdict: 'WHOLE' })
    expect(await row(id)).toMatchObject({ verdict: 'ENDANGERED' })
  })

  it('or only Flink ever saw is not lost', async () => {
    const id = await insertSavepoint(database.db, ours, {
      status: 'Present',
      location: pathToFileURL(join(rootOf(ours), 'on-another-machine')).href,
    })
    await sql(`update snapshot set verdict = 'METADATA_MISSING', verified_at = now() where id = $1`, [id])
    expect((await verify(id)).body).toMatchObject({ verdict: 'METADATA_MISSING' })
    expect(await row(id)).toMatchObject({ status: 'Present', verdict: 'METADATA_MISSING' })
  })
})

// ----------------------------------------------------------------------------------------------------------- due

describe('by itself', () => {
  it('verifies what is due, in both namespaces, and again a week later', async () => {
    const [mine, yours] = [
      await savepoint(ours, await store(ours, 'sp')),
      await savepoint(theirs, await store(theirs, 'sp')),
    ]
    await workOnce()
    for (const id of [mine, yours]) {
      const { verdict, due_in_ms } = await row(id)
      expect(verdict).toBe('WHOLE')
      expect(due_in_ms / HOUR_MS).toBeCloseTo(168, 0)
    }
    expect(await reportOf(ours, mine)).toMatchObject({ verdict: 'WHOLE', verifiedBy: 'worker' })
    expect(await reportOf(theirs, mine)).toBeNull()
    const before = await row(mine)
    await workOnce()
    expect((await row(mine)).row_version).toBe(before.row_version)
  })

  it('begins no more than its rate', async () => {
    for (let n = 0; n < 5; n++) await savepoint(ours, await store(ours, `sp-${n}`))
    await workOnce(workerPorts(), 2)
    const [count] = await sql(`select count(*)::int as n from snapshot_verification`)
    expect(count).toEqual({ n: 2 })
  })

  it('two workers never hold the same one', async () => {
    const ids = []
    for (let n = 0; n < 12; n++) ids.push(await savepoint(ours, await store(ours, `sp-${n}`)))
    const repositories = [1, 2, 3].map(() => createVerificationRepository(database.db))
    const claims = (await Promise.all(repositories.map((one) => one.claimDue(12, 60_000)))).flat()
    expect(claims.map(({ snapshotId }) => snapshotId).toSorted()).toEqual(ids.toSorted())
  })

  it('a worker that was frozen between look and record writes nothing over another one’s result', async () => {
    const place = await store(ours, 'sp')
    const id = await savepoint(ours, place)
    const ports = workerPorts()
    const [frozen] = await ports.verifications.claimDue(1, 1)
    if (!frozen) throw new Error('nothing claimed')
    await vi.waitFor(async () => expect((await row(id)).due_in_ms).toBeLessThan(0))
    await unlink(join(place, 'data-1'))
    await workOnce()
    await writeFile(join(place, 'data-1'), new Uint8Array(100))
    const late = (work: VerificationWork) =>
      verifyAndKeep(ports, { namespaceId: work.namespaceId }, work, {
        by: 'frozen',
        limitMs: 1_000,
        claim: work.claim,
        nextInMs: () => 1,
      })
    expect((await late(frozen)).recorded).toBe(false)
    expect(await reportOf(ours, id)).toMatchObject({ verdict: 'DAMAGED', verifiedBy: 'worker' })
    expect(await row(id)).toMatchObject({ verdict: 'DAMAGED' })
  })

  it('one that dies after its claim leaves it to the next', async () => {
    const id = await savepoint(ours, await store(ours, 'sp'))
    const { verifications } = workerPorts()
    expect(await verifications.claimDue(1, 1)).toHaveLength(1)
    await vi.waitFor(async () => expect((await row(id)).due_in_ms).toBeLessThan(0))
    await workOnce()
    expect(await row(id)).toMatchObject({ verdict: 'WHOLE' })
  })

  it('what was cleared meanwhile is left alone, and so is what lies elsewhere', async () => {
    const place = await store(ours, 'sp')
    const id = await savepoint(ours, place)
    const { verifications } = workerPorts()
    const [work] = await verifications.claimDue(1, 60_000)
    if (!work) throw new Error('nothing claimed')
    const report = { ...EMPTY_REPORT, verdict: 'METADATA_MISSING' as const }
    const result = { snapshotId: id, report, lost: true, claim: work.claim, nextInMs: 1 }
    expect(await verifications.record(scopeOf(ours), { ...result, location: 's3://elsewhere' })).toBe(false)
    expect(await verifications.record(scopeOf(theirs), { ...result, location: work.location })).toBe(false)
    await sql(`update snapshot set status = 'Clearing' where id = $1`, [id])
    expect(await verifications.record(scopeOf(ours), { ...result, location: work.location })).toBe(false)
    expect(await row(id)).toMatchObject({ status: 'Clearing' })
    expect(await reportOf(ours, id)).toBeNull()
  })

  it('a savepoint is due as soon as it is Present, an import too, a failed one never', async () => {
    const savepoints = createSavepointWorkRepository(database.db, {
      leaseMs: 60_000,
      newLease: v7,
      workerName: 'w',
    })
    const ids: string[] = []
    for (const to of ['Present', 'Failed'] as const) {
      const id = await insertSavepoint(database.db, ours, { settled: true })
      ids.push(id)
      await sql(
        `insert into attempt (namespace_id, snapshot_id, number, trigger_id, directory) values ($1, $2, 1, $3, 's3://ours/x/')`,
        [ours.caller.namespaceId, id, v7().replaceAll('-', '')],
      )
      await sql(
        `update snapshot set next_action_at = now(), owned_prefix = 's3://ours/x/', deadline_at = now() + interval '1 hour' where id = $1`,
        [id],
      )
      const [work] = await savepoints.claimDue(1)
      if (!work) throw new Error('nothing due')
      await savepoints.move(work, {
        to,
        reason: 'TEST',
        ...(to === 'Failed' ? { failure: { code: 'INTERNAL', message: '' } } : {}),
        facts: {
          location: `s3://ours/flink/${id}`,
          locationKey: `s3://ours/flink/${id}`,
          completedAt: new Date(),
        },
        settled: true,
        nextActionInMs: null,
      })
    }
    const imported = await api.call<{ id: string }>('POST', '/v1/jobs/orders/snapshots', {
      body: { location: pathToFileURL(await store(ours, 'imported')).href },
    })
    expect(imported.status).toBe(201)
    const { verifications } = workerPorts()
    const due = (await verifications.claimDue(10, 1_000)).map(({ snapshotId }) => snapshotId)
    expect(due.toSorted()).toEqual([ids[0], imported.body.id].toSorted())
  })

  it('of an ended run the newest checkpoint becomes due once it was reviewed, once', async () => {
    const checkpoints = createCheckpointRepository(database.db, v7)
    const ids = []
    for (const n of [1, 2, 3]) {
      ids.push(await insertCheckpoint(database.db, ours, { flinkCheckpointId: n, at: new Date() }))
    }
    const due = async () =>
      (await sql('select id from snapshot where verify_at is not null')).map(({ id }) => id)
    await checkpoints.recordReview(ours.runId, [], null)
    expect(await due()).toEqual([])
    await sql(`update run set state = 'FINISHED', ended_at = now()`)
    await checkpoints.recordReview(ours.runId, [], 1_000)
    expect(await due()).toEqual([])
    const gone = { id: ids[2] ?? '', found: 'gone' as const, reason: 'SUBSUMED' as const, message: '' }
    await checkpoints.recordReview(ours.runId, [gone], null)
    expect(await due()).toEqual([ids[1]])
    await sql(`update snapshot set verify_at = '2100-01-01' where id = $1`, [ids[1]])
    await checkpoints.recordReview(ours.runId, [], null)
    expect(await sql(`select id from snapshot where verify_at = '2100-01-01'`)).toEqual([{ id: ids[1] }])
  })
})

const EMPTY_REPORT: VerificationReport = {
  verdict: 'WHOLE',
  message: null,
  findings: [],
  findingCount: 0,
  checkedFiles: 0,
  checkedBytes: 0,
  requests: 0,
  durationMs: 0,
  verifiedAt: '',
  verifiedBy: 'test',
}

// ------------------------------------------------------------------------------------------------------------ S3

describe('on S3', () => {
  const METADATA = metadataWithFiles([...FILES, { path: 's3://bucket/root/shared/f', from: 0n }])
  const sizes = new Map([
    ['root/sp/_metadata', METADATA.length],
    ['root/sp/data-1', 100],
    ['root/sp/data-2', 100],
    ['root/shared/f', 5000],
  ])
  let objects: Map<string, number>
  let classes: Record<string, string>
  let id: string

  const isList = (path: string, method: string) => method === 'GET' && path.replace(/\/$/, '') === '/bucket'
  const answer: S3Script = ({ method, path, query }, response) => {
    if (isList(path, method)) {
      const prefix = query.get('prefix') ?? ''
      const most = Number(query.get('max-keys') ?? 1000)
      const found = [...objects].filter(([key]) => key.startsWith(prefix)).slice(0, most)
      return sendXml(
        response,
        200,
        `<ListBucketResult><IsTruncated>false</IsTruncated>${found
          .map(([key, size]) => {
            const storageClass = classes[key] ? `<StorageClass>${classes[key]}</StorageClass>` : ''
            return `<Contents><Key>${key}</Key><Size>${size}</Size>${storageClass}</Contents>`
          })
          .join('')}</ListBucketResult>`,
      )
    }
    const key = path.slice('/bucket/'.length)
    const size = objects.get(key)
    if (size === undefined)
      return method === 'HEAD' ? response.writeHead(404).end() : sendError(response, 404, 'NoSuchKey')
    const headers = {
      'content-length': size,
      ...(classes[key] ? { 'x-amz-storage-class': classes[key] } : {}),
    }
    if (method === 'HEAD') return response.writeHead(200, headers).end()
    return response.writeHead(200, headers).end(METADATA)
  }

  beforeEach(async () => {
    objects = new Map(sizes)
    classes = {}
    s3.answerWith(answer)
    await sql(
      `update storage set uri = 's3://bucket/root', root_key = 's3://bucket/root/', provider = 'generic', endpoint = $1,
         credentials = '{"accessKeyId": {"env": "A"}, "secretAccessKey": {"env": "B"}}' where id = $2`,
      [s3.url, ours.storageId],
    )
    id = await savepoint(ours, 's3://bucket/root/sp')
  })
  /** Whatever a request asks for is answered otherwise when `when` says so. */
  const answerSome = (when: (kind: string, path: string) => boolean, otherwise: S3Script) =>
    s3.answerWith((request, response) => {
      const kind = isList(request.path, request.method) ? 'LIST' : request.method
      return when(kind, request.path) ? otherwise(request, response) : answer(request, response)
    })

  it('lists the own folder, heads the shared file, and asks nothing else', async () => {
    await workOnce()
    expect(await row(id)).toMatchObject({ verdict: 'WHOLE' })
    const report = await reportOf(ours, id)
    expect(report?.requests).toBe(s3.requests.length)
    expect(s3.requests.length).toBe(3) // GET of _metadata, one page, one HEAD
  })

  it.each([
    [
      '503 to every request',
      () => true,
      (_: unknown, r: Parameters<S3Script>[1]) => sendError(r, 503, 'SlowDown'),
    ],
    [
      '403 to every request',
      () => true,
      (_: unknown, r: Parameters<S3Script>[1]) => sendError(r, 403, 'AccessDenied'),
    ],
    ['no answer at all', () => true, () => undefined],
    ['no bucket', () => true, (_: unknown, r: Parameters<S3Script>[1]) => sendError(r, 404, 'NoSuchBucket')],
    [
      '403 to one file',
      (kind: string, path: string) => kind === 'HEAD' && path.includes('shared'),
      (_: unknown, r: Parameters<S3Script>[1]) => sendError(r, 403, 'AccessDenied'),
    ],
    [
      'no answer about one file',
      (kind: string, path: string) => kind === 'HEAD' && path.includes('shared'),
      () => undefined,
    ],
    [
      'half of its _metadata',
      (kind: string, path: string) => kind === 'GET' && path.endsWith('_metadata'),
      (_: unknown, r: Parameters<S3Script>[1]) => {
        r.writeHead(200, { 'content-length': METADATA.length }).write(METADATA.subarray(0, 10), () =>
          r.destroy(),
        )
      },
    ],
  ] as const)('%s is NOT_ASKED and changes nothing', async (_, when, otherwise) => {
    const before = await row(id)
    answerSome(when, otherwise)
    await workOnce()
    expect(await reportOf(ours, id)).toMatchObject({ verdict: 'NOT_ASKED', message: expect.any(String) })
    const after = await row(id)
    expect({ ...after, due_in_ms: 0 }).toEqual({ ...before, due_in_ms: 0 })
    expect(after.due_in_ms).toBeGreaterThan(60_000)
    expect(after.due_in_ms).toBeLessThan(7 * HOUR_MS)
  })

  it('a missing object is damage, named as the metadata names it', async () => {
    objects.delete('root/shared/f')
    await workOnce()
    expect(await reportOf(ours, id)).toMatchObject({
      verdict: 'DAMAGED',
      findings: [{ code: 'FILE_MISSING', path: 's3://bucket/root/shared/f' }],
    })
  })

  it('a listing that is late damages nothing', async () => {
    answerSome(
      (kind) => kind === 'LIST',
      (_, response) =>
        sendXml(response, 200, '<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>'),
    )
    await workOnce()
    expect(await row(id)).toMatchObject({ verdict: 'WHOLE' })
  })

  it('an archived object is there but nobody can read it, until it is brought back', async () => {
    classes = { 'root/sp/data-2': 'DEEP_ARCHIVE', 'root/shared/f': 'GLACIER_IR' }
    await workOnce()
    expect(await reportOf(ours, id)).toMatchObject({
      verdict: 'DAMAGED',
      findings: [{ code: 'NOT_READABLE', path: 'data-2' }],
    })
    await sql('update snapshot set verify_at = now() where id = $1', [id])
    answerSome(
      (kind, path) => kind === 'HEAD' && path.endsWith('data-2'),
      (_, response) =>
        response
          .writeHead(200, {
            'content-length': 100,
            'x-amz-storage-class': 'DEEP_ARCHIVE',
            'x-amz-restore': 'ongoing-request="false", expiry-date="Fri, 21 Dec 2099 00:00:00 GMT"',
          })
          .end(),
    )
    await workOnce()
    expect(await row(id)).toMatchObject({ verdict: 'WHOLE' })
  })

  it('is lost only while the bucket answers', async () => {
    objects.delete('root/sp/_metadata')
    answerSome(
      (kind) => kind === 'LIST',
      (_, response) => sendError(response, 404, 'NoSuchBucket'),
    )
    await workOnce()
    expect(await row(id)).toMatchObject({ status: 'Present', verdict: 'METADATA_FOUND' })
    s3.answerWith(answer)
    await sql('update snapshot set verify_at = now() where id = $1', [id])
    await workOnce()
    expect(await row(id)).toMatchObject({ status: 'Cleared', reason: 'DATA_LOST' })
    expect(await transitions(id)).toHaveLength(1)
  })
})
