/**
 * Verifies one snapshot and keeps what was found: the inspection of its `_metadata`, the report, the verdict on its row. Any
 * number of workers may do it at once; each writes only what it saw, in one statement.
 */
import { DomainError } from '../domain/errors.ts'
import type { VerificationReport } from '../domain/verification.ts'
import type { InspectionRepository, VerificationRepository } from '../ports/inspections.ts'
import type { Log } from '../ports/process.ts'
import type { Scope } from '../ports/scope.ts'
import type { Services, VerificationRunning } from './api.ts'
import { scopeOf } from './caller.ts'
import { type LookPorts, lookAtSnapshot, type ReadMetadata, type SnapshotLook } from './look-at-snapshot.ts'
import { checkReadable, toInspection } from './read-inspection.ts'
import { within } from './within.ts'

export type KeepVerificationPorts = LookPorts & {
  inspections: Pick<InspectionRepository, 'find' | 'save'>
  verifications: Pick<VerificationRepository, 'record'>
  log: Log
}
export type VerifyPorts = KeepVerificationPorts & {
  verifications: Pick<VerificationRepository, 'find' | 'findTarget' | 'record'>
}

/** `recorded` false: somebody else has claimed it, or it is no longer Present there. */
export async function verifyAndKeep(
  ports: KeepVerificationPorts,
  scope: Scope,
  { snapshotId, location }: { snapshotId: string; location: string },
  how: {
    by: string
    limitMs: number
    claim: string | null
    nextInMs: (look: SnapshotLook) => number | null
  },
): Promise<{ look: SnapshotLook; recorded: boolean }> {
  const look = await lookAtSnapshot(ports, scope, { location, by: how.by, limitMs: how.limitMs })
  if (look.read) await keepInspection(ports, scope, snapshotId, look.read)
  const { report, lost } = look
  const recorded = await ports.verifications.record(scope, {
    snapshotId,
    location,
    report,
    lost,
    claim: how.claim,
    nextInMs: how.nextInMs(look),
  })
  if (recorded && report.verdict !== 'WHOLE') {
    const { verdict, message, findingCount } = report
    ports.log.warn({ snapshotId, verdict, findingCount, lost }, message ?? 'a snapshot is not whole')
  }
  return { look, recorded }
}

/** A Present snapshot does not change, so it is written once; only another content at the same place is written again. */
async function keepInspection(
  { inspections }: KeepVerificationPorts,
  scope: Scope,
  snapshotId: string,
  read: ReadMetadata,
): Promise<void> {
  const kept = await inspections.find(scope, snapshotId)
  const isKept =
    kept?.metadataBytes === read.metadataBytes &&
    kept.fileCount === read.files.length &&
    kept.summary.checkpointId === read.summary.checkpointId
  if (!isKept) await inspections.save(scope, snapshotId, toInspection(read), read.files)
}

// ----------------------------------------------------------------------------------------------------- on demand

/** A big one goes on behind the answer for so long. */
const LIMIT_MS = 600_000
/** Of one process: each asks storage with up to 16 requests at once. */
const RUNNING_AT_MOST = 20

type Running = { startedAt: string; report: Promise<VerificationReport> }

/** The same snapshot asked for again, while it is being verified, joins that one. */
export function verifySnapshot(ports: VerifyPorts): Services['verifySnapshot'] {
  const running = new Map<string, Running>()
  const begin = (scope: Scope, snapshotId: string, location: string, by: string, now: string): Running => {
    const key = `${scope.namespaceId}/${snapshotId}`
    const known = running.get(key)
    if (known) return known
    if (running.size >= RUNNING_AT_MOST) {
      throw new DomainError('TOO_MANY_REQUESTS', 'Too many snapshots are being verified: ask again later.')
    }
    const report = verifyNow(ports, scope, { snapshotId, location, by })
    const one = { startedAt: now, report }
    running.set(key, one)
    report.catch((error: unknown) => {
      ports.log.warn({ snapshotId, error: String(error) }, 'a snapshot could not be verified')
    })
    const forget = () => running.delete(key)
    report.then(forget, forget)
    return one
  }
  return async ({ caller, snapshot, waitMs }) => {
    const scope = scopeOf(caller)
    const target = await ports.verifications.findTarget(scope, snapshot)
    if (!target) throw noSuch(snapshot)
    checkReadable({ id: snapshot, status: target.status })
    if (target.location === null) {
      throw new DomainError(
        'SNAPSHOT_NOT_PRESENT',
        `The snapshot ${snapshot} has no location: Flink keeps it where nobody else can reach it.`,
      )
    }
    const one = begin(scope, snapshot, target.location, caller.principal, target.now)
    const still: VerificationRunning = { snapshot, startedAt: one.startedAt }
    const report = await within(waitMs, one.report, null)
    return report ? { done: true, report: { snapshot, ...report } } : { done: false, running: still }
  }
}

async function verifyNow(
  ports: VerifyPorts,
  scope: Scope,
  { snapshotId, location, by }: { snapshotId: string; location: string; by: string },
): Promise<VerificationReport> {
  const { look, recorded } = await verifyAndKeep(
    ports,
    scope,
    { snapshotId, location },
    { by, limitMs: LIMIT_MS, claim: null, nextInMs: () => null },
  )
  if (!recorded) {
    throw new DomainError(
      'SNAPSHOT_NOT_PRESENT',
      `The snapshot ${snapshotId} has changed while it was verified.`,
    )
  }
  return (await ports.verifications.find(scope, snapshotId)) ?? look.report
}

export const getVerification =
  ({ verifications }: { verifications: Pick<VerificationRepository, 'find'> }): Services['getVerification'] =>
  async ({ caller, snapshot }) => {
    const report = await verifications.find(scopeOf(caller), snapshot)
    if (!report) {
      throw new DomainError('NOT_FOUND', `There is no verification of a snapshot ${snapshot.slice(0, 100)}.`)
    }
    return { snapshot, ...report }
  }

const noSuch = (snapshot: string): DomainError =>
  new DomainError('NOT_FOUND', `There is no snapshot ${snapshot.slice(0, 100)}.`)
