import { describe } from 'vitest'
import { openSimulatedFlink } from '../support/flink-under-test.ts'
import { describeManaged, MANAGED_CHECKPOINTS } from './suite-managed.ts'

for (const [version, storage] of [
  ['1.20.4', 'local'],
  ['2.3.0', 's3'],
] as const) {
  describe(`a simulated Flink ${version}`, () => {
    describeManaged('managed jobs', openSimulatedFlink(version, { checkpoints: MANAGED_CHECKPOINTS }), {
      storage,
    })
  })
}
