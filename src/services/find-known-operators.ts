/**
 * What is known of the operators of a version: from a snapshot of one of its own runs, else from one of a version that runs
 * the same program. The snapshot that is asked about may be that one itself.
 */
import type { KnownOperators, SnapshotFacts } from '../domain/compatibility.ts'
import { isSameProgram } from '../domain/compatibility-program.ts'
import { DomainError } from '../domain/errors.ts'
import type { InspectionSummary } from '../domain/inspection.ts'
import type { JobVersion, JobVersionSpec } from '../domain/job-version.ts'
import { notRestorable } from '../domain/restorable.ts'
import type { CandidateFacts, RestoreCandidate } from '../domain/restore-point.ts'
import type { Reference } from '../domain/snapshot.ts'
import { compareRanks, rankOf } from '../domain/unseen-snapshots.ts'
import type { JobRepository } from '../ports/resources.ts'
import type { RestorePointRepository } from '../ports/runs.ts'
import type { Scope } from '../ports/scope.ts'
import type { SnapshotRepository } from '../ports/snapshots.ts'
import { type ReadInspectionPorts, readInspection } from './read-inspection.ts'

/** `_metadata` files read for it at most, when none of them was read before; each may be large and in a slow store. */
const MAX_READS = 3
/** Versions that are compared, the newest snapshots' first. */
const MAX_VERSIONS = 20

export type KnownOperatorsPorts = ReadInspectionPorts & {
  restorePoints: Pick<RestorePointRepository, 'listCandidates'>
  jobs: Pick<JobRepository, 'findVersion'>
  snapshots: Pick<SnapshotRepository, 'find'>
}

type Question = {
  job: Reference
  version: JobVersion
  chosen: Pick<RestoreCandidate, 'snapshot' | 'jobVersion'>
  facts: SnapshotFacts
}
/** `snapshot` null: a place that is no snapshot of ours. */
type Source = { snapshot: string | null; number: number; spec: JobVersionSpec }

export async function findKnownOperators(
  ports: KnownOperatorsPorts,
  scope: Scope,
  { job, version, chosen, facts }: Question,
): Promise<KnownOperators | null> {
  const { writtenBy, summary } = facts
  const { snapshot } = chosen
  const own = { number: version.number, spec: version }
  if (writtenBy?.sameVersion) return toKnown('OWN', { snapshot, ...own }, summary)
  const candidates = (await ports.restorePoints.listCandidates(scope, job.id))
    .filter(isReadable)
    .toSorted(newestFirst)
  const ofVersion = candidates.filter(({ jobVersion }) => jobVersion === version.number)
  const read = await readFirst(
    ports,
    scope,
    ofVersion.map((candidate) => ({ snapshot: candidate.snapshot, ...own })),
  )
  if (read) return toKnown('OWN', read.source, read.summary)
  if (writtenBy && chosen.jobVersion !== null && isSameProgram(writtenBy.spec, version)) {
    const itself = { snapshot, number: chosen.jobVersion, spec: writtenBy.spec }
    return toKnown('SAME_PROGRAM', itself, summary)
  }
  const same = await listOfSameProgram(ports, scope, job, version, candidates)
  const other = await readFirst(ports, scope, same)
  return other && toKnown('SAME_PROGRAM', other.source, other.summary)
}

/** What somebody registered by hand may be of any program. */
const isReadable = (candidate: CandidateFacts): boolean =>
  candidate.source !== 'IMPORT' &&
  candidate.jobVersion !== null &&
  notRestorable({ ...candidate, claimed: false }) === null

function newestFirst(one: CandidateFacts, other: CandidateFacts): number {
  const [left, right] = [rankOf(one), rankOf(other)]
  if (left && right) return compareRanks(right, left)
  return Number(right !== null) - Number(left !== null)
}

async function listOfSameProgram(
  { jobs }: KnownOperatorsPorts,
  scope: Scope,
  job: Reference,
  version: JobVersion,
  candidates: readonly CandidateFacts[],
): Promise<Source[]> {
  const numbers = [...new Set(candidates.flatMap(({ jobVersion }) => jobVersion ?? []))]
  const same = new Map<number, JobVersion>()
  for (const number of numbers.slice(0, MAX_VERSIONS)) {
    const other = await jobs.findVersion(scope, job.id, number)
    if (other && isSameProgram(other, version)) same.set(number, other)
  }
  return candidates.flatMap(({ snapshot, jobVersion }) => {
    const of = jobVersion === null ? undefined : same.get(jobVersion)
    return of ? [{ snapshot, number: of.number, spec: of }] : []
  })
}

/** The first that can be read. One that cannot says nothing; a store that cannot be asked is not asked again. */
async function readFirst(
  ports: KnownOperatorsPorts,
  scope: Scope,
  sources: readonly Source[],
): Promise<{ source: Source; summary: InspectionSummary } | null> {
  for (const source of sources.slice(0, MAX_READS)) {
    const snapshot = source.snapshot === null ? null : await ports.snapshots.find(scope, source.snapshot)
    if (!snapshot) continue
    try {
      const { inspection } = await readInspection(ports, scope, snapshot)
      return { source, summary: inspection.summary }
    } catch (error) {
      if (!(error instanceof DomainError)) throw error
      if (/^(STORAGE|SECRET)_/.test(error.code)) return null
      if (!/^(METADATA_|SNAPSHOT_NOT_PRESENT|LOCATION_)/.test(error.code)) throw error
    }
  }
  return null
}

const toKnown = (
  basis: KnownOperators['basis'],
  { snapshot, number, spec }: Source,
  { operators }: InspectionSummary,
): KnownOperators => ({
  basis,
  snapshot,
  version: number,
  spec,
  operators: operators.map(({ id, name, uid, parallelism, maxParallelism }) => ({
    id,
    name,
    uid,
    parallelism,
    maxParallelism,
  })),
})
