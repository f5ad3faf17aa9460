/**
 * Keeps checkpoint rows few. A round looks at a slice of the jobs and goes on where the last one stopped, so it costs the
 * same however many jobs there are: with 100,000 jobs and one worker every job's turn comes about every 20 minutes.
 */
import type { CheckpointHistoryRepository } from '../ports/runs.ts'

export type FoldOptions = {
  history: CheckpointHistoryRepository
  /** Jobs per round. */
  jobsPerRound?: number
  /** Rows per statement. */
  batchSize?: number
  /** A round that has taken this long stops between two statements. */
  budgetMs?: number
  /** Milliseconds, monotonic. */
  clock?: () => number
}

export type CheckpointFolder = {
  /** Answers true when the time was over before the work: go on at once. */
  round(): Promise<boolean>
}

export function createCheckpointFolder({
  history,
  jobsPerRound = 5_000,
  batchSize = 5_000,
  budgetMs = 10_000,
  clock = () => performance.now(),
}: FoldOptions): CheckpointFolder {
  let after: string | null = null
  return {
    async round() {
      const until = clock() + budgetMs
      const jobs = await history.listJobs(after, jobsPerRound)
      for (;;) {
        const folded = await history.foldCheckpoints(jobs, batchSize)
        if (folded < batchSize) break
        if (clock() >= until) return true // the same slice again
      }
      after = jobs.length < jobsPerRound ? null : (jobs.at(-1) ?? null)
      return false
    },
  }
}
