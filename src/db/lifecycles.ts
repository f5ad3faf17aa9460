/**
 * Start and stop as the API accepts them: what a request goes by in one statement, and the operation with its event and
 * idempotency record in another. `operation_open_key` lets one lifecycle operation of a job be open.
 */
import { LIFECYCLE_KINDS } from '../domain/operation.ts'
import type { LifecycleContext, LifecycleRepository } from '../ports/lifecycle.ts'
import { toAttachment } from './attachment.ts'
import type { Database, Row } from './client.ts'
import { insertOperation, rememberedFrom, TOLD_OF_BEGUN } from './insert-operation.ts'
import { columnOf } from './reference.ts'
import { FRESH_OBSERVATION } from './snapshots.ts'

export const createLifecycleRepository = (db: Database): LifecycleRepository => ({
  readContext: async ({ namespaceId }, reference) => {
    const column = columnOf(reference)
    if (column === null) return null
    const [row] = await db.sql<ContextRow>(contextSql(column), [namespaceId, reference])
    return row ? toContext(row) : null
  },

  insert: (scope, operation, idempotency) => {
    const { id, kind, jobId, request, steps, createdBy, timeoutSeconds } = operation
    return insertOperation(db, scope, idempotency, {
      text: INSERT,
      values: [
        id,
        scope.namespaceId,
        kind,
        jobId,
        JSON.stringify(request),
        JSON.stringify(steps),
        createdBy,
        timeoutSeconds,
      ],
      open: { key: 'operation_open_key' },
    })
  },
})

type ContextRow = Row & {
  id: string
  name: string
  attach_flink_job_id: string | null
  attach_flink_job_name: string | null
  allow_stop: boolean
  savepoint_timeout_seconds: number
  latest_version: number | null
  ambiguous: string[] | null
  cluster_id: string
  cluster_name: string
  mode: LifecycleContext['cluster']['mode']
  identity_changed: boolean
  flink_version: string | null
  jar_submission: boolean | null
  idempotent_triggers: boolean | null
  run_id: string | null
  flink_job_id: string
  state: NonNullable<LifecycleContext['run']>['state']
  over: boolean
  missing: boolean
  fresh: boolean
  open_id: string | null
  open_kind: string
}

/** Nothing more will be heard of a run; of a LOST one only by a person's word (`product.md` §2). */
export const runHasEnded = (run: string): string =>
  `(${run}.state in ('FINISHED', 'CANCELED', 'FAILED') or ${run}.state = 'LOST' and ${run}.end_confirmed_at is not null)`
/** The same of the run `r`. */
export const RUN_HAS_ENDED = runHasEnded('r')

const OPEN_KINDS = LIFECYCLE_KINDS.map((kind) => `'${kind}'`).join(', ')

const contextSql = (column: 'id' | 'name'): string => `
  select j.id, j.name, j.attach_flink_job_id, j.attach_flink_job_name, j.allow_stop, j.savepoint_timeout_seconds,
    j.latest_version, j.ambiguous, c.id as cluster_id, c.name as cluster_name, c.mode,
    c.changed_to is not null and not c.follow_identity as identity_changed, c.flink_version,
    (c.capabilities ->> 'jarSubmission')::boolean as jar_submission,
    (c.capabilities ->> 'idempotentTriggers')::boolean as idempotent_triggers,
    r.id as run_id, r.flink_job_id, r.state, ${RUN_HAS_ENDED} as over, r.missing_since is not null as missing,
    coalesce(c.reachable and w.heartbeat_at > now() - interval '${FRESH_OBSERVATION}', false) as fresh,
    o.id as open_id, o.kind as open_kind
  from job j
    join cluster c on c.id = j.cluster_id
    left join worker w on w.id = c.observer_id
    left join run r on r.id = j.current_run_id
    left join operation o on o.job_id = j.id and o.ended_at is null and o.kind in (${OPEN_KINDS})
  where j.namespace_id = $1 and j.deleted_at is null and j.${column} = $2`

const toContext = (row: ContextRow): LifecycleContext => ({
  job: { id: row.id, name: row.name },
  attach: toAttachment(row),
  allowStop: row.allow_stop,
  savepointTimeoutSeconds: row.savepoint_timeout_seconds,
  latestVersion: row.latest_version,
  cluster: {
    id: row.cluster_id,
    name: row.cluster_name,
    mode: row.mode,
    identityChanged: row.identity_changed,
    flinkVersion: row.flink_version,
    jarSubmission: row.jar_submission,
    idempotentTriggers: row.idempotent_triggers,
  },
  run: row.run_id
    ? { id: row.run_id, flinkJobId: row.flink_job_id, state: row.state, over: row.over, missing: row.missing }
    : null,
  observationIsFresh: row.fresh,
  ambiguous: row.ambiguous,
  open: row.open_id ? { id: row.open_id, kind: row.open_kind } : null,
})

const INSERT = `
  with op as (
    insert into operation (id, namespace_id, kind, status, job_id, input, steps, created_by, deadline_at, next_action_at)
    values ($1::uuid, $2::uuid, $3, 'RUNNING', $4::uuid, $5::jsonb, $6::jsonb, $7, now() + make_interval(secs => $8::float8), now())
    returning id, namespace_id, kind, status, job_id),
  ${TOLD_OF_BEGUN},
  ${rememberedFrom(9)}
  select id from op`
