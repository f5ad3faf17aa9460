import { describe, expect, it } from 'vitest'
import { FlinkUnavailableError, StorageError } from '../../src/domain/errors.ts'
import { formatLocation } from '../../src/domain/location.ts'
import type { FlinkClient } from '../../src/ports/flink.ts'
import type { ObjectStore } from '../../src/ports/storage.ts'
import { findOutcome } from '../../src/services/find-outcome.ts'
import {
  checkpointEntry,
  fakeFlink,
  fakeStore,
  flinkJob,
  PREFIX,
  savepointWork,
  statistics,
} from '../support/fakes.ts'

const OWN = `${PREFIX}1/savepoint-ffffff-0123456789ab`
const METADATA = new Uint8Array([0x49, 0x60, 0x67, 0x2d, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 42])
const DATA = new Uint8Array(10)
const SUSPENDING = {
  className: 'java.util.concurrent.CompletionException',
  text: 'org.apache.flink.runtime.checkpoint.CheckpointException: Checkpoint Coordinator is suspending.',
}

const look = (
  flink: Partial<FlinkClient>,
  store: ObjectStore | null = fakeStore({}),
  work = savepointWork(),
) => findOutcome(work, { flink: fakeFlink(flink), store })
const forgotten: Partial<FlinkClient> = {
  readSavepoint: async () => ({ kind: 'unknown' }),
  findJob: async () => flinkJob(),
}

describe('how an asked attempt ended', () => {
  it('waits while Flink says it is in progress', async () => {
    expect(await look({ readSavepoint: async () => ({ kind: 'pending' }) })).toEqual({ kind: 'pending' })
  })

  it('confirms a reported location by its _metadata and takes the sizes from the statistics', async () => {
    const outcome = await look(
      {
        readSavepoint: async () => ({ kind: 'completed', location: OWN.replace('file:///', 'file:/') }),
        readCheckpoints: async () => statistics(checkpointEntry({ externalPath: OWN })),
      },
      fakeStore({ [`${OWN}/_metadata`]: METADATA, [`${OWN}/data`]: DATA }),
    )
    expect(outcome).toMatchObject({ kind: 'completed', foundIn: 'result', metadataFound: true, orphan: null })
    expect(outcome.kind === 'completed' && outcome.entry?.stateSizeBytes).toBe(4_096)
  })

  it('keeps the doubt when Flink reports a location whose _metadata is not there', async () => {
    const outcome = await look({ readSavepoint: async () => ({ kind: 'completed', location: OWN }) })
    expect(outcome).toMatchObject({ kind: 'completed', metadataFound: false })
  })

  it('takes a completed location also when the store and the statistics cannot be asked', async () => {
    const away = { ...fakeStore({}), list: () => Promise.reject(new StorageError('unreachable', 'away')) }
    const outcome = await look(
      {
        readSavepoint: async () => ({ kind: 'completed', location: OWN }),
        readCheckpoints: () => Promise.reject(new FlinkUnavailableError('timeout', 'slow')),
      },
      away,
    )
    expect(outcome).toMatchObject({ kind: 'completed', metadataFound: null, entry: null })
  })

  it('never answers when the outcome cannot be asked for', async () => {
    const away = () => Promise.reject(new FlinkUnavailableError('unreachable', 'refused'))
    await expect(look({ readSavepoint: away })).rejects.toThrow(FlinkUnavailableError)
    const noStore = { ...fakeStore({}), list: () => Promise.reject(new StorageError('unreachable', 'away')) }
    await expect(look(forgotten, noStore)).rejects.toThrow(StorageError)
  })
})

describe('a failed result', () => {
  const failed: Partial<FlinkClient> = {
    readSavepoint: async () => ({ kind: 'failed', failure: SUSPENDING }),
  }
  const thrown = {
    at: Date.parse('2026-11-21T12:00:02Z'),
    exceptionName: 'java.lang.Exception',
    text: 'java.lang.Exception: Could not complete snapshot 8 for operator Count (1/2)#0.\nCaused by: java.lang.RuntimeException: the disk of the operator is full',
    taskName: 'Count',
    taskManagerId: null,
  }

  it("tells the job's own exception when Flink only says that the coordinator is suspending", async () => {
    const outcome = await look({
      ...failed,
      findJob: async () => flinkJob(),
      listExceptions: async () => [thrown],
    })
    expect(outcome).toMatchObject({ kind: 'failed', failure: { retry: 'never' } })
    expect(outcome.kind === 'failed' && outcome.failure.message).toContain('the disk of the operator is full')
  })

  it('calls it a rescale only once all tasks run again without an exception', async () => {
    expect(await look({ ...failed, findJob: async () => flinkJob({ allTasksRunning: false }) })).toEqual({
      kind: 'pending',
    })
    expect(await look({ ...failed, findJob: async () => flinkJob() })).toMatchObject({
      failure: { code: 'RESCALED' },
    })
  })

  it('does not take the cached view of a job from before its failure for a job that runs again', async () => {
    const before = Date.parse('2000-01-01T00:00:00Z')
    expect(await look({ ...failed, findJob: async () => flinkJob({ runningSince: before }) })).toEqual({
      kind: 'pending',
    })
    const after = Date.parse('2100-01-01T00:00:00Z')
    expect(await look({ ...failed, findJob: async () => flinkJob({ runningSince: after }) })).toMatchObject({
      failure: { code: 'RESCALED' },
    })
  })

  it('does not blame an exception from before the savepoint was asked for', async () => {
    const old = { ...thrown, at: Date.parse('2026-11-21T11:59:00Z') }
    const outcome = await look({
      ...failed,
      findJob: async () => flinkJob(),
      listExceptions: async () => [old],
    })
    expect(outcome).toMatchObject({ failure: { code: 'RESCALED' } })
  })

  it("compares times on the JobManager's clock", async () => {
    const fourMinutesBehind = Date.parse('2026-11-21T11:56:05Z')
    const skewed = { ...thrown, at: thrown.at - 240_000 }
    const outcome = await look({
      ...failed,
      findJob: async () => flinkJob({ jobManagerNow: fourMinutesBehind }),
      listExceptions: async () => [skewed],
    })
    expect(outcome).toMatchObject({ failure: { retry: 'never' } })
  })

  it('says that the job ended when it did', async () => {
    const outcome = await look({
      ...failed,
      findJob: async () => flinkJob({ state: 'CANCELED', allTasksRunning: false }),
    })
    expect(outcome).toMatchObject({ kind: 'failed', failure: { code: 'JOB_NOT_RUNNING' } })
  })

  it('believes a _metadata beside a failure only once it has stood a while: Flink may be removing it', async () => {
    const store = fakeStore({ [`${OWN}/_metadata`]: METADATA }) // modified at 12:00:03
    const at = (now: string) => ({ ...savepointWork(), now: new Date(now) })
    expect(await look({ ...failed }, store, at('2026-11-21T12:00:05Z'))).toEqual({ kind: 'pending' })
    expect(await look({ ...failed }, store, at('2026-11-21T12:00:06Z'))).toMatchObject({
      kind: 'completed',
      foundIn: 'directory',
    })
  })
})

describe('a trigger id that Flink has forgotten', () => {
  it('is adopted from the statistics', async () => {
    const outcome = await look(
      { ...forgotten, readCheckpoints: async () => statistics(checkpointEntry({ externalPath: OWN })) },
      fakeStore({ [`${OWN}/_metadata`]: METADATA }),
    )
    expect(outcome).toMatchObject({ kind: 'completed', foundIn: 'statistics', metadataFound: true })
  })

  it('is adopted from its own directory, and the other child is an orphan', async () => {
    const other = `${PREFIX}1/savepoint-ffffff-ba9876543210`
    const outcome = await look(
      { ...forgotten, findJob: async () => flinkJob({ startTime: 900 }) },
      fakeStore({ [`${other}/data`]: DATA, [`${OWN}/_metadata`]: METADATA, [`${OWN}/data`]: DATA }),
    )
    expect(outcome).toMatchObject({ kind: 'completed', foundIn: 'directory' })
    expect(outcome.kind === 'completed' && outcome.orphan && formatLocation(outcome.orphan)).toBe(other)
  })

  it('never takes a savepoint of another directory for its own', async () => {
    const foreign = 'file:///roots/a/default/orders/savepoints/other/1/savepoint-ffffff-0123456789ab'
    const outcome = await look({
      ...forgotten,
      readCheckpoints: async () => statistics(checkpointEntry({ externalPath: foreign })),
    })
    expect(outcome).toEqual({ kind: 'not-begun' })
  })

  it('waits while some savepoint is in progress', async () => {
    const running = checkpointEntry({ status: 'IN_PROGRESS', externalPath: null })
    expect(await look({ ...forgotten, readCheckpoints: async () => statistics(running) })).toEqual({
      kind: 'pending',
    })
  })

  it('may be posted again only when nothing shows it and the JobManager is the same', async () => {
    expect(await look(forgotten)).toEqual({ kind: 'not-begun' })
    expect(await look({ ...forgotten, findJob: async () => flinkJob({ startTime: 101 }) })).toEqual({
      kind: 'lost',
      orphan: null,
    })
  })

  it('is lost with its orphan when it had begun to write', async () => {
    const outcome = await look(forgotten, fakeStore({ [`${OWN}/data`]: DATA }))
    expect(outcome).toMatchObject({ kind: 'lost' })
    expect(outcome.kind === 'lost' && outcome.orphan && formatLocation(outcome.orphan)).toBe(OWN)
  })

  it('is over with its job, but not because the JobManager does not know the job for a moment', async () => {
    expect(await look({ ...forgotten, findJob: async () => flinkJob({ state: 'FAILED' }) })).toMatchObject({
      kind: 'job-over',
    })
    const unknown = { ...forgotten, findJob: async () => null }
    expect(await look(unknown)).toEqual({ kind: 'pending' })
    const work = savepointWork()
    const lost = (over: boolean) => savepointWork({ run: work.run && { ...work.run, state: 'LOST', over } })
    expect(await look(unknown, fakeStore({}), lost(true))).toMatchObject({ kind: 'job-over', state: 'LOST' })
    // Nobody lists it, which is no proof that nobody writes any more.
    expect(await look(unknown, fakeStore({}), lost(false))).toMatchObject({ kind: 'pending' })
  })

  it('does not take an empty _metadata for a complete savepoint', async () => {
    const outcome = await look(forgotten, fakeStore({ [`${OWN}/_metadata`]: new Uint8Array(0) }))
    expect(outcome).toMatchObject({ kind: 'lost' })
  })
})

describe('how a stop ended', () => {
  const stopWork = (changes: Parameters<typeof savepointWork>[0] = {}) => {
    const work = savepointWork(changes)
    return { ...work, attempt: { ...work.attempt, stopMode: 'SUSPEND' as const } }
  }
  const stopped = (path: string): Partial<FlinkClient> => ({
    readSavepoint: async () => ({
      kind: 'failed',
      failure: {
        className: 'java.util.concurrent.CompletionException',
        text: `org.apache.flink.runtime.scheduler.stopwithsavepoint.StopWithSavepointStoppingException: A savepoint has been created at: ${path}, but the corresponding job ffff failed during stopping. The savepoint is consistent, but might have uncommitted transactions.`,
      },
    }),
    findJob: async () => flinkJob(),
  })
  const files = { [`${OWN}/_metadata`]: METADATA }
  const gone = () =>
    Promise.reject(new FlinkUnavailableError('unreachable', 'refused', null, { mayHaveArrived: false }))
  const slow = () => Promise.reject(new FlinkUnavailableError('timeout', 'no answer'))

  it('keeps the savepoint of a job that failed while it was stopping', async () => {
    const told = stopped(OWN.replace('file:///', 'file:/'))
    expect(await look(told, fakeStore(files), stopWork())).toMatchObject({
      kind: 'completed',
      metadataFound: true,
      stopFailure: { code: 'JOB_FAILED_WHILE_STOPPING' },
    })
    expect(await look(told, null, stopWork())).toMatchObject({ kind: 'completed', metadataFound: null })
  })

  it('believes no path outside its own directory, and none without _metadata', async () => {
    const foreign = 'file:///roots/a/default/orders/savepoints/other/1/savepoint-ffffff-0123456789ab'
    for (const path of [foreign, `${PREFIX}10/savepoint-a`, 'nonsense', `${PREFIX}1/../2/savepoint-a`]) {
      const store = fakeStore({ [`${foreign}/_metadata`]: METADATA })
      expect(await look(stopped(path), store, stopWork())).toMatchObject({
        kind: 'failed',
        failure: { code: 'JOB_FAILED_WHILE_STOPPING', retry: 'never' },
      })
    }
    expect(await look(stopped(OWN), fakeStore({ [`${OWN}/data`]: DATA }), stopWork())).toMatchObject({
      kind: 'failed',
      failure: { code: 'JOB_FAILED_WHILE_STOPPING' },
    })
  })

  it('adopts what stands complete when the JobManager has gone with the job', async () => {
    const later = stopWork({ now: new Date('2026-11-21T12:00:10Z') })
    expect(await look({ readSavepoint: gone }, fakeStore(files), later)).toMatchObject({
      kind: 'completed',
      foundIn: 'directory',
      stopFailure: null,
    })
    // Too young: Flink may still remove it. Merely slow: its own answer comes. No stop: it goes on there.
    await expect(look({ readSavepoint: gone }, fakeStore(files), stopWork())).rejects.toThrow('refused')
    await expect(look({ readSavepoint: slow }, fakeStore(files), later)).rejects.toThrow('no answer')
    const noStop = savepointWork({ now: later.now })
    await expect(look({ readSavepoint: gone }, fakeStore(files), noStop)).rejects.toThrow('refused')
  })

  it('proves nothing by an empty directory before the run is over', async () => {
    await expect(look({ readSavepoint: gone }, fakeStore({}), stopWork())).rejects.toThrow('refused')
    const run = {
      id: 'run-1',
      flinkJobId: 'f'.repeat(32),
      state: 'LOST' as const,
      over: true,
      flinkStartTime: 100,
      allTasksRunning: false,
      tasksRunningSince: null,
    }
    for (const readSavepoint of [gone, slow]) {
      expect(await look({ readSavepoint }, fakeStore({}), stopWork({ run }))).toMatchObject({
        kind: 'job-over',
        state: 'LOST',
      })
    }
  })

  it('adopts the savepoint of a FINISHED job whose answer Flink has forgotten', async () => {
    const forgot: Partial<FlinkClient> = {
      readSavepoint: async () => ({ kind: 'unknown' }),
      findJob: async () => flinkJob({ state: 'FINISHED' }),
    }
    expect(await look(forgot, fakeStore(files), stopWork())).toMatchObject({
      kind: 'completed',
      foundIn: 'directory',
    })
  })
})
