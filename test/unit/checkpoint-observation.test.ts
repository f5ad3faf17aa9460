import { describe, expect, it } from 'vitest'
import {
  describeStatistics,
  isSameRun,
  isSameStartedRun,
  type ReportContext,
  type RestartedRun,
} from '../../src/domain/checkpoint-observation.ts'
import type { CheckpointStatistics } from '../../src/domain/flink.ts'
import { checkpointEntry, statistics } from '../support/fakes.ts'

const FLINK_ID = 'a'.repeat(32)
const OWN = '01a1fbf4-0000-7000-8000-000000000001'
const context = (changes: Partial<ReportContext> = {}): ReportContext => ({
  runId: 'run-1',
  flinkJobId: FLINK_ID,
  completedCheckpoints: 0,
  inProgressBefore: null,
  exceptions: [],
  ...changes,
})
const checkpoint = (changes: Parameters<typeof checkpointEntry>[0] = {}) =>
  checkpointEntry({ isSavepoint: false, format: null, checkpointType: 'CHECKPOINT', ...changes })
const report = (found: CheckpointStatistics, changes: Partial<ReportContext> = {}) =>
  describeStatistics(found, context(changes))
const restored = (id: number, externalPath: string | null, completed = 0): CheckpointStatistics => {
  const empty = statistics()
  return {
    ...empty,
    counts: { ...empty.counts, completed },
    latest: { ...empty.latest, restored: { id, restoredAt: 1, externalPath } },
  }
}

describe('what statistics say', () => {
  it('holds what has scrolled out of the history but is still the latest of its kind, once', () => {
    const old = checkpoint({ id: 3, externalPath: 's3://b/x/chk-3' })
    const found = statistics(checkpoint({ id: 20, externalPath: 's3://b/x/chk-20' }))
    const { snapshots, oldestListedId } = report({ ...found, latest: { ...found.latest, completed: old } })
    expect(snapshots.map(({ flinkCheckpointId }) => flinkCheckpointId)).toEqual([20, 3])
    expect(oldestListedId).toBe(20)
    const both = report({ ...found, latest: { ...found.latest, completed: found.history[0] ?? null } })
    expect(both.snapshots).toHaveLength(1)
  })

  it('takes no more of a long history than rows are kept', () => {
    const long = Array.from({ length: 500 }, (_, index) =>
      checkpoint({ id: 500 - index, externalPath: 's3://b/x/y' }),
    )
    const { snapshots, oldestListedId } = report(statistics(...long))
    expect(snapshots).toHaveLength(20)
    expect([snapshots[0]?.flinkCheckpointId, oldestListedId]).toEqual([500, 481])
  })

  it('keeps one location however Flink spells it', () => {
    const spellings = ['file:/state/x/chk-1', 'file:///state/x/chk-1', 'file:///state/x/chk-1/_metadata']
    const keys = spellings.map(
      (externalPath) => report(statistics(checkpoint({ externalPath }))).snapshots[0],
    )
    expect(new Set(keys.map((snapshot) => snapshot?.locationKey))).toEqual(new Set(['file:///state/x/chk-1']))
  })

  it.each([null, 'not a place', 'weird:', 'file:relative'])('has no place for %j', (externalPath) => {
    const [snapshot] = report(statistics(checkpoint({ externalPath }))).snapshots
    expect(snapshot).toMatchObject({ status: 'Present', location: null, locationKey: null })
  })

  it('knows a savepoint of ours by its directory, and no other one', () => {
    const savepointAt = (externalPath: string) =>
      report(statistics(checkpointEntry({ externalPath }))).snapshots[0]?.ownSnapshotId
    expect(savepointAt(`s3a://b/ns/orders/savepoints/${OWN}/2/savepoint-ab-cd`)).toBe(OWN)
    for (const path of [
      `s3://b/ns/orders/savepoints/${OWN}/savepoint-ab-cd`,
      `s3://b/ns/orders/savepoints/${OWN}/x/savepoint-ab-cd`,
      's3://b/ns/orders/savepoints/mine/1/savepoint-ab-cd',
      `s3://b/${OWN}/1/savepoint-ab-cd`,
    ]) {
      expect(savepointAt(path)).toBeNull()
    }
  })

  it('tells of a checkpoint in progress only once it has lasted from one look to the next', () => {
    const found = statistics(checkpoint({ id: 8, status: 'IN_PROGRESS' }))
    expect(report(found).inProgress).toBeNull()
    expect(report(found, { inProgressBefore: 8 }).inProgress).toMatchObject({ id: 8 })
    expect(report(found, { inProgressBefore: 7 }).inProgress).toBeNull()
  })

  it('survives instants no clock can have', () => {
    const entry = checkpoint({
      triggeredAt: -5,
      latestAckAt: Number.MAX_SAFE_INTEGER,
      externalPath: 's3://b/x/chk-1',
    })
    expect(() => report(statistics(entry))).not.toThrow()
  })
})

describe('what a run was restored from', () => {
  it('is a place of somebody else, whatever the run has done since', () => {
    const origin = { flinkCheckpointId: 4, location: 's3://b/old/chk-4', locationKey: 's3://b/old/chk-4' }
    expect(report(restored(4, 's3://b/old/chk-4')).restored).toEqual(origin)
    expect(report(restored(4, 's3://b/old/chk-4', 9), { completedCheckpoints: 9 }).restored).toEqual(origin)
  })

  it('is not its own checkpoint, to which a failover went back', () => {
    expect(report(restored(4, `s3://b/${FLINK_ID}/chk-4`, 1)).restored).toBeNull()
    expect(report(restored(4, `s3://b/${FLINK_ID}/chk-4`), { completedCheckpoints: 4 }).restored).toBeNull()
    expect(report(restored(4, null, 1)).restored).toBeNull()
  })

  it('may be a retained checkpoint under its own id, of a run before it', () => {
    expect(report(restored(4, `s3://b/${FLINK_ID}/chk-4`)).restored).toMatchObject({ flinkCheckpointId: 4 })
  })
})

describe('a job under its old id with another start-time', () => {
  const own = (id: number) => ({ flinkCheckpointId: id, locationKey: `s3://b/${FLINK_ID}/chk-${id}` })
  const run = (changes: Partial<RestartedRun> = {}): RestartedRun => ({
    flinkJobId: FLINK_ID,
    declaredVersion: null,
    snapshots: [own(7), own(6)],
    watched: true,
    ...changes,
  })
  const at = (id: number, path: string | null = `s3a://b/${FLINK_ID}/chk-${id}`) => ({
    restored: { id, externalPath: path },
    declaredVersion: null,
  })

  it('is the same run when it went back to a checkpoint of that run', () => {
    expect(isSameRun(run(), at(7))).toBe(true)
    expect(isSameRun(run({ watched: false }), at(6))).toBe(true)
    expect(isSameRun(run({ snapshots: [{ flinkCheckpointId: 7, locationKey: null }] }), at(7, null))).toBe(
      true,
    )
  })

  it('is another one when it began from nothing, or somewhere else', () => {
    expect(isSameRun(run(), { restored: null, declaredVersion: null })).toBe(false)
    expect(isSameRun(run(), at(7, 's3://b/savepoint-1'))).toBe(false)
    expect(isSameRun(run(), at(2))).toBe(false) // ids that count from 1 again
    expect(isSameRun(run(), at(12, 's3://b/savepoint-1'))).toBe(false)
  })

  it('is another one when it declares another version', () => {
    expect(isSameRun(run(), { ...at(7), declaredVersion: 2 })).toBe(false)
    expect(isSameRun(run({ declaredVersion: 2 }), { ...at(7), declaredVersion: 2 })).toBe(true)
  })

  it('is the same one from a newer checkpoint that nobody saw, only while it was watched', () => {
    expect(isSameRun(run(), at(9))).toBe(true)
    expect(isSameRun(run({ watched: false }), at(9))).toBe(false)
    expect(isSameRun(run({ snapshots: [] }), at(1))).toBe(true)
  })

  it('knows its own place without a folder per job too', () => {
    const flat = (id: number) => ({ flinkCheckpointId: id, locationKey: `s3://b/flat/chk-${id}` })
    expect(isSameRun(run({ snapshots: [flat(7)] }), at(8, 's3://b/flat/chk-8'))).toBe(true)
    expect(isSameRun(run({ snapshots: [flat(7)] }), at(8, 's3://b/flat2/chk-8'))).toBe(false)
  })
})

describe('a job that we started and that goes on under its id with another start-time', () => {
  const from = 's3://b/savepoints/savepoint-1'
  const own = (id: number) => `s3://b/checkpoints/${FLINK_ID}/chk-${id}`
  const known = (...ids: number[]) =>
    ids.map((flinkCheckpointId) => ({ flinkCheckpointId, locationKey: own(flinkCheckpointId) }))
  const same = (
    snapshots: RestartedRun['snapshots'],
    restoredFrom: { id: number; externalPath: string | null } | null,
    startedFromKey: string | null = from,
  ) => isSameStartedRun({ flinkJobId: FLINK_ID, snapshots, startedFromKey }, restoredFrom)

  it('is the same run from a checkpoint of its own, also one that nobody saw', () => {
    expect(same(known(7), { id: 7, externalPath: own(7) })).toBe(true)
    expect(same(known(7), { id: 9, externalPath: own(9) })).toBe(true)
    expect(same([], { id: 1, externalPath: own(1) })).toBe(true)
  })

  it('is the same run when it had no checkpoint yet and begins again from where it was started, or empty', () => {
    expect(same([], { id: 4, externalPath: `${from}/_metadata` })).toBe(true)
    expect(same([], null, null)).toBe(true)
  })

  it('is another one when it had checkpoints and counts them anew', () => {
    expect(same(known(7), { id: 4, externalPath: from })).toBe(false)
    expect(same(known(7), null)).toBe(false)
    expect(same([], { id: 4, externalPath: 's3://b/savepoints/savepoint-2' })).toBe(false)
  })
})
