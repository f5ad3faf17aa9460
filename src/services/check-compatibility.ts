/**
 * Whether a version could be started from a snapshot. The rules are `domain/compatibility.ts`; here is gathered what they
 * judge: the inspection of the snapshot, and what snapshots of the version tell of its operators. Nothing is changed, and
 * Flink is not asked: a plan of a jar would run the user's code, and names only the first operator of each chain.
 */
import type {
  Compatibility,
  CompatibilityFinding,
  KnownOperators,
  SnapshotFacts,
} from '../domain/compatibility.ts'
import { finding } from '../domain/compatibility-program.ts'
import { DomainError } from '../domain/errors.ts'
import type { InspectionSummary } from '../domain/inspection.ts'
import type { JobVersion } from '../domain/job-version.ts'
import { concludeCompatibility, judgeCompatibility } from '../domain/judge-compatibility.ts'
import type { Job } from '../domain/resources.ts'
import type { RestoreDecision } from '../domain/restore-point.ts'
import { toInspectionSummary } from '../domain/snapshot-files.ts'
import type { ClusterRepository, JobRepository } from '../ports/resources.ts'
import type { RunRepository } from '../ports/runs.ts'
import type { Scope } from '../ports/scope.ts'
import type { CompatibilityCheck, Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { refuseInput } from './check-input.ts'
import { findKnownOperators, type KnownOperatorsPorts } from './find-known-operators.ts'
import { findCluster, findJob } from './find-resource.ts'
import { type RestorePointPorts, resolveRestorePoint } from './find-restore-point.ts'
import { readInspection, readMetadataFile } from './read-inspection.ts'
import { openSnapshotPlace } from './snapshot-place.ts'
import { isRefusal } from './storage-errors.ts'

type CompatibilityPorts = RestorePointPorts &
  KnownOperatorsPorts & {
    jobs: Pick<JobRepository, 'find' | 'findVersion'>
    clusters: Pick<ClusterRepository, 'find'>
    runs: Pick<RunRepository, 'find'>
  }
type Chosen = NonNullable<RestoreDecision['chosen']>

export const checkCompatibility =
  (ports: CompatibilityPorts): Services['checkCompatibility'] =>
  async ({ caller, job: reference, snapshot, location, version: wanted, allowNonRestoredState = false }) => {
    const scope = scopeOf(caller)
    const job = await findJob(ports.jobs, scope, reference)
    const named = snapshot !== undefined || location !== undefined
    const decision = await resolveRestorePoint(ports, scope, job.id, {
      // A job may be asked about while it runs: the newest known is then what is meant.
      restore: named
        ? { strategy: 'FROM_SNAPSHOT', ...(snapshot && { snapshot }), ...(location && { location }) }
        : { acceptOlder: true },
      version: wanted,
      pointer: '/body',
    })
    const version = await findVersion(ports, scope, job, decision.version)
    const { flinkVersion } = await findCluster(ports.clusters, scope, job.cluster.id)
    const subject = decision.chosen ?? (named ? (decision.candidates[0] ?? null) : null)
    const answer = {
      job: { id: job.id, name: job.name },
      version: version.number,
      snapshot: subject?.snapshot ?? null,
      location: subject?.location ?? null,
      decidedAt: decision.decidedAt,
    }
    const { chosen } = decision
    const read = chosen && (await readChosen(ports, scope, job, version, chosen))
    if (!read || 'stopped' in read) {
      const judged = concludeCompatibility([read ? read.stopped : whyNot(decision)])
      return {
        ...answer,
        ...withFlag(judged, allowNonRestoredState),
        judgedBy: { flinkVersion, snapshot: null, operators: null },
      }
    }
    const known = await findKnownOperators(ports, scope, {
      job,
      version,
      chosen,
      facts: read.facts,
    })
    const judged = judgeCompatibility({
      snapshot: read.facts,
      version: toQuestion(version),
      flinkVersion,
      known,
    })
    return {
      ...answer,
      ...withFlag(judged, allowNonRestoredState),
      judgedBy: {
        flinkVersion,
        snapshot: showFacts(read.facts, chosen),
        operators: known && showKnown(known, read.facts.summary),
      },
    }
  }

const toQuestion = (version: JobVersion) => ({ number: version.number, spec: version })

/** PARTLY says what the flag would do; whether it was said decides only about `starts`. */
function withFlag(
  judged: Compatibility,
  allowNonRestoredState: boolean,
): Pick<CompatibilityCheck, 'verdict' | 'findings' | 'allowNonRestoredState' | 'starts'> {
  const starts = { COMPATIBLE: true, PARTLY: allowNonRestoredState, INCOMPATIBLE: false, UNKNOWN: null }
  const dropping = judged.findings.some(({ severity }) => severity === 'DROPS_STATE')
  const isRefused = dropping && !allowNonRestoredState
  return { ...judged, allowNonRestoredState, starts: isRefused ? false : starts[judged.verdict] }
}

async function findVersion(
  { jobs }: CompatibilityPorts,
  scope: Scope,
  job: Job,
  number: number | null,
): Promise<JobVersion> {
  const version = number === null ? null : await jobs.findVersion(scope, job.id, number)
  return version ?? refuseInput('/version', `The job ${job.name} has no version yet.`, 'REFERENCE_NOT_FOUND')
}

// --------------------------------------------------------------------------------------------- the snapshot

/** There is nothing to compare: the resolver's own words say why. */
function whyNot({ decision, because, candidates }: RestoreDecision): CompatibilityFinding {
  if (decision === 'start-empty') {
    return finding('NOTE', 'NOTHING_TO_RESTORE', `The job would start without state: ${because.message}`)
  }
  if (because.code === 'STORE_NOT_ASKED') {
    return finding('UNKNOWN', 'STORE_NOT_ASKED', because.message, 'Ask again when the storage answers.')
  }
  const rejected = because.code === 'NAMED_NOT_RESTORABLE' ? candidates[0]?.rejected : null
  if (!rejected) return finding('UNKNOWN', 'NO_RESTORE_POINT', because.message, 'Name a snapshot.')
  return rejected.code === 'UNREADABLE'
    ? finding('BLOCKS', 'METADATA_UNREADABLE', rejected.message, 'Choose another snapshot.')
    : finding('BLOCKS', 'NOT_RESTORABLE', rejected.message, 'Choose another snapshot.')
}

type Read = { facts: SnapshotFacts } | { stopped: CompatibilityFinding }

async function readChosen(
  ports: CompatibilityPorts,
  scope: Scope,
  job: Job,
  version: JobVersion,
  chosen: Chosen,
): Promise<Read> {
  try {
    const { summary, flinkVersion } = await readSummary(ports, scope, chosen)
    const writtenBy = await findWriter(ports, scope, job, version, chosen)
    const run = chosen.run && (await ports.runs.find(scope, chosen.run.id))
    return { facts: { summary, flinkVersion, writtenBy, sameCluster: run?.cluster.id === job.cluster.id } }
  } catch (error) {
    return { stopped: explainUnread(error) }
  }
}

async function readSummary(
  ports: CompatibilityPorts,
  scope: Scope,
  { snapshot: id, location }: Chosen,
): Promise<{ summary: InspectionSummary; flinkVersion: string | null }> {
  const snapshot = id === null ? null : await ports.snapshots.find(scope, id)
  if (snapshot) {
    const { inspection } = await readInspection(ports, scope, snapshot)
    return { summary: inspection.summary, flinkVersion: snapshot.flinkVersion }
  }
  const place = await openSnapshotPlace(ports, scope, { id: location ?? '', location, storage: null })
  const { summary } = await readMetadataFile(place.store, place.directory)
  return { summary: toInspectionSummary(summary), flinkVersion: null }
}

/** What cannot be read blocks; a store that cannot be asked, and a version that only a newer Flink writes, prove nothing. */
function explainUnread(error: unknown): CompatibilityFinding {
  if (!(error instanceof DomainError)) throw error
  if (error.code === 'METADATA_UNREADABLE') {
    const { metadata } = error.extra
    const isOfAnother =
      typeof metadata === 'object' &&
      metadata !== null &&
      'code' in metadata &&
      metadata.code === 'unsupported-version'
    return finding(
      isOfAnother ? 'UNKNOWN' : 'BLOCKS',
      'METADATA_UNREADABLE',
      error.message,
      'Choose another snapshot.',
    )
  }
  if (error.code === 'METADATA_MISSING' || error.code === 'SNAPSHOT_NOT_PRESENT') {
    return finding('BLOCKS', 'NOT_RESTORABLE', error.message, 'Choose another snapshot.')
  }
  if (!isRefusal(error)) throw error
  return finding('UNKNOWN', 'STORE_NOT_ASKED', error.message, 'Ask again when the storage answers.')
}

async function findWriter(
  { jobs }: CompatibilityPorts,
  scope: Scope,
  job: Job,
  version: JobVersion,
  { job: owner, jobVersion }: Chosen,
): Promise<SnapshotFacts['writtenBy']> {
  if (owner === null || jobVersion === null) return null
  if (owner.id === job.id && jobVersion === version.number) return { spec: version, sameVersion: true }
  const spec = await jobs.findVersion(scope, owner.id, jobVersion)
  return spec && { spec, sameVersion: false }
}

// --------------------------------------------------------------------------------------------------- answer

function showFacts(
  { summary, flinkVersion }: SnapshotFacts,
  chosen: Chosen,
): NonNullable<CompatibilityCheck['judgedBy']['snapshot']> {
  const { version, flinkVersions, format, incremental, unaligned, changelog, operators } = summary
  return {
    metadataVersion: version,
    flinkVersion,
    flinkVersions,
    format,
    incremental,
    unaligned,
    changelog,
    operators: operators.length,
    job: chosen.job,
    jobVersion: chosen.jobVersion,
  }
}

function showKnown(
  { basis, snapshot, version, operators }: KnownOperators,
  summary: InspectionSummary,
): NonNullable<CompatibilityCheck['judgedBy']['operators']> {
  const here = new Set(summary.operators.map(({ id }) => id))
  const kept = operators.filter(({ id }) => here.has(id)).length
  return {
    basis,
    snapshot,
    version,
    kept,
    added: operators.length - kept,
    removed: summary.operators.length - kept,
  }
}
