/**
 * Jobs, each read with its current run. Inserting or moving one holds its cluster and its storage, so neither can be
 * deleted under it. Moving and deleting lock the job, so a savepoint that is just being accepted is waited for and seen.
 */
import { DomainError } from '../domain/errors.ts'
import { ENDED_RUN_STATES, type Job, type RunState } from '../domain/resources.ts'
import { ASKED_SOURCES } from '../domain/snapshot.ts'
import type { JobRepository, JobValues } from '../ports/resources.ts'
import type { Scope } from '../ports/scope.ts'
import { toAttachment } from './attachment.ts'
import type { Database, Row } from './client.ts'
import { withDomainErrors } from './errors.ts'
import type { Prisma } from './generated/client.ts'
import { claimKey } from './idempotency.ts'
import { createJobAttachMethods } from './job-attach.ts'
import { createJobVersionMethods } from './job-versions.ts'
import { readJson, readOptionalJson } from './json.ts'
import { startAfter, tokenAfter, toPage } from './paging.ts'
import { columnOf } from './reference.ts'
import { holdLive, inTransaction, lockVersion } from './row-lock.ts'
import { describeUser, type User } from './users.ts'

type JobRecord = Row & {
  id: string
  name: string
  cluster_id: string
  cluster_name: string
  savepoint_storage_id: string
  storage_name: string
  attach_flink_job_id: string | null
  attach_flink_job_name: string | null
  allow_stop: boolean
  savepoint_timeout_seconds: number
  labels: unknown
  latest_version: number | null
  ambiguous: unknown
  created_at: string
  updated_at: string
  row_version: number
}
/** The columns of the left join: all there, or none. */
type RunRecord = {
  run_id: string
  run_flink_job_id: string
  run_epoch: number
  run_state: RunState
  run_flink_state: string
  run_started_at: string
  run_ended_at: string | null
}
type JobWithRun = JobRecord & (RunRecord | { run_id: null })

const SELECT = `select j.*, c.name as cluster_name, s.name as storage_name, r.id as run_id,
    r.flink_job_id as run_flink_job_id, r.epoch as run_epoch, r.state as run_state, r.flink_state as run_flink_state,
    r.started_at as run_started_at, r.ended_at as run_ended_at
  from job j join cluster c on c.id = j.cluster_id join storage s on s.id = j.savepoint_storage_id
    left join run r on r.id = j.current_run_id
  where j.namespace_id = $1 and j.deleted_at is null`

export const createJobRepository = (db: Database): JobRepository =>
  withDomainErrors({
    ...createJobVersionMethods(db),
    ...createJobAttachMethods(db),

    insert: (scope, id, values, idempotency) =>
      inTransaction(db, async (tx) => {
        const claim = await claimKey(tx, scope, idempotency, id)
        if (claim.kind !== 'inserted') return claim
        await holdLive(tx, 'cluster', scope, values.clusterId)
        await holdLive(tx, 'storage', scope, values.savepointStorageId)
        const { attach, ...columns } = values
        await tx.job.create({
          data: { id, namespaceId: scope.namespaceId, ...columns, ...toAttachColumns(attach) },
        })
        return claim
      }),

    async find(scope, reference) {
      const column = columnOf(reference)
      if (column === null) return null
      const [row] = await db.sql<JobWithRun>(`${SELECT} and j.${column} = $2`, [scope.namespaceId, reference])
      return row ? toJob(row) : null
    },

    async list(scope, { pageSize, after }, { labels, clusterId }) {
      const rows = await db.sql<JobWithRun>(
        `${SELECT} and ($2::timestamptz is null or (j.created_at, j.id) < ($2, $3::uuid))
         and ($4::jsonb is null or j.labels @> $4) and ($5::uuid is null or j.cluster_id = $5)
         order by j.created_at desc, j.id desc limit $6`,
        [
          scope.namespaceId,
          ...startAfter(after),
          labels ? JSON.stringify(labels) : null,
          clusterId ?? null,
          pageSize + 1,
        ],
      )
      return toPage(rows, pageSize, tokenAfter, toJob)
    },

    update: (scope, id, etag, values) =>
      inTransaction(db, async (tx) => {
        const version = await lockVersion(tx, 'job', scope, id, etag)
        if (!version) return false
        await holdTargets(tx, scope, id, values)
        const { attach, ...columns } = values
        const attachColumns = attach === undefined ? {} : toAttachColumns(attach)
        await tx.job.update({ where: { id }, data: { ...columns, ...attachColumns, ...version } })
        return true
      }),

    remove: (scope, id, etag) =>
      inTransaction(db, async (tx) => {
        const version = await lockVersion(tx, 'job', scope, id, etag)
        if (!version) return 'stale'
        // An attached job's run is somebody else's: forgetting the job leaves it alone.
        const user = (await findUnsettled(tx, id)) ?? (await findLiveRun(tx, id, { managedOnly: true }))
        if (user) return { usedBy: describeUser(user) }
        await tx.schedule.deleteMany({ where: { namespaceId: scope.namespaceId, jobId: id } })
        await tx.job.update({ where: { id }, data: { ...version, deletedAt: version.updatedAt } })
        return 'deleted'
      }),
  })

/** A savepoint in flight or a live run belongs to the cluster it began on; the savepoint storage may change any time. */
async function holdTargets(
  tx: Prisma.TransactionClient,
  scope: Scope,
  id: string,
  { clusterId, savepointStorageId }: Partial<JobValues>,
): Promise<void> {
  if (savepointStorageId !== undefined) await holdLive(tx, 'storage', scope, savepointStorageId)
  if (clusterId === undefined) return
  await holdLive(tx, 'cluster', scope, clusterId)
  const job = await tx.job.findUniqueOrThrow({ where: { id }, select: { clusterId: true } })
  if (job.clusterId === clusterId) return
  const user = (await findLiveRun(tx, id, { managedOnly: false })) ?? (await findUnsettled(tx, id))
  if (user) throw new DomainError('IN_USE', `The job cannot change its cluster: ${describeUser(user)}.`)
}

async function findLiveRun(
  tx: Prisma.TransactionClient,
  jobId: string,
  { managedOnly }: { managedOnly: boolean },
): Promise<User | undefined> {
  const [user] = await tx.$queryRaw<User[]>`
    select 'run' as kind, r.id::text, j.name as job, r.state as status
    from run r join job j on j.id = r.job_id
    where r.job_id = ${jobId}::uuid and (r.state <> all(${[...ENDED_RUN_STATES]}::text[])
        or ${managedOnly}::boolean and r.state = 'LOST' and r.end_confirmed_at is null)
      and (not ${managedOnly}::boolean or (j.attach_flink_job_id is null and j.attach_flink_job_name is null)) limit 1`
  return user
}

/** What is under way for the job: a savepoint we asked for, or an operation. */
async function findUnsettled(tx: Prisma.TransactionClient, jobId: string): Promise<User | undefined> {
  const [user] = await tx.$queryRaw<User[]>`
    (select 'savepoint' as kind, s.id::text, j.name as job, s.status from snapshot s join job j on j.id = s.job_id
      where s.job_id = ${jobId}::uuid and s.settled_at is null and s.source = any(${[...ASKED_SOURCES]}::text[]) limit 1)
    union all
    (select 'operation', o.id::text, j.name, o.kind from operation o join job j on j.id = o.job_id
      where o.job_id = ${jobId}::uuid and o.ended_at is null limit 1)
    limit 1`
  return user
}

const toAttachColumns = (attach: JobValues['attach']) => ({
  attachFlinkJobId: attach !== null && 'flinkJobId' in attach ? attach.flinkJobId : null,
  attachFlinkJobName: attach !== null && 'flinkJobName' in attach ? attach.flinkJobName : null,
})

const toJob = (row: JobWithRun): Job => ({
  id: row.id,
  name: row.name,
  cluster: { id: row.cluster_id, name: row.cluster_name },
  savepointStorage: { id: row.savepoint_storage_id, name: row.storage_name },
  attach: toAttachment(row),
  allowStop: row.allow_stop,
  savepointTimeoutSeconds: row.savepoint_timeout_seconds,
  labels: readJson('labels', row.labels),
  latestVersion: row.latest_version,
  run: row.run_id === null ? null : toRun(row),
  ambiguous: readOptionalJson('ambiguous', row.ambiguous),
  createdAt: row.created_at,
  updatedAt: row.updated_at,
  etag: String(row.row_version),
})

const toRun = (row: RunRecord): NonNullable<Job['run']> => ({
  id: row.run_id,
  flinkJobId: row.run_flink_job_id,
  epoch: row.run_epoch,
  state: row.run_state,
  flinkState: row.run_flink_state,
  startedAt: row.run_started_at,
  endedAt: row.run_ended_at,
})
