/**
 * Carries out the rules of the jobs that run: on its own every minute, and so also soon after a job that was stopped for long
 * runs again. A round goes over all jobs, page by page; any number of workers share it. What a rule asks to go is decided by
 * `domain/retention.ts`, and every clearing is asked for like a person's, which refuses under its lock what is in use.
 */
import {
  judgeSnapshot,
  RETENTION_RULES,
  type RetentionRule,
  type RetentionVerdict,
} from '../domain/retention.ts'
import type { ProtectionRepository } from '../ports/clearing.ts'
import type { DueJob, RetentionWorkRepository } from '../ports/retention.ts'
import {
  clearByRule,
  createRefusals,
  isDatabaseAway,
  type Refusals,
  type RuleClearingPorts,
} from './rule-clearing.ts'

export type ApplyRetentionPorts = RuleClearingPorts & {
  retentionWork: RetentionWorkRepository
  protections: ProtectionRepository
  limits: {
    /** Between two rounds, in milliseconds. */
    retentionIntervalMs: number
  }
}

/** Jobs looked through by one statement. */
const PAGE = 1_000
/** Cleared of one job by one round, the oldest first: the next one goes on. */
const MOST_OF_A_JOB = 200
/** Jobs whose clearings are asked for side by side: each is a few short statements. */
const AT_ONCE = 4
/** What is spared is looked at again after so many rounds, unless the rule or the list has changed. */
const ROUNDS_LEFT_ALONE = 10
const MOST_REMEMBERED = 50_000

/** One page; answers whether the round goes on. */
export function createRetentionRound(ports: ApplyRetentionPorts): { round(): Promise<boolean> } {
  const everyMs = ports.limits.retentionIntervalMs
  const leaveAloneMs = everyMs * ROUNDS_LEFT_ALONE
  const refusals = createRefusals(leaveAloneMs)
  const settled = createSettledJobs(leaveAloneMs)
  return {
    async round() {
      const range = await ports.retentionWork.claimJobs({ limit: PAGE, everyMs })
      if (range === null) return false
      const due = (await ports.retentionWork.listDue(range)).filter((job) => !settled.has(job))
      await eachOf(due, async (job) => {
        try {
          if (await applyToJob(job, ports, refusals)) settled.note(job)
        } catch (error) {
          if (isDatabaseAway(error)) throw error
          ports.log.error({ jobId: job.job.id, err: error }, 'a rule could not be applied to this job')
        }
      })
      return true
    },
  }
}

/**
 * Answers whether all that is to go was looked at, and nothing of it went. What was refused is left out of the next lists, so
 * it never stands in the way of the others; what is protected is a handful.
 */
async function applyToJob(due: DueJob, ports: ApplyRetentionPorts, refusals: Refusals): Promise<boolean> {
  const { job, namespaceId, namespace, policy } = due
  const basis = { kind: 'RETENTION', saved: due.saved } as const
  const except = refusals.of(job.id)
  const { now, candidates } = await ports.retentionWork.listCandidates(due, { limit: MOST_OF_A_JOB, except })
  if (candidates.length === 0) return true
  const protections = await ports.protections.ofJob({ namespaceId }, job.id)
  const verdicts = candidates.map((candidate) =>
    judgeSnapshot(candidate, {
      policy,
      beyondCount: candidate.beyondCount,
      protections: protections.get(candidate.id) ?? [],
      now,
    }),
  )
  const cleared = noneCleared()
  for (const { snapshot, rule, because } of verdicts.filter(isToGo)) {
    const asked = { snapshot, jobId: job.id, namespaceId, namespace, rule, because, basis }
    const outcome = await clearByRule(asked, ports, refusals)
    // The rule has been changed, or the job stopped: the next round asks what holds then.
    if (outcome === 'withdrawn') break
    if (outcome === 'cleared') cleared[rule] += 1
  }
  const count = RETENTION_RULES.reduce((sum, rule) => sum + cleared[rule], 0)
  if (count > 0) {
    const kept = candidates.length - count + except.length
    await ports.retentionWork.recordApplied({ namespaceId, jobId: job.id, cleared, kept })
    ports.log.info({ job: job.name, jobId: job.id, cleared, kept }, 'retention applied')
  }
  return count === 0 && candidates.length < MOST_OF_A_JOB
}

type ToGo = RetentionVerdict & { rule: RetentionRule }
const isToGo = (verdict: RetentionVerdict): verdict is ToGo =>
  verdict.verdict === 'CLEAR' && verdict.rule !== null

const noneCleared = (): Record<RetentionRule, number> => ({ KEEP_COUNT: 0, MAX_AGE: 0, EXPIRED: 0 })

/** Jobs of which nothing could go although the rule asks for it, by the signature of what it asks. */
function createSettledJobs(leaveAloneMs: number): { has(job: DueJob): boolean; note(job: DueJob): void } {
  const settled = new Map<string, { signature: string; until: number }>()
  return {
    has({ job, signature }) {
      const known = settled.get(job.id)
      return known !== undefined && known.signature === signature && known.until > performance.now()
    },
    note({ job, signature }) {
      settled.delete(job.id)
      settled.set(job.id, { signature, until: performance.now() + leaveAloneMs })
      for (const id of settled.keys()) {
        if (settled.size <= MOST_REMEMBERED) return
        settled.delete(id)
      }
    },
  }
}

/** The first error ends it, once what is under way is done. */
async function eachOf<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const queue = items[Symbol.iterator]()
  const failures: unknown[] = []
  const runner = async () => {
    for (const item of queue) {
      if (failures.length > 0) return
      await work(item).catch((error: unknown) => failures.push(error))
    }
  }
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, runner))
  if (failures.length > 0) throw failures[0]
}
