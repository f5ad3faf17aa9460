/** Figures for operators. */
import type { SnapshotStatus } from '../domain/snapshot-status.ts'
import type { Scope } from './scope.ts'

/** Ages in seconds; null where nothing is known yet. */
export type JobGauge = {
  job: string
  restorePointAgeSeconds: number | null
  observationAgeSeconds: number | null
}

export type InstallationGauges = {
  clearingOldestSeconds: number
  sweepLagSeconds: number
  /** Exact for Creating and Clearing, estimated for the others. */
  snapshots: Record<string, number>
}

export interface MetricsRepository {
  readJobs(scope: Scope): Promise<JobGauge[]>
  readInstallation(): Promise<InstallationGauges>
}

/** Counts what happened in this process. */
export interface SavepointMeter {
  settled(savepoint: { outcome: SnapshotStatus; reason: string; durationMs: number | null }): void
}
