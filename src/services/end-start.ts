/** How a start ends: the operation with its steps, and its run where the observer has not seen yet what became of it. */
import type { FlinkJob } from '../domain/flink.ts'
import type { LifecycleResult } from '../domain/operation.ts'
import { beginStep, currentStep, endStep } from '../domain/operation-steps.ts'
import type { LifecycleWorkRepository, SeenRun, StartWork } from '../ports/lifecycle.ts'
import type { Log } from '../ports/process.ts'
import type { Advanced } from './advance-lifecycle.ts'

export type StartEndPorts = { lifecycleWork: LifecycleWorkRepository; log: Log }

export type Reason = { code: string; message: string }

/** The lease is another worker's: it goes on. */
export const LEASE_LOST: Advanced = { againInMs: 0 }

export async function failStart(
  work: StartWork,
  { lifecycleWork, log }: StartEndPorts,
  { code, message }: Reason,
  seen: SeenRun | null,
  result: LifecycleResult = {},
): Promise<Advanced> {
  const steps = endStep(work.steps, currentStep(work.steps), 'FAILED', work.now, message)
  const end = { status: 'FAILED' as const, failure: { code, message }, steps, seen, result }
  if (!(await lifecycleWork.end(work, end))) return LEASE_LOST
  log.info({ ...fieldsOf(work), code, message }, 'start failed')
  return 'over'
}

export async function succeedStart(
  work: StartWork,
  { lifecycleWork, log }: StartEndPorts,
  message: string,
  seen: SeenRun,
  result: LifecycleResult = {},
): Promise<Advanced> {
  const steps = endStep(beginStep(work.steps, 'run', work.now), 'run', 'DONE', work.now, message)
  if (!(await lifecycleWork.end(work, { status: 'SUCCEEDED', failure: null, steps, seen, result }))) {
    return LEASE_LOST
  }
  log.info({ ...fieldsOf(work), state: seen.state }, 'start succeeded')
  return 'over'
}

const fieldsOf = ({ id, job, run }: StartWork) => ({
  operationId: id,
  job: job.name,
  flinkJobId: run?.flinkJobId ?? null,
})

/** `job`: as Flink lists it; null when it does not. */
export const describeRun = (
  job: FlinkJob | null,
  state: SeenRun['state'],
  failure: Reason | null = null,
): SeenRun => ({
  state,
  flinkState: job?.state ?? state,
  flinkStartTime: job?.startTime ?? 0,
  allTasksRunning: job?.allTasksRunning ?? false,
  failure: failure && { code: failure.code, message: failure.message },
})
