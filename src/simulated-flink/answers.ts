/** The JSON of every answer, as recorded from 1.20.4 and 2.3.0. Optional objects are null, not absent. */
import {
  type CheckpointEntry,
  type CheckpointStatistics,
  isSavepoint,
  type Series,
  summarize,
} from './checkpoint-statistics.ts'
import type { Cluster } from './cluster.ts'
import type { Dialect } from './dialect.ts'
import { TASK_MANAGER } from './exceptions.ts'
import { uploadDirectory } from './jars.ts'
import { failureCause } from './java-throwable.ts'
import {
  type ExceptionEntry,
  isTerminal,
  JOB_STATES,
  type SimulatedJob,
  TASK_STATES,
  type TaskState,
} from './job.ts'
import type { Operation } from './operations.ts'
import { countSubtasks, type Vertex } from './program.ts'

/** `Long.MAX_VALUE` does not fit a JavaScript number: it is put into the text afterwards. */
const LONG_MAX = '@long-max@'
export const writeLongMax = (body: string): string => body.replaceAll(`"${LONG_MAX}"`, '9223372036854775807')

// -------------------------------------------------------------------------------------------------- cluster

export const configAnswer = ({ dialect }: Cluster) => ({
  'refresh-interval': 3000,
  'timezone-name': 'Coordinated Universal Time',
  'timezone-offset': 0,
  'flink-version': dialect.version,
  'flink-revision': dialect.revision,
  features: {
    'web-submit': true,
    'web-cancel': true,
    ...(dialect.checkpointTriggers && { 'web-rescale': false }),
    'web-history': false,
  },
})

export function overviewAnswer({ jobs, slots, dialect, taskManagerThere }: Cluster) {
  const counts = { running: 0, finished: 0, cancelled: 0, failed: 0 }
  let used = 0
  for (const job of jobs.values()) {
    if (job.state === 'FINISHED') counts.finished++
    else if (job.state === 'CANCELED') counts.cancelled++
    else if (job.state === 'FAILED') counts.failed++
    else counts.running++
    if (!isTerminal(job)) used += job.parallelism
  }
  return {
    taskmanagers: taskManagerThere ? 1 : 0,
    'slots-total': taskManagerThere ? slots : 0,
    'slots-available': taskManagerThere ? Math.max(0, slots - used) : 0,
    'jobs-running': counts.running,
    'jobs-finished': counts.finished,
    'jobs-cancelled': counts.cancelled,
    'jobs-failed': counts.failed,
    'flink-version': dialect.version,
    'flink-commit': dialect.revision.split(' ')[0],
  }
}

export function jobManagerConfigAnswer(cluster: Cluster) {
  const { defaults, dialect, savepointDirectory, webDirectory, extraConfiguration } = cluster
  const [checkpoints, retained] = dialect.claimMode
    ? ['execution.checkpointing.dir', 'execution.checkpointing.num-retained']
    : ['state.checkpoints.dir', 'state.checkpoints.num-retained']
  const entries: Record<string, string | null> = {
    'jobmanager.rpc.address': '127.0.0.1',
    'rest.address': '127.0.0.1',
    'web.tmpdir': webDirectory,
    'execution.checkpointing.interval':
      defaults.checkpointIntervalMs === null ? null : String(defaults.checkpointIntervalMs),
    'execution.checkpointing.externalized-checkpoint-retention': defaults.retention,
    [retained]: String(defaults.numRetained),
    [checkpoints]: defaults.checkpointDirectory,
    [dialect.savepointDirectoryKey]: savepointDirectory,
    ...Object.fromEntries(extraConfiguration),
  }
  return Object.entries(entries).flatMap(([key, value]) => (value === null ? [] : [{ key, value }]))
}

export const jarsAnswer = (cluster: Cluster, address: string) => ({
  address,
  files: [...cluster.jars.values()].map((jar) => ({
    id: jar.id,
    name: jar.name,
    uploaded: jar.uploadedAt,
    entry: jar.entryClass === null ? [] : [{ name: jar.entryClass, description: null }],
  })),
})

export const uploadAnswer = (cluster: Cluster, jarId: string) => ({
  filename: `${uploadDirectory(cluster)}/${jarId}`,
  status: 'success',
})

// ----------------------------------------------------------------------------------------------------- jobs

export const jobsAnswer = ({ jobs }: Cluster) => ({
  jobs: Array.from(jobs.values(), ({ id, state }) => ({ id, status: state })),
})

export function jobsOverviewAnswer({ jobs, dialect, clock }: Cluster) {
  const now = clock.now()
  return { jobs: Array.from(jobs.values(), (job) => jobOverview(job, dialect, now)) }
}

const jobOverview = (job: SimulatedJob, dialect: Dialect, now: number) => ({
  jid: job.id,
  name: job.name,
  ...(dialect.applications && { jobType: job.type, schedulerType: job.withoutGraph ? null : 'Default' }),
  'start-time': job.startTime,
  'end-time': job.endTime,
  duration: (isTerminal(job) ? job.endTime : now) - job.startTime,
  state: job.state,
  'last-modification': job.lastModification,
  tasks: overviewTasks(job),
  ...(dialect.pendingOperators && { 'pending-operators': 0 }),
})

function overviewTasks(job: SimulatedJob) {
  const total = job.withoutGraph ? 0 : countSubtasks(job.program)
  const counts: Record<string, number> = {
    total,
    created: 0,
    scheduled: 0,
    deploying: 0,
    running: 0,
    finished: 0,
    canceling: 0,
    canceled: 0,
    failed: 0,
    reconciling: 0,
    initializing: 0,
  }
  // A failing task takes the others with it: one has FAILED, they are CANCELED.
  const failed = job.tasks === 'FAILED' ? Math.min(1, total) : 0
  counts['failed'] = failed
  const others = job.tasks === 'FAILED' ? 'canceled' : job.tasks.toLowerCase()
  counts[others] = total - failed
  return counts
}

export function jobAnswer(job: SimulatedJob, { dialect, clock }: Cluster) {
  const now = clock.now()
  const vertices = job.withoutGraph ? [] : job.program.vertices
  return {
    jid: job.id,
    ...(dialect.applications && { 'application-id': job.withoutGraph ? null : job.id }),
    name: job.name,
    isStoppable: false,
    state: job.state,
    ...(dialect.claimMode && { 'job-type': job.type }),
    ...(dialect.applications && { schedulerType: job.withoutGraph ? null : 'Default' }),
    'start-time': job.startTime,
    'end-time': job.endTime,
    duration: (isTerminal(job) ? job.endTime : now) - job.startTime,
    maxParallelism: -1,
    now,
    timestamps: Object.fromEntries(JOB_STATES.map((state) => [state, job.timestamps[state]])),
    vertices: vertices.map((vertex, index) => vertexAnswer(job, vertex, index, now)),
    'status-counts': taskCounts(job.tasks, vertices.length),
    plan: planAnswer(job, vertices, dialect),
    ...(dialect.pendingOperators && { 'pending-operators': 0 }),
  }
}

const taskCounts = (state: TaskState, count: number) =>
  Object.fromEntries(TASK_STATES.map((each) => [each, each === state ? count : 0]))

function vertexAnswer(job: SimulatedJob, vertex: Vertex, index: number, now: number) {
  const status = job.tasks === 'FAILED' && index > 0 ? 'CANCELED' : job.tasks
  const ended = status === 'FINISHED' || status === 'CANCELED' || status === 'FAILED'
  const startTime = job.timestamps.RUNNING === 0 ? -1 : job.timestamps.RUNNING
  const endTime = ended ? job.tasksSince : -1
  return {
    id: vertex.id,
    slotSharingGroupId: job.id,
    name: vertex.name,
    maxParallelism: vertex.maxParallelism,
    parallelism: vertex.parallelism,
    status,
    'start-time': startTime,
    'end-time': endTime,
    duration: startTime === -1 ? -1 : (ended ? endTime : now) - startTime,
    tasks: taskCounts(status, vertex.parallelism),
    metrics: NO_METRICS,
  }
}

const NO_METRICS = {
  'read-bytes': 0,
  'read-bytes-complete': false,
  'write-bytes': 0,
  'write-bytes-complete': false,
  'read-records': 0,
  'read-records-complete': false,
  'write-records': 0,
  'write-records-complete': false,
  'accumulated-backpressured-time': 0,
  'accumulated-idle-time': 0,
  'accumulated-busy-time': 0,
}

function planAnswer(job: SimulatedJob, vertices: readonly Vertex[], dialect: Dialect) {
  if (job.withoutGraph) return dialect.legacyFields ? {} : { jid: '', name: '', type: '', nodes: [] }
  const nodes = vertices.map((vertex, index) => planNode(vertex, vertices[index - 1]))
  return { jid: job.id, name: job.name, type: job.type, nodes: nodes.toReversed() }
}

const planNode = (vertex: Vertex, before: Vertex | undefined) => ({
  id: vertex.id,
  operator: '',
  parallelism: vertex.parallelism,
  operator_strategy: '',
  description: vertex.operators.map(({ name }, i) => `${i === 0 ? '' : '+- '}${name}<br/>`).join(''),
  optimizer_properties: {},
  ...(before && {
    inputs: [{ id: before.id, num: 0, exchange: 'pipelined_bounded', ship_strategy: 'HASH' }],
  }),
})

export const jobConfigAnswer = (job: SimulatedJob, { dialect }: Cluster) => ({
  jid: job.id,
  name: job.name,
  'execution-config': {
    ...(dialect.legacyFields && { 'execution-mode': 'PIPELINED' }),
    'restart-strategy': 'Cluster level default restart strategy',
    'job-parallelism': job.parallelism,
    'object-reuse-mode': false,
    'user-config': job.userConfig,
  },
})

export function exceptionsAnswer(job: SimulatedJob, { dialect }: Cluster) {
  const [newest] = job.exceptions
  return {
    ...(dialect.legacyFields && {
      'root-exception': newest?.stacktrace ?? null,
      timestamp: newest?.at ?? null,
      'all-exceptions': [],
      truncated: false,
    }),
    exceptionHistory: { entries: job.exceptions.map(exceptionAnswer), truncated: false },
  }
}

const exceptionAnswer = (exception: ExceptionEntry) => ({
  exceptionName: exception.exceptionName,
  stacktrace: exception.stacktrace,
  timestamp: exception.at,
  failureLabels: {},
  ...(exception.taskName !== null && {
    taskName: exception.taskName,
    endpoint: 'localhost:34835',
    taskManagerId: TASK_MANAGER,
  }),
  concurrentExceptions: [],
})

// ---------------------------------------------------------------------------------------------- checkpoints

/** As text, and only once per change: a fleet's observer asks thousands of jobs again and again. */
export function checkpointsBody({ statistics }: SimulatedJob, { dialect }: Cluster): string {
  const known = bodies.get(statistics)
  if (known?.changes === statistics.changes) return known.body
  const body = JSON.stringify(checkpointsAnswer(statistics, dialect))
  bodies.set(statistics, { changes: statistics.changes, body })
  return body
}

const bodies = new WeakMap<CheckpointStatistics, { changes: number; body: string }>()

function checkpointsAnswer(statistics: CheckpointStatistics, dialect: Dialect) {
  const { counts, restored } = statistics
  const entry = (checkpoint: CheckpointEntry | null) =>
    checkpoint === null ? null : entryAnswer(checkpoint, dialect, {})
  return {
    counts: {
      restored: counts.restored,
      total: counts.total,
      in_progress: counts.inProgress,
      completed: counts.completed,
      failed: counts.failed,
    },
    summary: summaryAnswer(statistics, dialect),
    latest: {
      completed: entry(statistics.completed),
      savepoint: entry(statistics.savepoint),
      failed: entry(statistics.failed),
      restored: restored && {
        id: restored.id,
        restore_timestamp: restored.restoredAt,
        is_savepoint: restored.isSavepoint,
        external_path: restored.externalPath,
      },
    },
    history: statistics.history.map(entry),
  }
}

const ALWAYS_ZERO = { min: 0, max: 0, avg: 0, p50: 0, p90: 0, p95: 0, p99: 0, p999: 0 }

function summaryAnswer({ uploads, sizes, durations }: CheckpointStatistics, dialect: Dialect) {
  const zerosLike = (series: Series) => (series.count === 0 ? summarize(series) : ALWAYS_ZERO)
  return {
    ...(dialect.checkpointedSize && { checkpointed_size: summarize(uploads) }),
    state_size: summarize(sizes),
    end_to_end_duration: summarize(durations),
    alignment_buffered: ALWAYS_ZERO,
    processed_data: zerosLike(sizes),
    persisted_data: zerosLike(sizes),
  }
}

const CLASS_NAMES = { IN_PROGRESS: 'in_progress', COMPLETED: 'completed', FAILED: 'failed' } as const

function entryAnswer(entry: CheckpointEntry, dialect: Dialect, tasks: Record<string, unknown>) {
  return {
    className: CLASS_NAMES[entry.status],
    id: entry.id,
    status: entry.status,
    is_savepoint: isSavepoint(entry),
    ...(dialect.checkpointTriggers && { savepointFormat: entry.format }),
    trigger_timestamp: entry.triggeredAt,
    latest_ack_timestamp: entry.latestAckAt,
    ...(dialect.checkpointedSize && { checkpointed_size: entry.checkpointedSize }),
    state_size: entry.stateSize,
    end_to_end_duration: entry.durationMs,
    alignment_buffered: 0,
    processed_data: 0,
    persisted_data: 0,
    num_subtasks: entry.subtasks,
    num_acknowledged_subtasks: entry.acknowledged,
    checkpoint_type: entry.type,
    tasks,
    ...(entry.status === 'COMPLETED' && { external_path: entry.externalPath, discarded: entry.discarded }),
    ...(entry.status === 'FAILED' && {
      failure_timestamp: entry.failedAt,
      failure_message: entry.failureMessage,
    }),
  }
}

export function checkpointDetailsAnswer(entry: CheckpointEntry, job: SimulatedJob, { dialect }: Cluster) {
  const total = countSubtasks(job.program)
  const tasks = job.program.vertices.map((vertex) => [
    vertex.id,
    {
      id: entry.id,
      status: entry.status,
      latest_ack_timestamp: entry.latestAckAt,
      ...(dialect.checkpointedSize && {
        checkpointed_size: Math.floor((entry.checkpointedSize * vertex.parallelism) / total),
      }),
      state_size: Math.floor((entry.stateSize * vertex.parallelism) / total),
      end_to_end_duration: entry.durationMs,
      alignment_buffered: 0,
      processed_data: 0,
      persisted_data: 0,
      num_subtasks: vertex.parallelism,
      num_acknowledged_subtasks: entry.acknowledged === 0 ? 0 : vertex.parallelism,
    },
  ])
  return entryAnswer(entry, dialect, Object.fromEntries(tasks))
}

const BACKENDS = { hashmap: 'HashMapStateBackend', rocksdb: 'EmbeddedRocksDBStateBackend' } as const

export function checkpointConfigAnswer({ settings }: SimulatedJob, { dialect }: Cluster) {
  const inFiles = settings.checkpointDirectory !== null
  return {
    mode: settings.mode,
    interval: settings.checkpointIntervalMs ?? LONG_MAX,
    timeout: settings.checkpointTimeoutMs,
    min_pause: settings.minPauseMs,
    max_concurrent: settings.maxConcurrent,
    externalization: {
      enabled: settings.retention !== 'NO_EXTERNALIZED_CHECKPOINTS',
      delete_on_cancellation: settings.retention !== 'RETAIN_ON_CANCELLATION',
    },
    state_backend: BACKENDS[settings.stateBackend],
    checkpoint_storage: inFiles ? 'FileSystemCheckpointStorage' : 'JobManagerCheckpointStorage',
    unaligned_checkpoints: settings.unaligned,
    tolerable_failed_checkpoints: settings.tolerableFailures,
    aligned_checkpoint_timeout: settings.alignedTimeoutMs,
    checkpoints_after_tasks_finish: true,
    ...(dialect.jobStatus && {
      state_changelog_enabled: false,
      changelog_periodic_materialization_interval: 600_000,
      changelog_storage: 'memory',
    }),
  }
}

// ----------------------------------------------------------------------------------------------- operations

const IN_PROGRESS = { status: { id: 'IN_PROGRESS' }, operation: null }
const completed = (operation: unknown) => ({ status: { id: 'COMPLETED' }, operation })

export function savepointAnswer({ outcome }: Operation) {
  if (outcome === null) return IN_PROGRESS
  if (outcome.ok) return completed({ location: outcome.location })
  return completed({ 'failure-cause': failureCause(outcome.cause) })
}

/** Camel case, unlike savepoints. */
export function checkpointAnswer({ outcome }: Operation) {
  if (outcome === null) return IN_PROGRESS
  if (outcome.ok) return completed({ checkpointId: outcome.checkpointId })
  return completed({ failureCause: failureCause(outcome.cause) })
}

export function disposalAnswer({ outcome }: Operation) {
  if (outcome === null) return IN_PROGRESS
  return completed(outcome.ok ? {} : { 'failure-cause': failureCause(outcome.cause) })
}
