/** Versions of a job: immutable, numbered without gaps from 1. The lock on the job makes the next number ours alone. */

import { DomainError } from '../domain/errors.ts'
import type { JobVersion } from '../domain/job-version.ts'
import type { JobRepository } from '../ports/resources.ts'
import type { Scope } from '../ports/scope.ts'
import type { Database, Row } from './client.ts'
import type { Prisma } from './generated/client.ts'
import { claimKey } from './idempotency.ts'
import { readJson } from './json.ts'
import { decodePageToken, encodePageToken, toPage } from './paging.ts'
import { inTransaction } from './row-lock.ts'

type VersionRecord = Row & {
  number: number
  spec: unknown
  labels: unknown
  created_at: string
  created_by: string
}
type VersionMethods = Pick<JobRepository, 'insertVersion' | 'findVersion' | 'listVersions'>

const SELECT = `select number, spec, labels, created_at, created_by from job_version
  where namespace_id = $1 and job_id = $2`
const SHAPE = 'number-desc'
const isNumber = (id: string): boolean => /^[1-9]\d{0,8}$/.test(id)

export const createJobVersionMethods = (db: Database): VersionMethods => ({
  insertVersion: (scope, jobId, { spec, labels, createdBy }, idempotency) =>
    inTransaction(db, async (tx) => {
      const number = await lockNextNumber(tx, scope, jobId)
      const claim = await claimKey(tx, scope, idempotency, `${jobId}/${number}`)
      if (claim.kind === 'key-reused') return claim
      if (claim.kind === 'replayed') return toReplay(claim.id, jobId)
      await tx.$executeRaw`
        with version as (
          insert into job_version (namespace_id, job_id, number, spec, labels, created_by)
          values (${scope.namespaceId}::uuid, ${jobId}::uuid, ${number}::int, ${JSON.stringify(spec)}::jsonb,
            ${JSON.stringify(labels)}::jsonb, ${createdBy})
          returning job_id, number)
        update job set latest_version = version.number, row_version = row_version + 1, updated_at = now()
        from version where job.id = version.job_id`
      return { kind: 'inserted', number }
    }),

  async findVersion(scope, jobId, number) {
    const [row] = await db.sql<VersionRecord>(`${SELECT} and number = $3::bigint`, [
      scope.namespaceId,
      jobId,
      number,
    ])
    return row ? toVersion(row) : null
  },

  async listVersions(scope, jobId, { pageSize, after }) {
    const before = after === null ? null : decodePageToken(after, SHAPE, isNumber)[1]
    const rows = await db.sql<VersionRecord>(
      `${SELECT} and ($3::int is null or number < $3) order by number desc limit $4`,
      [scope.namespaceId, jobId, before, pageSize + 1],
    )
    return toPage(
      rows,
      pageSize,
      (row) => encodePageToken([row.created_at, String(row.number)], SHAPE),
      toVersion,
    )
  },
})

async function lockNextNumber(tx: Prisma.TransactionClient, scope: Scope, jobId: string): Promise<number> {
  const [job] = await tx.$queryRaw<{ next: number }[]>`
    select coalesce(latest_version, 0) + 1 as next from job
    where id = ${jobId}::uuid and namespace_id = ${scope.namespaceId}::uuid and deleted_at is null for update`
  if (!job) throw new DomainError('NOT_FOUND', `There is no job ${jobId}.`)
  return job.next
}

/** The route is the same for every job: a key used for another job's version is a reused one. */
function toReplay(
  resourceId: string,
  jobId: string,
): { kind: 'replayed'; number: number } | { kind: 'key-reused' } {
  const [owner, number] = resourceId.split('/')
  return owner === jobId ? { kind: 'replayed', number: Number(number) } : { kind: 'key-reused' }
}

const toVersion = (row: VersionRecord): JobVersion => ({
  ...readJson('spec', row.spec),
  number: row.number,
  labels: readJson('labels', row.labels),
  createdAt: row.created_at,
  createdBy: row.created_by,
})
