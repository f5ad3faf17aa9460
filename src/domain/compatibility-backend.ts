/**
 * Keyed state in the native format is read only by the backend that wrote it; the canonical format by hashmap and RocksDB
 * alike (since Flink 1.13). Operator state is the same for all.
 */
import { fillDefaults, readSettings } from './checkpoint-settings.ts'
import type { CompatibilityFinding, CompatibilityQuestion, SnapshotFacts } from './compatibility.ts'
import { finding } from './compatibility-program.ts'
import { isSince, readFlinkVersion } from './flink-settings.ts'

type State = ReturnType<typeof fillDefaults>['state']

export function findBackendFindings(question: CompatibilityQuestion): CompatibilityFinding[] {
  const { summary } = question.snapshot
  if (!hasKeyedState(question.snapshot)) return []
  const target = fillDefaults(readSettings(question.version.spec)).state
  return [
    ...(summary.format === 'canonical' ? checkCanonical(target) : checkNative(question, target)),
    ...checkChangelog(question, target),
  ]
}

const KEYED = /^(keyed|keyGroups):/
const hasKeyedState = ({ summary }: SnapshotFacts): boolean =>
  Object.keys(summary.handleCounts).some((name) => KEYED.test(name))

const READS_CANONICAL: readonly (string | null)[] = ['hashmap', 'rocksdb', null]

function checkCanonical({ backend }: State): CompatibilityFinding[] {
  if (READS_CANONICAL.includes(backend)) return []
  return [
    finding(
      'UNKNOWN',
      'BACKEND_UNCERTAIN',
      `It is in the canonical format, which hashmap and rocksdb read; of ${backend} that is not known.`,
      'Try it with claimMode NO_CLAIM, which leaves the snapshot as it is.',
    ),
  ]
}

// ---------------------------------------------------------------------------------------------------- native

function checkNative(
  { snapshot, version }: CompatibilityQuestion,
  { backend }: State,
): CompatibilityFinding[] {
  const said = snapshot.writtenBy && fillDefaults(readSettings(snapshot.writtenBy.spec)).state.backend
  const writer = findWriter(snapshot, said)
  const named = `Version ${version.number}`
  if (backend === null) {
    // Both leave it to the configuration of one cluster.
    if (snapshot.writtenBy !== null && said === null && snapshot.sameCluster) {
      return [
        finding(
          'WARNS',
          'BACKEND_OF_THE_CLUSTER',
          `It is in the native format of ${writer ?? 'its state backend'}. ${named} names no state backend, and neither did the version that wrote it: it fits as long as the configuration of the cluster (state.backend.type) has not changed since.`,
          'Name the state backend in the version.',
        ),
      ]
    }
    return [
      uncertain(
        `It is in the native format of ${writer ?? 'a state backend that _metadata does not tell'}, and ${named.toLowerCase()} names none: the configuration of the cluster decides.`,
        writer === null ? 'Name the state backend that wrote it.' : `Set state.backend to ${writer}.`,
      ),
    ]
  }
  if (writer === backend) return []
  if (writer === null) {
    return [
      uncertain(
        `It is in a native format, and nothing tells which state backend wrote it; ${named.toLowerCase()} uses ${backend}.`,
        'Set the state backend that wrote it.',
      ),
    ]
  }
  if (isProven(writer, backend)) {
    return [
      finding(
        'BLOCKS',
        'BACKEND_CHANGED',
        `It is in the native format of ${writer}, and ${named.toLowerCase()} uses ${backend}, which cannot read it.`,
        `Keep ${writer}, or take a savepoint in the CANONICAL format and start from that.`,
      ),
    ]
  }
  return [
    uncertain(
      `It is in the native format of ${writer}, and ${named.toLowerCase()} uses ${backend}: that the one reads the other's is not known.`,
      'Take a savepoint in the CANONICAL format if the backend offers it, or keep the one that wrote it.',
    ),
  ]
}

const uncertain = (message: string, act: string): CompatibilityFinding =>
  finding('UNKNOWN', 'BACKEND_UNCERTAIN', message, act)

/** Tables of RocksDB or of its fork ForSt. */
const TABLES = 'rocksdb or forst'

/** Heap and tables never read each other's: `HeapRestoreOperation` refuses the handles, RocksDB misreads the bytes. */
const isProven = (writer: string, backend: string): boolean =>
  writer === 'hashmap'
    ? backend === 'rocksdb' || backend === 'forst'
    : backend === 'hashmap' && (writer === TABLES || writer === 'rocksdb' || writer === 'forst')

/**
 * Handles with tables are of RocksDB or ForSt. Key groups are of hashmap since Flink 1.20 for certain (there RocksDB writes
 * tables for its full snapshots, too: RocksNativeFullSnapshotStrategy); before, a full checkpoint of RocksDB had them as well.
 */
function findWriter({ summary, flinkVersion }: SnapshotFacts, said: string | null): string | null {
  const has = (pattern: RegExp) => Object.keys(summary.handleCounts).some((name) => pattern.test(name))
  const isTables = has(/^keyed:\d+-incremental/)
  const isGroups = has(/^(keyed:\d+-keyGroups|keyGroups:)/)
  if (isTables && isGroups) return said
  if (isTables && summary.version < 5) return 'rocksdb' // ForSt came with 2.0
  if (isTables) return said === 'rocksdb' || said === 'forst' ? said : TABLES
  const exact = readFlinkVersion(flinkVersion ?? '')
  const isNew = summary.version >= 5 || (exact !== null && isSince(exact, [1, 20]))
  return isGroups && isNew ? 'hashmap' : said
}

// ------------------------------------------------------------------------------------------------- changelog

function checkChangelog(
  { snapshot: { summary } }: CompatibilityQuestion,
  { changelog }: State,
): CompatibilityFinding[] {
  const findings: CompatibilityFinding[] = []
  if (changelog) {
    findings.push(
      finding(
        'WARNS',
        'CHANGELOG_NEEDS_CLAIM',
        'The version uses the changelog backend, which cannot take the full checkpoint that a start with claimMode NO_CLAIM needs: the job starts and then fails its first checkpoint (FLINK-38307).',
        'Start it with claimMode CLAIM.',
      ),
    )
  }
  if (summary.changelog && !changelog) {
    findings.push(
      finding(
        'WARNS',
        'CHANGELOG_SWITCHED',
        'It is a checkpoint of the changelog backend, and the version does not set state.changelog. Flink 1.16 and newer can switch it off at a restore; the changes are replayed first.',
      ),
    )
  }
  return findings
}
