/** An immutable, numbered configuration of a job. */
import type { Labels } from './snapshot.ts'

/** As given. `checkpointing` and `state` are checked when a version is created; versions from before may hold anything there. */
export type JobVersionSpec = {
  artifact?: string
  entryClass?: string
  programArgs?: string[]
  parallelism?: number
  maxParallelism?: number
  checkpointing?: Record<string, unknown>
  state?: Record<string, unknown>
  flinkConfiguration?: Record<string, string>
}

export type JobVersion = JobVersionSpec & {
  number: number
  labels: Labels
  createdAt: string
  createdBy: string
}
