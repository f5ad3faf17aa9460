import { describe } from 'vitest'
import { openRealFlink, whyNoRealFlink } from '../support/flink-under-test.ts'
import { describeSavepoints } from './suite.ts'

for (const version of ['1.20', '2']) {
  const missing = await whyNoRealFlink(version)
  describe.skipIf(missing !== null)(
    `a real Flink ${version}${missing === null ? '' : ` (${missing})`}`,
    () => {
      describeSavepoints('savepoints on a local directory', openRealFlink(version), 'local')
      describeSavepoints('savepoints on S3', openRealFlink(version), 's3')
    },
  )
}
