import { describe } from 'vitest'
import { openRealFlink, whyNoRealFlink } from '../support/flink-under-test.ts'
import { describeClearing } from './suite-clearing.ts'

for (const version of ['1.20', '2']) {
  const missing = await whyNoRealFlink(version)
  describe.skipIf(missing !== null)(`a real Flink ${version}${missing === null ? '' : ` (${missing})`}`, () =>
    describeClearing('clearing on a local directory', openRealFlink(version), 'local'),
  )
}
