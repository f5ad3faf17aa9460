/**
 * Makes the cluster, storage, job and version 1 of `tidemark up`, or finds them as they were: a second run changes only
 * what has changed, which is the address of Flink.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import type { UpApi } from './up-api.ts'
import { UpError } from './up-error.ts'

export const CLUSTER = 'flink'
export const STORAGE = 'local'
export const JOB = 'sample'

type Wanted = { flinkUrl: string; storageRoot: string; flinkJobName: string }

export async function register(api: UpApi, wanted: Wanted): Promise<void> {
  // Another Flink behind the address is what happens here at every start.
  await ensure(api, '/v1/clusters', CLUSTER, { url: wanted.flinkUrl, followIdentity: true })
  await ensure(api, '/v1/storages', STORAGE, { uri: pathToFileURL(wanted.storageRoot).href })
  const attach = { flinkJobName: wanted.flinkJobName }
  await ensure(api, '/v1/jobs', JOB, { attach }, { cluster: CLUSTER, savepointStorage: STORAGE })
  await ensureVersion(api)
}

type Found = Readonly<Record<string, unknown>>

async function ensure(
  api: UpApi,
  collection: string,
  name: string,
  values: Found,
  references: Found = {},
): Promise<void> {
  const found = await api.find<Found>(`${collection}/${name}`)
  if (found === null) {
    await api.call('POST', collection, { name, ...references, ...values })
    return
  }
  const changes = Object.entries(values).filter(
    ([key, value]) => JSON.stringify(found[key]) !== JSON.stringify(value),
  )
  if (changes.length > 0) await api.call('PATCH', `${collection}/${name}`, Object.fromEntries(changes))
}

async function ensureVersion(api: UpApi): Promise<void> {
  const job = await api.find<{ latestVersion: number | null }>(`/v1/jobs/${JOB}`)
  if (job?.latestVersion !== null) return
  await api.call('POST', `/v1/jobs/${JOB}/versions`, {
    entryClass: 'dev.tidemark.sample.SampleJob',
    labels: { purpose: 'sample' },
  })
}

type SeenJob = { run: { flinkJobId: string; state: string } | null; ambiguous: string[] | null }

/** Until the worker has seen this very run: after a restart the job is another one under the same name. */
export async function waitForRun(api: UpApi, flinkJobId: string, withinMs = 45_000): Promise<void> {
  const giveUpAt = performance.now() + withinMs
  for (;;) {
    const { body } = await api.call<SeenJob>('GET', `/v1/jobs/${JOB}`)
    if (body.run?.flinkJobId === flinkJobId && body.run.state === 'RUNNING') return
    if (performance.now() > giveUpAt) throw new UpError(sayNotSeen(body, flinkJobId, withinMs))
    await sleep(150)
  }
}

function sayNotSeen({ run, ambiguous }: SeenJob, flinkJobId: string, withinMs: number): string {
  if (ambiguous) return `Several Flink jobs have the name of the sample job: ${ambiguous.join(', ')}.`
  const state = run?.flinkJobId === flinkJobId ? run.state : 'not seen'
  return `The sample job ${flinkJobId} is ${state} after ${withinMs / 1000} s instead of RUNNING.`
}
