import { Type } from 'typebox'
import { SNAPSHOT_KINDS, SNAPSHOT_SOURCES } from '../../domain/snapshot.ts'
import { SNAPSHOT_STATUSES } from '../../domain/snapshot-status.ts'
import { CLOSED, Moment, named, nullable, openWord } from './base.ts'
import { Reference } from './labels.ts'
import { runSchema } from './runs.ts'

const count = (description: string) => Type.Integer({ minimum: 0, description })

const Last = Type.Object({
  snapshot: Type.String({ description: 'The id of the snapshot.' }),
  status: openWord(SNAPSHOT_STATUSES, 'Where it stands now: also a Cleared one was successful.'),
  source: openWord(SNAPSHOT_SOURCES, 'What caused it.'),
  flinkCheckpointId: nullable(Type.Integer({ description: 'Comparable only within a run.' })),
  triggeredAt: nullable(Moment('When Flink began.')),
  completedAt: nullable(Moment('When Flink was done.')),
  failedAt: nullable(Moment('When it failed.')),
  durationMs: nullable(Type.Integer({ description: 'Milliseconds.' })),
  sizeBytes: nullable(Type.Integer({ description: 'The full state, in bytes.' })),
  uploadedBytes: nullable(Type.Integer({ description: 'What it uploaded, in bytes.' })),
  location: nullable(Type.String()),
  failure: nullable(Type.Object({ code: Type.String(), message: Type.String() })),
})

const figure = nullable(Type.Integer())
const percentiles = (description: string) =>
  Type.Object({ p50: figure, p90: figure, p99: figure, max: figure }, { description })

const Counts = Type.Object(
  {
    completed: count('`present` and `cleared` together.'),
    present: count('Completed, and not known to be gone.'),
    cleared: count('Completed, and removed since.'),
    failed: count('Failed.'),
    timedOut: count('Not done in time.'),
  },
  {
    description:
      'What ended within the window. Of the hour in which the window begins only what is still kept as a row is counted.',
  },
)
const coveredSince = Moment(
  'The percentiles come from the snapshots still kept as rows: from here on, which may be later than the window begins.',
)

const CheckpointConfig = Type.Object(
  {
    mode: Type.String(),
    intervalMs: nullable(Type.Integer({ description: 'null when periodic checkpoints are off.' })),
    timeoutMs: Type.Integer(),
    minPauseMs: Type.Integer(),
    maxConcurrent: Type.Integer(),
    externalized: Type.Object({ enabled: Type.Boolean(), deleteOnCancellation: Type.Boolean() }),
    stateBackend: nullable(Type.String()),
    checkpointStorage: nullable(Type.String()),
    unaligned: Type.Boolean(),
    tolerableFailures: nullable(Type.Integer()),
  },
  { description: 'As the running job has it, reported by Flink. Milliseconds.' },
)

const Hour = Type.Object({
  hour: Moment('When the hour began.'),
  completed: count('Completed checkpoints.'),
  failed: count('Failed checkpoints.'),
  timedOut: count('Expired checkpoints.'),
  durationMsAvg: figure,
  durationMsMax: figure,
  sizeBytesAvg: figure,
  sizeBytesMax: figure,
  uploadedBytes: Type.Integer({ description: 'Of all completed ones together, in bytes.' }),
})

export const JobState = named(
  'JobState',
  Type.Object(
    {
      job: Reference,
      run: nullable(runSchema()),
      observation: Type.Object(
        {
          fresh: Type.Boolean({ description: 'Confirmed by the cluster under 10 seconds ago.' }),
          clusterReachable: nullable(Type.Boolean({ description: 'null until we have tried.' })),
          observedAt: nullable(Moment('When it was last confirmed.')),
        },
        { description: 'How far what stands here can be relied on now.' },
      ),
      windowSeconds: Type.Integer({ description: 'How far back the figures go, in seconds.' }),
      checkpoints: Type.Object({
        lastSuccessful: nullable(Last),
        lastFailed: nullable(Last),
        inProgress: nullable(
          Type.Object({
            id: Type.Integer({ description: "Flink's checkpoint id." }),
            triggeredAt: Moment('When Flink began.'),
            checkpointType: Type.String(),
          }),
        ),
        counts: Counts,
        durationMs: percentiles('Milliseconds, of the completed ones.'),
        sizeBytes: percentiles('The full state in bytes, of the completed ones.'),
        uploadedBytes: percentiles('Bytes uploaded, of the completed ones.'),
        coveredSince,
      }),
      savepoints: Type.Object(
        {
          lastSuccessful: nullable(Last),
          lastFailed: nullable(Last),
          inProgress: nullable(Last),
          counts: Counts,
          durationMs: percentiles('Milliseconds, of the completed ones.'),
          sizeBytes: percentiles('The full state in bytes, of the completed ones.'),
          coveredSince,
        },
        {
          description:
            'Savepoints, EXTERNAL ones included. An IMPORT was completed elsewhere: it is in no figure here.',
        },
      ),
      history: Type.Array(Hour, {
        description:
          'Checkpoints by the hour, oldest first, from the whole hour in which the window begins; hours without any are left out.',
      }),
      checkpointConfig: nullable(CheckpointConfig),
      flinkCounts: nullable(
        Type.Object(
          {
            restored: Type.Integer(),
            total: Type.Integer(),
            inProgress: Type.Integer(),
            completed: Type.Integer(),
            failed: Type.Integer(),
          },
          {
            description:
              "Flink's own counts, savepoints included, since the JobManager's execution graph began: they start again from 0.",
          },
        ),
      ),
      restorePoint: nullable(
        Type.Object(
          {
            snapshot: Type.String({ description: 'The id of the snapshot.' }),
            kind: openWord(SNAPSHOT_KINDS, 'Who owns it.'),
            completedAt: Moment('When Flink was done.'),
            ageSeconds: Type.Integer({ description: 'What a restart from it would repeat, in seconds.' }),
          },
          { description: 'The newest restorable snapshot of the job; null when there is none.' },
        ),
      ),
    },
    { description: 'The state set of a job at a glance.' },
  ),
)

export const JobStateQuery = Type.Object(
  {
    windowSeconds: Type.Optional(
      Type.Integer({
        minimum: 60,
        maximum: 2_592_000,
        default: 86_400,
        description: 'How far back counts, percentiles and history go, in seconds: 60 to 2592000 (30 days).',
      }),
    ),
  },
  CLOSED,
)
