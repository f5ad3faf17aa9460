/**
 * The checkpoint statistics of the running jobs of a cluster: one GET each, and one statement for everything new in all of
 * them. An answer that is the same as the last one, byte for byte, is not even read; one that shows nothing new writes
 * nothing.
 */
import {
  type CheckpointReport,
  describeStatistics,
  inProgressId,
  type ObservedSnapshot,
  unexplainedFailures,
} from '../domain/checkpoint-observation.ts'
import { FlinkUnavailableError } from '../domain/errors.ts'
import {
  type CheckpointConfig,
  type CheckpointStatistics,
  type FlinkJob,
  isTerminal,
} from '../domain/flink.ts'
import type { FollowedJob, KnownRun, Listing } from '../domain/run-observation.ts'
import type { FlinkClient } from '../ports/flink.ts'
import type { CheckpointRepository, ObservedCluster } from '../ports/observation.ts'

export type CheckpointObserverPorts = {
  checkpoints: CheckpointRepository
  /** Milliseconds between two looks at one job. Flink answers from a cache of 3 s (`web.refresh-interval`). */
  intervalMs: number
  /** Requests under way at once to one cluster. */
  concurrency: number
}

export type CheckpointPollOf = {
  workerId: string
  cluster: ObservedCluster
  client: FlinkClient
  followed: readonly FollowedJob[]
  listing: Listing
}

export type CheckpointObserver = {
  observe(poll: CheckpointPollOf): Promise<void>
  /** This process saw the run's statistics within the last minute. */
  isWatched(runId: string): boolean
  listCompleted: CheckpointRepository['listCompleted']
}

/** What is remembered of a run between two looks; a lost memory costs one statement that writes nothing. */
type Memory = {
  /** Of the last answer, and of what it said beside its entries. */
  tag: string | null
  digest: string | null
  /** The entries of the last answer that are recorded, each by its `entryKey`. */
  told: ReadonlySet<string>
  /** The run's `start-time` whose CheckpointConfig was read. */
  configuredFor: number | null
  inProgress: number | null
  lookedAt: number
  seenAt: number
  /** When its job was first seen ended. */
  endedAt: number
}

const WATCHED_MS = 60_000
/** How long the cause of a failed checkpoint may take to appear in /exceptions: until its tasks run again. */
const EXPLAINED_WITHIN_MS = 30_000
/** How long an ended job is still looked at: what it did last stands in its statistics after two refreshes of the cache. */
const LAST_LOOKS_MS = 10_000
/** Reports written by one statement. */
const BATCH = 200

type Look = { run: KnownRun; job: FlinkJob; memory: Memory }
type Found = {
  look: Look
  tag: string
  digest: string
  /** The entries as they were read; the report holds only those that are not told yet. */
  entries: readonly ObservedSnapshot[]
  report: CheckpointReport & { config: CheckpointConfig | null }
}

export function createCheckpointObserver(ports: CheckpointObserverPorts): CheckpointObserver {
  const memories = new Map<string, Map<string, Memory>>()
  const remember = (clusterId: string, runId: string): Memory => {
    const ofCluster = memories.get(clusterId) ?? new Map<string, Memory>()
    memories.set(clusterId, ofCluster)
    const memory = ofCluster.get(runId) ?? forgotten()
    ofCluster.set(runId, memory)
    return memory
  }

  return {
    listCompleted: ports.checkpoints.listCompleted,
    isWatched: (runId) =>
      [...memories.values()].some((runs) => {
        const memory = runs.get(runId)
        return memory !== undefined && performance.now() - memory.seenAt < WATCHED_MS
      }),

    async observe(poll) {
      const looks = chooseRuns(poll, ports.intervalMs, (runId) => remember(poll.cluster.id, runId))
      forgetOthers(memories, poll)
      const found: Found[] = []
      await eachOf(looks, ports.concurrency, async (look) => {
        const seen = await lookAt(look, poll.client)
        if (seen) found.push(seen)
      })
      for (let start = 0; start < found.length; start += BATCH) {
        await write(poll, found.slice(start, start + BATCH), ports)
      }
    },
  }
}

const forgotten = (): Memory => ({
  tag: null,
  digest: null,
  told: new Set(),
  configuredFor: null,
  inProgress: null,
  lookedAt: Number.NEGATIVE_INFINITY,
  seenAt: Number.NEGATIVE_INFINITY,
  endedAt: Number.POSITIVE_INFINITY,
})

/** Live runs whose job is listed, when their time has come, and ended ones until Flink's cache cannot hide their last. */
function chooseRuns(
  { followed, listing }: CheckpointPollOf,
  intervalMs: number,
  remember: (runId: string) => Memory,
): Look[] {
  const now = performance.now()
  return followed.flatMap(({ runs }) =>
    runs.flatMap((run) => {
      const job = listing.byId.get(run.flinkJobId)
      if (!job || job.state === 'INITIALIZING' || job.state === 'CREATED') return []
      // Another start-time is another JobManager, perhaps another run: what it shows is not yet anybody's.
      if (job.startTime !== run.flinkStartTime) return []
      const memory = remember(run.id)
      memory.endedAt = isTerminal(job.state) ? Math.min(memory.endedAt, now) : Number.POSITIVE_INFINITY
      if (now - memory.endedAt > LAST_LOOKS_MS || now - memory.lookedAt < intervalMs) return []
      memory.lookedAt = now
      return [{ run, job, memory }]
    }),
  )
}

/** Runs that are no longer followed leave no trace; a cluster that moved to another worker leaves with its last run. */
function forgetOthers(
  memories: Map<string, Map<string, Memory>>,
  { cluster, followed }: CheckpointPollOf,
): void {
  const known = memories.get(cluster.id)
  if (!known) return
  const followedRuns = new Set(followed.flatMap(({ runs }) => runs.map((run) => run.id)))
  for (const runId of known.keys()) if (!followedRuns.has(runId)) known.delete(runId)
  if (known.size === 0) memories.delete(cluster.id)
}

async function lookAt({ run, job, memory }: Look, client: FlinkClient): Promise<Found | null> {
  try {
    const answer = await client.pollCheckpoints(run.flinkJobId, memory.tag)
    memory.seenAt = performance.now()
    if (answer.kind !== 'changed') return null
    const inProgress = inProgressId(answer.statistics)
    const exceptions = await explain(answer.statistics, run, job, client)
    if (exceptions === 'not-yet') return null
    const report = describeStatistics(answer.statistics, {
      runId: run.id,
      flinkJobId: run.flinkJobId,
      completedCheckpoints: run.completedCheckpoints,
      inProgressBefore: memory.inProgress,
      exceptions,
    })
    // One in progress is told once it has been seen twice, so its bytes may not count as seen the first time.
    const settled = inProgress === memory.inProgress
    memory.inProgress = inProgress
    const config = await readConfigOnce({ run, job, memory }, client)
    const digest = digestOf(report)
    const tag = settled ? answer.tag : ''
    const entries = report.snapshots
    const snapshots = entries.filter((entry) => !memory.told.has(entryKey(entry)))
    if (snapshots.length === 0 && digest === memory.digest && config === null) {
      memory.tag = tag
      return null
    }
    return { look: { run, job, memory }, tag, digest, entries, report: { ...report, snapshots, config } }
  } catch (error) {
    if (error instanceof FlinkUnavailableError) return null // the next look asks again
    throw error
  }
}

/**
 * A checkpoint that failed in a task says only that the coordinator was suspended. Its cause is listed once the tasks have
 * been restarted (`real-flink.md` §5.5): until then, or until it is too late to hope, the failure is not written down.
 */
async function explain(statistics: CheckpointStatistics, run: KnownRun, job: FlinkJob, client: FlinkClient) {
  const failures = unexplainedFailures(statistics)
  if (failures.length === 0) return []
  const exceptions = await client.listExceptions(run.flinkJobId)
  const newest = Math.max(...failures.map((failure) => failure.failedAt ?? failure.triggeredAt))
  const explained = exceptions.some((exception) => exception.at >= newest - EXPLAINED_WITHIN_MS)
  if (explained || isTerminal(job.state)) return exceptions
  const { jobManagerNow, runningSince } = (await client.findJob(run.flinkJobId)) ?? job
  const hopeless =
    (jobManagerNow ?? Date.now()) - newest > EXPLAINED_WITHIN_MS ||
    (job.allTasksRunning && runningSince !== undefined && runningSince >= newest)
  return hopeless ? exceptions : 'not-yet'
}

async function readConfigOnce(
  { run, job, memory }: Look,
  client: FlinkClient,
): Promise<CheckpointConfig | null> {
  if (memory.configuredFor === job.startTime || (memory.configuredFor === null && run.configured)) {
    memory.configuredFor = job.startTime
    return null
  }
  const config = await client.readCheckpointConfig(run.flinkJobId)
  if (config) memory.configuredFor = job.startTime
  return config
}

/** What a report says beside its entries, in few characters, without what changes all the time and is worth no row. */
const digestOf = ({ restored, inProgress, counts }: CheckpointReport): string =>
  [counts.failed, counts.restored, restored?.flinkCheckpointId, inProgress?.id].join()

/** All of an entry that changes: a checkpoint is completed or failed, and later dropped. */
const entryKey = ({ flinkCheckpointId, status, discarded }: ObservedSnapshot): string =>
  `${flinkCheckpointId}${status[0]}${discarded ? 'd' : ''}`

async function write(
  { workerId, cluster }: CheckpointPollOf,
  found: readonly Found[],
  { checkpoints }: CheckpointObserverPorts,
): Promise<void> {
  const reports = found.map(({ report }) => report)
  const first = await checkpoints.record(workerId, cluster.id, reports)
  if (!first.owned) return
  if (first.again) await checkpoints.record(workerId, cluster.id, reports)
  const unsettled = new Set(first.unsettled)
  for (const { look, tag, digest, entries } of found) {
    const open = entries.filter(({ ownSnapshotId }) => ownSnapshotId !== null && unsettled.has(ownSnapshotId))
    look.memory.digest = digest
    look.memory.told = new Set(entries.filter((entry) => !open.includes(entry)).map(entryKey))
    // What its own advance has not settled yet is told once more, so that it lacks nothing in the end.
    look.memory.tag = open.length === 0 ? tag : ''
  }
}

/** At most `limit` at once; the first error ends it once those under way are done. */
async function eachOf<Item>(
  items: readonly Item[],
  limit: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  let next = 0
  const runner = async () => {
    for (let index = next++; index < items.length; index = next++) {
      const item = items[index]
      if (item !== undefined) await work(item)
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, runner))
}
