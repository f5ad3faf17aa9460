/**
 * B4: clearing 100 snapshots of 200 objects and one of 20,000 through the API and a worker until Cleared (found empty twice),
 * beside s3cmd and rclone deleting the same objects, on one S3 server with 20 ms added to every request.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool } from 'pg'
import { request } from 'undici'
import { v7 } from 'uuid'
import { startVersityGateway } from '../dev/services/s3.ts'
import { buildSavepointMetadata } from '../src/metadata/build-savepoint.ts'
import { writeMetadata } from '../src/metadata/write-metadata.ts'
import type { Benchmark, BenchOptions } from './harness/benchmark.ts'
import { type Child, startScript, startTidemark } from './harness/child.ts'
import { clearSnapshots, type Ground, layGround, TOKEN } from './harness/ground.ts'
import { runLoad } from './harness/load.ts'
import { openPool } from './harness/pool.ts'
import { noteServiceVersions } from './harness/report.ts'
import { openS3Tools, type S3Tools } from './harness/s3-tools.ts'
import { type BenchServices, startServices } from './harness/services.ts'

const ADDED_MS = 20
const BUCKET = 'bench'
const KEYS = { accessKey: 'bench-access', secretKey: 'bench-secret-key' }
/** It deletes object by object, at the same pace however many there are: it gets a tenth. */
const RCLONE_SHARE = 10

export const clearing: Benchmark = {
  name: 'b4',
  title: 'clearing 100 snapshots of 200 objects and one of 20,000, beside s3cmd and rclone',
  run,
}

type Load = { name: string; snapshots: number; objects: number }
type Measured = { s3cmd: number; rclone: number; ours: number; requests: number }
type Stage = {
  pool: Pool
  ground: Ground
  tools: S3Tools
  api: string
  slow: Child
  /** Where the server keeps the bucket: objects are plain files. */
  bucketDir: string
}

async function run({ rounds, scale }: BenchOptions) {
  const loads: Load[] = [
    { name: '100 × 200', snapshots: Math.max(2, Math.round(100 * scale)), objects: 200 },
    { name: '1 × 20,000', snapshots: 1, objects: Math.max(10, Math.round(20_000 * scale)) },
  ]
  const services = await startServices()
  const pool = openPool(services.databaseUrl, 4)
  try {
    await noteServiceVersions(services.databaseUrl)
    const { stage, stop } = await raiseStage(services, pool)
    try {
      const measured = new Map(loads.map(({ name }) => [name, [] as Measured[]]))
      for (let round = -1; round < rounds; round++) {
        for (const load of loads) {
          const result = await measure(stage, load)
          if (round >= 0) measured.get(load.name)?.push(result) // the first one warms everybody up
        }
      }
      return summarize(measured)
    } finally {
      await stop()
    }
  } finally {
    await pool.end()
    await services.stop()
  }
}

async function raiseStage({ databaseUrl, redisUrl, folder }: BenchServices, pool: Pool) {
  const dir = join(folder, 's3')
  const store = await startVersityGateway({ ...KEYS, dir })
  await store.createBucket(BUCKET)
  const slow = await startScript('slow-s3.ts', [`127.0.0.1:${store.port}`, String(ADDED_MS)], folder)
  const ground = await layGround(pool, 1)
  await pool.query(
    `update storage set provider = 'generic', endpoint = $1, region = 'us-east-1', path_style = true, credentials = $2`,
    [
      slow.url,
      JSON.stringify({
        accessKeyId: { env: 'TIDEMARK_SECRET_DEFAULT_ACCESS' },
        secretAccessKey: { env: 'TIDEMARK_SECRET_DEFAULT_SECRET' },
      }),
    ],
  )
  const env = {
    DATABASE_URL: databaseUrl,
    REDIS_URL: redisUrl,
    TIDEMARK_TOKENS: `default:${TOKEN}`,
    TIDEMARK_HOST: '127.0.0.1',
    TIDEMARK_PORT: '0',
    TIDEMARK_VERIFY_PER_SECOND: '0',
    TIDEMARK_SECRET_DEFAULT_ACCESS: KEYS.accessKey,
    TIDEMARK_SECRET_DEFAULT_SECRET: KEYS.secretKey,
  }
  const server = await startTidemark('serve', env, folder)
  const worker = await startTidemark('worker', env, folder)
  const stage: Stage = {
    pool,
    ground,
    tools: await openS3Tools({ url: slow.url, ...KEYS, bucket: BUCKET, folder }),
    api: server.url,
    slow,
    bucketDir: join(dir, 'objects', BUCKET),
  }
  return {
    stage,
    async stop() {
      await Promise.all([server.stop(), worker.stop(), slow.stop()])
      await store.stop()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

// -------------------------------------------------------------------------------------------------- measure

/** Objects per second of each side. */
async function measure(stage: Stage, load: Load): Promise<Measured> {
  const objects = load.snapshots * load.objects
  const perSecond = async (work: (ids: string[]) => Promise<void>, what = load) => {
    const ids = await layObjects(stage, what)
    const begun = performance.now()
    await work(ids)
    return (what.snapshots * what.objects * 1000) / (performance.now() - begun)
  }
  const s3cmd = await perSecond(() => stage.tools.s3cmd('flink/'))
  const rclone = await perSecond(() => stage.tools.rclone('flink/'), {
    ...load,
    ...(load.snapshots > 1
      ? { snapshots: Math.ceil(load.snapshots / RCLONE_SHARE) }
      : { objects: Math.ceil(load.objects / RCLONE_SHARE) }),
  })
  let requests = 0
  const ours = await perSecond(async (ids) => {
    await request(`${stage.slow.url}/__requests`, { method: 'DELETE' })
    await clear(stage, ids)
    const answer = await request(`${stage.slow.url}/__requests`)
    requests = ((await answer.body.json()) as { requests: number }).requests
  })
  return { s3cmd, rclone, ours, requests: (requests * 1000) / objects }
}

/** Savepoints whose `_metadata` names each of their files. */
async function layObjects({ pool, ground, bucketDir }: Stage, load: Load): Promise<string[]> {
  await clearSnapshots(pool)
  await rm(join(bucketDir, 'flink'), { recursive: true, force: true })
  const metadata = writeMetadata(
    buildSavepointMetadata({
      version: 4,
      checkpointId: 1n,
      operators: [
        {
          id: '1'.repeat(32),
          parallelism: load.objects - 1,
          maxParallelism: defaultMaxParallelism(load.objects - 1),
          keyedState: (subtask) => ({ relativePath: `state-${subtask}`, size: 1n }),
        },
      ],
    }),
  )
  const ids = Array.from({ length: load.snapshots }, () => v7())
  for (const id of ids) {
    const folder = join(bucketDir, prefixOf(id), '1', 'savepoint-1')
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, '_metadata'), metadata)
    for (let from = 0; from < load.objects - 1; from += 100) {
      const count = Math.min(100, load.objects - 1 - from)
      await Promise.all(
        Array.from({ length: count }, (_, index) => writeFile(join(folder, `state-${from + index}`), 'x')),
      )
    }
  }
  await pool.query(
    `insert into snapshot (id, namespace_id, job_id, storage_id, kind, status, reason, source, description, attempt,
       created_by, owned_prefix, location, location_key, completed_at, settled_at)
     select s.id::uuid, $2, $3, $4, 'SAVEPOINT', 'Creating', 'REQUESTED', 'MANUAL', 'bench', 1, 'bench', s.prefix,
       s.prefix || '1/savepoint-1', s.prefix || '1/savepoint-1', now(), now()
     from jsonb_to_recordset($1::jsonb) as s(id text, prefix text)`,
    [
      JSON.stringify(ids.map((id) => ({ id, prefix: `s3://${BUCKET}/${prefixOf(id)}/` }))),
      ground.namespaceId,
      ground.jobs[0]?.id,
      ground.storageId,
    ],
  )
  await pool.query(`update snapshot set status = 'Present', reason = 'COMPLETED'`)
  await pool.query('vacuum analyze snapshot')
  return ids
}

/** As Flink chooses it where nobody says (KeyGroupRangeAssignment.computeDefaultMaxParallelism). */
const defaultMaxParallelism = (parallelism: number): number =>
  Math.min(Math.max(2 ** Math.ceil(Math.log2(parallelism * 1.5)), 128), 32_768)

const prefixOf = (id: string) => `flink/default/job-0/savepoints/${id}`

async function clear({ api, pool }: Stage, ids: readonly string[]): Promise<void> {
  const headers = { authorization: `Bearer ${TOKEN}` }
  await runLoad(ids.length, 16, async (index) => {
    const answer = await request(`${api}/v1/snapshots/${ids[index]}?force=true`, {
      method: 'DELETE',
      headers,
    })
    const text = await answer.body.text()
    if (answer.statusCode !== 202) throw new Error(`DELETE answered ${answer.statusCode}: ${text}`)
  })
  for (;;) {
    const { rows } = await pool.query<{ open: string }>(
      `select count(*) as open from snapshot where status <> 'Cleared'`,
    )
    if (rows[0]?.open === '0') return
    await sleep(20)
  }
}

function summarize(measured: Map<string, Measured[]>) {
  const loads = [...measured]
  return {
    ratios: loads.flatMap(([name, rounds]) => [
      {
        name: `B4 ${name}`,
        what: 'objects/s ÷ s3cmd',
        bar: { is: 'at least' as const, first: 1, goal: 2 },
        rounds: rounds.map(({ ours, s3cmd }) => ours / s3cmd),
      },
      {
        name: `B4 ${name}, rclone`,
        what: 'objects/s ÷ rclone',
        bar: { is: 'at least' as const, first: 1, goal: 2 },
        rounds: rounds.map(({ ours, rclone }) => ours / rclone),
      },
      {
        name: `B4 ${name}, requests`,
        what: 'S3 requests per 1,000 objects, every look and verification included',
        bar: { is: 'at most' as const, first: name.startsWith('1 ×') ? 2.6 : 60, goal: null },
        rounds: rounds.map(({ requests }) => requests),
      },
    ]),
    figures: loads.flatMap(([, rounds]) =>
      rounds.map(({ s3cmd, rclone, ours, requests }) => ({
        's3cmd objects/s': s3cmd,
        'rclone objects/s': rclone,
        'ours objects/s': ours,
        'requests per 1,000': requests,
      })),
    ),
  }
}
