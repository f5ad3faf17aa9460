import { describe } from 'vitest'
import { openRealFlink, whyNoRealFlink } from '../support/flink-under-test.ts'
import { COPIED_CHECKPOINTS, describeCopies, SMALL_FILES } from './suite-copies.ts'

for (const version of ['1.20', '2']) {
  const missing = await whyNoRealFlink(version)
  describe.skipIf(missing !== null)(
    `a real Flink ${version}${missing === null ? '' : ` (${missing})`}`,
    () => {
      const options = { ha: false, checkpoints: COPIED_CHECKPOINTS, configuration: SMALL_FILES }
      describeCopies('copies', openRealFlink(version, options), { storage: 's3', merges: true })
    },
  )
}
