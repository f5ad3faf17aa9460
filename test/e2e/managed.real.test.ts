import { describe } from 'vitest'
import { openRealFlink, whyNoRealFlink } from '../support/flink-under-test.ts'
import { describeManaged, MANAGED_CHECKPOINTS } from './suite-managed.ts'
import { describeManagedOutages } from './suite-managed-outages.ts'

for (const version of ['1.20', '2']) {
  const missing = await whyNoRealFlink(version)
  describe.skipIf(missing !== null)(
    `a real Flink ${version}${missing === null ? '' : ` (${missing})`}`,
    () => {
      const open = (ha: boolean) => openRealFlink(version, { ha, checkpoints: MANAGED_CHECKPOINTS })
      describeManaged('managed jobs', open(false), { storage: 'local' })
      describeManagedOutages('with high availability', open(true), { storage: 'local', ha: true })
      describeManagedOutages('without high availability', open(false), { storage: 'local', ha: false })
    },
  )
}
