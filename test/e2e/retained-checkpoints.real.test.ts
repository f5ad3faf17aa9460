import { describe } from 'vitest'
import { openRealFlink, whyNoRealFlink } from '../support/flink-under-test.ts'
import { describeRetained, RETAINED_CHECKPOINTS, SMALL_FILES } from './suite-retained.ts'

for (const version of ['1.20', '2']) {
  const missing = await whyNoRealFlink(version)
  describe.skipIf(missing !== null)(
    `a real Flink ${version}${missing === null ? '' : ` (${missing})`}`,
    () => {
      const options = { ha: false, checkpoints: RETAINED_CHECKPOINTS, configuration: SMALL_FILES }
      describeRetained('retained checkpoints', openRealFlink(version, options), 's3')
    },
  )
}
