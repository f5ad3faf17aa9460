/**
 * What the rules of a job clear (`product.md` §5 "Retention", §1.4). Pure: the clock and every fact come in.
 *
 * A rule owns the Present savepoints that a schedule or a deploy's gate took. In the order in which they were accepted the
 * newest `keepCount` stay, and of these only those not older than `maxAgeSeconds`: either condition clears. Each of them
 * counts, whether something else spares it or not: a pinned one among the newest N takes one of the N places, an older one
 * stays beside them. What a person asked for no rule touches, only the instant that was set on that one savepoint
 * (`expiresAt`). What is in use or protected outlives both, and is looked at again later.
 */
import type { Protection } from './protection.ts'
import type { SnapshotUse } from './references.ts'
import type { Reference, SnapshotKind, SnapshotSource } from './snapshot.ts'
import type { SnapshotStatus } from './snapshot-status.ts'

/** null: no such condition. `rollbackWindowSeconds`: null means the default window of `domain/protection.ts`. */
export type RetentionPolicy = {
  keepCount: number | null
  maxAgeSeconds: number | null
  rollbackWindowSeconds: number | null
}
export const NO_POLICY: RetentionPolicy = {
  keepCount: null,
  maxAgeSeconds: null,
  rollbackWindowSeconds: null,
}

/** As many as a preview considers; whoever wants to keep more names an age. */
export const MOST_KEPT = 1_000
/** Ten years. */
export const LONGEST_SECONDS = 315_360_000

/** Whose rule it is. A job's own replaces the default of its namespace as a whole. */
export const RETENTION_ORIGINS = ['JOB', 'NAMESPACE', 'REQUEST', 'NONE'] as const
export type RetentionOrigin = (typeof RETENTION_ORIGINS)[number]

export const RETENTION_RULES = ['KEEP_COUNT', 'MAX_AGE', 'EXPIRED'] as const
export type RetentionRule = (typeof RETENTION_RULES)[number]

/** What a rule may touch. */
export const RULED_SOURCES = ['SCHEDULE', 'DEPLOY'] as const satisfies readonly SnapshotSource[]
/** What can be cleared at all; others are on their way, or gone. */
const CLEARABLE: readonly SnapshotStatus[] = ['Present', 'Failed', 'Timeout']

/** What a verdict on one snapshot is made of. */
export type RetainedSnapshot = {
  id: string
  kind: SnapshotKind
  status: SnapshotStatus
  source: SnapshotSource
  createdAt: string
  completedAt: string | null
  settledAt: string | null
  expiresAt: string | null
  pinned: boolean
  /** A run has claimed it: it is Flink's. */
  claimed: boolean
  uses: readonly SnapshotUse[]
}

export type RetentionVerdict = {
  snapshot: string
  verdict: 'CLEAR' | 'KEEP'
  /** What clears it, or would if nothing spared it; null when nothing asks for it to go. */
  rule: RetentionRule | null
  /** For a person. */
  because: string
  protections: readonly Protection[]
}

/** Whether any condition clears anything; one with a window for rollbacks alone only protects. */
export const clearsAnything = ({ keepCount, maxAgeSeconds }: RetentionPolicy): boolean =>
  keepCount !== null || maxAgeSeconds !== null

export const isRuled = (snapshot: Pick<RetainedSnapshot, 'kind' | 'status' | 'source'>): boolean =>
  snapshot.kind === 'SAVEPOINT' &&
  snapshot.status === 'Present' &&
  RULED_SOURCES.some((source) => source === snapshot.source)

/**
 * A verdict for each snapshot that a rule owns or that has expired, the newest first. `snapshots`: all of one job, or its
 * newest; whatever else stands among them is passed over.
 */
export function selectExpired(
  policy: RetentionPolicy,
  snapshots: readonly RetainedSnapshot[],
  protections: ReadonlyMap<string, readonly Protection[]>,
  now: Date,
): RetentionVerdict[] {
  const newestFirst = snapshots.toSorted(byAcceptance)
  const ruled = newestFirst.filter(isRuled)
  const beyond = new Set(policy.keepCount === null ? [] : ruled.slice(policy.keepCount).map(({ id }) => id))
  return newestFirst
    .filter((snapshot) => isRuled(snapshot) || hasExpired(snapshot, now))
    .map((snapshot) =>
      judgeSnapshot(snapshot, {
        policy,
        beyondCount: beyond.has(snapshot.id),
        protections: protections.get(snapshot.id) ?? [],
        now,
      }),
    )
}

/** `beyondCount`: at least `keepCount` newer ones are owned by the rule. */
export function judgeSnapshot(
  snapshot: RetainedSnapshot,
  given: {
    policy: RetentionPolicy
    beyondCount: boolean
    protections: readonly Protection[]
    now: Date
  },
): RetentionVerdict {
  const { protections } = given
  const met = conditionMet(snapshot, given)
  if (met === null) {
    const because = 'No condition asks for it to go.'
    return { snapshot: snapshot.id, verdict: 'KEEP', rule: null, because, protections }
  }
  const spared = sparedBecause(snapshot, protections)
  return {
    snapshot: snapshot.id,
    verdict: spared === null ? 'CLEAR' : 'KEEP',
    rule: met.rule,
    because: spared === null ? met.because : `${met.because} It stays: ${spared}`,
    protections,
  }
}

type Met = { rule: RetentionRule; because: string }

function conditionMet(
  snapshot: RetainedSnapshot,
  { policy, beyondCount, now }: { policy: RetentionPolicy; beyondCount: boolean; now: Date },
): Met | null {
  if (hasExpired(snapshot, now)) return { rule: 'EXPIRED', because: `It expired at ${snapshot.expiresAt}.` }
  if (!isRuled(snapshot)) return null
  if (beyondCount && policy.keepCount !== null) {
    const newer = policy.keepCount === 1 ? 'A newer one is' : `${policy.keepCount} newer ones are`
    return { rule: 'KEEP_COUNT', because: `${newer} kept (keepCount ${policy.keepCount}).` }
  }
  if (policy.maxAgeSeconds !== null && ageMs(snapshot, now) > policy.maxAgeSeconds * 1000) {
    return {
      rule: 'MAX_AGE',
      because: `It is older than ${policy.maxAgeSeconds} s: it has been there since ${since(snapshot)}.`,
    }
  }
  return null
}

/** A checkpoint is Flink's and never expires by us. */
const hasExpired = ({ kind, status, expiresAt }: RetainedSnapshot, now: Date): boolean =>
  kind === 'SAVEPOINT' &&
  CLEARABLE.includes(status) &&
  expiresAt !== null &&
  Date.parse(expiresAt) <= now.getTime()

/** null: nothing does. The first reason that holds, in the order in which a person could change it last. */
function sparedBecause(
  { status, settledAt, pinned, claimed, uses }: RetainedSnapshot,
  protections: readonly Protection[],
): string | null {
  if (status === 'Timeout' && settledAt === null) return 'Flink may still complete it.'
  if (pinned) return 'it is pinned.'
  if (claimed) return 'a run has claimed it, so it is no longer ours.'
  const [use] = uses
  if (use) return `it is in use. ${use.message}`
  const [protection] = protections
  return protection ? `it is protected. ${protection.message}` : null
}

/** As long as it could have been restored: a late completion is not old on the day it arrives. */
const since = ({ createdAt, completedAt }: RetainedSnapshot): string =>
  completedAt !== null && Date.parse(completedAt) > Date.parse(createdAt) ? completedAt : createdAt

const ageMs = (snapshot: RetainedSnapshot, now: Date): number => now.getTime() - Date.parse(since(snapshot))

/** Instants of one format, ids of UUIDv7: both compare as texts. */
function byAcceptance(a: RetainedSnapshot, b: RetainedSnapshot): number {
  if (a.createdAt !== b.createdAt) return a.createdAt < b.createdAt ? 1 : -1
  if (a.id === b.id) return 0
  return a.id < b.id ? 1 : -1
}

// ---------------------------------------------------------------------------------------------------- what costs

/** Savepoints that nothing will ever clear by itself. `more`: there are others beyond those counted. */
export type Unruled = { savepoints: number; bytes: number; more: boolean }

export type RetentionNotice = {
  /** null for a namespace: counted per job only. */
  savepoints: number | null
  bytes: number | null
  more: boolean
  message: string
}

const COSTS = 'Savepoints that are not cleared occupy storage and cost its fees.'

export const noticeForJob = ({ savepoints, bytes, more }: Unruled): RetentionNotice => ({
  savepoints,
  bytes,
  more,
  message:
    savepoints === 0
      ? `${COSTS} Every savepoint of this job is covered by a rule or expires.`
      : `${COSTS} ${more ? 'More than ' : ''}${savepoints} of this job (${bytes} bytes) are covered by no rule and do not expire: clear by hand what is outdated.`,
})

export const NAMESPACE_NOTICE: RetentionNotice = {
  savepoints: null,
  bytes: null,
  more: false,
  message: `${COSTS} No rule clears what a person asked for or what has no rule: clear by hand what is outdated.`,
}

// ------------------------------------------------------------------------------------------------------ answers

export type Retention = RetentionPolicy & {
  /** null: the default of the namespace. */
  job: Reference | null
  origin: RetentionOrigin
  updatedAt: string | null
  notice: RetentionNotice
  /** Of the row of this level; `none` while there is none. */
  etag: string
}

/** Why the rule is not carried out at present although it is saved. */
export type RetentionSuspension = {
  code: 'NO_RULE' | 'JOB_NOT_RUNNING' | 'OBSERVE_ONLY' | 'CLUSTER_IDENTITY_CHANGED'
  message: string
}

export function suspensionOf(facts: {
  policy: RetentionPolicy
  running: boolean
  observeOnly: boolean
  identityChanged: boolean
}): RetentionSuspension | null {
  if (facts.observeOnly) {
    return { code: 'OBSERVE_ONLY', message: 'The cluster is only observed: nothing of its jobs is cleared.' }
  }
  if (facts.identityChanged) {
    return {
      code: 'CLUSTER_IDENTITY_CHANGED',
      message: 'Another cluster answers at the address: nothing is cleared until that is confirmed.',
    }
  }
  if (!clearsAnything(facts.policy)) return { code: 'NO_RULE', message: 'No condition is set.' }
  if (!facts.running) {
    return {
      code: 'JOB_NOT_RUNNING',
      message: 'The job does not run: the rule is carried out after its next start.',
    }
  }
  return null
}
