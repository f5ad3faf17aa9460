/** A start or a stop with everything its steps go by: one statement, the same at a claim and at a renewal. */
import type { JobVersionSpec } from '../domain/job-version.ts'
import type { LifecycleResult, OperationStep, StartRequest, StopRequest } from '../domain/operation.ts'
import type { LifecycleWork } from '../ports/lifecycle.ts'
import { toClusterAddress, toStorageAddress } from './addresses.ts'
import { toAttachment } from './attachment.ts'
import type { Row } from './client.ts'
import { RUN_HAS_ENDED, runHasEnded } from './lifecycles.ts'

export type WorkRow = Row & {
  id: string
  kind: 'START' | 'STOP'
  namespace_id: string
  namespace: string
  input: StartRequest | StopRequest
  steps: OperationStep[]
  result: LifecycleResult | null
  created_by: string
  created_at: string
  deadline_at: string
  asked_at: string | null
  now: string
  tries: number
  lease_token: string
  job_id: string
  job_name: string
  attach_flink_job_id: string | null
  attach_flink_job_name: string | null
  ambiguous: string[] | null
  current_run_id: string | null
  other_run: LifecycleWork['job']['otherRun']
  jar_submission: boolean | null
  cluster_id: string
  cluster_name: string
  mode: LifecycleWork['cluster']['mode']
  identity_changed: boolean
  flink_version: string | null
  claim_mode: boolean
  idempotent_triggers: boolean
  url: string
  auth: LifecycleWork['cluster']['address']['auth']
  storage_id: string
  storage_name: string
  uri: string
  provider: LifecycleWork['storage']['provider']
  endpoint: string | null
  region: string | null
  path_style: boolean | null
  credentials: LifecycleWork['storage']['credentials']
  run_id: string | null
  run_flink_job_id: string
  run_state: NonNullable<LifecycleWork['run']>['state']
  run_over: boolean
  run_flink_start_time: number
  all_tasks_running: boolean
  run_failure: { code: string; message: string } | null
  run_version: number | null
  snapshot_id: string | null
  snapshot_status: NonNullable<LifecycleWork['snapshot']>['status']
  snapshot_reason: string
  snapshot_settled: boolean
  snapshot_asked_flink_start: number | null
  snapshot_location: string | null
  snapshot_failure: { code: string; message: string } | null
  version_number: number | null
  spec: JobVersionSpec | null
}

/** Of `claimed`, the rows of `operation` that the statement holds. */
export const SELECT_WORK = `
  select o.id, o.kind, o.namespace_id, n.name as namespace, o.input, o.steps, o.result, o.created_by, o.created_at, o.deadline_at,
    o.asked_at, now() as now, o.tries, o.lease_token, j.id as job_id, j.name as job_name, j.attach_flink_job_id,
    j.attach_flink_job_name, j.ambiguous, j.current_run_id,
    case when cr.id is not null then json_build_object('id', cr.id, 'state', cr.state, 'missing', cr.missing_since is not null) end as other_run,
    c.id as cluster_id, c.name as cluster_name, c.mode,
    c.changed_to is not null and not c.follow_identity as identity_changed, c.flink_version,
    coalesce((c.capabilities ->> 'claimMode')::boolean, true) as claim_mode,
    (c.capabilities ->> 'jarSubmission')::boolean as jar_submission,
    coalesce((c.capabilities ->> 'idempotentTriggers')::boolean, true) as idempotent_triggers, c.url, c.auth,
    st.id as storage_id, st.name as storage_name, st.uri, st.provider, st.endpoint, st.region, st.path_style, st.credentials,
    r.id as run_id, r.flink_job_id as run_flink_job_id, r.state as run_state, ${RUN_HAS_ENDED} as run_over,
    r.flink_start_time as run_flink_start_time, r.all_tasks_running, r.failure as run_failure, r.version as run_version,
    s.id as snapshot_id, s.status as snapshot_status, s.reason as snapshot_reason, s.settled_at is not null as snapshot_settled,
    a.asked_flink_start as snapshot_asked_flink_start, s.location as snapshot_location,
    case when s.failure_code is not null then json_build_object('code', s.failure_code, 'message', coalesce(s.failure_message, '')) end as snapshot_failure,
    v.number as version_number, v.spec
  from claimed o
    join namespace n on n.id = o.namespace_id
    join job j on j.id = o.job_id
    join cluster c on c.id = j.cluster_id
    join storage st on st.id = j.savepoint_storage_id
    left join run r on r.id = coalesce(o.run_id, case when o.kind = 'STOP' then j.current_run_id end)
    left join run cr on cr.id = j.current_run_id and cr.namespace_id = o.namespace_id and cr.id is distinct from o.run_id
      and not ${runHasEnded('cr')}
    left join snapshot s on s.id = o.snapshot_id
    left join attempt a on a.snapshot_id = s.id and a.number = s.attempt
    left join job_version v on o.kind = 'START' and v.job_id = o.job_id and v.number = (o.input ->> 'version')::int`

export function toWork(row: WorkRow): LifecycleWork {
  const common = {
    id: row.id,
    namespaceId: row.namespace_id,
    namespace: row.namespace,
    steps: row.steps,
    result: row.result ?? {},
    createdBy: row.created_by,
    createdAt: new Date(row.created_at),
    deadlineAt: new Date(row.deadline_at),
    askedAt: row.asked_at === null ? null : new Date(row.asked_at),
    now: new Date(row.now),
    tries: row.tries,
    job: {
      id: row.job_id,
      name: row.job_name,
      attach: toAttachment(row),
      ambiguous: row.ambiguous,
      currentRunId: row.current_run_id,
      otherRun: row.other_run,
    },
    cluster: {
      id: row.cluster_id,
      name: row.cluster_name,
      mode: row.mode,
      identityChanged: row.identity_changed,
      flinkVersion: row.flink_version,
      claimMode: row.claim_mode,
      idempotentTriggers: row.idempotent_triggers,
      jarSubmission: row.jar_submission,
      address: toClusterAddress({
        id: row.cluster_id,
        namespace: row.namespace,
        url: row.url,
        auth: row.auth,
      }),
    },
    storage: {
      id: row.storage_id,
      name: row.storage_name,
      uri: row.uri,
      ...toStorageAddress({ ...row, id: row.storage_id, pathStyle: row.path_style }),
    },
    run: row.run_id
      ? {
          id: row.run_id,
          flinkJobId: row.run_flink_job_id,
          state: row.run_state,
          over: row.run_over,
          flinkStartTime: row.run_flink_start_time,
          allTasksRunning: row.all_tasks_running,
          failure: row.run_failure,
          version: row.run_version,
        }
      : null,
    snapshot: row.snapshot_id
      ? {
          id: row.snapshot_id,
          status: row.snapshot_status,
          reason: row.snapshot_reason,
          settled: row.snapshot_settled,
          askedFlinkStart: row.snapshot_asked_flink_start,
          location: row.snapshot_location,
          failure: row.snapshot_failure,
        }
      : null,
    lease: row.lease_token,
  }
  if ('mode' in row.input) return { ...common, kind: 'STOP', request: row.input, version: null }
  if (row.version_number === null) throw new Error(`the version of operation ${row.id} is gone`)
  const version = { ...row.spec, number: row.version_number }
  return { ...common, kind: 'START', request: row.input, version }
}
