/** Clients that ask for savepoints and remember every request and every answer, also the ones that never came. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Api } from '../support/api.ts'
import type { ClientCall } from './history.ts'
import type { Random } from './random.ts'

export type Order = { job: string; key: string | null; body: Record<string, unknown> }

const ANSWER_WITHIN_MS = 8_000

export async function orderSavepoint(api: Api, { job, key, body }: Order): Promise<ClientCall> {
  const askedAt = Date.now()
  const answer = await Promise.race([
    api
      .call<{ id?: string; code?: string }>('POST', `/v1/jobs/${job}/savepoints`, {
        body,
        headers: key === null ? {} : { 'idempotency-key': key },
      })
      .catch(() => null),
    sleep(ANSWER_WITHIN_MS, null, { ref: false }),
  ])
  const ok = answer !== null && answer.status < 300
  return {
    job,
    key,
    body,
    askedAt,
    answeredAt: Date.now(),
    status: answer?.status ?? null,
    snapshotId: ok ? (answer.body.id ?? null) : null,
    code: answer?.body.code ?? null,
  }
}

/** What one client does until it is told to stop: orders, sometimes twice at once, and repeats what was not answered. */
export async function runClient(options: {
  api: () => Api
  job: string
  random: Random
  calls: ClientCall[]
  isOver: () => boolean
}): Promise<void> {
  const { api, job, random, calls, isOver } = options
  for (let number = 1; !isOver(); number++) {
    const order: Order = {
      job,
      key: random.chance(0.6) ? `${job}-${number}` : null,
      body: {
        timeoutSeconds: random.pick([1, 2, 3, 4, 4]),
        format: random.pick(['CANONICAL', 'NATIVE']),
        ...(random.chance(0.6) && { source: 'DEPLOY' }),
        ...(random.chance(0.2) && {
          expiresAt: new Date(Date.now() + random.int(3_000, 5_000)).toISOString(),
        }),
        ...(random.chance(0.3) && { ifRunning: 'JOIN' }),
        ...(random.chance(0.2) && { labels: { number: String(number) } }),
      },
    }
    const copies = random.chance(0.3) ? 2 : 1
    const [pauseMs, repeats, repeatAfterMs] = [random.int(30, 500), random.int(0, 2), random.int(50, 400)]
    const answers = await Promise.all(Array.from({ length: copies }, () => orderSavepoint(api(), order)))
    calls.push(...answers)
    // A client with a key repeats until it knows, and sometimes afterwards too; one without gives up.
    for (let tries = 0; order.key !== null && tries < 10; tries++) {
      const isKnown = calls.some((call) => call.key === order.key && call.snapshotId !== null)
      if ((isKnown || isRefused(calls, order)) && tries >= repeats) break
      await sleep(repeatAfterMs)
      calls.push(await orderSavepoint(api(), order))
    }
    await sleep(pauseMs)
  }
}

const isRefused = (calls: readonly ClientCall[], { key }: Order): boolean =>
  calls.some((call) => call.key === key && call.status === 409)
