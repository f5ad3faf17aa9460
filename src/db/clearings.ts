/**
 * Clearing as it is asked for and shown. What a decision goes by is read in one statement; the snapshot is marked in a
 * transaction that locks it first: whoever begins to use a snapshot locks or writes its row too (`lifecycle-work.ts` SUBMIT,
 * a copy), so one of both sees the other. The worker's side stands in `clearing-work.ts`.
 */
import type { Clearing, ClearingCluster, ClearingFacts, RuleBasis } from '../domain/clearing.ts'
import { DomainError } from '../domain/errors.ts'
import { parseLocation, snapshotDirectory } from '../domain/location.ts'
import { LIFECYCLE_KINDS } from '../domain/operation.ts'
import { listUses } from '../domain/references.ts'
import { isUuidShaped } from '../domain/resource-name.ts'
import { folderKey } from '../domain/snapshot-files.ts'
import { type SnapshotStatus, statusesBefore } from '../domain/snapshot-status.ts'
import type {
  CheckpointDirectoryRepository,
  ClearingBegun,
  ClearingRepository,
  NewClearing,
} from '../ports/clearing.ts'
import type { InspectionRepository } from '../ports/inspections.ts'
import type { ReferenceRepository } from '../ports/runs.ts'
import type { Scope } from '../ports/scope.ts'
import { endClearing, GIVEN_UP } from './clearing-work.ts'
import { type Database, type Row, type Sql, violatedConstraint } from './client.ts'
import { constraintOf, withDomainErrors } from './errors.ts'
import { restoredFrom, uninspectedOfHeirs, withHeirs } from './heirs.ts'
import { RUN_HAS_ENDED } from './lifecycles.ts'
import { readReferences } from './references.ts'
import { RESTORABLE } from './restorable.ts'
import { IS_RUNNING, SAVED_RULE } from './retention.ts'
import { SNAPSHOT_COLUMNS, SNAPSHOT_JOINS, type SnapshotRow, toSnapshot } from './snapshot-rows.ts'

/** One more than are looked into for one request. */
const UNINSPECTED_READ = 21
const NEEDERS_NAMED = 20

type Others = {
  references: ReferenceRepository
  inspections: Pick<InspectionRepository, 'listNeedersBelow'>
  checkpointDirectories: Pick<CheckpointDirectoryRepository, 'read'>
}

export const createClearingRepository = (db: Database, others: Others): ClearingRepository =>
  withDomainErrors({
    async readFacts(scope, snapshotId) {
      if (!isUuidShaped(snapshotId)) return null
      const [row] = await db.sql<FactsRow>(FACTS, [snapshotId, scope.namespaceId], 'clearing-facts')
      if (!row) return null
      const folder = ownedFolder(row.kind === 'CHECKPOINT' ? row.location : row.owned_prefix)
      const references = await others.references.read(scope, snapshotId, folder)
      if (!references) return null
      const needers =
        folder === null
          ? []
          : await others.inspections.listNeedersBelow(scope, folder, snapshotId, NEEDERS_NAMED)
      const facts = toFacts(
        row,
        listUses(references),
        needers.map(({ id, job }) => ({ id, job })),
      )
      if (facts.snapshot.kind !== 'CHECKPOINT') return facts
      return { ...facts, checkpointDirectory: await others.checkpointDirectories.read(scope, snapshotId) }
    },

    async find({ namespaceId }, snapshotId) {
      if (!isUuidShaped(snapshotId)) return null
      const [row] = await db.sql<ClearingRow>(FIND, [snapshotId, namespaceId])
      return row ? toClearing(row) : null
    },

    async begin(scope, clearing) {
      try {
        return await db.transaction((sql) => beginIn(sql, scope, clearing))
      } catch (error) {
        const constraint = constraintOf(error) ?? violatedConstraint(error)
        if (constraint === 'clearing_prefix_key') {
          throw new DomainError('SNAPSHOT_IN_USE', 'Its directory is being cleared for another snapshot.', {
            cause: error,
          })
        }
        throw error
      }
    },

    async giveUp({ namespaceId }, snapshotId, requestedBy) {
      const ended = await db.sql(GIVE_UP, [snapshotId, namespaceId, 'GIVEN_UP', requestedBy])
      if (ended.length === 0) await db.sql(MARK_GIVEN_UP, [snapshotId, namespaceId, requestedBy])
    },

    async findCleared(ids) {
      const rows = await db.sql<{ id: string }>(
        `select id from snapshot where id = any($1::uuid[]) and status <> 'Clearing'`,
        [ids],
        'find-cleared',
      )
      return rows.map(({ id }) => id)
    },
  })

// --------------------------------------------------------------------------------------------------- facts

type FactsRow = SnapshotRow & {
  storage_uri: string | null
  storage_provider: string
  clear_checkpoints: boolean
  clusters: ClearingCluster[]
  run_is_over: boolean
  open_operation: string | null
  uninspected: string[]
}

/** A prefix that is no location owns nothing: the decision refuses it. */
function ownedFolder(prefix: string | null): string | null {
  if (prefix === null) return null
  try {
    return folderKey(snapshotDirectory(parseLocation(prefix)))
  } catch (error) {
    if (error instanceof DomainError) return null
    throw error
  }
}

const toFacts = (
  row: FactsRow,
  uses: ClearingFacts['uses'],
  neededBy: ClearingFacts['neededBy'],
): ClearingFacts => ({
  snapshot: toSnapshot(row),
  storage:
    row.storage_id !== null && row.storage_name !== null && row.storage_uri !== null
      ? {
          id: row.storage_id,
          name: row.storage_name,
          uri: row.storage_uri,
          provider: row.storage_provider,
          clearCheckpoints: row.clear_checkpoints,
        }
      : null,
  clusters: row.clusters,
  runIsOver: row.run_is_over,
  uses,
  openOperation: row.open_operation,
  neededBy,
  uninspected: row.uninspected,
})

const LIFECYCLES = LIFECYCLE_KINDS.map((kind) => `'${kind}'`).join(', ')

/** `uninspected`: its heirs may have built on its files (`heirs.ts`); what their snapshots need says their `_metadata`. */
const FACTS = `
  select ${SNAPSHOT_COLUMNS}, st.uri as storage_uri, st.provider as storage_provider, st.clear_checkpoints,
    (select json_agg(json_build_object('id', c.id, 'name', c.name, 'observeOnly', c.mode = 'OBSERVE_ONLY',
        'identityChanged', c.changed_to is not null and not c.follow_identity) order by c.name)
      from cluster c where c.namespace_id = s.namespace_id and c.id in (j.cluster_id, r.cluster_id)) as clusters,
    r.id is null or ${RUN_HAS_ENDED} as run_is_over,
    (select o.id from operation o where o.job_id = s.job_id and o.namespace_id = s.namespace_id and o.ended_at is null
      and o.kind in (${LIFECYCLES}) and o.snapshot_id = s.id limit 1) as open_operation,
    case when s.owned_prefix is null then '{}' else array(
      with ${withHeirs('s.namespace_id', restoredFrom('s'))}
      select n.id::text from (${uninspectedOfHeirs('s.namespace_id', 's.id')}) n
      order by n.created_at desc, n.id desc limit ${UNINSPECTED_READ}) end as uninspected
  from snapshot s ${SNAPSHOT_JOINS}
    left join run r on r.id = s.run_id and r.namespace_id = s.namespace_id
  where s.id = $1::uuid and s.namespace_id = $2::uuid`

// --------------------------------------------------------------------------------------------------- begin

type Locked = Row & {
  id: string
  job_id: string
  status: SnapshotStatus
  row_version: number
  restorable: boolean
  expired: boolean
}

/** Locked in the order of their ids: two clearings that rely on each other's snapshots wait, and never in a circle. */
const LOCK = `
  select s.id::text as id, s.job_id, s.status, s.row_version, (${RESTORABLE}) as restorable,
    coalesce(s.expires_at <= now(), false) as expired
  from snapshot s
  where s.namespace_id = $1::uuid and s.id = any($2::uuid[]) order by s.id for update of s`

async function beginIn(sql: Sql, scope: Scope, clearing: NewClearing): Promise<ClearingBegun> {
  const { snapshotId, witnesses, basis } = clearing
  const locked = await sql<Locked>(LOCK, [scope.namespaceId, [snapshotId, ...witnesses]], 'lock-clearing')
  const own = locked.find(({ id }) => id === snapshotId)
  if (!own || !statusesBefore('Clearing').includes(own.status) || String(own.row_version) !== clearing.etag) {
    return 'changed'
  }
  const standing = locked.filter(({ id, restorable }) => id !== snapshotId && restorable)
  if (standing.length !== new Set(witnesses).size) return 'changed'
  // Statements of their own after the lock: they see what committed while we waited for it.
  if (basis !== null && !(await stillAsks(sql, scope, basis, own))) return 'withdrawn'
  if (clearing.method !== 'FORGET' && (await isUsed(sql, scope, clearing))) return 'changed'
  const begun = await sql(BEGIN, beginValues(scope, clearing, own.status), 'begin-clearing')
  return begun.length === 1 ? 'begun' : 'changed'
}

async function stillAsks(sql: Sql, { namespaceId }: Scope, basis: RuleBasis, own: Locked): Promise<boolean> {
  if (basis.kind === 'EXPIRY') return own.expired
  const rows = await sql(RULE_HOLDS, [namespaceId, own.job_id, basis.saved], 'rule-holds')
  return rows.length > 0
}

/** The rule that holds for the job is held until the snapshot is marked: whoever is answered that it has gone has saved the rest. */
const RULE_HOLDS = `
  select 1 from job j
    join run r on r.id = j.current_run_id and r.namespace_id = j.namespace_id and ${IS_RUNNING}
    cross join lateral (
      select * from retention p where p.namespace_id = j.namespace_id and (p.job_id = j.id or p.job_id is null)
      order by p.job_id nulls last limit 1 for share) p
  where j.namespace_id = $1::uuid and j.id = $2::uuid and j.deleted_at is null and ${SAVED_RULE} = $3`

async function isUsed(
  sql: Sql,
  { namespaceId }: Scope,
  { snapshotId, prefix }: NewClearing,
): Promise<boolean> {
  const references = await readReferences(sql, namespaceId, snapshotId, ownedFolder(prefix))
  return references === null || listUses(references).length > 0
}

const beginValues = (scope: Scope, clearing: NewClearing, from: SnapshotStatus): unknown[] => [
  clearing.id,
  clearing.snapshotId,
  scope.namespaceId,
  clearing.method,
  clearing.prefix,
  clearing.reason,
  clearing.message,
  clearing.forced,
  clearing.requestedBy,
  from,
  clearing.looked,
]

/** From here on nobody can restore it. The clusters of its job are asked once more: nothing is cleared on an observed one. */
const BEGIN = `
  with marked as (
    update snapshot s set status = 'Clearing', reason = $6, message = $7, next_action_at = null, verify_at = null,
      lease_token = null, lease_until = null, row_version = s.row_version + 1, updated_at = now()
    from job j
    where s.id = $2::uuid and s.namespace_id = $3::uuid and s.status = $10 and j.id = s.job_id
      and not exists (
        select 1 from cluster c left join run r on r.id = s.run_id
        where c.namespace_id = s.namespace_id and c.id in (j.cluster_id, r.cluster_id)
          and (c.mode = 'OBSERVE_ONLY' or c.changed_to is not null and not c.follow_identity))
    returning s.id, s.namespace_id, s.job_id, s.storage_id, s.kind, s.source, s.reason, s.message),
  begun as (
    insert into clearing (id, namespace_id, subject, snapshot_id, storage_id, method, prefix, reason, message, forced,
      requested_by, looked, next_action_at)
    select $1::uuid, namespace_id, 'SNAPSHOT', id, storage_id, $4, $5, $6, $7, $8::boolean, $9, $11::boolean, now()
    from marked
    returning id),
  moved as (
    insert into history.snapshot_transition (namespace_id, snapshot_id, from_status, to_status, reason, message, by)
    select namespace_id, id, $10, 'Clearing', reason, message, $9 from marked),
  told as (
    insert into history.event (namespace_id, type, job_id, snapshot_id, data)
    select namespace_id, 'snapshot.status', job_id, id,
      jsonb_build_object('from', $10::text, 'to', 'Clearing', 'reason', reason, 'kind', kind, 'source', source) from marked)
  select 1 as begun from begun`

/** Cleared(GIVEN_UP) promises that nothing more is deleted: a holder may have a request under way. */
const GIVE_UP = endClearing(
  GIVEN_UP,
  'snapshot_id = $1::uuid and namespace_id = $2::uuid and ended_at is null and (lease_until is null or lease_until < now())',
)

/** Due at once, for the case that its holder is gone. */
const MARK_GIVEN_UP = `
  update clearing set given_up_by = coalesce(given_up_by, $3), next_action_at = now()
  where snapshot_id = $1::uuid and namespace_id = $2::uuid and ended_at is null`

// ---------------------------------------------------------------------------------------------------- show

type ClearingRow = Row & {
  snapshot_id: string
  method: Clearing['method']
  reason: Clearing['reason']
  message: string | null
  forced: boolean
  requested_by: string
  requested_at: string
  phase: Clearing['phase']
  objects: number
  bytes: number
  deleted: number
  error_code: string | null
  error_message: string | null
  error_at: string | null
  next_action_at: string | null
  ended_at: string | null
}

const FIND = `
  select snapshot_id, method, reason, message, forced, requested_by, requested_at, phase, objects, bytes, deleted,
    error_code, error_message, error_at, next_action_at, ended_at
  from clearing where snapshot_id = $1::uuid and namespace_id = $2::uuid`

const toClearing = (row: ClearingRow): Clearing => ({
  snapshot: row.snapshot_id,
  method: row.method,
  reason: row.reason,
  message: row.message,
  forced: row.forced,
  requestedBy: row.requested_by,
  requestedAt: row.requested_at,
  phase: row.phase,
  objects: row.objects,
  bytes: row.bytes,
  deleted: row.deleted,
  error:
    row.error_code !== null && row.error_at !== null
      ? { code: row.error_code, message: row.error_message ?? '', at: row.error_at }
      : null,
  nextTryAt: row.next_action_at,
  endedAt: row.ended_at,
})
