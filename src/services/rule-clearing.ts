/**
 * How a rule asks for a clearing. What is refused is remembered by this process and left alone for a while: asked again each
 * minute it would be refused each minute. A process that has forgotten asks once more, which does no harm.
 */

import type { RuleBasis } from '../domain/clearing.ts'
import { DomainError } from '../domain/errors.ts'
import type { RetentionRule } from '../domain/retention.ts'
import type { Log } from '../ports/process.ts'
import type { Services } from './api.ts'

export const RULE_PRINCIPAL = 'rule:retention'
/** Of one process; the oldest give way. */
const MOST_REMEMBERED = 50_000

export type RuleClearingPorts = {
  clearSnapshot: Services['clearSnapshot']
  log: Log
}

export type RuleClearing = {
  snapshot: string
  jobId: string
  namespaceId: string
  namespace: string
  rule: RetentionRule
  because: string
  basis: RuleBasis
}

/** `withdrawn`: the rule asks for it no longer. */
export type RuleOutcome = 'cleared' | 'kept' | 'withdrawn'

/** What was refused, until when it is left alone (`performance.now()`), by job. */
export type Refusals = {
  note(jobId: string, snapshotId: string): void
  /** The ids of a job that are left alone now. */
  of(jobId: string): string[]
  has(jobId: string, snapshotId: string): boolean
}

export function createRefusals(leaveAloneMs: number): Refusals {
  const byJob = new Map<string, Map<string, number>>()
  let remembered = 0
  const holds = (until: number | undefined): boolean => until !== undefined && until > performance.now()

  /** The job that was first refused something gives way; its snapshots are asked for once more. */
  const makeRoom = (): void => {
    for (const [jobId, refused] of byJob) {
      if (remembered <= MOST_REMEMBERED) return
      byJob.delete(jobId)
      remembered -= refused.size
    }
  }
  const forgetOver = (jobId: string, refused: Map<string, number>): void => {
    for (const [id, until] of refused) {
      if (holds(until)) continue
      refused.delete(id)
      remembered -= 1
    }
    if (refused.size === 0) byJob.delete(jobId)
  }

  return {
    note(jobId, snapshotId) {
      const refused = byJob.get(jobId) ?? new Map<string, number>()
      if (!refused.has(snapshotId)) remembered += 1
      refused.set(snapshotId, performance.now() + leaveAloneMs)
      byJob.set(jobId, refused)
      makeRoom()
    },
    of(jobId) {
      const refused = byJob.get(jobId)
      if (!refused) return []
      forgetOver(jobId, refused)
      return [...refused.keys()]
    },
    has: (jobId, snapshotId) => holds(byJob.get(jobId)?.get(snapshotId)),
  }
}

/** Then nothing can be asked at all: the round ends, and the next one begins where it is due. */
export const isDatabaseAway = (error: unknown): boolean =>
  error instanceof DomainError && error.code === 'DATABASE_UNAVAILABLE'

/**
 * What became of it: `cleared` when the clearing has begun. Whatever keeps one snapshot from being cleared keeps no other one. Asking for what is being
 * cleared already is harmless.
 */
export async function clearByRule(
  { snapshot, jobId, namespaceId, namespace, rule, because, basis }: RuleClearing,
  { clearSnapshot, log }: RuleClearingPorts,
  refusals: Refusals,
): Promise<RuleOutcome> {
  try {
    const { status } = await clearSnapshot({
      caller: { namespaceId, namespace, principal: RULE_PRINCIPAL },
      snapshot,
      why: { reason: rule, message: because, basis },
    })
    return status === 'Clearing' || status === 'Cleared' ? 'cleared' : 'withdrawn'
  } catch (error) {
    if (isDatabaseAway(error)) throw error
    refusals.note(jobId, snapshot)
    const fields = { snapshotId: snapshot, jobId, rule }
    if (error instanceof DomainError) {
      const { code, message } = error
      log.info({ ...fields, code, message }, 'a rule may not clear this snapshot now')
    } else {
      log.error({ ...fields, err: error }, 'a rule could not clear this snapshot')
    }
    return 'kept'
  }
}
