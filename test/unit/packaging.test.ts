/** What is shipped beside the code says the same as the code. No engine is needed: these files are read as text. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { SETTINGS } from '../../src/config.ts'

type Service = {
  image: string
  command?: string | string[]
  environment?: Record<string, unknown>
  healthcheck?: unknown
  depends_on?: Record<string, { condition: string }>
}

const path = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url))
const read = (name: string) => readFileSync(path(name), 'utf8')
const compose: { services: Record<string, Service> } = parse(read('docker-compose.yml'), { merge: true })
const dockerfile = read('Dockerfile')
const ours = Object.entries(compose.services).filter(([, { image }]) => image.startsWith('tidemark:'))
const settings = Object.values(SETTINGS)

/** At least major and minor: `18` or `latest` would be another image tomorrow. */
const PINNED = /^[\w./-]+:v?\d+\.\d+(\.\d+)?[\w.-]*$/

describe('the image', () => {
  it('is built from images pinned by version', () => {
    const bases = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, image]) => image)
    expect(bases.length).toBeGreaterThan(1)
    for (const base of bases) expect(base).toMatch(PINNED)
  })

  it('runs the Node version that package.json asks for, not as root, with a health check', () => {
    const { engines }: { engines: { node: string } } = JSON.parse(read('package.json'))
    expect(dockerfile).toContain(`FROM node:${engines.node.replace('>=', '')}-`)
    expect(dockerfile).toMatch(/^USER node$/m)
    expect(dockerfile).toMatch(/^HEALTHCHECK /m)
  })

  it('copies only what .dockerignore lets through', () => {
    const allowed = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1))
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, files = '']) =>
      files.split(' '),
    )
    for (const file of copied) expect(allowed.some((each) => `${file}/`.startsWith(`${each}/`))).toBe(true)
  })
})

describe('docker-compose.yml', () => {
  it('pins every image by version', () => {
    for (const { image } of Object.values(compose.services)) expect(image).toMatch(PINNED)
  })

  it('runs one image as migrate, serve and worker, after the migration', () => {
    expect(ours.map(([name, { command }]) => [name, command])).toEqual([
      ['migrate', ['migrate']],
      ['api', ['serve']],
      ['worker', ['worker']],
    ])
    for (const [name, { depends_on: needs = {} }] of ours) {
      if (name !== 'migrate') expect(needs['migrate']?.condition).toBe('service_completed_successfully')
    }
  })

  it('sets only settings that exist, and secrets', () => {
    const known = new Set<string>(settings.map(({ env }) => env))
    const names = ours.flatMap(([, { environment = {} }]) => Object.keys(environment))
    expect(names).toContain('DATABASE_URL')
    expect(names.filter((name) => !known.has(name) && !name.startsWith('TIDEMARK_SECRET_'))).toEqual([])
  })

  it('gives Redis a log and forbids it to evict', () => {
    const command = compose.services['redis']?.command ?? []
    expect([...command].join(' ')).toMatch(/--appendonly yes.*--maxmemory-policy noeviction/)
  })

  it('checks the health of everything that others wait for', () => {
    const waitedFor = Object.values(compose.services).flatMap(({ depends_on: needs = {} }) =>
      Object.entries(needs).flatMap(([name, { condition }]) =>
        condition === 'service_healthy' ? [name] : [],
      ),
    )
    for (const name of waitedFor) expect(compose.services[name]?.healthcheck).toBeDefined()
  })
})

describe('.env.example', () => {
  // `npx vitest run --project unit -u` writes it anew.
  it('names exactly the settings there are, with their help and default', async () => {
    const entries = settings.map(({ env, help, fallback }) => {
      const value: unknown = fallback()
      const isUnset = value === null || (Array.isArray(value) && value.length === 0)
      return `# ${help}\n${isUnset ? `#${env}=` : `${env}=${String(value)}`}\n`
    })
    const text = `# Every setting of Tidemark with its default; what is commented out is unset by default.\n# Secrets of storages and clusters are variables TIDEMARK_SECRET_<NAMESPACE>_…, which those name.\n\n${entries.join('\n')}`
    await expect(text).toMatchFileSnapshot(path('.env.example'))
  })
})
