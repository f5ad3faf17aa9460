/** From a snapshot in Flink to an alert: what a running installation answers a scrape is what the shipped rules fire on. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { providePromtool } from '../../dev/services/promtool.ts'
import { until } from '../support/api.ts'
import { openSimulatedFlink } from '../support/flink-under-test.ts'
import { openScene, type Scene } from './scene.ts'

const run = promisify(execFile)
const RULES = join(import.meta.dirname, '../../deploy/prometheus/tidemark.rules.yml')
const AGE = 'tidemark_job_restore_point_age_seconds'

let scene: Scene
let promtool: string

beforeAll(async () => {
  promtool = await providePromtool()
  scene = await openScene('freshness', openSimulatedFlink('2.3.0'), 'local')
}, 180_000)
afterAll(() => scene?.close())

type Sample = { series: string; value: number }

async function scrape(namespace: 'default' | 'other'): Promise<Sample[]> {
  const tokens = scene.system.env['TIDEMARK_TOKENS'] ?? ''
  const token = new Map(tokens.split(',').map((pair) => pair.split(':') as [string, string])).get(namespace)
  const answer = await fetch(`${scene.system.api.url}/metrics`, {
    headers: { authorization: `Bearer ${token}` },
  })
  expect(answer.status).toBe(200)
  return [...(await answer.text()).matchAll(/^(tidemark_\w+(?:\{.*\})?) (\S+)$/gm)].map(
    ([, series = '', value]) => ({ series, value: Number(value) }),
  )
}

const seriesOf = (metric: string, job: string) => (sample: Sample) =>
  sample.series.startsWith(`${metric}{`) && sample.series.includes(`job="${job}"`)

async function ageOf(job: string): Promise<Sample> {
  const sample = (await scrape('default')).find(seriesOf(AGE, job))
  if (sample === undefined) throw new Error(`no ${AGE} of ${job}`)
  return sample
}

/** Which alerts are firing at minute `atMin` when each scraped series goes on as `values` say, one a minute. */
async function firing(
  samples: Sample[],
  values: (sample: Sample) => string,
  atMin: number,
): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-promtool-'))
  const file = join(folder, 'scraped.test.json') // JSON is YAML
  const test = (expected: string[]) => ({
    interval: '1m',
    input_series: samples.map((sample) => ({ series: sample.series, values: values(sample) })),
    promql_expr_test: [
      {
        expr: 'ALERTS{alertname="TidemarkRestorePointTooOld",alertstate="firing"}',
        eval_time: `${atMin}m`,
        exp_samples: expected.map((labels) => ({ labels, value: 1 })),
      },
    ],
  })
  const passes = async (expected: string[]) => {
    await writeFile(
      file,
      JSON.stringify({ rule_files: [RULES], evaluation_interval: '1m', tests: [test(expected)] }),
    )
    return run(promtool, ['test', 'rules', file]).then(
      () => true,
      () => false,
    )
  }
  const alert = (job: string, severity: string) =>
    `ALERTS{alertname="TidemarkRestorePointTooOld", alertstate="firing", job="${job}", namespace="default", severity="${severity}"}`
  const jobs = samples.flatMap(({ series }) => /\bjob="([^"]+)"/.exec(series)?.[1] ?? [])
  try {
    for (const severities of [[], ['warning'], ['warning', 'critical']]) {
      const expected = [...new Set(jobs)].flatMap((job) => severities.map((severity) => alert(job, severity)))
      if (await passes(expected)) return severities
    }
    throw new Error('promtool sees other alerts than those of this job')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

describe('the freshness of restore points', () => {
  it('falls with a savepoint, grows while snapshots fail, and fires the shipped alert [N-15]', async () => {
    const job = await scene.newJob()
    const saved = await job.savepoint({}, { waitSeconds: 30 })
    expect(saved.body.status).toBe('Present')
    const fresh = await ageOf(job.name)
    expect(fresh.value).toBeLessThan(30)

    await job.flink.failSnapshots('the disk is full')
    const failed = await job.savepoint({}, { waitSeconds: 30 })
    expect(failed.body.status).toBe('Failed')
    await until('the age grows', async () => (await ageOf(job.name)).value > fresh.value + 1)

    const scraped = (await scrape('default')).filter(({ series }) => series.includes(`job="${job.name}"`))
    expect(scraped.map(({ series }) => series.split('{')[0])).toEqual(
      expect.arrayContaining([AGE, 'tidemark_job_observation_age_seconds']),
    )
    const age = Math.round(fresh.value)
    const growing = ({ series }: Sample) => (series.startsWith(AGE) ? `${age}+60x90` : '1x90')
    const staying = ({ series }: Sample) => (series.startsWith(AGE) ? `${age}x90` : '1x90')
    expect(await firing(scraped, staying, 80)).toEqual([])
    expect(await firing(scraped, growing, 10)).toEqual([])
    expect(await firing(scraped, growing, 20)).toEqual(['warning'])
    expect(await firing(scraped, growing, 70)).toEqual(['warning', 'critical'])

    await job.flink.obeyNothing()
    await job.flink.untilRunning()
    const again = await until('a savepoint completes', async () => {
      const { body } = await job.savepoint({}, { waitSeconds: 30 })
      return body.status === 'Present'
    })
    expect(again).toBe(true)
    expect((await ageOf(job.name)).value).toBeLessThan(20)
  })

  it('is shown to nobody but its namespace [N-15]', async () => {
    const job = await scene.newJob()
    await until('the job has an age', async () => (await scrape('default')).some(seriesOf(AGE, job.name)))
    const samples = await scrape('other')
    expect(samples.filter(({ series }) => series.includes('namespace="default"'))).toEqual([])
    expect(samples).toContainEqual({ series: 'tidemark_job_metrics_up', value: 1 })
  })
})
