/**
 * Why a job did not start, from the stack trace of a refused run or of the exceptions of a job that FAILED at its start
 * (`flink-rest-api.md` §8; texts seen on Flink 1.20.4 and 2.3.0). Flink has no codes: the text is searched, and the first
 * row that matches wins. RT = flink-runtime/src/main/java/org/apache/flink/runtime.
 */
import { oneLine, rootCause } from './flink-failure.ts'
import { parseCauses, shortenTrace } from './stack-trace.ts'

/** Closed in the API document; only ever grows. */
export const START_FAILURE_CODES = [
  'RESTORE_STATE_MISSING',
  'RESTORE_OPERATOR_MISSING',
  'RESTORE_MAX_PARALLELISM',
  'RESTORE_INCOMPATIBLE',
  'JOB_ID_TAKEN',
  'NO_RESOURCES',
  'PROGRAM_INVALID',
  'PROGRAM_FAILED',
] as const
export type StartFailureCode = (typeof START_FAILURE_CODES)[number]
export type StartFailure = { code: StartFailureCode; message: string }

/** `message` is one line of at most 1000 characters. Never throws. */
export function classifyStartFailure(text: string): StartFailure {
  const short = shortenTrace(text)
  for (const { code, pattern, say } of RULES) {
    const match = pattern.exec(short)
    if (match !== null) return { code, message: say === undefined ? rootCause(short) : oneLine(say(match)) }
  }
  const refusedArgument = findRefusedArgument(short)
  if (refusedArgument !== null) return { code: 'PROGRAM_INVALID', message: oneLine(refusedArgument) }
  return { code: 'PROGRAM_FAILED', message: rootCause(short) }
}

/**
 * CLIENTS/program/PackagedProgram, thrown before anything of the program has run. Unlike all else that is wrong with a
 * program Flink answers it with a 500.
 */
export const isNoProgram = (text: string): boolean => NO_PROGRAM.test(text)

const NO_PROGRAM =
  /ProgramInvocationException: ((?:The program's entry point class |The given program class |The class [^\n]{1,500} (?:must be |has a non-)|Could not look up the main|Neither a 'Main-Class'|No manifest found |The Manifest in the jar|Error while opening jar )[^\n]{0,600})/

type Rule = {
  code: StartFailureCode
  pattern: RegExp
  /** In words of ours; the root cause where it is left out. */
  say?: (match: RegExpExecArray) => string
}

const RULES: readonly Rule[] = [
  {
    code: 'JOB_ID_TAKEN', // RT/dispatcher/Dispatcher.submitJob; 2.3 submits applications. Ended jobs count as well.
    pattern:
      /Duplicate(?:Job|Application)SubmissionException|(?:Job|Application) has already been submitted\./,
    say: () =>
      'Flink already has a job of this id: one that runs, one that has ended, or the rest of a start that failed.',
  },
  // ------------------------------------------------------------- RT/checkpoint/Checkpoints, StateAssignmentOperation
  {
    code: 'RESTORE_OPERATOR_MISSING',
    pattern: /Cannot map checkpoint\/savepoint state for operator ([^\s,]{1,100}) to the new program/,
    say: ([, operator]) =>
      `The snapshot has state of operator ${operator}, which this program does not have. With allowNonRestoredState the job would start and drop that state.`,
  },
  {
    code: 'RESTORE_MAX_PARALLELISM',
    pattern:
      /Max parallelism mismatch [^\n]{0,300}?Cannot map operator ([^\s]{1,100}) with max parallelism (\d{1,9}) to new program with max parallelism (\d{1,9})/,
    say: ([, operator, from, to]) =>
      `The max parallelism of operator ${operator} was ${from} when the snapshot was taken and is ${to} in this program; keyed state keeps the one it was written with.`,
  },
  {
    code: 'RESTORE_MAX_PARALLELISM',
    pattern:
      /The state for task ([^\s]{1,100}) can not be restored\. The maximum parallelism \((\d{1,9})\) of the restored state is lower than the configured parallelism \((\d{1,9})\)/,
    say: ([, task, from, to]) =>
      `The max parallelism of task ${task} was ${from} when the snapshot was taken, lower than the parallelism ${to} of this program.`,
  },
  {
    // RT/state: StateSerializerProvider, RegisteredKeyValueStateBackendMetaInfo, HeapRestoreOperation, RocksDBKeyedStateBackend
    code: 'RESTORE_INCOMPATIBLE',
    pattern:
      /StateMigrationException|new (?:\w{1,20} ){0,3}serializer[^\n]{0,2000}? must (?:not )?be (?:in)?compatible|does not support state migration|State migration (?:is not|isn't) supported|Unexpected state handle type|InvalidClassException/i,
  },
  {
    // FsCheckpointStorageAccess.resolveCheckpointPointer, Checkpoints.loadCheckpointMetadata
    code: 'RESTORE_STATE_MISSING',
    pattern:
      /Cannot find checkpoint or savepoint file\/directory|Cannot find meta data file|Cannot access file system for checkpoint\/savepoint path|Unexpected magic number\. This can have multiple reasons|Unrecognized checkpoint version number|CheckpointStorageAccess\.resolveCheckpointPointer|Checkpoints\.loadCheckpointMetadata/,
  },
  {
    // A file that `_metadata` names is gone: the tasks find out (RT/state BackendRestorerProcedure).
    code: 'RESTORE_STATE_MISSING',
    pattern:
      /Could not restore (?:keyed|operator) state backend[\s\S]*(?:FileNotFoundException|NoSuchFileException|NoSuchKey|UnknownStoreException)/,
  },
  {
    // Native state of hashmap in RocksDB, which reads it as its own: nonsense, told in any words (RT/state/restore).
    code: 'RESTORE_INCOMPATIBLE',
    pattern:
      /Caused by: java\.(?:io\.EOFException|lang\.\w{1,60})\b[^\n]{0,300}(?:\n\tat [^\n]{1,300}){0,8}?\n\tat [^\n]{0,200}FullSnapshotRestoreOperation\$/,
    say: () =>
      'The state backend of this program cannot read the keyed state of the snapshot: state in the native format is read only by the backend that wrote it.',
  },
  // ------------------------------------------------------------------------------------------------------ resources
  {
    code: 'NO_RESOURCES', // RT/jobmanager/scheduler
    pattern: /NoResourceAvailableException|Could not acquire the minimum required resources/,
  },
  // -------------------------------------------------------------------------------------------------------- program
  { code: 'PROGRAM_INVALID', pattern: NO_PROGRAM, say: ([, words]) => words ?? '' },
  {
    code: 'PROGRAM_INVALID', // WEB/handlers/JarRunRequestBody, RT/executiongraph/VertexParallelism
    pattern:
      /Request did not match expected format JarRun|No jobs included in application|ProgramParametrizationException|'s parallelism \(\d{1,9}\) is higher than the max parallelism \(\d{1,9}\)/,
  },
]

/** The main method itself threw it: arguments or settings it does not take. Deeper ones may mean anything. */
function findRefusedArgument(text: string): string | null {
  const causes = parseCauses(text)
  const main = causes.findIndex(({ message }) => message.startsWith('The main method caused an error'))
  const thrown = main === -1 ? undefined : causes[main + 1]
  return thrown?.className === 'java.lang.IllegalArgumentException' && thrown.message !== ''
    ? thrown.message
    : null
}
