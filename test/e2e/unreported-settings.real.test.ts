/**
 * Settings of a version that `GET /jobs/:id/checkpoints/config` says nothing about, shown by what the running job does: SQL
 * state expires, and local recovery leaves its files where, and only where, a TaskManager was told so.
 */
import { appendFile, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { toYaml } from '../../dev/flink/configuration.ts'
import { type CountChange, readChanges } from '../../dev/flink/control-dir.ts'
import { getFlink } from '../../dev/flink/distribution.ts'
import { buildSqlJob } from '../../dev/flink/java-programs.ts'
import type { JobVersionView } from '../../src/domain/checkpoint-settings.ts'
import type { Snapshot } from '../../src/domain/snapshot.ts'
import { until } from '../support/api.ts'
import {
  type FlinkOptions,
  type OpenFlink,
  openCluster,
  openRealStorage,
  whyNoRealSql,
} from '../support/flink-under-test.ts'
import { type ManagedJob, type ManagedScene, openManagedScene, uploadArtifact } from './managed-scene.ts'

const OPTIONS: FlinkOptions = { ha: false, checkpoints: { intervalMs: 86_400_000, backend: 'rocksdb' } }
const TTL_MS = 2_000
/** Of the SQL job: a key comes so often in a row, and then not for 5 s. */
const BURST = 40

for (const version of ['1.20', '2']) {
  const missing = await whyNoRealSql(version)
  describe.skipIf(missing !== null)(
    `what Flink ${version} does not report${missing === null ? '' : ` (${missing})`}`,
    () => describeUnreported(version),
  )
}

function describeUnreported(version: string): void {
  let scene: ManagedScene
  let sqlArtifact: string
  let workDir: string
  beforeAll(async () => {
    workDir = await mkdtemp(join(tmpdir(), 'tidemark-flink-'))
    scene = await openManagedScene('unreported', openFlink(version, workDir), { storage: 'local' })
    const jar = await readFile(await buildSqlJob(await getFlink(version)))
    sqlArtifact = String((await uploadArtifact(scene.system, jar)).body['artifact'])
  })
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') console.log(scene.system.output().slice(-10_000))
    await scene.endJobs()
  })
  afterAll(async () => {
    await scene?.close()
    await rm(workDir, { recursive: true, force: true })
  })

  it('SQL state expires after the TTL of the version, under either of its names, and never without one [A-50] [A-51]', async () => {
    const typed = await newSqlJob(scene, sqlArtifact, { state: { ttlMs: TTL_MS } })
    const free = await newSqlJob(scene, sqlArtifact, {
      flinkConfiguration: { 'table.exec.state.ttl': String(TTL_MS) },
    })
    const without = await newSqlJob(scene, sqlArtifact, {})
    for (const job of [typed, free, without]) await job.started()

    const countedOn = await untilChanges(without, (changes) => changes.some(({ count }) => count > 2 * BURST))
    for (const key of keysOf(countedOn)) expect(begins(countedOn, key)).toBe(1)

    for (const job of [typed, free]) {
      const expired = await untilChanges(job, (changes) => begins(changes, 0) > 2)
      for (const { isNew, count } of expired) expect(count === 1).toBe(isNew)
      expect(Math.max(...expired.map(({ count }) => count))).toBeLessThanOrEqual(BURST)
    }
  })

  it('local recovery of a version has no effect on a session cluster, as its warning says: the TaskManager has to be told [A-50]', async () => {
    const rocksdb = { backend: 'rocksdb', incremental: true }
    const wants = await scene.newJob({ more: { state: { ...rocksdb, localRecovery: true } } })
    const refuses = await scene.newJob({ more: { state: { ...rocksdb, localRecovery: false } } })
    const { body: view } = await wants.get<JobVersionView>('/versions/1')
    expect(view.effective.state.localRecovery).toBe(true)
    const warning = view.warnings.find(({ code }) => code === 'LOCAL_RECOVERY_IS_OF_THE_CLUSTER')
    expect(warning?.pointers).toEqual(['/state/localRecovery'])
    expect(warning?.message).toContain('no effect on a session cluster')

    await wants.started()
    await refuses.started()
    await untilCheckpoints(wants, 2)
    expect(await localStateOf(workDir, wants)).toEqual([])

    const keys = ['execution.checkpointing.local-backup.enabled', 'execution.state-recovery.from-local']
    for (const key of keys) expect(warning?.message).toContain(key)
    const told = toYaml(Object.fromEntries(keys.map((key) => [key, true])))
    await appendFile(join(workDir, 'conf', 'config.yaml'), told)
    await scene.flink.killTaskManager()
    await scene.flink.startTaskManager()
    for (const job of [wants, refuses]) {
      await until(
        `${job.name} has local state`,
        async () => (await localStateOf(workDir, job)).some((file) => file.includes('/chk_')),
        90_000,
      )
    }
  })
}

/** In a directory we know, since neither REST nor the support of other tests says where a TaskManager works. */
const openFlink =
  (version: string, workDir: string): OpenFlink =>
  async (storageKind) => {
    const { storage, closeStorage, cluster } = await openRealStorage(storageKind, OPTIONS)
    try {
      return await openCluster(version, storage, closeStorage, { ...cluster, workDir, sql: true }, OPTIONS)
    } catch (error) {
      await closeStorage()
      throw error
    }
  }

/** Of one version, which says where the job writes and nothing else of its state than `settings`. */
async function newSqlJob(scene: ManagedScene, artifact: string, settings: object): Promise<ManagedJob> {
  const job = await scene.newJobWithoutVersion()
  const programArgs = ['--name', job.name, '--control-dir', job.controlDir]
  await job.addVersion({
    artifact,
    parallelism: 1,
    more: { entryClass: 'dev.tidemark.sql.SqlJob', programArgs, ...settings },
  })
  return job
}

const untilChanges = (
  job: ManagedJob,
  isEnough: (changes: CountChange[]) => boolean,
): Promise<CountChange[]> =>
  until(
    `${job.name} has counted enough`,
    async () => {
      const changes = await readChanges(job.controlDir)
      return isEnough(changes) && changes
    },
    90_000,
  )

const keysOf = (changes: readonly CountChange[]): number[] => [...new Set(changes.map(({ key }) => key))]
/** How often SQL had no row of this key. */
const begins = (changes: readonly CountChange[], key: number): number =>
  changes.filter((change) => change.isNew && change.key === key).length

const untilCheckpoints = (job: ManagedJob, count: number): Promise<Snapshot[]> =>
  until(
    `${job.name} has ${count} checkpoints`,
    async () => {
      const checkpoints = await job.list('kind=CHECKPOINT')
      return checkpoints.filter(({ settledAt }) => settledAt !== null).length >= count && checkpoints
    },
    60_000,
  )

/** Files of its newest run in `localState` of any TaskManager's working directory (`TaskExecutorLocalStateStoresManager`). */
async function localStateOf(workDir: string, job: ManagedJob): Promise<string[]> {
  const { flinkJobId } = await job.run()
  const tmpDir = join(workDir, 'tmp')
  const taskManagers = (await readdir(tmpDir)).filter((name) => name.startsWith('tm_'))
  const lists = taskManagers.map((name) => filesBelow(join(tmpDir, name, 'localState')))
  return (await Promise.all(lists)).flat().filter((file) => file.includes(`/jid_${flinkJobId}/`))
}

/** While Flink itself removes what is older; a TaskManager that is only starting has no such folder yet. */
async function filesBelow(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch(() => [])
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}
