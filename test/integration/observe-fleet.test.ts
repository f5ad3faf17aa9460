/** Ten thousand running jobs on ten simulated clusters, three workers, one Postgres. */
import { v7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createCheckpointRepository } from '../../src/db/checkpoints.ts'
import type { Database } from '../../src/db/client.ts'
import { createObservationRepository } from '../../src/db/observations.ts'
import { createFlinkConnections } from '../../src/flink/connections.ts'
import type { FlinkConnections } from '../../src/ports/flink.ts'
import { createCheckpointObserver } from '../../src/services/observe-checkpoints.ts'
import { createClusterObserver } from '../../src/services/observe-cluster.ts'
import { type ClusterWatch, createClusterWatch } from '../../src/services/observe-clusters.ts'
import { type SimulatedFlink, startSimulatedFlink } from '../../src/simulated-flink/start.ts'
import { until } from '../support/api.ts'
import { openMigratedDatabase, type TestDatabase } from '../support/database.ts'
import { createCaller } from '../support/fixtures.ts'

const CLUSTERS = 10
const JOBS_EACH = 1_000
const JOBS = CLUSTERS * JOBS_EACH
const SILENT = { info: () => undefined, warn: () => undefined, error: () => undefined }

let database: TestDatabase
let flinks: SimulatedFlink[]
let connections: FlinkConnections
let statements: string[] = []
let polls: { worker: string; cluster: string }[] = []
let looks = 0

beforeAll(async () => {
  database = await openMigratedDatabase('observe-fleet')
  const { namespaceId } = await createCaller(database.db, 'default')
  const storageId = v7()
  await database.db.sql(
    `insert into storage (id, namespace_id, name, uri, root_key, provider) values ($1, $2, 'state', 's3://b/f', 's3://b/f/', 'flink-only')`,
    [storageId, namespaceId],
  )
  flinks = []
  for (let cluster = 0; cluster < CLUSTERS; cluster++) {
    const flink = await startSimulatedFlink({
      memoryFiles: true,
      checkpointDir: 's3://b/f/checkpoints',
      hooks: {
        onRequest({ route }) {
          if (route === 'checkpoints') looks += 1
          return undefined
        },
      },
    })
    flinks.push(flink)
    const jobs = flink.seedRunningJobs({ count: JOBS_EACH, name: (index) => `job-${cluster}-${index}` })
    const clusterId = v7()
    await database.db.sql('insert into cluster (id, namespace_id, name, url) values ($1, $2, $3, $4)', [
      clusterId,
      namespaceId,
      `cluster-${cluster}`,
      flink.url,
    ])
    await database.db.sql(
      `insert into job (id, namespace_id, name, cluster_id, savepoint_storage_id, attach_flink_job_name)
       select j.key, $2, j.name, $3, $4, j.name from jsonb_to_recordset($1::jsonb) as j(key uuid, name text)`,
      [JSON.stringify(jobs.map(({ name }) => ({ key: v7(), name }))), namespaceId, clusterId, storageId],
    )
  }
  connections = createFlinkConnections(
    { read: async () => '' },
    { connectTimeoutMs: 5_000, requestTimeoutMs: 30_000, maxBodyBytes: 32 << 20, connections: 8 },
  )
}, 120_000)

afterAll(async () => {
  await connections?.close()
  await Promise.all(flinks?.map((flink) => flink.stop()) ?? [])
  await database?.drop()
})

/** As `tidemark worker` builds it, with its statements and polls counted. */
function startWatch(name: string): ClusterWatch {
  const db: Database = {
    ...database.db,
    sql: ((text: string, values?: unknown[], statement?: string) => {
      statements.push(statement ?? text)
      return database.db.sql(text, values, statement)
    }) as Database['sql'],
  }
  const observations = createObservationRepository(db, () => v7())
  const observe = createClusterObserver({
    observations,
    flink: connections,
    log: SILENT,
    lostAfterMs: 300_000,
    checkpoints: createCheckpointObserver({
      checkpoints: createCheckpointRepository(db, () => v7()),
      intervalMs: 0,
      concurrency: 8,
    }),
  })
  return createClusterWatch({
    observations,
    observe: (worker, cluster, followed) => {
      polls.push({ worker: name, cluster: cluster.name })
      return observe(worker, cluster, followed)
    },
    newId: () => v7(),
    log: SILENT,
    leaseMs: 60_000,
    concurrency: 64,
  })
}

describe('ten thousand jobs', () => {
  it('are observed by three workers, each cluster by one of them, and cost no write while nothing changes', async () => {
    const watches = ['a', 'b', 'c'].map(startWatch)
    const round = () => Promise.all(watches.map((watch) => watch.round()))
    const count = async (what: string) =>
      (await database.db.sql<{ n: number }>(`select count(*) as n from ${what}`))[0]?.n
    await until(
      'every job has its run and its ten checkpoints',
      async () => {
        await round()
        return (
          (await count('run where checkpoint_config is not null')) === JOBS &&
          (await count(`snapshot where kind = 'CHECKPOINT'`)) === 10 * JOBS
        )
      },
      150_000,
    )
    await until('the workers have shared the clusters', async () => {
      await round()
      const shares = await database.db.sql<{ n: number }>(
        'select count(*) as n from cluster group by observer_id',
      )
      return shares.length === 3 && shares.every(({ n }) => n <= Math.ceil(CLUSTERS / 3))
    })
    await until('nothing is read again', async () => {
      statements = []
      await round()
      return !statements.includes('followed-jobs')
    })
    await settled()

    statements = []
    polls = []
    looks = 0
    for (let cycle = 0; cycle < 3; cycle++) {
      await round()
      await settled()
    }
    expect(looks).toBeGreaterThanOrEqual(3 * JOBS)
    expect(new Set(statements)).toEqual(new Set(['heartbeat', 'claim-clusters', 'own-clusters']))
    expect(statements.length * 1_000).toBeLessThanOrEqual(5 * looks)
    const pairs = new Set(polls.map(({ worker, cluster }) => `${cluster} by ${worker}`))
    expect(pairs.size).toBe(CLUSTERS)
    await Promise.all(watches.map((watch) => watch.close()))
  }, 240_000)
})

/** Polls go on after the round that began them: until no statistics have been asked for a moment. */
async function settled(): Promise<void> {
  let before = -1
  await until('the polls are done', async () => {
    const quiet = before === looks && looks > 0
    before = looks
    await new Promise((resolve) => setTimeout(resolve, 400))
    return quiet
  })
}
