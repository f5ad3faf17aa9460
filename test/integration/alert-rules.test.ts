/** The alert rules that `deploy/` ships, checked and run by promtool itself. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { providePromtool } from '../../dev/services/promtool.ts'

const run = promisify(execFile)
const folder = join(import.meta.dirname, '../../deploy/prometheus')
const read = (name: string) => readFile(join(folder, name), 'utf8')
let promtool: string

/** The first time it is fetched. */
beforeAll(async () => {
  promtool = await providePromtool()
}, 180_000)

describe('the alert rules', () => {
  it('are rules that Prometheus accepts', async () => {
    const { stdout } = await run(promtool, ['check', 'rules', 'tidemark.rules.yml'], { cwd: folder })
    expect(stdout).toMatch(/SUCCESS: \d+ rules found/)
  })

  it('fire when checkpoints fail and the age grows, and not while it is fresh', async () => {
    const { stdout } = await run(promtool, ['test', 'rules', 'tidemark.rules.test.yml'], { cwd: folder })
    expect(stdout).toContain('SUCCESS')
  })

  it('are seen firing in a test each', async () => {
    const find = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, name]) => name)
    const alerts = find(await read('tidemark.rules.yml'), /- alert: (\w+)/g)
    const fired = find(await read('tidemark.rules.test.yml'), /alertname: (\w+)\n +exp_alerts:/g)
    expect(alerts.length).toBeGreaterThan(5)
    expect(new Set(fired)).toEqual(new Set(alerts))
  })
})
