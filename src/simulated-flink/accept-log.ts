/** Every trigger that this Flink accepted: what an offline checker compares with the attempts of a client. */
export type AcceptedTrigger = {
  readonly at: number
  readonly kind: 'savepoint' | 'stop' | 'checkpoint' | 'disposal'
  readonly jobId: string
  readonly jobName: string | null
  readonly triggerId: string
  /** As it was asked, or the default. */
  readonly directory: string | null
  /** Posts of the same trigger id that found this one and did nothing. */
  repeats: number
  /** null: failed before Flink began it. */
  checkpointId: number | null
  /** lost: the JobManager died before it was settled. */
  outcome: 'pending' | 'completed' | 'failed' | 'lost'
  settledAt: number | null
  location: string | null
  failure: string | null
}

const LIMIT = 200_000

/** Bounded: the oldest half goes when it is full, as a cluster may run for weeks. */
export function appendTo(log: AcceptedTrigger[], entry: AcceptedTrigger): void {
  if (log.length >= LIMIT) log.splice(0, LIMIT / 2)
  log.push(entry)
}
