/** What `deploy/` ships speaks of the metrics that the code exports, and of no others. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { freePort } from '../../dev/flink/free-port.ts'
import { createWorkerHttp } from '../../src/worker-http.ts'

const read = (name: string) => readFileSync(fileURLToPath(new URL(`../../${name}`, import.meta.url)), 'utf8')

type Panel = {
  id: number
  type: string
  title: string
  gridPos: { x: number; y: number; w: number; h: number }
  targets?: { expr?: string; refId?: string; datasource: { uid: string } }[]
}
type Dashboard = {
  uid: string
  schemaVersion: number
  panels: Panel[]
  templating: { list: { name: string; type: string; query: unknown }[] }
}
type Rules = { groups: { rules: { alert?: string; record?: string; expr: string }[] }[] }

const dashboard: Dashboard = JSON.parse(read('deploy/grafana/tidemark.json'))
const rules: Rules = parse(read('deploy/prometheus/tidemark.rules.yml'))
const targets = dashboard.panels.flatMap(({ targets: each = [] }) => each)

/** A histogram is asked for by its parts. */
const metricsIn = (text: string): Set<string> =>
  new Set([...text.matchAll(/\btidemark_\w+/g)].map(([name]) => name.replace(/_(bucket|sum|count)$/, '')))

/** By their declarations: the API's are made anew at each scrape. */
const exported = new Set(
  ['src/worker-http.ts', 'src/http/routes/system/get-metrics.ts'].flatMap((file) =>
    [...read(file).matchAll(/name: '(tidemark_\w+)'/g)].map(([, name = '']) => name),
  ),
)

describe('the metrics that deploy/ names', () => {
  it.each([
    ['the rules', read('deploy/prometheus/tidemark.rules.yml')],
    ['their tests', read('deploy/prometheus/tidemark.rules.test.yml')],
    ['the dashboard', read('deploy/grafana/tidemark.json')],
    ['the README', read('deploy/README.md')],
  ])('are exported by the code: %s', (_what, text) => {
    const named = metricsIn(text)
    expect(named.size).toBeGreaterThan(0)
    expect([...named].filter((name) => !exported.has(name))).toEqual([])
  })

  it('are what a worker really answers', async () => {
    const http = createWorkerHttp({
      readJobs: async () => [],
      readInstallation: async () => ({
        clearingOldestSeconds: 1,
        sweepLagSeconds: 2,
        snapshots: { Present: 3 },
      }),
    })
    http.meter.settled({ outcome: 'Present', reason: 'COMPLETED', durationMs: 1000 })
    const port = await freePort()
    await http.listen('127.0.0.1', port)
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    await http.close()
    const fromWorker = new Set(
      [...read('src/worker-http.ts').matchAll(/name: '(tidemark_\w+)'/g)].map(([, name = '']) => name),
    )
    expect(metricsIn(text)).toEqual(fromWorker)
    expect(text).toContain('tidemark_savepoints_total{outcome="Present",reason="COMPLETED"} 1')
  })

  it('are each on a panel of the dashboard', () => {
    expect(metricsIn(targets.map(({ expr }) => expr).join('\n'))).toEqual(exported)
  })
})

describe('the dashboard', () => {
  it('has panels with ids of their own, each with expressions', () => {
    const ids = dashboard.panels.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    for (const { type, title, targets: each = [] } of dashboard.panels) {
      expect(each.length > 0, title).toBe(type !== 'row')
      expect(new Set(each.map(({ refId }) => refId)).size).toBe(each.length)
      for (const { expr = '' } of each) expect(expr.trim(), title).not.toBe('')
    }
  })

  it('has no panel upon another', () => {
    const taken = new Set<string>()
    for (const { title, gridPos } of dashboard.panels) {
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.has(`${x},${y}`), title).toBe(false)
          taken.add(`${x},${y}`)
        }
      }
    }
  })

  it('asks the data source, the namespaces and the jobs that were chosen, and uses each choice', () => {
    expect(dashboard.schemaVersion).toBeGreaterThanOrEqual(37)
    expect(dashboard.templating.list.map(({ name, type }) => [name, type])).toEqual([
      ['datasource', 'datasource'],
      ['namespace', 'query'],
      ['job', 'query'],
    ])
    for (const { expr = '', datasource } of targets) {
      expect(datasource.uid).toBe(`\${datasource}`)
      if (!expr.includes('tidemark_job_') || expr.includes('_metrics_up')) continue
      expect(expr).toContain('namespace=~"$namespace",job=~"$job"')
    }
  })
})

describe('the alert rules', () => {
  it('never add up what every process reports of the whole installation', () => {
    const exprs = rules.groups.flatMap((group) => group.rules.map(({ expr }) => expr))
    for (const expr of [...exprs, ...targets.map(({ expr: each = '' }) => each)]) {
      expect(expr).not.toMatch(/sum[^)]*tidemark_(job_|snapshots|clearing|sweep)/)
    }
  })
})
