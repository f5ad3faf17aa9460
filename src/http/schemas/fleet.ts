/** What runs on a cluster, and attaching it. */
import { Type } from 'typebox'
import { ATTACH_SKIPS } from '../../domain/attach-plan.ts'
import { FLINK_JOB_STATES } from '../../domain/flink.ts'
import { CLOSED, Moment, named, nullable, openWord } from './base.ts'
import { PATTERNS } from './formats.ts'
import { LabelsInput, Reference } from './labels.ts'

export const FlinkJobList = named(
  'FlinkJobList',
  Type.Object(
    {
      items: Type.Array(
        Type.Object({
          flinkJobId: Type.String(),
          name: Type.String({ description: "Flink's name of the job." }),
          state: openWord(FLINK_JOB_STATES, "Flink's word."),
          startTime: nullable(Moment('When it was submitted, on the clock of the JobManager.')),
          endTime: nullable(Moment('When it ended; null while it lives.')),
          allTasksRunning: Type.Boolean({ description: 'Only then can a savepoint begin.' }),
          job: nullable(Reference),
          ambiguous: Type.Boolean({
            description:
              'More than one live Flink job has this name: a job that follows it by name takes no savepoints.',
          }),
        }),
        { description: 'Live ones first, then the newest. `job` is the job of ours that follows it.' },
      ),
      truncated: Type.Boolean({ description: 'Whether Flink listed more than the 1000 shown.' }),
    },
    { description: 'What runs on a cluster now.' },
  ),
)

export const AttachFlinkJobs = named(
  'AttachFlinkJobs',
  Type.Object(
    {
      namePattern: Type.String({
        minLength: 1,
        maxLength: 255,
        pattern: PATTERNS.singleLine,
        description:
          "A pattern over Flink's names of the jobs, upper and lower case as written: `*` is any text, `?` one character, everything else is itself.",
      }),
      savepointStorage: Type.String({
        pattern: PATTERNS.idOrName,
        maxLength: 63,
        description: 'The name or the id of the storage for savepoints.',
      }),
      labels: Type.Optional(LabelsInput),
      savepointTimeoutSeconds: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 86_400,
          description: 'How long a savepoint of these jobs may take, in seconds. Default: 1800.',
        }),
      ),
      dryRun: Type.Optional(
        Type.Boolean({ description: 'Only say what would be attached. Default: false.' }),
      ),
    },
    { ...CLOSED },
  ),
)

export const AttachReport = named(
  'AttachReport',
  Type.Object(
    {
      dryRun: Type.Boolean({ description: 'Nothing was written.' }),
      attached: Type.Array(
        Type.Object({
          flinkJobName: Type.String(),
          job: Type.Object({
            id: nullable(Type.String({ description: 'null in a dry run.' })),
            name: Type.String({ description: "Made from Flink's name as a DNS label that was free." }),
          }),
        }),
        { description: 'At most 500.' },
      ),
      skipped: Type.Array(
        Type.Object({
          flinkJobName: Type.String(),
          reason: openWord(
            ATTACH_SKIPS,
            '`ALREADY_ATTACHED`: `job` follows it. `AMBIGUOUS`: more than one live Flink job has this name. `NAME_UNUSABLE`: the name has no letter or digit to make a name of, or cannot be followed.',
          ),
          job: nullable(Reference),
        }),
        { description: 'The first 1000; `counts.skipped` is how many there are.' },
      ),
      counts: Type.Object(
        {
          matched: Type.Integer({ description: 'Distinct names of live Flink jobs that match.' }),
          attached: Type.Integer(),
          skipped: Type.Integer(),
          left: Type.Integer({ description: 'Beyond the 500 of one call: call again.' }),
        },
        { description: 'matched = attached + skipped + left.' },
      ),
    },
    { description: 'What an attach by pattern did.' },
  ),
)
