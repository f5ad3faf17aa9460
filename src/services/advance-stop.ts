/**
 * Moves a stop on, any number of times and by any worker. Its savepoint is an ordinary snapshot whose one attempt is asked for
 * by `/stop`: the sweep of the savepoints sends it, looks for its answer and adopts it (`advance-savepoint.ts`), so that this
 * file never speaks to `/stop` and cannot send a second one. A cancellation may be repeated. What is over is read from the
 * observer's run, or seen sooner by looking at the job itself.
 */
import { FlinkUnavailableError } from '../domain/errors.ts'
import { type FlinkJob, isTerminal } from '../domain/flink.ts'
import { classifyRefusal } from '../domain/flink-failure.ts'
import type { OperationStep } from '../domain/operation.ts'
import { beginStep, endStep } from '../domain/operation-steps.ts'
import { lookAgainInMs } from '../domain/savepoint-plan.ts'
import {
  judgeEnd,
  nextStopStep,
  type SeenJob,
  type StopEnding,
  type StopFacts,
  type StopStep,
} from '../domain/stop-plan.ts'
import type { FlinkClient, FlinkConnections } from '../ports/flink.ts'
import type { LifecycleWorkRepository, Progress, SeenRun, StopWork } from '../ports/lifecycle.ts'
import type { CrashPoint, Log, Nudges } from '../ports/process.ts'
import type { Advanced } from './advance-lifecycle.ts'
import { placeFor } from './savepoint-place.ts'

export type AdvanceStopPorts = {
  lifecycleWork: Pick<LifecycleWorkRepository, 'record' | 'beginStopSavepoint' | 'markCancelAsked' | 'end'>
  flink: FlinkConnections
  nudges: Nudges
  newId: () => string
  newTriggerId: () => string
  crashPoint: CrashPoint
  log: Log
}

/** How often a savepoint in the way, or a job nobody has observed yet, is looked for. */
const WAIT_MS = 500
/** A row that has moved is read by the next claim. */
const SOON: Advanced = { againInMs: 50 }
/** A process that was frozen after it had committed its question leaves the asking to whoever looks next. */
const ASK_WITHIN_MS = 1_500

/** Throws what could not be asked, before the deadline only. */
export function advanceStop(work: StopWork, ports: AdvanceStopPorts): Promise<Advanced> {
  const step: StopStep = nextStopStep(factsOf(work))
  switch (step.do) {
    case 'end':
      return endUnlessItRuns(work, ports, step.ending)
    case 'wait':
      return waitFor(work, ports, step.because)
    case 'begin':
      return begin(work, ports)
    case 'watch':
      return watch(work, ports)
    case 'see-end':
      return seeEnd(work, ports)
    case 'cancel':
      return cancelFirst(work, ports)
  }
}

const factsOf = (work: StopWork): StopFacts => ({
  ...work,
  waitedForSavepoint: work.steps.some(({ name, status }) => name === 'wait' && status === 'RUNNING'),
})

const flinkOf = (work: StopWork, { flink }: AdvanceStopPorts): FlinkClient => flink.to(work.cluster.address)

/** Often while it is young. */
const lookAgain = ({ now, askedAt, createdAt }: StopWork): Advanced => ({
  againInMs: Math.min(1_000, lookAgainInMs(now.getTime() - (askedAt ?? createdAt).getTime())),
})

// ------------------------------------------------------------------------------------------------- savepoint

/** Below this a savepoint is not worth asking for. */
const SHORTEST_SECONDS = 1

async function begin(work: StopWork, ports: AdvanceStopPorts): Promise<Advanced> {
  const { request, job, storage, now, deadlineAt } = work
  const leftSeconds = Math.floor((deadlineAt.getTime() - now.getTime()) / 1000)
  const id = ports.newId()
  const begun = await ports.lifecycleWork.beginStopSavepoint(
    work,
    {
      id,
      triggerId: ports.newTriggerId(),
      description: request.description ?? generateDescription(work),
      format: request.format,
      timeoutSeconds: Math.max(SHORTEST_SECONDS, Math.min(request.timeoutSeconds, leftSeconds)),
      ...placeFor({ root: storage.uri, namespace: work.namespace, job: job.name, id }),
      drain: request.mode === 'DRAIN',
    },
    { steps: beginStep(work.steps, 'savepoint', now) },
  )
  if (begun === 'busy') {
    return waitFor(work, ports, 'Another savepoint of the job is in progress; it is waited for.')
  }
  if (begun === 'begun') {
    ports.crashPoint('stop-begun')
    ports.log.info({ operationId: work.id, job: job.name, snapshotId: id }, 'savepoint of a stop begun')
    ports.nudges.savepointDue()
  }
  return SOON
}

function generateDescription({ job, run, request, createdBy }: StopWork): string {
  const version = run?.version == null ? '' : ` version ${run.version}`
  const what = request.mode === 'DRAIN' ? 'drain' : 'stop'
  return `Savepoint at the ${what} of ${job.name}${version}, requested by ${createdBy}`
}

async function waitFor(work: StopWork, ports: AdvanceStopPorts, because: string): Promise<Advanced> {
  const [first] = work.steps
  if (first && (first.status !== 'RUNNING' || first.message !== because)) {
    await ports.lifecycleWork.record(work, { steps: beginStep(work.steps, first.name, work.now, because) })
  }
  return { againInMs: WAIT_MS }
}

/** Also after a worker died between the two: the sweep needs no nudge, it only saves time. */
async function watch(work: StopWork, ports: AdvanceStopPorts): Promise<Advanced> {
  await show(work, ports, 'savepoint')
  return lookAgain(work)
}

/** Says once which step is under way. */
async function show(work: StopWork, ports: AdvanceStopPorts, name: 'savepoint' | 'end'): Promise<void> {
  if (work.steps.some((step) => step.name === name && step.status === 'RUNNING')) return
  const steps = name === 'end' ? stepsOf(work) : beginStep(work.steps, name, work.now)
  await ports.lifecycleWork.record(work, { steps })
}

// ---------------------------------------------------------------------------------------------------- cancel

/** Asked for only of the very run: what has taken its place under the id, or its name, is not what was to be cancelled. */
async function cancelFirst(work: StopWork, ports: AdvanceStopPorts): Promise<Advanced> {
  const { run } = work
  const job = run && (await flinkOf(work, ports).findJob(run.flinkJobId))
  if (!run || !job || job.startTime !== run.flinkStartTime) {
    return waitFor(work, ports, 'Flink does not show the run now.')
  }
  if (isTerminal(job.state)) return waitFor(work, ports, `The job is ${job.state}.`) // the observer ends the run
  const before = performance.now()
  const marked = await ports.lifecycleWork.markCancelAsked(work, {
    steps: beginStep(work.steps, 'cancel', work.now),
  })
  if (!marked) return SOON
  ports.crashPoint('cancel-asked-committed')
  if (performance.now() - before > ASK_WITHIN_MS) return SOON
  return cancel({ ...work, askedAt: work.now }, ports)
}

async function cancel(work: StopWork, ports: AdvanceStopPorts): Promise<Advanced> {
  if (!work.run) return SOON
  const answer = await flinkOf(work, ports).cancelJob(work.run.flinkJobId)
  ports.crashPoint('cancel-asked')
  if (answer.kind === 'refused') {
    const { message } = classifyRefusal(answer)
    return finish(work, ports, { status: 'FAILED', code: 'FLINK_REFUSED', message }, null)
  }
  return SOON
}

// ------------------------------------------------------------------------------------------------------- end

/**
 * The observer may be seconds behind: the job is looked at as well. Flink answers for a job from a cache of 3 s
 * (`web.refresh-interval`), so whoever of the two shows it first is believed.
 */
async function seeEnd(work: StopWork, ports: AdvanceStopPorts): Promise<Advanced> {
  const judged = judgeEnd(factsOf(work), await lookAtJob(work, ports))
  if (judged.do === 'end') {
    return finish(work, ports, judged.ending, judged.seen && seenAs(judged.seen, work))
  }
  await show(work, ports, 'end')
  return judged.do === 'cancel' ? cancel(work, ports) : lookAgain(work)
}

async function lookAtJob(work: StopWork, ports: AdvanceStopPorts): Promise<SeenJob> {
  if (!work.run) return 'unknown'
  try {
    return (await flinkOf(work, ports).findJob(work.run.flinkJobId)) ?? 'unknown'
  } catch (error) {
    if (!(error instanceof FlinkUnavailableError)) throw error
    ports.log.warn({ operationId: work.id, error: error.message }, 'the end of a job could not be looked for')
    return 'unknown'
  }
}

const seenAs = (state: 'FINISHED' | 'CANCELED', { run }: StopWork): SeenRun => ({
  state,
  flinkState: state,
  flinkStartTime: run?.flinkStartTime ?? 0,
  allTasksRunning: false,
  failure: null,
})

/**
 * A run that had ended before Flink was asked may have a successor that nobody has observed yet: the job is not stopped while
 * Flink shows one.
 */
async function endUnlessItRuns(
  work: StopWork,
  ports: AdvanceStopPorts,
  ending: StopEnding,
): Promise<Advanced> {
  const unasked =
    ending.status === 'SUCCEEDED' && ending.warnings.some(({ code }) => code === 'ALREADY_ENDED')
  if (unasked && work.now < work.deadlineAt && (await runsAgain(work, ports))) {
    return waitFor(work, ports, 'Flink shows another run, which has not been observed yet.')
  }
  return finish(work, ports, ending, null)
}

async function runsAgain(work: StopWork, ports: AdvanceStopPorts): Promise<boolean> {
  const { attach } = work.job
  if (attach === null || work.snapshot) return false // its run was chosen, and is over
  const flink = flinkOf(work, ports)
  const jobs: (FlinkJob | null)[] =
    'flinkJobName' in attach
      ? (await flink.listJobs()).filter((job) => job.name === attach.flinkJobName)
      : [await flink.findJob(attach.flinkJobId)]
  return jobs.some((job) => job !== null && !isTerminal(job.state))
}

async function finish(
  work: StopWork,
  ports: AdvanceStopPorts,
  ending: StopEnding,
  seen: SeenRun | null,
): Promise<Advanced> {
  const failed = ending.status === 'FAILED'
  const ended = await ports.lifecycleWork.end(work, {
    ...stepsAtEnd(work, ending),
    status: ending.status,
    failure: failed ? { code: ending.code, message: ending.message } : null,
    seen,
  })
  ports.log.info(
    {
      operationId: work.id,
      job: work.job.name,
      flinkJobId: work.run?.flinkJobId,
      status: ending.status,
      code: failed ? ending.code : null,
      ended,
    },
    'stop ended',
  )
  return 'over'
}

function stepsAtEnd(work: StopWork, ending: StopEnding): Progress {
  const { now } = work
  const steps = stepsOf(work)
  const current =
    steps.find(({ status }) => status === 'RUNNING') ?? steps.find(({ status }) => status === 'WAITING')
  if (ending.status === 'FAILED') {
    return { steps: current ? endStep(steps, current.name, 'FAILED', now, ending.message) : steps }
  }
  // Whatever was under way has come to nothing: the job had ended by itself.
  const before = current && current.name !== 'end' ? endStep(steps, current.name, 'SKIPPED', now) : steps
  const warnings = [...(work.result.warnings ?? []), ...ending.warnings]
  return {
    steps: endStep(beginStep(before, 'end', now), 'end', 'DONE', now, ending.message),
    ...(warnings.length > 0 ? { result: { warnings } } : {}),
  }
}

/** With its savepoint there, or its cancellation asked for, the stop has come to its last step. */
function stepsOf({ steps, snapshot, askedAt, now }: StopWork): readonly OperationStep[] {
  if (snapshot?.location) {
    const done = steps.some(({ name, status }) => name === 'savepoint' && status === 'DONE')
    const taken = done
      ? steps
      : endStep(
          beginStep(steps, 'savepoint', now),
          'savepoint',
          'DONE',
          now,
          `Savepoint ${snapshot.id} is complete.`,
        )
    return beginStep(taken, 'end', now)
  }
  return askedAt ? beginStep(steps, 'end', now) : steps
}
