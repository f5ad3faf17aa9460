/** What a verification says of snapshots that Flink wrote, before and after somebody deletes a file they need. */
import { expect, it } from 'vitest'
import type { RestoreDecision } from '../../src/domain/restore-point.ts'
import type { Snapshot } from '../../src/domain/snapshot.ts'
import type { VerificationReport } from '../../src/domain/verification.ts'
import { until } from '../support/api.ts'
import { KEYS, type ManagedJob, type ManagedScene } from './managed-scene.ts'

/** Of a Flink without state backends; the kinds of a real one are verified where they are inspected. */
export function describeVerifying(use: () => ManagedScene): void {
  const newJob = (incremental: boolean) =>
    use().newJob({ more: { state: { backend: 'rocksdb', incremental } } })
  const lookAtOne = async (job: ManagedJob, incremental: boolean) => {
    await job.started()
    await job.untilCounted(KEYS)
    const savepoints: Snapshot[] = []
    for (const format of ['CANONICAL', 'NATIVE'] as const) {
      savepoints.push(await use().read(await takeSavepoint(use(), job, format)))
    }
    for (const snapshot of [await job.untilCheckpoint(), ...savepoints]) await expectWhole(use(), snapshot)
    await expectDamageFound(use(), job, { savepoints, incremental })
  }
  // Side by side: each waits 15 s for the last looks at a run that has ended.
  it('a file that goes is found and named, and restores pass over what needs it, full or incremental [N-05]', async () => {
    const [full, incremental] = [await newJob(false), await newJob(true)]
    const both = await Promise.allSettled([lookAtOne(full, false), lookAtOne(incremental, true)])
    for (const one of both) if (one.status === 'rejected') throw one.reason
  })
}

export async function takeSavepoint(
  { system, read }: ManagedScene,
  { name }: ManagedJob,
  format: 'CANONICAL' | 'NATIVE',
): Promise<string> {
  const { status, body } = await system.api.call<{ id: string }>('POST', `/v1/jobs/${name}/savepoints`, {
    body: { format },
  })
  expect(status, JSON.stringify(body)).toBe(202)
  await until(`the ${format} savepoint`, async () => (await read(body.id)).status === 'Present', 60_000)
  return body.id
}

/** And it has looked at files, not at `_metadata` alone. */
export async function expectWhole(scene: ManagedScene, { id }: Snapshot): Promise<void> {
  const report = await verify(scene, id)
  expect(report).toMatchObject({ verdict: 'WHOLE', message: null, findings: [], findingCount: 0 })
  expect(report.checkedFiles).toBeGreaterThan(0)
  expect(await scene.read(id)).toMatchObject({ restorable: true })
}

/** Ends the job, which has these savepoints, and takes a file from its newest checkpoint and its newest savepoint. */
export async function expectDamageFound(
  scene: ManagedScene,
  job: ManagedJob,
  { savepoints, incremental }: { savepoints: readonly Snapshot[]; incremental: boolean },
): Promise<void> {
  const newest = Math.max(...savepoints.map(({ flinkCheckpointId }) => flinkCheckpointId ?? 0))
  await until(
    `a checkpoint of ${job.name} that is newer than its savepoints`,
    async () =>
      (await job.list('kind=CHECKPOINT&status=Present')).some((one) => (one.flinkCheckpointId ?? 0) > newest),
    60_000,
  )
  await job.stopped({ mode: 'CANCEL' })

  const checkpoint = await expectPassedOver(scene, job, 'LATEST_STATE')
  expect(checkpoint.kind).toBe('CHECKPOINT')
  expect(checkpoint.lostFile.includes('/shared/')).toBe(incremental)
  const [chosen, next] = savepoints.map(({ id }) => id).toReversed()
  expect(await expectPassedOver(scene, job, 'LATEST_SAVEPOINT')).toMatchObject({ chosen, next })
}

/** The one that would be restored loses a file: it, and whatever else needs that file, is passed over; the next is chosen. */
async function expectPassedOver(
  scene: ManagedScene,
  job: ManagedJob,
  strategy: 'LATEST_STATE' | 'LATEST_SAVEPOINT',
): Promise<{ chosen: string; next: string; kind: string | null; lostFile: string }> {
  // It is refused for some seconds: the run has just ended, and one that nobody has seen may be newer.
  const before = await until(
    `${job.name} can be restored`,
    async () => {
      const decision = await decide(job, strategy)
      return decision.decision === 'restore' && decision
    },
    60_000,
  )
  const chosen = before.chosen?.snapshot ?? ''
  const files = await filesOf(scene, chosen)
  const lost = files.find(({ key }) => key.includes('/shared/')) ?? files[0]
  if (!lost) throw new Error(`${chosen} needs no file`)
  await scene.flink.storage.removeFile(lost.key)

  const damaged: string[] = []
  const whole: string[] = []
  for (const snapshot of restorableOf(before, strategy)) {
    const path = (await filesOf(scene, snapshot)).find(({ key }) => key === lost.key)?.path
    const report = await verify(scene, snapshot)
    const finding = { code: 'FILE_MISSING', path, foundBytes: null }
    expect(report).toMatchObject(
      path === undefined
        ? { verdict: 'WHOLE', findings: [] }
        : { verdict: 'DAMAGED', findingCount: 1, findings: [finding] },
    )
    expect(await scene.read(snapshot)).toMatchObject({ restorable: path === undefined })
    const found = path === undefined ? whole : damaged
    found.push(snapshot)
  }
  expect(damaged).toContain(chosen)

  const after = await decide(job, strategy)
  expect(after, JSON.stringify(after)).toMatchObject({ decision: 'restore', chosen: { snapshot: whole[0] } })
  for (const snapshot of damaged) {
    const passed = after.candidates.find((candidate) => candidate.snapshot === snapshot)
    expect(passed).toMatchObject({ verdict: 'DAMAGED', rejected: { code: 'DAMAGED' } })
  }
  return { chosen, next: whole[0] ?? '', kind: before.chosen?.kind ?? null, lostFile: lost.key }
}

/** The newest first. */
const restorableOf = ({ candidates }: RestoreDecision, strategy: string): string[] =>
  candidates
    .filter(({ rejected }) => rejected === null || rejected.code === 'OLDER')
    .filter(({ kind }) => strategy === 'LATEST_STATE' || kind === 'SAVEPOINT')
    .flatMap(({ snapshot }) => snapshot ?? [])

async function decide(job: ManagedJob, strategy: string): Promise<RestoreDecision> {
  const { status, body } = await job.get<RestoreDecision>(`/restore-point?strategy=${strategy}`)
  expect(status, JSON.stringify(body)).toBe(200)
  return body
}

async function verify({ system }: ManagedScene, snapshot: string): Promise<VerificationReport> {
  const answer = await system.api.call<VerificationReport>('POST', `/v1/snapshots/${snapshot}/verify`)
  expect(answer.status, JSON.stringify(answer.body)).toBe(200)
  return answer.body
}

async function filesOf({ system }: ManagedScene, snapshot: string): Promise<{ key: string; path: string }[]> {
  const { status, body } = await system.api.call<{ items: { key: string; path: string }[] }>(
    'GET',
    `/v1/snapshots/${snapshot}/inspection/files?pageSize=200`,
  )
  expect(status, JSON.stringify(body)).toBe(200)
  return body.items
}
