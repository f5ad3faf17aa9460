/** Where a job would be restored from, over HTTP: a real Postgres, a storage on this machine, two namespaces. */
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { v7 } from 'uuid'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import type { RestorePoint } from '../../src/services/api.ts'
import type { Api } from '../support/api.ts'
import { insertCheckpoint } from '../support/checkpoints.ts'
import type { TestDatabase } from '../support/database.ts'
import { createTenants, insertRun, insertSavepoint, type Tenant } from '../support/fixtures.ts'
import { moveStorageTo, startApiOfTwoTenants } from '../support/two-tenants.ts'

let database: TestDatabase
let server: RunningServer
let folder: string
let ours: Tenant
let theirs: Tenant
let api: Api
let other: Api

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidemark-restore-'))
  ;({ database, server, api, other } = await startApiOfTwoTenants('restore_point', { localRoots: folder }))
}, 120_000)
afterAll(async () => {
  await server?.close()
  await database?.drop()
  if (folder) await rm(folder, { recursive: true, force: true })
})

/** Storages on this machine, runs that ended an hour ago, clusters that answer. */
beforeEach(async () => {
  const tenants = await createTenants(database.db)
  ours = tenants.ours
  theirs = tenants.theirs
  for (const tenant of [ours, theirs]) {
    await moveStorageTo(folder, database, tenant)
    const worker = v7()
    await sql('insert into worker (id) values ($1)', [worker])
    await sql('update cluster set observer_id = $1, reachable = true where id = $2', [
      worker,
      tenant.clusterId,
    ])
  }
  await endRuns()
})
afterEach(async () => {
  await sql(
    'truncate cluster, storage, job, run, snapshot, checkpoint_hour, job_version, attempt, worker, operation cascade',
  )
  await sql('truncate history.event')
  for (const name of ['ours', 'theirs']) await rm(join(folder, name), { recursive: true, force: true })
})

const sql = (text: string, values: unknown[] = []) => database.db.sql(text, values)
const ago = (seconds: number): Date => new Date(Date.now() - seconds * 1000)
const endRuns = (state = 'FINISHED') =>
  sql(
    `update run set state = $1, flink_state = $1, started_at = now() - interval '2 hours', ended_at = now() - interval '1 hour'`,
    [state],
  )

const find = async (query = '', job = 'orders', as: Api = api): Promise<RestorePoint> => {
  const { status, body } = await as.call<RestorePoint>('GET', `/v1/jobs/${job}/restore-point${query}`)
  expect([status, body]).toEqual([200, body])
  return body
}
const codes = (answer: RestorePoint): Record<string, string | undefined> =>
  Object.fromEntries(answer.candidates.map(({ snapshot, rejected }) => [String(snapshot), rejected?.code]))

/** Where it lies, with a `_metadata` as Flink begins it. */
async function store(tenant: Tenant, name: string, checkpointId = 1): Promise<string> {
  const place = pathToFileURL(join(folder, tenant.caller.namespace, name)).href
  const header = Buffer.alloc(16)
  header.writeUInt32BE(0x4960672d, 0)
  header.writeUInt32BE(4, 4)
  header.writeBigInt64BE(BigInt(checkpointId), 8)
  await mkdir(fileURLToPath(place), { recursive: true })
  await writeFile(fileURLToPath(`${place}/_metadata`), header)
  return place
}
async function checkpoint(
  id: number,
  facts: { seconds?: number; runId?: string; verdict?: string; tenant?: Tenant } = {},
): Promise<string> {
  const { tenant = ours, seconds = 60, ...rest } = facts
  const location = await store(tenant, `${rest.runId ?? tenant.runId}/chk-${id}`, id)
  return insertCheckpoint(database.db, tenant, { flinkCheckpointId: id, at: ago(seconds), location, ...rest })
}
async function savepoint(
  id: number,
  facts: { seconds?: number; source?: 'MANUAL' | 'STOP' | 'IMPORT' | 'COPY'; tenant?: Tenant } = {},
): Promise<string> {
  const { tenant = ours, seconds = 60, source = 'MANUAL' } = facts
  const location = await store(tenant, `savepoints/sp-${source}-${id}`, id)
  const asked = source === 'STOP' ? source : 'MANUAL'
  const snapshot = await insertSavepoint(database.db, tenant, { status: 'Present', source: asked, location })
  await sql('update snapshot set flink_checkpoint_id = $2, completed_at = $3, source = $4 where id = $1', [
    snapshot,
    id,
    ago(seconds),
    source,
  ])
  return snapshot
}

describe('the restore point', () => {
  it('is the newest by run and checkpoint id, and every other one says why it is not [N-04, M-09, M-12, T-34]', async () => {
    const newRun = await insertRun(database.db, ours)
    await sql(
      `update run set state = 'FAILED', started_at = now() - interval '1 hour', ended_at = now() - interval '10 minutes' where id = $1`,
      [newRun],
    )
    const older = await checkpoint(90, { seconds: 700 })
    const late = await savepoint(89, { seconds: 1 })
    const newest = await checkpoint(3, { runId: newRun, seconds: 900 })
    const damaged = await checkpoint(4, { runId: newRun, seconds: 800, verdict: 'DAMAGED' })
    const answer = await find()
    expect(answer).toMatchObject({
      job: { id: ours.jobId, name: 'orders' },
      strategy: 'LATEST_STATE',
      decision: 'restore',
      chosen: {
        snapshot: newest,
        kind: 'CHECKPOINT',
        status: 'Present',
        run: { id: newRun },
        flinkCheckpointId: 3,
        location: expect.stringMatching(/chk-3$/),
        ageSeconds: expect.any(Number),
      },
      because: { code: 'NEWEST_STATE', message: expect.stringContaining('DAMAGED') },
      newerMayExist: [],
      more: false,
    })
    expect(answer.candidates.map(({ snapshot }) => snapshot)).toEqual([damaged, newest, older, late])
    expect(codes(answer)).toEqual({
      [damaged]: 'DAMAGED',
      [newest]: undefined,
      [older]: 'OLDER',
      [late]: 'OLDER',
    })
  })

  it('is only ever a completed snapshot that is there [T-27]', async () => {
    const failed = await insertCheckpoint(database.db, ours, {
      flinkCheckpointId: 9,
      at: ago(5),
      status: 'Failed',
    })
    const subsumed = await insertCheckpoint(database.db, ours, {
      flinkCheckpointId: 8,
      at: ago(6),
      status: 'Cleared',
    })
    const claimed = await checkpoint(7)
    await sql('update snapshot set claimed_by_run_id = $2 where id = $1', [claimed, ours.runId])
    const inMemory = await insertCheckpoint(database.db, ours, {
      flinkCheckpointId: 6,
      at: ago(7),
      location: null,
    })
    const gone = await checkpoint(5)
    await rm(join(folder, 'ours', ours.runId, 'chk-5'), { recursive: true })
    const there = await checkpoint(4)
    const answer = await find()
    expect(codes(answer)).toEqual({
      [failed]: 'NOT_PRESENT',
      [subsumed]: 'NOT_PRESENT',
      [claimed]: 'CLAIMED',
      [inMemory]: 'NO_LOCATION',
      [gone]: 'METADATA_GONE',
      [there]: undefined,
    })
    expect(answer.chosen?.snapshot).toBe(there)
  })

  it('can be the latest savepoint without anybody looking for a path [M-07]', async () => {
    const stopped = await savepoint(7, { source: 'STOP' })
    const newer = await checkpoint(8)
    const answer = await find('?strategy=LATEST_SAVEPOINT')
    expect(answer).toMatchObject({ chosen: { snapshot: stopped }, because: { code: 'NEWEST_SAVEPOINT' } })
    expect(codes(answer)[newer]).toBe('NOT_A_SAVEPOINT')
  })

  it('prefers a checkpoint although a savepoint is newer, when asked to [C-08]', async () => {
    const preferred = await checkpoint(8)
    const newer = await savepoint(9)
    expect((await find()).chosen?.snapshot).toBe(newer)
    const answer = await find('?preferCheckpoint=true')
    expect(answer).toMatchObject({
      chosen: { snapshot: preferred },
      because: { code: 'PREFERRED_CHECKPOINT' },
    })
    expect(codes(answer)[newer]).toBe('CHECKPOINT_PREFERRED')
  })

  it('is none when the start is to be a clean one [M-13]', async () => {
    const left = await checkpoint(1)
    await endRuns('RUNNING')
    const answer = await find('?strategy=NONE')
    expect(answer).toMatchObject({
      decision: 'start-empty',
      chosen: null,
      because: { code: 'STRATEGY_NONE' },
    })
    expect(codes(answer)[left]).toBe('STRATEGY_NONE')
  })

  it('is none for a job that never had state', async () => {
    expect(await find()).toMatchObject({
      decision: 'start-empty',
      because: { code: 'NO_STATE_EVER' },
      candidates: [],
    })
    await sql('update run set restored_location = $1', ['s3://elsewhere/sp'])
    expect(await find()).toMatchObject({ decision: 'refuse', because: { code: 'NO_RESTORE_POINT' } })
    await sql('update run set restored_location = null')
    await sql(
      'insert into checkpoint_hour (namespace_id, job_id, hour, completed) values ($1, $2, now(), 1)',
      [ours.caller.namespaceId, ours.jobId],
    )
    expect(await find()).toMatchObject({ decision: 'refuse', because: { code: 'NO_RESTORE_POINT' } })
    expect((await find('?fallback=NONE')).because.code).toBe('NOTHING_RESTORABLE')
  })

  it('is not older than asked for', async () => {
    await checkpoint(1, { seconds: 300 })
    expect((await find('?maxAgeSeconds=600')).decision).toBe('restore')
    expect(await find('?maxAgeSeconds=60')).toMatchObject({
      decision: 'refuse',
      candidates: [{ rejected: { code: 'TOO_OLD' } }],
    })
  })

  it('of a copy is where its source ranks, and one imported is never the choice', async () => {
    const source = await savepoint(5)
    const newer = await checkpoint(6)
    const copy = await savepoint(1, { source: 'COPY', seconds: 1 })
    await sql('update snapshot set copy_of = $2, run_id = null, flink_checkpoint_id = null where id = $1', [
      copy,
      source,
    ])
    const imported = await savepoint(99, { source: 'IMPORT', seconds: 1 })
    const answer = await find()
    expect(answer.chosen?.snapshot).toBe(newer)
    expect(answer.candidates.slice(0, 3).map(({ snapshot }) => snapshot)).toContain(imported)
    expect(answer.candidates.find(({ snapshot }) => snapshot === copy)).toMatchObject({
      flinkCheckpointId: 5,
      run: { id: ours.runId },
      rejected: { code: 'OLDER' },
    })
    expect(codes(answer)[imported]).toBe('NOT_NAMED')
    await sql(`update snapshot set status = 'Cleared' where id = any($1::uuid[])`, [[newer]])
    await rm(fileURLToPath(answer.candidates.find(({ snapshot }) => snapshot === source)?.location ?? ''), {
      recursive: true,
    })
    expect((await find()).chosen?.snapshot).toBe(copy)
  })

  it('stops at a store that cannot be asked', async () => {
    await checkpoint(2)
    await rename(join(folder, 'ours'), join(folder, 'unmounted'))
    try {
      expect(await find('?fallback=NONE&acceptOlder=true')).toMatchObject({
        decision: 'refuse',
        chosen: null,
        because: { code: 'STORE_NOT_ASKED', message: expect.stringContaining('the storage state') },
      })
    } finally {
      await rename(join(folder, 'unmounted'), join(folder, 'ours'))
    }
    expect((await find()).decision).toBe('restore')
  })
})

describe('a newer one that may exist unseen', () => {
  const refused = async (what: string): Promise<RestorePoint> => {
    const answer = await find()
    expect(answer).toMatchObject({
      decision: 'refuse',
      because: { code: 'NEWER_MAY_EXIST' },
      newerMayExist: [{ what }],
    })
    expect((await find('?acceptOlder=true')).decision).toBe('restore')
    return answer
  }
  let known: string
  beforeEach(async () => {
    known = await checkpoint(4)
    expect((await find()).chosen?.snapshot).toBe(known)
  })

  it('while the job runs, which must be stopped first [A-40]', async () => {
    await sql(`update run set state = 'RUNNING', ended_at = null`)
    const { findings, candidates } = await refused('RUN_LIVE')
    expect(findings).toMatchObject([{ code: 'JOB_IS_RUNNING' }])
    expect(candidates).toMatchObject([{ snapshot: known, rejected: { code: 'NEWER_MAY_EXIST' } }])
  })

  it('after a run that was lost from sight', async () => {
    await endRuns('LOST')
    await refused('RUN_LOST')
  })

  it('while the last looks at an ended run are under way', async () => {
    await sql('update run set ended_at = now()')
    await refused('RUN_JUST_ENDED')
  })

  it('when a checkpoint was in progress at the last look', async () => {
    await sql(`update run set in_progress = '{"id": 5, "triggeredAt": "", "checkpointType": "CHECKPOINT"}'`)
    await refused('CHECKPOINT_IN_PROGRESS')
  })

  it('while its cluster cannot be asked, or another one answers there', async () => {
    await sql(`update worker set heartbeat_at = now() - interval '1 minute'`)
    await refused('CLUSTER_NOT_ASKED')
    await sql('update worker set heartbeat_at = now()')
    await sql(`update cluster set changed_to = '{"haClusterId": "x", "kubernetesClusterId": null}'`)
    await refused('CLUSTER_IDENTITY_CHANGED')
    await sql('update cluster set changed_to = null')
    await sql(`update job set ambiguous = '["a", "b"]'`)
    await refused('JOB_AMBIGUOUS')
  })

  it('while a savepoint of ours may still complete', async () => {
    const creating = await insertSavepoint(database.db, ours)
    expect((await refused('SAVEPOINT_UNSETTLED')).newerMayExist[0]?.snapshot).toBe(creating)
    await sql(
      `update snapshot set status = 'Timeout', settled_at = now(), next_action_at = now() where id = $1`,
      [creating],
    )
    await refused('SAVEPOINT_UNSETTLED')
    await sql('update snapshot set next_action_at = null where id = $1', [creating])
    expect((await find()).chosen?.snapshot).toBe(known)
  })

  it('where its place is in doubt', async () => {
    await checkpoint(5, { verdict: 'ENDANGERED' })
    const { newerMayExist, candidates } = await refused('SNAPSHOT_ENDANGERED')
    expect(newerMayExist).toHaveLength(1)
    expect(candidates[0]?.rejected?.code).toBe('ENDANGERED')
  })
})

describe('a snapshot that is named', () => {
  const named = (snapshot: string) => `?strategy=FROM_SNAPSHOT&snapshot=${snapshot}`

  it('is restored, also where a newer one exists [A-37]', async () => {
    const older = await checkpoint(1)
    await checkpoint(2)
    expect(await find(named(older))).toMatchObject({
      decision: 'restore',
      chosen: { snapshot: older },
      because: { code: 'NAMED' },
      findings: [],
    })
  })

  it('may be one of another job, whose state must fit [A-38, A-39]', async () => {
    const shared = await savepoint(3)
    await sql(
      `insert into job (id, namespace_id, name, cluster_id, savepoint_storage_id, attach_flink_job_name)
       values ($1, $2, 'dual-run', $3, $4, 'dual-run')`,
      [v7(), ours.caller.namespaceId, ours.clusterId, ours.storageId],
    )
    expect(await find(named(shared), 'dual-run')).toMatchObject({
      job: { name: 'dual-run' },
      decision: 'restore',
      chosen: { snapshot: shared, job: { name: 'orders' } },
      findings: [{ code: 'OTHER_JOB', message: expect.stringContaining('yours to guarantee') }],
    })
    expect((await find('', 'dual-run')).decision).toBe('start-empty')
  })

  it('may be a raw location inside a storage of the namespace', async () => {
    const place = await store(ours, 'by-hand/sp', 77)
    const at = (location: string) => find(`?strategy=FROM_SNAPSHOT&location=${encodeURIComponent(location)}`)
    expect(await at(`${place}/_metadata`)).toMatchObject({
      decision: 'restore',
      chosen: { snapshot: null, location: place, flinkCheckpointId: 77 },
    })
    expect(await at(`${place}-typo`)).toMatchObject({
      decision: 'refuse',
      because: { code: 'NAMED_NOT_RESTORABLE' },
      candidates: [{ rejected: { code: 'METADATA_GONE' } }],
    })
    const imported = await savepoint(5, { source: 'IMPORT' })
    const location = pathToFileURL(join(folder, 'ours', 'savepoints', 'sp-IMPORT-5')).href
    expect((await at(location)).chosen?.snapshot).toBe(imported)
  })
})

describe('what cannot be asked', () => {
  const refusal = async (query: string, as: Api = api, job = 'orders') => {
    const { status, body } = await as.call('GET', `/v1/jobs/${job}/restore-point${query}`)
    return [status, body['code']]
  }

  it('is told apart', async () => {
    expect(await refusal('', api, 'nobody')).toEqual([404, 'NOT_FOUND'])
    expect(await refusal('?version=3')).toEqual([404, 'REFERENCE_NOT_FOUND'])
    expect(await refusal('?strategy=NEWEST')).toEqual([400, 'VALIDATION_FAILED'])
    expect(await refusal('?strategy=FROM_SNAPSHOT')).toEqual([400, 'VALIDATION_FAILED'])
    expect(await refusal('?maxAgeSeconds=0')).toEqual([400, 'VALIDATION_FAILED'])
    expect(await refusal('?claimMode=CLAIM')).toEqual([400, 'VALIDATION_FAILED'])
    expect(await refusal('?strategy=FROM_SNAPSHOT&location=..%2F..%2Fetc')).toEqual([400, 'LOCATION_INVALID'])
    expect(await refusal('?strategy=FROM_SNAPSHOT&location=s3%3A%2F%2Fb%2Fx%00')).toEqual([
      400,
      expect.any(String),
    ])
  })

  it('are the snapshots and places of another namespace', async () => {
    const secret = await checkpoint(3, { tenant: theirs })
    const place = await store(theirs, 'sp')
    expect((await find('', 'orders', other)).chosen?.snapshot).toBe(secret)
    expect((await find()).candidates).toEqual([])
    expect(await refusal(`?strategy=FROM_SNAPSHOT&snapshot=${secret}`)).toEqual([404, 'REFERENCE_NOT_FOUND'])
    const location = encodeURIComponent(place)
    expect(await refusal(`?strategy=FROM_SNAPSHOT&location=${location}`)).toEqual([
      400,
      'LOCATION_OUTSIDE_ROOT',
    ])
    expect(await refusal('', api, theirs.jobId)).toEqual([404, 'NOT_FOUND'])
  })
})
