import { describe } from 'vitest'
import { openSimulatedFlink } from '../support/flink-under-test.ts'
import { MANAGED_CHECKPOINTS } from './suite-managed.ts'
import { describeManagedOutages } from './suite-managed-outages.ts'

for (const [version, storage] of [
  ['1.20.4', 'local'],
  ['2.3.0', 's3'],
] as const) {
  describe(`managed jobs on a simulated Flink ${version}`, () => {
    const open = (ha: boolean) => openSimulatedFlink(version, { ha, checkpoints: MANAGED_CHECKPOINTS })
    describeManagedOutages('with high availability', open(true), { storage, ha: true })
    describeManagedOutages('without high availability', open(false), { storage, ha: false })
  })
}
