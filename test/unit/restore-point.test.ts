import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { notRestorable } from '../../src/domain/restorable.ts'
import {
  type CandidateFacts,
  decideRestore,
  findBest,
  REJECTION_CODES,
  type Restore,
  type RestoreQuestion,
} from '../../src/domain/restore-point.ts'
import { SNAPSHOT_SOURCES } from '../../src/domain/snapshot.ts'
import { SNAPSHOT_STATUSES } from '../../src/domain/snapshot-status.ts'
import { compareRanks, type RunFacts, type RunOrder, rankOf } from '../../src/domain/unseen-snapshots.ts'

const JOB = { id: 'job', name: 'orders' }
const OTHER = { id: 'other', name: 'payments' }
const NOW = '2026-11-21T12:00:00.000Z'
const ago = (seconds: number): string => new Date(Date.parse(NOW) - seconds * 1000).toISOString()
const OLD_RUN: RunOrder = { id: 'run-1', startedAt: '2026-11-20T00:00:00.000Z', epoch: 1 }
const NEW_RUN: RunOrder = { id: 'run-2', startedAt: '2026-11-21T00:00:00.000Z', epoch: 1 }

const candidate = (snapshot: string, changes: Partial<CandidateFacts> = {}): CandidateFacts => ({
  snapshot,
  kind: 'CHECKPOINT',
  source: 'SYSTEM',
  status: 'Present',
  verdict: null,
  claimed: false,
  location: `s3://b/${snapshot}`,
  job: JOB,
  jobVersion: null,
  completedAt: ago(60),
  run: NEW_RUN,
  flinkCheckpointId: 1,
  metadata: { is: 'there' },
  ...changes,
})
const checkpoint = (id: number, changes: Partial<CandidateFacts> = {}) =>
  candidate(`chk-${id}`, { flinkCheckpointId: id, ...changes })
const savepoint = (id: number, changes: Partial<CandidateFacts> = {}) =>
  candidate(`sp-${id}`, { kind: 'SAVEPOINT', source: 'MANUAL', flinkCheckpointId: id, ...changes })

const run = (changes: Partial<RunFacts> = {}): RunFacts => ({
  order: NEW_RUN,
  state: 'FINISHED',
  live: false,
  missing: false,
  endedSecondsAgo: 3_600,
  inProgressCheckpoint: null,
  ...changes,
})

type Facts = {
  candidates?: CandidateFacts[]
  restore?: Restore
  version?: number | null
} & Partial<RestoreQuestion['surroundings']>

const question = ({
  candidates = [],
  restore = {},
  version = null,
  ...surroundings
}: Facts): RestoreQuestion => ({
  restore,
  version,
  now: NOW,
  candidates,
  surroundings: {
    job: JOB,
    attached: true,
    ambiguous: false,
    cluster: { name: 'flink', asked: true, changed: false },
    runs: [],
    unsettled: [],
    hadState: false,
    lastRunBeganFrom: null,
    ...surroundings,
  },
})
const decide = (facts: Facts) => decideRestore(question(facts))
const rejections = (facts: Facts): Record<string, string | null> =>
  Object.fromEntries(
    decide(facts).candidates.map(({ snapshot, rejected }) => [String(snapshot), rejected?.code ?? null]),
  )

describe('the newest', () => {
  it("goes by Flink's checkpoint id within a run, not by when it completed", () => {
    const candidates = [
      savepoint(7, { completedAt: ago(1) }), // accepted before checkpoint 8, late by an hour
      checkpoint(8, { completedAt: ago(3_600) }),
    ]
    const { chosen, because } = decide({ candidates })
    expect(chosen).toMatchObject({ snapshot: 'chk-8', ageSeconds: 3_600 })
    expect(because).toMatchObject({ code: 'NEWEST_STATE', message: expect.stringContaining('chk-8') })
  })

  it('goes by the order of the runs before that, whatever their ids', () => {
    const candidates = [checkpoint(900, { run: OLD_RUN, completedAt: ago(1) }), checkpoint(2)]
    expect(decide({ candidates }).chosen?.snapshot).toBe('chk-2')
    expect(rejections({ candidates })).toEqual({ 'chk-2': null, 'chk-900': 'OLDER' })
  })

  it('of two runs that began at one instant is the one of the higher epoch', () => {
    const candidates = [checkpoint(9), checkpoint(3, { run: { ...NEW_RUN, id: 'a', epoch: 2 } })]
    expect(decide({ candidates }).chosen?.snapshot).toBe('chk-3')
  })

  it('may be a copy, which ranks as its source and comes after it', () => {
    const copy = savepoint(5, { snapshot: 'zz-copy', source: 'COPY' })
    expect(decide({ candidates: [copy, savepoint(5), savepoint(4)] }).chosen?.snapshot).toBe('sp-5')
    expect(
      decide({ candidates: [copy, savepoint(5, { status: 'Cleared' }), savepoint(4)] }).chosen?.snapshot,
    ).toBe('zz-copy')
  })

  it('names what is newer and was passed over', () => {
    const { because } = decide({ candidates: [checkpoint(5, { claimed: true }), checkpoint(4)] })
    expect(because.message).toMatch(/Newer, but passed over: checkpoint 5 \(chk-5\) \(CLAIMED\)/)
  })
})

describe('rejected', () => {
  it.each([
    ['NOT_PRESENT', { status: 'Failed' }],
    ['NOT_PRESENT', { status: 'Cleared' }],
    ['NO_LOCATION', { location: null }],
    ['CLAIMED', { claimed: true }],
    ['METADATA_MISSING', { verdict: 'METADATA_MISSING' }],
    ['DAMAGED', { verdict: 'DAMAGED' }],
    ['UNREADABLE', { verdict: 'UNREADABLE' }],
    ['UNREADABLE', { metadata: { is: 'unreadable' } }],
    ['METADATA_GONE', { metadata: { is: 'missing' } }],
    ['NOT_NAMED', { source: 'IMPORT' }],
    ['UNRANKED', { source: 'COPY', run: null }],
  ] satisfies [string, Partial<CandidateFacts>][])('with %s: %o', (code, changes) => {
    const candidates = [checkpoint(5, changes), checkpoint(4)]
    const { chosen } = decide({ candidates })
    expect(chosen?.snapshot).toBe('chk-4')
    expect(rejections({ candidates })['chk-5']).toBe(code)
  })

  it('when it is older than maxAgeSeconds, to the second, or nothing says how old it is', () => {
    const restore = { maxAgeSeconds: 60 }
    const candidates = [
      checkpoint(3, { completedAt: null }),
      checkpoint(2, { completedAt: ago(61) }),
      checkpoint(1, { completedAt: ago(60) }),
    ]
    expect(rejections({ candidates, restore })).toEqual({
      'chk-3': 'AGE_UNKNOWN',
      'chk-2': 'TOO_OLD',
      'chk-1': null,
    })
  })

  it('a verdict of a later release does not stand in the way', () => {
    expect(decide({ candidates: [checkpoint(1, { verdict: 'VERIFIED' })] }).decision).toBe('restore')
  })
})

describe('savepoints and checkpoints', () => {
  const candidates = [savepoint(9), checkpoint(8), savepoint(7), checkpoint(6)]

  it('LATEST_SAVEPOINT passes checkpoints over and says so', () => {
    const facts = { candidates: candidates.slice(1), restore: { strategy: 'LATEST_SAVEPOINT' as const } }
    expect(decide(facts).because).toMatchObject({
      code: 'NEWEST_SAVEPOINT',
      message: expect.stringContaining('chk-8'),
    })
    expect(rejections(facts)).toEqual({
      'chk-8': 'NOT_A_SAVEPOINT',
      'sp-7': null,
      'chk-6': 'NOT_A_SAVEPOINT',
    })
  })

  it('preferCheckpoint takes the checkpoint although a savepoint is newer', () => {
    const facts = { candidates, restore: { preferCheckpoint: true } }
    expect(decide(facts)).toMatchObject({
      decision: 'restore',
      chosen: { snapshot: 'chk-8' },
      because: { code: 'PREFERRED_CHECKPOINT' },
    })
    expect(rejections(facts)).toEqual({
      'sp-9': 'CHECKPOINT_PREFERRED',
      'chk-8': null,
      'sp-7': 'OLDER',
      'chk-6': 'OLDER',
    })
  })

  it('preferCheckpoint takes the savepoint when the run left no restorable checkpoint', () => {
    const restore = { preferCheckpoint: true }
    const gone = [savepoint(9), checkpoint(8, { status: 'Cleared' }), checkpoint(50, { run: OLD_RUN })]
    expect(decide({ candidates: gone, restore }).chosen?.snapshot).toBe('sp-9')
  })
})

describe('without anything to restore', () => {
  it('a job that never had state starts empty', () => {
    expect(decide({})).toMatchObject({
      decision: 'start-empty',
      chosen: null,
      because: { code: 'NO_STATE_EVER' },
    })
  })

  it('and says that a registered savepoint is there to be named', () => {
    const { decision, findings } = decide({ candidates: [savepoint(1, { source: 'IMPORT', run: null })] })
    expect(decision).toBe('start-empty')
    expect(findings).toMatchObject([{ code: 'IMPORT_NOT_TAKEN', message: expect.stringContaining('sp-1') }])
  })

  it('one that had state refuses, unless the fallback is NONE', () => {
    const candidates = [checkpoint(1, { status: 'Cleared' })]
    expect(decide({ candidates })).toMatchObject({
      decision: 'refuse',
      because: { code: 'NO_RESTORE_POINT' },
    })
    expect(decide({ hadState: true }).because.code).toBe('NO_RESTORE_POINT')
    expect(decide({ candidates, restore: { fallback: 'NONE' } })).toMatchObject({
      decision: 'start-empty',
      because: { code: 'NOTHING_RESTORABLE' },
    })
  })

  it('NONE starts empty whatever there is, and whatever may exist', () => {
    const facts: Facts = {
      candidates: [checkpoint(1)],
      restore: { strategy: 'NONE' },
      runs: [run({ live: true, state: 'RUNNING' })],
    }
    expect(decide(facts)).toMatchObject({
      decision: 'start-empty',
      chosen: null,
      because: { code: 'STRATEGY_NONE' },
      newerMayExist: [],
    })
    expect(rejections(facts)).toEqual({ 'chk-1': 'STRATEGY_NONE' })
  })
})

describe('a newer one that may exist unseen', () => {
  const candidates = [checkpoint(4)]
  it.each([
    ['RUN_LIVE', { runs: [run({ live: true, state: 'RUNNING', endedSecondsAgo: null })] }],
    ['RUN_LIVE', { runs: [run({ live: true, state: 'RUNNING', missing: true, endedSecondsAgo: null })] }],
    ['RUN_LOST', { runs: [run({ state: 'LOST' })] }],
    ['RUN_JUST_ENDED', { runs: [run({ endedSecondsAgo: 3 })] }],
    ['CHECKPOINT_IN_PROGRESS', { runs: [run({ inProgressCheckpoint: 5 })] }],
    ['CLUSTER_NOT_ASKED', { cluster: { name: 'flink', asked: false, changed: false } }],
    ['CLUSTER_IDENTITY_CHANGED', { cluster: { name: 'flink', asked: true, changed: true } }],
    ['JOB_AMBIGUOUS', { ambiguous: true }],
    ['SAVEPOINT_UNSETTLED', { unsettled: [{ snapshot: 'sp', status: 'Creating', run: NEW_RUN }] }],
    ['SAVEPOINT_UNSETTLED', { unsettled: [{ snapshot: 'sp', status: 'Timeout', run: null }] }],
    ['SNAPSHOT_UNRANKED', { candidates: [...candidates, savepoint(5, { flinkCheckpointId: null })] }],
    ['SNAPSHOT_ENDANGERED', { candidates: [...candidates, checkpoint(5, { verdict: 'ENDANGERED' })] }],
  ] satisfies [string, Facts][])('is a reason to refuse until it is accepted: %s', (what, facts) => {
    const refused = decide({ candidates, ...facts })
    expect(refused).toMatchObject({
      decision: 'refuse',
      chosen: null,
      because: { code: 'NEWER_MAY_EXIST' },
      newerMayExist: [{ what, why: expect.stringMatching(/\.$/) }],
    })
    expect(rejections({ candidates, ...facts })['chk-4']).toBe('NEWER_MAY_EXIST')
    const accepted = decide({ candidates, ...facts, restore: { acceptOlder: true } })
    expect(accepted).toMatchObject({ decision: 'restore', chosen: { snapshot: 'chk-4' } })
    expect(accepted.newerMayExist).toEqual(refused.newerMayExist)
  })

  it('counts against a start without state as well', () => {
    const facts = { runs: [run({ state: 'LOST' })], hadState: true }
    expect(decide({ ...facts, restore: { fallback: 'NONE' } }).decision).toBe('refuse')
    expect(decide({ ...facts, restore: { fallback: 'NONE', acceptOlder: true } }).decision).toBe(
      'start-empty',
    )
    const unreached = { cluster: { name: 'flink', asked: false, changed: false } }
    expect(decide(unreached).because.code).toBe('NEWER_MAY_EXIST')
    expect(decide({ ...unreached, attached: false }).decision).toBe('start-empty')
  })

  it('is none where it could only be older', () => {
    const older: Facts = {
      runs: [run({ order: OLD_RUN, state: 'LOST' })],
      unsettled: [{ snapshot: 'sp', status: 'Timeout', run: OLD_RUN }],
      candidates: [
        ...candidates,
        checkpoint(3, { verdict: 'ENDANGERED' }),
        savepoint(9, { run: OLD_RUN, flinkCheckpointId: null }),
      ],
    }
    expect(decide(older)).toMatchObject({ decision: 'restore', newerMayExist: [] })
  })

  it('is none after the savepoint of a stop that finished the run', () => {
    const runs = [run({ endedSecondsAgo: 1 })]
    expect(decide({ candidates: [savepoint(5, { source: 'STOP' })], runs }).decision).toBe('restore')
    const failed = [run({ endedSecondsAgo: 1, state: 'FAILED' })]
    expect(decide({ candidates: [savepoint(5, { source: 'STOP' })], runs: failed }).decision).toBe('refuse')
  })

  it('is not asked about for one that is named', () => {
    const runs = [run({ live: true, state: 'RUNNING' })]
    const restore: Restore = { strategy: 'FROM_SNAPSHOT', snapshot: 'chk-4' }
    expect(decide({ candidates, runs, restore })).toMatchObject({
      decision: 'restore',
      newerMayExist: [],
      findings: [{ code: 'JOB_IS_RUNNING' }],
    })
  })
})

describe('the proof', () => {
  it('is missing while nobody looked, or nobody could', () => {
    const message = 'the storage state could not be asked (refused).'
    const candidates = [checkpoint(2, { metadata: { is: 'not-asked', message } }), checkpoint(1)]
    expect(decide({ candidates })).toMatchObject({
      decision: 'refuse',
      chosen: null,
      because: { code: 'STORE_NOT_ASKED', message: expect.stringContaining(message) },
    })
    expect(rejections({ candidates })).toEqual({ 'chk-2': 'STORE_NOT_ASKED', 'chk-1': 'OLDER' })
    expect(decide({ candidates, restore: { fallback: 'NONE', acceptOlder: true } }).decision).toBe('refuse')
    const unchecked = decide({ candidates: [checkpoint(1, { metadata: { is: 'unchecked' } })] })
    expect(unchecked).toMatchObject({ decision: 'refuse', because: { code: 'TOO_MANY_GONE' } })
  })
})

describe('one that is named', () => {
  const restore: Restore = { strategy: 'FROM_SNAPSHOT', snapshot: 'sp-1' }

  it('may be registered, without a rank, or of another job', () => {
    const imported = savepoint(1, { source: 'IMPORT', run: null, job: OTHER })
    expect(decide({ candidates: [imported], restore })).toMatchObject({
      decision: 'restore',
      because: { code: 'NAMED' },
      findings: [{ code: 'OTHER_JOB', message: expect.stringContaining('payments') }],
    })
  })

  it('is refused for its own sake, or gives way to no state when the request says so', () => {
    const candidates = [savepoint(1, { verdict: 'DAMAGED' })]
    expect(decide({ candidates, restore })).toMatchObject({
      decision: 'refuse',
      because: { code: 'NAMED_NOT_RESTORABLE' },
      candidates: [{ rejected: { code: 'DAMAGED' } }],
    })
    const empty = decide({ candidates, restore: { ...restore, fallback: 'NONE' } })
    expect(empty).toMatchObject({ decision: 'start-empty', because: { code: 'NOTHING_RESTORABLE' } })
  })
})

describe('findings', () => {
  it('tell of another version, and of a last run that began elsewhere', () => {
    const { findings } = decide({
      candidates: [checkpoint(4, { jobVersion: 2 })],
      version: 3,
      lastRunBeganFrom: 'sp-0',
    })
    expect(findings.map(({ code }) => code)).toEqual(['OTHER_VERSION', 'LAST_RUN_BEGAN_ELSEWHERE'])
    const same = decide({
      candidates: [checkpoint(4, { jobVersion: 3 })],
      version: 3,
      lastRunBeganFrom: 'chk-4',
    })
    expect(same.findings).toEqual([])
  })
})

// ------------------------------------------------------------------------------------------------ properties

const anyRun: fc.Arbitrary<RunOrder> = fc
  .record({ day: fc.integer({ min: 1, max: 3 }), epoch: fc.integer({ min: 1, max: 2 }) })
  .map(({ day, epoch }) => ({ id: `r${day}${epoch}`, startedAt: `2026-11-0${day}T00:00:00.000Z`, epoch }))
/** Four of five times what lets a restore happen, so that most histories have one. */
const mostly = <Value>(usual: Value, other: fc.Arbitrary<Value>): fc.Arbitrary<Value> =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: other })
const anyCandidates: fc.Arbitrary<CandidateFacts[]> = fc
  .array(
    fc.record({
      kind: fc.constantFrom('SAVEPOINT' as const, 'CHECKPOINT' as const),
      source: fc.constantFrom(...SNAPSHOT_SOURCES),
      status: mostly<CandidateFacts['status']>('Present', fc.constantFrom(...SNAPSHOT_STATUSES)),
      verdict: mostly(null, fc.constantFrom('DAMAGED', 'ENDANGERED', 'VERIFIED')),
      claimed: mostly(false, fc.constant(true)),
      location: mostly('s3://b/x', fc.constant(null)),
      completedAt: fc.option(fc.integer({ min: 0, max: 200 }).map(ago)),
      run: fc.option(anyRun, { freq: 10 }),
      flinkCheckpointId: fc.option(fc.integer({ min: 1, max: 9 }), { freq: 10 }),
      metadata: mostly<CandidateFacts['metadata']>(
        { is: 'there' },
        fc.constantFrom({ is: 'missing' }, { is: 'unchecked' }, { is: 'not-asked', message: 'why.' }),
      ),
    }),
    { maxLength: 12 },
  )
  .map((facts) => facts.map((one, index) => candidate(`s${index}`, one)))
const anyQuestion: fc.Arbitrary<RestoreQuestion> = fc
  .record({
    candidates: anyCandidates,
    restore: fc.record(
      {
        strategy: fc.constantFrom('NONE' as const, 'LATEST_STATE' as const, 'LATEST_SAVEPOINT' as const),
        maxAgeSeconds: fc.integer({ min: 1, max: 200 }),
        fallback: fc.constantFrom('FAIL' as const, 'NONE' as const),
        preferCheckpoint: fc.boolean(),
        acceptOlder: fc.boolean(),
      },
      { requiredKeys: ['acceptOlder'] },
    ),
    runs: fc.array(
      fc.record({
        order: anyRun,
        state: fc.constantFrom('RUNNING' as const, 'FINISHED' as const, 'LOST' as const),
        endedSecondsAgo: fc.integer({ min: 0, max: 100 }),
        inProgressCheckpoint: fc.option(fc.integer({ min: 1, max: 9 })),
      }),
      { maxLength: 2 },
    ),
    asked: mostly(true, fc.constant(false)),
    attached: fc.boolean(),
    hadState: fc.boolean(),
  })
  .map(({ runs, asked, restore, ...facts }) =>
    question({
      ...facts,
      restore: restore.strategy === 'LATEST_SAVEPOINT' ? { ...restore, preferCheckpoint: false } : restore,
      cluster: { name: 'flink', asked, changed: false },
      runs: runs.map((one) =>
        run({
          ...one,
          live: one.state === 'RUNNING',
          endedSecondsAgo: one.state === 'RUNNING' ? null : one.endedSecondsAgo,
        }),
      ),
    }),
  )

describe('whatever the history', () => {
  const whatever = (check: (asked: RestoreQuestion) => void) =>
    fc.assert(fc.property(anyQuestion, check), { numRuns: 250 })
  const factsOf = (asked: RestoreQuestion, snapshot: string | null | undefined): CandidateFacts => {
    const found = asked.candidates.find((one) => one.snapshot === snapshot)
    if (!found) throw new Error(`${snapshot} is none of the candidates`)
    return found
  }

  it('nothing is chosen that is not restorable and proven to be there', () => {
    let chosenOnes = 0
    whatever((asked) => {
      const { decision, chosen } = decideRestore(asked)
      expect(decision === 'restore').toBe(chosen !== null)
      if (!chosen) return
      chosenOnes++
      const facts = factsOf(asked, chosen.snapshot)
      expect(notRestorable(facts)).toBeNull()
      expect(facts.metadata).toEqual({ is: 'there' })
      expect(facts.source).not.toBe('IMPORT')
      if (asked.restore.strategy === 'LATEST_SAVEPOINT') expect(facts.kind).toBe('SAVEPOINT')
      if (asked.restore.maxAgeSeconds !== undefined) {
        expect(chosen.ageSeconds).toBeLessThanOrEqual(asked.restore.maxAgeSeconds)
      }
    })
    expect(chosenOnes).toBeGreaterThan(20)
  })

  it('what ranks before the chosen one is not restorable, not wanted, or not preferred', () => {
    whatever((asked) => {
      const { chosen } = decideRestore(asked)
      const rank = chosen && rankOf(factsOf(asked, chosen.snapshot))
      if (!chosen || !rank) return
      for (const one of asked.candidates) {
        const other = rankOf(one)
        if (!other || compareRanks(other, rank) <= 0) continue
        const tooOld =
          asked.restore.maxAgeSeconds !== undefined &&
          (one.completedAt === null ||
            Date.parse(NOW) - Date.parse(one.completedAt) >= (asked.restore.maxAgeSeconds + 1) * 1000)
        const passed =
          notRestorable(one) !== null ||
          one.metadata.is === 'missing' ||
          one.source === 'IMPORT' ||
          tooOld ||
          (asked.restore.strategy === 'LATEST_SAVEPOINT' && one.kind === 'CHECKPOINT') ||
          (asked.restore.preferCheckpoint === true && one.kind === 'SAVEPOINT' && one.run?.id === rank.run.id)
        expect(passed).toBe(true)
      }
    })
  })

  it('nothing older is taken, and no start is empty, in silence', () => {
    whatever((asked) => {
      const { decision, newerMayExist, because } = decideRestore(asked)
      if (asked.restore.acceptOlder || because.code === 'STRATEGY_NONE') return
      if (decision !== 'refuse') expect(newerMayExist).toEqual([])
    })
  })

  it('the answer is the same in any order, and everything else has a reason', () => {
    whatever((asked) => {
      const answer = decideRestore(asked)
      expect(decideRestore({ ...asked, candidates: asked.candidates.toReversed() })).toEqual(answer)
      expect(answer.candidates).toHaveLength(asked.candidates.length)
      for (const { snapshot, rejected } of answer.candidates) {
        if (snapshot === answer.chosen?.snapshot) expect(rejected).toBeNull()
        else expect(REJECTION_CODES).toContain(rejected?.code)
      }
      expect(answer.because.message).not.toMatch(/undefined|null/)
      if (answer.chosen) expect(findBest(asked)?.snapshot).toBe(answer.chosen.snapshot)
    })
  })
})
