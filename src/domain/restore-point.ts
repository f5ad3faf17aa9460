/**
 * From which snapshot a job would be restored: the choice, why, and of every other one why not (`product.md` §5). Pure.
 *
 * The newest is the one of the newest run, and within a run the one with Flink's highest checkpoint id; never the one that
 * completed last, because an older savepoint may complete late. An older one is never taken in silence while a newer one
 * may exist that nobody has seen (FLINK-39270): then the answer is a refusal until the request accepts it. A start without
 * state counts as the oldest of all.
 */
import { notRestorable, type RestorableFacts } from './restorable.ts'
import type { Reference, SnapshotKind, SnapshotSource } from './snapshot.ts'
import type { SnapshotStatus } from './snapshot-status.ts'
import {
  compareRanks,
  findUnseen,
  type RestoreSurroundings,
  type RunOrder,
  rankOf,
  type UnseenNewer,
} from './unseen-snapshots.ts'

export const RESTORE_STRATEGIES = ['NONE', 'LATEST_STATE', 'LATEST_SAVEPOINT', 'FROM_SNAPSHOT'] as const
export type RestoreStrategy = (typeof RESTORE_STRATEGIES)[number]
export const RESTORE_FALLBACKS = ['FAIL', 'NONE'] as const
export const CLAIM_MODES = ['NO_CLAIM', 'CLAIM'] as const

/** What a start, and the question where it would begin, may say about restoring. LATEST_STATE, and FAIL, by default. */
export type Restore = {
  strategy?: RestoreStrategy
  /** With FROM_SNAPSHOT, one of both: an id, or a folder (or its `_metadata` file) inside a storage of the namespace. */
  snapshot?: string
  location?: string
  claimMode?: (typeof CLAIM_MODES)[number]
  allowNonRestoredState?: boolean
  /** Nothing that completed longer ago is restored. */
  maxAgeSeconds?: number
  /** What happens when nothing can be restored. */
  fallback?: (typeof RESTORE_FALLBACKS)[number]
  /** LATEST_STATE: the newest checkpoint of the run, although a savepoint of that run is newer. */
  preferCheckpoint?: boolean
  /** Take the newest one known although a newer one may exist. */
  acceptOlder?: boolean
}

/**
 * What is known of its `_metadata` at this moment and, where a start has looked for them, of its files. `not-asked`: nobody
 * could say, which is not the same as missing. `notVerified`: `_metadata` is there, and why its files were not looked for.
 */
export type MetadataProof =
  | { is: 'unchecked' | 'missing' }
  | { is: 'there'; notVerified?: string }
  | { is: 'unreadable'; message?: string }
  | { is: 'damaged'; message: string }
  | { is: 'not-asked'; message: string }

export type CandidateFacts = RestorableFacts & {
  /** null: a place that is no snapshot of ours. */
  snapshot: string | null
  kind: SnapshotKind | null
  source: SnapshotSource | null
  /** null: a place that is no snapshot of ours. */
  job: Reference | null
  jobVersion: number | null
  completedAt: string | null
  /** With Flink's checkpoint id its rank; of a COPY both are those of its source. Without either nothing says how new it is. */
  run: RunOrder | null
  flinkCheckpointId: number | null
  metadata: MetadataProof
}

export const REJECTION_CODES = [
  'NOT_PRESENT',
  'NO_LOCATION',
  'CLAIMED',
  'METADATA_MISSING',
  'DAMAGED',
  'UNREADABLE',
  'ENDANGERED',
  'METADATA_GONE',
  'STORE_NOT_ASKED',
  'TOO_OLD',
  'AGE_UNKNOWN',
  'NOT_NAMED',
  'UNRANKED',
  'NOT_A_SAVEPOINT',
  'CHECKPOINT_PREFERRED',
  'NEWER_MAY_EXIST',
  'NOT_CHECKED',
  'OLDER',
  'STRATEGY_NONE',
] as const
export type Rejection = { code: (typeof REJECTION_CODES)[number]; message: string }

export const DECISIONS = ['restore', 'start-empty', 'refuse'] as const
export const DECISION_CODES = [
  'NEWEST_STATE',
  'NEWEST_SAVEPOINT',
  'PREFERRED_CHECKPOINT',
  'NAMED',
  'STRATEGY_NONE',
  'NO_STATE_EVER',
  'NOTHING_RESTORABLE',
  'NO_RESTORE_POINT',
  'NAMED_NOT_RESTORABLE',
  'NEWER_MAY_EXIST',
  'STORE_NOT_ASKED',
  'TOO_MANY_GONE',
] as const
export const FINDING_CODES = [
  'OTHER_JOB',
  'JOB_IS_RUNNING',
  'OTHER_VERSION',
  'IMPORT_NOT_TAKEN',
  'LAST_RUN_BEGAN_ELSEWHERE',
  'NOT_VERIFIED',
] as const

export type RestoreCandidate = {
  snapshot: string | null
  kind: SnapshotKind | null
  source: SnapshotSource | null
  /** null: a place that is no snapshot of ours. */
  status: SnapshotStatus | null
  verdict: string | null
  job: Reference | null
  jobVersion: number | null
  location: string | null
  completedAt: string | null
  /** Its rank: the runs by their start, then this id. Of a COPY those of its source. */
  run: { id: string; startedAt: string } | null
  flinkCheckpointId: number | null
  rejected: Rejection | null
}

export type RestoreDecision = {
  decision: (typeof DECISIONS)[number]
  chosen: (Omit<RestoreCandidate, 'rejected'> & { ageSeconds: number | null }) | null
  because: { code: (typeof DECISION_CODES)[number]; message: string }
  /** The newest first; what has no rank comes last. */
  candidates: RestoreCandidate[]
  newerMayExist: UnseenNewer[]
  findings: { code: (typeof FINDING_CODES)[number]; message: string }[]
}

export type RestoreQuestion = {
  restore: Restore
  /** The version that is to run; null when nobody said. */
  version: number | null
  now: string
  /** For FROM_SNAPSHOT exactly the one that was named. In any order. */
  candidates: readonly CandidateFacts[]
  surroundings: RestoreSurroundings
}

// ------------------------------------------------------------------------------------------------- judgement

type Judged = { facts: CandidateFacts; rejected: Rejection | null }

/** The candidate that would be taken: its `_metadata` must be looked for before `decideRestore` can choose it. */
export function findBest(question: RestoreQuestion): CandidateFacts | null {
  return judgeAll(question).find(({ rejected }) => rejected === null)?.facts ?? null
}

export function decideRestore(question: RestoreQuestion): RestoreDecision {
  const judged = judgeAll(question)
  const best = judged.find(({ rejected }) => rejected === null) ?? null
  const unseen = isByRank(question.restore)
    ? findUnseen(question.surroundings, judged, best?.facts ?? null)
    : []
  const verdict = decide(question, judged, best, unseen)
  return {
    decision: verdict.decision,
    chosen: verdict.decision === 'restore' && best ? showChosen(best.facts, question.now) : null,
    because: { code: verdict.code, message: verdict.message },
    candidates: judged.map((one) => ({
      ...show(one.facts),
      rejected: explain(one, best, verdict, question),
    })),
    newerMayExist: unseen,
    findings: listFindings(question, judged, verdict),
  }
}

/** Newest first, each with the reason why it cannot be taken by itself; preferences between those that could come last. */
function judgeAll({ restore, candidates, now }: RestoreQuestion): Judged[] {
  const judged = candidates
    .toSorted(compareCandidates)
    .map((facts): Judged => ({ facts, rejected: reject(facts, restore, now) }))
  return restore.preferCheckpoint ? preferCheckpoint(judged) : judged
}

function reject(facts: CandidateFacts, restore: Restore, now: string): Rejection | null {
  if (restore.strategy === 'NONE') {
    return { code: 'STRATEGY_NONE', message: 'The job is to start without state.' }
  }
  return (
    notRestorableItself(facts) ??
    (restore.strategy === 'FROM_SNAPSHOT' ? null : notOfThisKind(facts, restore)) ??
    tooOld(facts, restore, now)
  )
}

function notRestorableItself(facts: CandidateFacts): Rejection | null {
  const known = notRestorable(facts)
  if (known) return { code: known.code, message: `Not restorable: ${known.because}.` }
  if (facts.metadata.is === 'missing') {
    return { code: 'METADATA_GONE', message: 'Its _metadata is gone: the storage was asked just now.' }
  }
  if (facts.metadata.is === 'unreadable') {
    const message = facts.metadata.message ?? 'Its _metadata does not begin like one of Flink.'
    return { code: 'UNREADABLE', message }
  }
  if (facts.metadata.is === 'damaged') return { code: 'DAMAGED', message: facts.metadata.message }
  return null
}

function notOfThisKind(facts: CandidateFacts, restore: Restore): Rejection | null {
  if (facts.source === 'IMPORT') {
    return {
      code: 'NOT_NAMED',
      message: 'It was registered by hand: it is restored only by its id (FROM_SNAPSHOT).',
    }
  }
  if (restore.strategy === 'LATEST_SAVEPOINT' && facts.kind === 'CHECKPOINT') {
    return { code: 'NOT_A_SAVEPOINT', message: 'It is a checkpoint, and the strategy takes savepoints only.' }
  }
  if (rankOf(facts)) return null
  return {
    code: 'UNRANKED',
    message:
      'Its run or its checkpoint id is not known, so nothing says how new it is: name it to restore it.',
  }
}

function tooOld({ completedAt }: CandidateFacts, { maxAgeSeconds }: Restore, now: string): Rejection | null {
  if (maxAgeSeconds === undefined) return null
  const age = ageSeconds(completedAt, now)
  if (age === null) {
    return { code: 'AGE_UNKNOWN', message: 'When it completed is not known, and maxAgeSeconds is set.' }
  }
  if (age <= maxAgeSeconds) return null
  return {
    code: 'TOO_OLD',
    message: `It completed ${age} s ago, longer than the ${maxAgeSeconds} s of maxAgeSeconds.`,
  }
}

/**
 * As `CheckpointConfig.setPreferCheckpointForRecovery` of earlier Flink versions (CompletedCheckpointStore.getLatestCheckpoint):
 * among what one run left behind, and a savepoint after all when there is no checkpoint.
 */
function preferCheckpoint(judged: readonly Judged[]): Judged[] {
  const best = judged.find(({ rejected }) => rejected === null)
  const run = best?.facts.kind === 'SAVEPOINT' ? best.facts.run?.id : undefined
  const preferred = judged.find(
    ({ facts, rejected }) => rejected === null && facts.kind === 'CHECKPOINT' && facts.run?.id === run,
  )
  if (run === undefined || !preferred) return [...judged]
  const until = judged.indexOf(preferred)
  return judged.map((one, index) =>
    one.rejected !== null || index >= until
      ? one
      : {
          ...one,
          rejected: {
            code: 'CHECKPOINT_PREFERRED',
            message: `It is newer, but the request prefers a checkpoint: ${nameOf(preferred.facts)} of the same run.`,
          },
        },
  )
}

// -------------------------------------------------------------------------------------------------- decision

type Verdict = {
  decision: RestoreDecision['decision']
  code: RestoreDecision['because']['code']
  message: string
}

function decide(
  question: RestoreQuestion,
  judged: readonly Judged[],
  best: Judged | null,
  unseen: readonly UnseenNewer[],
): Verdict {
  const { restore, surroundings } = question
  if (restore.strategy === 'NONE') {
    return {
      decision: 'start-empty',
      code: 'STRATEGY_NONE',
      message: 'The request asks for a start without state.',
    }
  }
  const unproven = best && refuseUnproven(best.facts)
  if (unproven) return unproven
  if (unseen.length > 0 && !restore.acceptOlder) return refuseUnseen(surroundings.job, best, unseen)
  const accepted = unseen.length > 0 ? ' A newer one may exist; the request accepts that.' : ''
  const wanted = best ? restoreBest(question, judged, best) : restoreNothing(question, judged)
  return { ...wanted, message: `${wanted.message}${accepted}` }
}

/** Its existence is to be proven at this moment, so that a start does not fail where it could have been known. */
function refuseUnproven(facts: CandidateFacts): Verdict | null {
  if (facts.metadata.is === 'there') return null
  if (facts.metadata.is === 'not-asked') {
    return {
      decision: 'refuse',
      code: 'STORE_NOT_ASKED',
      message: `Whether ${nameOf(facts)} is still there could not be found out: ${facts.metadata.message}`,
    }
  }
  return {
    decision: 'refuse',
    code: 'TOO_MANY_GONE',
    message: `The newest ones have all gone from storage, and ${nameOf(facts)} was not looked for any more. Look at the storage, or name a snapshot.`,
  }
}

function refuseUnseen(job: Reference, best: Judged | null, unseen: readonly UnseenNewer[]): Verdict {
  const known = best
    ? `The newest one known is ${nameOf(best.facts)}`
    : `Nothing restorable of ${job.name} is known`
  const [first] = unseen
  return {
    decision: 'refuse',
    code: 'NEWER_MAY_EXIST',
    message: `${known}, but a newer one may exist: ${first?.why ?? ''} Say acceptOlder to go on without it, or name a snapshot.`,
  }
}

function restoreBest(
  { restore, surroundings }: RestoreQuestion,
  judged: readonly Judged[],
  best: Judged,
): Verdict {
  const name = capital(nameOf(best.facts))
  if (restore.strategy === 'FROM_SNAPSHOT') {
    return { decision: 'restore', code: 'NAMED', message: `${name} is the one the request names.` }
  }
  const newer = judged.slice(0, judged.indexOf(best))
  const passed = newer.length === 0 ? '' : ` Newer, but passed over: ${listPassed(newer)}.`
  const preferred = newer.some(({ rejected }) => rejected?.code === 'CHECKPOINT_PREFERRED')
  const code = preferred
    ? 'PREFERRED_CHECKPOINT'
    : restore.strategy === 'LATEST_SAVEPOINT'
      ? 'NEWEST_SAVEPOINT'
      : 'NEWEST_STATE'
  const what = {
    PREFERRED_CHECKPOINT: 'checkpoint',
    NEWEST_SAVEPOINT: 'savepoint',
    NEWEST_STATE: 'snapshot',
  }[code]
  return {
    decision: 'restore',
    code,
    message: `${name} is the newest restorable ${what} of ${surroundings.job.name}, by the order of its runs and of Flink's checkpoint ids.${passed}`,
  }
}

const PASSED_NAMED = 3
const listPassed = (newer: readonly Judged[]): string =>
  newer
    .slice(0, PASSED_NAMED)
    .map(({ facts, rejected }) => `${nameOf(facts)} (${rejected?.code})`)
    .join(', ') + (newer.length > PASSED_NAMED ? ` and ${newer.length - PASSED_NAMED} more` : '')

function restoreNothing({ restore, surroundings }: RestoreQuestion, judged: readonly Judged[]): Verdict {
  const { job } = surroundings
  const named = restore.strategy === 'FROM_SNAPSHOT'
  const hadState =
    surroundings.hadState ||
    judged.some(({ facts }) => facts.source !== 'IMPORT' && facts.completedAt !== null)
  if (!named && !hadState) {
    return { decision: 'start-empty', code: 'NO_STATE_EVER', message: `${job.name} has never had state.` }
  }
  const why = named
    ? `The named one cannot be restored: ${judged[0]?.rejected?.message ?? ''}`
    : `${job.name} had state, but nothing of it can be restored.`
  if (restore.fallback === 'NONE') {
    return {
      decision: 'start-empty',
      code: 'NOTHING_RESTORABLE',
      message: `${why} It starts without state, as fallback NONE says.`,
    }
  }
  return { decision: 'refuse', code: named ? 'NAMED_NOT_RESTORABLE' : 'NO_RESTORE_POINT', message: why }
}

/** Why this one is not the choice; null for the choice itself. */
function explain(
  { facts, rejected }: Judged,
  best: Judged | null,
  verdict: Verdict,
  { restore }: RestoreQuestion,
): Rejection | null {
  if (rejected !== null || best === null) return rejected
  if (facts !== best.facts) {
    return { code: 'OLDER', message: `${capital(nameOf(best.facts))} ranks before it.` }
  }
  if (verdict.decision === 'restore') return null
  const code =
    verdict.code === 'STORE_NOT_ASKED' || verdict.code === 'NEWER_MAY_EXIST' ? verdict.code : 'NOT_CHECKED'
  return {
    code,
    message: restore.strategy === 'FROM_SNAPSHOT' ? verdict.message : `It comes first. ${verdict.message}`,
  }
}

// -------------------------------------------------------------------------------------------------- findings

function listFindings(
  { restore, version, surroundings }: RestoreQuestion,
  judged: readonly Judged[],
  verdict: Verdict,
): RestoreDecision['findings'] {
  const { job } = surroundings
  const findings: RestoreDecision['findings'] = []
  const best = judged.find(({ rejected }) => rejected === null)?.facts
  if (best && best.job?.id !== job.id) {
    const whose = best.job ? `is one of ${best.job.name}` : 'is not one we know'
    findings.push({
      code: 'OTHER_JOB',
      message: `The snapshot ${whose}. That its state fits ${job.name} (operator ids, types, parallelism) is yours to guarantee.`,
    })
  }
  if (surroundings.runs.some(({ live }) => live)) {
    findings.push({
      code: 'JOB_IS_RUNNING',
      message: `${job.name} is running as far as we know: it must be stopped before it is restored.`,
    })
  }
  if (best?.jobVersion && version !== null && best.job?.id === job.id && best.jobVersion !== version) {
    findings.push({
      code: 'OTHER_VERSION',
      message: `It was taken by version ${best.jobVersion}, and version ${version} is to run.`,
    })
  }
  if (best?.metadata.is === 'there' && best.metadata.notVerified !== undefined) {
    findings.push({
      code: 'NOT_VERIFIED',
      message: `Its _metadata is there, but whether every file it needs is was not found out: ${best.metadata.notVerified}`,
    })
  }
  const imported = judged.find(({ rejected }) => rejected?.code === 'NOT_NAMED')?.facts.snapshot
  if (imported && !best && isByRank(restore)) {
    findings.push({
      code: 'IMPORT_NOT_TAKEN',
      message: `The registered savepoint ${imported} is restored only when it is named: FROM_SNAPSHOT.`,
    })
  }
  const began = surroundings.lastRunBeganFrom
  if (best && began && isByRank(restore) && began !== best.snapshot && verdict.decision !== 'start-empty') {
    findings.push({
      code: 'LAST_RUN_BEGAN_ELSEWHERE',
      message: `The last run was restored from ${began} and completed nothing of its own; the newest one here is another. Name ${began} to begin there again.`,
    })
  }
  return findings
}

// --------------------------------------------------------------------------------------------------- details

const isByRank = ({ strategy = 'LATEST_STATE' }: Restore): boolean =>
  strategy === 'LATEST_STATE' || strategy === 'LATEST_SAVEPOINT'

/** The newest first. A copy comes after its source, which has the same rank; the id decides what nothing else does. */
function compareCandidates(one: CandidateFacts, other: CandidateFacts): number {
  const [rank, otherRank] = [rankOf(one), rankOf(other)]
  const byRank =
    rank && otherRank
      ? compareRanks(otherRank, rank) || Number(one.source === 'COPY') - Number(other.source === 'COPY')
      : Number(rank === null) - Number(otherRank === null)
  return byRank || compareText(other.snapshot ?? '', one.snapshot ?? '')
}

const compareText = (one: string, other: string): number => (one === other ? 0 : one < other ? -1 : 1)

function ageSeconds(completedAt: string | null, now: string): number | null {
  if (completedAt === null) return null
  return Math.max(0, Math.floor((Date.parse(now) - Date.parse(completedAt)) / 1000))
}

function nameOf({ kind, flinkCheckpointId, snapshot, location }: CandidateFacts): string {
  if (snapshot === null) return `the state at ${location}`
  const number = flinkCheckpointId === null ? '' : ` ${flinkCheckpointId}`
  return `${kind === 'CHECKPOINT' ? 'checkpoint' : 'savepoint'}${number} (${snapshot})`
}

const capital = (text: string): string => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`

function show(facts: CandidateFacts): Omit<RestoreCandidate, 'rejected'> {
  const { snapshot, kind, source, verdict, job, jobVersion, location, completedAt, run } = facts
  return {
    snapshot,
    kind,
    source,
    status: snapshot === null ? null : facts.status,
    verdict,
    job,
    jobVersion,
    location,
    completedAt,
    run: run && { id: run.id, startedAt: run.startedAt },
    flinkCheckpointId: facts.flinkCheckpointId,
  }
}

const showChosen = (facts: CandidateFacts, now: string) => ({
  ...show(facts),
  ageSeconds: ageSeconds(facts.completedAt, now),
})
