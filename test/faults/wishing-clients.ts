/**
 * Clients that clear, pin, set rules, and start and stop jobs. They remember every request and every answer, also the ones
 * that never came.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import type { Api } from '../support/api.ts'
import { orderSavepoint } from './clients.ts'
import type { ClientCall, Wish } from './history.ts'
import type { Random } from './random.ts'

type Words = Pick<Wish, 'what' | 'job' | 'target'>
type Asked = { method: 'GET' | 'POST' | 'PATCH' | 'DELETE' | 'PUT'; path: string; body?: unknown }

const ANSWER_WITHIN_MS = 8_000

export async function makeWish(api: Api, words: Words, { method, path, body }: Asked): Promise<Wish> {
  const askedAt = Date.now()
  const answer = await Promise.race([
    api
      .call<{ id?: string; code?: string }>(method, path, body === undefined ? {} : { body })
      .catch(() => null),
    sleep(ANSWER_WITHIN_MS, null, { ref: false }),
  ])
  const isOperation = words.what === 'start' || words.what === 'stop'
  return {
    ...words,
    target: isOperation ? (answer?.body.id ?? null) : words.target,
    askedAt,
    answeredAt: Date.now(),
    status: answer?.status ?? null,
    code: answer?.body.code ?? null,
  }
}

type Given = {
  api: () => Api
  job: string
  random: Random
  calls: ClientCall[]
  wishes: Wish[]
  isOver: () => boolean
}

/** Clears what the job's clients have made: some of it twice at once, by force, or what does not exist; pins and unpins. */
export async function runCleaner({ api, job, random, calls, wishes, isOver }: Given): Promise<void> {
  while (!isOver()) {
    const known = [...new Set(calls.flatMap((call) => (call.job === job && call.snapshotId) || []))]
    const [doubt, force, copies] = [random.next(), random.chance(0.5), random.chance(0.2) ? 2 : 1]
    await sleep(random.int(60, 350))
    // The newest one is in flight, or protected: that is tried, too, but not all the time.
    const choice = random.chance(0.7) ? known.slice(0, -1) : known
    if (choice.length === 0 && doubt <= 0.95) continue
    const id = doubt > 0.95 ? randomUUID() : random.pick(choice)
    const path = `/v1/snapshots/${id}`
    const ask = (what: Wish['what'], asked: Asked) => makeWish(api(), { what, job, target: id }, asked)
    if (doubt < 0.15) {
      const what = random.pick(['pin', 'unpin'] as const)
      wishes.push(await ask(what, { method: 'PATCH', path, body: { pinned: what === 'pin' } }))
    } else if (doubt < 0.2) {
      wishes.push(await ask('forget', { method: 'DELETE', path: `${path}?data=keep` }))
    } else {
      const asked = { method: 'DELETE', path: `${path}${force ? '?force=true' : ''}` } as const
      wishes.push(...(await Promise.all(Array.from({ length: copies }, () => ask('clear', asked)))))
    }
  }
}

/** By force, what was asked for and was not cleared yet: at most `most`, the oldest first, at once. */
export async function clearSome(
  api: Api,
  { calls, wishes }: { calls: readonly ClientCall[]; wishes: Wish[] },
  most: number,
): Promise<void> {
  const gone = new Set(
    wishes.filter(({ status }) => status === 200 || status === 202).map(({ target }) => target),
  )
  const jobOf = new Map(calls.flatMap(({ snapshotId, job }) => (snapshotId ? [[snapshotId, job]] : [])))
  const left = [...jobOf].filter(([id]) => !gone.has(id)).slice(0, most)
  const asked = left.map(([target, job]) =>
    makeWish(
      api,
      { what: 'clear', job, target },
      { method: 'DELETE', path: `/v1/snapshots/${target}?force=true` },
    ),
  )
  wishes.push(...(await Promise.all(asked)))
}

/** Gives the job a schedule and a rule, then lets the schedule's time come again and again. */
export async function runRuler({ databaseUrl, ...given }: Given & { databaseUrl: string }): Promise<void> {
  const { api, job, random, wishes, isOver } = given
  const rule = random.pick([
    { keepCount: 1 },
    { keepCount: 1 },
    { keepCount: 2 },
    { maxAgeSeconds: 1 },
    { maxAgeSeconds: 1 },
    { keepCount: 3, maxAgeSeconds: 2 },
  ])
  const schedule = { every: { minutes: 10 }, timeoutSeconds: random.int(2, 4) }
  const path = `/v1/jobs/${job}`
  await insist(
    { what: 'retention', job, target: null },
    { method: 'PUT', path: `${path}/retention`, body: rule },
    given,
  )
  await insist(
    { what: 'schedule', job, target: null },
    { method: 'PUT', path: `${path}/schedule`, body: schedule },
    given,
  )
  while (!isOver()) {
    await sleep(random.int(300, 1_200))
    await letTimeCome(databaseUrl, job).catch(() => undefined) // Postgres may be the fault right now
    // It pauses itself after two failures in a row, which these runs have plenty of.
    await makeWish(
      api(),
      { what: 'schedule', job, target: null },
      { method: 'POST', path: `${path}/schedule/resume` },
    )
  }
  wishes.push(
    await makeWish(
      api(),
      { what: 'retention', job, target: null },
      { method: 'PUT', path: `${path}/retention`, body: rule },
    ),
  )
}

/** The same words change nothing: they may be said until they are heard. */
async function insist(words: Words, asked: Asked, { api, wishes, isOver }: Given): Promise<void> {
  while (!isOver()) {
    const wish = await makeWish(api(), words, asked)
    wishes.push(wish)
    if (wish.status !== null && wish.status < 500) return
    await sleep(300)
  }
}

/** A run is at least ten minutes away: its slot is moved, as if that time had passed. */
async function letTimeCome(databaseUrl: string, job: string): Promise<void> {
  const client = new Client({ connectionString: databaseUrl })
  client.on('error', () => undefined)
  await client.connect()
  try {
    await client.query(
      `update schedule set next_slot_at = now() - interval '50 ms', next_action_at = now() - interval '50 ms'
       where next_slot_at > now() and job_id = (select id from job where name = $1 and deleted_at is null)`,
      [job],
    )
  } finally {
    await client.end()
  }
}

/** Starts a job that only we start, takes savepoints of it, stops it, and starts it from one of them, or the newest. */
export async function runOperator(given: Given): Promise<void> {
  const { api, job, random, calls, wishes, isOver } = given
  while (!isOver()) {
    const known = calls.flatMap((call) => (call.job === job && call.snapshotId) || [])
    const restore = {
      claimMode: random.pick(['NO_CLAIM', 'NO_CLAIM', 'CLAIM']),
      ...(known.length > 0 && random.chance(0.5)
        ? { strategy: 'FROM_SNAPSHOT', snapshot: random.pick(known) }
        : { strategy: 'LATEST_STATE', fallback: 'NONE' }),
    }
    await operate('start', { restore, timeoutSeconds: 6 }, given)
    for (let orders = random.int(1, 2); orders > 0 && !isOver(); orders--) {
      const body = { timeoutSeconds: 3, ...(random.chance(0.5) && { source: 'DEPLOY' }) }
      calls.push(await orderSavepoint(api(), { job, key: null, body }))
      await sleep(random.int(200, 600))
    }
    // What a live run began with is in use: it must be refused, whatever is said.
    const [target] = known
    if (target !== undefined) {
      const asked = { method: 'DELETE', path: `/v1/snapshots/${target}?force=true` } as const
      wishes.push(await makeWish(api(), { what: 'clear', job, target }, asked))
    }
    if (isOver()) return
    await operate(
      'stop',
      { mode: random.pick(['SAVEPOINT', 'SAVEPOINT', 'CANCEL']), timeoutSeconds: 4 },
      given,
    )
  }
}

/** Until it has ended, or it is time to go on. */
async function operate(
  what: 'start' | 'stop',
  body: object,
  { api, job, wishes, isOver }: Given,
): Promise<void> {
  const wish = await makeWish(
    api(),
    { what, job, target: null },
    { method: 'POST', path: `/v1/jobs/${job}/${what}`, body },
  )
  wishes.push(wish)
  const isAccepted = wish.status !== null && wish.status < 300
  const deadline = Date.now() + (isAccepted ? 5_000 : 300)
  while (Date.now() < deadline && !isOver()) {
    await sleep(150)
    if (!isAccepted) continue
    const answer = await api()
      .call<{ status?: string }>('GET', `/v1/operations/${wish.target}`)
      .catch(() => null)
    if (answer?.body.status !== undefined && answer.body.status !== 'RUNNING' && answer.status === 200) return
  }
}
