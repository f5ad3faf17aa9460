/** Application mode: the JobManager runs one program, from the start of its process to its end. */
import { randomBytes } from 'node:crypto'
import type { Cluster } from './cluster.ts'
import { type ClaimMode, createJob, type SimulatedJob } from './job.ts'
import { failToStart, startJob } from './lifecycle.ts'
import { notInitialized, restoreJob } from './restore.ts'

/**
 * What a started JobManager does with its program, when high availability has nothing newer of it: it begins with the
 * snapshot that the configuration names, each time with the same one, or empty. A snapshot that is gone ends the job.
 */
export async function startApplication(cluster: Cluster, job: SimulatedJob): Promise<void> {
  cluster.jobs.set(job.id, job)
  const path = read(cluster, 'execution.state-recovery.path', 'execution.savepoint.path')
  try {
    if (path !== null) await restoreJob(cluster, job, { path, ...restoreSettings(cluster) })
  } catch (error) {
    failToStart(cluster, job, notInitialized(error instanceof Error ? error.message : String(error)))
    return
  }
  startJob(cluster, job)
}

/** The program anew: under the id it had when high availability gives it one, else under a new one. */
export function nextApplication(cluster: Cluster, old: SimulatedJob, keepsId: boolean): SimulatedJob {
  const id = keepsId ? old.id : randomBytes(16).toString('hex')
  return createJob({ ...old, id }, cluster.clock.now())
}

const CLAIM_MODES: readonly ClaimMode[] = ['CLAIM', 'NO_CLAIM', 'LEGACY']

function restoreSettings(cluster: Cluster) {
  const asked = read(cluster, 'execution.state-recovery.claim-mode', 'execution.savepoint-restore-mode')
  const ignored = read(
    cluster,
    'execution.state-recovery.ignore-unclaimed-state',
    'execution.savepoint.ignore-unclaimed-state',
  )
  return {
    claimMode: CLAIM_MODES.find((mode) => mode === asked?.toUpperCase()) ?? ('NO_CLAIM' as const),
    allowNonRestoredState: ignored === 'true',
  }
}

const read = ({ extraConfiguration }: Cluster, key: string, oldKey: string): string | null =>
  extraConfiguration.get(key) ?? extraConfiguration.get(oldKey) ?? null
