/** Jobs of a simulated Flink whose savepoints go on until the benchmark ends. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool } from 'pg'
import { request } from 'undici'
import { type Child, startScript, startTidemark } from './child.ts'
import { type Ground, layGround, TOKEN } from './ground.ts'
import { runLoad } from './load.ts'
import type { BenchServices } from './services.ts'

export type InFlightStage = {
  ground: Ground
  env: Record<string, string>
  server: Child
  /** Counting begins anew. */
  forget(): Promise<void>
  /** How many savepoints somebody has looked at since. */
  looked(): Promise<number>
  /** Begins one savepoint of each of these jobs; resolves when Flink has been asked for all. */
  begin(first: number, count: number): Promise<void>
  stop(): Promise<void>
}

export async function raiseInFlightStage(
  { databaseUrl, redisUrl, folder }: BenchServices,
  pool: Pool,
  jobs: number,
  nodeOptions: readonly string[] = [],
): Promise<InFlightStage> {
  const ground = await layGround(pool, jobs)
  const file = join(folder, 'in-flight.json')
  await writeFile(file, JSON.stringify(ground.jobs.map(({ flinkJobId, name }) => ({ id: flinkJobId, name }))))
  const flink = await startScript('flink-in-flight.ts', [file], folder)
  const { flink: url } = await readCounter(flink.url)
  await pool.query('update cluster set url = $1', [url])
  const env = {
    DATABASE_URL: databaseUrl,
    REDIS_URL: redisUrl,
    TIDEMARK_TOKENS: `default:${TOKEN}`,
    TIDEMARK_HOST: '127.0.0.1',
    TIDEMARK_PORT: '0',
  }
  const server = await startTidemark('serve', env, folder, nodeOptions)
  return {
    ground,
    env,
    server,
    async forget() {
      await (await request(flink.url, { method: 'POST' })).body.text()
    },
    looked: async () => (await readCounter(flink.url)).looked,
    async begin(first, count) {
      await untilAllRun(pool, jobs)
      const chosen = ground.jobs.slice(first, first + count)
      await runLoad(chosen.length, 16, async (index) => {
        const answer = await request(`${server.url}/v1/jobs/${chosen[index]?.name}/savepoints`, {
          method: 'POST',
          headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
          body: JSON.stringify({ timeoutSeconds: 7_200 }),
        })
        const text = await answer.body.text()
        if (answer.statusCode !== 202) throw new Error(`POST answered ${answer.statusCode}: ${text}`)
      })
      await until(pool, 'select count(*) as found from attempt where asked_at is not null', first + count)
    },
    async stop() {
      await Promise.all([server.stop(), flink.stop()])
    },
  }
}

type Counter = { looked: number; flink: string }

const readCounter = async (url: string): Promise<Counter> =>
  (await (await request(url)).body.json()) as Counter

const untilAllRun = (pool: Pool, jobs: number) =>
  until(
    pool,
    'select count(*) as found from job j join run r on r.id = j.current_run_id and r.all_tasks_running',
    jobs,
  )

async function until(pool: Pool, text: string, wanted: number): Promise<void> {
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(100)) {
    const { rows } = await pool.query<{ found: string }>(text)
    if (Number(rows[0]?.found) >= wanted) return
  }
  throw new Error(`within a minute there were not ${wanted}: ${text}`)
}
