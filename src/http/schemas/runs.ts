import { Type } from 'typebox'
import { RUN_STATES } from '../../domain/resources.ts'
import { VERSION_BASES } from '../../domain/run.ts'
import { Moment, named, nullable, openWord, ref } from './base.ts'
import { Reference } from './labels.ts'

/** A schema of its own each time: one is the named one, others stand where a run may be null. */
export const runSchema = () =>
  Type.Object(
    {
      id: Type.String({ description: 'UUIDv7.' }),
      job: Reference,
      cluster: Reference,
      flinkJobId: Type.String({
        description: 'Not unique in time: with the cluster and `epoch` it is a run.',
      }),
      epoch: Type.Integer(),
      state: openWord(
        RUN_STATES,
        'LOST: a reachable leader has not listed it for 300 s, or a person said so.',
      ),
      flinkState: Type.String({ description: "Flink's own word, e.g. RESTARTING." }),
      version: nullable(Type.Integer({ description: 'The number of the job version that runs.' })),
      versionBasis: nullable(
        openWord(
          VERSION_BASES,
          'How we know: we started it, declared by the job, the newest registered, or assumed.',
        ),
      ),
      declaredVersion: nullable(
        Type.Integer({ description: '`tidemark.version` in the user configuration of the job.' }),
      ),
      restoredFrom: nullable(
        Type.Object(
          {
            snapshot: nullable(Type.String({ description: 'The id, where it is one of ours.' })),
            location: nullable(Type.String()),
            flinkCheckpointId: nullable(Type.Integer()),
          },
          { description: 'What it began with; null when it began empty or nothing was seen.' },
        ),
      ),
      claimMode: nullable(Type.String({ description: 'NO_CLAIM, CLAIM or LEGACY, for what we started.' })),
      startedAt: Moment('When it started.'),
      endedAt: nullable(Moment('When its end was seen; null while it lives.')),
      endConfirmedAt: nullable(Moment('When a person said that it has ended.')),
      missingSince: nullable(Moment('Since when a reachable leader does not list it.')),
      completedCheckpoints: Type.Integer({ description: 'Of its own, as far as they were seen.' }),
      checkpointsUnderReview: Type.Boolean({
        description: 'Its Present checkpoints are being looked for in storage.',
      }),
      failure: nullable(
        Type.Object(
          { code: Type.String(), message: Type.String() },
          { description: 'Why it ended, if it failed.' },
        ),
      ),
      createdAt: Moment('When we saw it first.'),
      updatedAt: Moment('When it was last changed.'),
    },
    { description: 'One life of a job on a cluster.' },
  )

export const Run = named('Run', runSchema())

export const RunPage = named(
  'RunPage',
  Type.Object({ items: Type.Array(ref(Run)), nextPageToken: nullable(Type.String()) }),
)
