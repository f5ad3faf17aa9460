import { describe } from 'vitest'
import { openSimulatedApplication } from '../support/flink-application-under-test.ts'
import { openSimulatedFlink } from '../support/flink-under-test.ts'
import { describeApplications } from './suite-applications.ts'
import { describeObserving, describeRescaling, OBSERVED_CHECKPOINTS } from './suite-observing.ts'

for (const version of ['1.20.4', '2.3.0']) {
  describe(`a simulated Flink ${version}`, () => {
    const openFlink = openSimulatedFlink(version, { checkpoints: OBSERVED_CHECKPOINTS })
    describeObserving('what runs', openFlink, { longLookMs: 10_000 })
    describeRescaling('a rescaled job', openFlink)
    describeApplications(openSimulatedApplication(version))
  })
}
