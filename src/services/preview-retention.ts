/** The dry run: what a rule would clear now, what stays and why. Changes nothing. */
import { DomainError } from '../domain/errors.ts'
import {
  clearsAnything,
  MOST_KEPT,
  NO_POLICY,
  type RetentionOrigin,
  type RetentionPolicy,
  type RetentionVerdict,
  selectExpired,
  suspensionOf,
} from '../domain/retention.ts'
import type { ProtectionRepository } from '../ports/clearing.ts'
import type { JobRepository } from '../ports/resources.ts'
import type { PreviewedSnapshot, RetentionRepository } from '../ports/retention.ts'
import type { Scope } from '../ports/scope.ts'
import type { RetentionPreviewItem, Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { findJob } from './find-resource.ts'
import { readNotice, ruleInForce } from './retention-rule.ts'

type Ports = {
  jobs: Pick<JobRepository, 'find'>
  retention: Pick<RetentionRepository, 'read' | 'readHistory' | 'countUnruled'>
  protections: ProtectionRepository
}

export const previewRetention =
  (ports: Ports): Services['previewRetention'] =>
  async ({ caller, job: reference, policy: asked }) => {
    const scope = scopeOf(caller)
    const job = await findJob(ports.jobs, scope, reference)
    const { origin, policy } = await choosePolicy(ports, scope, job.id, asked)
    const [history, protections] = await Promise.all([
      ports.retention.readHistory(scope, job.id, MOST_KEPT),
      ports.protections.ofJob(scope, job.id, origin === 'REQUEST' ? policy : undefined),
    ])
    if (history === null) throw new DomainError('NOT_FOUND', `There is no job ${reference}.`)
    const verdicts = selectExpired(policy, history.snapshots, protections, history.now)
    const known = new Map(history.snapshots.map((snapshot) => [snapshot.id, snapshot]))
    const items = verdicts.flatMap((verdict) => toItem(verdict, known.get(verdict.snapshot)))
    const toClear = items.filter(({ verdict }) => verdict === 'CLEAR')
    return {
      job: { id: job.id, name: job.name },
      origin,
      ...policy,
      decidedAt: history.now.toISOString(),
      suspended: suspensionOf({ policy, ...history }),
      items,
      counts: {
        clear: toClear.length,
        keep: items.length - toClear.length,
        clearBytes: toClear.reduce((sum, { sizeBytes }) => sum + (sizeBytes ?? 0), 0),
      },
      more: history.more,
      notice: await readNotice(ports.retention, scope, job.id, clearsAnything(policy)),
    }
  }

/** What the request names is a whole rule, as it would be saved. */
async function choosePolicy(
  { retention }: Ports,
  scope: Scope,
  jobId: string,
  asked: Partial<RetentionPolicy>,
): Promise<{ origin: RetentionOrigin; policy: RetentionPolicy }> {
  if (Object.keys(asked).length > 0) return { origin: 'REQUEST', policy: { ...NO_POLICY, ...asked } }
  const { origin, saved } = ruleInForce(await retention.read(scope, jobId))
  if (!saved) return { origin, policy: NO_POLICY }
  const { keepCount, maxAgeSeconds, rollbackWindowSeconds } = saved
  return { origin, policy: { keepCount, maxAgeSeconds, rollbackWindowSeconds } }
}

function toItem(verdict: RetentionVerdict, snapshot: PreviewedSnapshot | undefined): RetentionPreviewItem[] {
  if (!snapshot) return []
  const { status, source, description, jobVersion, createdAt, completedAt, expiresAt, pinned, sizeBytes } =
    snapshot
  return [
    {
      ...verdict,
      protections: [...verdict.protections],
      status,
      source,
      description,
      jobVersion,
      createdAt,
      completedAt,
      expiresAt,
      pinned,
      sizeBytes,
    },
  ]
}
