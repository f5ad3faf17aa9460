/** The sample job started by Tidemark itself, from its latest state when it has one. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { UpApi } from './up-api.ts'
import { UpError } from './up-error.ts'
import { JOB } from './up-register.ts'

type Job = { run: { id: string; state: string } | null }
type Operation = {
  id: string
  status: string
  failure: { code: string; message: string } | null
  result: { restorePoint?: { decision: string; location: string | null } }
}

export type StartedSample = { restoredFrom: string | null }

const WAIT = { prefer: 'wait=55' }
const ENDED = new Set(['FINISHED', 'CANCELED', 'FAILED'])

/**
 * `fresh`: this Flink began a moment ago, so whatever ran on the one before is over, which we may say although Tidemark
 * could not see it end. Otherwise what runs there goes on. null when it ran already.
 */
export async function startSample(api: UpApi, { fresh }: { fresh: boolean }): Promise<StartedSample | null> {
  const { run } = (await api.call<Job>('GET', `/v1/jobs/${JOB}`)).body
  if (run && !ENDED.has(run.state)) {
    if (!fresh) return null
    await confirmEnded(api, run.id)
  }
  // The last checkpoints of a Flink that was killed may have been seen by nobody: the newest one known will do here.
  const restore = { acceptOlder: true, fallback: 'NONE' }
  let { body } = await api.call<Operation>('POST', `/v1/jobs/${JOB}/start`, { restore }, WAIT)
  while (body.status === 'RUNNING') {
    body = (await api.call<Operation>('GET', `/v1/operations/${body.id}`, undefined, WAIT)).body
  }
  if (body.status === 'SUCCEEDED') return { restoredFrom: body.result.restorePoint?.location ?? null }
  const { code, message } = body.failure ?? { code: body.status, message: 'no reason was given' }
  throw new UpError(`The sample job could not be started (${code}): ${message}`)
}

/** Once the worker has seen that the new Flink does not list it. */
async function confirmEnded(api: UpApi, run: string, withinMs = 45_000): Promise<void> {
  const giveUpAt = performance.now() + withinMs
  for (;;) {
    try {
      await api.call('POST', `/v1/runs/${run}/confirm-ended`)
      return
    } catch (error) {
      if (performance.now() > giveUpAt) throw error
      await sleep(150)
    }
  }
}
