import { classifySnapshot, FLINK_VERSIONS, type SnapshotTraits } from './classify-snapshot.ts'
import { countHandles } from './count-handles.ts'
import type { DistributionMode, OperatorState, SnapshotMetadata, SnapshotProperties } from './model.ts'
import { listReferencedFiles, type ReferencedFile } from './referenced-files.ts'
import { sizeByRole, sum } from './state-size.ts'
import type { StateRole } from './walk-handles.ts'
import { findWarnings, type MetadataWarning } from './warnings.ts'

/** Ready for JSON: 64-bit numbers are texts. */
export type MetadataSummary = SnapshotTraits & {
  version: number
  /** A range: the file does not name its Flink. `to` is null for the newest version. */
  flinkVersions: { from: string; to: string | null }
  checkpointId: string
  masterStates: { name: string; version: number; bytes: number }[]
  operators: OperatorSummary[]
  /** Of all operators, by Flink's rule: files that several handles share count for each. */
  stateSize: string
  handleCounts: Record<string, number>
  relativeFiles: string[]
  absoluteFiles: string[]
  files: (Omit<ReferencedFile, 'size'> & { size: string | null })[]
  /** Number of files by role, then by kind. */
  fileCounts: Record<string, Record<string, number>>
  /** Absent before version 4. */
  properties?: SnapshotProperties | null
  warnings: MetadataWarning[]
}

export type OperatorSummary = {
  id: string
  name: string | null
  uid: string | null
  parallelism: number
  maxParallelism: number
  fullyFinished: boolean
  coordinatorStateBytes: number | null
  /** Ascending; finished ones included. */
  subtaskIndexes: number[]
  finishedSubtaskIndexes: number[]
  stateSize: string
  sizes: Record<StateRole, string>
  /** States the metadata names: operator state. Names of keyed state lie inside the state itself. */
  stateNames: { name: string; mode: DistributionMode; raw: boolean }[]
}

export function summarize(metadata: SnapshotMetadata & { trailingBytes?: number }): MetadataSummary {
  const files = listReferencedFiles(metadata)
  const operators = metadata.operatorStates.map(summarizeOperator)
  const pathsOf = (isWanted: (file: ReferencedFile) => boolean) => [
    ...new Set(files.filter(isWanted).map((file) => file.path)),
  ]
  return {
    version: metadata.version,
    flinkVersions: FLINK_VERSIONS[metadata.version],
    checkpointId: metadata.checkpointId.toString(),
    masterStates: metadata.masterStates.map(({ name, version, payload }) => {
      return { name, version, bytes: payload.length }
    }),
    ...classifySnapshot(metadata, files),
    operators,
    stateSize: sum(operators, (operator) => BigInt(operator.stateSize)).toString(),
    handleCounts: countHandles(metadata),
    relativeFiles: pathsOf((file) => file.kind === 'relative').sort(),
    absoluteFiles: pathsOf((file) => file.kind !== 'relative').sort(),
    files: files.map((file) => ({ ...file, size: file.size?.toString() ?? null })),
    fileCounts: countFiles(files),
    ...(metadata.properties === undefined ? {} : { properties: metadata.properties }),
    warnings: findWarnings(metadata, files),
  }
}

function summarizeOperator(operator: OperatorState): OperatorSummary {
  const { id, name, uid, parallelism, maxParallelism, fullyFinished, subtasks } = operator
  const sizes = sizeByRole(operator)
  return {
    id,
    name,
    uid,
    parallelism,
    maxParallelism,
    fullyFinished,
    coordinatorStateBytes: operator.coordinatorState?.inline.length ?? null,
    subtaskIndexes: ascending(subtasks.map((subtask) => subtask.index)),
    finishedSubtaskIndexes: ascending(subtasks.flatMap(({ finished, index }) => (finished ? [index] : []))),
    stateSize: sum(Object.values(sizes), (size) => size).toString(),
    sizes: textsOf(sizes),
    stateNames: listStateNames(operator),
  }
}

const ascending = (numbers: number[]) => numbers.sort((a, b) => a - b)

function textsOf<K extends string>(sizes: Record<K, bigint>): Record<K, string> {
  const texts = Object.entries<bigint>(sizes).map(([role, size]) => [role, size.toString()])
  return Object.fromEntries(texts) as Record<K, string>
}

function listStateNames({ subtasks }: OperatorState): OperatorSummary['stateNames'] {
  const names = new Map<string, OperatorSummary['stateNames'][number]>()
  for (const subtask of subtasks) {
    if (subtask.finished) continue
    for (const slot of ['managedOperator', 'rawOperator'] as const) {
      for (const { name, mode } of subtask[slot]?.states ?? [])
        names.set(`${slot} ${mode} ${name}`, { name, mode, raw: slot === 'rawOperator' })
    }
  }
  return [...names.values()]
}

function countFiles(files: readonly ReferencedFile[]): MetadataSummary['fileCounts'] {
  const counts: MetadataSummary['fileCounts'] = {}
  for (const { roles, kind } of files) {
    for (const role of roles) {
      counts[role] ??= {}
      counts[role][kind] = (counts[role][kind] ?? 0) + 1
    }
  }
  return counts
}
