/** The versitygw binary: built once per machine, kept in our cache. */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { claimFolder } from '../../src/cli/embedded-postgres.ts'
import { cachedBinDir, findProgram } from './cache.ts'

const VERSION = 'v1.8.0'
const PACKAGE = `github.com/versity/versitygw/cmd/versitygw@${VERSION}`
const BUILD_WAIT_MS = 15 * 60_000
const run = promisify(execFile)

export const findVersityGateway = () => findProgram(binaryName())

/** The path of the binary, built when missing (about three minutes, once per machine). */
export async function provideVersityGateway(): Promise<string> {
  const giveUpAt = performance.now() + BUILD_WAIT_MS
  for (;;) {
    const found = await findVersityGateway()
    if (found) return found
    const go = await findGo()
    const release = await claimBuild()
    if (release) await buildIfMissing(go).finally(release)
    else if (performance.now() > giveUpAt)
      throw new Error('Another process has been building versitygw for too long.')
    else await sleep(1000) // it is being built next door
  }
}

async function buildIfMissing(go: string): Promise<void> {
  // Between our look and our claim the process next door may have finished.
  if (!(await findVersityGateway())) await build(go)
}

const binaryName = () => `versitygw-${VERSION}`

async function findGo(): Promise<string> {
  const go = await findProgram('go')
  if (!go)
    throw new Error(
      'Go is not on PATH, and versitygw is built with it: install Go or set TEST_VERSITYGW_URL.',
    )
  return go
}

async function claimBuild(): Promise<(() => Promise<void>) | undefined> {
  const folder = join(cachedBinDir(), 'versitygw-build')
  await mkdir(folder, { recursive: true })
  return claimFolder(folder).catch(() => undefined)
}

/** The binary appears by rename: whoever finds it finds all of it. */
async function build(go: string): Promise<void> {
  const draft = join(cachedBinDir(), 'versitygw-build', randomUUID())
  try {
    await run(go, ['install', PACKAGE], { env: { ...process.env, GOBIN: draft }, maxBuffer: 2 ** 26 })
    await rename(join(draft, 'versitygw'), join(cachedBinDir(), binaryName()))
  } catch (error) {
    throw new Error(`versitygw could not be built: ${String(error).slice(-500)}`, { cause: error })
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}
