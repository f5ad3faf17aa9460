/** What changed from one version to another: leaf by leaf on the settings with their defaults, key by key on what is sent. */
import type { JobVersionView } from './checkpoint-settings.ts'

export type Change = { pointer: string; before: unknown; after: unknown }
export type KeyChange = { key: string; before: string | null; after: string | null }

/** Follow from other settings: the change is shown where it was made. */
const DERIVED: ReadonlySet<string> = new Set([
  '/checkpointing/effectiveIntervalMs',
  '/checkpointing/failOnErrors',
  '/checkpointing/externalized',
])

export function diffVersions(before: JobVersionView, after: JobVersionView): Change[] {
  const [left, right] = [leavesOf(normalise(before)), leavesOf(normalise(after))]
  const pointers = [...new Set([...left.keys(), ...right.keys()])].sort()
  return pointers
    .map((pointer) => ({ pointer, before: left.get(pointer) ?? null, after: right.get(pointer) ?? null }))
    .filter((change) => JSON.stringify(change.before) !== JSON.stringify(change.after))
}

export function diffConfigurations(
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
): KeyChange[] {
  const [left, right] = [new Map(Object.entries(before)), new Map(Object.entries(after))]
  return [...new Set([...left.keys(), ...right.keys()])]
    .sort()
    .map((key) => ({ key, before: left.get(key) ?? null, after: right.get(key) ?? null }))
    .filter((change) => change.before !== change.after)
}

/** `enabled: false` beside an interval is the same as none. */
function normalise({ effective, ...version }: JobVersionView): Record<string, unknown> {
  const { artifact, entryClass, programArgs, parallelism, maxParallelism, labels } = version
  const { enabled, intervalMs, ...checkpointing } = effective.checkpointing
  return {
    artifact,
    entryClass,
    programArgs,
    parallelism,
    maxParallelism,
    labels,
    checkpointing: { ...checkpointing, intervalMs: enabled ? intervalMs : null },
    state: effective.state,
    flinkConfiguration: effective.flinkConfiguration,
  }
}

function leavesOf(value: unknown, pointer = ''): Map<string, unknown> {
  if (value === undefined || value === null || DERIVED.has(pointer)) return new Map()
  if (typeof value !== 'object' || Array.isArray(value)) return new Map([[pointer, value]])
  return new Map(
    Object.entries(value).flatMap(([key, member]) => [
      ...leavesOf(member, `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`),
    ]),
  )
}
