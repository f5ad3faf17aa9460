/** What a cluster cannot do, since which Flink version one can, and the way out (`flink-rest-api.md` §12). */

/** What a cluster can do, read from its version and its own answers (`flink-rest-api.md` §12). */
export type ClusterCapabilities = {
  /** 1.15: our own trigger ids, formats, 404 for unknown operations. Without it we trigger nothing. */
  idempotentTriggers: boolean
  /** 1.17 */
  triggerCheckpoint: boolean
  /** `features.web-submit` of `/config`: the jar endpoints answer. */
  jarSubmission: boolean
  /** 1.20: `claimMode` and the new configuration keys. */
  claimMode: boolean
}

export const CLUSTER_FEATURES = [
  'SAVEPOINTS',
  'CHECKPOINT_ON_DEMAND',
  'JAR_SUBMISSION',
  'CLAIM_MODE',
] as const
export type ClusterFeature = (typeof CLUSTER_FEATURES)[number]

export type UnsupportedFeature = {
  feature: ClusterFeature
  /** The first Flink version that has it; null when it is a matter of configuration. */
  since: string | null
  because: string
}

type Rule = {
  feature: ClusterFeature
  needs: keyof ClusterCapabilities
  since: string | null
  because: (version: string) => string
}

const RULES: readonly Rule[] = [
  {
    feature: 'SAVEPOINTS',
    needs: 'idempotentTriggers',
    since: '1.15',
    because: (version) =>
      `${version} does not take trigger ids of ours, without which a savepoint could be started twice. Upgrade the cluster to Flink 1.15 or newer.`,
  },
  {
    feature: 'CHECKPOINT_ON_DEMAND',
    needs: 'triggerCheckpoint',
    since: '1.17',
    because: (version) =>
      `${version} takes checkpoints by itself only. Upgrade the cluster to Flink 1.17 or newer to ask for one.`,
  },
  {
    feature: 'JAR_SUBMISSION',
    needs: 'jarSubmission',
    since: null,
    because: () =>
      'Its jar endpoints are switched off (web.submit.enable is false, as always in application mode): jobs are started by whoever manages the cluster.',
  },
  {
    feature: 'CLAIM_MODE',
    needs: 'claimMode',
    since: '1.20',
    because: (version) =>
      `${version} knows neither claimMode (its name there is restoreMode) nor the configuration keys of Flink 1.20. Upgrade the cluster to Flink 1.20 or newer.`,
  },
]

/** Empty also when the cluster has never been reached: nothing is known then. */
export const listUnsupported = (cluster: {
  flinkVersion: string | null
  capabilities: ClusterCapabilities | null
}): UnsupportedFeature[] => {
  const { capabilities, flinkVersion } = cluster
  if (capabilities === null) return []
  const version = flinkVersion === null ? 'This Flink' : `Flink ${flinkVersion}`
  return RULES.filter(({ needs }) => !capabilities[needs]).map(({ feature, since, because }) => ({
    feature,
    since,
    because: because(version),
  }))
}
