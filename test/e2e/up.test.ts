/** `npm run up` as a newcomer types it: its own Postgres, the simulated Flink, a data directory that is kept. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { findStartTime } from '../../src/cli/embedded-postgres.ts'
import { apiClient, until } from '../support/api.ts'

type UpFile = {
  apiUrl: string
  token: string
  flinkUrl: string
  flinkKind: string
  flinkVersion: string
  storageRoot: string
  job: string
  snapshotId: string
  pids: number[]
}
type Up = { child: ChildProcess; ended: Promise<{ code: number | null; stdout: string; stderr: string }> }

const started = new Set<ChildProcess>()
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidemark-up-'))
  await chmod(folder, 0o755) // Postgres runs as another user when we are root
})
afterEach(() => {
  for (const child of started) child.kill('SIGTERM')
})
afterAll(() => rm(folder, { recursive: true, force: true }))

function startUp(...args: string[]): Up {
  const child = spawn(
    'npm',
    ['run', '--silent', 'up', '--', '--flink', 'simulated', '--port', '0', ...args],
    {
      env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '' },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  started.add(child)
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk: Buffer) => {
    output.stdout += chunk
  })
  child.stderr.on('data', (chunk: Buffer) => {
    if (!String(chunk).startsWith('npm warn')) output.stderr += chunk
  })
  // `close`, not `exit`: by then nobody holds the pipes, so nothing of it is running.
  const ended = once(child, 'close').then(() => {
    started.delete(child)
    return { code: child.exitCode, ...output }
  })
  return { child, ended }
}

const dataDir = (name: string) => join(folder, name)
const readUpFile = async (name: string): Promise<UpFile> =>
  JSON.parse(await readFile(join(dataDir(name), 'up.json'), 'utf8'))
const alive = (pids: readonly number[]) => pids.filter((pid) => findStartTime(pid) !== undefined)
const waitForUpFile = (name: string) =>
  until('up.json', async () => existsSync(join(dataDir(name), 'up.json')) && readUpFile(name), 100_000)

describe('npm run up -- --once', { timeout: 240_000 }, () => {
  it('takes a savepoint, says where it is, exits 0 and leaves no process', async () => {
    const { code, stdout, stderr } = await startUp('--once', '--data-dir', dataDir('once')).ended

    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain('The sample job was started without state.')
    expect(stdout).toMatch(/Savepoint of sample version 1: Present/)
    expect(stdout).toMatch(/location +file:\/\/\/\S+\n +size +[\d.]+ KiB\n +duration +[\d.]+ m?s/)
    expect(stdout).toContain('SIMULATED')
    expect(stdout).toMatch(/curl .*-X POST http:\/\/127\.0\.0\.1:\d+\/v1\/jobs\/sample\/savepoints/)
    const up = await readUpFile('once')
    expect(up).toMatchObject({
      flinkKind: 'simulated',
      job: 'sample',
      storageRoot: join(dataDir('once'), 'storage'),
    })
    expect(stdout).toContain(up.snapshotId)
    expect((await stat(join(dataDir('once'), 'up.json'))).mode & 0o777).toBe(0o600)
    expect(alive(up.pids)).toEqual([])
  })

  it('reuses the data of the run before, its key and the state of its job included [M-07]', async () => {
    const before = await readUpFile('once')
    const { code, stdout, stderr } = await startUp('--once', '--data-dir', dataDir('once')).ended

    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain('its data is from last time')
    // Its Flink is another one: the job goes on from what the one before left.
    expect(stdout).toMatch(
      new RegExp(`The sample job was started from file://\\S+${before.snapshotId}\\S+\\.`),
    )
    expect(stdout).toContain('sample version 1: Present') // no second version
    const after = await readUpFile('once')
    expect(after.token).toBe(before.token)
    expect(after.snapshotId).not.toBe(before.snapshotId)
  })

  it('answers a taken port with one sentence', async () => {
    const server: Server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' && address ? String(address.port) : ''
    const { code, stderr } = await startUp('--once', '--port', port, '--data-dir', dataDir('port')).ended
    server.close()

    expect(code).not.toBe(0)
    expect(stderr).toBe(`Port ${port} is taken; choose another with --port.\n`)
    expect(existsSync(dataDir('port'))).toBe(false)
  })

  it('answers a Flink that is not there with one sentence', async () => {
    const { code, stderr } = await startUp(
      '--once',
      '--flink',
      'http://127.0.0.1:9',
      '--data-dir',
      dataDir('gone'),
    ).ended

    expect(code).not.toBe(0)
    expect(stderr).toMatch(/^No Flink answers at http:\/\/127\.0\.0\.1:9: [^\n]+\n$/)
  })
})

describe('npm run up', { timeout: 240_000 }, () => {
  it('serves until it is told to stop, keeps its data directory to itself, and leaves no process', async () => {
    const first = startUp('--data-dir', dataDir('kept'))
    const up = await waitForUpFile('kept')
    const api = apiClient(up.apiUrl, up.token)
    const snapshot = await api.call('GET', `/v1/snapshots/${up.snapshotId}`)
    expect(snapshot.body).toMatchObject({ status: 'Present', jobVersion: 1, restorable: true })

    const second = await startUp('--once', '--data-dir', dataDir('kept')).ended
    expect(second.code).not.toBe(0)
    expect(second.stderr).toMatch(/^\S+ is in use by process \d+; [^\n]+\n$/)

    first.child.kill('SIGTERM') // npm alone: what it started must notice
    await first.ended
    expect(alive(up.pids)).toEqual([])
  })

  it('cleans up after a SIGKILL at the next start', async () => {
    const first = startUp('--data-dir', dataDir('killed'))
    const before = await waitForUpFile('killed')
    process.kill(before.pids[0] ?? 0, 'SIGKILL')
    await until('npm has noticed', async () => first.child.exitCode !== null, 30_000)

    const { code } = await startUp('--once', '--data-dir', dataDir('killed')).ended
    expect(code).toBe(0)
    expect(alive([...before.pids, ...(await readUpFile('killed')).pids])).toEqual([])
  })
})
