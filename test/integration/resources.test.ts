/** Clusters, storages, jobs and versions: services over repositories on a real Postgres. */
import { v7 } from 'uuid'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openDatabase } from '../../src/db/client.ts'
import { createClusterRepository } from '../../src/db/clusters.ts'
import { createJobRepository } from '../../src/db/jobs.ts'
import { createNamespaceRepository } from '../../src/db/namespaces.ts'
import { createSnapshotRepository } from '../../src/db/snapshots.ts'
import { createStorageRepository } from '../../src/db/storages.ts'
import { FlinkUnavailableError, StorageError } from '../../src/domain/errors.ts'
import type { FlinkClient } from '../../src/ports/flink.ts'
import type { ObjectStore } from '../../src/ports/storage.ts'
import type { Caller } from '../../src/services/api.ts'
import { checkStorage } from '../../src/services/check-storage.ts'
import { createCluster } from '../../src/services/create-cluster.ts'
import { createJob } from '../../src/services/create-job.ts'
import { createJobVersion } from '../../src/services/create-job-version.ts'
import { createStorage } from '../../src/services/create-storage.ts'
import { deleteCluster } from '../../src/services/delete-cluster.ts'
import { deleteJob } from '../../src/services/delete-job.ts'
import { deleteStorage } from '../../src/services/delete-storage.ts'
import { getCluster } from '../../src/services/get-cluster.ts'
import { getJob } from '../../src/services/get-job.ts'
import { getJobVersion } from '../../src/services/get-job-version.ts'
import { getStorage } from '../../src/services/get-storage.ts'
import { listClusters } from '../../src/services/list-clusters.ts'
import { listJobVersions } from '../../src/services/list-job-versions.ts'
import { listJobs } from '../../src/services/list-jobs.ts'
import { listStorages } from '../../src/services/list-storages.ts'
import { probeCluster } from '../../src/services/probe-cluster.ts'
import { updateCluster } from '../../src/services/update-cluster.ts'
import { updateJob } from '../../src/services/update-job.ts'
import { updateStorage } from '../../src/services/update-storage.ts'
import { openMigratedDatabase, type TestDatabase } from '../support/database.ts'
import { createCaller, insertRun, insertSavepoint } from '../support/fixtures.ts'

let database: TestDatabase
let services: ReturnType<typeof wire>
let ours: Caller
let theirs: Caller

beforeAll(async () => {
  database = await openMigratedDatabase('resources')
  services = wire(database.db)
}, 60_000)
afterAll(() => database.drop())

/** Every test has two new namespaces of its own, so that none needs to clean up. */
let round = 0
beforeEach(async () => {
  round++
  ours = await createCaller(database.db, `ours-${round}`)
  theirs = await createCaller(database.db, `theirs-${round}`)
})

function wire(db: TestDatabase['db']) {
  const ports = {
    namespaces: createNamespaceRepository(db),
    clusters: createClusterRepository(db),
    storages: createStorageRepository(db),
    jobs: createJobRepository(db),
    snapshots: createSnapshotRepository(db),
    stores: {
      of: (): never => {
        throw new Error('no version here names an artifact')
      },
    },
    newId: v7,
    localRoots: ['/var/lib/tidemark'],
  }
  return {
    ports,
    createCluster: createCluster(ports),
    getCluster: getCluster(ports),
    listClusters: listClusters(ports),
    updateCluster: updateCluster(ports),
    deleteCluster: deleteCluster(ports),
    createStorage: createStorage(ports),
    getStorage: getStorage(ports),
    listStorages: listStorages(ports),
    updateStorage: updateStorage(ports),
    deleteStorage: deleteStorage(ports),
    createJob: createJob(ports),
    getJob: getJob(ports),
    listJobs: listJobs(ports),
    updateJob: updateJob(ports),
    deleteJob: deleteJob(ports),
    createJobVersion: createJobVersion(ports),
    getJobVersion: getJobVersion(ports),
    listJobVersions: listJobVersions(ports),
  }
}

const clusterInput = { name: 'flink', url: 'http://flink:8081/' }
const jobInput = { name: 'orders', cluster: 'flink', savepointStorage: 'state' }
const idempotency = (key: string, bodyHash = 'body') => ({ key, route: 'POST /v1/things', bodyHash })
const code = (expected: string) => ({ code: expected })

const newCluster = async (caller: Caller, name = 'flink') =>
  (await services.createCluster({ caller, ...clusterInput, name })).resource
const newStorage = async (caller: Caller, name = 'state') =>
  (await services.createStorage({ caller, name, uri: `s3://${caller.namespace}/${name}` })).resource
async function newJob(caller: Caller, attach = { flinkJobName: 'orders' }) {
  const [cluster, storage] = [await newCluster(caller), await newStorage(caller)]
  const { resource: job } = await services.createJob({ caller, ...jobInput, attach })
  const tenant = { caller, clusterId: cluster.id, storageId: storage.id, jobId: job.id, runId: '' }
  return { cluster, storage, job, tenant }
}

describe('two namespaces with the same names', () => {
  it('see their own resources by name and by id, and nothing of each other', async () => {
    const mine = await newJob(ours)
    const yours = await newJob(theirs)

    expect((await services.getJob({ caller: ours, job: 'orders' })).id).toBe(mine.job.id)
    expect((await services.getJob({ caller: theirs, job: 'orders' })).id).toBe(yours.job.id)
    expect((await services.listClusters({ caller: ours })).items).toEqual([mine.cluster])
    expect((await services.listStorages({ caller: ours })).items).toEqual([mine.storage])
    expect((await services.listJobs({ caller: ours })).items).toEqual([mine.job])

    const caller = ours
    const { job, cluster, storage } = {
      job: yours.job.id,
      cluster: yours.cluster.id,
      storage: yours.storage.id,
    }
    for (const call of [
      () => services.getJob({ caller, job }),
      () => services.updateJob({ caller, job, changes: { allowStop: true } }),
      () => services.deleteJob({ caller, job }),
      () => services.createJobVersion({ caller, job, spec: {} }),
      () => services.listJobVersions({ caller, job }),
      () => services.getJobVersion({ caller, job, number: 1 }),
      () => services.getCluster({ caller, cluster }),
      () => services.updateCluster({ caller, cluster, changes: { mode: 'OBSERVE_ONLY' } }),
      () => services.deleteCluster({ caller, cluster }),
      () => services.getStorage({ caller, storage }),
      () => services.updateStorage({ caller, storage, changes: { clearCheckpoints: true } }),
      () => services.deleteStorage({ caller, storage }),
    ]) {
      await expect(call()).rejects.toMatchObject(code('NOT_FOUND'))
    }
    for (const reference of [{ cluster }, { savepointStorage: storage }]) {
      const create = services.createJob({ caller, ...jobInput, name: 'another', ...reference })
      await expect(create).rejects.toMatchObject(code('REFERENCE_NOT_FOUND'))
      const update = services.updateJob({ caller, job: 'orders', changes: reference })
      await expect(update).rejects.toMatchObject(code('REFERENCE_NOT_FOUND'))
    }
    expect((await services.getJob({ caller: theirs, job: 'orders' })).etag).toBe(yours.job.etag)
  })

  it('may use the same idempotency key', async () => {
    const mine = await services.createCluster({
      caller: ours,
      ...clusterInput,
      idempotency: idempotency('k'),
    })
    const yours = await services.createCluster({
      caller: theirs,
      ...clusterInput,
      idempotency: idempotency('k'),
    })
    expect([mine.replayed, yours.replayed]).toEqual([false, false])
    expect(mine.resource.id).not.toBe(yours.resource.id)
  })

  it('begin to exist once, however many processes start', async () => {
    const ids = await Promise.all(
      Array.from({ length: 8 }, () => services.ports.namespaces.ensure(`new-${round}`)),
    )
    expect(new Set(ids).size).toBe(1)
  })
})

describe('creating', () => {
  it('answers with everything filled in', async () => {
    const { job, cluster } = await newJob(ours)
    expect(cluster).toEqual({
      ...clusterInput,
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      url: 'http://flink:8081',
      auth: { type: 'none' },
      mode: 'MANAGE',
      followIdentity: false,
      flinkVersion: null,
      capabilities: null,
      fingerprint: null,
      changedTo: null,
      recoveryPath: null,
      unsupported: [],
      reachable: null,
      observedAt: null,
      lastError: null,
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      updatedAt: cluster.createdAt,
      etag: '1',
    })
    expect(job).toMatchObject({
      cluster: { id: cluster.id, name: 'flink' },
      attach: { flinkJobName: 'orders' },
      allowStop: false,
      savepointTimeoutSeconds: 1800,
      labels: {},
      latestVersion: null,
      run: null,
      ambiguous: null,
    })
  })

  it('refuses a name that is taken, until its owner is deleted', async () => {
    const { job } = await newJob(ours)
    await expect(newCluster(ours)).rejects.toMatchObject(code('NAME_TAKEN'))
    await expect(newStorage(ours)).rejects.toMatchObject(code('NAME_TAKEN'))
    await expect(services.createJob({ caller: ours, ...jobInput })).rejects.toMatchObject(code('NAME_TAKEN'))
    await services.deleteJob({ caller: ours, job: 'orders' })
    const again = await services.createJob({ caller: ours, ...jobInput })
    expect(again.resource.id).not.toBe(job.id)
  })

  it('lets one of two concurrent creates of a name win', async () => {
    const both = await Promise.allSettled([newCluster(ours), newCluster(ours)])
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(both.find(({ status }) => status === 'rejected')).toMatchObject({ reason: code('NAME_TAKEN') })
  })

  it.each(['Flink', '-a', 'a-', 'a_b', '', 'x'.repeat(64), v7()])('refuses %j as a name', async (name) => {
    await expect(newCluster(ours, name)).rejects.toMatchObject(code('NAME_INVALID'))
  })

  it('refuses to follow a Flink job that another job follows', async () => {
    await newJob(ours)
    const second = services.createJob({
      caller: ours,
      ...jobInput,
      name: 'again',
      attach: { flinkJobName: 'orders' },
    })
    await expect(second).rejects.toMatchObject(code('ALREADY_ATTACHED'))
  })

  it('answers the same key and body with the first resource, as it is now', async () => {
    const request = { caller: ours, ...clusterInput, idempotency: idempotency('k') }
    const first = await services.createCluster(request)
    const changed = await services.updateCluster({
      caller: ours,
      cluster: 'flink',
      changes: { mode: 'OBSERVE_ONLY' },
    })
    expect(await services.createCluster(request)).toEqual({ resource: changed, replayed: true })
    expect(first.replayed).toBe(false)
  })

  it('creates one resource for one key, also when the requests come together', async () => {
    const request = { caller: ours, ...clusterInput, idempotency: idempotency('k') }
    const answers = await Promise.all(Array.from({ length: 6 }, () => services.createCluster(request)))
    expect(new Set(answers.map(({ resource }) => resource.id)).size).toBe(1)
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1)
  })

  it('refuses a key that was used for another body', async () => {
    await services.createCluster({ caller: ours, ...clusterInput, idempotency: idempotency('k') })
    const other = services.createCluster({
      caller: ours,
      ...clusterInput,
      idempotency: idempotency('k', 'other'),
    })
    await expect(other).rejects.toMatchObject(code('IDEMPOTENCY_KEY_REUSED'))
  })

  it('keeps no key for a request that failed', async () => {
    await newCluster(ours)
    const request = { caller: ours, ...clusterInput, idempotency: idempotency('k') }
    await expect(services.createCluster(request)).rejects.toMatchObject(code('NAME_TAKEN'))
    await services.deleteCluster({ caller: ours, cluster: 'flink' })
    expect((await services.createCluster(request)).replayed).toBe(false)
  })

  it('forgets a key after 24 hours, also when nobody has swept it yet', async () => {
    const request = { caller: ours, ...clusterInput, idempotency: idempotency('k') }
    await services.createCluster(request)
    await database.db.sql(
      `update idempotency_record set created_at = now() - interval '25 hours' where namespace_id = $1`,
      [ours.namespaceId],
    )
    const later = { ...request, name: 'later', idempotency: idempotency('k', 'other') }
    expect((await services.createCluster(later)).replayed).toBe(false)
  })

  it('answers a repeated job request after its cluster reference became invalid', async () => {
    await newCluster(ours)
    await newStorage(ours)
    const request = { caller: ours, ...jobInput, idempotency: idempotency('k') }
    const first = await services.createJob(request)
    await newCluster(ours, 'elsewhere')
    await services.updateJob({ caller: ours, job: 'orders', changes: { cluster: 'elsewhere' } })
    await services.deleteCluster({ caller: ours, cluster: 'flink' })
    const again = await services.createJob(request)
    expect(again).toMatchObject({
      replayed: true,
      resource: { id: first.resource.id, cluster: { name: 'elsewhere' } },
    })
  })
})

describe('changing', () => {
  it('bumps the version, and refuses a stale If-Match', async () => {
    const before = await newCluster(ours)
    const change = (mode: 'MANAGE' | 'OBSERVE_ONLY', ifMatch?: string) =>
      services.updateCluster({ caller: ours, cluster: 'flink', ifMatch, changes: { mode } })

    const after = await change('OBSERVE_ONLY', before.etag)
    expect(after).toMatchObject({ mode: 'OBSERVE_ONLY', etag: '2' })
    expect(after.updatedAt >= before.updatedAt).toBe(true)
    await expect(change('MANAGE', before.etag)).rejects.toMatchObject(code('PRECONDITION_FAILED'))
    const remove = services.deleteCluster({ caller: ours, cluster: 'flink', ifMatch: before.etag })
    await expect(remove).rejects.toMatchObject(code('PRECONDITION_FAILED'))
    expect((await change('MANAGE', '*')).etag).toBe('3')
  })

  it('loses no change when several come at once without If-Match', async () => {
    await newJob(ours)
    await Promise.all([
      services.updateJob({ caller: ours, job: 'orders', changes: { allowStop: true } }),
      services.updateJob({ caller: ours, job: 'orders', changes: { savepointTimeoutSeconds: 60 } }),
      services.updateJob({ caller: ours, job: 'orders', changes: { labels: { team: 'a' } } }),
    ])
    expect(await services.getJob({ caller: ours, job: 'orders' })).toMatchObject({
      allowStop: true,
      savepointTimeoutSeconds: 60,
      labels: { team: 'a' },
      etag: '4',
    })
  })

  it('forgets what was seen at the old address, but not who was there', async () => {
    const { id } = await newCluster(ours)
    await database.db.sql(
      `update cluster set reachable = true, fingerprint = '{"haClusterId": "a", "kubernetesClusterId": null}' where id = $1`,
      [id],
    )
    const moved = await services.updateCluster({
      caller: ours,
      cluster: id,
      changes: { url: 'http://other:8081' },
    })
    expect(moved).toMatchObject({ reachable: null, fingerprint: { haClusterId: 'a' } })
  })

  it('lets a job change its cluster only without a live run or a savepoint in flight', async () => {
    const { tenant, job } = await newJob(ours)
    await newCluster(ours, 'other')
    const move = () => services.updateJob({ caller: ours, job: 'orders', changes: { cluster: 'other' } })

    const runId = await insertRun(database.db, tenant)
    await expect(move()).rejects.toMatchObject({ code: 'IN_USE', message: expect.stringContaining(runId) })
    await services.updateJob({ caller: ours, job: 'orders', changes: { cluster: 'flink' } }) // it is there already
    await database.db.sql(`update run set state = 'FINISHED', ended_at = now() where id = $1`, [runId])

    const savepointId = await insertSavepoint(database.db, { ...tenant, runId })
    await expect(move()).rejects.toMatchObject({
      code: 'IN_USE',
      message: expect.stringContaining(savepointId),
    })
    await database.db.sql('update snapshot set settled_at = now() where id = $1', [savepointId])
    expect(await move()).toMatchObject({ id: job.id, cluster: { name: 'other' } })
  })

  it('shows the current run of a job', async () => {
    const { tenant } = await newJob(ours)
    const runId = await insertRun(database.db, tenant)
    await database.db.sql('update job set current_run_id = $1 where id = $2', [runId, tenant.jobId])
    expect((await services.getJob({ caller: ours, job: 'orders' })).run).toMatchObject({
      id: runId,
      epoch: 1,
      state: 'RUNNING',
      startedAt: expect.stringMatching(/Z$/),
      endedAt: null,
    })
  })
})

describe('deleting', () => {
  it('is refused for a cluster or a storage while a live job uses it, naming the job', async () => {
    const { job } = await newJob(ours)
    const refusal = { code: 'IN_USE', message: expect.stringContaining(`job orders (${job.id})`) }
    await expect(services.deleteCluster({ caller: ours, cluster: 'flink' })).rejects.toMatchObject(refusal)
    await expect(services.deleteStorage({ caller: ours, storage: 'state' })).rejects.toMatchObject(refusal)
  })

  it('is refused while an uncleared snapshot refers to it, also of a deleted job', async () => {
    const { tenant } = await newJob(ours)
    const runId = await insertRun(database.db, tenant, { state: 'FINISHED' })
    const id = await insertSavepoint(database.db, { ...tenant, runId }, { status: 'Present' })
    await services.deleteJob({ caller: ours, job: 'orders' })

    const refusal = {
      code: 'IN_USE',
      message: expect.stringContaining(`snapshot ${id} of job orders is Present`),
    }
    await expect(services.deleteCluster({ caller: ours, cluster: 'flink' })).rejects.toMatchObject(refusal)
    await expect(services.deleteStorage({ caller: ours, storage: 'state' })).rejects.toMatchObject(refusal)

    await database.db.sql(`update snapshot set status = 'Cleared' where id = $1`, [id])
    await services.deleteCluster({ caller: ours, cluster: 'flink' })
    await services.deleteStorage({ caller: ours, storage: 'state' })
    await expect(services.deleteStorage({ caller: ours, storage: 'state' })).rejects.toMatchObject(
      code('NOT_FOUND'),
    )
    expect((await services.listClusters({ caller: ours })).items).toEqual([])
  })

  it('of an attached job is refused only while a savepoint of it is unsettled', async () => {
    const { tenant } = await newJob(ours)
    const runId = await insertRun(database.db, tenant)
    const id = await insertSavepoint(database.db, { ...tenant, runId })
    const remove = () => services.deleteJob({ caller: ours, job: 'orders' })
    await expect(remove()).rejects.toMatchObject({ code: 'IN_USE', message: expect.stringContaining(id) })
    await database.db.sql('update snapshot set settled_at = now() where id = $1', [id])
    await remove()
    await expect(remove()).rejects.toMatchObject(code('NOT_FOUND'))
  })

  it('of a managed job is refused while a run of it lives', async () => {
    const [cluster, storage] = [await newCluster(ours), await newStorage(ours)]
    const { resource: job } = await services.createJob({ caller: ours, ...jobInput })
    const tenant = { caller: ours, clusterId: cluster.id, storageId: storage.id, jobId: job.id, runId: '' }
    const runId = await insertRun(database.db, tenant)
    const remove = () => services.deleteJob({ caller: ours, job: 'orders' })
    await expect(remove()).rejects.toMatchObject({ code: 'IN_USE', message: expect.stringContaining(runId) })
    await database.db.sql(`update run set state = 'FINISHED' where id = $1`, [runId])
    await remove()
  })

  it('and creating a job at once never leaves a job without its cluster or storage', async () => {
    for (let attempt = 0; attempt < 15; attempt++) {
      const name = `race-${attempt}`
      await newCluster(ours, name)
      await newStorage(ours, name)
      const [created, clusterGone, storageGone] = await Promise.allSettled([
        services.createJob({ caller: ours, name, cluster: name, savepointStorage: name }),
        services.deleteCluster({ caller: ours, cluster: name }),
        services.deleteStorage({ caller: ours, storage: name }),
      ])
      if (created.status === 'rejected') {
        expect(created.reason).toMatchObject(code('REFERENCE_NOT_FOUND'))
        continue
      }
      expect(clusterGone).toMatchObject({ status: 'rejected', reason: code('IN_USE') })
      expect(storageGone).toMatchObject({ status: 'rejected', reason: code('IN_USE') })
    }
  })

  it('waits for a savepoint that is just being accepted', async () => {
    const { tenant, job } = await newJob(ours)
    const client = await database.db.pool.connect()
    try {
      await client.query('begin')
      await client.query(
        `insert into snapshot (id, namespace_id, job_id, kind, status, reason, source, description, attempt, created_by)
         values ($1, $2, $3, 'SAVEPOINT', 'Creating', 'REQUESTED', 'MANUAL', '', 1, 'test')`,
        [v7(), ours.namespaceId, tenant.jobId],
      )
      const remove = services.ports.jobs.remove(ours, job.id, job.etag)
      await client.query('commit')
      expect(await remove).toEqual({ usedBy: expect.stringMatching(/savepoint .* is Creating/) })
    } finally {
      client.release()
    }
  })
})

describe('the root of a storage', () => {
  const create = (caller: Caller, uri: string, name = 'a') => services.createStorage({ caller, name, uri })

  it.each([
    ['/x', '/x'],
    ['/x', '/x/y'],
    ['/x/y', '/x'],
    ['', '/x'],
  ])('below %j keeps other namespaces out of %j', async (mine, yours) => {
    const bucket = `overlap-${round}`
    await create(ours, `s3://${bucket}${mine}`)
    await expect(create(theirs, `s3a://${bucket}${yours}`)).rejects.toMatchObject(
      code('STORAGE_ROOT_OVERLAP'),
    )
    expect((await create(ours, `s3a://${bucket}${yours}`, 'b')).replayed).toBe(false) // our own may overlap
  })

  it('is compared segment by segment', async () => {
    await create(ours, `s3://segments-${round}/pre`)
    await create(theirs, `s3://segments-${round}/prefix2`)
    await create(theirs, `s3://segments-${round}-2/pre`, 'b')
  })

  it('is given to one of two namespaces that want it at once', async () => {
    const both = await Promise.allSettled([
      create(ours, `s3://race-${round}/x`),
      create(theirs, `s3://race-${round}/x/y`),
    ])
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(both.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: code('STORAGE_ROOT_OVERLAP'),
    })
  })

  it('cannot move to another namespace either, and is free once its storage is deleted', async () => {
    await create(ours, `s3://move-${round}/x`)
    await create(theirs, `s3://move-${round}/y`)
    const move = () =>
      services.updateStorage({ caller: theirs, storage: 'a', changes: { uri: `s3://move-${round}/x/y` } })
    await expect(move()).rejects.toMatchObject(code('STORAGE_ROOT_OVERLAP'))
    await services.deleteStorage({ caller: ours, storage: 'a' })
    expect((await move()).uri).toBe(`s3://move-${round}/x/y`)
  })

  it('cannot change in use, though everything else can', async () => {
    const { job, storage } = await newJob(ours)
    const change = (changes: { uri?: string; region?: string }) =>
      services.updateStorage({ caller: ours, storage: 'state', changes })
    await expect(change({ uri: 's3://elsewhere/x' })).rejects.toMatchObject({
      code: 'STORAGE_ROOT_IN_USE',
      message: expect.stringContaining(job.id),
    })
    expect(await change({ region: 'eu-central-1' })).toMatchObject({
      uri: storage.uri,
      region: 'eu-central-1',
    })
  })

  it('on a local disk lies inside what the installation allows', async () => {
    const outside = ['file:///etc', '/var/lib/tidemark2/x', 'file:///var/lib']
    for (const uri of outside)
      await expect(create(ours, uri)).rejects.toMatchObject(code('STORAGE_ROOT_NOT_ALLOWED'))
    await expect(create(ours, '/var/lib/tidemark/../x')).rejects.toMatchObject(code('LOCATION_INVALID'))
    const { resource } = await create(ours, `/var/lib/tidemark/${ours.namespace}/`)
    expect(resource).toMatchObject({ provider: 'local', uri: `file:///var/lib/tidemark/${ours.namespace}` })
  })
})

describe('what a storage or a cluster may say', () => {
  it.each([
    ['s3://b', undefined, 'aws'],
    ['s3a://b', 'https://store.example', 'generic'],
    ['oss://b', undefined, 'oss'],
    ['cosn://b', undefined, 'cos'],
    ['obs://b', undefined, 'obs'],
    ['gs://b', undefined, 'gcs'],
    ['hdfs://nn:8020/b', undefined, 'flink-only'],
  ])('%s with endpoint %s is taken for %s', async (uri, endpoint, provider) => {
    const place = uri.startsWith('hdfs') ? `${uri}-${round}` : `${uri}-provider-${round}/x`
    const { resource } = await services.createStorage({
      caller: ours,
      name: 'a',
      uri: place,
      ...(endpoint && { endpoint }),
    })
    expect(resource.provider).toBe(provider)
  })

  it.each([
    [{ provider: 'local' as const }, '/body/provider'],
    [{ provider: 'minio' as const }, '/body/endpoint'],
    [{ endpoint: 'ftp://store' }, '/body/endpoint'],
    [{ endpoint: 'https://key:secret@store' }, '/body/endpoint'],
    [{ credentials: { accessKeyId: { env: 'X' } } }, '/body/credentials'],
  ])('a storage with %j is refused at %s', async (input, pointer) => {
    const create = services.createStorage({ caller: ours, name: 'a', uri: 's3://b/x', ...input })
    await expect(create).rejects.toMatchObject({ code: 'VALIDATION_FAILED', errors: [{ pointer }] })
  })

  it.each([
    { env: 'DATABASE_URL' },
    { env: 'TIDEMARK_SECRET_' },
    { env: 'TIDEMARK_SECRET_THEIRS_KEY' },
    { file: '/etc/passwd' },
    { file: '../theirs/key' },
    { file: '.hidden' },
  ])('the secret %j is refused at once', async (token) => {
    const create = services.createCluster({ caller: ours, ...clusterInput, auth: { type: 'bearer', token } })
    await expect(create).rejects.toMatchObject({
      code: 'SECRET_REFERENCE_INVALID',
      errors: [{ pointer: '/body/auth/token' }],
    })
  })

  it('a secret of the own namespace is kept as a reference', async () => {
    const auth = {
      type: 'basic' as const,
      username: 'flink',
      password: { env: `TIDEMARK_SECRET_OURS_${round}_PASSWORD` },
    }
    expect((await services.createCluster({ caller: ours, ...clusterInput, auth })).resource.auth).toEqual(
      auth,
    )
  })
})

describe('a NUL character, which Postgres cannot keep', () => {
  const nul = String.fromCharCode(0)

  it('names nothing', async () => {
    await expect(services.getCluster({ caller: ours, cluster: nul })).rejects.toMatchObject(code('NOT_FOUND'))
    await expect(services.getJob({ caller: ours, job: `a${nul}` })).rejects.toMatchObject(code('NOT_FOUND'))
  })

  it('is refused in labels, in a filter and in a version', async () => {
    await newJob(ours)
    const labels = { team: nul }
    for (const call of [
      () => services.updateJob({ caller: ours, job: 'orders', changes: { labels } }),
      () => services.createJobVersion({ caller: ours, job: 'orders', spec: { entryClass: nul } }),
      () => services.listJobs({ caller: ours, label: [`team=${nul}`] }),
      () => services.createStorage({ caller: ours, name: 'b', uri: `s3://nul-${round}/x`, region: nul }),
    ]) {
      await expect(call()).rejects.toMatchObject(code('VALIDATION_FAILED'))
    }
  })
})

describe('lists', () => {
  it('page through everything once, newest first, while new rows arrive', async () => {
    const created: string[] = []
    for (let at = 0; at < 7; at++) created.unshift((await newCluster(ours, `c${at}`)).name)
    await newCluster(theirs, 'c0')

    const seen: string[] = []
    let pageToken: string | undefined
    do {
      const page = await services.listClusters({ caller: ours, pageSize: 3, pageToken })
      seen.push(...page.items.map(({ name }) => name))
      if (pageToken === undefined) await newCluster(ours, 'late')
      pageToken = page.nextPageToken ?? undefined
    } while (pageToken !== undefined)
    expect(seen).toEqual(created)
  })

  it.each([
    'x',
    '%%%',
    Buffer.from('["2026-02-31T00:00:00.000Z","x"]').toString('base64url'),
    Buffer.from(JSON.stringify(['2026-01-01T00:00:00.000Z', "'; drop", 'createdAt-desc'])).toString(
      'base64url',
    ),
    Buffer.from(JSON.stringify(['yesterday', v7(), 'createdAt-desc'])).toString('base64url'),
    Buffer.from(JSON.stringify(['2026-01-01T00:00:00.000Z', v7(), 'number-desc'])).toString('base64url'),
    Buffer.from('{}').toString('base64url'),
  ])('refuse %j as a page token', async (pageToken) => {
    for (const list of [services.listClusters, services.listStorages, services.listJobs]) {
      await expect(list({ caller: ours, pageToken })).rejects.toMatchObject(code('PAGE_TOKEN_INVALID'))
    }
  })

  it('of jobs filter by cluster and by labels', async () => {
    await newJob(ours)
    await newCluster(ours, 'other')
    const labels = { team: 'a', stage: 'b=c' }
    await services.createJob({ caller: ours, ...jobInput, name: 'labelled', cluster: 'other', labels })
    const names = async (filter: { label?: string[]; cluster?: string }) =>
      (await services.listJobs({ caller: ours, ...filter })).items.map(({ name }) => name)

    expect(await names({})).toEqual(['labelled', 'orders'])
    expect(await names({ cluster: 'other' })).toEqual(['labelled'])
    expect(await names({ label: ['team=a', 'stage=b=c'] })).toEqual(['labelled'])
    expect(await names({ label: ['team=b'] })).toEqual([])
    await expect(names({ label: ['team'] })).rejects.toMatchObject(code('VALIDATION_FAILED'))
    await expect(names({ cluster: 'nowhere' })).rejects.toMatchObject(code('REFERENCE_NOT_FOUND'))
  })
})

describe('versions of a job', () => {
  const spec = { parallelism: 2, flinkConfiguration: { 'state.backend.type': 'rocksdb' } }
  const create = (key?: string, job = 'orders') =>
    services.createJobVersion({ caller: ours, job, spec, ...(key && { idempotency: idempotency(key) }) })

  it('are numbered without gaps by concurrent requests, and change the job', async () => {
    const { job } = await newJob(ours)
    const versions = await Promise.all(Array.from({ length: 8 }, () => create()))
    const numbers = versions.map(({ resource }) => resource.number)
    expect(numbers.sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    const after = await services.getJob({ caller: ours, job: 'orders' })
    expect(after).toMatchObject({ latestVersion: 8, etag: String(Number(job.etag) + 8) })

    const first = await services.listJobVersions({ caller: ours, job: 'orders', pageSize: 5 })
    const rest = await services.listJobVersions({
      caller: ours,
      job: 'orders',
      pageSize: 5,
      pageToken: first.nextPageToken ?? undefined,
    })
    expect([...first.items, ...rest.items].map(({ number }) => number)).toEqual([8, 7, 6, 5, 4, 3, 2, 1])
    expect(rest.nextPageToken).toBeNull()
  })

  it('are created once per idempotency key', async () => {
    await newJob(ours)
    const answers = await Promise.all([create('k'), create('k'), create('k')])
    expect(answers.map(({ resource }) => resource.number)).toEqual([1, 1, 1])
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1)
    const { effective, warnings, ...given } = (await create()).resource
    expect([effective.state.backend, warnings]).toEqual(['rocksdb', []])
    expect(given).toEqual({
      ...spec,
      number: 2,
      labels: {},
      createdAt: expect.any(String),
      createdBy: 'token:test',
    })
  })

  it('of two jobs do not share an idempotency key', async () => {
    await newJob(ours)
    await services.createJob({ caller: ours, ...jobInput, name: 'other' })
    await create('k')
    await expect(create('k', 'other')).rejects.toMatchObject(code('IDEMPOTENCY_KEY_REUSED'))
  })

  it('that were never made are not found, however large their number', async () => {
    await newJob(ours)
    for (const number of [0, 7, 2 ** 31, Number.MAX_SAFE_INTEGER]) {
      const get = services.getJobVersion({ caller: ours, job: 'orders', number })
      await expect(get).rejects.toMatchObject(code('NOT_FOUND'))
    }
  })
})

describe('probing a cluster', () => {
  const probe = async (describeCluster: FlinkClient['describeCluster']) => {
    await newCluster(ours)
    const client = { describeCluster } as FlinkClient
    return probeCluster({ clusters: services.ports.clusters, flink: { to: () => client } })({
      caller: ours,
      cluster: 'flink',
    })
  }
  const capabilities = {
    idempotentTriggers: true,
    triggerCheckpoint: true,
    jarSubmission: true,
    claimMode: true,
  }

  it('tells the version', async () => {
    const answer = await probe(async () => ({ flinkVersion: '1.20.1', capabilities }))
    expect(answer).toMatchObject({
      reachable: true,
      flinkVersion: '1.20.1',
      error: null,
      cluster: { name: 'flink' },
    })
    expect(answer.cluster).not.toHaveProperty('address')
  })

  it('names what an old cluster lacks and since when there is it', async () => {
    const old = { ...capabilities, idempotentTriggers: false }
    const answer = await probe(async () => ({ flinkVersion: '1.14.6', capabilities: old }))
    expect(answer).toMatchObject({ reachable: true, error: { code: 'CLUSTER_UNSUPPORTED' } })
    expect(answer.error?.message).toMatch(/1\.14\.6.*since Flink 1\.15/)
  })

  it.each([
    ['unreachable', 'CLUSTER_UNREACHABLE'],
    ['timeout', 'CLUSTER_TOO_SLOW'],
    ['unauthorized', 'CLUSTER_REFUSED'],
  ] as const)('answers %s with %s instead of failing', async (kind, expected) => {
    const answer = await probe(() => Promise.reject(new FlinkUnavailableError(kind, 'no')))
    expect(answer).toMatchObject({
      reachable: false,
      flinkVersion: null,
      error: { code: expected, message: 'no' },
    })
  })
})

describe('checking a storage', () => {
  const check = async (faults: Partial<ObjectStore> = {}) => {
    await newStorage(ours)
    const store = { ...memoryStore(), ...faults } as ObjectStore
    const stores = { of: () => store }
    const run = checkStorage({ storages: services.ports.storages, stores, newId: v7 })
    const result = await run({ caller: ours, storage: 'state' })
    return { ok: result.ok, steps: result.steps.map(({ step, code: stepCode }) => [step, stepCode]) }
  }

  function memoryStore(): Partial<ObjectStore> {
    const objects = new Map<string, { bytes: Uint8Array; stored: Awaited<ReturnType<ObjectStore['head']>> }>()
    const keyOf = (location: { segments: readonly string[] }) => location.segments.join('/')
    return {
      put: async (location, bytes) => {
        const stored = { location, sizeBytes: bytes.length, modifiedAt: null, archived: false }
        objects.set(keyOf(location), { bytes, stored })
      },
      list: async () => ({
        objects: [...objects.values()].flatMap(({ stored }) => (stored ? [stored] : [])),
        nextPageToken: null,
      }),
      readRange: async (location) => objects.get(keyOf(location))?.bytes ?? null,
      head: async (location) => objects.get(keyOf(location))?.stored ?? null,
      deleteMany: async (locations) => {
        for (const location of locations) objects.delete(keyOf(location))
        return []
      },
    }
  }

  it('writes, lists, reads and deletes one object', async () => {
    expect(await check()).toEqual({
      ok: true,
      steps: [
        ['write', null],
        ['list', null],
        ['read', null],
        ['delete', null],
      ],
    })
  })

  it('ends at a refused write', async () => {
    const put = () => Promise.reject(new StorageError('access-denied', 'no'))
    expect(await check({ put })).toEqual({ ok: false, steps: [['write', 'STORAGE_ACCESS_DENIED']] })
  })

  it('deletes what it wrote also when it could not list it', async () => {
    const list = () => Promise.reject(new StorageError('unreachable', 'no'))
    expect(await check({ list })).toEqual({
      ok: false,
      steps: [
        ['write', null],
        ['list', 'STORAGE_UNREACHABLE'],
        ['delete', null],
      ],
    })
  })

  it('notices an object that stays after it was deleted', async () => {
    expect((await check({ deleteMany: async () => [] })).steps.at(-1)).toEqual([
      'delete',
      'STORAGE_INCONSISTENT',
    ])
  })
})

describe('a database that is not there', () => {
  it('is DATABASE_UNAVAILABLE for reads and for writes', async () => {
    const db = openDatabase({ url: 'postgres://x:x@127.0.0.1:1/x', poolSize: 2, applicationName: 'test' })
    const { createCluster: create, getCluster: get } = wire(db)
    await expect(get({ caller: ours, cluster: 'flink' })).rejects.toMatchObject(code('DATABASE_UNAVAILABLE'))
    await expect(create({ caller: ours, ...clusterInput })).rejects.toMatchObject(
      code('DATABASE_UNAVAILABLE'),
    )
    await db.close()
  })

  it('is DATABASE_UNAVAILABLE when connections are cut in the middle of a transaction', async () => {
    const db = openDatabase({ url: database.url, poolSize: 2, applicationName: 'cut' })
    const blocker = await database.db.pool.connect()
    try {
      const { id } = await newCluster(ours)
      await blocker.query('begin')
      await blocker.query('select 1 from cluster where id = $1 for update', [id])
      const update = wire(db).updateCluster({ caller: ours, cluster: id, changes: { mode: 'OBSERVE_ONLY' } })
      const cut = expect(update).rejects.toMatchObject(code('DATABASE_UNAVAILABLE'))
      await expect
        .poll(() =>
          database.db.sql(
            `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'cut' and wait_event_type = 'Lock'`,
          ),
        )
        .toHaveLength(1)
      await cut
    } finally {
      await blocker.query('rollback')
      blocker.release()
      await db.close()
    }
  })
})
