/** Accepts a start: what Postgres can tell stands in its way is refused, the rest is the operation's to find out. */
import { DomainError } from '../domain/errors.ts'
import { START_STEPS, type StartRequest } from '../domain/operation.ts'
import { plannedSteps } from '../domain/operation-steps.ts'
import { retentionAgainstClaim, takesNoJars } from '../domain/start-plan.ts'
import type { LifecycleContext } from '../ports/lifecycle.ts'
import type { JobRepository } from '../ports/resources.ts'
import type { Scope } from '../ports/scope.ts'
import {
  acceptLifecycle,
  type LifecyclePorts,
  operationInProgress,
  refuseCluster,
} from './accept-lifecycle.ts'
import type { Command, Services, StartInput } from './api.ts'
import { checkRestore, type RestorePointPorts, resolveRestorePoint } from './find-restore-point.ts'

type Ports = LifecyclePorts & RestorePointPorts & { jobs: Pick<JobRepository, 'findVersion'> }

const DEFAULT_TIMEOUT_SECONDS = 600

export const startJob =
  (ports: Ports): Services['startJob'] =>
  (command) =>
    acceptLifecycle(command, ports, async (context, scope) => {
      checkRestore({ restore: command.restore ?? {}, pointer: '/body/restore' })
      if (context.attach !== null) throw await managedElsewhere(command, context, scope, ports)
      refuseCluster(context)
      if (context.cluster.jarSubmission === false) throw noJars(context)
      if (context.open) throw operationInProgress(context)
      refuseLiveRun(context)
      return {
        kind: 'START',
        request: await readRequest(command, context, scope, ports),
        steps: plannedSteps(START_STEPS),
        timeoutSeconds: command.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS,
      }
    })

async function readRequest(
  { version, restore = {} }: Command<StartInput>,
  { job, latestVersion }: LifecycleContext,
  scope: Scope,
  { jobs }: Ports,
): Promise<StartRequest> {
  const number = version ?? latestVersion
  if (number === null) {
    throw new DomainError(
      'VERSION_NOT_STARTABLE',
      `The job ${job.name} has no version yet: register one with an artifact first.`,
    )
  }
  const spec = await jobs.findVersion(scope, job.id, number)
  if (!spec) {
    const detail = `The job has no version ${number}.`
    throw new DomainError('REFERENCE_NOT_FOUND', detail, { errors: [{ pointer: '/body/version', detail }] })
  }
  if (spec.artifact === undefined) {
    throw new DomainError(
      'VERSION_NOT_STARTABLE',
      `Version ${number} of ${job.name} names no artifact: there is nothing to run.`,
    )
  }
  const retention = retentionAgainstClaim(spec, restore)
  if (retention !== null) {
    throw new DomainError(
      'CLAIM_NOT_ALLOWED',
      `Version ${number} keeps its checkpoints ${retention}: a claimed snapshot would go with them when the job is cancelled. Claim with a version that says RETAIN_ON_CANCELLATION, or restore with NO_CLAIM.`,
    )
  }
  return { version: number, restore }
}

function refuseLiveRun({ job, run, observationIsFresh }: LifecycleContext): void {
  if (!run || run.over) return
  if (run.state === 'LOST' || run.missing || !observationIsFresh) {
    throw new DomainError(
      'RUN_STATE_UNKNOWN',
      `Nobody can say whether the last run of ${job.name} still writes: Flink does not list it, or cannot be asked. Wait until it is seen again, or confirm its end with POST /v1/runs/${run.id}/confirm-ended.`,
      { extra: { run: run.id } },
    )
  }
  throw new DomainError('RUN_IS_LIVE', `The job ${job.name} is ${run.state}: stop it first.`, {
    extra: { run: run.id },
  })
}

const noJars = ({ cluster }: LifecycleContext): DomainError =>
  new DomainError('CLUSTER_UNSUPPORTED', takesNoJars(cluster.name), {
    extra: { capability: 'jarSubmission' },
  })

/** The restore point as whoever manages the job would name it. Nothing is started here. */
async function managedElsewhere(
  { restore = {}, version }: Command<StartInput>,
  { job }: LifecycleContext,
  scope: Scope,
  ports: Ports,
): Promise<DomainError> {
  const decision = await resolveRestorePoint(ports, scope, job.id, {
    restore,
    version,
    pointer: '/body/restore',
  })
  const path = decision.chosen?.location ?? null
  const skip = restore.allowNonRestoredState === true
  const mode = restore.claimMode ?? 'NO_CLAIM'
  const message =
    path === null
      ? `Someone else starts ${job.name}. ${decision.because.message}`
      : `Someone else starts ${job.name}: let it begin from ${path}. ${decision.because.message}`
  return new DomainError('MANAGED_ELSEWHERE', message, {
    extra: {
      restorePoint: path,
      commands: {
        flink: [
          'flink run --detached',
          ...(path === null ? [] : [`--fromSavepoint '${path}' --claimMode ${mode}`]),
          ...(skip ? ['--allowNonRestoredState'] : []),
          '<jar>',
        ].join(' '),
        kubernetes: {
          spec: {
            job: {
              state: 'running',
              ...(path === null ? {} : { initialSavepointPath: path, savepointRedeployNonce: Date.now() }),
              ...(skip ? { allowNonRestoredState: true } : {}),
            },
          },
        },
      },
    },
  })
}
