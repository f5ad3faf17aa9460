/**
 * Which snapshots newer than a chosen one may exist although no row of ours shows them, and why. Pure. Checkpoints are
 * observed every few seconds, so the last ones of a run that nobody could look at any more are not known; a savepoint that
 * is being taken, or watched after its deadline, may still complete.
 */
import type { RunState } from './resources.ts'
import type { Reference, SnapshotSource } from './snapshot.ts'
import type { SnapshotStatus } from './snapshot-status.ts'

/** A Flink job id is not unique in time: runs are ordered by their start, then by epoch. */
export type RunOrder = { id: string; startedAt: string; epoch: number }

export type RunFacts = {
  order: RunOrder
  state: RunState
  /** Not ended, as far as we know. */
  live: boolean
  /** A reachable leader does not list it. */
  missing: boolean
  /** null while it is live. */
  endedSecondsAgo: number | null
  /** The checkpoint that was in progress when the run was last looked at. */
  inProgressCheckpoint: number | null
}

export type RestoreSurroundings = {
  job: Reference
  /** Someone else starts it: a run may have begun that nobody told us of. */
  attached: boolean
  ambiguous: boolean
  /** `asked`: it answered under 10 s ago. `changed`: what answers there is another cluster. */
  cluster: { name: string; asked: boolean; changed: boolean }
  /** Of the newest runs those of which something may be unseen. */
  runs: readonly RunFacts[]
  /** Savepoints of ours that may still complete. */
  unsettled: readonly { snapshot: string; status: SnapshotStatus; run: RunOrder | null }[]
  /** A run of it completed something or was restored from something. */
  hadState: boolean
  /** The snapshot the newest run was restored from, when that run completed nothing of its own. */
  lastRunBeganFrom: string | null
}

export const UNSEEN_CODES = [
  'RUN_LIVE',
  'RUN_LOST',
  'RUN_JUST_ENDED',
  'CHECKPOINT_IN_PROGRESS',
  'CLUSTER_NOT_ASKED',
  'CLUSTER_IDENTITY_CHANGED',
  'JOB_AMBIGUOUS',
  'SAVEPOINT_UNSETTLED',
  'SNAPSHOT_UNRANKED',
  'SNAPSHOT_ENDANGERED',
] as const
export type UnseenNewer = {
  what: (typeof UNSEEN_CODES)[number]
  /** For a person; ends in a full stop. */
  why: string
  run: string | null
  snapshot: string | null
}

/** What the observer still looks at after the end of a job, and a little more (`observe-checkpoints.ts`). */
export const LAST_LOOKS_SECONDS = 15

export const compareRuns = (one: RunOrder, other: RunOrder): number =>
  compareText(one.startedAt, other.startedAt) || one.epoch - other.epoch || compareText(one.id, other.id)

const compareText = (one: string, other: string): number => (one === other ? 0 : one < other ? -1 : 1)

type Rank = { run: RunOrder; flinkCheckpointId: number }

/** null: nothing says how new it is. */
export const rankOf = ({
  run,
  flinkCheckpointId,
}: {
  run: RunOrder | null
  flinkCheckpointId: number | null
}): Rank | null => (run && flinkCheckpointId !== null ? { run, flinkCheckpointId } : null)

/** Flink's ids compare only within a run. */
export const compareRanks = (one: Rank, other: Rank): number =>
  compareRuns(one.run, other.run) || one.flinkCheckpointId - other.flinkCheckpointId

type Known = {
  snapshot: string | null
  source: SnapshotSource | null
  run: RunOrder | null
  flinkCheckpointId: number | null
}

/** `best`: the one that would be taken; null when there is none, and then everything unseen would be newer. */
export function findUnseen(
  surroundings: RestoreSurroundings,
  judged: readonly { facts: Known; rejected: { code: string } | null }[],
  best: Known | null,
): UnseenNewer[] {
  const from = best && rankOf(best)
  const mayBeNewer = (run: RunOrder | null): boolean =>
    from === null || run === null || compareRuns(run, from.run) >= 0
  const ofRuns = surroundings.runs.flatMap((run) =>
    mayBeNewer(run.order) ? (unseenOfRun(run, best) ?? []) : [],
  )
  const savepoints = surroundings.unsettled
    .filter(({ run }) => mayBeNewer(run))
    .map(
      ({ snapshot, status, run }): UnseenNewer => ({
        what: 'SAVEPOINT_UNSETTLED',
        why:
          status === 'Creating'
            ? `The savepoint ${snapshot} is still being created.`
            : `The savepoint ${snapshot} is past its deadline, but may still complete.`,
        run: run?.id ?? null,
        snapshot,
      }),
    )
  const doubtful = judged.flatMap(({ facts, rejected }) => doubtfulOne(facts, rejected?.code, from) ?? [])
  return [...unseenOfCluster(surroundings), ...ofRuns, ...savepoints, ...doubtful]
}

/** Runs that began, or live, where we cannot look. A job that only we start has no run that we do not know. */
function unseenOfCluster({ attached, ambiguous, cluster }: RestoreSurroundings): UnseenNewer[] {
  if (!attached) return []
  const found = (what: UnseenNewer['what'], why: string): UnseenNewer => ({
    what,
    why,
    run: null,
    snapshot: null,
  })
  if (cluster.changed) {
    return [found('CLUSTER_IDENTITY_CHANGED', `Another cluster answers at the address of ${cluster.name}.`)]
  }
  if (!cluster.asked) {
    return [
      found(
        'CLUSTER_NOT_ASKED',
        `The cluster ${cluster.name} has not answered for 10 s or more, and a run may have begun there.`,
      ),
    ]
  }
  return ambiguous
    ? [found('JOB_AMBIGUOUS', 'More than one live Flink job has the name this job follows.')]
    : []
}

function unseenOfRun(run: RunFacts, best: Known | null): UnseenNewer | null {
  const found = (what: UnseenNewer['what'], why: string): UnseenNewer => ({
    what,
    why,
    run: run.order.id,
    snapshot: null,
  })
  if (run.live) {
    return found(
      'RUN_LIVE',
      run.missing
        ? `The run ${run.order.id} is not listed by its cluster any more, but may go on elsewhere.`
        : `The run ${run.order.id} has not ended: its next checkpoint is newer.`,
    )
  }
  if (run.state === 'LOST') {
    return found(
      'RUN_LOST',
      `The run ${run.order.id} was lost from sight: its last checkpoints may not be known.`,
    )
  }
  // The savepoint of a stop is the last thing a FINISHED run did: no checkpoint begins after it.
  const ofThisRun = best?.run?.id === run.order.id
  if (run.state === 'FINISHED' && ofThisRun && best?.source === 'STOP') return null
  if (run.inProgressCheckpoint !== null) {
    return found(
      'CHECKPOINT_IN_PROGRESS',
      `Checkpoint ${run.inProgressCheckpoint} of the run ${run.order.id} was in progress when the run was last looked at.`,
    )
  }
  return run.endedSecondsAgo !== null && run.endedSecondsAgo < LAST_LOOKS_SECONDS
    ? found('RUN_JUST_ENDED', `The run ${run.order.id} ended a moment ago and is still being looked at.`)
    : null
}

/** Present ones whose rank, or whose content, nobody knows. */
function doubtfulOne(facts: Known, code: string | undefined, from: Rank | null): UnseenNewer | null {
  const { snapshot, source, run } = facts
  const place = { run: run?.id ?? null, snapshot }
  if (code === 'UNRANKED' && source !== 'COPY' && (!from || !run || compareRuns(run, from.run) >= 0)) {
    return { what: 'SNAPSHOT_UNRANKED', why: `How new the savepoint ${snapshot} is, is not known.`, ...place }
  }
  const rank = rankOf(facts)
  if (code !== 'ENDANGERED' || (from && rank && compareRanks(rank, from) < 0)) return null
  return {
    what: 'SNAPSHOT_ENDANGERED',
    why: `The checkpoint ${snapshot} may be intact or overwritten: it has not been looked for since a new run began under its Flink job id.`,
    ...place,
  }
}
