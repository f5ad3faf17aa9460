/** What a Flink version can do and how it spells it, as its REST clients see it. */
export type Dialect = {
  version: string
  revision: string
  /** `triggerId` and `formatType` are read, repeats are idempotent, unknown operations say whose they were. */
  triggerIds: boolean
  checkpointedSize: boolean
  /** GET /jobs/:id/status and /jobs/:id/jobmanager/config. */
  jobStatus: boolean
  /** POST /jobs/:id/checkpoints, `savepointFormat`, `flinkConfiguration` of a run. */
  checkpointTriggers: boolean
  refusesIncremental: boolean
  /** `claimMode`, `job-type`, new configuration keys. */
  claimMode: boolean
  programArgs: boolean
  /** `root-exception` and `all-exceptions`, `execution-mode`. */
  legacyFields: boolean
  pendingOperators: boolean
  /** `applicationId`, `jobType`, `schedulerType`. */
  applications: boolean
  savepointDirectoryKey: string
  metadataVersion: 3 | 4 | 5 | 6
}

export function dialectOf(version: string): Dialect {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const since = (otherMajor: number, otherMinor: number) =>
    major > otherMajor || (major === otherMajor && minor >= otherMinor)
  return {
    version,
    revision: since(2, 3) ? 'c0f8d1a @ 2026-06-14T16:29:03+02:00' : 'f6265b2 @ 2026-04-16T22:34:59+02:00',
    triggerIds: since(1, 15),
    checkpointedSize: since(1, 15),
    jobStatus: since(1, 16),
    checkpointTriggers: since(1, 17),
    refusesIncremental: since(1, 19),
    claimMode: since(1, 20),
    programArgs: !since(2, 0),
    legacyFields: !since(2, 0),
    pendingOperators: since(2, 0),
    applications: since(2, 3),
    savepointDirectoryKey: since(1, 20) ? 'execution.checkpointing.savepoint-dir' : 'state.savepoints.dir',
    metadataVersion: metadataVersion(since),
  }
}

function metadataVersion(since: (major: number, minor: number) => boolean): 3 | 4 | 5 | 6 {
  if (since(2, 1)) return 6
  if (since(2, 0)) return 5
  return since(1, 16) ? 4 : 3
}
