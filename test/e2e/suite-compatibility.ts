/** What the verdict says before a start, and what Flink then does: the same suite on a simulated Flink and on real ones. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { getJson } from '../../dev/flink/rest.ts'
import type { LifecycleOperation } from '../../src/domain/operation.ts'
import type { CompatibilityCheck } from '../../src/services/api.ts'
import { until } from '../support/api.ts'
import type { CheckpointOptions, OpenFlink } from '../support/flink-under-test.ts'
import type { StorageKind } from '../support/savepoint-storage.ts'
import {
  KEYS,
  type ManagedJob,
  type ManagedScene,
  openManagedScene,
  type VersionInput,
} from './managed-scene.ts'
import { describeInspecting } from './suite-inspecting.ts'
import { describeVerifying, takeSavepoint } from './suite-verifying.ts'

export const COMPATIBILITY_CHECKPOINTS: CheckpointOptions = { intervalMs: 86_400_000, numRetained: 10 }

type Options = {
  storage: StorageKind
  /** The simulated Flink has no state backends: it keeps what a program counted. */
  backends: boolean
}

export function describeCompatibility(name: string, openFlink: OpenFlink, options: Options): void {
  describe(name, () => {
    let scene: ManagedScene
    beforeAll(async () => {
      scene = await openManagedScene('compatibility', openFlink, options)
    })
    afterEach(async ({ task }) => {
      if (task.result?.state === 'fail') console.log(scene.system.output().slice(-10_000))
      await scene.endJobs()
    })
    afterAll(() => scene?.close())
    const use = () => scene

    describeOperators(use)
    describeParallelism(use)
    if (options.backends) {
      describeBackends(use)
      describeInspecting(use)
    } else {
      describeVerifying(use)
    }
  })
}

// ------------------------------------------------------------------------------------------------- operators

function describeOperators(use: () => ManagedScene): void {
  it('the same version fits its own savepoint, and restores it [N-06]', async () => {
    const { job, savepoint } = await stoppedJob(use())
    const check = await askFor(use(), job, { snapshot: savepoint })
    expect(check).toMatchObject({
      verdict: 'COMPATIBLE',
      starts: true,
      version: 1,
      snapshot: savepoint,
      judgedBy: { operators: { basis: 'OWN', snapshot: savepoint, added: 0, removed: 0 } },
    })
    // Without a name it is the one a start would take.
    expect(await askFor(use(), job, {})).toMatchObject({ verdict: 'COMPATIBLE', snapshot: savepoint })
    await expectStarts(job, { restore: named(savepoint) })
  })

  it('a removed operator is told before, and Flink then refuses unless its state may be dropped [N-06]', async () => {
    const { job, savepoint } = await stoppedJob(use(), { extraOperator: true })
    const version = await job.addVersion()
    const body = { snapshot: savepoint, version }
    const unknown = await askFor(use(), job, body)
    expect(unknown).toMatchObject({ verdict: 'UNKNOWN', starts: null, judgedBy: { operators: null } })
    expect(codesOf(unknown)).toContain('UNKNOWN OPERATORS_UNKNOWN')
    // A run of the version tells its operators: from nothing, so that the snapshot is still the one in question.
    await job.started({ version, restore: { strategy: 'NONE' } })
    await job.untilCounted(KEYS)
    await job.stopped()

    const check = await askFor(use(), job, body)
    expect(check).toMatchObject({
      verdict: 'PARTLY',
      starts: false,
      judgedBy: { operators: { basis: 'OWN' } },
    })
    expect(codesOf(check)).toContain('DROPS_STATE OPERATOR_REMOVED')
    const removed = check.findings.find(({ code }) => code === 'OPERATOR_REMOVED')
    expect(removed?.act).toContain('allowNonRestoredState')
    expect(await failedStart(use(), job, { restore: named(savepoint) })).toMatchObject({
      failure: {
        code: 'RESTORE_OPERATOR_MISSING',
        message: expect.stringContaining(removed?.operator?.id ?? '?'),
      },
    })

    const allowing = await askFor(use(), job, { ...body, allowNonRestoredState: true })
    expect(allowing).toMatchObject({ verdict: 'PARTLY', starts: true })
    await expectStarts(job, { restore: { ...named(savepoint), allowNonRestoredState: true } })

    // The other way round it is an added one, which begins empty.
    await job.stopped()
    const [newest] = await job.list('kind=SAVEPOINT')
    const added = await askFor(use(), job, { snapshot: newest?.id ?? '', version: 1 })
    expect(added).toMatchObject({ verdict: 'COMPATIBLE', starts: true })
    expect(codesOf(added)).toContain('NOTE OPERATOR_ADDED')
    await expectStarts(job, { version: 1, restore: named(newest?.id ?? '') })
  })
}

// ----------------------------------------------------------------------------------------------- parallelism

function describeParallelism(use: () => ManagedScene): void {
  it('a changed max parallelism blocks, whether state may be dropped or not [N-06]', async () => {
    const { job, savepoint } = await stoppedJob(use(), { maxParallelism: 128 })
    const version = await job.addVersion({ maxParallelism: 64 })
    for (const allowNonRestoredState of [false, true]) {
      const check = await askFor(use(), job, { snapshot: savepoint, version, allowNonRestoredState })
      expect(check).toMatchObject({ verdict: 'INCOMPATIBLE', starts: false })
      expect(check.judgedBy.operators).toMatchObject({ basis: 'SAME_PROGRAM', version: 1 })
      expect(codesOf(check)).toContain('BLOCKS MAX_PARALLELISM_CHANGED')
      const restore = { ...named(savepoint), allowNonRestoredState }
      expect(await failedStart(use(), job, { version, restore })).toMatchObject({
        failure: { code: 'RESTORE_MAX_PARALLELISM' },
      })
    }
  })

  it('another parallelism spreads the state anew, also with the max parallelism left to the state [M-04] [N-06]', async () => {
    const { job, savepoint } = await stoppedJob(use(), { maxParallelism: 64 })
    const version = await job.addVersion({ parallelism: 1 })
    const check = await askFor(use(), job, { snapshot: savepoint, version })
    expect(check).toMatchObject({ verdict: 'COMPATIBLE', starts: true })
    expect(codesOf(check)).toEqual(expect.arrayContaining(['NOTE RESCALED', 'NOTE MAX_PARALLELISM_RESTORED']))
    await expectStarts(job, { version, restore: named(savepoint) })
  })
}

// -------------------------------------------------------------------------------------------------- backends

const BACKENDS = ['hashmap', 'rocksdb'] as const

function describeBackends(use: () => ManagedScene): void {
  for (const before of BACKENDS) {
    const after = before === 'hashmap' ? 'rocksdb' : 'hashmap'
    it(`native state of ${before} blocks ${after}, and canonical state fits it [N-06]`, async () => {
      const job = await use().newJob(withBackend(before))
      const version = await job.addVersion(withBackend(after))
      await job.started({ version: 1 })
      await job.untilCounted(KEYS)
      const canonical = await takeSavepoint(use(), job, 'CANONICAL')
      const native = await takeSavepoint(use(), job, 'NATIVE')
      await job.stopped({ mode: 'CANCEL' })

      const fits = await askFor(use(), job, { snapshot: native, version: 1 })
      expect(fits).toMatchObject({ verdict: 'COMPATIBLE', judgedBy: { snapshot: { format: 'native' } } })
      const check = await askFor(use(), job, { snapshot: native, version })
      expect(check).toMatchObject({ verdict: 'INCOMPATIBLE', starts: false })
      expect(codesOf(check)).toContain('BLOCKS BACKEND_CHANGED')
      const failed = await failedStart(use(), job, { version, restore: named(native), timeoutSeconds: 60 })
      await untilSaid(use(), failed, WORDS[after])

      const portable = await askFor(use(), job, { snapshot: canonical, version })
      expect(portable).toMatchObject({
        verdict: 'COMPATIBLE',
        judgedBy: { snapshot: { format: 'canonical' } },
      })
      await expectStarts(job, { version, restore: named(canonical) })
    })
  }
}

/** RocksDB reads what hashmap wrote as its own: how that ends is a matter of chance. */
const WORDS = { hashmap: /Unexpected state handle type/, rocksdb: /BackendBuildingException/ }

/** By Flink itself, whose answer may be 3 s old when our start has failed already. */
async function untilSaid(
  { flink }: ManagedScene,
  { flinkJobId }: LifecycleOperation,
  words: RegExp,
): Promise<void> {
  await until(`Flink says ${words}`, async () =>
    words.test(JSON.stringify(await getJson(flink.url, `/jobs/${flinkJobId}/exceptions`))),
  )
}

/** Flink would start the tasks over and over: without that the first failure is the end. */
const withBackend = (backend: (typeof BACKENDS)[number]): VersionInput => ({
  more: { state: { backend }, flinkConfiguration: { 'restart-strategy.type': 'disable' } },
})

// --------------------------------------------------------------------------------------------------- helpers

async function stoppedJob(
  { newJob }: ManagedScene,
  version: VersionInput = {},
): Promise<{ job: ManagedJob; savepoint: string }> {
  const job = await newJob(version)
  await job.started()
  await job.untilCounted(KEYS)
  const { snapshot } = await job.stopped()
  return { job, savepoint: snapshot ?? '' }
}

async function askFor(
  { system }: ManagedScene,
  { name }: ManagedJob,
  body: object,
): Promise<CompatibilityCheck> {
  const answer = await system.api.call<CompatibilityCheck>('POST', `/v1/jobs/${name}/compatibility`, { body })
  expect(answer.status, JSON.stringify(answer.body)).toBe(200)
  return answer.body
}

const codesOf = ({ findings }: CompatibilityCheck): string[] =>
  findings.map(({ severity, code }) => `${severity} ${code}`)
const named = (snapshot: string) => ({ strategy: 'FROM_SNAPSHOT', snapshot })

async function expectStarts(job: ManagedJob, body: object): Promise<void> {
  await job.started(body)
  expect((await job.counters()).restored).toBeGreaterThan(0)
}

async function failedStart(
  { ended }: ManagedScene,
  job: ManagedJob,
  body: object,
): Promise<LifecycleOperation> {
  const accepted = await job.start(body)
  expect(accepted.status, JSON.stringify(accepted.body)).toBe(202)
  const operation = await ended(accepted.body.id, 120_000)
  expect(operation.status, JSON.stringify(operation, null, 1)).toBe('FAILED')
  return operation
}
