import { checkSettings } from '../domain/checkpoint-rules.ts'
import { DomainError } from '../domain/errors.ts'
import type { JobVersionSpec } from '../domain/job-version.ts'
import type { JobRepository } from '../ports/resources.ts'
import type { Services } from './api.ts'
import { idempotencyKeyOf, scopeOf } from './caller.ts'
import { type CheckArtifactPorts, checkArtifact } from './check-artifact.ts'
import { keyReused } from './create-once.ts'
import { findJob } from './find-resource.ts'
import { findJobVersion } from './get-job-version.ts'
import { showVersion } from './show-version.ts'

type Ports = CheckArtifactPorts & { jobs: Pick<JobRepository, 'find' | 'insertVersion' | 'findVersion'> }

/**
 * Whatever Flink would refuse is refused here, before anything is stored; what it would ignore comes back as warnings. The
 * artifact of a managed job must be there; that of an attached one is not for us to start, nor to find.
 */
export const createJobVersion =
  ({ jobs, ...ports }: Ports): Services['createJobVersion'] =>
  async (command) => {
    const scope = scopeOf(command.caller)
    const job = await findJob(jobs, scope, command.job)
    refuseInvalid(command.spec)
    const { artifact } = command.spec
    const unchecked =
      artifact === undefined || job.attach !== null
        ? []
        : await checkArtifact(ports, scope, { storageId: job.savepointStorage.id, artifact })
    const values = { spec: command.spec, labels: command.labels ?? {}, createdBy: command.caller.principal }
    const inserted = await jobs.insertVersion(scope, job.id, values, idempotencyKeyOf(command))
    if (inserted.kind === 'key-reused') throw keyReused()
    const version = showVersion(await findJobVersion(jobs, scope, job, inserted.number))
    const resource = { ...version, warnings: [...version.warnings, ...unchecked] }
    return { resource, replayed: inserted.kind === 'replayed' }
  }

function refuseInvalid(spec: JobVersionSpec): void {
  const { errors } = checkSettings(spec)
  const [first] = errors
  if (first === undefined) return
  throw new DomainError('VALIDATION_FAILED', first.message, {
    errors: errors.flatMap(({ message, pointers }) =>
      pointers.map((pointer) => ({ pointer: `/body${pointer}`, detail: message })),
    ),
  })
}
