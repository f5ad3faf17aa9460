/**
 * One random run, planned by its seed: clients order savepoints, clear them, set rules, and start and stop a job, while
 * faults strike; when the faults have ended everything must drain without a hand, and the history is collected.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { createDatabase } from '../../dev/services/database.ts'
import { migrate } from '../../src/db/migrate.ts'
import { MIGRATIONS } from '../support/database.ts'
import { checkHistory, type Verdict } from './checker.ts'
import { runClient } from './clients.ts'
import { findRandomCrashPoints } from './crash-point-names.ts'
import type { History } from './history.ts'
import { createRandom, type Random } from './random.ts'
import { STRIKE_NAMES, STRIKES, type Strike, type StrikeName } from './strikes.ts'
import { runCleaner, runOperator, runRuler } from './wishing-clients.ts'
import { LIMITS, openWorld, type World } from './world.ts'

export type RunReport = {
  seed: number
  history: History
  verdict: Verdict
  struck: StrikeName[]
  /** What each part took, in ms. */
  tookMs: { start: number; faults: number; drain: number; all: number }
  /** What was in the way of draining: the open rows, and what Postgres was doing. */
  stuck: object[]
  /** What our processes printed. */
  output: string
}

const FAULTS_MS = 6_000
/** On a machine that is busy with other things clients go on until there are so many. */
const ENOUGH_CALLS = 40
const STRIKES_PER_RUN = 7

type PlannedStrike = { name: StrikeName; atMs: number; strike: Strike }
type RunPlan = {
  clusters: number
  jobsPerCluster: number
  crashAt: { server?: string; workers: (string | undefined)[] }
  strikes: PlannedStrike[]
}

export async function planRun(seed: number): Promise<RunPlan> {
  const random = createRandom(seed)
  const points = await findRandomCrashPoints()
  const worker = points.filter((point) => point.process === 'worker')
  const server = points.filter((point) => point.process === 'server')
  const byItself = worker.filter(({ name }) => /^(?:clearing|schedule)-/.test(name))
  const passage = (name: string, most = 4) => `${name}:${random.int(1, most)}`
  const crashingServer = random.chance(0.4) && random.pick(server).name
  return {
    clusters: random.int(1, 2),
    jobsPerCluster: random.int(2, 3),
    crashAt: {
      ...(crashingServer && { server: passage(crashingServer) }),
      workers: [
        random.chance(0.6) ? passage(random.pick(worker).name) : undefined,
        random.chance(0.6) ? passage(random.pick(byItself).name, 2) : undefined,
      ],
    },
    strikes: planStrikes(seed, random.fork()),
  }
}

/** Neighbouring seeds walk through all kinds of faults in turn; the rest is chance. */
function planStrikes(seed: number, random: Random): PlannedStrike[] {
  const first = (seed * 2) % STRIKE_NAMES.length
  // What would else be exercised too rarely.
  const always: StrikeName = seed % 2 === 0 ? 'completion after the deadline' : 'store refuses keys'
  const turn = [...new Set([always, ...[...STRIKE_NAMES, ...STRIKE_NAMES].slice(first, first + 2)])]
  const rest = random
    .shuffle(STRIKE_NAMES.filter((name) => !turn.includes(name)))
    .slice(0, STRIKES_PER_RUN - turn.length)
  return random
    .shuffle([...turn, ...rest])
    .map((name) => ({ name, atMs: atMsOf(name, random), strike: STRIKES[name](random.fork()) }))
    .sort((a, b) => a.atMs - b.atMs)
}

/** Not before there is something to lose; what takes long begins early, so that it comes to its end among the others. */
function atMsOf(name: StrikeName, random: Random): number {
  if (name === 'completion after the deadline') return random.int(100, 400)
  return random.int(name === 'store refuses keys' ? 2_500 : 1_000, FAULTS_MS - 1_000)
}

async function runSeed(seed: number, template: string): Promise<RunReport> {
  const startedAt = Date.now()
  const plan = await planRun(seed)
  const random = createRandom(seed).fork()
  const world = await openWorld({
    ...plan,
    template,
    managed: true,
    name: `faults-${seed}`,
    random: random.fork(),
  })
  try {
    const faultsAt = Date.now()
    await strikeAndOrder(world, plan.strikes, random)
    await endFaults(world)
    const faultsEndedAt = Date.now()
    const openAtFaultsEnd = await countOpen(world.system.databaseUrl)
    const drainedAt = await drain(world)
    const stuck = drainedAt === null ? await describeStuck(world.system.databaseUrl) : []
    await world.halt()
    const history: History = {
      seed,
      limits: LIMITS,
      disturbances: world.disturbances,
      faultsEndedAt,
      openAtFaultsEnd,
      drainedAt,
      ...(await world.collect()),
    }
    return {
      seed,
      history,
      verdict: checkHistory(history),
      struck: plan.strikes.map(({ name }) => name),
      tookMs: {
        start: faultsAt - startedAt,
        faults: faultsEndedAt - faultsAt,
        drain: (drainedAt ?? Date.now()) - faultsEndedAt,
        all: Date.now() - startedAt,
      },
      stuck,
      output: world.system.output(),
    }
  } finally {
    await world.close()
  }
}

async function strikeAndOrder(
  world: World,
  strikes: readonly PlannedStrike[],
  random: Random,
): Promise<void> {
  const endsAt = Date.now() + FAULTS_MS
  const latestEnd = endsAt + FAULTS_MS
  const answered = () => world.calls.filter(({ status }) => status !== null).length
  const isOver = () => Date.now() > (answered() < ENOUGH_CALLS ? latestEnd : endsAt)
  const attached = world.clusters.flatMap(({ jobs }) => jobs.map(({ name }) => name))
  const client = (job: string) => ({
    api: () => world.system.api,
    job,
    random: random.fork(),
    calls: world.calls,
    wishes: world.wishes,
    isOver,
  })
  const { databaseUrl } = world.system
  const clients = [
    ...attached.map((job) => runClient(client(job))),
    ...[...attached, ...world.managedJobs].map((job) => runCleaner(client(job))),
    ...attached.map((job) => runRuler({ ...client(job), databaseUrl })),
    ...world.managedJobs.map((job) => runOperator(client(job))),
  ]
  const faults = strikes.map(async ({ atMs, strike }) => {
    await sleep(atMs)
    await strike(world)
  })
  await Promise.all([...clients, ...faults])
}

/** From here on nothing is in the way any more, and nobody helps. */
async function endFaults(world: World): Promise<void> {
  for (const cleanUp of world.cleanUps) cleanUp()
  for (const { faults, proxy } of world.clusters) {
    faults.clear()
    proxy.clear()
  }
  world.store.clear()
  world.store.proxy.clear()
  await world.settle()
}

const OPEN = `select (
    (select count(*) from snapshot
      where kind = 'SAVEPOINT' and (status = 'Creating' or settled_at is null or next_action_at is not null))
    + (select count(*) from clearing where ended_at is null)
    + (select count(*) from schedule where next_slot_at <= now())
    + (select count(*) from schedule_firing where outcome = 'PENDING')
    + (select count(*) from operation where ended_at is null))::int as open`

const STUCK = `
  select 'operation' as what, to_jsonb(o) - 'input' || jsonb_build_object('now', now()) as row from operation o where ended_at is null
  union all select 'clearing', to_jsonb(c) || jsonb_build_object('now', now()) from clearing c where ended_at is null
  union all select 'run', to_jsonb(r) - 'checkpoint_config' from run r
    where id in (select run_id from operation where ended_at is null)
  union all select 'session', jsonb_build_object('pid', pid, 'name', application_name, 'state', state, 'waits', wait_event,
      'since', state_change, 'blocked by', pg_blocking_pids(pid), 'statement', left(query, 200))
    from pg_stat_activity where datname = current_database() and (state <> 'idle' or wait_event_type = 'Lock')`

async function countOpen(databaseUrl: string): Promise<number> {
  const [row] = await readOnce<{ open: number }>(databaseUrl, OPEN)
  return row?.open ?? 0
}

const describeStuck = (databaseUrl: string): Promise<object[]> => readOnce(databaseUrl, STUCK)

async function readOnce<Line extends object>(databaseUrl: string, text: string): Promise<Line[]> {
  const client = new Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    return (await client.query<Line>(text)).rows
  } finally {
    await client.end()
  }
}

/** When nothing was open any more; null when that took longer than it may. */
async function drain({ system }: World): Promise<number | null> {
  const deadline = Date.now() + LIMITS.drainMs
  while (Date.now() < deadline) {
    if ((await countOpen(system.databaseUrl)) === 0) return Date.now()
    await sleep(100)
  }
  return null
}

// ---------------------------------------------------------------------------------------------------- in words

/** Everything somebody needs who wants to see it again. */
export function describeFailure(report: RunReport): string {
  const { seed, verdict, struck, history, tookMs, stuck, output } = report
  const ids = new Set(
    verdict.violations.flatMap(({ what }) => what.match(/[0-9a-f]{8}-[0-9a-f-]{27}/g) ?? []),
  )
  const concerned = [...ids].map((id) => ({
    snapshot: history.snapshots.find((snapshot) => snapshot.id === id),
    attempts: history.attempts
      .filter(({ snapshotId }) => snapshotId === id)
      .map((attempt) => ({
        ...attempt,
        flink: history.accepted.filter(({ triggerId }) => triggerId === attempt.triggerId),
      })),
    transitions: history.transitions.filter(({ snapshotId }) => snapshotId === id),
    clearing: history.clearings.find(({ snapshotId }) => snapshotId === id),
    wishes: history.wishes.filter(({ target }) => target === id),
    log: output
      .split('\n')
      .filter((line) => line.includes(id))
      .slice(-30),
  }))
  return [
    `seed ${seed} broke ${verdict.violations.length} times; again: npm run faults -- --runs 1 --seed ${seed}`,
    ...verdict.violations.map(({ rule, what }) => `  ${rule}: ${what}`),
    `  faults: ${struck.join(', ')}; ${JSON.stringify(tookMs)}`,
    `  disturbances: ${JSON.stringify(history.disturbances)}; faults ended at ${history.faultsEndedAt}`,
    ...stuck.map((row) => `  stuck: ${JSON.stringify(row)}`),
    JSON.stringify(concerned, null, 1).slice(0, 20_000),
  ].join('\n')
}

/** The seeds one after the other, two at a time. */
export async function runSeeds(
  seeds: readonly number[],
  tell: (report: RunReport) => void,
): Promise<RunReport[]> {
  const template = await createDatabase(process.env['TEST_DATABASE_URL'] ?? '', 'faults-template')
  await migrate(template.url, MIGRATIONS)
  const waiting = [...seeds]
  const reports: RunReport[] = []
  const lane = async () => {
    for (let seed = waiting.shift(); seed !== undefined; seed = waiting.shift()) {
      const report = await runSeed(seed, template.name)
      reports.push(report)
      tell(report)
    }
  }
  // Also when one lane breaks the other one closes what it has opened.
  const lanes = await Promise.allSettled([lane(), lane()])
  await template.drop()
  for (const ended of lanes) if (ended.status === 'rejected') throw ended.reason
  return reports
}
