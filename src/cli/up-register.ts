/**
 * Makes the cluster, storage, job and version of `tidemark up`, or finds them as they were: a second run changes only what
 * has changed, which is the address of Flink, or the sample job for another Flink.
 */
import { pathToFileURL } from 'node:url'
import type { UpApi } from './up-api.ts'
import type { Sample } from './up-flink.ts'

export const CLUSTER = 'flink'
export const STORAGE = 'local'
export const JOB = 'sample'

const CHECKPOINT_INTERVAL_MS = 10_000

export async function register(
  api: UpApi,
  { flinkUrl, storageRoot, sample }: { flinkUrl: string; storageRoot: string; sample: Sample },
): Promise<void> {
  // Another Flink behind the address is what happens here at every start.
  await ensure(api, '/v1/clusters', CLUSTER, { url: flinkUrl, followIdentity: true })
  const uri = pathToFileURL(storageRoot).href
  await ensure(api, '/v1/storages', STORAGE, { uri })
  await ensure(api, '/v1/jobs', JOB, {}, { cluster: CLUSTER, savepointStorage: STORAGE })
  const { artifact } = await api.upload<{ artifact: string }>(
    `/v1/artifacts?storage=${STORAGE}`,
    sample.jar,
    'application/java-archive',
  )
  await ensureVersion(api, {
    artifact,
    entryClass: 'dev.tidemark.sample.SampleJob',
    programArgs: sample.programArgs,
    parallelism: 2,
    // Below the storage's root, so that a retained checkpoint can be looked at and restored.
    checkpointing: {
      intervalMs: CHECKPOINT_INTERVAL_MS,
      storage: { type: 'filesystem', dir: `${uri}/checkpoints` },
    },
  })
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
  const changes = Object.entries(values).filter(([key, value]) => !isSame(found[key], value))
  if (changes.length > 0) await api.call('PATCH', `${collection}/${name}`, Object.fromEntries(changes))
}

/** A version is immutable: another sample job, or other settings, are another version. */
async function ensureVersion(api: UpApi, wanted: Found): Promise<void> {
  const job = await api.find<{ latestVersion: number | null }>(`/v1/jobs/${JOB}`)
  const latest = job?.latestVersion
  const found = latest ? await api.find<Found>(`/v1/jobs/${JOB}/versions/${latest}`) : null
  if (found && Object.entries(wanted).every(([key, value]) => isSame(found[key], value))) return
  await api.call('POST', `/v1/jobs/${JOB}/versions`, { ...wanted, labels: { purpose: 'sample' } })
}

/** Postgres keeps the members of an object in an order of its own. */
const isSame = (one: unknown, other: unknown): boolean => canonical(one) === canonical(other)

const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  )
