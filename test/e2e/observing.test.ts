import { describe } from 'vitest'
import { openSimulatedApplication } from '../support/flink-application-under-test.ts'
import { openSimulatedFlink } from '../support/flink-under-test.ts'
import { describeApplications } from './suite-applications.ts'
import { describeObserving, describeRescaling, OBSERVED_CHECKPOINTS } from './suite-observing.ts'

for (const [version, storage] of [
  ['1.20.4', 'local'],
  ['2.3.0', 's3'],
] as const) {
  describe(`a simulated Flink ${version}`, () => {
    const openFlink = openSimulatedFlink(version, { checkpoints: OBSERVED_CHECKPOINTS })
    describeObserving('what runs', openFlink, { longLookMs: 10_000, storage })
    describeRescaling('a rescaled job', openFlink)
    describeApplications(openSimulatedApplication(version))
  })
}
