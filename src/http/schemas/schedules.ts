import { Type } from 'typebox'
import { FIRING_OUTCOMES, PAUSE_REASONS, type Period } from '../../domain/schedule.ts'
import { SAVEPOINT_FORMATS } from '../../domain/snapshot.ts'
import { CLOSED, Instant, Moment, named, nullable, oneOf, openWord, ref } from './base.ts'
import { PATTERNS } from './formats.ts'
import { DescriptionInput, Reference } from './labels.ts'

const period = (unit: string, maximum: number) => ({
  type: 'object',
  properties: { [unit]: { type: 'integer', minimum: 1, maximum } },
  required: [unit],
  additionalProperties: false,
})
const every = Type.Unsafe<Period>({
  oneOf: [
    period('seconds', 31_622_400),
    period('minutes', 527_040),
    period('hours', 8_784),
    period('days', 366),
  ],
  description:
    'A period of ten minutes to 366 days, in whole minutes, such as `{"hours": 6}`. One that divides a day runs by the clock of the time zone (00:00, 06:00, 12:00, 18:00); any other is counted from 1970-01-01T00:00Z.',
})
const cron = Type.String({
  minLength: 1,
  maxLength: 256,
  pattern: PATTERNS.singleLine,
  description:
    'Five fields: minute (0–59), hour (0–23), day of month (1–31), month (1–12 or JAN–DEC), day of week (1–7 or MON–SUN; 1 is Monday, 7 is Sunday). `*` is every value, `5,20` a list, `5-20` a range, `3/20` every 20 from 3 on. With both day fields set either is enough. `?`, `L`, `W`, `#`, `@daily` and a sixth field are refused. What is tighter than ten minutes runs every ten minutes.',
})
const timeZone = Type.String({
  minLength: 1,
  maxLength: 64,
  pattern: PATTERNS.singleLine,
  description: 'An IANA name such as `Europe/Berlin`. Default: `UTC`.',
})
const RULE = {
  cron: Type.Optional(cron),
  every: Type.Optional(every),
  timeZone: Type.Optional(timeZone),
}

export const PutSchedule = named(
  'PutSchedule',
  Type.Object(
    {
      ...RULE,
      enabled: Type.Optional(Type.Boolean({ description: 'The switch. Default: true.' })),
      format: Type.Optional(
        oneOf(SAVEPOINT_FORMATS, { description: 'Of its savepoints. Default: CANONICAL.' }),
      ),
      description: Type.Optional(DescriptionInput),
      timeoutSeconds: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 86_400,
          description: "How long each savepoint may take, in seconds. Default: the job's.",
        }),
      ),
      jitterSeconds: Type.Optional(
        Type.Integer({
          minimum: 0,
          maximum: 43_200,
          description:
            'Each run is put off by less than that, in seconds, by an amount that follows from job and run. At most half of the interval. Default: 0.',
        }),
      ),
    },
    { ...CLOSED, description: 'Give either `cron` or `every`.' },
  ),
)

export const PreviewSchedule = named(
  'PreviewSchedule',
  Type.Object(
    {
      ...RULE,
      from: Type.Optional(Instant('Runs after this instant; now by default.')),
      count: Type.Optional(
        Type.Integer({ minimum: 1, maximum: 100, description: 'How many runs, 1 to 100. Default: 10.' }),
      ),
    },
    { ...CLOSED, description: 'Give either `cron` or `every`.' },
  ),
)

const ScheduleWarnings = Type.Array(
  Type.Object({
    code: Type.String({ description: 'For a program. Clients must tolerate values added later.' }),
    message: Type.String({ description: 'For a person.' }),
  }),
  {
    description:
      '`FLOORED`: tighter than ten minutes. `CANONICAL_ON_ROCKSDB`: NATIVE savepoints would be cheaper. `STATE_BACKEND_UNKNOWN`: of an attached job. `OBSERVE_ONLY`: nothing is ever fired.',
  },
)
const MEANING = {
  meaning: Type.String({
    description: 'When it runs, in words: `every 10 minutes from 14:00 to 14:50 UTC`.',
  }),
  effectiveIntervalSeconds: Type.Integer({
    description: 'The shortest time between two runs, in seconds; clock changes aside.',
  }),
  floored: Type.Boolean({ description: 'The expression is tighter than ten minutes.' }),
}

export const SchedulePreview = named(
  'SchedulePreview',
  Type.Object({
    cron: nullable(Type.String()),
    timeZone: Type.String(),
    ...MEANING,
    from: Moment('The runs are those after it.'),
    nextRuns: Type.Array(Moment('A run.')),
    warnings: ScheduleWarnings,
  }),
)

export const Schedule = named(
  'Schedule',
  Type.Object(
    {
      job: Reference,
      cron: nullable(Type.String({ description: 'As given.' })),
      every: Type.Unsafe<Period | null>({
        type: 'object',
        nullable: true,
        properties: Object.fromEntries(
          ['seconds', 'minutes', 'hours', 'days'].map((unit) => [unit, { type: 'integer' }]),
        ),
        description: 'The period, in the largest unit that divides it.',
      }),
      timeZone: Type.String(),
      ...MEANING,
      enabled: Type.Boolean(),
      paused: nullable(
        Type.Object(
          {
            reason: openWord(
              PAUSE_REASONS,
              'REQUESTED: by hand. SAVEPOINT_RESTARTED_JOB, SAVEPOINTS_FAILED (two in a row): by itself.',
            ),
            message: Type.String(),
          },
          { description: 'Nothing runs until it is resumed.' },
        ),
      ),
      format: oneOf(SAVEPOINT_FORMATS),
      description: nullable(Type.String()),
      timeoutSeconds: nullable(Type.Integer({ description: "Seconds; null: the job's." })),
      jitterSeconds: Type.Integer({ description: 'Seconds.' }),
      nextRunAt: nullable(
        Moment('The next run, or one that waits for its turn; null while it is off or paused.'),
      ),
      lastRunAt: nullable(Moment('The last run that was fired.')),
      failures: Type.Integer({ description: 'How many of its savepoints failed in a row.' }),
      warnings: ScheduleWarnings,
      createdAt: Moment('When it was created.'),
      createdBy: Type.String(),
      updatedAt: Moment('When it was last changed.'),
      etag: Type.String({ description: 'The same as in the `ETag` header.' }),
    },
    { description: 'Savepoints of a job on a schedule.' },
  ),
)

export const ScheduleFiring = named(
  'ScheduleFiring',
  Type.Object({
    slotAt: Moment('The run, without jitter.'),
    outcome: openWord(
      FIRING_OUTCOMES,
      'PENDING: its savepoint is being requested. FIRED: it was. SKIPPED: there is none, `code` says why. FAILED: it could not be requested.',
    ),
    code: nullable(
      Type.String({
        description:
          'Why there is no savepoint: `JOB_NOT_RUNNING`, `SAVEPOINT_IN_PROGRESS`, `MISSED`, `SCHEDULE_CHANGED`, or what else a savepoint is refused with.',
      }),
    ),
    message: nullable(Type.String()),
    snapshot: nullable(Type.String({ description: 'The id of its savepoint.' })),
    catchUp: Type.Boolean({ description: 'Made up for after an outage.' }),
    firedAt: Moment('When that was decided.'),
  }),
)

export const ScheduleFiringPage = named(
  'ScheduleFiringPage',
  Type.Object({ items: Type.Array(ref(ScheduleFiring)), nextPageToken: nullable(Type.String()) }),
)
