import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const SAMPLES = 'test/support/flink-metadata-samples'
const EXPECTED: Record<string, object> = JSON.parse(readFileSync(`${SAMPLES}/expected.json`, 'utf8'))

function inspect(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['--import', 'tsx', 'src/cli/main.ts', 'inspect', ...args],
      { maxBuffer: 64 * 1024 * 1024 },
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
})
