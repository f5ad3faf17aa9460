/** What a job begins with when it is started from a snapshot. */
import type { Cluster } from './cluster.ts'
import { qualify } from './files.ts'
import { completionException, headline, type JavaThrowable, throwable } from './java-throwable.ts'
import type { ClaimMode, SimulatedJob } from './job.ts'
import { readCheckpointId } from './metadata-bytes.ts'
import { missingSnapshot } from './triggers.ts'

export type RestoreOrder = { path: string; claimMode: ClaimMode; allowNonRestoredState: boolean }

/** Throws in Flink's words when there is nothing, or when it does not fit. */
export async function restoreJob(
  cluster: Cluster,
  job: SimulatedJob,
  { path, claimMode, allowNonRestoredState }: RestoreOrder,
): Promise<void> {
  const location = qualify(path).replace(/\/_metadata$/, '')
  const metadata = await cluster.files.read(`${location}/_metadata`)
  if (metadata === null) throw new Error(missingSnapshot(path))
  const { shared, total } = cluster.files.stores
    ? await cluster.checkRestore(metadata, job, { location, allowNonRestoredState })
    : { shared: [], total: null }
  const checkpointId = readCheckpointId(metadata)
  job.nextCheckpointId = checkpointId + 1
  const counted = total ?? 0
  job.startedFrom = { checkpointId, location, claimMode, total: counted }
  // A claimed snapshot counts as the job's oldest checkpoint, and is deleted as such.
  if (claimMode === 'CLAIM') {
    job.retained.push({ checkpointId, location, entry: null, shared, total: counted })
  }
}

/** How the JobManager says that a restore failed. */
export function notInitialized(text: string): JavaThrowable {
  return throwable(
    'org.apache.flink.runtime.client.JobInitializationException',
    'Could not start the JobMaster.',
    completionException(reasonOf(text)),
  )
}

function reasonOf(text: string): JavaThrowable {
  if (/^(Failed to rollback|The state for task)/.test(text))
    return throwable('java.lang.IllegalStateException', text)
  const missing = throwable('java.io.FileNotFoundException', text)
  return throwable('java.lang.RuntimeException', headline(missing), missing)
}
