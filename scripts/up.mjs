// `npm run up`: Tidemark with everything it needs, on a machine where nothing was installed by hand. Node built-ins only.
import { fileURLToPath } from 'node:url'
import { ensureDependencies, ensurePrismaClient } from './ensure-dependencies.mjs'
import { runChild } from './run-child.mjs'

await ensureDependencies()
await ensurePrismaClient()

const tidemark = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))
const tsx = import.meta.resolve('tsx')
const args = ['--import', tsx, tidemark, 'up', ...process.argv.slice(2)]
process.exit(await runChild(process.execPath, args, { watched: true }))
