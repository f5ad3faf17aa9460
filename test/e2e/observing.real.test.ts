import { describe } from 'vitest'
import { openRealApplication } from '../support/flink-application-under-test.ts'
import { ADAPTIVE, openRealFlink, whyNoRealFlink } from '../support/flink-under-test.ts'
import { describeApplications } from './suite-applications.ts'
import { describeObserving, describeRescaling, OBSERVED_CHECKPOINTS } from './suite-observing.ts'

for (const version of ['1.20', '2']) {
  const missing = await whyNoRealFlink(version)
  describe.skipIf(missing !== null)(
    `a real Flink ${version}${missing === null ? '' : ` (${missing})`}`,
    () => {
      const openFlink = openRealFlink(version, { checkpoints: OBSERVED_CHECKPOINTS })
      describeObserving('what runs', openFlink, { longLookMs: 120_000, storage: 'local' })
      const openAdaptive = openRealFlink(version, {
        checkpoints: OBSERVED_CHECKPOINTS,
        configuration: ADAPTIVE,
      })
      describeRescaling('a rescaled job', openAdaptive)
      describeApplications(openRealApplication(version))
    },
  )
}
