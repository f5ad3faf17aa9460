import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const SAMPLES = 'test/support/flink-metadata-samples'
const EXPECTED: Record<string, object> = JSON.parse(readFileSync(`${SAMPLES}/expected.json`, 'utf8'))

type Outcome = { code: number; stdout: string; stderr: string }

const inspect = (...args: string[]): Promise<Outcome> => inspectWith({}, ...args)

/** Nothing of the environment of the test run may say where an API is. */
function inspectWith(env: Record<string, string>, ...args: string[]): Promise<Outcome> {
  const { TIDEMARK_API_URL: _url, TIDEMARK_TOKEN: _token, ...rest } = process.env
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['--import', 'tsx', 'src/cli/main.ts', 'inspect', ...args],
      { maxBuffer: 64 * 1024 * 1024, env: { ...rest, ...env } },
      (error, stdout, stderr) =>
        resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    )
  })
}

describe('tidemark inspect', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tidemark-inspect-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it('reads a folder and its _metadata file alike, without any server', async () => {
    const sample = `${SAMPLES}/v4-flink1.20-udf-rocksdb-savepoint-native`
    const [byFolder, byFile] = await Promise.all([
      inspect(sample, '-o', 'json'),
      inspect(`${sample}/_metadata`, '--output', 'json'),
    ])
    expect(byFolder.code).toBe(0)
    const { path: _a, ...one } = JSON.parse(byFolder.stdout)
    const { path: _b, ...other } = JSON.parse(byFile.stdout)
    expect(one).toEqual(other)
    expect(one).toMatchObject({ version: 4, checkpointId: '1', format: 'native', selfContained: true })
  })

  it('prints one JSON line per path, and the fields of the expectations under their names', async () => {
    const names = Object.keys(EXPECTED).slice(0, 5)
    const { code, stdout } = await inspect(...names.map((name) => `${SAMPLES}/${name}`))
    expect(code).toBe(0)
    const lines = stdout.trim().split('\n')
    expect(lines).toHaveLength(names.length)
    lines.forEach((line, index) => {
      expect(JSON.parse(line)).toMatchObject(EXPECTED[names[index] ?? ''] ?? {})
    })
    expect(names.length).toBeGreaterThan(0)
  })

  it('answers 5 for what is not a readable snapshot, says why, and still reads the others', async () => {
    const broken = join(folder, '_metadata')
    await writeFile(
      broken,
      readFileSync(`${SAMPLES}/v4-flink1.20-udf-rocksdb-savepoint-native/_metadata`).subarray(0, 900),
    )
    const good = `${SAMPLES}/v6-flink2.2-operator-nonkeyed`
    const { code, stdout } = await inspect(broken, join(folder, 'nowhere'), good)
    expect(code).toBe(5)
    const [truncated, missing, read] = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(truncated.error.code).toBe('truncated')
    expect(missing.error.code).toBe('not-found')
    expect(read.version).toBe(6)
  })

  it('answers 2 for wrong usage', async () => {
    expect((await inspect()).code).toBe(2)
    expect((await inspect(folder, '-o', 'yaml')).code).toBe(2)
  })

  it('says that a place in a store is not a local path', async () => {
    const { code, stderr } = await inspect('s3://bucket/savepoint-1')
    expect(code).toBe(5)
    expect(stderr).toContain('not a local path')
    const several = await inspect('s3://bucket/savepoint-1', `${SAMPLES}/v6-flink2.2-operator-nonkeyed`)
    expect(several.code).toBe(5)
    expect(several.stdout.split('\n')[0]).toContain('not-local')
  })
})

describe('tidemark inspect <id>', () => {
  const ID = '01a1fc17-33fb-77dc-868c-270712e43ced'
  const servers: Server[] = []
  const serve = async (listener: RequestListener): Promise<string> => {
    const server = createServer(listener)
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port }: AddressInfo = server.address() as AddressInfo
    return `http://127.0.0.1:${port}`
  }
  afterAll(() => {
    for (const server of servers) server.close()
  })
  const problem =
    (status: number, code: string): RequestListener =>
    (_, response) =>
      response
        .writeHead(status, { 'content-type': 'application/problem+json' })
        .end(JSON.stringify({ status, code, detail: `because of ${code}` }))

  it('asks the API with the token, and names what is missing as wrong usage', async () => {
    const seen: (string | undefined)[] = []
    const url = await serve((request, response) => {
      seen.push(request.url, request.headers.authorization)
      problem(404, 'NOT_FOUND')(request, response)
    })
    const byOption = await inspect(ID, '--api-url', `${url}/`, '--token', 'secret-of-a-test')
    const byVariable = await inspectWith({ TIDEMARK_API_URL: url, TIDEMARK_TOKEN: 'secret-of-a-test' }, ID)
    for (const { code, stderr } of [byOption, byVariable]) {
      expect(code).toBe(5)
      expect(stderr).toContain('because of NOT_FOUND')
    }
    expect(new Set(seen)).toEqual(new Set([`/v1/snapshots/${ID}/inspection`, 'Bearer secret-of-a-test']))
    const unset = await inspect(ID)
    expect(unset.code).toBe(2)
    expect(unset.stderr).toContain('TIDEMARK_API_URL')
    expect((await inspect(ID, '--api-url', url)).stderr).toContain('TIDEMARK_TOKEN')
  })

  it('answers 1 when the API cannot be asked, in one sentence, and never follows it elsewhere', async () => {
    const nobody = await serve(() => undefined)
    await new Promise((resolve) => servers.pop()?.close(resolve))
    const asked: string[] = []
    const elsewhere = await serve((request, response) => {
      asked.push(request.url ?? '')
      response.end('{}')
    })
    const addresses = [
      nobody,
      'no address at all',
      await serve(problem(401, 'UNAUTHENTICATED')),
      await serve(problem(503, 'STORAGE_UNREACHABLE')),
      await serve((_, response) => response.end('<html>a proxy</html>')),
      await serve((_, response) => response.end('{"version": 4}')),
      await serve((_, response) => response.writeHead(302, { location: elsewhere }).end()),
    ]
    for (const url of addresses) {
      const { code, stdout, stderr } = await inspect(ID, '--api-url', url, '--token', 'secret-of-a-test')
      expect([url, code, stdout]).toEqual([url, 1, ''])
      expect(stderr.trim().split('\n')).toHaveLength(1)
      expect(stderr).not.toContain('secret-of-a-test')
    }
    expect(asked).toEqual([])
  })
})
