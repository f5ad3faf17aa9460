/**
 * Bugs that could have been ours, each switched on by wrapping one port or by SQL in the lab's own database, with the
 * scenario that shows it and the invariants that must name it. Without the bug the same scenario keeps every invariant.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../../src/db/client.ts'
import { FlinkUnavailableError } from '../../src/domain/errors.ts'
import type { SavepointAnswer } from '../../src/domain/flink.ts'
import type { FlinkClient } from '../../src/ports/flink.ts'
import type { SavepointWork } from '../../src/ports/savepoint-work.ts'
import { CLOCK_SLACK_MS } from './checker.ts'
import { CLEARING_BUGS } from './deliberate-bugs-of-clearing.ts'
import { createGate, type DeliberateBug, type Lab, LEASE_MS } from './lab.ts'

const PAST_THE_LEASE_MS = LEASE_MS + 150

/** The wrapped client answers something else for the result of a savepoint. */
const misread =
  (change: (answer: SavepointAnswer) => SavepointAnswer, onError?: SavepointAnswer) =>
  (real: FlinkClient): FlinkClient => ({
    ...real,
    readSavepoint: async (flinkJobId, triggerId) => {
      try {
        return change(await real.readSavepoint(flinkJobId, triggerId))
      } catch (error) {
        if (onError && error instanceof FlinkUnavailableError) return onError
        throw error
      }
    },
  })

const FAILED: SavepointAnswer = { kind: 'failed', failure: { className: 'Misread', text: 'misread' } }
const TRANSIENT = 'The maximum number of queued checkpoint requests exceeded.'

/** Rows that a trigger of the lab's database silently drops. */
const dropRows = (table: string, when: string): string[] => [
  `create function lose_row() returns trigger language plpgsql as $$ begin return null; end $$`,
  `create trigger lose_row before insert on ${table} for each row when (${when}) execute function lose_row()`,
]

/** The lease that stands in the row now, whoever holds it: what a write would carry that does not compare it. */
async function withAnyLease(work: SavepointWork, db: Database): Promise<SavepointWork> {
  const [row] = await db.sql<{ lease_token: string | null }>(
    `update snapshot set lease_token = coalesce(lease_token, gen_random_uuid()), lease_until = coalesce(lease_until, now())
     where id = $1 returning lease_token`,
    [work.id],
  )
  return { ...work, lease: row?.lease_token ?? work.lease }
}

// -------------------------------------------------------------------------------------------------- scenarios

async function takeOne(lab: Lab): Promise<void> {
  lab.startWorker()
  await lab.untilObserved('RUNNING')
  await lab.request({ timeoutSeconds: 2 })
}

/** Asked and held in Flink; answers its id and how to let it complete. */
async function holdOne(lab: Lab, timeoutSeconds = 4): Promise<{ id: string; release: () => void }> {
  const held = lab.flink.faults.holdSnapshot({ kind: 'savepoint' })
  lab.startWorker()
  await lab.untilObserved('RUNNING')
  const id = (await lab.request({ timeoutSeconds })) ?? ''
  await lab.untilAccepted(1)
  return { id, release: held.release }
}

async function loseTheAnswer(lab: Lab): Promise<void> {
  lab.flink.faults.reply({ route: 'triggerSavepoint' }, { kind: 'reply-lost' })
  await takeOne(lab)
}

async function failOnce(lab: Lab): Promise<void> {
  const failure = { kind: 'coordinator', text: 'Checkpoint expired before completing.' } as const
  lab.flink.faults.snapshot({ kind: 'savepoint' }, { failure })
  await takeOne(lab)
}

async function forgetWhileItRuns(lab: Lab): Promise<void> {
  const { id, release } = await holdOne(lab)
  const [accepted] = lab.flink.flink.acceptLog
  lab.flink.flink.forgetTrigger('savepoint', accepted?.triggerId ?? '', lab.job.id)
  await Promise.race([lab.untilStatus(id, 'Failed').catch(() => undefined), sleep(2_500)])
  await sleep(2 * CLOCK_SLACK_MS)
  release()
}

/** A failure that was told must be older than the checker forgives when the savepoint completes. */
async function doNotAnswerWhileItRuns(lab: Lab): Promise<void> {
  const { id, release } = await holdOne(lab)
  lab.flink.faults.reply({ route: 'readSavepoint', times: 2 }, { kind: 'refused' })
  await Promise.race([lab.untilStatus(id, 'Failed').catch(() => undefined), sleep(2_500)])
  await sleep(2 * CLOCK_SLACK_MS)
  release()
}

async function completeLate(lab: Lab): Promise<void> {
  const { id, release } = await holdOne(lab, 4) // a lost nudge costs the first of them
  await lab.untilStatus(id, 'Timeout', 'Failed')
  // Refused with 409 while the first one may still complete.
  const second = await lab.request({ timeoutSeconds: 3 })
  if (second !== null) await lab.untilAccepted(2)
  await sleep(200)
  release()
}

/**
 * The second request comes right after the Timeout, while Flink still takes the first savepoint. Were it accepted, the two
 * overlap in Flink for longer than the checker forgives: what is shorter could be two clocks that differ.
 */
async function askAgainAfterTimeout(lab: Lab): Promise<void> {
  const { id, release } = await holdOne(lab)
  await lab.untilStatus(id, 'Timeout', 'Failed')
  const second = await lab.request({ timeoutSeconds: 60 })
  const refusal = lab.calls.at(-1)?.code
  if (second !== null) {
    await lab.untilAccepted(2)
    await sleep(2 * CLOCK_SLACK_MS)
  } else if (refusal !== 'SAVEPOINT_IN_PROGRESS') {
    throw new Error(`refused with ${refusal}: that shows nothing about the first savepoint`)
  }
  release()
}

/** One worker is frozen right before it writes Present; another one takes over and writes it too. */
async function freezeBeforePresent(lab: Lab): Promise<void> {
  const gate = createGate('move')
  const first = lab.startWorker({ wrap: gate.wrap })
  await lab.untilObserved('RUNNING')
  const id = (await lab.request({ timeoutSeconds: 4 })) ?? ''
  await gate.reached
  await sleep(PAST_THE_LEASE_MS)
  lab.startWorker()
  await lab.untilStatus(id, 'Present')
  gate.open()
  await first.stop()
}

/**
 * A worker saw an ended job and is frozen right before it writes Failed. The job comes back, another worker asks Flink, and
 * only then the first one writes.
 */
async function freezeBeforeFailed(lab: Lab): Promise<void> {
  const gate = createGate('move')
  lab.startWorker({ wrap: (real) => ({ ...real, claimDue: async () => [] }) }) // observes only
  await lab.untilObserved('RUNNING')
  const id = (await lab.request({ timeoutSeconds: 5 })) ?? ''
  lab.endedFlinkJobs.push(lab.job.id)
  lab.flink.flink.cancelJob(lab.job.id)
  await lab.untilObserved('CANCELED')
  const stale = lab.startWorker({ wrap: gate.wrap, observes: false })
  await gate.reached
  const held = lab.flink.faults.holdSnapshot({ kind: 'savepoint' })
  lab.flink.flink.addJob({ name: lab.job.name })
  await lab.untilObserved('RUNNING')
  await sleep(PAST_THE_LEASE_MS)
  lab.startWorker({ observes: false })
  await lab.untilAccepted(1)
  gate.open()
  await stale.stop()
  held.release()
  await lab.untilStatus(id, 'Present', 'Failed')
}

async function orderTwiceUnderOneKey(lab: Lab): Promise<void> {
  lab.startWorker()
  await lab.untilObserved('RUNNING')
  for (const _ of ['first', 'again']) {
    const id = (await lab.request({ timeoutSeconds: 3 }, 'the-key')) ?? ''
    await lab.untilStatus(id, 'Present')
  }
}

async function orderWhileFlinkIsAway(lab: Lab): Promise<void> {
  lab.startWorker()
  await lab.untilObserved('RUNNING')
  lab.flink.faults.reply({ route: 'jobsOverview', times: 3 }, { kind: 'refused' })
  await sleep(600)
  await lab.request({ timeoutSeconds: 3 })
}

// ------------------------------------------------------------------------------------------------------- bugs

export const DELIBERATE_BUGS: readonly DeliberateBug[] = [
  {
    name: 'a blind second POST after a lost answer',
    breaks: ['I2 own trigger id and directory'],
    scenario: loseTheAnswer,
    flink: (real) => ({
      ...real,
      triggerSavepoint: async (request) => {
        try {
          return await real.triggerSavepoint(request)
        } catch {
          return real.triggerSavepoint({ ...request, triggerId: [...request.triggerId].reverse().join('') })
        }
      },
    }),
  },
  {
    name: 'a status moves without the guard of status and lease',
    breaks: ['I4 legal, once each'],
    scenario: freezeBeforePresent,
    savepoints: (real, db) => ({
      ...real,
      move: async (work, move) => {
        const result = await real.move(work, move)
        if (result === 'moved') return result
        await db.sql('update snapshot set status = $2, reason = $3 where id = $1', [
          work.id,
          move.to,
          move.reason,
        ])
        await db.sql(
          `insert into history.snapshot_transition (namespace_id, snapshot_id, from_status, to_status, reason, by)
           values ($1, $2, $3, $4, $5, 'bug')`,
          [work.namespaceId, work.id, work.status, move.to, move.reason],
        )
        return 'moved'
      },
    }),
  },
  {
    name: 'lost nudges without a sweep',
    breaks: ['I1 left Creating in time', 'I9 drains'],
    scenario: takeOne,
    withoutSweep: true,
    drainMs: 6_000,
  },
  {
    name: "a stale worker's write is accepted: the lease is not compared",
    breaks: ['I7 nothing completed is lost', 'I2 no failure without proof'],
    scenario: freezeBeforeFailed,
    savepoints: (real, db) => ({
      ...real,
      move: async (work, move) => real.move(await withAnyLease(work, db), move),
    }),
  },
  {
    name: 'COMPLETED with a failure is taken for success',
    breaks: ['Present has _metadata'],
    scenario: failOnce,
    flink: (real) => {
      const directories = new Map<string, string>()
      return {
        ...real,
        triggerSavepoint: (request) => {
          directories.set(request.triggerId, request.targetDirectory)
          return real.triggerSavepoint(request)
        },
        readSavepoint: async (flinkJobId, triggerId) => {
          const answer = await real.readSavepoint(flinkJobId, triggerId)
          const directory = directories.get(triggerId) ?? 'file:///nowhere/'
          return answer.kind === 'failed'
            ? { kind: 'completed', location: `${directory}savepoint-1` }
            : answer
        },
      }
    },
  },
  {
    name: 'a 404 for the trigger id is taken for a failure',
    breaks: ['I2 no failure without proof', 'I7 nothing completed is lost'],
    scenario: forgetWhileItRuns,
    flink: misread((answer) => (answer.kind === 'unknown' ? FAILED : answer)),
  },
  {
    name: 'could not ask is taken for a failure',
    breaks: ['I2 no failure without proof', 'I7 nothing completed is lost'],
    scenario: doNotAnswerWhileItRuns,
    flink: misread((answer) => answer, FAILED),
  },
  {
    name: 'Timeout is final: nobody looks for a late completion',
    breaks: ['I7 late completion is adopted'],
    scenario: completeLate,
    savepoints: (real) => ({
      ...real,
      move: (work, move) =>
        real.move(work, move.to === 'Timeout' ? { ...move, nextActionInMs: null, settled: true } : move),
    }),
  },
  {
    name: 'a Timeout frees the job while Flink still takes the savepoint',
    breaks: ['one unsettled savepoint per job'],
    scenario: askAgainAfterTimeout,
    savepoints: (real) => ({
      ...real,
      move: (work, move) => real.move(work, move.to === 'Timeout' ? { ...move, settled: true } : move),
    }),
  },
  {
    name: 'a new attempt without proof that the earlier one is over',
    breaks: ['I2 proof before the next attempt'],
    scenario: async (lab) => {
      const { release } = await holdOne(lab)
      await sleep(2_500) // longer than the pause before another attempt
      release()
    },
    flink: misread((answer) =>
      answer.kind === 'pending'
        ? { kind: 'failed', failure: { className: 'Misread', text: TRANSIENT } }
        : answer,
    ),
  },
  {
    name: 'a new attempt in the directory of the earlier one, under its trigger id',
    // Postgres would refuse the second row of a trigger id by itself.
    sql: ['drop index attempt_trigger_id_key'],
    breaks: ['I2 own trigger id and directory'],
    scenario: async (lab) => {
      const failure = { kind: 'coordinator', text: TRANSIENT } as const
      lab.flink.faults.snapshot({ kind: 'savepoint' }, { failure })
      lab.startWorker()
      await lab.untilObserved('RUNNING')
      await lab.request({ timeoutSeconds: 5 })
    },
    savepoints: (real) => ({
      ...real,
      beginAttempt: (work, ended, next) => {
        const { triggerId, directory } = work.attempt
        return real.beginAttempt(work, ended, { ...next, triggerId, directory })
      },
    }),
  },
  {
    name: 'a transition is not written',
    breaks: ['I4 status is the last transition'],
    scenario: takeOne,
    sql: dropRows('history.snapshot_transition', `new.to_status = 'Present'`),
  },
  {
    name: 'the idempotency record is not written',
    breaks: ['I5 one key, one snapshot'],
    scenario: orderTwiceUnderOneKey,
    sql: dropRows('idempotency_record', 'true'),
  },
  {
    name: 'a request is acknowledged before it is committed, and then is not',
    breaks: ['I5 acknowledged exists'],
    scenario: takeOne,
    snapshots: (real, db) => ({
      ...real,
      insertSavepoint: async (scope, savepoint, key) => {
        const inserted = await real.insertSavepoint(scope, savepoint, key)
        await db.sql('delete from attempt where snapshot_id = $1', [savepoint.id])
        await db.sql('delete from snapshot where id = $1', [savepoint.id])
        return inserted
      },
    }),
  },
  {
    name: 'a poll that could not ask is taken for the end of the jobs',
    breaks: ['ended runs have ended'],
    scenario: orderWhileFlinkIsAway,
    flink: (real) => ({ ...real, listJobs: () => real.listJobs().catch(() => []) }),
    observations: (real) => ({
      ...real,
      recordRuns: (workerId, clusterId, changes) =>
        real.recordRuns(
          workerId,
          clusterId,
          changes.map((change) =>
            change.kind === 'run-changed' && change.missing ? { ...change, state: 'FAILED' } : change,
          ),
        ),
    }),
  },
  {
    name: 'the intent is committed after Flink was asked',
    breaks: [
      'I2 own trigger id and directory',
      'I2 one savepoint per attempt',
      'I7 nothing completed is lost',
    ],
    scenario: loseTheAnswer,
    savepoints: (real) => ({
      ...real,
      // What a worker finds that died between the two: asked, and nothing of it in the row.
      markAsked: async () => new Date(),
    }),
  },
  ...CLEARING_BUGS,
]
