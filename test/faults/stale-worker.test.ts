/** A worker that slept past its lease changes nothing, and two workers at once never both act. */

import { setTimeout as sleep } from 'node:timers/promises'
import { v7 } from 'uuid'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createDatabase, type TestDatabase } from '../../dev/services/database.ts'
import { migrate } from '../../src/db/migrate.ts'
import { createSavepointWorkRepository } from '../../src/db/savepoint-work.ts'
import type { SavepointWork, SavepointWorkRepository, StatusMove } from '../../src/ports/savepoint-work.ts'
import { MIGRATIONS } from '../support/database.ts'
import { checkHistory } from './checker.ts'
import { createGate, type Lab, LEASE_MS, openLab } from './lab.ts'

const adminUrl = process.env['TEST_DATABASE_URL'] ?? ''
const FAILED: StatusMove = { to: 'Failed', reason: 'TEST', settled: true, nextActionInMs: null }
const ENDED = { outcome: 'FAILED' } as const

let template: TestDatabase
let lab: Lab
let stale: SavepointWorkRepository
let other: SavepointWorkRepository

beforeAll(async () => {
  template = await createDatabase(adminUrl, 'stale-template')
  await migrate(template.url, MIGRATIONS)
})
afterAll(() => template.drop())
beforeEach(async () => {
  lab = await openLab(adminUrl, template.name)
  const repository = (workerName: string) =>
    createSavepointWorkRepository(lab.db, { leaseMs: LEASE_MS, newLease: () => v7(), workerName })
  stale = repository('stale')
  other = repository('other')
})
afterEach(() => lab.close())

async function claimTwice(): Promise<{ id: string; mine: SavepointWork; theirs: SavepointWork }> {
  const id = (await lab.request({ timeoutSeconds: 60 })) ?? ''
  const [mine] = await stale.claimDue(1)
  expect(await other.claimDue(1)).toEqual([]) // not while the lease runs
  await sleep(LEASE_MS + 50)
  const [theirs] = await other.claimDue(1)
  if (!mine || !theirs) throw new Error('not claimed')
  expect(theirs.lease).not.toBe(mine.lease)
  return { id, mine, theirs }
}

const readRow = async (id: string) =>
  (
    await lab.db.sql(
      `select s.status, s.attempt, s.lease_token, s.next_action_at, s.settled_at, a.asked_at, a.outcome,
         (select count(*)::int from attempt where snapshot_id = s.id) as attempts
       from snapshot s join attempt a on a.snapshot_id = s.id and a.number = s.attempt where s.id = $1`,
      [id],
    )
  )[0]

const next = () => ({
  triggerId: 'f'.repeat(32),
  directory: 'file:///x/2/',
  afterRescale: false,
  startInMs: 0,
})

describe('a worker whose lease another one has taken over', () => {
  it.each([
    ['markAsked', (work: SavepointWork) => stale.markAsked(work, 'a'.repeat(32), 1), null],
    ['move', (work: SavepointWork) => stale.move(work, FAILED), 'stale'],
    ['beginAttempt', (work: SavepointWork) => stale.beginAttempt(work, ENDED, next()), false],
    ['release', (work: SavepointWork) => stale.release(work, { nextActionInMs: null, tries: 9 }), false],
  ] as const)('is refused: %s', async (_name, write, refusal) => {
    const { id, mine, theirs } = await claimTwice()
    const before = await readRow(id)
    expect(await write(mine)).toBe(refusal)
    expect(await readRow(id)).toEqual(before)
    expect(await other.move(theirs, FAILED)).toBe('moved')
    expect(await write(mine)).toBe(refusal)
  })

  it('is refused its markAsked already when the lease is over and nobody has taken it', async () => {
    await lab.request({ timeoutSeconds: 60 })
    const [work] = await stale.claimDue(1)
    if (!work) throw new Error('not claimed')
    await sleep(LEASE_MS + 50)
    expect(await stale.markAsked(work, 'a'.repeat(32), 1)).toBeNull()
  })
})

describe('a worker frozen in the middle', () => {
  it.each(['markAsked', 'move', 'release'] as const)(
    'right before %s: the other one finishes, and it changes nothing',
    async (method) => {
      const gate = createGate(method)
      const frozen = lab.startWorker({ name: 'frozen', wrap: gate.wrap })
      await lab.untilObserved('RUNNING')
      // Longer than a worker keeps one: it is given back in between.
      if (method === 'release') lab.flink.faults.snapshot({ kind: 'savepoint' }, { durationMs: 1_500 })
      const id = (await lab.request({ timeoutSeconds: 20 })) ?? ''
      await gate.reached
      await sleep(LEASE_MS + 100)
      lab.startWorker({ name: 'awake' })
      await lab.untilStatus(id, 'Present')
      gate.open()
      await frozen.stop()

      const history = await lab.finish()
      expect(checkHistory(history).violations).toEqual([])
      expect(history.accepted).toHaveLength(1)
      expect(history.transitions.map(({ to }) => to)).toEqual(['Creating', 'Present'])
    },
  )

  it('right before beginAttempt: the other one begins it, once', async () => {
    const gate = createGate('beginAttempt')
    const text = 'The maximum number of queued checkpoint requests exceeded.'
    lab.flink.faults.snapshot({ kind: 'savepoint' }, { failure: { kind: 'coordinator', text } })
    const frozen = lab.startWorker({ name: 'frozen', wrap: gate.wrap })
    await lab.untilObserved('RUNNING')
    const id = (await lab.request({ timeoutSeconds: 30 })) ?? ''
    await gate.reached
    await sleep(LEASE_MS + 100)
    lab.startWorker({ name: 'awake' })
    await lab.untilStatus(id, 'Present')
    gate.open()
    await frozen.stop()

    const history = await lab.finish()
    expect(checkHistory(history).violations).toEqual([])
    expect(history.attempts.map(({ outcome }) => outcome)).toEqual(['FAILED', 'COMPLETED'])
    expect(history.accepted).toHaveLength(2)
  })
})

describe('two workers at once', () => {
  it('never both act, whoever of them is quicker', async () => {
    lab.startWorker({ name: 'one' })
    lab.startWorker({ name: 'two' })
    lab.startWorker({ name: 'three' })
    await lab.untilObserved('RUNNING')
    for (let turn = 0; turn < 8; turn++) {
      const id = (await lab.request({ timeoutSeconds: 30 })) ?? ''
      await lab.untilStatus(id, 'Present')
    }
    const history = await lab.finish()
    expect(checkHistory(history).violations).toEqual([])
    expect(history.accepted).toHaveLength(8)
    expect(history.accepted.map(({ repeats }) => repeats)).toEqual(Array.from({ length: 8 }, () => 0))
    const posts = lab.flink.requests.filter(({ route }) => route === 'triggerSavepoint')
    expect(posts).toHaveLength(8)
  })

  it('claim a due row once', async () => {
    await lab.request({ timeoutSeconds: 60 })
    const claims = await Promise.all(
      Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? stale : other).claimDue(5)),
    )
    expect(claims.flat()).toHaveLength(1)
  })
})
