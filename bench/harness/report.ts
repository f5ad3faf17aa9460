/** Prints a benchmark and keeps it as JSON with everything needed to say what was measured. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import type { Benchmark, BenchOptions, BenchOutcome } from './benchmark.ts'
import { judge, type Verdict } from './verdict.ts'

const RESULTS = 'bench/results'
const PACKAGES = ['fastify', 'pg', 'bullmq', 'ioredis', 'undici', '@prisma/client', 'typescript']

export async function report(
  benchmark: Benchmark,
  options: BenchOptions,
  outcome: BenchOutcome,
): Promise<Verdict[]> {
  const verdicts = outcome.ratios.map(judge)
  for (const figures of outcome.figures) console.log(`  ${formatFigures(figures)}`)
  for (const verdict of verdicts) console.log(formatVerdict(verdict))
  await mkdir(RESULTS, { recursive: true })
  const at = new Date().toISOString()
  const file = join(RESULTS, `${benchmark.name}-${at.replace(/[:.]/g, '-')}.json`)
  const machine = { cpus: cpus().length, model: cpus()[0]?.model, memory: totalmem(), load: loadavg() }
  const content = {
    benchmark: benchmark.name,
    title: benchmark.title,
    at,
    ...options,
    machine: { ...machine, kernel: release() },
    versions: await readVersions(),
    ratios: verdicts,
    figures: outcome.figures,
  }
  await writeFile(file, `${JSON.stringify(content, null, 2)}\n`)
  console.log(`  ${file}`)
  return verdicts
}

const formatFigures = (figures: Record<string, number>): string =>
  Object.entries(figures)
    .map(([name, value]) => `${name} ${value >= 100 ? Math.round(value) : value.toFixed(2)}`)
    .join(' · ')

function formatVerdict({ name, what, median, spread, rounds, bar, verdict }: Verdict): string {
  const all = rounds.map((ratio) => ratio.toFixed(3)).join(' ')
  const wanted = `${bar.is} ${bar.first}${bar.goal === null ? '' : `, goal ${bar.goal}`}`
  return `${name}: ${verdict.toUpperCase()}  ${median.toFixed(3)} ± spread ${(spread * 100).toFixed(0)} % (${all})  ${what}; ${wanted}`
}

async function readVersions(): Promise<Record<string, string>> {
  const entries = PACKAGES.map(async (name) => [name, await readVersion(name)] as const)
  return { node: process.version, ...SERVICE_VERSIONS, ...Object.fromEntries(await Promise.all(entries)) }
}

async function readVersion(name: string): Promise<string> {
  const manifest: unknown = JSON.parse(await readFile(`node_modules/${name}/package.json`, 'utf8'))
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : 'unknown'
}

const SERVICE_VERSIONS: Record<string, string> = {}

/** Asked while the services run. */
export async function noteServiceVersions(databaseUrl: string): Promise<void> {
  const client = new Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    const { rows } = await client.query<{ version: string; fsync: string; full_page_writes: string }>(
      `select current_setting('server_version') as version, current_setting('fsync') as fsync,
         current_setting('full_page_writes') as full_page_writes`,
    )
    const [row] = rows
    if (!row) return
    SERVICE_VERSIONS['postgres'] = row.version
    SERVICE_VERSIONS['postgres.fsync'] = row.fsync
    SERVICE_VERSIONS['postgres.full_page_writes'] = row.full_page_writes
  } finally {
    await client.end()
  }
}
