import { describe } from 'vitest'
import { openRealFlink, whyNoRealFlink } from '../support/flink-under-test.ts'
import { COMPATIBILITY_CHECKPOINTS, describeCompatibility } from './suite-compatibility.ts'

for (const version of ['1.20', '2']) {
  const missing = await whyNoRealFlink(version)
  describe.skipIf(missing !== null)(
    `a real Flink ${version}${missing === null ? '' : ` (${missing})`}`,
    () => {
      const open = openRealFlink(version, { ha: false, checkpoints: COMPATIBILITY_CHECKPOINTS })
      describeCompatibility('findings of compatibility', open, { storage: 'local', backends: true })
    },
  )
}
