/**
 * What a simulated job runs: the operators of the sample job in `dev/flink`, with its arguments and its control
 * directory, so that one test suite speaks to both.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

export type Operator = {
  id: string
  uid: string
  name: string
  parallelism: number
  maxParallelism: number
}
export type Vertex = {
  /** As in Flink the id of the chain's first operator. */
  id: string
  name: string
  parallelism: number
  maxParallelism: number
  operators: Operator[]
}
export type Program = {
  name: string
  /** Somebody set the max parallelism; else a restore takes over the one of the state. */
  fixesMaxParallelism: boolean
  vertices: Vertex[]
  /** Size of the keyed state in a snapshot. */
  stateBytes: number
  controlDirectory: string | null
  /** Events per second, over so many keys. */
  rate: number
  keys: number
  /** Global job parameters that the program sets itself. */
  parameters: Readonly<Record<string, string>>
}

export type ProgramOptions = {
  name: string
  parallelism: number
  maxParallelism: number
  /** Default true. */
  fixesMaxParallelism?: boolean
  stateBytes: number
  extraOperator?: boolean
  controlDirectory?: string | null
  rate?: number
  keys?: number
  parameters?: Readonly<Record<string, string>>
}

export function sampleProgram(options: ProgramOptions): Program {
  const { parallelism, maxParallelism } = options
  const operator = (uid: string, name: string, width: number): Operator => ({
    id: operatorId(uid),
    uid,
    name,
    parallelism: width,
    maxParallelism,
  })
  const counting = [operator('keyed-counter', 'Keyed counter', parallelism)]
  if (options.extraOperator) counting.push(operator('extra-operator', 'Extra operator', parallelism))
  const ending = [operator('total', 'Total', 1), operator('sink', 'Sink: Writer', 1)]
  const source = [operator('events', 'Source: Events', parallelism)]
  const chains = parallelism === 1 ? [source, [...counting, ...ending]] : [source, counting, ending]
  return {
    name: options.name,
    fixesMaxParallelism: options.fixesMaxParallelism ?? true,
    vertices: chains.flatMap(toVertex),
    stateBytes: options.stateBytes,
    controlDirectory: options.controlDirectory ?? null,
    rate: options.rate ?? DEFAULT_RATE,
    keys: options.keys ?? DEFAULT_KEYS,
    parameters: options.parameters ?? {},
  }
}

/** KeyGroupRangeAssignment.DEFAULT_LOWER_BOUND_MAX_PARALLELISM */
const DEFAULT_MAX_PARALLELISM = 128
/** Those of `Arguments.java`. */
const DEFAULT_RATE = 100
const DEFAULT_KEYS = 100

const operatorIds = new Map<string, string>()

/** Follows from the uid alone, as in Flink, though by another hash. */
function operatorId(uid: string): string {
  const known = operatorIds.get(uid) ?? createHash('md5').update(uid).digest('hex')
  operatorIds.set(uid, known)
  return known
}

function toVertex(operators: Operator[]): Vertex[] {
  const [head] = operators
  if (head === undefined) return []
  const { id, parallelism, maxParallelism } = head
  const name = operators.map((operator) => operator.name).join(' -> ')
  return [{ id, name, parallelism, maxParallelism, operators }]
}

/** The sample job's command line. Unknown options are refused, as its own parser does. */
export function programFromArguments(
  args: readonly string[],
  defaults: { name: string; parallelism: number; maxParallelism: number | null },
): Program {
  const given = new Map<string, string>()
  const parameters: Record<string, string> = {}
  let extraOperator = false
  for (let i = 0; i < args.length; i++) {
    const option = args[i] ?? ''
    if (option === '--extra-operator') extraOperator = true
    else if (!OPTIONS.has(option)) throw new Error(`Unknown option ${option}`)
    else if (i + 1 === args.length) throw new Error(`${option} needs a value`)
    else if (option === '--parameter') addParameter(parameters, args[++i] ?? '')
    else given.set(option, args[++i] ?? '')
  }
  const keys = Number(given.get('--keys') ?? DEFAULT_KEYS)
  const maxParallelism = Number(given.get('--max-parallelism') ?? 0) || defaults.maxParallelism
  return sampleProgram({
    name: given.get('--name') ?? defaults.name,
    parallelism: defaults.parallelism,
    maxParallelism: maxParallelism ?? DEFAULT_MAX_PARALLELISM,
    fixesMaxParallelism: maxParallelism !== null,
    stateBytes: keys * (Number(given.get('--bytes-per-key') ?? 64) + 32),
    extraOperator,
    controlDirectory: given.get('--control-dir') ?? null,
    rate: Number(given.get('--rate') ?? DEFAULT_RATE),
    keys,
    parameters,
  })
}

function addParameter(parameters: Record<string, string>, pair: string): void {
  const equals = pair.indexOf('=')
  if (equals < 1) throw new Error(`--parameter ${pair} is not like key=value`)
  parameters[pair.slice(0, equals)] = pair.slice(equals + 1)
}

const OPTIONS = new Set([
  '--name',
  '--rate',
  '--keys',
  '--bytes-per-key',
  '--max-parallelism',
  '--control-dir',
  '--parameter',
])

/** What the sample job does in `snapshotState`: waits while `slow-ms` is there, then fails with the text of `fail`. */
export async function obeyControlDirectory(directory: string): Promise<string | null> {
  const read = (name: string) => readFile(join(directory, name), 'utf8').catch(() => null)
  const slow = await read('slow-ms')
  const until = Date.now() + Number(slow ?? 0)
  while (Date.now() < until && (await read('slow-ms')) !== null) {
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return (await read('fail'))?.trim() ?? null
}

export const countSubtasks = (program: Program): number =>
  program.vertices.reduce((sum, vertex) => sum + vertex.parallelism, 0)
