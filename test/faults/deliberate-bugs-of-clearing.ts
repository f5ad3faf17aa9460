/** The deliberate bugs of what goes and of what comes by itself: clearing, retention, schedules. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../../src/db/client.ts'
import { type Location, parseLocation } from '../../src/domain/location.ts'
import type { ClearingRepository, ClearingWorkRepository } from '../../src/ports/clearing.ts'
import type { RetentionCandidate } from '../../src/ports/retention.ts'
import type { ObjectStore, StorageAddress, StoredObject } from '../../src/ports/storage.ts'
import { storageAddress } from '../support/storage-address.ts'
import type { Bug, DeliberateBug, Lab } from './lab.ts'

// -------------------------------------------------------------------------------------------------- scenarios

async function take(lab: Lab, count: number, source: 'MANUAL' | 'DEPLOY' = 'MANUAL'): Promise<string[]> {
  const ids: string[] = []
  for (let taken = 0; taken < count; taken++) {
    const id = (await lab.request({ timeoutSeconds: 4, source })) ?? ''
    await lab.untilStatus(id, 'Present')
    ids.push(id)
  }
  return ids
}

async function begin(lab: Lab, count: number): Promise<string> {
  lab.startWorker()
  await lab.untilObserved('RUNNING')
  const [first = ''] = await take(lab, count)
  return first
}

async function clearFirst(lab: Lab): Promise<void> {
  const first = await begin(lab, 3)
  await lab.clear(first)
  await lab.untilStatus(first, 'Cleared', 'Present')
}

async function clearWhatWasWrittenAgain(lab: Lab): Promise<void> {
  lab.storeFaults.writeAgain = 1
  await clearFirst(lab)
}

async function clearWhatIsRefused(lab: Lab): Promise<void> {
  lab.storeFaults.refuse = 2
  await clearFirst(lab)
}

/** A job begins with it after it was decided that nobody uses it. */
async function clearWhileSomebodyBegins(lab: Lab): Promise<void> {
  const first = await begin(lab, 2)
  await lab.clear(first, { inBetween: () => lab.restoreFrom(first, 'NO_CLAIM') })
}

async function clearWhatIsClaimed(lab: Lab): Promise<void> {
  const first = await begin(lab, 2)
  await lab.restoreFrom(first, 'CLAIM')
  await lab.clear(first, { force: true })
}

/** Longer than the age that the rule allows. */
async function outliveTheRule(lab: Lab): Promise<void> {
  lab.startWorker()
  await lab.untilObserved('RUNNING')
  const [first = ''] = await take(lab, 2, 'DEPLOY')
  await lab.retain({ maxAgeSeconds: 1 })
  await lab.untilStatus(first, 'Cleared')
  await sleep(1_500)
}

async function keepOne(lab: Lab): Promise<void> {
  await begin(lab, 1)
  const [ruled = ''] = await take(lab, 2, 'DEPLOY')
  await take(lab, 1)
  await lab.retain({ keepCount: 1 })
  await lab.untilStatus(ruled, 'Cleared')
  await sleep(300)
}

/** The same run comes twice: the clock was set back. */
async function letOneSlotComeTwice(lab: Lab): Promise<void> {
  lab.startWorker()
  await lab.untilObserved('RUNNING')
  const slotAt = new Date()
  for (const _ of ['first', 'again']) {
    await lab.letSlotCome(slotAt)
    await lab.untilSlotPassed(slotAt)
    await sleep(700)
  }
}

// ------------------------------------------------------------------------------------------------------- bugs

async function listBelow(store: ObjectStore, folder: Location): Promise<StoredObject[]> {
  const found: StoredObject[] = []
  let pageToken: string | null = null
  do {
    const page = await store.list(folder, pageToken === null ? {} : { pageToken })
    found.push(...page.objects)
    pageToken = page.nextPageToken
  } while (pageToken !== null)
  return found
}

/** Ids that were given within a minute begin alike. */
const ALIKE = 8

/** `savepoints/0195…` without the slash that ends it: those of its siblings that begin so go as well. */
const deleteByString = (real: ObjectStore): ObjectStore => ({
  ...real,
  async deleteMany(locations) {
    const [one] = locations
    const at = one?.segments.indexOf('savepoints') ?? -1
    const id = one?.segments[at + 1]
    if (!one || at < 0 || id === undefined) return real.deleteMany(locations)
    const siblings = await listBelow(real, { ...one, segments: one.segments.slice(0, at + 1) })
    const alike = siblings.filter(({ location }) => location.segments[at + 1]?.startsWith(id.slice(0, ALIKE)))
    return real.deleteMany([...locations, ...alike.map(({ location }) => location)])
  },
})

const withoutVerification = (real: ClearingWorkRepository): ClearingWorkRepository => ({
  ...real,
  recordBatches: async (work, batches, next) => {
    if (next.moveTo !== 'VERIFYING') return real.recordBatches(work, batches, next)
    await real.end(work, 'CLEARED')
    return null
  },
})

/** Marks it Clearing, whatever has happened since it was decided. */
const beginBlindly = (real: ClearingRepository, db: Database): ClearingRepository => ({
  ...real,
  async begin({ namespaceId }, { id, snapshotId, method, prefix, reason, requestedBy }) {
    await db.sql(
      `with marked as (
         update snapshot set status = 'Clearing', reason = $5, next_action_at = null, verify_at = null,
           lease_token = null, lease_until = null, row_version = row_version + 1
         where id = $2::uuid and namespace_id = $3::uuid and status = 'Present' returning id, namespace_id, storage_id),
       begun as (
         insert into clearing (id, namespace_id, subject, snapshot_id, storage_id, method, prefix, reason, requested_by,
           next_action_at)
         select $1::uuid, namespace_id, 'SNAPSHOT', id, storage_id, $4, $6, $5, $7, now() from marked)
       insert into history.snapshot_transition (namespace_id, snapshot_id, from_status, to_status, reason, by)
       select namespace_id, id, 'Present', 'Clearing', $5, $7 from marked`,
      [id, snapshotId, namespaceId, method, reason, prefix, requestedBy],
    )
    return 'begun'
  },
})

const nobodyUsesIt = (real: ClearingRepository): ClearingRepository => ({
  ...real,
  readFacts: async (scope, id) => {
    const facts = await real.readFacts(scope, id)
    return facts && { ...facts, uses: [], neededBy: [], uninspected: [] }
  },
})

const nobodyAtTheLastMoment: Bug['references'] = (real) => ({
  ...real,
  read: async (scope, id) => {
    const read = await real.read(scope, id)
    return read && { ...read, runs: [], claimedByRun: null }
  },
})

async function storageOf(db: Database): Promise<StorageAddress> {
  const [row] = await db.sql<{ uri: string }>('select uri from storage')
  return storageAddress(row?.uri ?? '', { namespace: 'lab', provider: 'local' })
}

/** Manual ones that a rule may not own, as if it did. */
async function listManual(db: Database, jobId: string): Promise<RetentionCandidate[]> {
  const rows = await db.sql<{ id: string }>(
    `select id from snapshot where job_id = $1 and source = 'MANUAL' and status = 'Present' order by created_at limit 1`,
    [jobId],
  )
  const at = new Date(0).toISOString()
  return rows.map(({ id }) => ({
    id,
    kind: 'SAVEPOINT',
    status: 'Present',
    source: 'DEPLOY',
    createdAt: at,
    completedAt: at,
    settledAt: at,
    expiresAt: null,
    pinned: false,
    claimed: false,
    uses: [],
    beyondCount: true,
  }))
}

export const CLEARING_BUGS: readonly DeliberateBug[] = [
  {
    name: 'the prefix is compared as a string: a sibling goes, too',
    breaks: ['I3 only below what is being cleared', 'I3 nothing that Present needs'],
    scenario: clearFirst,
    store: deleteByString,
  },
  {
    name: 'files go before the snapshot is Clearing',
    breaks: ['I3 nothing that Present needs', 'I3 only below what is being cleared'],
    scenario: clearFirst,
    clearings: (real, { stores }, db) => ({
      ...real,
      async begin(scope, clearing) {
        const prefix = parseLocation(clearing.prefix ?? '')
        const store = stores.of(await storageOf(db))
        const found = await listBelow(store, prefix)
        await store.deleteMany(found.map(({ location }) => location))
        await sleep(20)
        return real.begin(scope, clearing)
      },
    }),
  },
  {
    name: 'who begins to use it while it is decided about is not seen',
    breaks: ['I8 what a run began with stays'],
    scenario: clearWhileSomebodyBegins,
    drainMs: 1_500,
    clearings: (real, _outside, db) => beginBlindly(real, db),
  },
  {
    name: 'a claim is not seen by the clearing',
    breaks: ['I8 what a run began with stays'],
    scenario: clearWhatIsClaimed,
    clearings: (real, _outside, db) => beginBlindly(nobodyUsesIt(real), db),
    references: nobodyAtTheLastMoment,
  },
  {
    name: 'Cleared without a look whether it is gone',
    breaks: ['I6 Cleared is gone'],
    scenario: clearWhatWasWrittenAgain,
    clearingWork: withoutVerification,
  },
  {
    name: 'a key that the store did not delete is taken for deleted',
    breaks: ['I6 a failing clear stays visible', 'I6 Cleared is gone'],
    scenario: clearWhatIsRefused,
    store: (real) => ({
      ...real,
      deleteMany: async (locations) => {
        await real.deleteMany(locations)
        return []
      },
    }),
    clearingWork: withoutVerification,
  },
  {
    name: 'a clearing is acknowledged and not written',
    breaks: ['I5 what was acknowledged is done'],
    scenario: clearFirst,
    clearings: (real) => ({ ...real, begin: async () => 'begun' }),
  },
  {
    name: 'a rule does not ask what is protected',
    breaks: ['I8 no rule takes the newest'],
    scenario: outliveTheRule,
    protections: () => ({ ofJob: async () => new Map() }),
  },
  {
    name: 'a rule touches what a person asked for',
    breaks: ['rules keep to what they own'],
    scenario: keepOne,
    retentionWork: (real, db) => ({
      ...real,
      listCandidates: async (job, page) => {
        const { now, candidates } = await real.listCandidates(job, page)
        return { now, candidates: [...candidates, ...(await listManual(db, job.job.id))] }
      },
    }),
  },
  {
    name: 'a run of a schedule leaves no row, and its savepoint has no key',
    breaks: ['one savepoint per slot'],
    scenario: letOneSlotComeTwice,
    scheduleWork: (real, db) => ({
      ...real,
      record: async (clusterId, records, most) => {
        await db.sql('delete from schedule_firing')
        return real.record(clusterId, records, most)
      },
    }),
    scheduled: ({ idempotency: _, ...request }) => request,
  },
]
