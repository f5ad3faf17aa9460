/** The keys and values a version becomes for one Flink version: exactly what is sent when the job is started. */
import { checkSettings } from './checkpoint-rules.ts'
import {
  type Finding,
  fillDefaults,
  type GivenSettings,
  isPeriodic,
  tolerableFailuresOf,
} from './checkpoint-settings.ts'
import { writeFlinkDuration } from './flink-duration.ts'
import {
  type FlinkVersion,
  isSince,
  nameFor,
  namesFor,
  SETTINGS,
  type Setting,
  type SettingName,
  type SettingValue,
} from './flink-settings.ts'
import type { JobVersionSpec } from './job-version.ts'

type RenderedConfiguration = { configuration: Record<string, string>; warnings: Finding[] }

/** Not said by every version, and always sent: a managed job keeps its newest checkpoints. */
const ALWAYS: readonly SettingName[] = ['retention', 'numRetained']
const FORST_SINCE: FlinkVersion = [2, 0]

export function renderFlinkConfiguration(spec: JobVersionSpec, version: FlinkVersion): RenderedConfiguration {
  const { given, errors, warnings } = checkSettings(spec)
  const values = valuesOf(given)
  const sent = SETTINGS.filter((setting) => values.has(setting.name) && !isMissingIn(setting, version))
  const entries = [
    ...Object.entries(given.flinkConfiguration).map(
      ([key, value]) => [nameFor(key, version), value] as const,
    ),
    ...sent.flatMap((setting) =>
      namesFor(setting, version).map((key) => [key, write(setting, values.get(setting.name))] as const),
    ),
  ]
  return {
    configuration: Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1))),
    warnings: [...errors, ...warnings, ...findVersionGaps(given, values, version)],
  }
}

/** What is said or always sent; without periodic checkpoints neither of the two intervals is. */
function valuesOf(given: GivenSettings): Map<SettingName, SettingValue> {
  const values = new Map<SettingName, SettingValue>()
  for (const [name, { value }] of given.settings) values.set(name, value)
  const failures = tolerableFailuresOf(given)
  if (failures !== undefined) values.set('tolerableFailures', failures)
  const { checkpointing } = fillDefaults(given)
  for (const name of ALWAYS) {
    const value = name === 'retention' ? checkpointing.retention : checkpointing.numRetained
    values.set(name, value)
  }
  if (!isPeriodic(given)) {
    values.delete('intervalMs') // `CheckpointConfig.setCheckpointInterval` refuses 0
    values.delete('intervalDuringBacklogMs')
  }
  return values
}

const isMissingIn = ({ since }: Setting, version: FlinkVersion): boolean =>
  since !== undefined && !isSince(version, since)

const write = ({ kind }: Setting, value: SettingValue | undefined): string =>
  kind.type === 'duration' && typeof value === 'number' ? writeFlinkDuration(value) : String(value)

function findVersionGaps(
  given: GivenSettings,
  values: ReadonlyMap<SettingName, SettingValue>,
  version: FlinkVersion,
): Finding[] {
  const name = version.join('.')
  const gaps = SETTINGS.filter((setting) => values.has(setting.name) && isMissingIn(setting, version)).map(
    ({ name: setting, pointer, key, since = [0, 0] }) => ({
      code: 'NOT_IN_THIS_FLINK',
      message: `${pointer}: Flink ${name} does not know ${key}, which came with ${since.join('.')}: it is left out`,
      pointers: [given.settings.get(setting)?.pointer ?? pointer],
    }),
  )
  const forst = given.settings.get('backend')
  if (forst?.value === 'forst' && !isSince(version, FORST_SINCE)) {
    const message = `${forst.pointer}: Flink ${name} has no state backend forst, which came with 2.0, and refuses the job`
    gaps.push({ code: 'NOT_IN_THIS_FLINK', message, pointers: [forst.pointer] })
  }
  return [...gaps, numRetainedIsOfCluster(given, values, version)]
}

/** `SchedulerUtils.createCompletedCheckpointStore` is given the configuration of the JobManager alone (1.20.4, 2.3.0). */
function numRetainedIsOfCluster(
  given: GivenSettings,
  values: ReadonlyMap<SettingName, SettingValue>,
  version: FlinkVersion,
): Finding {
  const setting = SETTINGS.find(({ name }) => name === 'numRetained')
  const [key = ''] = setting === undefined ? [] : namesFor(setting, version)
  const pointer = given.settings.get('numRetained')?.pointer ?? '/checkpointing/numRetained'
  return {
    code: 'NUM_RETAINED_IS_OF_THE_CLUSTER',
    message: `${pointer}: Flink reads ${key} from the configuration of the JobManager. In application mode this is the job's own; on a session cluster set ${key}: ${values.get('numRetained')} there too, else it keeps as many as the cluster says (1 by default)`,
    pointers: [pointer],
  }
}
