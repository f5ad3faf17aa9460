/** The headers of traces are those of real ones, recorded on Flink 1.20.4 and 2.3.0; frames are left out. */
import { describe, expect, it } from 'vitest'
import { classifyStartFailure, isNoProgram, START_FAILURE_CODES } from '../../src/domain/start-failure.ts'

const FRAMES = `
\tat org.apache.flink.client.program.PackagedProgram.callMainMethod(PackagedProgram.java:374)
\tat java.base/java.util.concurrent.ForkJoinWorkerThread.run(ForkJoinWorkerThread.java:165)
\t... 26 more`
const chain = (...headers: string[]): string => headers.map((header) => header + FRAMES).join('\nCaused by: ')

const COMPLETION = 'java.util.concurrent.CompletionException'
const INVOCATION = 'org.apache.flink.client.program.ProgramInvocationException'
const COULD_NOT = 'org.apache.flink.util.FlinkRuntimeException: Could not execute application.'
const INIT = 'org.apache.flink.runtime.client.JobInitializationException: Could not start the JobMaster.'

const refused = (...headers: string[]): string =>
  chain(
    'org.apache.flink.runtime.rest.handler.RestHandlerException: Could not execute application.',
    `${COMPLETION}: ${COULD_NOT}`,
    COULD_NOT,
    ...headers,
  )
const notExecuted = (...headers: string[]): string =>
  refused(
    `${INVOCATION}: The main method caused an error: Failed to execute job 'orders'.`,
    "org.apache.flink.util.FlinkException: Failed to execute job 'orders'.",
    ...headers,
  )
/** The rest of a refused start in /exceptions, and the refusal itself. */
const initialization = (reason: string) =>
  [chain(INIT, `${COMPLETION}: ${reason}`, reason)].flatMap((trace) => [
    trace,
    notExecuted(`java.lang.RuntimeException: ${INIT}`, INIT, `${COMPLETION}: ${reason}`, reason),
  ])
/** A job that was accepted and whose tasks cannot restore their state. */
const taskRestore = (...headers: string[]): string =>
  chain(
    'org.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoffTimeStrategy',
    'java.lang.Exception: Exception while creating StreamOperatorStateContext.',
    'org.apache.flink.util.FlinkException: Could not restore keyed state backend for KeyedProcessOperator_ed63c6d066f83fc9a893ba13a9fb615d_(1/1) from any of the 1 provided restore options.',
    ...headers,
  )
/** Answered 500, not 400. */
const serverError = (...headers: string[]): string =>
  `Internal server error.\n<Exception on server side:\n${chain(`${COMPLETION}: ${headers[0]}`, ...headers)}\n\nEnd of exception on server side>`

describe('why a job did not start', () => {
  it.each([
    "java.io.FileNotFoundException: Cannot find checkpoint or savepoint file/directory 'file:///sp/x' on file system 'file'.",
    "java.io.FileNotFoundException: Cannot find meta data file '_metadata' in directory 'file:/sp/x'. Please try to load the checkpoint/savepoint directly from the metadata file instead of the directory.",
    'java.io.IOException: Unexpected magic number. This can have multiple reasons: (1) You are trying to load a Flink 1.0 savepoint, which is not supported by this version of Flink.',
    "java.io.IOException: Cannot access file system for checkpoint/savepoint path 's3://gone/x'.",
  ])('what it should restore cannot be read: %s', (reason) => {
    for (const trace of initialization(reason)) {
      expect(classifyStartFailure(trace)).toEqual({ code: 'RESTORE_STATE_MISSING', message: reason })
    }
  })

  it('a file that the snapshot names is gone, as the tasks find out', () => {
    const failure = classifyStartFailure(
      taskRestore(
        'org.apache.flink.runtime.state.BackendBuildingException: Caught unexpected exception.',
        'java.io.FileNotFoundException: /sp/savepoint-aef555/3f992980 (No such file or directory)',
      ),
    )
    expect(failure.code).toBe('RESTORE_STATE_MISSING')
    expect(failure.message).toContain('/sp/savepoint-aef555/3f992980')
  })

  it('the operator that wrote state is not in the program: says which, and what allowNonRestoredState would do', () => {
    const reason =
      'java.lang.IllegalStateException: Failed to rollback to checkpoint/savepoint file:/sp/savepoint-b1b2d9-350676b66212. Cannot map checkpoint/savepoint state for operator f31dcef3bcdc8263d24533229feaa107 to the new program, because the operator is not available in the new program. If you want to allow to skip this, you can set the --allowNonRestoredState option on the CLI.'
    for (const trace of initialization(reason)) {
      const { code, message } = classifyStartFailure(trace)
      expect(code).toBe('RESTORE_OPERATOR_MISSING')
      expect(message).toMatch(
        /operator f31dcef3bcdc8263d24533229feaa107,.*allowNonRestoredState .*drop that state/,
      )
    }
  })

  it('another max parallelism: says which operator, from and to', () => {
    const reason =
      'java.lang.IllegalStateException: Failed to rollback to checkpoint/savepoint Checkpoint Metadata. Max parallelism mismatch between checkpoint/savepoint state and new program. Cannot map operator 0c80f7e50ab54b30f6a2580946f9e942 with max parallelism 8 to new program with max parallelism 16. This indicates that the program has been changed in a non-compatible way after the checkpoint/savepoint.'
    for (const trace of initialization(reason)) {
      const { code, message } = classifyStartFailure(trace)
      expect(code).toBe('RESTORE_MAX_PARALLELISM')
      expect(message).toMatch(/operator 0c80f7e50ab54b30f6a2580946f9e942 was 8 .* is 16 in this program/)
    }
  })

  it('a parallelism above the max parallelism of the state', () => {
    const reason =
      'java.lang.IllegalStateException: The state for task ed63c6d066f83fc9a893ba13a9fb615d can not be restored. The maximum parallelism (8) of the restored state is lower than the configured parallelism (9). Please reduce the parallelism of the task to be lower or equal to the maximum parallelism.'
    for (const trace of initialization(reason)) {
      const { code, message } = classifyStartFailure(trace)
      expect(code).toBe('RESTORE_MAX_PARALLELISM')
      expect(message).toMatch(/task ed63c6d066f83fc9a893ba13a9fb615d was 8 .* parallelism 9/)
    }
  })

  describe('native state of another backend, which RocksDB takes for its own', () => {
    const PLACES = `
\tat java.base/java.io.DataInputStream.readFully(DataInputStream.java:203)
\tat org.apache.flink.api.common.typeutils.base.array.BytePrimitiveArraySerializer.deserialize(BytePrimitiveArraySerializer.java:82)
\tat org.apache.flink.runtime.state.restore.FullSnapshotRestoreOperation$KeyGroupEntriesIterator.next(FullSnapshotRestoreOperation.java:298)
\tat org.apache.flink.contrib.streaming.state.restore.RocksDBFullRestoreOperation.restoreKVStateData(RocksDBFullRestoreOperation.java:148)
\t... 19 more`
    const restoring = (header: string) =>
      `${taskRestore('org.apache.flink.runtime.state.BackendBuildingException: Caught unexpected exception.')}\nCaused by: ${header}${PLACES}`

    it.each([
      'java.io.EOFException',
      'java.lang.ArrayIndexOutOfBoundsException: Index 0 out of bounds for length 0',
      'java.lang.NegativeArraySizeException: -83',
    ])('does not fit: %s', (header) => {
      const failure = classifyStartFailure(restoring(header))
      expect(failure).toMatchObject({ code: 'RESTORE_INCOMPATIBLE' })
      expect(failure.message).toMatch(/native format/)
    })

    it('is not suspected where the store fails while it is read', () => {
      const failure = classifyStartFailure(restoring('java.net.SocketTimeoutException: Read timed out'))
      expect(failure).toMatchObject({
        code: 'PROGRAM_FAILED',
        message: expect.stringContaining('Read timed out'),
      })
    })
  })

  it.each([
    'java.lang.IllegalStateException: Unexpected state handle type, expected one of: class org.apache.flink.runtime.state.KeyGroupsStateHandle, but found: class org.apache.flink.runtime.state.IncrementalRemoteKeyedStateHandle.',
    'org.apache.flink.util.StateMigrationException: For heap backends, the new state serializer (org.acme.A@1) must not be incompatible with the old state serializer (org.acme.A@2).',
    'org.apache.flink.util.StateMigrationException: The new key serializer (org.acme.K@1) must be compatible with the previous key serializer (org.acme.K@2).',
    'java.io.InvalidClassException: com.acme.Order; local class incompatible: stream classdesc serialVersionUID = 1, local class serialVersionUID = 2',
  ])('state that this program cannot read: %s', (reason) => {
    const failure = classifyStartFailure(
      taskRestore(
        'org.apache.flink.runtime.state.BackendBuildingException: Failed when trying to restore heap backend',
        reason,
      ),
    )
    expect(failure).toEqual({ code: 'RESTORE_INCOMPATIBLE', message: reason })
  })

  it.each([
    'org.apache.flink.runtime.client.DuplicateJobSubmissionException: Job has already been submitted.',
    'org.apache.flink.runtime.client.DuplicateApplicationSubmissionException: Application has already been submitted.',
  ])('the job id is taken: %s', (reason) => {
    expect(classifyStartFailure(notExecuted(reason)).code).toBe('JOB_ID_TAKEN')
  })

  it('there are no slots', () => {
    const reason =
      'org.apache.flink.runtime.jobmanager.scheduler.NoResourceAvailableException: Could not acquire the minimum required resources.'
    const trace = chain(
      'org.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoffTimeStrategy',
      `${COMPLETION}: ${COMPLETION}: ${reason}`,
      `${COMPLETION}: ${reason}`,
      reason,
    )
    expect(classifyStartFailure(trace)).toEqual({ code: 'NO_RESOURCES', message: reason })
  })

  it.each([
    [
      "The program's entry point class 'com.acme.Nope' was not found in the jar file.",
      ['java.lang.ClassNotFoundException: com.acme.Nope'],
    ],
    ['The given program class does not have a main(String[]) method.', []],
    [
      "No manifest found in jar file '/web/x_a.jar'. The manifest is need to point to the program's main class.",
      [],
    ],
    [
      "Error while opening jar file '/web/x_a.jar'",
      [
        'java.io.IOException: Error while opening jar file',
        'java.util.zip.ZipException: zip END header not found',
      ],
    ],
  ])('there is no program in the jar: %s', (words, causes) => {
    const trace = serverError(`${INVOCATION}: ${words}`, ...causes)
    expect(classifyStartFailure(trace)).toEqual({ code: 'PROGRAM_INVALID', message: words })
    expect(isNoProgram(trace)).toBe(true)
  })

  it.each([
    ['Unknown option --frobnicate', []],
    [
      "Could not parse value 'soon' for key 'execution.checkpointing.interval'.",
      ['java.lang.NumberFormatException: text does not start with a number'],
    ],
  ])('the program does not take its arguments: %s', (words, causes) => {
    const trace = refused(
      `${INVOCATION}: The main method caused an error: ${words}`,
      `java.lang.IllegalArgumentException: ${words}`,
      ...causes,
    )
    expect(classifyStartFailure(trace)).toEqual({ code: 'PROGRAM_INVALID', message: words })
    expect(isNoProgram(trace)).toBe(false)
  })

  it('a parallelism above the max parallelism of the program', () => {
    const reason =
      "org.apache.flink.runtime.JobException: Vertex Source: Events's parallelism (16) is higher than the max parallelism (8). Please lower the parallelism or increase the max parallelism."
    const [trace = ''] = initialization(`java.lang.RuntimeException: ${reason}`)
    expect(classifyStartFailure(trace).code).toBe('PROGRAM_INVALID')
  })

  it('anything else that the program threw, by its root cause', () => {
    const trace = refused(
      `${INVOCATION}: The main method caused an error: no such topic`,
      'com.acme.TopicException: no such topic',
      'java.net.ConnectException: Connection refused: kafka-1:9092',
    )
    expect(classifyStartFailure(trace)).toEqual({
      code: 'PROGRAM_FAILED',
      message: 'java.net.ConnectException: Connection refused: kafka-1:9092',
    })
  })
})

describe('whatever the text is', () => {
  it.each([
    ['nothing', ''],
    ['control characters', 'a\0b\u001b[31m\r\nc'],
    ['an endless header', `com.acme.X: ${'x'.repeat(2_000_000)}`],
    ['line breaks', '\n'.repeat(1_000_000)],
    ['endless causes', chain(...Array.from({ length: 20_000 }, (_, i) => `com.acme.X: cause ${i}`))],
    ['a half of each pattern', 'Could not restore keyed state backend new state serializer '.repeat(50_000)],
    ['an endless operator id', `Cannot map checkpoint/savepoint state for operator ${'f'.repeat(1_000_000)}`],
  ])('answers one bounded line, soon: %s', (_, text) => {
    const startedAt = performance.now()
    const { code, message } = classifyStartFailure(text)
    expect(performance.now() - startedAt).toBeLessThan(1_000)
    expect(START_FAILURE_CODES).toContain(code)
    expect(message.length).toBeGreaterThan(0)
    expect(message.length).toBeLessThanOrEqual(1_000)
    expect(message).not.toMatch(/\p{Cc}/u)
  })
})
