/** Accepts a stop: a second request joins the one under way, so that Flink never sees two (`product.md` §1.6). */
import { DomainError } from '../domain/errors.ts'
import { CANCEL_STEPS, STOP_STEPS } from '../domain/operation.ts'
import { plannedSteps } from '../domain/operation-steps.ts'
import type { LifecycleContext } from '../ports/lifecycle.ts'
import {
  acceptLifecycle,
  type LifecyclePorts,
  operationInProgress,
  refuseCluster,
} from './accept-lifecycle.ts'
import type { Command, Services, StopInput } from './api.ts'

/** How long a cancellation may take. */
const CANCEL_TIMEOUT_SECONDS = 300
/** A stop waits for a savepoint in flight, takes its own, and sees the job end. */
const STOP_GRACE_SECONDS = 120

export const stopJob =
  (ports: LifecyclePorts): Services['stopJob'] =>
  (command) =>
    acceptLifecycle(command, ports, (context) => {
      const { mode = 'SAVEPOINT' } = command
      checkMode(command)
      if (context.attach !== null && !context.allowStop) throw managedElsewhere(context, mode)
      refuseCluster(context)
      if (context.open) {
        if (context.open.kind === 'STOP') return { join: context.open.id }
        throw operationInProgress(context)
      }
      refuseStopped(context)
      const cancel = mode === 'CANCEL'
      const timeoutSeconds =
        command.timeoutSeconds ?? (cancel ? CANCEL_TIMEOUT_SECONDS : context.savepointTimeoutSeconds)
      return {
        kind: 'STOP',
        request: {
          mode,
          description: command.description?.trim() || null,
          format: command.format ?? 'CANONICAL',
          timeoutSeconds,
        },
        steps: plannedSteps(cancel ? CANCEL_STEPS : STOP_STEPS),
        timeoutSeconds: cancel ? timeoutSeconds : 2 * timeoutSeconds + STOP_GRACE_SECONDS,
      }
    })

function checkMode({ mode, description, format }: Command<StopInput>): void {
  if (mode !== 'CANCEL') return
  const member = description !== undefined ? 'description' : format !== undefined ? 'format' : null
  if (member === null) return
  const detail = 'CANCEL takes no savepoint: it has neither a description nor a format'
  throw new DomainError('VALIDATION_FAILED', detail, { errors: [{ pointer: `/body/${member}`, detail }] })
}

function refuseStopped({ job, attach, run, observationIsFresh, ambiguous }: LifecycleContext): void {
  if (ambiguous) {
    throw new DomainError(
      'JOB_AMBIGUOUS',
      `More than one live Flink job is called like the one ${job.name} follows: ${ambiguous.join(', ')}.`,
      { extra: { flinkJobIds: ambiguous } },
    )
  }
  if (!run) {
    const never = attach === null ? 'has never been started' : 'has not been seen running'
    throw new DomainError('JOB_NOT_RUNNING', `The job ${job.name} ${never}.`)
  }
  if (run.state === 'LOST' && !run.over) {
    throw new DomainError(
      'RUN_STATE_UNKNOWN',
      `The last run of ${job.name} is lost: Flink has not listed it for a long time, so there is nothing to stop that we could see. Confirm its end with POST /v1/runs/${run.id}/confirm-ended.`,
      { extra: { run: run.id } },
    )
  }
  if (run.over && (observationIsFresh || attach === null)) {
    throw new DomainError(
      'JOB_NOT_RUNNING',
      `The job ${job.name} is not running: its last run ended ${run.state}.`,
      { extra: { run: run.id } },
    )
  }
}

function managedElsewhere({ job, run }: LifecycleContext, mode: string): DomainError {
  const id = run?.flinkJobId ?? '<job id>'
  const flink =
    mode === 'CANCEL'
      ? `flink cancel ${id}`
      : `flink stop ${mode === 'DRAIN' ? '--drain ' : ''}--savepointPath <directory> ${id}`
  return new DomainError(
    'MANAGED_ELSEWHERE',
    `Someone else starts and stops ${job.name}. Allow it here with allowStop, or stop it there.`,
    { extra: { commands: { flink, kubernetes: { spec: { job: { state: 'suspended' } } } } } },
  )
}
