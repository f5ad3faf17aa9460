/** What the Flink that wrote a snapshot and the one that is to read it have to do with each other. */
import type { CompatibilityFinding, CompatibilityQuestion } from './compatibility.ts'
import { finding } from './compatibility-program.ts'
import { type FlinkVersion, isSince, readFlinkVersion } from './flink-settings.ts'

const UPGRADING =
  'https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/upgrading/#compatibility-table'

export function findReleaseFindings(question: CompatibilityQuestion): CompatibilityFinding[] {
  const { summary } = question.snapshot
  const target = readFlinkVersion(question.flinkVersion ?? '')
  if (target === null) {
    return [
      finding(
        'UNKNOWN',
        'FLINK_VERSION_UNKNOWN',
        'The Flink version of the cluster is not known: it was never reached.',
        'Probe the cluster.',
      ),
    ]
  }
  const oldest = readFlinkVersion(summary.flinkVersions.from)
  if (oldest !== null && !isSince(target, oldest)) return [metadataTooNew(question, target)]
  return [...compareReleases(question, target), ...findDrained(question)]
}

/** `MetadataSerializers` of an older Flink does not know the version: "Unrecognized checkpoint version number". */
function metadataTooNew(
  { snapshot: { summary } }: CompatibilityQuestion,
  target: FlinkVersion,
): CompatibilityFinding {
  const { from } = summary.flinkVersions
  return finding(
    'BLOCKS',
    'METADATA_TOO_NEW',
    `Its _metadata has version ${summary.version}, which Flink reads from ${from} on; the cluster runs ${target.join('.')}.`,
    `Start it on Flink ${from} or newer.`,
  )
}

/** By the exact release where it is known, else by the newest that writes this metadata version at the least. */
function compareReleases({ snapshot }: CompatibilityQuestion, target: FlinkVersion): CompatibilityFinding[] {
  const { summary } = snapshot
  const exact = readFlinkVersion(snapshot.flinkVersion ?? '')
  const from = readFlinkVersion(summary.flinkVersions.from)
  const to = readFlinkVersion(summary.flinkVersions.to ?? '')
  const [least, most] = exact === null ? [from, to] : [exact, exact]
  const name = exact?.join('.') ?? `${summary.flinkVersions.from} to ${summary.flinkVersions.to ?? 'newer'}`
  const findings: CompatibilityFinding[] = []
  if (most !== null && !isSince(target, most)) {
    findings.push(
      finding(
        'WARNS',
        'FLINK_DOWNGRADE',
        `It was written by Flink ${name}, and the cluster runs ${target.join('.')}: Flink promises that a newer release reads older state, not the other way round.`,
        'Start it on the release that wrote it, or try it first with claimMode NO_CLAIM.',
      ),
    )
  }
  if (most !== null && most[0] < target[0]) {
    findings.push(
      finding(
        'UNKNOWN',
        'FLINK_MAJOR_UPGRADE',
        `It was written by Flink ${name}, and the cluster runs ${target.join('.')}: between major releases Flink does not guarantee that state fits (Kryo, POJO and removed serializers).`,
        `Try it with claimMode NO_CLAIM, which leaves the snapshot as it is: ${UPGRADING}`,
      ),
    )
  }
  const isOther = exact === null ? !isWithin(target, least, to) : exact.join('.') !== target.join('.')
  if (summary.unaligned && isOther && (most === null || most[0] === target[0])) {
    findings.push(
      finding(
        'UNKNOWN',
        'UNALIGNED_UPGRADE',
        `It holds data in flight (an unaligned checkpoint) of Flink ${name}; Flink does not support to restore that with another minor release (${target.join('.')}).`,
        'Take a savepoint on the old release: it is always aligned.',
      ),
    )
  }
  return findings
}

/** A version without an end is written by every later release. */
const isWithin = (target: FlinkVersion, from: FlinkVersion | null, to: FlinkVersion | null): boolean =>
  from !== null && isSince(target, from) && (to === null || isSince(to, target))

function findDrained({ snapshot: { summary } }: CompatibilityQuestion): CompatibilityFinding[] {
  if (summary.properties?.postCheckpointAction !== 'TERMINATE') return []
  return [
    finding(
      'WARNS',
      'DRAINED',
      'It was taken by a stop with drain: sources had ended and every timer had fired when it was written, so results of open windows are already out.',
      'Resume from one taken without drain if the job is to go on.',
    ),
  ]
}
