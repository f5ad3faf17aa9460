/** Names for jobs that are attached by pattern: made from Flink's name of the job, as a DNS label that is still free. */
import { findNameProblem } from './resource-name.ts'

const MAX_LENGTH = 63

/**
 * `Orders (EU) / v2` becomes `orders-eu-v2`: lower case, every run of other characters one dash, at most 63 characters.
 * null when nothing is left. What would look like a UUID gets `job-` in front, for such a reference is always an id.
 */
export function deriveName(flinkJobName: string): string | null {
  const label = flinkJobName
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, MAX_LENGTH + 1) // one more for a dash in front
    .replace(/^-/, '')
    .slice(0, MAX_LENGTH)
    .replace(/-$/, '')
  if (label === '') return null
  return findNameProblem(label) === null ? label : cut(`job-${label}`, MAX_LENGTH)
}

/** The `number`th way to write `name` (1: itself, 2: `name-2`), cut so that the suffix fits. */
export function numberedName(name: string, number: number): string {
  if (number === 1) return name
  const suffix = `-${number}`
  return `${cut(name, MAX_LENGTH - suffix.length)}${suffix}`
}

const cut = (label: string, length: number): string => label.slice(0, length).replace(/-+$/, '')
