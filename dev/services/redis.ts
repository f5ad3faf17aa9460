import { execFile } from 'node:child_process'
import { mkdir, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findProgram } from './cache.ts'
import { openRunFolder } from './run-folder.ts'
import { type ServiceProcess, startOnPort, startServiceProcess } from './service-process.ts'

export type RedisOptions = {
  port?: number
  /** Without it: a folder that goes with this process. */
  dir?: string
  /** Keeps the data over kill and restart; without it a restart is an empty Redis. */
  appendonly?: boolean
  /** `always` unless a benchmark asks for what production runs. */
  appendfsync?: 'always' | 'everysec'
}

export type RedisService = {
  readonly url: string
  readonly port: number
  stop(): Promise<void>
  kill(): Promise<void>
  /** On the same port. `empty` loses the append-only file too. */
  restart(options?: { empty?: boolean }): Promise<void>
  /** SIGSTOP: connections stay open and nobody answers. */
  pause(): void
  cont(): void
}

type Settings = {
  program: string
  port: number
  dir: string
  appendonly: boolean
  appendfsync: 'always' | 'everysec'
}

const run = promisify(execFile)

export async function startRedis({
  port,
  dir,
  appendonly = false,
  appendfsync = 'always',
}: RedisOptions = {}): Promise<RedisService> {
  const program = await provideRedisServer()
  return startOnPort(port, async (chosen) => {
    const ownDir = dir ?? join(await openRunFolder(), `redis-${chosen}`)
    const settings = { program, port: chosen, dir: ownDir, appendonly, appendfsync }
    const removeData = () => (dir ? undefined : rm(ownDir, { recursive: true, force: true }))
    return describe(settings, await launch(settings), removeData)
  })
}

function describe(
  settings: Settings,
  first: ServiceProcess,
  removeData: () => Promise<void> | undefined,
): RedisService {
  let current = first
  return {
    url: `redis://127.0.0.1:${settings.port}`,
    port: settings.port,
    async stop() {
      await current.stop()
      await removeData()
    },
    kill: () => current.kill(),
    async restart({ empty = false } = {}) {
      await current.stop()
      if (empty) await rm(join(settings.dir, 'appendonlydir'), { recursive: true, force: true })
      current = await launch(settings)
    },
    pause: () => current.signal('SIGSTOP'),
    cont: () => current.signal('SIGCONT'),
  }
}

async function launch({ program, port, dir, appendonly, appendfsync }: Settings): Promise<ServiceProcess> {
  await mkdir(dir, { recursive: true })
  const config = {
    port,
    bind: '127.0.0.1',
    dir,
    appendonly: appendonly ? 'yes' : 'no',
    appendfsync,
    save: '',
    'maxmemory-policy': 'noeviction', // BullMQ loses jobs under any other
  }
  const args = Object.entries(config).flatMap(([name, value]) => [`--${name}`, String(value)])
  return startServiceProcess({ name: 'redis', command: program, args, isReady: () => answersPing(port) })
}

/** LOADING is an answer too, but not yet a Redis one can use. */
function answersPing(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
    const finish = (isReady: boolean) => {
      socket.destroy()
      resolve(isReady)
    }
    socket.once('data', (answer) => finish(answer.toString().startsWith('+PONG')))
    socket.once('error', () => finish(false))
    socket.once('close', () => resolve(false))
    socket.setTimeout(1000, () => finish(false))
  })
}

/** The path of `redis-server`, installed when that is ours to do; else an error that says what is missing. */
export async function provideRedisServer(): Promise<string> {
  const found = await findProgram('redis-server')
  if (found) return found
  if (process.getuid?.() !== 0 || !(await findProgram('apt-get'))) {
    throw new Error('redis-server is not on PATH: install Redis 7 or set TEST_REDIS_URL.')
  }
  await install().catch((error: Error) => {
    throw new Error('redis-server is not on PATH and apt-get could not install it.', { cause: error })
  })
  return (await findProgram('redis-server')) ?? 'redis-server'
}

async function install(): Promise<void> {
  const aptInstall = () =>
    // The timeout lets two installs at once follow each other.
    run(
      'apt-get',
      ['install', '-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=120', 'redis-server'],
      {
        env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      },
    )
  await aptInstall().catch(async () => {
    await run('apt-get', ['update'])
    await aptInstall()
  })
}
