/** Who follows which Flink jobs, and attaching many of them in one transaction. */
import type { Followers } from '../domain/attach-plan.ts'
import { numberedName } from '../domain/derived-name.ts'
import type { Reference } from '../domain/snapshot.ts'
import type { JobRepository } from '../ports/resources.ts'
import type { Scope } from '../ports/scope.ts'
import type { Database } from './client.ts'
import type { Prisma } from './generated/client.ts'
import { holdLive, inTransaction } from './row-lock.ts'

type Methods = Pick<JobRepository, 'findFollowers' | 'attachByName'>
type Candidate = Parameters<JobRepository['attachByName']>[2][number]
type Attached = Reference & { flinkJobName: string }
type Follower = { id: string; name: string; follows_id: string | null; follows_name: string | null }

export const createJobAttachMethods = (db: Database): Methods => ({
  findFollowers: async (scope, clusterId, flinkJobs) => {
    const rows = await db.sql<Follower>(FIND_FOLLOWERS, [
      scope.namespaceId,
      clusterId,
      flinkJobs.map(({ flinkJobId }) => flinkJobId),
      [...new Set(flinkJobs.map(({ name }) => name))].filter(isStorable),
    ])
    return toFollowers(rows)
  },

  attachByName: (scope, values, candidates, write) =>
    inTransaction(db, async (tx) => {
      await holdLive(tx, 'cluster', scope, values.clusterId)
      await holdLive(tx, 'storage', scope, values.savepointStorageId)
      // One attach at a time per namespace: two that insert many names in different orders could wait for each other.
      await tx.$executeRaw`select pg_advisory_xact_lock(hashtext('tidemark.attach'), hashtext(${scope.namespaceId}))`
      const followed = await tx.$queryRaw<{ attach_flink_job_name: string }[]>`
        select attach_flink_job_name from job
        where namespace_id = ${scope.namespaceId}::uuid and cluster_id = ${values.clusterId}::uuid and deleted_at is null
          and attach_flink_job_name = any(${candidates.map(({ flinkJobName }) => flinkJobName)}::text[])`
      const taken = new Set(followed.map((row) => row.attach_flink_job_name))
      const named = await chooseNames(
        tx,
        scope,
        candidates.filter(({ flinkJobName }) => !taken.has(flinkJobName)),
      )
      return write ? insert(tx, scope, values, named) : named
    }),
})

/** A managed job follows the Flink job of its current run. */
const FIND_FOLLOWERS = `
  select j.id, j.name,
    case when j.attach_flink_job_name is null then coalesce(j.attach_flink_job_id, r.flink_job_id) end as follows_id,
    j.attach_flink_job_name as follows_name
  from job j left join run r on r.id = j.current_run_id and r.namespace_id = j.namespace_id
  where j.namespace_id = $1::uuid and j.cluster_id = $2::uuid and j.deleted_at is null
    and (j.attach_flink_job_name = any($4::text[]) or j.attach_flink_job_id = any($3::text[])
      or (j.attach_flink_job_name is null and j.attach_flink_job_id is null and r.cluster_id = $2::uuid
        and r.flink_job_id = any($3::text[])))`

/** Flink lets a name hold what Postgres cannot; nobody follows such a name. */
const isStorable = (name: string): boolean => !/[\0\p{Cs}]/u.test(name)

function toFollowers(rows: readonly Follower[]): Followers {
  const byId = new Map<string, Reference>()
  const byName = new Map<string, Reference>()
  for (const { id, name, follows_id, follows_name } of rows) {
    if (follows_name !== null) byName.set(follows_name, { id, name })
    else if (follows_id !== null) byId.set(follows_id, { id, name })
  }
  return { byId, byName }
}

/** How many variants of each name one statement looks for. */
const VARIANTS = 16

/** Each candidate under the first variant of its name that no job has and no candidate before it took. */
async function chooseNames(
  tx: Prisma.TransactionClient,
  scope: Scope,
  candidates: readonly Candidate[],
): Promise<Attached[]> {
  const chosen = new Map<Candidate, string>()
  const used = new Set<string>()
  let open = [...candidates]
  for (let first = 1; open.length > 0; first += VARIANTS) {
    const variantsOf = ({ name }: Candidate) =>
      Array.from({ length: VARIANTS }, (_, index) => numberedName(name, first + index))
    const rows = await tx.$queryRaw<{ name: string }[]>`
      select name from job where namespace_id = ${scope.namespaceId}::uuid and deleted_at is null
        and name = any(${[...new Set(open.flatMap(variantsOf))]}::text[])`
    for (const { name } of rows) used.add(name)
    open = open.filter((candidate) => {
      const free = variantsOf(candidate).find((name) => !used.has(name))
      if (free === undefined) return true
      used.add(free)
      chosen.set(candidate, free)
      return false
    })
  }
  return candidates.flatMap((candidate) => {
    const name = chosen.get(candidate)
    return name === undefined ? [] : [{ id: candidate.id, name, flinkJobName: candidate.flinkJobName }]
  })
}

/** A job created beside us at this moment keeps its name and its Flink job: ours is left out. */
async function insert(
  tx: Prisma.TransactionClient,
  scope: Scope,
  values: Parameters<JobRepository['attachByName']>[1],
  named: readonly Attached[],
): Promise<Attached[]> {
  const rows = await tx.$queryRaw<{ id: string }[]>`
    insert into job (id, namespace_id, name, cluster_id, savepoint_storage_id, attach_flink_job_name,
      savepoint_timeout_seconds, labels)
    select a.id, ${scope.namespaceId}::uuid, a.name, ${values.clusterId}::uuid, ${values.savepointStorageId}::uuid,
      a.flink_job_name, ${values.savepointTimeoutSeconds}::int, ${JSON.stringify(values.labels)}::jsonb
    from unnest(${named.map(({ id }) => id)}::uuid[], ${named.map(({ name }) => name)}::text[],
      ${named.map(({ flinkJobName }) => flinkJobName)}::text[]) as a(id, name, flink_job_name)
    on conflict do nothing
    returning id::text`
  const inserted = new Set(rows.map(({ id }) => id))
  return named.filter(({ id }) => inserted.has(id))
}
