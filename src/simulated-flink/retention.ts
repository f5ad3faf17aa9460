/** Which checkpoints a job keeps, what goes when one is dropped, and what its end leaves. */
import { markDiscarded } from './checkpoint-statistics.ts'
import type { Cluster } from './cluster.ts'
import type { RetainedCheckpoint, SimulatedJob } from './job.ts'

/** With JobManager storage there are no files, and nobody else can restore it. */
export const NOT_ADDRESSABLE = '<checkpoint-not-externally-addressable>'

export function retain(cluster: Cluster, job: SimulatedJob, checkpoint: RetainedCheckpoint): void {
  job.retained.push(checkpoint)
  // Flink replaces a number below 1 by 1.
  while (job.retained.length > Math.max(1, job.settings.numRetained)) discardOldest(cluster, job)
}

function discardOldest(cluster: Cluster, job: SimulatedJob): void {
  const oldest = job.retained.shift()
  if (oldest === undefined) return
  if (oldest.entry !== null) markDiscarded(job.statistics, oldest.entry)
  void removeFiles(cluster, job, oldest).catch(() => undefined)
}

/** `_metadata` and the private files first, then what no other retained checkpoint refers to. */
async function removeFiles(cluster: Cluster, job: SimulatedJob, dropped: RetainedCheckpoint): Promise<void> {
  if (dropped.location === NOT_ADDRESSABLE) return
  const used = new Set(job.retained.flatMap(({ shared }) => shared))
  await cluster.files.removeDirectory(dropped.location)
  for (const file of dropped.shared) {
    if (!used.has(file)) await cluster.files.removeFile(file.location)
  }
}

/** At the end of a job: FINISHED keeps no checkpoint whatever the retention says. */
export function releaseCheckpoints(cluster: Cluster, job: SimulatedJob): void {
  const { retention } = job.settings
  const keeps =
    (job.state === 'CANCELED' && retention === 'RETAIN_ON_CANCELLATION') ||
    (job.state === 'FAILED' && retention !== 'NO_EXTERNALIZED_CHECKPOINTS')
  if (keeps) return
  while (job.retained.length > 0) discardOldest(cluster, job)
}
