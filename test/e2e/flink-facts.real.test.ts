import { describe } from 'vitest'
import { openRealApplication } from '../support/flink-application-under-test.ts'
import { openRealFlink, whyNoRealFlink } from '../support/flink-under-test.ts'
import { describeFlinkFacts } from './suite-flink-facts.ts'

for (const version of ['1.20', '2']) {
  const reason = await whyNoRealFlink(version)
  describe.skipIf(reason !== null)(`Flink ${version}${reason === null ? '' : `: ${reason}`}`, () => {
    describeFlinkFacts('facts of a real Flink', {
      session: (options) => openRealFlink(version, options),
      application: openRealApplication(version),
    })
  })
}
