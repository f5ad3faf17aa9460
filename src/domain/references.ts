/** Why a snapshot must not go (`product.md` §1.4, §2, §5): what the rows that point at it mean. */
import type { RunState } from './resources.ts'
import type { Reference, SnapshotKind } from './snapshot.ts'

export const USE_REASONS = ['CLUSTER_CONFIGURATION', 'RUN', 'CLAIMED', 'COPYING'] as const
export type UseReason = (typeof USE_REASONS)[number]

export type SnapshotUse = {
  reason: UseReason
  /** For a person. */
  message: string
  cluster: Reference | null
  job: Reference | null
  /** The id of the run. */
  run: string | null
}

/** A run that was restored from the snapshot, or from its location. */
export type RestoredRun = {
  id: string
  state: RunState
  job: Reference
  cluster: Reference
  /** Someone else starts the job. */
  attached: boolean
  endConfirmed: boolean
  completedCheckpoints: number
  /** A later run of the same job has completed a checkpoint. */
  succeeded: boolean
}

/** An operation under way; `storage` is the name of where it copies to. */
export type OpenCopy = { operation: string; storage: string }

/**
 * Whether a run still needs what it was restored from. An attached run does until it ends: whoever manages it may restore
 * the same location again. A managed one only until its first own checkpoint. A LOST run may live on where we cannot see it:
 * for a savepoint it counts as ended once a later run of the job completed a checkpoint, for a checkpoint's directory (where
 * it may still be writing) only by a person's word.
 */
export function stillNeeds(run: RestoredRun, kind: SnapshotKind): boolean {
  if (run.state === 'FINISHED' || run.state === 'CANCELED' || run.state === 'FAILED') return false
  if (run.state === 'LOST' && (run.endConfirmed || (kind === 'SAVEPOINT' && run.succeeded))) return false
  return run.attached || run.completedCheckpoints === 0
}

/** Checkpoints of its own do not free a run from what these are built on; only its end does. */
const mayBuildOn = (run: RestoredRun, kind: SnapshotKind): boolean =>
  stillNeeds({ ...run, attached: true }, kind)

/** Every reason why it must not go; empty when nobody we know of needs it. */
export function listUses(facts: {
  kind: SnapshotKind
  /** Clusters whose own configuration restores from it at every restart. */
  clusters: readonly Reference[]
  runs: readonly RestoredRun[]
  claimedByRun: string | null
  /** Open operations that copy it. */
  copies?: readonly OpenCopy[]
  /** Runs whose checkpoints may be built on its files. */
  heirs?: readonly RestoredRun[]
  /** There are more than were followed. */
  manyHeirs?: boolean
}): SnapshotUse[] {
  const { kind, clusters, runs, claimedByRun, copies = [], heirs = [], manyHeirs = false } = facts
  const configured = clusters.map(
    (cluster): SnapshotUse => ({
      reason: 'CLUSTER_CONFIGURATION',
      message: `The configuration of the cluster ${cluster.name} names it: application mode restores it again at every restart.`,
      cluster,
      job: null,
      run: null,
    }),
  )
  const restored = runs
    .filter((run) => stillNeeds(run, kind))
    .map((run): SnapshotUse => ({ reason: 'RUN', message: describe(run, kind), ...placeOf(run) }))
  const named = new Set([claimedByRun, ...restored.map(({ run }) => run)])
  const builtOn = heirs
    .filter((run) => mayBuildOn(run, kind) && !named.has(run.id))
    .map((run): SnapshotUse => ({ reason: 'RUN', message: describeHeir(run), ...placeOf(run) }))
  const unknown: SnapshotUse[] = manyHeirs
    ? [
        {
          reason: 'RUN',
          message: 'More runs than are followed were restored from it, or from checkpoints of one another.',
          cluster: null,
          job: null,
          run: null,
        },
      ]
    : []
  const claimed: SnapshotUse[] =
    claimedByRun === null
      ? []
      : [
          {
            reason: 'CLAIMED',
            message: 'A run has claimed it: Flink owns it, and deletes it when it needs it no more.',
            cluster: null,
            job: null,
            run: claimedByRun,
          },
        ]
  const copying = copies.map(
    ({ operation, storage }): SnapshotUse => ({
      reason: 'COPYING',
      message: `The operation ${operation} is copying it to the storage ${storage}.`,
      cluster: null,
      job: null,
      run: null,
    }),
  )
  return [...configured, ...restored, ...builtOn, ...unknown, ...claimed, ...copying]
}

const placeOf = ({ cluster, job, id }: RestoredRun) => ({ cluster, job, run: id })

function describe(run: RestoredRun, kind: SnapshotKind): string {
  const from = `The run ${run.id} of ${run.job.name} was restored from it`
  if (run.state !== 'LOST') return `${from} and has not ended.`
  const word = `until somebody says so with POST /v1/runs/${run.id}/confirm-ended`
  return kind === 'SAVEPOINT'
    ? `${from} and was lost from sight: it counts as live until a later run of the job completes a checkpoint, or ${word}.`
    : `${from} and was lost from sight: it counts as live ${word}.`
}

const describeHeir = ({ id, job }: RestoredRun): string =>
  `The run ${id} of ${job.name} may have built its checkpoints on files of it, and has not ended.`
