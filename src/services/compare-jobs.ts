/**
 * The poll of a cluster against the jobs it is followed for. What a listing alone cannot tell (which version a new run
 * declares, whether a restarted job is the same run) is asked of Flink, once, when it is needed.
 */
import { isSameRun, isSameStartedRun } from '../domain/checkpoint-observation.ts'
import { isTerminal } from '../domain/flink.ts'
import {
  compareJob,
  continuedRun,
  type FollowedJob,
  isDoubtful,
  type Listing,
  newRun,
  type Restart,
  type RunChange,
  undecidedRun,
} from '../domain/run-observation.ts'
import type { FlinkClient } from '../ports/flink.ts'
import type { CheckpointObserver } from './observe-checkpoints.ts'

export type ComparePorts = { client: FlinkClient; lostAfterMs: number; checkpoints: CheckpointObserver }

export type ComparedJobs = {
  /** Another cluster behind the address would look like this. */
  doubtful: boolean
  /** What needs no further question. */
  changes: RunChange[]
  /** Asks what the rest needs to know. */
  settle(): Promise<RunChange[]>
}

export function compareJobs(
  followed: readonly FollowedJob[],
  listing: Listing,
  ports: ComparePorts,
): ComparedJobs {
  const compared = followed.map((job) => compareJob(job, listing, ports.lostAfterMs))
  const changes = compared.flatMap((each) => each.changes)
  const restarts = compared.flatMap((each) => each.restarts)
  return {
    doubtful: compared.some(isDoubtful),
    changes: changes.filter((change) => change.kind !== 'new-run'),
    async settle() {
      const settled: RunChange[] = []
      for (const change of changes)
        if (change.kind === 'new-run') settled.push(await declare(change, ports.client))
      for (const restart of restarts) settled.push(...(await judge(restart, ports)))
      return settled
    },
  }
}

async function declare<Change extends RunChange & { kind: 'new-run' }>(
  change: Change,
  client: FlinkClient,
): Promise<Change> {
  return { ...change, declaredVersion: await client.readDeclaredVersion(change.flinkJobId) }
}

/**
 * A JobManager that is still reading its jobs has not restored anything yet: until the job runs, or has ended, the question
 * stays open. Statistics without a restore mean that it began from nothing, which is another run.
 */
async function judge(restart: Restart, { client, checkpoints }: ComparePorts): Promise<RunChange[]> {
  const { run, job } = restart
  if (job.state === 'INITIALIZING' || job.state === 'CREATED') return undecidedRun(restart)
  const statistics = await client.readCheckpoints(job.flinkJobId)
  if (!statistics && !isTerminal(job.state)) return undecidedRun(restart)
  const declaredVersion = await client.readDeclaredVersion(job.flinkJobId)
  const restored = statistics?.latest.restored ?? null
  const snapshots = await checkpoints.listCompleted(run.id)
  const { flinkJobId } = run
  const same = run.startedByUs
    ? isSameStartedRun({ flinkJobId, snapshots, startedFromKey: run.restoredKey }, restored)
    : isSameRun(
        {
          flinkJobId,
          declaredVersion: run.declaredVersion,
          snapshots,
          watched: checkpoints.isWatched(run.id),
        },
        { restored, declaredVersion },
      )
  return same ? [continuedRun(restart)] : [{ ...newRun(restart.jobId, job, run.id), declaredVersion }]
}
