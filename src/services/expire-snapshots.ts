/**
 * Clears the savepoints whose `expiresAt` has passed, whoever asked for them and whether their job runs or not. One that is
 * in use or protected is refused like anywhere else, stays, and is tried again; the preview of its job says why.
 */
import type { RetentionWorkRepository } from '../ports/retention.ts'
import { clearByRule, createRefusals, type RuleClearingPorts } from './rule-clearing.ts'

export type ExpireSnapshotsPorts = RuleClearingPorts & {
  retentionWork: Pick<RetentionWorkRepository, 'claimExpired' | 'recordApplied'>
  limits: {
    /** Between two rounds, in milliseconds. */
    retentionIntervalMs: number
  }
}

/** Taken by one worker at once. */
const PAGE = 200
const ROUNDS_LEFT_ALONE = 10

/** One page; answers whether the round goes on. */
export function createExpiryRound(ports: ExpireSnapshotsPorts): { round(): Promise<boolean> } {
  const everyMs = ports.limits.retentionIntervalMs
  const refusals = createRefusals(everyMs * ROUNDS_LEFT_ALONE)
  return {
    async round() {
      const expired = await ports.retentionWork.claimExpired({ limit: PAGE, everyMs })
      const tried = expired.filter(({ id, jobId }) => !refusals.has(jobId, id))
      const cleared = new Map<string, { namespaceId: string; count: number; kept: number }>()
      for (const { id, jobId, namespaceId, namespace, expiresAt } of tried) {
        const because = `It expired at ${expiresAt}.`
        const basis = { kind: 'EXPIRY' } as const
        const asked = {
          snapshot: id,
          jobId,
          namespaceId,
          namespace,
          rule: 'EXPIRED',
          because,
          basis,
        } as const
        const outcome = await clearByRule(asked, ports, refusals)
        if (outcome === 'withdrawn') continue
        const gone = outcome === 'cleared'
        const { count, kept } = cleared.get(jobId) ?? { count: 0, kept: 0 }
        cleared.set(jobId, { namespaceId, count: count + (gone ? 1 : 0), kept: kept + (gone ? 0 : 1) })
      }
      for (const [jobId, { namespaceId, count, kept }] of cleared) {
        if (count === 0) continue
        const counts = { KEEP_COUNT: 0, MAX_AGE: 0, EXPIRED: count }
        await ports.retentionWork.recordApplied({ namespaceId, jobId, cleared: counts, kept })
      }
      return expired.length === PAGE
    },
  }
}
