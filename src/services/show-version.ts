/** A version from before its settings were checked is shown all the same: what is wrong with it becomes a warning. */
import { checkSettings } from '../domain/checkpoint-rules.ts'
import type { JobVersionView } from '../domain/checkpoint-settings.ts'
import { fillDefaults } from '../domain/checkpoint-settings.ts'
import type { JobVersion } from '../domain/job-version.ts'

export function showVersion(version: JobVersion): JobVersionView {
  const { given, errors, warnings } = checkSettings(version)
  return { ...version, effective: fillDefaults(given), warnings: [...errors, ...warnings] }
}
