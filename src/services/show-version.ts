/** A version from before its settings were checked is shown all the same: what is wrong with it becomes a warning. */
import { checkSettings } from '../domain/checkpoint-rules.ts'
import { fillDefaults } from '../domain/checkpoint-settings.ts'
import type { JobVersion, JobVersionView } from '../domain/resources.ts'

export function showVersion(version: JobVersion): JobVersionView {
  const { given, errors, warnings } = checkSettings(version)
  return { ...version, effective: fillDefaults(given), warnings: [...errors, ...warnings] }
}
