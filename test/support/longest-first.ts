/**
 * The order of the files of a suite that run side by side: by size vitest would begin a file of ten lines that calls three long
 * suites last, and everybody waits for it. Files that are not named follow, the larger ones first, as vitest has them.
 */
import { basename } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Seconds each took on two cores; only their order counts. */
const SECONDS: Readonly<Record<string, number>> = {
  'observing.real.test.ts': 670,
  'managed.real.test.ts': 540,
  'savepoints.real.test.ts': 440,
  'compatibility.real.test.ts': 190,
  'savepoints-credentials.real.test.ts': 190,
  'flink-facts.real.test.ts': 180,
  'unreported-settings.real.test.ts': 175,
  'copies.real.test.ts': 150,
  'clearing.real.test.ts': 150,
  'retained-checkpoints.real.test.ts': 100,
}

export default class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const secondsOf = ({ moduleId }: TestSpecification): number => SECONDS[basename(moduleId)] ?? 0
    return (await super.sort(files)).sort((a, b) => secondsOf(b) - secondsOf(a))
  }
}
