/** vitest globalSetup: the processes under test are the compiled ones, as they are shipped. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

export default async function setup(): Promise<void> {
  if (process.env['TIDEMARK_TEST_SKIP_BUILD'] === '1') return // `npm test` has built it already
  await run('npm', ['run', '--silent', 'build'])
}
