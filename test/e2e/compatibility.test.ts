import { describe } from 'vitest'
import { openSimulatedFlink } from '../support/flink-under-test.ts'
import { COMPATIBILITY_CHECKPOINTS, describeCompatibility } from './suite-compatibility.ts'

for (const [version, storage] of [
  ['1.20.4', 'local'],
  ['2.3.0', 's3'],
] as const) {
  describe(`a simulated Flink ${version}`, () => {
    const open = openSimulatedFlink(version, { checkpoints: COMPATIBILITY_CHECKPOINTS })
    describeCompatibility('findings of compatibility', open, { storage, backends: false })
  })
}
