/** What a fresh clone needs before its first real command. Node built-ins only: nothing is installed yet. */
import { statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { runChild } from './run-child.mjs'

const root = new URL('../', import.meta.url)
const cwd = fileURLToPath(root)

/** `npm ci` when node_modules is missing, was left half-made, or is older than the lock file. */
export async function ensureDependencies() {
  if (changedAt('node_modules/.package-lock.json') >= changedAt('package-lock.json')) return
  console.log('Installing the dependencies with npm ci; this happens once.')
  const npm = process.env.npm_execpath
  const [command, before] = npm === undefined ? ['npm', []] : [process.execPath, [npm]]
  // The tools of this script are development dependencies, whatever NODE_ENV says.
  const code = await runChild(command, [...before, 'ci', '--include=dev', ...QUIET], { cwd })
  if (code !== 0) end('The dependencies could not be installed: see what npm said above.', code)
}

const QUIET = ['--no-audit', '--no-fund', '--loglevel=error']

/** `prisma generate` when the client is missing or older than the schema or than Prisma itself. */
export async function ensurePrismaClient() {
  const client = changedAt('src/db/generated/client.ts')
  if (client > changedAt('prisma/schema.prisma') && client > changedAt('node_modules/prisma/package.json'))
    return
  console.log('Generating the database client.')
  const prisma = fileURLToPath(new URL('node_modules/prisma/build/index.js', root))
  const stdio = ['ignore', 'ignore', 'inherit']
  const code = await runChild(process.execPath, [prisma, 'generate'], { cwd, stdio })
  if (code !== 0) end('The database client could not be generated: see what Prisma said above.', code)
}

/** Milliseconds; 0 for what is not there. */
function changedAt(path) {
  return statSync(new URL(path, root), { throwIfNoEntry: false })?.mtimeMs ?? 0
}

function end(sentence, code) {
  console.error(sentence)
  process.exit(code)
}
