/** The removal of savepoints on real Postgres and an S3 that remembers each request: what goes, in which order, and what never. */

import { v7 } from 'uuid'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Fauxqs, startFauxqs } from '../../dev/services/s3.ts'
import { DomainError } from '../../src/domain/errors.ts'
import type { ClearingWork, ClearingWorkRepository } from '../../src/ports/clearing.ts'
import type { ObjectStore, ObjectStores } from '../../src/ports/storage.ts'
import { createObjectStores } from '../../src/storage/stores.ts'
import { findClearingCrashPoints } from '../faults/crash-point-names.ts'
import { insertCheckpoint } from '../support/checkpoints.ts'
import {
  type ClearingBench,
  insertOwnedSavepoint,
  openClearingBench,
  type SavepointAt,
} from '../support/clearing.ts'
import { openMigratedDatabase, type TestDatabase } from '../support/database.ts'
import { fakeFlink } from '../support/fakes.ts'
import { createTenants, insertRun, type Tenant } from '../support/fixtures.ts'
import { HOSTILE_LOCATIONS } from '../support/hostile-locations.ts'
import { fixedSecrets } from '../support/storage-address.ts'

let database: TestDatabase
let s3: Fauxqs
let stores: ObjectStores
let ours: Tenant
let theirs: Tenant
let bench: ClearingBench
let root = ''

const CREDENTIALS = {
  accessKeyId: { env: 'TIDEMARK_SECRET_OURS_ID' },
  secretAccessKey: { env: 'TIDEMARK_SECRET_OURS_KEY' },
}

beforeAll(async () => {
  database = await openMigratedDatabase('clearing')
  s3 = await startFauxqs()
  await s3.createBucket('state')
})
afterAll(async () => {
  await s3.stop()
  await database.drop()
})

beforeEach(async () => {
  const { db } = database
  await db.sql('truncate namespace cascade')
  ;({ ours, theirs } = await createTenants(db))
  // a folder per test: keys of one test are none of another's
  const folder = v7()
  for (const tenant of [ours, theirs]) {
    const uri = `s3://state/${folder}-${tenant.caller.namespace}`
    await db.sql(
      `update storage set uri = $1, root_key = $2, provider = 'minio', endpoint = $3, credentials = $4::jsonb where id = $5`,
      [uri, `${uri}/`, s3.url, JSON.stringify(CREDENTIALS), tenant.storageId],
    )
    if (tenant === ours) root = uri
  }
  stores = createObjectStores({ secrets: fixedSecrets })
  bench = openClearingBench(db, stores)
  s3.forgetRequests()
})
afterEach(() => stores.close())

/** As of a rule that was deleted meanwhile: it is refused for another reason before that is asked. */
const NO_RULE = { kind: 'RETENTION', saved: 'none' } as const

const put = async (location: string, body = 'x'): Promise<void> => {
  const { ok } = await fetch(`${s3.url}/${location.replace('s3://', '')}`, { method: 'PUT', body })
  if (!ok) throw new Error(`${location} was not written`)
}
const exists = async (location: string): Promise<boolean> =>
  (await fetch(`${s3.url}/${location.replace('s3://', '')}`, { method: 'HEAD' })).ok
const keyOf = (location: string): string => location.replace('s3://state/', '')
const deletions = (): (readonly string[])[] =>
  s3.requests.filter(({ deletedKeys }) => deletedKeys.length > 0).map(({ deletedKeys }) => deletedKeys)

/** A savepoint with its `_metadata` and files, and an older restorable one beside it that nothing may touch. */
async function savepoint(given: SavepointAt & { files?: number } = {}) {
  const made = await insertOwnedSavepoint(database.db, ours, root, { checkpointId: 1, ...given })
  const files = Array.from({ length: given.files ?? 3 }, (_, n) => `${made.location}/file-${n}`)
  await Promise.all([`${made.location}/_metadata`, ...files].map((file) => put(file)))
  return { ...made, files }
}
const newest = () => savepoint({ checkpointId: 99, files: 1 })
const clearOurs = (snapshot: string, more: Partial<Parameters<ClearingBench['clear']>[0]> = {}) =>
  bench.clear({ caller: ours.caller, snapshot, ...more })
const refusal = async (asked: Promise<unknown>): Promise<string> => {
  const error = await asked.then(
    () => null,
    (reason: unknown) => reason,
  )
  if (!(error instanceof DomainError)) throw new Error(`it was not refused: ${String(error)}`)
  return error.code
}
/** Whatever happened, nothing but what lies below this prefix was ever in a delete request. */
function expectOnlyBelow(prefix: string): void {
  for (const keys of deletions()) {
    for (const key of keys) {
      expect(key.startsWith(keyOf(prefix))).toBe(true)
      expect(key.split('/')).not.toContain('..')
    }
  }
}

describe('clearing', () => {
  it('deletes _metadata alone and first, then everything below the prefix, and nothing else', async () => {
    const kept = await newest()
    const gone = await savepoint({ files: 5 })
    const sibling = `${gone.prefix.slice(0, -1)}2/1/_metadata`
    await put(sibling)
    s3.forgetRequests()

    expect(await clearOurs(gone.id)).toMatchObject({
      status: 'Clearing',
      reason: 'BY_HAND',
      restorable: false,
    })
    expect(await bench.drain(gone.id)).toMatchObject({
      status: 'Cleared',
      reason: 'CLEARED',
      objects: 6,
      deleted: 6,
      batches: 0,
    })

    const [first, ...rest] = deletions()
    expect(first).toEqual([keyOf(`${gone.location}/_metadata`)])
    expect(rest.flat().toSorted()).toEqual(gone.files.map(keyOf).toSorted())
    expect(await exists(sibling)).toBe(true)
    expect(await exists(`${kept.location}/_metadata`)).toBe(true)
    for (const file of [...gone.files, `${gone.location}/_metadata`]) expect(await exists(file)).toBe(false)
  })

  it('tells its story in transitions and events', async () => {
    await newest()
    const gone = await savepoint()
    await clearOurs(gone.id)
    await bench.drain(gone.id)

    const transitions = await database.db.sql(
      `select from_status, to_status, reason, by from history.snapshot_transition where snapshot_id = $1 order by at`,
      [gone.id],
    )
    expect(transitions).toEqual([
      { from_status: 'Present', to_status: 'Clearing', reason: 'BY_HAND', by: 'token:test' },
      { from_status: 'Clearing', to_status: 'Cleared', reason: 'CLEARED', by: 'worker' },
    ])
    const events = await database.db.sql<{ data: unknown }>(
      `select data from history.event where snapshot_id = $1 order by seq`,
      [gone.id],
    )
    expect(events.map(({ data }) => data)).toEqual([
      expect.objectContaining({ from: 'Present', to: 'Clearing' }),
      expect.objectContaining({
        from: 'Clearing',
        to: 'Cleared',
        clearing: 'BY_HAND',
        deleted: 4,
        objects: 4,
      }),
    ])
  })

  it('answers a second request as the first, and clears once', async () => {
    await newest()
    const gone = await savepoint()
    const answers = await Promise.all([clearOurs(gone.id), clearOurs(gone.id), clearOurs(gone.id)])
    expect(answers.map(({ status }) => status)).toEqual(['Clearing', 'Clearing', 'Clearing'])
    await bench.drain(gone.id)
    expect(await clearOurs(gone.id)).toMatchObject({ status: 'Cleared' })
    const [{ count } = { count: 0 }] = await database.db.sql<{ count: number }>(
      `select count(*)::int as count from history.snapshot_transition where snapshot_id = $1`,
      [gone.id],
    )
    expect(count).toBe(2)
  })

  it('removes what failed and timed out attempts left, without any location', async () => {
    for (const status of ['Failed', 'Timeout'] as const) {
      const failed = await insertOwnedSavepoint(database.db, ours, root, { status })
      await put(`${failed.prefix}1/savepoint-a/part-0`)
      await put(`${failed.prefix}2/savepoint-b/part-0`)
      await clearOurs(failed.id)
      expect(await bench.drain(failed.id)).toMatchObject({ status: 'Cleared', deleted: 2 })
      expect(await exists(`${failed.prefix}2/savepoint-b/part-0`)).toBe(false)
    }
  })

  it('forgets what is not ours and leaves its data', async () => {
    const external = await savepoint({ source: 'EXTERNAL', ownedPrefix: null })
    await newest()
    await clearOurs(external.id)
    expect(await bench.drain(external.id)).toMatchObject({
      status: 'Cleared',
      reason: 'FORGOTTEN',
      deleted: 0,
    })
    const kept = await savepoint()
    await clearOurs(kept.id, { data: 'keep' })
    expect(await bench.drain(kept.id)).toMatchObject({ status: 'Cleared', reason: 'FORGOTTEN' })
    expect(deletions()).toEqual([])
    expect(await exists(`${kept.location}/_metadata`)).toBe(true)
  })

  it('gives up on what is left when somebody says so, whoever is at it, once', async () => {
    await newest()
    const stuck = await savepoint()
    await clearOurs(stuck.id)
    const [held] = await bench.work.claimDue(5)
    if (!held) throw new Error('nothing was due')
    await clearOurs(stuck.id)
    expect(await bench.work.renew(held)).toBe(true) // asked again it is only answered
    await Promise.all([
      clearOurs(stuck.id, { data: 'keep' }),
      clearOurs(stuck.id, { data: 'keep' }),
      clearOurs(stuck.id, { data: 'keep', force: true }),
    ])
    // its holder may have a request under way: nobody says yet that nothing more goes
    expect(await bench.read(stuck.id)).toMatchObject({ status: 'Clearing' })
    expect(await bench.work.renew(held)).toBe(false)
    expect(await bench.work.takeBatches(held, 'metadata', 1)).toBeNull()
    expect(await bench.work.end(held, 'CLEARED')).toBe(false)
    expect(await bench.work.endGivenUp(held)).toBe(true)
    expect(await bench.work.endGivenUp(held)).toBe(false)
    expect(await bench.read(stuck.id)).toMatchObject({ status: 'Cleared', reason: 'GIVEN_UP', batches: 0 })
    await clearOurs(stuck.id, { data: 'keep' })
    expect(deletions()).toEqual([])
    expect(await exists(`${stuck.location}/_metadata`)).toBe(true)
    const told = await database.db.sql(
      `select 1 from history.event where snapshot_id = $1 and data ->> 'to' = 'Cleared'`,
      [stuck.id],
    )
    expect(told).toHaveLength(1)
  })

  it('answers that what is left stays only when no deletion can follow any more', async () => {
    await newest()
    const some = await savepoint()
    await clearOurs(some.id)
    const answers: string[] = []
    const slow = (address: Parameters<ObjectStores['of']>[0]): ObjectStore => {
      const store = stores.of(address)
      const deleteMany: ObjectStore['deleteMany'] = async (...values) => {
        answers.push((await clearOurs(some.id, { data: 'keep' })).status)
        return store.deleteMany(...values)
      }
      return { ...store, list: store.list.bind(store), head: store.head.bind(store), deleteMany }
    }
    await bench.sweep({ stores: { of: slow } })
    // what was on its way when it was asked has gone, and is counted; nothing followed
    expect(answers).toEqual(['Clearing'])
    expect(await bench.read(some.id)).toMatchObject({ status: 'Cleared', reason: 'GIVEN_UP', deleted: 1 })
    expect(deletions()).toEqual([[keyOf(`${some.location}/_metadata`)]])
    for (const file of some.files) expect(await exists(file)).toBe(true)
  })

  it('sends nothing more of what waits once a renewal finds that somebody has given up', async () => {
    await newest()
    const some = await savepoint()
    await clearOurs(some.id)
    const late = (address: Parameters<ObjectStores['of']>[0]): ObjectStore => {
      const store = stores.of(address)
      const deleteMany: ObjectStore['deleteMany'] = async (places, options) => {
        await clearOurs(some.id, { data: 'keep' })
        while (options?.mayStart?.()) await new Promise((resolve) => setTimeout(resolve, 5))
        return store.deleteMany(places, options)
      }
      return { ...store, list: store.list.bind(store), head: store.head.bind(store), deleteMany }
    }
    const renewals: boolean[] = []
    const clearingWork: ClearingWorkRepository = {
      ...bench.work,
      renew: async (work) => {
        const renewed = await bench.work.renew(work)
        renewals.push(renewed)
        return renewed
      },
    }
    await bench.sweep({ stores: { of: late }, clearingWork, limits: { renewMs: 500 } })
    expect(renewals.at(-1)).toBe(false)
    expect(renewals.filter((renewed) => !renewed)).toHaveLength(1)
    expect(await bench.read(some.id)).toMatchObject({ status: 'Cleared', reason: 'GIVEN_UP', deleted: 0 })
    expect(deletions()).toEqual([])
  })

  it('gives up on what a killed worker held, once its lease is over', async () => {
    await newest()
    const some = await savepoint()
    await clearOurs(some.id)
    await bench.work.claimDue(5)
    expect(await clearOurs(some.id, { data: 'keep' })).toMatchObject({ status: 'Clearing' })
    await database.db.sql(
      `update clearing set lease_until = now() - interval '1 s' where lease_until is not null`,
    )
    await bench.sweep()
    expect(await bench.read(some.id)).toMatchObject({ status: 'Cleared', reason: 'GIVEN_UP', batches: 0 })
    expect(deletions()).toEqual([])
    const [last] = await database.db.sql(
      `select by from history.snapshot_transition where snapshot_id = $1 and to_status = 'Cleared'`,
      [some.id],
    )
    expect(last).toEqual({ by: 'token:test' })
  })

  it('gives up half way, and says how much had gone', async () => {
    await newest()
    const half = await savepoint()
    await clearOurs(half.id)
    const stopAfterMetadata = {
      crashPoint: (point: string) => {
        if (point === 'clearing-batch-recorded') throw new Error('killed')
      },
    }
    await bench.sweep(stopAfterMetadata)
    expect(await bench.read(half.id)).toMatchObject({ status: 'Clearing', deleted: 1 })
    await clearOurs(half.id, { data: 'keep' })
    expect(await bench.read(half.id)).toMatchObject({ status: 'Cleared', reason: 'GIVEN_UP', deleted: 1 })
    expect(await exists(`${half.location}/_metadata`)).toBe(false)
    const [row] = await database.db.sql<{ message: string }>(
      'select message from clearing where snapshot_id = $1',
      [half.id],
    )
    expect(row?.message).toContain('Given up')
  })

  it('works while the cluster is unreachable and the job is deleted', async () => {
    await newest()
    const gone = await savepoint()
    await database.db.sql(`update cluster set reachable = false, last_error = 'down'`)
    await database.db.sql(`update run set state = 'FINISHED', ended_at = now()`)
    await database.db.sql('update job set deleted_at = now()')
    await clearOurs(gone.id)
    expect(await bench.drain(gone.id)).toMatchObject({ status: 'Cleared' })
  })

  it('costs two requests per thousand objects', async () => {
    await newest()
    const gone = await savepoint({ files: 2_400 })
    s3.forgetRequests()
    await clearOurs(gone.id)
    await bench.drain(gone.id)
    const listings = s3.requests.filter(({ query }) => 'list-type' in query).length
    expect({ listings, deletions: deletions().length }).toEqual({ listings: 3 + 2, deletions: 3 + 1 })
  }, 120_000)
})

describe('a crash', () => {
  it.each([1, 2])(
    'at any point, passed %i times, loses nothing and deletes nothing else',
    async (passage) => {
      const kept = await newest()
      for (const { name } of await findClearingCrashPoints()) {
        if (name.startsWith('clearing-flink')) continue
        const gone = await savepoint({ files: 3 })
        s3.forgetRequests()
        await clearOurs(gone.id)
        let passages = 0
        let crashed = false
        for (let round = 0; round < 6 && !crashed; round++) {
          await bench.sweep({
            crashPoint: (passed) => {
              if (passed !== name) return
              passages += 1
              crashed = passages >= passage
              if (crashed) throw new Error('killed')
            },
            // a killed worker gives nothing back
            clearingWork: {
              ...bench.work,
              release: (...values) => (crashed ? Promise.resolve(false) : bench.work.release(...values)),
            },
          })
        }
        await database.db.sql(
          `update clearing set lease_until = now() - interval '1 s' where lease_until is not null`,
        )
        const state = (await bench.read(gone.id)).ended
          ? await bench.read(gone.id)
          : await bench.drain(gone.id)
        expect(state, name).toMatchObject({ status: 'Cleared', error: null, batches: 0 })
        expectOnlyBelow(gone.prefix)
        for (const file of [...gone.files, `${gone.location}/_metadata`])
          expect(await exists(file), name).toBe(false)
      }
      expect(await exists(`${kept.location}/_metadata`)).toBe(true)
    },
    60_000,
  )
})

describe('two workers', () => {
  it('never have the same clearing, and a stale one writes nothing', async () => {
    await newest()
    const gone = await savepoint()
    await clearOurs(gone.id)
    const [[mine], other] = await Promise.all([bench.work.claimDue(5), Promise.resolve([])])
    expect(other).toEqual([])
    expect(await bench.work.claimDue(5)).toEqual([])
    if (!mine) throw new Error('nothing was due')

    await database.db.sql(`update clearing set lease_until = now() - interval '1 s'`)
    const [theirWork] = await bench.work.claimDue(5)
    expect(theirWork?.id).toBe(mine.id)
    const refused = async (write: Promise<boolean>) => expect(await write).toBe(false)
    await refused(bench.work.renew(mine))
    await refused(bench.work.saveBatch(mine, { number: 0, entries: [{ key: '../x', versionId: null }] }))
    const last = [{ number: 0, entries: [{ key: '../x', versionId: null }] }]
    await refused(bench.work.completeList(mine, { last, batches: 0, objects: 0, bytes: 0 }))
    expect(await bench.work.takeBatches(mine, 'metadata', 1)).toBeNull()
    const done = [{ number: 0, deleted: 1, left: [] }]
    expect(await bench.work.recordBatches(mine, done, { moveTo: 'VERIFYING', take: 1 })).toBeNull()
    await refused(bench.work.moveOn(mine, { phase: 'VERIFYING' }))
    await refused(bench.work.end(mine, 'CLEARED'))
    await refused(bench.work.pause({ ...mine, phase: 'VERIFYING' }, 0))
    await refused(bench.work.release(mine, { inMs: 0, tries: 0, error: { code: 'X', message: 'x' } }))
    expect(await bench.read(gone.id)).toMatchObject({ status: 'Clearing', phase: 'LISTING', batches: 0 })
  })
})

describe('what must stay', () => {
  it('is the newest restorable one, unless a person forces it', async () => {
    const only = await savepoint()
    expect(await refusal(clearOurs(only.id))).toBe('SNAPSHOT_PROTECTED')
    expect(
      await refusal(
        clearOurs(only.id, { force: true, why: { reason: 'KEEP_COUNT', message: null, basis: NO_RULE } }),
      ),
    ).toBe('SNAPSHOT_PROTECTED')
    expect(await clearOurs(only.id, { force: true })).toMatchObject({ status: 'Clearing' })
  })

  it('is what a live run was restored from, by its id or its location, whatever job it is of', async () => {
    await newest()
    const used = await savepoint()
    const run = await insertRun(database.db, ours)
    await database.db.sql('update run set restored_key = $1 where id = $2', [used.location, run])
    expect(await refusal(clearOurs(used.id, { force: true }))).toBe('SNAPSHOT_IN_USE')
    await database.db.sql(`update run set state = 'FINISHED', ended_at = now() where id = $1`, [run])
    expect(await clearOurs(used.id)).toMatchObject({ status: 'Clearing' })
  })

  it('is what later snapshots may have been built on, as long as nobody can tell that they were not', async () => {
    await newest()
    const restored = await savepoint()
    const run = await insertRun(database.db, ours, { state: 'FINISHED' })
    const setMode = (mode: string | null) =>
      database.db.sql(
        `update run set restored_snapshot_id = $1, claim_mode = $2, ended_at = now(), started_at = now() - interval '1 min'
         where id = $3`,
        [restored.id, mode, run],
      )
    await setMode(null)
    // its _metadata is none of Flink's, so what it needs cannot be read
    const later = await savepoint({ checkpointId: 5 })
    const error = await clearOurs(restored.id, { force: true }).catch((reason: unknown) => reason)
    expect(error).toMatchObject({
      code: 'SNAPSHOT_IN_USE',
      message: expect.stringMatching(/could not be looked into/),
    })
    expect(deletions()).toEqual([])

    await setMode('NO_CLAIM')
    expect(await clearOurs(restored.id)).toMatchObject({ status: 'Clearing' })
    expect(await exists(`${later.location}/_metadata`)).toBe(true)
  })

  describe('is what heirs of it may have built on:', () => {
    const sql: TestDatabase['db']['sql'] = (...values) => database.db.sql(...values)
    /** A run of a job of that name, restored from there. */
    const restoredRun = async (name: string, key: string, mode: string | null): Promise<Tenant> => {
      const jobId = v7()
      await sql(
        `insert into job (id, namespace_id, name, cluster_id, savepoint_storage_id) values ($1, $2, $3, $4, $5)`,
        [jobId, ours.caller.namespaceId, name, ours.clusterId, ours.storageId],
      )
      const tenant = { ...ours, jobId }
      const runId = await insertRun(database.db, tenant)
      await sql(
        'update run set restored_key = $1, claim_mode = $2, completed_checkpoints = 3 where id = $3',
        [key, mode, runId],
      )
      return { ...tenant, runId }
    }
    const end = ({ runId }: Tenant) =>
      sql(`update run set state = 'FINISHED', ended_at = now() where id = $1`, [runId])
    const checkpoint = async (tenant: Tenant, status: 'Present' | 'Cleared'): Promise<string> => {
      const [run] = await sql<{ id: string }>('select flink_job_id as id from run where id = $1', [
        tenant.runId,
      ])
      const location = `${root}/checkpoints/${run?.id}/chk-5`
      await insertCheckpoint(database.db, tenant, { flinkCheckpointId: 5, at: new Date(), location, status })
      return location
    }

    it('a live run of another job, restored from a checkpoint of the run that was restored from it', async () => {
      await newest()
      const base = await savepoint()
      const first = await restoredRun('first', base.location, 'LEGACY')
      const heir = await restoredRun('renamed', await checkpoint(first, 'Cleared'), null)
      await end(first)
      expect(await clearOurs(base.id, { force: true }).catch((reason: unknown) => reason)).toMatchObject({
        code: 'SNAPSHOT_IN_USE',
        extra: { inUseBy: [{ reason: 'RUN', run: heir.runId, job: { name: 'renamed' } }] },
      })
      const why = { reason: 'KEEP_COUNT', message: null, basis: NO_RULE } as const
      expect(await refusal(clearOurs(base.id, { why }))).toBe('SNAPSHOT_IN_USE')
      await sql(`update run set claim_mode = 'NO_CLAIM' where id = $1`, [heir.runId])
      expect(await clearOurs(base.id)).toMatchObject({ status: 'Clearing' })
    })

    it('one restored from a checkpoint that nobody saw, but none restored from a savepoint in between', async () => {
      await newest()
      const base = await savepoint()
      const first = await restoredRun('first', base.location, 'CLAIM')
      const [run] = await sql<{ id: string }>('select flink_job_id as id from run where id = $1', [
        first.runId,
      ])
      const heir = await restoredRun('renamed', `s3://elsewhere/${run?.id}/chk-15`, null)
      await end(first)
      expect(await refusal(clearOurs(base.id))).toBe('SNAPSHOT_IN_USE')
      await sql('update run set restored_key = $1 where id = $2', ['s3://elsewhere/savepoint-1', heir.runId])
      expect(await clearOurs(base.id)).toMatchObject({ status: 'Clearing' })
    })

    it('what an heir that has ended left, though nobody can look into it', async () => {
      await newest()
      const base = await savepoint()
      const first = await restoredRun('first', base.location, null)
      const heir = await restoredRun('renamed', await checkpoint(first, 'Cleared'), null)
      await checkpoint(heir, 'Present')
      for (const run of [first, heir]) await end(run)
      expect(await clearOurs(base.id).catch((reason: unknown) => reason)).toMatchObject({
        code: 'SNAPSHOT_IN_USE',
        message: expect.stringMatching(/could not be looked into/),
      })
    })

    it('what a run made whose JobManager is ten minutes ahead', async () => {
      await newest()
      const base = await savepoint()
      const ahead = await restoredRun('first', base.location, null)
      await sql(`update run set started_at = now() + interval '10 min' where id = $1`, [ahead.runId])
      await checkpoint(ahead, 'Present')
      await end(ahead)
      expect(await refusal(clearOurs(base.id))).toBe('SNAPSHOT_IN_USE')
    })

    it('a run that begins behind our back stops the worker before anything goes', async () => {
      await newest()
      const base = await savepoint()
      const first = await restoredRun('first', base.location, 'CLAIM')
      await end(first)
      await clearOurs(base.id)
      await restoredRun('renamed', await checkpoint(first, 'Cleared'), null)
      expect(await bench.drain(base.id)).toMatchObject({ status: 'Clearing', error: 'SNAPSHOT_IN_USE' })
      expect(deletions()).toEqual([])
    })

    it('but not after NO_CLAIM by a live run of ours with a checkpoint of its own', async () => {
      await newest()
      const base = await savepoint()
      await restoredRun('first', base.location, 'NO_CLAIM')
      expect(await clearOurs(base.id)).toMatchObject({ status: 'Clearing' })
    })
  })

  it("is what a cluster's configuration names, and what Flink has claimed", async () => {
    await newest()
    const named = await savepoint()
    await database.db.sql('update cluster set recovery_key = $1 where id = $2', [
      named.location,
      ours.clusterId,
    ])
    expect(await refusal(clearOurs(named.id))).toBe('SNAPSHOT_IN_USE')
    const claimed = await savepoint()
    await database.db.sql('update snapshot set claimed_by_run_id = $1 where id = $2', [
      ours.runId,
      claimed.id,
    ])
    expect(await refusal(clearOurs(claimed.id))).toBe('SNAPSHOT_IN_USE')
  })

  it('is whose files another snapshot needs, and what names files elsewhere', async () => {
    await newest()
    const shared = await savepoint()
    const needer = await savepoint()
    await insertFile(needer.id, `${shared.location}/file-0`)
    expect(await refusal(clearOurs(shared.id))).toBe('SNAPSHOT_IN_USE')
    expect(await refusal(clearOurs(needer.id))).toBe('FILES_OUTSIDE_PREFIX')
    expect(deletions()).toEqual([])
  })

  it('is everything while the cluster is only observed, or another one answers there', async () => {
    await newest()
    const some = await savepoint()
    await database.db.sql(`update cluster set mode = 'OBSERVE_ONLY' where id = $1`, [ours.clusterId])
    expect(await refusal(clearOurs(some.id, { force: true }))).toBe('OBSERVE_ONLY')
    await database.db.sql(`update cluster set mode = 'MANAGE', changed_to = '{}' where id = $1`, [
      ours.clusterId,
    ])
    expect(await refusal(clearOurs(some.id, { force: true }))).toBe('CLUSTER_IDENTITY_CHANGED')
  })

  it("is another tenant's, whose ids are not even known", async () => {
    await newest()
    const some = await savepoint()
    expect(await refusal(bench.clear({ caller: theirs.caller, snapshot: some.id, force: true }))).toBe(
      'NOT_FOUND',
    )
  })

  it('is what changed since the caller read it', async () => {
    await newest()
    const some = await savepoint()
    expect(await refusal(clearOurs(some.id, { ifMatch: '77' }))).toBe('PRECONDITION_FAILED')
    expect(await clearOurs(some.id, { ifMatch: '1' })).toMatchObject({ status: 'Clearing' })
    expect(await clearOurs(some.id, { ifMatch: '1' })).toMatchObject({ status: 'Clearing' })
  })

  const insertFile = async (snapshotId: string, key: string): Promise<void> => {
    const { db } = database
    await db.sql(
      `insert into snapshot_inspection (namespace_id, snapshot_id, summary, metadata_bytes, file_count, file_bytes)
       values ($1, $2, '{"version": 3, "checkpointId": "1", "operators": [], "warnings": []}', 1, 1, 1)`,
      [ours.caller.namespaceId, snapshotId],
    )
    await db.sql(
      `insert into snapshot_file (namespace_id, snapshot_id, position, file_key, path, kind, roles, "references", may_be_shared)
       values ($1, $2, 0, $3, $3, 'absolute', '{managedKeyed}', 1, false)`,
      [ours.caller.namespaceId, snapshotId, key],
    )
  }
})

describe('a race', () => {
  it('with a start that chooses the snapshot is won by one of both', async () => {
    await newest()
    const chosen = await savepoint()
    const client = await database.db.pool.connect()
    try {
      // As SUBMIT does it (`lifecycle-work.ts`): the snapshot is written and the run inserted in one transaction.
      await client.query('begin')
      const { rowCount } = await client.query(
        `update snapshot set restored_by = array_append(restored_by, $1::uuid), row_version = row_version + 1
         where id = $2 and status = 'Present'`,
        [v7(), chosen.id],
      )
      expect(rowCount).toBe(1)
      const asked = refusal(clearOurs(chosen.id))
      const runId = v7()
      await client.query(
        `insert into run (id, namespace_id, job_id, cluster_id, flink_job_id, state, flink_state, flink_start_time,
           restored_snapshot_id, claim_mode, started_at)
         values ($1, $2, $3, $4, 'f', 'SUBMITTING', 'SUBMITTING', 0, $5, 'NO_CLAIM', now())`,
        [runId, ours.caller.namespaceId, ours.jobId, ours.clusterId, chosen.id],
      )
      await client.query('commit')
      expect(await asked).toBe('SNAPSHOT_IN_USE')
      expect(await bench.read(chosen.id)).toMatchObject({ status: 'Present' })
    } finally {
      client.release()
    }
  })

  it('with a copy that holds the row is seen once the row is free, though the row itself did not change', async () => {
    await newest()
    const copied = await savepoint()
    const client = await database.db.pool.connect()
    try {
      await client.query('begin')
      await client.query(`select 1 from snapshot where id = $1 for share`, [copied.id])
      const asked = refusal(clearOurs(copied.id))
      await client.query(`update cluster set recovery_key = $1 where id = $2`, [
        copied.location,
        ours.clusterId,
      ])
      await client.query('commit')
      expect(await asked).toBe('SNAPSHOT_IN_USE')
    } finally {
      client.release()
    }
  })

  it('between a rule and a person never takes the last one by the rule', async () => {
    const older = await savepoint({ checkpointId: 1 })
    const newer = await savepoint({ checkpointId: 2 })
    const client = await database.db.pool.connect()
    try {
      await client.query('begin')
      await client.query(
        `update snapshot set status = 'Clearing', row_version = row_version + 1 where id = $1`,
        [newer.id],
      )
      const ruled = refusal(
        clearOurs(older.id, { why: { reason: 'KEEP_COUNT', message: null, basis: NO_RULE } }),
      )
      await client.query('commit')
      expect(await ruled).toBe('SNAPSHOT_PROTECTED')
    } finally {
      client.release()
    }
  })

  describe.each<[string, SavepointAt]>([
    ['another child in the directory of a savepoint', {}],
    ['what a failed one has left in its directory', { status: 'Failed' }],
  ])('of %s', (_, given) => {
    const somewhere = async () => {
      await newest()
      const some = await savepoint(given)
      const child = `${some.prefix}1/savepoint-abcdef-ffffffffffff`
      await put(`${child}/_metadata`)
      return { some, child }
    }
    const restoredFrom = async (place: string): Promise<string> => {
      const run = await insertRun(database.db, ours)
      await database.db.sql('update run set restored_key = $1 where id = $2', [place, run])
      return run
    }

    it('by a cluster keeps all of it', async () => {
      const { some, child } = await somewhere()
      await database.db.sql('update cluster set recovery_key = $1 where id = $2', [child, ours.clusterId])
      expect(await refusal(clearOurs(some.id))).toBe('SNAPSHOT_IN_USE')
    })

    it('by a run keeps all of it, until the run has ended', async () => {
      const { some, child } = await somewhere()
      const run = await restoredFrom(child)
      expect(await refusal(clearOurs(some.id, { force: true }))).toBe('SNAPSHOT_IN_USE')
      await database.db.sql(`update run set state = 'FINISHED', ended_at = now() where id = $1`, [run])
      expect(await clearOurs(some.id)).toMatchObject({ status: 'Clearing' })
    })

    it('that begins meanwhile stops the worker before anything goes', async () => {
      const { some, child } = await somewhere()
      await clearOurs(some.id)
      await restoredFrom(child)
      expect(await bench.drain(some.id)).toMatchObject({ status: 'Clearing', error: expect.any(String) })
      expect(deletions()).toEqual([])
    })

    it('next door, whose name only begins alike, keeps nobody', async () => {
      const { some } = await somewhere()
      await restoredFrom(`${some.prefix.slice(0, -1)}0/1/savepoint-abcdef-ffffffffffff`)
      expect(await clearOurs(some.id)).toMatchObject({ status: 'Clearing' })
    })
  })

  it('that begins behind our back stops the worker before anything goes', async () => {
    await newest()
    const used = await savepoint()
    await clearOurs(used.id)
    await database.db.sql('update cluster set recovery_key = $1 where id = $2', [
      used.location,
      ours.clusterId,
    ])
    expect(await bench.drain(used.id)).toMatchObject({ status: 'Clearing', error: 'SNAPSHOT_IN_USE' })
    expect(deletions()).toEqual([])
    await database.db.sql('update cluster set recovery_key = null')
    await database.db.sql('update clearing set error_code = null')
    expect(await bench.drain(used.id)).toMatchObject({ status: 'Cleared' })
  })

  it('of a cluster that is set to observe-only stops it, too', async () => {
    await newest()
    const some = await savepoint()
    await clearOurs(some.id)
    await database.db.sql(`update cluster set mode = 'OBSERVE_ONLY'`)
    expect(await bench.drain(some.id)).toMatchObject({ status: 'Clearing', error: 'OBSERVE_ONLY' })
    expect(deletions()).toEqual([])
  })
})

describe('hostile rows', () => {
  const insertClearing = async (snapshotId: string, prefix: string): Promise<void> => {
    await database.db.sql(`update snapshot set status = 'Clearing' where id = $1`, [snapshotId])
    await database.db.sql(
      `insert into clearing (id, namespace_id, subject, snapshot_id, storage_id, method, prefix, reason, requested_by, next_action_at)
       values ($1, $2, 'SNAPSHOT', $3, $4, 'OBJECTS', $5, 'BY_HAND', 'token:test', now())`,
      [v7(), ours.caller.namespaceId, snapshotId, ours.storageId, prefix],
    )
  }

  it('never reach what a stranger has written into a directory that was registered as owned', async () => {
    await newest()
    const place = `${root}/old/sp`
    const some = await savepoint({ source: 'IMPORT', ownedPrefix: `${place}/`, location: place, files: 0 })
    const stranger = `${place}/savepoint-123456-0123456789ab/_metadata`
    await Promise.all([put(`${place}/_metadata`), put(`${place}/file`), put(stranger)])
    await clearOurs(some.id)
    const told = await bench.drain(some.id)
    expect(told).toMatchObject({ status: 'Clearing', error: 'FILES_OUTSIDE_PREFIX' })
    expect(deletions()).toEqual([])
    await fetch(`${s3.url}/${stranger.replace('s3://', '')}`, { method: 'DELETE' })
    expect(await bench.drain(some.id)).toMatchObject({ status: 'Cleared' })
  })

  it('never reach a checkpoint of Flink, though a row says that it is ours', async () => {
    await newest()
    for (const path of [
      'checkpoints/0123456789abcdef0123456789abcdef/chk-7/',
      'checkpoints/0123456789abcdef0123456789abcdef/shared/x/',
      'moved/chk-7/',
    ]) {
      const some = await savepoint({
        source: 'IMPORT',
        ownedPrefix: `${root}/${path}`,
        location: `${root}/${path}`,
      })
      expect(await refusal(clearOurs(some.id, { force: true })), path).toBe('FILES_OUTSIDE_PREFIX')
      await insertClearing(some.id, `${root}/${path}`)
      expect(await bench.drain(some.id), path).toMatchObject({
        status: 'Clearing',
        error: expect.any(String),
      })
    }
    expect(deletions()).toEqual([])
  })

  it('never make a request that lies elsewhere: owned prefixes', async () => {
    const kept = await newest()
    const texts = [
      ...HOSTILE_LOCATIONS.map(([text]) => text),
      `${root}/`,
      root,
      's3://state/',
      's3://state',
      `${root}2/x/`,
      `${root}/../x/`,
      `${root}/a/../../x/`,
      `${root}/%2e%2e/x/`,
      `${root}//x/`,
      's3://other/x/',
      'file:///etc/',
    ].filter((text) => !text.includes('\u0000') && !/\p{Cs}/u.test(text))
    for (const text of texts) {
      const some = await savepoint({ files: 0 })
      await database.db.sql('update snapshot set owned_prefix = $1 where id = $2', [text, some.id])
      expect(await refusal(clearOurs(some.id, { force: true })), JSON.stringify(text)).toBe(
        'FILES_OUTSIDE_PREFIX',
      )
      // and if such a row had come to the worker all the same
      await insertClearing(some.id, text)
      expect(await bench.drain(some.id), JSON.stringify(text)).toMatchObject({
        status: 'Clearing',
        error: expect.any(String),
      })
      await database.db.sql(
        'update clearing set next_action_at = null, ended_at = now() where snapshot_id = $1',
        [some.id],
      )
    }
    expect(deletions()).toEqual([])
    expect(await exists(`${kept.location}/_metadata`)).toBe(true)
  }, 120_000)

  it('never make a request that lies elsewhere: lists', async () => {
    const kept = await newest()
    const some = await savepoint()
    for (const key of [
      '../x',
      'a/../../x',
      '..',
      '.',
      'a//b',
      '%2e%2e/x',
      'a\\..\\b',
      'a\nb',
      '../'.repeat(9),
    ]) {
      await insertClearing(some.id, some.prefix).catch(() => undefined)
      await database.db.sql(
        `update clearing set phase = 'DELETING', error_code = null where snapshot_id = $1`,
        [some.id],
      )
      await database.db.sql(
        `insert into clearing_batch (namespace_id, clearing_id, number, locations)
         select namespace_id, id, 1, $1::jsonb from clearing where snapshot_id = $2
         on conflict (clearing_id, number) do update set locations = excluded.locations, done_at = null`,
        [JSON.stringify([key]), some.id],
      )
      expect(await bench.drain(some.id), JSON.stringify(key)).toMatchObject({
        status: 'Clearing',
        error: expect.any(String),
      })
    }
    expect(deletions()).toEqual([])
    expect(await exists(`${kept.location}/_metadata`)).toBe(true)
  })

  it('a key that no store should hold is seen, never sent, and keeps the snapshot Clearing', async () => {
    await newest()
    const some = await savepoint({ files: 1 })
    await put(`${some.location}/a//b`)
    await clearOurs(some.id)
    expect(await bench.drain(some.id)).toMatchObject({
      status: 'Clearing',
      error: 'LOCATION_INVALID',
      deleted: 2,
    })
    expectOnlyBelow(some.prefix)
    expect(
      deletions()
        .flat()
        .some((key) => key.includes('//')),
    ).toBe(false)
  })

  it('another snapshot that lies in the directory stops it before anything goes', async () => {
    await newest()
    const some = await savepoint()
    const inside = `${some.prefix}elsewhere`
    await put(`${inside}/_metadata`)
    await insertOwnedSavepoint(database.db, ours, root, {
      source: 'EXTERNAL',
      ownedPrefix: null,
      location: inside,
    })
    await clearOurs(some.id)
    expect(await bench.drain(some.id)).toMatchObject({ status: 'Clearing', error: 'SNAPSHOT_IN_USE' })
    expect(deletions()).toEqual([])
  })
})

describe('through Flink', () => {
  beforeEach(() =>
    database.db.sql(`update storage set provider = 'flink-only', endpoint = null, credentials = null`),
  )
  const disposed: string[] = []
  const flink = (answers: Parameters<typeof openClearingBench>[2]): ClearingBench =>
    openClearingBench(database.db, stores, {
      disposeSavepoint: async (location) => {
        disposed.push(location)
        return { kind: 'accepted', triggerId: `t${disposed.length}` }
      },
      ...answers,
    })
  const failed = (text: string) => ({
    kind: 'failed' as const,
    failure: { className: 'java.io.FileNotFoundException', text: `java.io.FileNotFoundException: ${text}` },
  })
  const start = async (): Promise<{ id: string; location: string }> => {
    disposed.length = 0
    await insertOwnedSavepoint(database.db, ours, root, { checkpointId: 99 })
    const some = await insertOwnedSavepoint(database.db, ours, root)
    await clearOurs(some.id)
    return some
  }

  it('is done when its result says so, not when it is accepted', async () => {
    const some = await start()
    let looks = 0
    const through = flink({
      readDisposal: async () => {
        looks += 1
        return looks < 3 ? { kind: 'pending' } : { kind: 'completed' }
      },
    })
    await through.sweep()
    await through.sweep()
    expect(await through.read(some.id)).toMatchObject({ status: 'Clearing', phase: 'DELETING' })
    expect(await through.drain(some.id)).toMatchObject({ status: 'Cleared', reason: 'CLEARED' })
    expect(disposed).toEqual([some.location])
  })

  it('is asked again when the JobManager has forgotten it, and then finds nothing any more', async () => {
    const some = await start()
    let looks = 0
    const through = flink({
      readDisposal: async () => {
        looks += 1
        if (looks === 1) return { kind: 'unknown' }
        return failed(
          `Cannot find checkpoint or savepoint file/directory '${some.location}' on file system 'hdfs'.`,
        )
      },
    })
    expect(await through.drain(some.id)).toMatchObject({ status: 'Cleared' })
    expect(disposed).toHaveLength(2)
  })

  it('that fails stays Clearing with the cause, also when only the _metadata is gone', async () => {
    const some = await start()
    const denied = flink({ readDisposal: async () => failed('Permission denied') })
    expect(await denied.drain(some.id)).toMatchObject({
      status: 'Clearing',
      error: 'CLUSTER_REFUSED',
      message: expect.stringContaining('Permission denied'),
    })
    await database.db.sql('update clearing set error_code = null')
    const half = flink({
      readDisposal: async () =>
        failed(`Cannot find meta data file '_metadata' in directory '${some.location}'.`),
    })
    expect(await half.drain(some.id)).toMatchObject({ status: 'Clearing', error: 'CLUSTER_REFUSED' })
  })

  const nothingThere = (location: string) =>
    failed(`Cannot find checkpoint or savepoint file/directory '${location}' on file system 'file'.`)
  const addCluster = async (url: string): Promise<string> => {
    const id = v7()
    await database.db.sql('insert into cluster (id, namespace_id, name, url) values ($1, $2, $3, $4)', [
      id,
      ours.caller.namespaceId,
      id,
      url,
    ])
    return id
  }

  it('asks the cluster that took it, though the job has moved to another, which finds nothing there', async () => {
    await database.db.sql(`update run set state = 'FINISHED', ended_at = now()`)
    await database.db.sql('update job set cluster_id = $1 where id = $2', [
      await addCluster('http://other:8081'),
      ours.jobId,
    ])
    const some = await start()
    const asked: string[] = []
    const to = ({ url }: { url: string }) => {
      asked.push(url)
      return fakeFlink({
        disposeSavepoint: async () => ({ kind: 'accepted', triggerId: 't' }),
        readDisposal: async () =>
          url === 'http://other:8081' ? nothingThere(some.location) : { kind: 'completed' },
      })
    }
    expect(await bench.drain(some.id, { flink: { to } })).toMatchObject({ status: 'Cleared' })
    expect(asked.length).toBeGreaterThan(0)
    expect(asked).not.toContain('http://other:8081')
  })

  it('does not believe that it is gone where no run says which cluster took it', async () => {
    const some = await start()
    await database.db.sql('update snapshot set run_id = null where id = $1', [some.id])
    const through = flink({ readDisposal: async () => nothingThere(some.location) })
    expect(await through.drain(some.id)).toMatchObject({
      status: 'Clearing',
      error: 'CLUSTER_REFUSED',
      message: expect.stringContaining('`data=keep` ends the clearing'),
    })
    await database.db.sql('update clearing set error_code = null')
    expect(await flink({ readDisposal: async () => ({ kind: 'completed' }) }).drain(some.id)).toMatchObject({
      status: 'Cleared',
    })
  })

  it('stays Clearing when the cluster that took it is deleted, and says how to end it', async () => {
    const some = await start()
    const other = await addCluster('http://other:8081')
    await database.db.sql('update job set cluster_id = $1 where id = $2', [other, ours.jobId])
    await database.db.sql('update cluster set deleted_at = now() where id = $1', [ours.clusterId])
    expect(await flink({}).drain(some.id)).toMatchObject({
      status: 'Clearing',
      error: 'CLUSTER_UNREACHABLE',
      message: expect.stringContaining('`data=keep` ends the clearing'),
    })
    expect(disposed).toEqual([])
    await clearOurs(some.id, { data: 'keep' })
    expect(await bench.read(some.id)).toMatchObject({ status: 'Cleared', reason: 'GIVEN_UP' })
  })

  it('never asks another cluster', async () => {
    const some = await start()
    await database.db.sql(`update cluster set changed_to = '{}'`)
    expect(await flink({}).drain(some.id)).toMatchObject({
      status: 'Clearing',
      error: 'CLUSTER_IDENTITY_CHANGED',
    })
    expect(disposed).toEqual([])
  })
})

it('knows no other work than that of its rows', async () => {
  const due: ClearingWork[] = await bench.work.claimDue(10)
  expect(due).toEqual([])
})
