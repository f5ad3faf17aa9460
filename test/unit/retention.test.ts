import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Protection } from '../../src/domain/protection.ts'
import type { SnapshotUse } from '../../src/domain/references.ts'
import {
  isRuled,
  judgeSnapshot,
  noticeForJob,
  type RetainedSnapshot,
  type RetentionPolicy,
  selectExpired,
  suspensionOf,
} from '../../src/domain/retention.ts'
import { SNAPSHOT_KINDS, SNAPSHOT_SOURCES } from '../../src/domain/snapshot.ts'
import { SNAPSHOT_STATUSES } from '../../src/domain/snapshot-status.ts'

const NOW = new Date('2026-11-21T12:00:00.000Z')
const ago = (seconds: number): string => new Date(NOW.getTime() - seconds * 1000).toISOString()
const policy = (changes: Partial<RetentionPolicy>): RetentionPolicy => ({
  keepCount: null,
  maxAgeSeconds: null,
  rollbackWindowSeconds: null,
  ...changes,
})
const savepoint = (
  id: string,
  secondsAgo: number,
  changes: Partial<RetainedSnapshot> = {},
): RetainedSnapshot => ({
  id,
  kind: 'SAVEPOINT',
  status: 'Present',
  source: 'SCHEDULE',
  createdAt: ago(secondsAgo),
  completedAt: ago(secondsAgo),
  settledAt: ago(secondsAgo),
  expiresAt: null,
  pinned: false,
  claimed: false,
  uses: [],
  ...changes,
})
const USE: SnapshotUse = {
  reason: 'RUN',
  message: 'The run r was restored from it and has not ended.',
  cluster: null,
  job: null,
  run: 'r',
}
const NEWEST: Protection = {
  code: 'NEWEST_RESTORABLE_SAVEPOINT',
  message: 'It is the newest savepoint the job can be restored from.',
  until: null,
}
const NOBODY: ReadonlyMap<string, Protection[]> = new Map()
const cleared = (
  rule: Partial<RetentionPolicy>,
  snapshots: readonly RetainedSnapshot[],
  protections: ReadonlyMap<string, readonly Protection[]> = NOBODY,
): string[] =>
  selectExpired(policy(rule), snapshots, protections, NOW)
    .filter(({ verdict }) => verdict === 'CLEAR')
    .map(({ snapshot }) => snapshot)

const HOURLY = ['a', 'b', 'c', 'd'].map((id, n) => savepoint(id, n * 3600 + 60)) // a is the newest

describe('a rule clears', () => {
  it('what lies beyond the newest keepCount', () => {
    expect(cleared({ keepCount: 3 }, HOURLY)).toEqual(['d'])
    expect(cleared({ keepCount: 1 }, HOURLY)).toEqual(['b', 'c', 'd'])
    expect(cleared({ keepCount: 4 }, HOURLY)).toEqual([])
  })

  it('what is older than maxAgeSeconds, to the millisecond', () => {
    expect(cleared({ maxAgeSeconds: 3600 }, HOURLY)).toEqual(['b', 'c', 'd'])
    expect(cleared({ maxAgeSeconds: 3660 }, HOURLY)).toEqual(['c', 'd'])
  })

  it('what meets either condition, and names the one it met', () => {
    const verdicts = selectExpired(policy({ keepCount: 2, maxAgeSeconds: 3600 }), HOURLY, NOBODY, NOW)
    expect(verdicts.map(({ snapshot, rule }) => [snapshot, rule])).toEqual([
      ['a', null],
      ['b', 'MAX_AGE'],
      ['c', 'KEEP_COUNT'],
      ['d', 'KEEP_COUNT'],
    ])
    expect(verdicts[1]?.because).toContain('older than 3600 s')
    expect(verdicts[2]?.because).toContain('keepCount 2')
  })

  it('in the order in which they were accepted: a late completion overtakes nobody, and is young', () => {
    const late = savepoint('late', 7200, { completedAt: ago(1) })
    expect(cleared({ keepCount: 1 }, [late, savepoint('next', 3600)])).toEqual(['late'])
    expect(cleared({ maxAgeSeconds: 60 }, [late, savepoint('next', 3600)])).toEqual(['next'])
  })

  it('nothing without a condition', () => {
    expect(cleared({ rollbackWindowSeconds: 0 }, HOURLY)).toEqual([])
  })

  it('only Present savepoints of a schedule or a gate, and counts only those', () => {
    const others = SNAPSHOT_SOURCES.filter((source) => source !== 'SCHEDULE' && source !== 'DEPLOY').map(
      (source, n) =>
        savepoint(source, 10_000 + n, { source, kind: source === 'SYSTEM' ? 'CHECKPOINT' : 'SAVEPOINT' }),
    )
    const failed = savepoint('failed', 5, { status: 'Failed' })
    const gate = savepoint('gate', 20_000, { source: 'DEPLOY' })
    expect(cleared({ keepCount: 1, maxAgeSeconds: 1 }, [...others, failed, gate])).toEqual(['gate'])
    expect(cleared({ keepCount: 1 }, [...others, failed, gate])).toEqual([])
  })
})

describe('a rule spares, and says why,', () => {
  it.each<[string, Partial<RetainedSnapshot>, readonly Protection[], RegExp]>([
    ['what is pinned', { pinned: true }, [], /It stays: it is pinned/],
    ['what a run has claimed', { claimed: true }, [], /claimed/],
    ['what is in use', { uses: [USE] }, [], /in use\. The run r was restored/],
    ['what is protected', {}, [NEWEST], /protected\. It is the newest savepoint/],
  ])('%s', (_what, changes, protections, because) => {
    const old = savepoint('old', 9_000, changes)
    const verdicts = selectExpired(
      policy({ maxAgeSeconds: 60 }),
      [savepoint('new', 1), old],
      new Map([['old', protections]]),
      NOW,
    )
    expect(verdicts[1]).toMatchObject({ snapshot: 'old', verdict: 'KEEP', rule: 'MAX_AGE', protections })
    expect(verdicts[1]?.because).toMatch(because)
  })

  it('a pinned one among the newest takes a place, an older one stays beside them', () => {
    const pinned = (id: string) => HOURLY.map((one) => (one.id === id ? { ...one, pinned: true } : one))
    expect(cleared({ keepCount: 2 }, pinned('a'))).toEqual(['c', 'd'])
    expect(cleared({ keepCount: 2 }, pinned('d'))).toEqual(['c'])
  })
})

describe('expiresAt', () => {
  const expired = (changes: Partial<RetainedSnapshot>) =>
    savepoint('x', 10, { expiresAt: ago(0), ...changes })

  it('clears one savepoint whoever asked for it, without any rule', () => {
    for (const source of ['MANUAL', 'STOP', 'COPY', 'SCHEDULE'] as const) {
      expect(cleared({}, [expired({ source })])).toEqual(['x'])
    }
    expect(cleared({}, [expired({ expiresAt: new Date(NOW.getTime() + 1).toISOString() })])).toEqual([])
  })

  it('clears what is left of a failed one, and of one in Timeout once Flink has answered', () => {
    expect(cleared({}, [expired({ status: 'Failed' })])).toEqual(['x'])
    expect(cleared({}, [expired({ status: 'Timeout' })])).toEqual(['x'])
    expect(cleared({}, [expired({ status: 'Timeout', settledAt: null })])).toEqual([])
    for (const status of ['Creating', 'Clearing', 'Cleared'] as const) {
      expect(selectExpired(policy({}), [expired({ status })], NOBODY, NOW)).toEqual([])
    }
  })

  it('never prevails over a use or a protection, and never over a checkpoint', () => {
    expect(cleared({}, [expired({ uses: [USE] })])).toEqual([])
    expect(cleared({}, [expired({})], new Map([['x', [NEWEST]]]))).toEqual([])
    expect(cleared({}, [expired({ kind: 'CHECKPOINT', source: 'SYSTEM' })])).toEqual([])
  })
})

// ------------------------------------------------------------------------------------------------- whatever the history

const snapshots = fc
  .array(
    fc.record({
      kind: fc.constantFrom(...SNAPSHOT_KINDS),
      status: fc.oneof(
        { weight: 4, arbitrary: fc.constant('Present' as const) },
        fc.constantFrom(...SNAPSHOT_STATUSES),
      ),
      source: fc.oneof(
        { weight: 3, arbitrary: fc.constantFrom('SCHEDULE' as const, 'DEPLOY' as const) },
        fc.constantFrom(...SNAPSHOT_SOURCES),
      ),
      createdAgo: fc.integer({ min: 0, max: 50 }),
      tookSeconds: fc.option(fc.integer({ min: 0, max: 20 })),
      expiresIn: fc.option(fc.integer({ min: -20, max: 20 }), { freq: 4 }),
      settled: fc.boolean(),
      pinned: fc.boolean(),
      claimed: fc.boolean(),
      used: fc.boolean(),
      protected: fc.boolean(),
    }),
    { maxLength: 30 },
  )
  .map((records) =>
    records.map((one, n) => ({
      snapshot: savepoint(`id-${String(n).padStart(3, '0')}`, one.createdAgo, {
        kind: one.kind,
        status: one.status,
        source: one.source,
        completedAt: one.tookSeconds === null ? null : ago(one.createdAgo - one.tookSeconds),
        settledAt: one.settled ? ago(0) : null,
        expiresAt: one.expiresIn === null ? null : ago(-one.expiresIn),
        pinned: one.pinned,
        claimed: one.claimed,
        uses: one.used ? [USE] : [],
      }),
      protected: one.protected,
    })),
  )
const rules = fc.record({
  keepCount: fc.option(fc.integer({ min: 1, max: 12 })),
  maxAgeSeconds: fc.option(fc.integer({ min: 1, max: 40 })),
  rollbackWindowSeconds: fc.constant(null),
})
type History = { snapshot: RetainedSnapshot; protected: boolean }[]
const protectionsOf = (history: History) =>
  new Map(history.filter((one) => one.protected).map(({ snapshot }) => [snapshot.id, [NEWEST]]))
const select = (rule: RetentionPolicy, history: History) =>
  new Set(
    cleared(
      rule,
      history.map(({ snapshot }) => snapshot),
      protectionsOf(history),
    ),
  )

describe('whatever the history', () => {
  it('nothing goes that is protected, in use, claimed, pinned, in flight or not of a rule', () => {
    fc.assert(
      fc.property(rules, snapshots, (rule, history) => {
        const gone = select(rule, history)
        for (const { snapshot, protected: isProtected } of history) {
          if (!gone.has(snapshot.id)) continue
          expect(isProtected || snapshot.pinned || snapshot.claimed || snapshot.uses.length > 0).toBe(false)
          expect(snapshot.kind).toBe('SAVEPOINT')
          expect(['Present', 'Failed', 'Timeout']).toContain(snapshot.status)
          expect(snapshot.status === 'Timeout' && snapshot.settledAt === null).toBe(false)
          if (snapshot.expiresAt === null || snapshot.expiresAt > NOW.toISOString()) {
            expect(isRuled(snapshot)).toBe(true)
          }
        }
      }),
    )
  })

  it('afterwards the rule holds for everything that nothing spares, and asks for nothing more', () => {
    fc.assert(
      fc.property(rules, snapshots, (rule, history) => {
        const gone = select(rule, history)
        const left = history.filter(({ snapshot }) => !gone.has(snapshot.id))
        expect(select(rule, left)).toEqual(new Set())
        const free = left.filter(
          ({ snapshot, protected: isProtected }) =>
            isRuled(snapshot) &&
            !isProtected &&
            !snapshot.pinned &&
            !snapshot.claimed &&
            snapshot.uses.length === 0,
        )
        expect(free.length).toBeLessThanOrEqual(rule.keepCount ?? Number.POSITIVE_INFINITY)
        for (const { snapshot } of free) {
          const since = Math.max(
            Date.parse(snapshot.createdAt),
            Date.parse(snapshot.completedAt ?? snapshot.createdAt),
          )
          expect(NOW.getTime() - since).toBeLessThanOrEqual(
            (rule.maxAgeSeconds ?? Number.POSITIVE_INFINITY) * 1000,
          )
        }
      }),
    )
  })

  it('who keeps more or longer clears no other ones', () => {
    fc.assert(
      fc.property(rules, snapshots, fc.nat(10), fc.nat(10), (rule, history, more, longer) => {
        const gone = select(rule, history)
        const laxer = select(
          {
            ...rule,
            keepCount: rule.keepCount === null ? null : rule.keepCount + more,
            maxAgeSeconds: rule.maxAgeSeconds === null ? null : rule.maxAgeSeconds + longer,
          },
          history,
        )
        expect([...laxer].filter((id) => !gone.has(id))).toEqual([])
      }),
    )
  })

  it('the order in which the rows come changes nothing, and one judged alone is judged the same', () => {
    fc.assert(
      fc.property(rules, snapshots, (rule, history) => {
        const all = history.map(({ snapshot }) => snapshot)
        const protections = protectionsOf(history)
        const verdicts = selectExpired(rule, all, protections, NOW)
        expect(selectExpired(rule, all.toReversed(), protections, NOW)).toEqual(verdicts)
        const newestFirst = verdicts.flatMap((verdict) => all.find(({ id }) => id === verdict.snapshot) ?? [])
        const ruled = newestFirst.filter(isRuled).map(({ id }) => id)
        const alone = newestFirst.map((snapshot) =>
          judgeSnapshot(snapshot, {
            policy: rule,
            beyondCount: rule.keepCount !== null && ruled.indexOf(snapshot.id) >= rule.keepCount,
            protections: protections.get(snapshot.id) ?? [],
            now: NOW,
          }),
        )
        expect(alone).toEqual(verdicts)
      }),
    )
  })
})

describe('what is said about a rule', () => {
  it('that savepoints without a rule cost', () => {
    expect(noticeForJob({ savepoints: 3, bytes: 12, more: false }).message).toMatch(
      /3 of this job \(12 bytes\)/,
    )
    expect(noticeForJob({ savepoints: 0, bytes: 0, more: false }).message).toMatch(
      /Every savepoint of this job/,
    )
    expect(noticeForJob({ savepoints: 9, bytes: 1, more: true }).message).toMatch(/More than 9/)
  })

  it('why it is not carried out now', () => {
    const facts = {
      policy: policy({ keepCount: 1 }),
      running: true,
      observeOnly: false,
      identityChanged: false,
    }
    expect(suspensionOf(facts)).toBeNull()
    expect(suspensionOf({ ...facts, running: false })?.code).toBe('JOB_NOT_RUNNING')
    expect(suspensionOf({ ...facts, observeOnly: true })?.code).toBe('OBSERVE_ONLY')
    expect(suspensionOf({ ...facts, identityChanged: true })?.code).toBe('CLUSTER_IDENTITY_CHANGED')
    expect(suspensionOf({ ...facts, policy: policy({}) })?.code).toBe('NO_RULE')
  })
})
