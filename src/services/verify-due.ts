/**
 * The workers' verification: soon after a savepoint completes, and again and again. Each round claims what is due, at most so
 * many a second, and does not wait for it: a big snapshot or a slow store holds up nobody else's. A worker that dies loses
 * its claims by time, and the snapshot is verified by another one.
 */
import { nextVerificationInMs } from '../domain/verification.ts'
import type { VerificationRepository, VerificationWork } from '../ports/inspections.ts'
import { type KeepVerificationPorts, verifyAndKeep } from './verify-snapshot.ts'

export type VerifyDuePorts = KeepVerificationPorts & {
  verifications: Pick<VerificationRepository, 'claimDue' | 'record'>
}

/** Under way in one worker, or as many as it may begin in a second: each asks storage with up to 16 requests at once. */
const AT_ONCE = 8
const LIMIT_MS = 600_000
/** Longer than anything takes: reading `_metadata` and the answers under way come on top of the limit. */
const CLAIMED_FOR_MS = LIMIT_MS + 300_000

export type VerificationRound = {
  /** To be called once a second. */
  round(): Promise<void>
  /** Waits for what is under way. */
  idle(): Promise<void>
}

export function createVerificationRound(
  ports: VerifyDuePorts,
  { perSecond, everyMs }: { perSecond: number; everyMs: number },
): VerificationRound {
  const underWay = new Set<Promise<void>>()
  const verify = async (work: VerificationWork): Promise<void> => {
    try {
      await verifyAndKeep(ports, { namespaceId: work.namespaceId }, work, {
        by: 'worker',
        limitMs: LIMIT_MS,
        claim: work.claim,
        nextInMs: ({ report, passing }) => nextVerificationInMs(report.verdict, { everyMs, passing }),
      })
    } catch (error) {
      ports.log.warn(
        { snapshotId: work.snapshotId, error: String(error) },
        'a snapshot could not be verified',
      )
    }
  }
  return {
    async round() {
      const limit = Math.min(perSecond, Math.max(AT_ONCE, perSecond) - underWay.size)
      if (limit <= 0) return
      for (const work of await ports.verifications.claimDue(limit, CLAIMED_FOR_MS)) {
        const one: Promise<void> = verify(work).finally(() => underWay.delete(one))
        underWay.add(one)
      }
    },
    async idle() {
      await Promise.all(underWay)
    },
  }
}
