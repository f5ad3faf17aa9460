/**
 * Accepts a savepoint: reads Postgres only, commits the whole intent in one statement, nudges, answers. When the nudge is
 * lost the sweep finds the row. An idempotency key is looked up only once something stands in the way, so that the
 * ordinary path is two statements.
 */
import { DomainError } from '../domain/errors.ts'
import type { Snapshot } from '../domain/snapshot.ts'
import type { CrashPoint, Nudges } from '../ports/process.ts'
import type { IdempotencyKey } from '../ports/scope.ts'
import type { SavepointContext, SnapshotRepository } from '../ports/snapshots.ts'
import type { Caller, Command, SavepointInput, Services } from './api.ts'
import { clusterIdentityChanged, triggersUnsupported } from './cluster-refusals.ts'
import { placeFor } from './savepoint-place.ts'

export type RequestSavepointPorts = {
  snapshots: SnapshotRepository
  nudges: Nudges
  newId: () => string
  newTriggerId: () => string
  crashPoint: CrashPoint
}

/** A schedule asks as a person does, but nobody else may say that it was one. */
export type ScheduledSavepoint = Command<Omit<SavepointInput, 'source'> & { source: 'SCHEDULE'; job: string }>
type Request = Command<SavepointInput & { job: string }> | ScheduledSavepoint
type Answer = Awaited<ReturnType<Services['requestSavepoint']>>

/** Two lost races in a row are bad luck, five are a defect. */
const MAX_RACES = 5

export const requestSavepoint =
  (ports: RequestSavepointPorts) =>
  async (request: Request): Promise<Answer> => {
    if (request.expiresAt !== undefined && Date.parse(request.expiresAt) <= Date.now()) {
      throw new DomainError('VALIDATION_FAILED', 'expiresAt lies in the past.', {
        errors: [{ pointer: '/body/expiresAt', detail: 'must be in the future' }],
      })
    }
    for (let race = 0; race < MAX_RACES; race++) {
      const answer = await tryOnce(request, ports)
      if (answer) return answer
    }
    throw new DomainError('OVERLOADED', 'Too many savepoints of this job are requested at once; try again.')
  }

/** null: another request won in between; look again. */
async function tryOnce(request: Request, ports: RequestSavepointPorts): Promise<Answer | null> {
  const { caller } = request
  const key = idempotencyKey(request)
  const context = await ports.snapshots.readContext(
    caller,
    request.job,
    request.reuseWithinSeconds !== undefined,
  )
  const obstacle = context
    ? findObstacle(context, request)
    : { kind: 'refuse' as const, error: jobNotFound(request.job) }
  if (obstacle) {
    const replayed = key && (await replay(caller, key, ports))
    if (replayed) return replayed
    if (obstacle.kind === 'refuse') throw obstacle.error
    return answerExisting(caller, obstacle, key, ports)
  }
  if (!context) return null
  return insert(request, context, key, ports)
}

async function insert(
  request: Request,
  context: SavepointContext,
  key: IdempotencyKey | undefined,
  ports: RequestSavepointPorts,
): Promise<Answer | null> {
  const id = ports.newId()
  const place = placeFor({
    root: context.storage.uri,
    namespace: request.caller.namespace,
    job: context.job.name,
    id,
  })
  const inserted = await ports.snapshots.insertSavepoint(
    request.caller,
    {
      id,
      job: { id: context.job.id, name: context.job.name },
      runId: context.run?.id ?? null,
      jobVersion: context.run?.version ?? context.job.latestVersion,
      storage: context.storage,
      source: request.source ?? 'MANUAL',
      description: request.description?.trim() || generateDescription(request, context),
      labels: request.labels ?? {},
      format: request.format ?? 'CANONICAL',
      timeoutSeconds: request.timeoutSeconds ?? context.job.savepointTimeoutSeconds,
      expiresAt: request.expiresAt ?? null,
      ...place,
      triggerId: ports.newTriggerId(),
      createdBy: request.caller.principal,
    },
    key,
  )
  if (inserted.kind === 'in-progress') return null
  if (inserted.kind === 'idempotency-race') return key ? replay(request.caller, key, ports) : null
  ports.crashPoint('row-committed')
  ports.nudges.savepointDue()
  ports.crashPoint('nudge-sent')
  return { resource: inserted.snapshot, replayed: false, joined: false, reused: false }
}

function generateDescription(request: Request, { job, run }: SavepointContext): string {
  const version = run?.version ?? job.latestVersion
  const what = request.source === 'DEPLOY' ? 'Savepoint before a deploy' : 'Savepoint'
  return `${what} of ${job.name}${version === null ? '' : ` version ${version}`}, requested by ${request.caller.principal}`
}

// ------------------------------------------------------------------------------------------------- obstacles

type Obstacle =
  | { kind: 'refuse'; error: DomainError }
  | { kind: 'join'; id: string }
  | { kind: 'reuse'; id: string }

function findObstacle(context: SavepointContext, request: Request): Obstacle | null {
  const refusal = refuse(context)
  if (refusal) return { kind: 'refuse', error: refusal }
  const { fresh, unsettled } = context
  if (fresh && request.reuseWithinSeconds !== undefined && fresh.ageSeconds <= request.reuseWithinSeconds) {
    return { kind: 'reuse', id: fresh.id }
  }
  if (!unsettled) return null
  return request.ifRunning === 'JOIN'
    ? { kind: 'join', id: unsettled.id }
    : { kind: 'refuse', error: savepointInProgress(context, unsettled.id) }
}

/** What Postgres alone can already tell. A stale observation refuses nothing: the attempt then fails with that code. */
function refuse({ cluster, job, run, observationIsFresh }: SavepointContext): DomainError | null {
  if (cluster.mode === 'OBSERVE_ONLY') {
    return new DomainError(
      'OBSERVE_ONLY',
      `The cluster ${cluster.name} is observe-only: nothing is triggered there.`,
    )
  }
  if (cluster.identityChanged && !cluster.followIdentity) {
    return clusterIdentityChanged(cluster.name)
  }
  if (cluster.capabilities && !cluster.capabilities.idempotentTriggers) {
    return triggersUnsupported(cluster, 'savepoints with our own trigger ids')
  }
  if (job.ambiguous) {
    return new DomainError(
      'JOB_AMBIGUOUS',
      `More than one live Flink job is called like the one ${job.name} follows: ${job.ambiguous.join(', ')}.`,
      { extra: { flinkJobIds: job.ambiguous } },
    )
  }
  if (!job.attached && !run) {
    return new DomainError('JOB_NOT_RUNNING', `The job ${job.name} has never been started.`)
  }
  if (
    observationIsFresh &&
    run &&
    (run.state === 'FINISHED' || run.state === 'CANCELED' || run.state === 'FAILED')
  ) {
    return new DomainError(
      'JOB_NOT_RUNNING',
      `The job ${job.name} is not running: its last run ended ${run.state}.`,
      {
        extra: { run: run.id },
      },
    )
  }
  return null
}

const jobNotFound = (job: string): DomainError => new DomainError('NOT_FOUND', `There is no job ${job}.`)

const savepointInProgress = ({ job }: SavepointContext, id: string): DomainError =>
  new DomainError(
    'SAVEPOINT_IN_PROGRESS',
    `A savepoint of ${job.name} is in progress. Wait for it, or ask with ifRunning JOIN to get it as the answer.`,
    { extra: { savepoint: `/v1/snapshots/${id}` } },
  )

// ------------------------------------------------------------------------------------------------ idempotency

const idempotencyKey = ({ caller, idempotency }: Request): IdempotencyKey | undefined =>
  idempotency && { principal: caller.principal, ...idempotency }

async function replay(
  caller: Caller,
  key: IdempotencyKey,
  ports: RequestSavepointPorts,
): Promise<Answer | null> {
  const earlier = await ports.snapshots.findIdempotent(caller, key)
  if (!earlier) return null
  if (earlier.kind === 'key-reused') {
    throw new DomainError('IDEMPOTENCY_KEY_REUSED', 'This Idempotency-Key was used with another body.')
  }
  const resource = await mustFind(caller, earlier.id, ports)
  return { resource, replayed: true, joined: false, reused: false }
}

/** The key then means the snapshot that answers: repeated, it answers the same one. */
async function answerExisting(
  caller: Caller,
  obstacle: { kind: 'join' | 'reuse'; id: string },
  key: IdempotencyKey | undefined,
  ports: RequestSavepointPorts,
): Promise<Answer | null> {
  if (key && !(await ports.snapshots.rememberIdempotent(caller, key, obstacle.id))) return null
  const resource = await mustFind(caller, obstacle.id, ports)
  return { resource, replayed: false, joined: obstacle.kind === 'join', reused: obstacle.kind === 'reuse' }
}

async function mustFind(caller: Caller, id: string, ports: RequestSavepointPorts): Promise<Snapshot> {
  const snapshot = await ports.snapshots.find(caller, id)
  if (!snapshot) throw new DomainError('NOT_FOUND', `The snapshot ${id} of this Idempotency-Key is gone.`)
  return snapshot
}
