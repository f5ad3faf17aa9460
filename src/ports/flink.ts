/** One Flink cluster as services ask it. */
import type {
  CancelAnswer,
  CheckpointConfig,
  CheckpointPoll,
  CheckpointStatistics,
  ClusterSettings,
  DisposalAnswer,
  DisposalTrigger,
  FlinkClusterInfo,
  FlinkJob,
  JobException,
  RunAnswer,
  RunRequest,
  SavepointAnswer,
  StopRequest,
  TriggerAnswer,
  TriggerRequest,
  UploadedJar,
} from '../domain/flink.ts'
import type { ClusterAuth } from '../domain/resources.ts'

/** How to reach one cluster; `key` changes when url or auth change, so that a connection pool is never stale. */
export type ClusterAddress = { key: string; namespace: string; url: string; auth: ClusterAuth }

/**
 * One Flink JobManager REST address. Every method throws FlinkUnavailableError when Flink could not be asked
 * (refused, timed out, 5xx, leader election, over-long or unreadable answer); that is never a failed savepoint.
 */
export interface FlinkClient {
  /** GET /config: version and capabilities. */
  describeCluster(): Promise<FlinkClusterInfo>
  /** GET /jobmanager/config: HA and Kubernetes cluster id and the recovery path, null where not reported. */
  readSettings(): Promise<ClusterSettings>
  /** GET /jobs/overview: the one cheap poll of a cluster. */
  listJobs(): Promise<FlinkJob[]>
  /** GET /jobs/:id; null when this JobManager does not know the job now (which is not an end). */
  findJob(flinkJobId: string): Promise<FlinkJob | null>
  /** GET /jobs/:id/exceptions, newest first; empty when the job is unknown. */
  listExceptions(flinkJobId: string): Promise<JobException[]>
  /** GET /jobs/:id/checkpoints; null when the job is unknown or has no checkpoint coordinator. */
  readCheckpoints(flinkJobId: string): Promise<CheckpointStatistics | null>
  /** The same for an observer: `tag` is that of the last answer it has seen. */
  pollCheckpoints(flinkJobId: string, tag: string | null): Promise<CheckpointPoll>
  /** `tidemark.version` of GET /jobs/:id/config; null when it declares none or the job is unknown. */
  readDeclaredVersion(flinkJobId: string): Promise<number | null>
  /** GET /jobs/:id/checkpoints/config; null when the job is unknown or has no checkpoint coordinator. */
  readCheckpointConfig(flinkJobId: string): Promise<CheckpointConfig | null>
  /** POST /jobs/:id/savepoints with our own trigger id. Never retried by the client. */
  triggerSavepoint(request: TriggerRequest): Promise<TriggerAnswer>
  /** GET /jobs/:id/savepoints/:triggerid, for savepoints and stops. */
  readSavepoint(flinkJobId: string, triggerId: string): Promise<SavepointAnswer>
  /** POST /jobs/:id/stop with our own trigger id; the result is that of `readSavepoint`. Never retried by the client. */
  stopJob(request: StopRequest): Promise<TriggerAnswer>
  /**
   * POST /savepoint-disposal: Flink makes the trigger id, and a repeat is a new operation. It does not ask whether the path is a
   * savepoint: never for a checkpoint. Never retried by the client.
   */
  disposeSavepoint(location: string): Promise<DisposalTrigger>
  /** GET /savepoint-disposal/:triggerid. */
  readDisposal(triggerId: string): Promise<DisposalAnswer>
  /** PATCH /jobs/:id?mode=cancel. May be repeated. */
  cancelJob(flinkJobId: string): Promise<CancelAnswer>
  /** GET /jars. */
  listJars(): Promise<UploadedJar[]>
  /** POST /jars/upload, streamed; answers the jar's id. Repeated it is another upload of the same bytes. */
  uploadJar(jar: { name: string; sizeBytes: number; read: () => AsyncIterable<Uint8Array> }): Promise<string>
  /**
   * POST /jars/:id/run. Never retried by the client: without an answer the job may have been started, unless the error says
   * `mayHaveArrived: false`. Waits `runTimeoutMs`, longer than other calls: the program's main method runs meanwhile.
   */
  runJar(request: RunRequest): Promise<RunAnswer>
}

export interface FlinkConnections {
  /** The client of a cluster; its pool is kept while used and closed when idle. */
  to(cluster: ClusterAddress): FlinkClient
  close(): Promise<void>
}
