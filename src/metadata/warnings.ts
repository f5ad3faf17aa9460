import type { OperatorState, SnapshotMetadata } from './model.ts'
import { isPlainRelativePath, type ReferencedFile } from './referenced-files.ts'

/** What Flink would accept without a word and an operator should know. */
export type MetadataWarningCode =
  | 'trailing-bytes'
  | 'null-properties'
  | 'duplicate-operator'
  | 'odd-parallelism'
  | 'odd-subtasks'
  | 'unknown-size'
  | 'path-leaves-folder'
export type MetadataWarning = { code: MetadataWarningCode; message: string }

export function findWarnings(
  metadata: SnapshotMetadata & { trailingBytes?: number },
  files: readonly ReferencedFile[],
): MetadataWarning[] {
  const warnings: MetadataWarning[] = []
  const warn = (code: MetadataWarningCode, message: string) => {
    warnings.push({ code, message })
  }
  if (metadata.trailingBytes) warn('trailing-bytes', `${metadata.trailingBytes} bytes follow the metadata`)
  if (metadata.properties === null)
    warn('null-properties', 'the file does not say whether it is a savepoint or a checkpoint')
  warnAboutOperators(metadata.operatorStates, warn)
  warnAboutFiles(files, warn)
  return warnings
}

type Warn = (code: MetadataWarningCode, message: string) => void

function warnAboutOperators(operators: readonly OperatorState[], warn: Warn): void {
  const ids = new Set<string>()
  for (const operator of operators) {
    if (ids.has(operator.id)) warn('duplicate-operator', `operator ${operator.id} occurs more than once`)
    ids.add(operator.id)
    const { id, parallelism, maxParallelism } = operator
    if (parallelism < 1 || parallelism > maxParallelism)
      warn('odd-parallelism', `operator ${id} has parallelism ${parallelism} of at most ${maxParallelism}`)
    warnAboutSubtasks(operator, warn)
  }
}

function warnAboutSubtasks({ id, parallelism, subtasks }: OperatorState, warn: Warn): void {
  const indexes = new Set(subtasks.map((subtask) => subtask.index))
  const beyond = [...indexes].filter((index) => index >= parallelism).length
  if (indexes.size < subtasks.length)
    warn('odd-subtasks', `operator ${id} names ${subtasks.length - indexes.size} subtasks twice`)
  if (beyond > 0) warn('odd-subtasks', `operator ${id} has ${beyond} subtasks beyond its parallelism`)
}

function warnAboutFiles(files: readonly ReferencedFile[], warn: Warn): void {
  const unknown = files.filter((file) => file.size === null).length
  if (unknown > 0) warn('unknown-size', `the size of ${unknown} files is not known`)
  const leaving = files.filter((file) => file.kind === 'relative' && !isPlainRelativePath(file.path))
  const [first] = leaving
  if (first)
    warn('path-leaves-folder', `${leaving.length} relative paths leave the folder, such as ${first.path}`)
}
