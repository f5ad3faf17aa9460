/**
 * `tidemark inspect <path…>`: what is inside a savepoint or checkpoint on this machine, without any server. A path is the
 * snapshot's folder or its `_metadata` file.
 */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { MetadataError } from '../metadata/errors.ts'
import { readMetadata } from '../metadata/read-metadata.ts'
import { type MetadataSummary, summarize } from '../metadata/summarize.ts'

/** Exit codes: 0 everything was read, 5 something is not a readable snapshot. */
const UNREADABLE = 5

type Inspected =
  | { path: string; summary: MetadataSummary }
  | { path: string; error: { code: string; message: string } }

/** Prints one JSON line per path when several are given or `-o json` is; else a page for a person. */
export async function inspect(
  paths: readonly string[],
  options: { output: 'text' | 'json' },
): Promise<number> {
  let exitCode = 0
  for (const path of paths) {
    const inspected = await inspectOne(path)
    if ('error' in inspected) exitCode = UNREADABLE
    const asJson = options.output === 'json' || paths.length > 1
    if (asJson) console.log(JSON.stringify(toJson(inspected)))
    else if ('error' in inspected) console.error(`${path}: ${inspected.error.message}`)
    else console.log(describe(path, inspected.summary))
  }
  return exitCode
}

async function inspectOne(path: string): Promise<Inspected> {
  try {
    const found = await stat(path)
    const file = found.isDirectory() ? join(path, '_metadata') : path
    const { size } = found.isDirectory() ? await stat(file) : found
    return { path, summary: summarize(await readMetadata(createReadStream(file), { size })) }
  } catch (error) {
    return { path, error: reasonOf(error) }
  }
}

function reasonOf(error: unknown): { code: string; message: string } {
  if (error instanceof MetadataError) return { code: error.code, message: error.message }
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
    return { code: 'not-found', message: 'there is no _metadata here' }
  }
  if (error instanceof Error && 'code' in error) return { code: 'not-readable', message: error.message }
  throw error
}

const toJson = (inspected: Inspected): object =>
  'error' in inspected ? inspected : { path: inspected.path, ...inspected.summary }

function describe(path: string, summary: MetadataSummary): string {
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
    path,
    `  checkpoint ${summary.checkpointId}, metadata version ${summary.version} (Flink ${to === null ? `${from} or newer` : `${from} to ${to}`})`,
    `  ${traits.join(', ')}`,
    `  ${summary.stateSize} bytes of state, ${summary.files.length} files`,
    ...summary.operators.map(
      (operator) =>
        `  ${operator.name ?? operator.uid ?? operator.id}: parallelism ${operator.parallelism} of at most ${operator.maxParallelism}, ${operator.stateSize} bytes`,
    ),
    ...summary.warnings.map((warning) => `  warning: ${warning.message}`),
  ]
  return lines.join('\n')
}
