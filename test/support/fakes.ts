/** Fakes of the outside for unit tests: a Flink and a store that answer what the test says. */
import type { CheckpointEntry, CheckpointStatistics, FlinkJob } from '../../src/domain/flink.ts'
import {
  formatLocation,
  isInside,
  type Location,
  parseLocation,
  sameLocation,
} from '../../src/domain/location.ts'
import type { FlinkClient } from '../../src/ports/flink.ts'
import type { SavepointWork } from '../../src/ports/savepoint-work.ts'
import type { ObjectStore } from '../../src/ports/storage.ts'

const unasked = (what: string) => async (): Promise<never> => {
  throw new Error(`the test did not expect ${what}`)
}

export const fakeFlink = (answers: Partial<FlinkClient>): FlinkClient => ({
  describeCluster: unasked('describeCluster'),
  readSettings: unasked('readSettings'),
  readDeclaredVersion: unasked('readDeclaredVersion'),
  pollCheckpoints: unasked('pollCheckpoints'),
  listJobs: unasked('listJobs'),
  findJob: unasked('findJob'),
  listExceptions: async () => [],
  readCheckpoints: async () => null,
  readCheckpointConfig: async () => null,
  triggerSavepoint: unasked('triggerSavepoint'),
  readSavepoint: unasked('readSavepoint'),
  stopJob: unasked('stopJob'),
  cancelJob: unasked('cancelJob'),
  disposeSavepoint: unasked('disposeSavepoint'),
  readDisposal: unasked('readDisposal'),
  listJars: unasked('listJars'),
  uploadJar: unasked('uploadJar'),
  runJar: unasked('runJar'),
  ...answers,
})

/** A store that holds these files, each of `bytes`. */
export function fakeStore(files: Record<string, Uint8Array>): ObjectStore {
  const objects = () =>
    Object.entries(files).map(([place, bytes]) => ({
      location: parseLocation(place),
      sizeBytes: bytes.length,
      modifiedAt: new Date('2026-11-21T12:00:03Z'),
      archived: false,
    }))
  const find = (location: Location) => files[formatLocation(location)]
  return {
    list: async (prefix) => ({
      objects: objects().filter(({ location }) => isInside(prefix, location)),
      nextPageToken: null,
    }),
    head: async (location) => objects().find((object) => sameLocation(object.location, location)) ?? null,
    readRange: async (location, offset, length) => find(location)?.slice(offset, offset + length) ?? null,
    async *read(location) {
      const bytes = find(location)
      if (bytes) yield bytes
    },
    put: unasked('put'),
    putStream: unasked('putStream'),
    deleteMany: unasked('deleteMany'),
  }
}

export const flinkJob = (changes: Partial<FlinkJob> = {}): FlinkJob => ({
  flinkJobId: 'f'.repeat(32),
  name: 'orders',
  state: 'RUNNING',
  startTime: 100,
  endTime: null,
  jobManagerNow: null,
  allTasksRunning: true,
  ...changes,
})

export const checkpointEntry = (changes: Partial<CheckpointEntry> = {}): CheckpointEntry => ({
  id: 7,
  status: 'COMPLETED',
  isSavepoint: true,
  format: 'CANONICAL',
  checkpointType: 'SAVEPOINT',
  triggeredAt: 1_000,
  latestAckAt: 3_000,
  stateSizeBytes: 4_096,
  uploadedBytes: 4_000,
  durationMs: 2_000,
  externalPath: null,
  discarded: false,
  failedAt: null,
  failureMessage: null,
  ...changes,
})

export const statistics = (...history: CheckpointEntry[]): CheckpointStatistics => ({
  counts: { restored: 0, total: history.length, inProgress: 0, completed: history.length, failed: 0 },
  latest: { completed: null, savepoint: null, failed: null, restored: null },
  history,
})

export const PREFIX = 'file:///roots/a/default/orders/savepoints/01a1fbf4-0000-7000-8000-000000000001/'

/** An asked savepoint of the job `orders`, five seconds old. */
export const savepointWork = (changes: Partial<SavepointWork> = {}) => ({
  id: '01a1fbf4-0000-7000-8000-000000000001',
  namespaceId: '01a1fbf4-0000-7000-8000-00000000000a',
  namespace: 'default',
  status: 'Creating' as const,
  source: 'MANUAL' as const,
  format: 'CANONICAL' as const,
  ownedPrefix: PREFIX,
  createdAt: new Date('2026-11-21T12:00:00Z'),
  deadlineAt: new Date('2026-11-21T12:30:00Z'),
  settledAt: null,
  now: new Date('2026-11-21T12:00:05Z'),
  tries: 0,
  job: { id: 'job-1', name: 'orders' },
  countedAttempts: 1,
  run: {
    id: 'run-1',
    flinkJobId: 'f'.repeat(32),
    state: 'RUNNING' as const,
    flinkStartTime: 100,
    allTasksRunning: true,
    over: false,
    tasksRunningSince: new Date('2026-11-21T11:00:00Z'),
  },
  attach: { flinkJobName: 'orders' },
  ambiguous: null,
  observationIsFresh: true,
  cluster: {
    name: 'main',
    mode: 'MANAGE' as const,
    flinkVersion: '2.3.0',
    identityChanged: false,
    supported: true,
    address: { key: 'k', namespace: 'default', url: 'http://flink:8081', auth: { type: 'none' as const } },
  },
  storage: {
    key: 'k',
    namespace: 'default',
    root: parseLocation('file:///roots/a'),
    provider: 'local' as const,
    endpoint: null,
    region: null,
    pathStyle: null,
    credentials: null,
  },
  lease: 'lease-1',
  ...changes,
  attempt: {
    number: 1,
    triggerId: 'a'.repeat(32),
    directory: `${PREFIX}1/`,
    createdAt: new Date('2026-11-21T12:00:00Z'),
    askedAt: new Date('2026-11-21T12:00:01Z'),
    askedFlinkStart: 100,
    afterRescale: false,
    stopMode: null,
    outcome: null,
    ...changes.attempt,
    flinkJobId: 'f'.repeat(32),
  },
})
