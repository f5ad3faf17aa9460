/**
 * The invariants of what goes and of what comes by itself: I3, I6, I8, schedules, and I5 of the requests that ask for it. What
 * a snapshot needs is read from its `_metadata` as it was written, what was deleted from the store's own log.
 */
import {
  groupBy,
  isAcknowledged,
  isBelow,
  normalise,
  presentSpan,
  same,
  type Tell,
  tellRepeats,
} from './checker-words.ts'
import type { ClearingRecord, History, RunRecord, SnapshotRecord, TransitionRecord, Wish } from './history.ts'

/** Two clocks that are read to the millisecond. */
const ROUNDING_MS = 2

export type ClearingFacts = History & {
  snapshotOf: ReadonlyMap<string, SnapshotRecord>
  transitionsOf: ReadonlyMap<string, readonly TransitionRecord[]>
}
type Rule = (facts: ClearingFacts, tell: Tell) => number

export const CLEARING_RULES = {
  'I3 only below what is being cleared': (facts, tell) => {
    const { deletes, clearings, snapshotOf } = facts
    for (const { location, at } of deletes) {
      const allowed = clearings.some(
        (clearing) =>
          clearing.requestedAt <= at + ROUNDING_MS &&
          placeOf(clearing, snapshotOf.get(clearing.snapshotId)).some((place) => isBelow(place, location)),
      )
      if (!allowed) tell(`${location} was to be deleted, and nothing that was being cleared owns it`)
    }
    return deletes.length
  },

  'I3 nothing that Present needs': (facts, tell) => {
    const users = usersOfFiles(facts)
    for (const { location, at } of facts.deletes) {
      for (const id of users.get(normalise(location)) ?? []) {
        const span = presentSpan(facts.transitionsOf.get(id))
        if (span && at >= span.from && at + ROUNDING_MS < span.to)
          tell(`${location} was to be deleted while ${id}, which needs it, was Present`)
      }
    }
    return facts.deletes.filter(({ location }) => users.has(normalise(location))).length
  },

  'I5 what was acknowledged is done': (facts, tell) => {
    const acknowledged = facts.wishes.filter(isAcknowledged)
    for (const wish of acknowledged) checkWish(wish, facts, tell)
    checkPins(facts, tell)
    return acknowledged.length
  },

  'I6 Cleared is gone': ({ snapshots, clearings, objects }, tell) => {
    const byId = new Map(clearings.map((clearing) => [clearing.snapshotId, clearing]))
    const gone = snapshots.filter(
      ({ id, status, reason }) => status === 'Cleared' && reason !== 'GIVEN_UP' && deletesData(byId.get(id)),
    )
    for (const { id, ownedPrefix } of gone) {
      const left = objects.filter((object) => isBelow(ownedPrefix, object))
      if (left.length > 0) tell(`snapshot ${id} is Cleared, and ${left.length} objects are left: ${left[0]}`)
    }
    return gone.length
  },

  'I6 a failing clear stays visible': ({ clearings, snapshotOf, transitionsOf, deletes }, tell) => {
    let exercised = 0
    for (const { snapshotId, prefix, endedAt, requestedAt } of clearings) {
      const status = snapshotOf.get(snapshotId)?.status
      if (status === 'Clearing' && endedAt !== null)
        tell(`the clearing of ${snapshotId} ended, and it is Clearing`)
      if (status === 'Cleared' && endedAt === null)
        tell(`${snapshotId} is Cleared before its clearing has ended`)
      if (prefix === null) continue
      const own = deletes.filter(
        ({ location, at }) => at + ROUNDING_MS >= requestedAt && isBelow(prefix, location),
      )
      const clearedAt = transitionsOf.get(snapshotId)?.find(({ to }) => to === 'Cleared')?.at ?? null
      const failed = new Set(own.filter(({ done }) => !done).map(({ location }) => location))
      exercised += failed.size
      // somebody said that what is left may stay
      if (clearedAt === null || snapshotOf.get(snapshotId)?.reason === 'GIVEN_UP') continue
      for (const location of failed) {
        const wentAt = own.find((each) => each.done && each.location === location)?.at
        if (wentAt === undefined || wentAt > clearedAt + ROUNDING_MS)
          tell(`${snapshotId} was Cleared, and the store had not deleted ${location}`)
      }
    }
    return exercised
  },

  'I8 no rule takes the newest': (facts, tell) => {
    const ruled = facts.clearings.filter(isByRule)
    for (const { snapshotId, reason } of ruled) {
      const own = facts.snapshotOf.get(snapshotId)
      const span = presentSpan(facts.transitionsOf.get(snapshotId))
      if (!own || !span) continue
      const others = [...facts.snapshots, ...facts.checkpoints].filter(
        ({ id, job }) => id !== snapshotId && job === own.job,
      )
      const isNewer = (id: string, completedAt: number | null | undefined) => {
        const other = presentSpan(facts.transitionsOf.get(id))
        const completed = completedAt ?? other?.from ?? 0
        return (
          other && other.from <= span.to && other.to >= span.to && completed > (own.completedAt ?? span.from)
        )
      }
      if (!others.some(({ id, completedAt }) => isNewer(id, completedAt)))
        tell(`${reason} took ${snapshotId}, the newest Present one of ${own.job}`)
    }
    return ruled.length
  },

  'I8 what a run began with stays': ({ runs, snapshots, clearings, transitionsOf, wishes }, tell) => {
    let exercised = wishes.filter(({ code }) => code === 'SNAPSHOT_IN_USE').length
    const byId = new Map(clearings.map((clearing) => [clearing.snapshotId, clearing]))
    for (const run of runs) {
      for (const { id, location } of snapshots) {
        if (!same(location, run.restoredLocation ?? null)) continue
        exercised += 1
        const leftAt = transitionsOf.get(id)?.find(({ to }) => to === 'Clearing')?.at
        if (leftAt !== undefined && byId.get(id)?.method !== 'FORGET' && needsAt(run, leftAt))
          tell(`${id} went to Clearing while the run ${run.id} of ${run.job}, which began with it, needed it`)
      }
    }
    return exercised
  },

  'rules keep to what they own': ({ clearings, snapshotOf, wishes }, tell) => {
    const ruled = clearings.filter(isByRule)
    for (const { snapshotId, reason, requestedAt } of ruled) {
      const { source = 'MANUAL', expiresAt = null } = snapshotOf.get(snapshotId) ?? {}
      if (reason !== 'EXPIRED' && source !== 'SCHEDULE' && source !== 'DEPLOY')
        tell(`${reason} took ${snapshotId}, which is ${source}`)
      if (reason === 'EXPIRED' && (expiresAt === null || expiresAt > requestedAt + ROUNDING_MS))
        tell(`${snapshotId} was taken as expired before its time`)
      if (
        wasPinnedAt(
          requestedAt,
          wishes.filter(({ target }) => target === snapshotId),
        )
      )
        tell(`${reason} took ${snapshotId}, which was pinned`)
    }
    return ruled.length
  },

  'one savepoint per slot': ({ snapshots, firings, snapshotOf }, tell) => {
    const scheduled = snapshots.filter(({ source }) => source === 'SCHEDULE')
    tellRepeats(scheduled, ({ job, createdBy }) => `${createdBy} of ${job}`, 'slot', tell)
    const fired = new Map(
      firings.filter(({ outcome }) => outcome === 'FIRED').map((firing) => [firing.snapshotId, firing]),
    )
    for (const { id, job } of scheduled)
      if (!fired.has(id)) tell(`the savepoint ${id} of ${job} came by schedule, and no run of it says so`)
    for (const [id, { slotAt }] of fired) {
      const made = snapshotOf.get(id ?? '')
      if (made?.createdBy !== `schedule:${new Date(slotAt).toISOString()}`)
        tell(`the run of ${new Date(slotAt).toISOString()} names ${id}, a savepoint of ${made?.createdBy}`)
    }
    return scheduled.length
  },
} as const satisfies Record<string, Rule>

// -------------------------------------------------------------------------------------------------------- I3

const deletesData = (clearing: ClearingRecord | undefined): boolean =>
  clearing?.method === 'OBJECTS' || clearing?.method === 'FLINK'

/** Where a clearing may delete, as the snapshot itself says it: the directory made for it alone. */
function placeOf({ method, prefix }: ClearingRecord, snapshot: SnapshotRecord | undefined): string[] {
  if (method === 'OBJECTS') return snapshot ? [snapshot.ownedPrefix] : []
  return method === 'FILES' && prefix !== null ? [prefix] : []
}

function usersOfFiles({ snapshots, checkpoints, contents }: ClearingFacts): Map<string, Set<string>> {
  const users = new Map<string, Set<string>>()
  const byFolder = groupBy(contents, ({ folder }) => normalise(folder))
  for (const { id, location } of [...snapshots, ...checkpoints]) {
    if (location === null) continue
    const folder = normalise(location)
    const files = (byFolder.get(folder) ?? []).flatMap((content) => content.files)
    for (const file of [`${folder}/_metadata`, ...files]) {
      const key = normalise(file)
      users.set(key, (users.get(key) ?? new Set()).add(id))
    }
  }
  return users
}

// -------------------------------------------------------------------------------------------------------- I5

function checkWish({ what, target, job, status }: Wish, facts: ClearingFacts, tell: Tell): void {
  switch (what) {
    case 'clear':
    case 'forget': {
      const found = facts.snapshotOf.get(target ?? '')
      if (!found) tell(`${status} was answered to the clearing of ${target}, which does not exist`)
      else if (found.status !== 'Clearing' && found.status !== 'Cleared')
        tell(`${status} was answered to the clearing of ${target}, and it is ${found.status}`)
      return
    }
    case 'schedule':
    case 'retention':
      if (!facts.rules.some((rule) => rule.job === job && rule.what === what))
        tell(`${status} was answered to the ${what} of ${job}, and there is none`)
      return
    case 'start':
    case 'stop':
      if (!facts.operations.some(({ id }) => id === target))
        tell(`${status} was answered to the ${what} of ${job}, and there is no operation ${target}`)
      return
    default:
  }
}

/** The last word counts, where nobody can have overtaken it: a client waits for each answer. */
function checkPins({ wishes, snapshotOf }: ClearingFacts, tell: Tell): void {
  const words = wishes.filter(({ what }) => what === 'pin' || what === 'unpin')
  for (const [id, own] of groupBy(words, ({ target }) => target ?? '')) {
    const last = own.toSorted((a, b) => a.askedAt - b.askedAt).at(-1)
    if (!last || !isAcknowledged(last) || own.some(({ status }) => status === null || status >= 500)) continue
    const pinned = snapshotOf.get(id)?.pinned
    if (pinned !== (last.what === 'pin'))
      tell(`${last.status} was answered to ${last.what} ${id}, and it is not`)
  }
}

// -------------------------------------------------------------------------------------------------------- I8

const isByRule = ({ reason }: ClearingRecord): boolean =>
  reason === 'KEEP_COUNT' || reason === 'MAX_AGE' || reason === 'EXPIRED'

/** A claimed one is Flink's while the run lives; any other until the first checkpoint of its own. */
function needsAt(
  { state, startedAt, endedAt, claimMode, firstCheckpointAt }: RunRecord,
  at: number,
): boolean {
  if (state === 'LOST') return false
  const began = startedAt ?? Number.POSITIVE_INFINITY
  if (began > at || (endedAt ?? Number.POSITIVE_INFINITY) <= at) return false
  return claimMode === 'CLAIM' || (firstCheckpointAt ?? Number.POSITIVE_INFINITY) > at
}

function wasPinnedAt(at: number, wishes: readonly Wish[]): boolean {
  const pin = wishes
    .filter((wish) => wish.what === 'pin' && isAcknowledged(wish) && wish.answeredAt < at)
    .toSorted((a, b) => a.answeredAt - b.answeredAt)
    .at(-1)
  return (
    pin !== undefined &&
    !wishes.some(
      ({ what, answeredAt, askedAt }) => what === 'unpin' && answeredAt > pin.askedAt && askedAt <= at,
    )
  )
}
