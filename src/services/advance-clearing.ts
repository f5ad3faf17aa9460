/**
 * Moves one clearing on, called by the sweep any number of times. What has happened is read from Postgres and the store,
 * never remembered; what fails stays Clearing with its error and the time of the next try. Neither the job nor its cluster
 * is needed, unless Flink is the only way to the storage.
 */
import { clearingBackoffMs, nextClearingStep, readDisposalFailure } from '../domain/clearing-plan.ts'
import { FlinkUnavailableError } from '../domain/errors.ts'
import { rootCause } from '../domain/flink-failure.ts'
import { listUses } from '../domain/references.ts'
import type { ClearingWork } from '../ports/clearing.ts'
import type { FlinkClient, FlinkConnections } from '../ports/flink.ts'
import type { Log } from '../ports/process.ts'
import {
  type ClearFilesPorts,
  deleteFilesMetadata,
  deleteOtherFiles,
  listFiles,
  verifyFilesGone,
} from './clear-files.ts'
import {
  ClearingProblem,
  type ClearingStepped,
  type DeletingPorts,
  deleteMetadata,
  deleteOthers,
  listObjects,
  verifyGone,
} from './clear-objects.ts'
import { keepLease } from './keep-lease.ts'
import { NoOrphan, type ProveOrphanPorts, proveOrphan } from './prove-orphan.ts'
import { codeOf } from './storage-errors.ts'
import { advanceAll, type Swept } from './sweep.ts'

export type AdvanceClearingPorts = ClearFilesPorts &
  ProveOrphanPorts & {
    flink: Pick<FlinkConnections, 'to'>
    log: Log
    /** Asks for a sweep then, so that a short pause is not made longer by that between two sweeps. */
    sweepIn?: (ms: number) => void
    limits: {
      /** How often the lease is renewed while work is under way, in ms: a third of it. */
      renewMs: number
    }
  }

/** Claims up to `limit` due clearings and advances them side by side; `done` resolves when all are given back. */
export const sweepClearings =
  (ports: AdvanceClearingPorts) =>
  async (limit: number): Promise<Swept> =>
    advanceAll(await ports.clearingWork.claimDue(limit), (work) => advance(work, ports))

async function advance(claimed: ClearingWork, ports: AdvanceClearingPorts): Promise<void> {
  let work = claimed
  // a store may take longer for a few thousand objects than the lease lasts
  const lease = keepLease(() => ports.clearingWork.renew(claimed), ports.limits.renewMs)
  let written: unknown = !claimed.givenUp
  try {
    while (written) {
      const stepped = await takeStep(work, { ...ports, mayDelete: lease.isHeld })
      written = stepped.kind !== 'lost'
      if (stepped.kind !== 'next') break
      work = { ...work, tries: 0, ...stepped.changes }
      if (stepped.pauseMs > 0) {
        written = await ports.clearingWork.pause(work, stepped.pauseMs)
        ports.sweepIn?.(stepped.pauseMs)
        break
      }
    }
  } catch (error) {
    if (error instanceof NoOrphan) await abandon(work, ports, error)
    else written = await retreat(work, ports, error)
  } finally {
    lease.stop()
  }
  // nothing of ours is under way any more: now it may be said that nothing more is deleted
  if (!written) await leaveOnFailure(ports, work, ports.clearingWork.endGivenUp(work))
}

type Stepped = ClearingStepped | { kind: 'ended' }

async function takeStep(work: ClearingWork, ports: AdvanceClearingPorts & DeletingPorts): Promise<Stepped> {
  const byFiles = work.method === 'FILES'
  const step = nextClearingStep(work)
  if (work.subject === 'ORPHAN' && (step === 'list' || step === 'delete-metadata'))
    await proveOrphan(work, ports)
  switch (step) {
    case 'refuse':
      throw new ClearingProblem(work.blocked ?? '', BLOCKED[work.blocked ?? 'OBSERVE_ONLY'])
    case 'list':
      return byFiles ? listFiles(work, ports) : listObjects(work, ports)
    case 'delete-metadata':
      return byFiles ? deleteFilesMetadata(work, ports) : deleteMetadata(work, ports)
    case 'delete':
      return byFiles ? deleteOtherFiles(work, ports) : deleteOthers(work, ports)
    case 'verify':
      return byFiles ? verifyFilesGone(work, ports) : verifyGone(work, ports)
    case 'ask-flink':
      return askFlink(work, ports)
    case 'read-flink':
      return readFlink(work, ports)
    case 'forget':
      return end(work, 'FORGOTTEN', ports)
    case 'end':
      return end(work, 'CLEARED', ports)
  }
}

const BLOCKED = {
  OBSERVE_ONLY: 'The cluster of its job is observe-only: nothing is cleared there.',
  CLUSTER_IDENTITY_CHANGED: 'Another Flink cluster answers at the address of its cluster; confirm it first.',
} as const

async function end(
  work: ClearingWork,
  reason: 'CLEARED' | 'FORGOTTEN',
  { clearingWork, crashPoint, log }: AdvanceClearingPorts,
): Promise<Stepped> {
  crashPoint('clearing-verified')
  const ended = await clearingWork.end(work, reason)
  crashPoint('clearing-ended')
  if (ended) log.info({ snapshotId: work.snapshotId, reason }, 'cleared')
  return ended ? { kind: 'ended' } : { kind: 'lost' }
}

async function abandon(work: ClearingWork, ports: AdvanceClearingPorts, error: NoOrphan): Promise<void> {
  const { code, message } = error
  ports.log.info({ clearingId: work.id, code, message }, 'an orphan is none any more')
  await leaveOnFailure(ports, work, ports.clearingWork.abandon(work, { code, message }))
}

/** Shown with the snapshot, and tried again with a growing pause. */
async function retreat(work: ClearingWork, ports: AdvanceClearingPorts, error: unknown): Promise<unknown> {
  const shown = describe(error)
  ports.log[shown.foreseen ? 'warn' : 'error'](
    { snapshotId: work.snapshotId, phase: work.phase, error: shown.foreseen ? shown.message : error },
    'clearing could not go on, will be repeated',
  )
  const released = ports.clearingWork.release(work, {
    inMs: clearingBackoffMs(work.tries),
    tries: work.tries + 1,
    error: { code: shown.code, message: shown.message },
  })
  return leaveOnFailure(ports, work, released)
}

/** Postgres is away as well: the lease runs out and the sweep of any worker takes the row up again. */
const leaveOnFailure = (
  { log }: AdvanceClearingPorts,
  { snapshotId }: ClearingWork,
  write: Promise<unknown>,
): Promise<unknown> =>
  write.catch((cause: unknown) =>
    log.warn({ snapshotId, error: cause instanceof Error ? cause.message : cause }, 'lease left to expire'),
  )

function describe(error: unknown): { code: string; message: string; foreseen: boolean } {
  const code =
    error instanceof ClearingProblem
      ? error.code
      : error instanceof FlinkUnavailableError
        ? 'CLUSTER_UNREACHABLE'
        : codeOf(error)
  if (code !== null && error instanceof Error) return { code, message: error.message, foreseen: true }
  return { code: 'INTERNAL', message: 'Tidemark failed; its log says more.', foreseen: false }
}

// ---------------------------------------------------------------------------------------------------- Flink

const POLL_MS = 500
const KEEP_ENDS_IT = '`data=keep` ends the clearing and leaves what is there'

function flinkOf(
  { cluster, location }: ClearingWork,
  { flink }: AdvanceClearingPorts,
): [FlinkClient, string] {
  if (cluster === null)
    throw new ClearingProblem(
      'CLUSTER_UNREACHABLE',
      `The cluster that took it is deleted, and no other can tell whether it is gone; ${KEEP_ENDS_IT}.`,
    )
  if (location === null) throw new ClearingProblem('STORAGE_NOT_ADDRESSABLE', 'Where it lies is not known.')
  return [flink.to(cluster), location]
}

/** A repeat is a new operation of Flink's, which finds less or nothing: asking twice does no harm. */
async function askFlink(work: ClearingWork, ports: AdvanceClearingPorts): Promise<Stepped> {
  const { clearingWork, references, crashPoint } = ports
  // Timeout or Failed with no location: nothing was ever reported there, and only Flink could look.
  const [client, location] = flinkOf(work, ports)
  const used = work.snapshotId === null ? null : await references.read(work, work.snapshotId)
  if (used?.kind === 'CHECKPOINT') {
    throw new ClearingProblem(
      'FILES_OUTSIDE_PREFIX',
      'It is a checkpoint: Flink would delete files that others use.',
    )
  }
  const [use] = used ? listUses(used) : []
  if (use) throw new ClearingProblem('SNAPSHOT_IN_USE', use.message)
  const askedAt = await clearingWork.markAsked(work)
  if (askedAt === null) return { kind: 'lost' }
  crashPoint('clearing-flink-marked')
  const answer = await client.disposeSavepoint(location)
  if (answer.kind === 'refused') {
    throw new ClearingProblem(
      'CLUSTER_REFUSED',
      `Flink refused with ${answer.httpStatus}: ${rootCause(answer.text)}`,
    )
  }
  crashPoint('clearing-flink-asked')
  if (!(await clearingWork.markAccepted(work, answer.triggerId))) return { kind: 'lost' }
  return {
    kind: 'next',
    changes: { askedAt, triggerId: answer.triggerId, phase: 'DELETING' },
    pauseMs: POLL_MS,
  }
}

/** Accepted is not done: only the result says that it is gone. */
async function readFlink(work: ClearingWork, ports: AdvanceClearingPorts): Promise<Stepped> {
  const [client] = flinkOf(work, ports)
  const answer = await client.readDisposal(work.triggerId ?? '')
  switch (answer.kind) {
    case 'pending':
      return { kind: 'next', changes: {}, pauseMs: POLL_MS }
    case 'completed':
      return gone(work, ports)
    case 'unknown':
      // Another JobManager leads now and knows nothing of it: the question is put again.
      return (await ports.clearingWork.markAsked(work))
        ? { kind: 'next', changes: { triggerId: null }, pauseMs: POLL_MS }
        : { kind: 'lost' }
    case 'failed': {
      const cause = rootCause(answer.failure.text)
      const found = readDisposalFailure(answer.failure.text)
      if (found === 'gone' && work.clusterTookIt) return gone(work, ports)
      await ports.clearingWork.markAsked(work)
      throw new ClearingProblem('CLUSTER_REFUSED', `${REFUSED[found]}: ${cause}`)
    }
  }
}

const REFUSED: Record<ReturnType<typeof readDisposalFailure>, string> = {
  gone: `Flink finds nothing there, but no run says that this cluster took it: it may lie where another one sees it; ${KEEP_ENDS_IT}`,
  'metadata-gone': 'Flink finds the directory without its _metadata, so it cannot delete what is left there',
  failed: 'Flink could not dispose of it',
}

async function gone(work: ClearingWork, { clearingWork }: AdvanceClearingPorts): Promise<Stepped> {
  const moved = await clearingWork.moveOn(work, { phase: 'VERIFYING' })
  return moved ? { kind: 'next', changes: { phase: 'VERIFYING' }, pauseMs: 0 } : { kind: 'lost' }
}
