#!/usr/bin/env node
/** The `tidemark` command. `serve`, `worker` and `migrate` are the processes of an installation. */
import closeWithGrace from 'close-with-grace'
import { Command, CommanderError, Option } from 'commander'
import { ConfigError, readConfig } from '../config.ts'
import type { InspectOptions } from './inspect.ts'

const USAGE = 2

const program = new Command('tidemark')
  .description('The control plane for the state of Apache Flink jobs.')
  .exitOverride()

program
  .command('serve')
  .description('Run the API. Stateless: any number of replicas.')
  .action(() => run('API', async () => (await import('../server.ts')).startServer(readConfig(process.env))))

program
  .command('worker')
  .description('Run a worker: it observes clusters and moves savepoints on. Any number of replicas.')
  .action(() =>
    run('worker', async () => (await import('../worker.ts')).startWorker(readConfig(process.env))),
  )

program
  .command('migrate')
  .description('Bring the database to the newest migration. Harmless when run twice or by several at once.')
  .action(async () => {
    const { migrate } = await import('../db/migrate.ts')
    const { MIGRATIONS } = await import('../wiring.ts')
    const applied = await migrate(readConfig(process.env).databaseUrl, MIGRATIONS)
    console.log(applied.length === 0 ? 'The database is up to date.' : `Applied ${applied.join(', ')}.`)
  })

program
  .command('up')
  .description(
    'Everything on this machine: Postgres, API, worker, a Flink with a sample job, a first savepoint.',
  )
  .option(
    '--flink <where>',
    'local, simulated, or the address of a JobManager (default: local if it can be had)',
  )
  .option('--port <port>', 'port of the API, 0 for any free one', '8080')
  .option('--data-dir <directory>', 'where everything is kept', '.tidemark')
  .option('--once', 'stop after the first savepoint, with exit code 0 when it is Present', false)
  .action(async (options) => (await import('./up.ts')).runUp(options, process.env))

program
  .command('inspect')
  .description(
    'What is inside a savepoint or checkpoint; exit code 5 when one cannot be read, 1 when the API cannot be asked.',
  )
  .argument(
    '<path-or-id...>',
    'the folder of a snapshot or its _metadata file on this machine, or the id of a snapshot, looked up through the API',
  )
  .addOption(
    new Option('-o, --output <format>', 'text, or json lines').choices(['text', 'json']).default('text'),
  )
  .addOption(new Option('--api-url <url>', 'address of the API, for ids').env('TIDEMARK_API_URL'))
  .addOption(new Option('--token <token>', 'bearer token of the API, for ids').env('TIDEMARK_TOKEN'))
  .action(async (targets: string[], options: InspectOptions) => {
    process.exitCode = await (await import('./inspect.ts')).inspect(targets, options)
  })

try {
  await program.parseAsync()
} catch (error) {
  report(error)
}

/** Starts a process and closes it on SIGTERM, SIGINT or an uncaught error, within the grace of its configuration. */
async function run(
  name: string,
  start: () => Promise<{ url?: string; close(): Promise<void> }>,
): Promise<void> {
  const { shutdownGraceMs } = readConfig(process.env)
  const running = await start()
  console.log(
    JSON.stringify({ started: name, pid: process.pid, ...(running.url ? { url: running.url } : {}) }),
  )
  closeWithGrace({ delay: shutdownGraceMs + 2_000 }, async ({ err }) => {
    if (err) console.error(err)
    await running.close()
  })
}

/** One clear sentence for what the user can mend; the whole trace for what only we can. */
function report(error: unknown): void {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : USAGE // commander has said it already
    return
  }
  const foreseen = error instanceof ConfigError || (error instanceof Error && error.name === 'MigrationError')
  console.error(error instanceof Error && foreseen ? error.message : error)
  process.exitCode = 1
}
