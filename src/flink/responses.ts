/** Clusters, jobs, exceptions and savepoint operations as Flink 1.15 … 2.3 answers them (`flink-rest-api.md` §2, §4). */
import { type Static, Type } from 'typebox'
import {
  type ClusterSettings,
  type DisposalAnswer,
  FLINK_JOB_STATES,
  type FlinkClusterInfo,
  type FlinkJob,
  type FlinkJobState,
  type JobException,
  type SavepointAnswer,
} from '../domain/flink.ts'
import { shortenTrace } from '../domain/stack-trace.ts'
import { countOf, FlinkId, maybe, type Reader, reader, textOf } from './shape.ts'

// ---------------------------------------------------------------------------------------------------- cluster

/** REST/messages/DashboardConfiguration */
const Configuration = Type.Object({
  'flink-version': Type.String({ pattern: '^[0-9]{1,3}\\.[0-9]{1,3}' }),
  features: maybe(Type.Object({ 'web-submit': maybe(Type.Boolean()) })),
})

export const readClusterInfo: Reader<FlinkClusterInfo> = reader(Configuration, (config) => {
  const flinkVersion = config['flink-version'].slice(0, 64)
  const isSince = versionTest(flinkVersion)
  return {
    flinkVersion,
    capabilities: {
      idempotentTriggers: isSince(1, 15),
      triggerCheckpoint: isSince(1, 17),
      jarSubmission: config.features?.['web-submit'] === true,
      claimMode: isSince(1, 20),
    },
  }
})

function versionTest(version: string): (major: number, minor: number) => boolean {
  const [ownMajor = 0, ownMinor = 0] = version.split(/[.-]/).map(Number)
  return (major, minor) => ownMajor > major || (ownMajor === major && ownMinor >= minor)
}

/** GET /jobmanager/config: REST/messages/ConfigurationInfo */
const Entries = Type.Array(Type.Object({ key: Type.String(), value: maybe(Type.String()) }))

export const readClusterSettings: Reader<ClusterSettings> = reader(Entries, (entries) => {
  const settingOf = (key: string) => textOf(entries.find((entry) => entry.key === key)?.value)
  return {
    fingerprint: {
      haClusterId: settingOf('high-availability.cluster-id'),
      kubernetesClusterId: settingOf('kubernetes.cluster-id'),
    },
    // The new name wins where both are set (CORE/configuration/StateRecoveryOptions).
    recoveryPath: settingOf('execution.state-recovery.path') ?? settingOf('execution.savepoint.path'),
  }
})

// ------------------------------------------------------------------------------------------------------- jobs

const JobHead = {
  jid: FlinkId,
  name: Type.String(),
  state: Type.String(),
  'start-time': Type.Number(),
  'end-time': maybe(Type.Number()),
}
/** RT/messages/webmonitor/JobDetails: task counts by lower-case state, with their total. */
const OverviewTasks = Type.Object({
  total: Type.Number(),
  running: Type.Number(),
  finished: maybe(Type.Number()),
})
const Overview = Type.Object({ jobs: Type.Array(Type.Object({ ...JobHead, tasks: maybe(OverviewTasks) })) })

/** REST/messages/job/JobDetailsInfo: per vertex the counts by ExecutionState, without a total. */
const Vertex = Type.Object({ tasks: maybe(Type.Record(Type.String(), Type.Number())) })
const Details = Type.Object({
  ...JobHead,
  now: maybe(Type.Number()),
  /** By job state, 0 = never; every restart and rescale sets RUNNING anew. */
  timestamps: maybe(Type.Record(Type.String(), Type.Number())),
  vertices: maybe(Type.Array(Vertex)),
})

export const readJobs: Reader<FlinkJob[]> = reader(Overview, ({ jobs }) =>
  jobs.map((job) => ({
    ...toJob(job),
    jobManagerNow: null,
    allTasksRunning: areAllRunning(job.tasks ?? null),
  })),
)

export const readJob: Reader<FlinkJob> = reader(Details, (job) => ({
  ...toJob(job),
  jobManagerNow: countOf(job.now),
  ...runningSince(job.timestamps?.['RUNNING'] ?? 0),
  allTasksRunning: (job.vertices ?? []).length > 0 && (job.vertices ?? []).every(isVertexRunning),
}))

const runningSince = (at: number) => (at > 0 ? { runningSince: at } : {})

const areAllRunning = (tasks: Static<typeof OverviewTasks> | null): boolean =>
  tasks !== null && tasks.total > 0 && tasks.running + (tasks.finished ?? 0) === tasks.total

function isVertexRunning({ tasks }: Static<typeof Vertex>): boolean {
  const counts = tasks ?? {}
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0)
  return areAllRunning({ total, running: counts['RUNNING'] ?? 0, finished: counts['FINISHED'] ?? 0 })
}

type JobHeadValue = {
  jid: string
  name: string
  state: string
  'start-time': number
  'end-time'?: number | null
}

const toJob = (job: JobHeadValue) => ({
  flinkJobId: job.jid,
  name: job.name,
  state: toState(job.state),
  startTime: countOf(job['start-time']) ?? 0,
  endTime: countOf(job['end-time']), // -1 while the job lives
})

/** A state of a later Flink must not hide a whole cluster; RECONCILING is neither an end nor a state we act in. */
const toState = (state: string): FlinkJobState =>
  FLINK_JOB_STATES.find((known) => known === state) ?? 'RECONCILING'

/** REST/messages/JobConfigInfo: the global job parameters of the ExecutionConfig, all as text. */
const JobConfig = Type.Object({
  'execution-config': maybe(
    Type.Object({ 'user-config': maybe(Type.Record(Type.String(), Type.Unknown())) }),
  ),
})

/** `tidemark.version` of the job's user configuration: a positive whole number, anything else declares nothing. */
export const readDeclaredVersion: Reader<{ version: number | null }> = reader(JobConfig, (config) => {
  const declared = String(config['execution-config']?.['user-config']?.['tidemark.version'] ?? '').trim()
  return { version: /^[1-9]\d{0,8}$/.test(declared) ? Number(declared) : null }
})

// ------------------------------------------------------------------------------------------------- exceptions

/** REST/messages/JobExceptionsInfoWithHistory; `root-exception` and `all-exceptions` beside it (1.x) are not used. */
const Exceptions = Type.Object({
  exceptionHistory: maybe(
    Type.Object({
      entries: maybe(
        Type.Array(
          Type.Object({
            exceptionName: maybe(Type.String()),
            stacktrace: maybe(Type.String()),
            timestamp: Type.Number(),
            taskName: maybe(Type.String()),
            taskManagerId: maybe(Type.String()),
          }),
        ),
      ),
    }),
  ),
})

export const readExceptions: Reader<JobException[]> = reader(Exceptions, ({ exceptionHistory }) =>
  (exceptionHistory?.entries ?? [])
    .map((entry) => ({
      at: entry.timestamp,
      exceptionName: (entry.exceptionName ?? '').slice(0, 500),
      text: shortenTrace(entry.stacktrace ?? ''),
      taskName: textOf(entry.taskName)?.slice(0, 1_000) ?? null,
      taskManagerId: textOf(entry.taskManagerId)?.slice(0, 200) ?? null,
    }))
    .sort((one, other) => other.at - one.at),
)

// ------------------------------------------------------------------------------------------------- savepoints

/** REST/messages/TriggerResponse */
export const readTriggered: Reader<string> = reader(
  Type.Object({ 'request-id': Type.String({ maxLength: 64 }) }),
  (body) => body['request-id'],
)

/**
 * REST/messages/job/savepoints/SavepointInfo. COMPLETED is not success: exactly one of `location` and `failure-cause` is
 * there. `serialized-throwable` (REST/messages/json/SerializedThrowableSerializer) is never looked at.
 */
const Operation = Type.Object({
  status: Type.Object({ id: Type.String() }),
  operation: maybe(
    Type.Object({
      location: maybe(Type.String({ minLength: 1, maxLength: 4_096 })),
      'failure-cause': maybe(
        Type.Object({ class: maybe(Type.String()), 'stack-trace': maybe(Type.String()) }),
      ),
    }),
  ),
})

/** REST/handler/async/AsynchronousOperationInfo: an empty object when it went well, else its `failure-cause`. */
export const readDisposalStatus: Reader<DisposalAnswer> = reader(Operation, ({ status, operation }) => {
  if (status.id === 'IN_PROGRESS') return { kind: 'pending' }
  if (status.id !== 'COMPLETED' || !operation) return undefined
  const cause = operation['failure-cause'] ?? null
  if (cause === null) return { kind: 'completed' }
  const className = (cause.class ?? '').slice(0, 500)
  return { kind: 'failed', failure: { className, text: shortenTrace(cause['stack-trace'] ?? '') } }
})

export const readSavepointStatus: Reader<SavepointAnswer> = reader(Operation, ({ status, operation }) => {
  if (status.id === 'IN_PROGRESS') return { kind: 'pending' }
  const location = operation?.location ?? null
  const cause = operation?.['failure-cause'] ?? null
  if (status.id !== 'COMPLETED' || (location === null) === (cause === null)) return undefined
  if (location !== null) return { kind: 'completed', location }
  const className = (cause?.class ?? '').slice(0, 500)
  return { kind: 'failed', failure: { className, text: shortenTrace(cause?.['stack-trace'] ?? '') } }
})
