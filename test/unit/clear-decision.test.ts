import { describe, expect, test } from 'vitest'
import { type ClearRequest, decideClearing, MAX_INSPECTED } from '../../src/domain/clear-decision.ts'
import type { ClearingFacts } from '../../src/domain/clearing.ts'
import type { Protection } from '../../src/domain/protection.ts'
import type { Snapshot, SnapshotSource } from '../../src/domain/snapshot.ts'
import { HOSTILE_LOCATIONS } from '../support/hostile-locations.ts'

const ROOT = 's3://state/flink'
const PREFIX = `${ROOT}/ours/orders/savepoints/s1/`
const LOCATION = `${PREFIX}1/savepoint-abcdef-0123456789ab`

const attempt = (changes: Partial<Snapshot['attempts'][number]> = {}): Snapshot['attempts'][number] => ({
  number: 1,
  triggerId: 't',
  flinkJobId: 'f',
  directory: `${PREFIX}1/`,
  createdAt: '2026-11-21T12:00:00.000Z',
  askedAt: '2026-11-21T12:00:00.000Z',
  outcome: 'COMPLETED',
  settledAt: '2026-11-21T12:00:00.000Z',
  failure: null,
  orphanLocation: null,
  ...changes,
})

const snapshot = (changes: Partial<Snapshot> = {}): Snapshot => ({
  id: 's1',
  kind: 'SAVEPOINT',
  status: 'Present',
  reason: 'COMPLETED',
  message: null,
  source: 'MANUAL',
  description: '',
  labels: {},
  job: { id: 'j1', name: 'orders' },
  jobVersion: 1,
  run: 'r1',
  format: 'CANONICAL',
  checkpointType: null,
  incremental: null,
  flinkCheckpointId: 7,
  triggerId: 't',
  attempt: 1,
  attempts: [attempt()],
  createdAt: '2026-11-21T12:00:00.000Z',
  triggeredAt: null,
  completedAt: '2026-11-21T12:00:00.000Z',
  settledAt: '2026-11-21T12:00:00.000Z',
  durationMs: 1,
  deadlineAt: null,
  storage: { id: 'st', name: 'state' },
  ownedPrefix: PREFIX,
  location: LOCATION,
  sizeBytes: 1,
  uploadedBytes: 1,
  flinkVersion: null,
  failure: null,
  pinned: false,
  expiresAt: null,
  verifiedAt: null,
  verdict: null,
  restorable: true,
  notRestorableBecause: null,
  supersedes: null,
  copyOf: null,
  restoredBy: [],
  createdBy: 'token:test',
  updatedAt: '2026-11-21T12:00:00.000Z',
  etag: '1',
  ...changes,
})

const facts = (changes: Partial<ClearingFacts> = {}): ClearingFacts => ({
  snapshot: snapshot(),
  storage: { id: 'st', name: 'state', provider: 'aws', clearCheckpoints: false, uri: ROOT },
  clusters: [{ id: 'c1', name: 'flink', observeOnly: false, identityChanged: false }],
  runIsOver: false,
  uses: [],
  openOperation: null,
  neededBy: [],
  uninspected: [],
  ...changes,
})

const NEWEST: Protection = { code: 'NEWEST_RESTORABLE_SAVEPOINT', message: 'It is the newest.', until: null }
const decide = (
  given: Partial<ClearingFacts> = {},
  request: Partial<ClearRequest> = {},
  protections: Protection[] = [],
) => decideClearing(facts(given), protections, { force: false, keepData: false, ...request })
const of = (changes: Partial<Snapshot>) => ({ snapshot: snapshot(changes) })
const refused = (code: string, message = /./) =>
  expect.objectContaining({ kind: 'refuse', code, message: expect.stringMatching(message) })

const USE = {
  reason: 'RUN' as const,
  message: 'The run r2 was restored from it.',
  cluster: null,
  job: null,
  run: 'r2',
}

describe('what is ours and unused', () => {
  test('goes by its owned prefix', () => {
    expect(decide()).toEqual({ kind: 'clear', method: 'OBJECTS', prefix: PREFIX })
  })

  test('goes whether its run lives or not, for it is a savepoint of ours', () => {
    expect(decide({ runIsOver: true })).toMatchObject({ method: 'OBJECTS' })
  })

  test.each(['Failed', 'Timeout'] as const)('goes by its owned prefix when %s, all attempts', (status) => {
    const attempts = [attempt({ outcome: 'FAILED' }), attempt({ number: 2, directory: `${PREFIX}2/` })]
    expect(decide(of({ status, location: null, attempts, attempt: 2 }))).toEqual({
      kind: 'clear',
      method: 'OBJECTS',
      prefix: PREFIX,
    })
  })

  test('goes through Flink where only Flink reaches the storage', () => {
    const storage = { id: 'st', name: 'state', provider: 'flink-only', clearCheckpoints: false, uri: ROOT }
    expect(decide({ storage })).toEqual({ kind: 'clear', method: 'FLINK', prefix: null })
    expect(decide({ storage, ...of({ status: 'Failed', location: null }) })).toMatchObject({
      method: 'FORGET',
    })
  })

  test.each(['IMPORT', 'EXTERNAL'] as const)('is only forgotten when %s and not owned', (source) => {
    expect(decide(of({ source, ownedPrefix: null, attempt: null, attempts: [] }))).toEqual({
      kind: 'clear',
      method: 'FORGET',
      prefix: null,
    })
  })

  test('goes when an IMPORT was registered as owned: its folder is its prefix', () => {
    const imported = { source: 'IMPORT' as SnapshotSource, attempt: null, attempts: [] }
    expect(decide(of({ ...imported, ownedPrefix: `${ROOT}/old/`, location: `${ROOT}/old` }))).toEqual({
      kind: 'clear',
      method: 'OBJECTS',
      prefix: `${ROOT}/old/`,
    })
  })

  test('is forgotten on request, whatever needs it', () => {
    expect(decide({ uses: [USE] }, { keepData: true })).toMatchObject({ kind: 'clear', method: 'FORGET' })
  })

  test('is given up when it is Clearing and its data is to stay, but not on a cluster that is only observed', () => {
    const clearing = of({ status: 'Clearing', pinned: true })
    expect(decide({ uses: [USE], ...clearing }, { keepData: true })).toEqual({ kind: 'give-up' })
    const observed = [{ id: 'c', name: 'c', observeOnly: true, identityChanged: false }]
    expect(decide({ clusters: observed, ...clearing }, { keepData: true })).toMatchObject({
      kind: 'refuse',
      code: 'OBSERVE_ONLY',
    })
    expect(decide(of({ status: 'Cleared' }), { keepData: true })).toEqual({ kind: 'done' })
  })

  test.each(['Clearing', 'Cleared'] as const)('is done when it is %s', (status) => {
    expect(decide({ uses: [USE], ...of({ status, pinned: true }) })).toEqual({ kind: 'done' })
  })
})

describe('what is in use', () => {
  test('is refused with who uses it', () => {
    expect(decide({ uses: [USE] })).toMatchObject({
      kind: 'refuse',
      code: 'SNAPSHOT_IN_USE',
      message: USE.message,
      extra: { inUseBy: [USE] },
    })
  })

  test('is refused by no force', () => {
    expect(decide({ uses: [USE] }, { force: true })).toEqual(refused('SNAPSHOT_IN_USE'))
  })

  test('is refused while other snapshots need its files', () => {
    const neededBy = [{ id: 's2', job: { id: 'j2', name: 'bills' } }]
    expect(decide({ neededBy }, { force: true })).toEqual(refused('SNAPSHOT_IN_USE', /s2 of bills/))
  })

  test('is refused while an operation takes it', () => {
    expect(decide({ openOperation: 'o1' })).toEqual(refused('SNAPSHOT_IN_USE', /o1/))
  })

  test.each([
    ['Creating', of({ status: 'Creating' })],
    [
      'a Timeout whose answer is not final',
      of({ status: 'Timeout', attempts: [attempt({ outcome: null, settledAt: null })] }),
    ],
    ['a Failed one that Flink may still be writing', of({ status: 'Failed', settledAt: null })],
  ])('is refused in flight: %s', (_, given) => {
    expect(decide(given)).toEqual(refused('SNAPSHOT_IN_USE'))
    expect(decide(given, { keepData: true, force: true })).toEqual(refused('SNAPSHOT_IN_USE'))
  })

  test('is looked into first where nobody knows what needs it, and refused where that is too much', () => {
    expect(decide({ uninspected: ['s2'] })).toEqual({ kind: 'inspect', snapshots: ['s2'] })
    const uninspected = Array.from({ length: MAX_INSPECTED + 1 }, (_, n) => `s${n}`)
    expect(decide({ uninspected })).toEqual(refused('SNAPSHOT_IN_USE', /not been inspected/))
  })
})

describe('a checkpoint', () => {
  const checkpoint = {
    kind: 'CHECKPOINT' as const,
    source: 'SYSTEM' as const,
    ownedPrefix: null,
    attempt: null,
    attempts: [],
  }

  test('of a live run never goes, not even from our records', () => {
    expect(decide({ ...of(checkpoint) })).toEqual(refused('SNAPSHOT_IN_USE', /Flink/))
    expect(decide({ ...of(checkpoint) }, { force: true, keepData: true })).toEqual(refused('SNAPSHOT_IN_USE'))
  })

  test('of an ended run has no directory of its own: it can be forgotten', () => {
    expect(decide({ ...of(checkpoint), runIsOver: true })).toEqual(refused('FILES_OUTSIDE_PREFIX'))
    expect(decide({ ...of(checkpoint), runIsOver: true }, { keepData: true })).toMatchObject({
      method: 'FORGET',
    })
  })
})

describe('what is protected', () => {
  test('is refused with its reasons, and goes by force', () => {
    expect(decide({}, {}, [NEWEST])).toMatchObject({
      code: 'SNAPSHOT_PROTECTED',
      extra: { protections: [NEWEST] },
    })
    expect(decide({}, { force: true }, [NEWEST])).toMatchObject({ kind: 'clear' })
  })

  test('by a pin needs it taken out first, whatever the force', () => {
    expect(decide(of({ pinned: true }), { force: true })).toEqual(refused('SNAPSHOT_PROTECTED', /unpin/))
    expect(decide(of({ pinned: true }), { force: true, keepData: true })).toEqual(
      refused('SNAPSHOT_PROTECTED'),
    )
  })
})

describe('a cluster that forbids it', () => {
  const cluster = { id: 'c2', name: 'other', observeOnly: false, identityChanged: false }
  test.each([
    ['OBSERVE_ONLY', { ...cluster, observeOnly: true }],
    ['CLUSTER_IDENTITY_CHANGED', { ...cluster, identityChanged: true }],
  ])('%s: nothing is cleared, also where it is only one of two', (code, other) => {
    const clusters = [...facts().clusters, other]
    expect(decide({ clusters }, { force: true })).toEqual(refused(code))
    expect(decide({ clusters }, { force: true, keepData: true })).toEqual(refused(code))
  })
})

describe('what lies elsewhere', () => {
  test.each([
    ['the root itself', { ownedPrefix: `${ROOT}/` }],
    ['a parent of the root', { ownedPrefix: 's3://state/' }],
    [
      'a sibling whose name begins alike',
      { ownedPrefix: 's3://state/flink2/s1/', location: 's3://state/flink2/s1/x', attempts: [] },
    ],
    [
      'another bucket',
      { ownedPrefix: 's3://other/flink/s1/', location: 's3://other/flink/s1/x', attempts: [] },
    ],
    ['another scheme', { ownedPrefix: 'file:///state/flink/s1/', location: null, attempts: [] }],
    ['a location outside the prefix', { location: `${ROOT}/ours/orders/savepoints/s12/x` }],
    ['an attempt outside the prefix', { attempts: [attempt({ directory: `${ROOT}/elsewhere/` })] }],
    ['no prefix at all', { ownedPrefix: null }],
  ])('is refused: %s', (_, changes) => {
    expect(decide(of(changes), { force: true })).toEqual(refused('FILES_OUTSIDE_PREFIX'))
  })

  test('is the same place by an alias of its scheme', () => {
    const alias = PREFIX.replace('s3://', 's3a://')
    const changes = { ownedPrefix: alias, location: LOCATION.replace('s3://', 's3a://'), attempts: [] }
    expect(decide(of(changes))).toEqual({ kind: 'clear', method: 'OBJECTS', prefix: alias })
  })

  test.each(HOSTILE_LOCATIONS)('is refused whatever the rows say: %j', (text) => {
    expect(decide(of({ ownedPrefix: text, location: null, attempts: [] }))).toMatchObject({ kind: 'refuse' })
    expect(decide(of({ location: text }))).toMatchObject({ kind: 'refuse' })
  })

  test('is refused without a storage', () => {
    expect(decide({ storage: null })).toEqual(refused('FILES_OUTSIDE_PREFIX'))
  })
})

test('nothing that is used, in flight or foreign ever goes, whatever else is true', () => {
  const statuses = ['Creating', 'Present', 'Failed', 'Timeout'] as const
  const bits = [0, 1] as const
  for (const status of statuses)
    for (const used of bits)
      for (const needed of bits)
        for (const observed of bits)
          for (const pinned of bits)
            for (const guarded of bits)
              for (const force of bits)
                for (const kind of ['SAVEPOINT', 'CHECKPOINT'] as const)
                  for (const owned of bits) {
                    const decision = decideClearing(
                      facts({
                        snapshot: snapshot({
                          status,
                          kind,
                          pinned: pinned === 1,
                          ownedPrefix: owned ? PREFIX : null,
                        }),
                        uses: used ? [USE] : [],
                        neededBy: needed ? [{ id: 's2', job: { id: 'j', name: 'j' } }] : [],
                        clusters: [
                          { id: 'c', name: 'c', observeOnly: observed === 1, identityChanged: false },
                        ],
                      }),
                      guarded ? [NEWEST] : [],
                      { force: force === 1, keepData: false },
                    )
                    if (decision.kind !== 'clear') continue
                    expect({ status, used, needed, observed, pinned, kind, owned }).toEqual({
                      status: expect.stringMatching(/Present|Failed|Timeout/),
                      used: 0,
                      needed: 0,
                      observed: 0,
                      pinned: 0,
                      kind: 'SAVEPOINT',
                      owned: 1,
                    })
                    expect(guarded === 0 || force === 1).toBe(true)
                  }
})
