/**
 * `tidemark inspect <path-or-id…>`: what is inside a savepoint or checkpoint. A path is the snapshot's folder or its
 * `_metadata` file on this machine, read without any server; an id is looked up through the API.
 */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { validate } from 'uuid'
import { MetadataError } from '../metadata/errors.ts'
import { readMetadata } from '../metadata/read-metadata.ts'
import { summarize } from '../metadata/summarize.ts'
import { type ApiAccess, type Failure, fetchInspection, type Inspected } from './fetch-inspection.ts'

/** Exit codes: 0 everything was read, 5 something is not a readable snapshot, 2 usage, 1 the API could not be asked. */
const UNREADABLE = 5
const USAGE = 2
const NOT_ASKED = 1

export type InspectOptions = {
  output: 'text' | 'json'
  apiUrl?: string | undefined
  token?: string | undefined
}

/** Prints one JSON line per path or id when several are given or `-o json` is; else a page for a person. */
export async function inspect(targets: readonly string[], options: InspectOptions): Promise<number> {
  const access = readAccess(targets, options)
  if (access === 'missing') {
    console.error(
      'An id is looked up through the API: give its address with --api-url or TIDEMARK_API_URL, and a token with --token or TIDEMARK_TOKEN.',
    )
    return USAGE
  }
  const asJson = options.output === 'json' || targets.length > 1
  const exitCodes = new Set<number>()
  for (const target of targets) {
    const inspected =
      access && validate(target) ? await fetchInspection(target, access) : await readLocal(target)
    if ('error' in inspected) exitCodes.add(inspected.notAsked ? NOT_ASKED : UNREADABLE)
    if (asJson) console.log(JSON.stringify(inspected.json))
    else if ('error' in inspected) console.error(printable(`${target}: ${inspected.error.message}`))
    else console.log(describe(inspected))
  }
  return exitCodes.has(NOT_ASKED) ? NOT_ASKED : exitCodes.has(UNREADABLE) ? UNREADABLE : 0
}

/** null: nothing is asked of the API. */
function readAccess(
  targets: readonly string[],
  { apiUrl, token }: InspectOptions,
): ApiAccess | null | 'missing' {
  if (!targets.some((target) => validate(target))) return null
  return apiUrl && token ? { url: apiUrl.replace(/\/+$/, ''), token } : 'missing'
}

// ------------------------------------------------------------------------------------------- this machine

async function readLocal(path: string): Promise<Inspected> {
  try {
    const [, scheme] = /^([a-z][a-z0-9+.-]*):\/\//i.exec(path) ?? []
    if (scheme) throw new NotLocalError(scheme)
    const found = await stat(path)
    const file = found.isDirectory() ? join(path, '_metadata') : path
    const { size } = found.isDirectory() ? await stat(file) : found
    const summary = summarize(await readMetadata(createReadStream(file), { size }))
    return { target: path, json: { path, ...summary }, summary, fileCount: summary.files.length }
  } catch (error) {
    const reason = reasonOf(error)
    return { target: path, json: { path, error: reason }, error: reason, notAsked: false }
  }
}

class NotLocalError extends Error {
  constructor(scheme: string) {
    super(
      `not a local path: ${scheme}:// is not read from here; register the snapshot and give its id, or copy its _metadata file to this machine`,
    )
  }
}

function reasonOf(error: unknown): Failure {
  if (error instanceof NotLocalError) return { code: 'not-local', message: error.message }
  if (error instanceof MetadataError) return { code: error.code, message: error.message }
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
    return { code: 'not-found', message: 'there is no _metadata here' }
  }
  if (error instanceof Error && 'code' in error) return { code: 'not-readable', message: error.message }
  throw error
}

// --------------------------------------------------------------------------------------------- for people

function describe({ target, summary, fileCount }: Extract<Inspected, { summary: object }>): string {
  const traits = [
    summary.format,
    summary.kind,
    summary.incremental && 'incremental',
    summary.unaligned && 'unaligned',
    summary.changelog && 'changelog',
    summary.fileMerging && 'file merging',
    summary.selfContained ? 'self-contained' : 'needs files outside its folder',
  ].filter(Boolean)
  const { from, to } = summary.flinkVersions
  const lines = [
    target,
    `  checkpoint ${summary.checkpointId}, metadata version ${summary.version} (Flink ${to === null ? `${from} or newer` : `${from} to ${to}`})`,
    `  ${traits.join(', ')}`,
    `  ${summary.stateSize} bytes of state, ${fileCount} files`,
    ...summary.operators.map(
      (operator) =>
        `  ${operator.name ?? operator.uid ?? operator.id}: parallelism ${operator.parallelism} of at most ${operator.maxParallelism}, ${operator.stateSize} bytes`,
    ),
    ...summary.warnings.map((warning) => `  warning: ${warning.message}`),
  ]
  return lines.map(printable).join('\n')
}

/** The names in the file are somebody else's: none of them may move the cursor of a terminal. */
const printable = (line: string): string => line.replace(/\p{Cc}/gu, '\ufffd')
