import { describe, expect, it } from 'vitest'
import type { ClusterCapabilities } from '../../src/domain/capabilities.ts'
import { listUnsupported } from '../../src/domain/capabilities.ts'

const ALL: ClusterCapabilities = {
  idempotentTriggers: true,
  triggerCheckpoint: true,
  jarSubmission: true,
  claimMode: true,
}
const features = (flinkVersion: string | null, changes: Partial<ClusterCapabilities>) =>
  listUnsupported({ flinkVersion, capabilities: { ...ALL, ...changes } }).map(({ feature, since }) => [
    feature,
    since,
  ])

describe('what a cluster does not support', () => {
  it('is nothing on a current session cluster, and nothing is claimed of one never reached', () => {
    expect(listUnsupported({ flinkVersion: '2.3.0', capabilities: ALL })).toEqual([])
    expect(listUnsupported({ flinkVersion: null, capabilities: null })).toEqual([])
  })

  it('is everything that came after its version, each with the version to upgrade to', () => {
    const old = { idempotentTriggers: false, triggerCheckpoint: false, claimMode: false }
    expect(features('1.14.6', old)).toEqual([
      ['SAVEPOINTS', '1.15'],
      ['CHECKPOINT_ON_DEMAND', '1.17'],
      ['CLAIM_MODE', '1.20'],
    ])
    const [savepoints] = listUnsupported({ flinkVersion: '1.14.6', capabilities: { ...ALL, ...old } })
    expect(savepoints?.because).toMatch(/^Flink 1\.14\.6 .* Upgrade the cluster to Flink 1\.15 or newer\.$/)
  })

  it('names a switched-off jar submission without a version: no upgrade brings it back', () => {
    expect(features('2.3.0', { jarSubmission: false })).toEqual([['JAR_SUBMISSION', null]])
  })
})
