/**
 * Moves one start on: brings the jar, chooses the restore point, commits the run, asks Flink once, watches what comes of it.
 * Every step may be repeated by any worker; Flink is asked only right after `askedAt` was committed, by the worker that
 * committed it, and with `askedAt` set the job id is only ever looked up (`domain/start-plan.ts`).
 */
import { DomainError, FlinkUnavailableError } from '../domain/errors.ts'
import type { RunAnswer, RunRequest } from '../domain/flink.ts'
import { renderFlinkConfiguration } from '../domain/flink-configuration.ts'
import { readFlinkVersion } from '../domain/flink-settings.ts'
import { locationKey, parseLocation, snapshotDirectory } from '../domain/location.ts'
import type { ChosenRestorePoint, LifecycleResult, OperationStep } from '../domain/operation.ts'
import { beginStep, currentStep, endStep } from '../domain/operation-steps.ts'
import { NEVER_SEEN } from '../domain/run-observation.ts'
import { classifyStartFailure } from '../domain/start-failure.ts'
import { nextStartStep, retentionAgainstClaim, startConfiguration } from '../domain/start-plan.ts'
import type { FlinkClient, FlinkConnections } from '../ports/flink.ts'
import type { SeenRun, StartWork, SubmittedRun } from '../ports/lifecycle.ts'
import type { CrashPoint } from '../ports/process.ts'
import type { Advanced } from './advance-lifecycle.ts'
import { type ChooseRestorePointPorts, chooseRestorePoint } from './choose-restore-point.ts'
import { clockFrom } from './database-clock.ts'
import { describeRun, failStart, LEASE_LOST, type Reason, type StartEndPorts } from './end-start.ts'
import { type ResolveArtifactPorts, resolveArtifact } from './resolve-artifact.ts'
import { watchStart } from './watch-start.ts'

export type AdvanceStartPorts = ChooseRestorePointPorts &
  ResolveArtifactPorts &
  StartEndPorts & {
    flink: FlinkConnections
    newId: () => string
    /** 32 hex digits. */
    newFlinkJobId: () => string
    crashPoint: CrashPoint
  }

/**
 * A process that was frozen between the commit and the question asks no more: by then a person may have said that the run is
 * over, and the next one may have begun.
 */
const ASK_WITHIN_MS = 5_000
/** A snapshot that was there at the choice and is claimed, or gone, at the commit: bad luck twice, then a pause. */
const CHOICES = 3
const CHOOSE_AGAIN_MS = 500
const AT_ONCE: Advanced = { againInMs: 0 }
const WARNINGS_SHOWN = 20

export async function advanceStart(work: StartWork, ports: AdvanceStartPorts): Promise<Advanced> {
  const next = nextStartStep({ ...work, otherRun: work.job.otherRun })
  switch (next.do) {
    case 'fail':
      return failStart(work, ports, next, neverStarted(work, next))
    case 'wait':
      return wait(work, ports, next)
    case 'submit':
      return prepareAndAsk(work, ports, submit)
    case 'ask-again':
      return prepareAndAsk(work, ports, askAgain)
    case 'look':
      return watchStart(work, ports, next.last)
  }
}

/** Committed, and certain that Flink executed nothing: such a run is over. */
const neverStarted = (work: StartWork, failure: Reason): SeenRun | null =>
  work.run === null ? null : describeRun(null, 'FAILED', failure)

// ------------------------------------------------------------------------------------------------------ steps

/** What a worker carries from step to step. */
type Going = {
  readonly work: StartWork
  readonly flink: FlinkClient
  readonly now: () => Date
  steps: OperationStep[]
}
/** `askedAt` is committed, and nobody has asked since: this worker has to, at once. */
type Asking = { work: StartWork; flink: FlinkClient; jarId: string; committedAt: number; now: () => Date }

/** What will be refused the same way at every try. All else that cannot be asked is tried again. */
const HOPELESS: ReadonlySet<string> = new Set([
  'NOT_FOUND',
  'REFERENCE_NOT_FOUND',
  'VERSION_NOT_STARTABLE',
  'CLAIM_NOT_ALLOWED',
  'ARTIFACT_INVALID',
  'LOCATION_INVALID',
  'LOCATION_OUTSIDE_ROOT',
  'STORAGE_NOT_ADDRESSABLE',
  'VALIDATION_FAILED',
  'CLUSTER_REFUSED',
  'CLUSTER_UNSUPPORTED',
])

async function prepareAndAsk(
  work: StartWork,
  ports: AdvanceStartPorts,
  prepare: (going: Going, ports: AdvanceStartPorts) => Promise<Advanced | Asking>,
): Promise<Advanced> {
  const now = clockFrom(work.now)
  const going: Going = { work, flink: ports.flink.to(work.cluster.address), steps: work.steps, now }
  let prepared: Advanced | Asking
  try {
    prepared = await prepare(going, ports)
  } catch (error) {
    if (!(error instanceof DomainError) || !HOPELESS.has(error.code)) throw error
    return failStart({ ...work, steps: going.steps, now: now() }, ports, error, neverStarted(work, error))
  }
  return prepared === 'over' || 'againInMs' in prepared ? prepared : ask(prepared, ports)
}

/** Begins a step where everybody sees it, once; false when the lease was lost. */
async function begin(going: Going, ports: AdvanceStartPorts, name: string): Promise<boolean> {
  const status = going.steps.find((step) => step.name === name)?.status
  if (status !== 'WAITING') return true
  going.steps = beginStep(going.steps, name, going.now())
  return ports.lifecycleWork.record(going.work, { steps: going.steps })
}

async function wait(
  work: StartWork,
  ports: AdvanceStartPorts,
  { inMs, message }: { inMs: number; message: string },
): Promise<Advanced> {
  const name = currentStep(work.steps)
  if (work.steps.find((step) => step.name === name)?.message !== message) {
    await ports.lifecycleWork.record(work, { steps: beginStep(work.steps, name, work.now, message) })
  }
  return { againInMs: inMs }
}

async function submit(going: Going, ports: AdvanceStartPorts): Promise<Advanced | Asking> {
  const { work } = going
  checkVersion(work)
  if (!(await begin(going, ports, 'upload'))) return LEASE_LOST
  const jarId = await bringJar(going, ports)
  for (let choice = 0; choice < CHOICES; choice++) {
    if (!(await begin(going, ports, 'choose'))) return LEASE_LOST
    const at = { ...work, steps: going.steps, now: going.now() }
    const chosen = await chooseRestorePoint(at, ports)
    if (chosen.kind === 'wait') return wait(at, ports, chosen)
    if (chosen.kind === 'refuse') {
      const { restorePoint } = chosen
      return failStart(at, ports, restorePoint.because, null, { restorePoint })
    }
    if (going.now() >= work.deadlineAt) return AT_ONCE // the next step says so
    const committedAt = performance.now()
    const committed = await commit(at, ports, chosen.restorePoint)
    if (committed === 'lease-lost') return LEASE_LOST
    if (committed !== 'taken') return { ...going, work: committed, jarId, committedAt }
    const fresh = await ports.lifecycleWork.renew(work)
    if (fresh?.kind !== 'START') return LEASE_LOST
    if (fresh.job.otherRun) return AT_ONCE // the next step refuses it
  }
  return { againInMs: CHOOSE_AGAIN_MS }
}

/** The work as it stands once the run is committed as SUBMITTING. */
async function commit(
  work: StartWork,
  ports: AdvanceStartPorts,
  restorePoint: ChosenRestorePoint,
): Promise<StartWork | 'taken' | 'lease-lost'> {
  const message = restorePoint.location === null ? 'without state' : `from ${restorePoint.location}`
  const done = endStep(work.steps, 'choose', 'DONE', work.now, message)
  const steps = beginStep(done, 'submit', work.now)
  const result: LifecycleResult = { restorePoint, ...warningsOf(work) }
  const run: SubmittedRun = {
    id: ports.newId(),
    flinkJobId: ports.newFlinkJobId(),
    version: work.version.number,
    restored: restoredOf(restorePoint),
    claimMode: restorePoint.claimMode === 'CLAIM' ? 'CLAIM' : 'NO_CLAIM',
  }
  const submitted = await ports.lifecycleWork.submit(work, run, { steps, result })
  if (submitted !== 'submitted') return submitted
  ports.crashPoint('start-submitted')
  const { location } = restorePoint
  const fields = { operationId: work.id, job: work.job.name, flinkJobId: run.flinkJobId, restored: location }
  ports.log.info(fields, 'start committed')
  const begun = {
    id: run.id,
    flinkJobId: run.flinkJobId,
    state: 'SUBMITTING' as const,
    over: false,
    flinkStartTime: NEVER_SEEN,
    allTasksRunning: false,
    failure: null,
    version: run.version,
  }
  return { ...work, steps, result: { ...work.result, ...result }, askedAt: work.now, run: begun }
}

function restoredOf({ snapshot, location }: ChosenRestorePoint): SubmittedRun['restored'] {
  if (location === null) return null
  return {
    snapshotId: snapshot,
    location,
    locationKey: locationKey(snapshotDirectory(parseLocation(location))),
  }
}

/** The same id again, only ever after `unask`. */
async function askAgain(going: Going, ports: AdvanceStartPorts): Promise<Advanced | Asking> {
  const jarId = await bringJar(going, ports)
  const now = going.now()
  if (now >= going.work.deadlineAt) return AT_ONCE
  const steps = beginStep(going.steps, 'submit', now)
  const committedAt = performance.now()
  if (!(await ports.lifecycleWork.askAgain(going.work, { steps }))) return LEASE_LOST
  ports.crashPoint('start-submitted')
  return { ...going, work: { ...going.work, steps, askedAt: now }, jarId, committedAt }
}

async function ask(asking: Asking, ports: AdvanceStartPorts): Promise<Advanced> {
  const { work, flink, jarId, now } = asking
  if (performance.now() - asking.committedAt > ASK_WITHIN_MS) {
    await ports.lifecycleWork.unask(work)
    return AT_ONCE
  }
  let answer: RunAnswer
  try {
    answer = await flink.runJar(runRequest(work, jarId))
  } catch (error) {
    const certain = error instanceof FlinkUnavailableError && !error.mayHaveArrived
    if (certain) await ports.lifecycleWork.unask(work)
    throw error
  }
  ports.crashPoint('start-asked')
  if (answer.kind === 'jar-missing') {
    await ports.lifecycleWork.unask(work) // its JobManager was replaced: the jar is brought once more
    return AT_ONCE
  }
  const answered = { ...work, now: now() }
  if (answer.kind === 'refused') return hearRefusal(answered, answer, ports)
  const steps = beginStep(work.steps, 'run', answered.now)
  const recorded = await ports.lifecycleWork.record(work, { steps })
  return recorded ? watchStart({ ...answered, steps }, ports, false) : LEASE_LOST
}

/**
 * Recorded before it is acted on: the program may have submitted the job and then failed. A duplicate of an id that only we
 * know means that the request had arrived already.
 */
async function hearRefusal(
  work: StartWork,
  { httpStatus, text }: Extract<RunAnswer, { kind: 'refused' }>,
  ports: AdvanceStartPorts,
): Promise<Advanced> {
  const refusal = classifyStartFailure(text)
  ports.log.info(
    { operationId: work.id, job: work.job.name, flinkJobId: work.run?.flinkJobId, httpStatus, ...refusal },
    'start refused',
  )
  const taken = refusal.code === 'JOB_ID_TAKEN'
  const steps = taken ? beginStep(work.steps, 'run', work.now) : work.steps
  const result: LifecycleResult = taken ? {} : { refusal }
  if (!(await ports.lifecycleWork.record(work, { steps, result }))) return LEASE_LOST
  return watchStart({ ...work, steps, result: { ...work.result, ...result } }, ports, false)
}

// -------------------------------------------------------------------------------------------------------- jar

/** The id of our jar on this JobManager. Uploaded jars do not survive it, so it is looked for every time. */
async function bringJar(going: Going, ports: AdvanceStartPorts): Promise<string> {
  const { work, flink } = going
  const { namespaceId, storage, version } = work
  const artifact = await resolveArtifact(
    ports,
    { namespaceId },
    { storage, artifact: version.artifact ?? '' },
  )
  const name = `tidemark-${artifact.name}`
  const there = (await flink.listJars()).find((jar) => jar.name === name)
  const id =
    there?.id ?? (await flink.uploadJar({ name, sizeBytes: artifact.sizeBytes, read: artifact.read }))
  if (going.steps.some((step) => step.name === 'upload' && step.status === 'RUNNING')) {
    const message = there ? `${name} was there` : `${name}, ${artifact.sizeBytes} bytes`
    going.steps = endStep(going.steps, 'upload', 'DONE', going.now(), message)
  }
  return id
}

/** As at its request: a version is immutable, but one from before may hold anything. */
function checkVersion({ version, request }: StartWork): void {
  if (version.artifact === undefined) {
    throw new DomainError('VERSION_NOT_STARTABLE', `Version ${version.number} names no artifact.`)
  }
  const retention = retentionAgainstClaim(version, request.restore)
  if (retention !== null) {
    const message = `Version ${version.number} keeps its checkpoints ${retention}: a claimed snapshot would go with them.`
    throw new DomainError('CLAIM_NOT_ALLOWED', message)
  }
}

/** Follows from the row alone, so that a second worker asks for the same. */
function runRequest(work: StartWork, jarId: string): RunRequest {
  const { version, result, request, run } = work
  const { configuration } = render(work)
  return {
    jarId,
    flinkJobId: run?.flinkJobId ?? '',
    entryClass: version.entryClass ?? null,
    programArgs: version.programArgs ?? [],
    parallelism: version.parallelism ?? null,
    savepointPath: result.restorePoint?.location ?? null,
    claimMode: result.restorePoint?.claimMode === 'CLAIM' ? 'CLAIM' : 'NO_CLAIM',
    claimModeField: work.cluster.claimMode ? 'claimMode' : 'restoreMode',
    allowNonRestoredState: request.restore.allowNonRestoredState ?? false,
    flinkConfiguration: startConfiguration(configuration, {
      jobName: work.job.name,
      version: version.number,
      maxParallelism: version.maxParallelism,
    }),
  }
}

function render({ version, cluster }: StartWork) {
  const flinkVersion = readFlinkVersion(cluster.flinkVersion ?? '')
  if (flinkVersion === null) {
    throw new DomainError('CLUSTER_UNSUPPORTED', `${cluster.flinkVersion} is no Flink version we know.`)
  }
  return renderFlinkConfiguration(version, flinkVersion)
}

const warningsOf = (work: StartWork): Pick<LifecycleResult, 'warnings'> => {
  const warnings = render(work).warnings.map(({ code, message }) => ({ code, message }))
  return warnings.length === 0 ? {} : { warnings: warnings.slice(0, WARNINGS_SHOWN) }
}
