/** What the API calls clusters, storages, jobs and job versions. Instants are RFC 3339 UTC with milliseconds. */
import type { ClusterCapabilities, UnsupportedFeature } from './capabilities.ts'
import type { Labels, Reference } from './snapshot.ts'

/** A secret is never in the database: only where the installation keeps it. */
export type SecretReference = { env: string } | { file: string }

export type ClusterAuth =
  | { type: 'none' }
  | { type: 'basic'; username: string; password: SecretReference }
  | { type: 'bearer'; token: SecretReference }
  | { type: 'clientCertificate'; certificate: SecretReference; key: SecretReference; ca?: SecretReference }

export const CLUSTER_MODES = ['MANAGE', 'OBSERVE_ONLY'] as const
export type ClusterMode = (typeof CLUSTER_MODES)[number]

export type ClusterFingerprint = { haClusterId: string | null; kubernetesClusterId: string | null }

export type Cluster = {
  id: string
  name: string
  url: string
  auth: ClusterAuth
  mode: ClusterMode
  followIdentity: boolean
  flinkVersion: string | null
  capabilities: ClusterCapabilities | null
  fingerprint: ClusterFingerprint | null
  /** Another cluster's fingerprint that answers at this address; set until a person confirms it. */
  changedTo: ClusterFingerprint | null
  /** What its own configuration restores at every restart, as Flink writes it. */
  recoveryPath: string | null
  /** What it cannot do; empty until it has been reached once. */
  unsupported: UnsupportedFeature[]
  reachable: boolean | null
  /** When the last change of what we know was observed. */
  observedAt: string | null
  lastError: string | null
  createdAt: string
  updatedAt: string
  etag: string
}

export const STORAGE_PROVIDERS = [
  'aws',
  'oss',
  'cos',
  'obs',
  'gcs',
  'minio',
  'generic',
  'local',
  'flink-only',
] as const
export type StorageProvider = (typeof STORAGE_PROVIDERS)[number]

export type StorageCredentials = {
  accessKeyId?: SecretReference
  secretAccessKey?: SecretReference
  sessionToken?: SecretReference
  roleArn?: string
}

export type Storage = {
  id: string
  name: string
  uri: string
  provider: StorageProvider
  endpoint: string | null
  region: string | null
  pathStyle: boolean | null
  credentials: StorageCredentials | null
  clearCheckpoints: boolean
  createdAt: string
  updatedAt: string
  etag: string
}

export type JobAttachment = { flinkJobId: string } | { flinkJobName: string }

export const RUN_STATES = [
  'SUBMITTING',
  'RUNNING',
  'STOPPING',
  'FINISHED',
  'CANCELED',
  'FAILED',
  'LOST',
] as const
export type RunState = (typeof RUN_STATES)[number]
export const ENDED_RUN_STATES = [
  'FINISHED',
  'CANCELED',
  'FAILED',
  'LOST',
] as const satisfies readonly RunState[]

export type Job = {
  id: string
  name: string
  cluster: Reference
  savepointStorage: Reference
  attach: JobAttachment | null
  allowStop: boolean
  savepointTimeoutSeconds: number
  labels: Labels
  latestVersion: number | null
  /** What the last observation says; null before the first one. */
  run: {
    id: string
    flinkJobId: string
    epoch: number
    state: RunState
    /** Flink's own word, e.g. RESTARTING. */
    flinkState: string
    startedAt: string
    endedAt: string | null
  } | null
  /** The Flink job ids that match the name when more than one is live; nothing is triggered then. */
  ambiguous: string[] | null
  createdAt: string
  updatedAt: string
  etag: string
}
