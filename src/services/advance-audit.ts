/**
 * Moves audits on, any number of times and by any worker. Page by page what was found is written together with where the listing
 * goes on; memory holds one page and one directory. It only lists and asks for single objects: an audit touches nothing.
 */
import { addToUnit, FINDING_KINDS, type FindingKind, judgeUnit, type Unit, unitOf } from '../domain/audit.ts'
import type { ErrorCode } from '../domain/errors.ts'
import {
  formatLocation,
  isInside,
  joinLocation,
  locationKey,
  parseLocation,
  relativeSegments,
  snapshotDirectory,
} from '../domain/location.ts'
import type { AuditResult, OperationStep } from '../domain/operation.ts'
import { beginStep, currentStep, endStep, noteOnStep } from '../domain/operation-steps.ts'
import { backoffMs } from '../domain/savepoint-plan.ts'
import type { AuditWork, AuditWorkRepository, ListingState, NewFinding, UsageEntry } from '../ports/audits.ts'
import type { CrashPoint, Log } from '../ports/process.ts'
import type { ObjectPage, ObjectStore, ObjectStores } from '../ports/storage.ts'
import { clockFrom } from './database-clock.ts'
import { inParallel } from './in-parallel.ts'
import { keepLease } from './keep-lease.ts'
import { codeOf } from './storage-errors.ts'
import { advanceAll, type Swept } from './sweep.ts'

export type AdvanceAuditPorts = {
  auditWork: AuditWorkRepository
  stores: Pick<ObjectStores, 'of'>
  crashPoint: CrashPoint
  log: Log
  limits: {
    /** How often the lease is renewed while work is under way, in ms: a third of it. */
    renewMs: number
    /** How long a claim works on before it gives its lease back, in ms. */
    holdMs: number
  }
}

/** Of each kind; the others are only counted. */
const FINDINGS_KEPT = 10_000
const ROWS_PER_PAGE = 200
const LOOKS_AT_ONCE = 16

/** Claims up to `limit` due audits and advances them side by side; `done` resolves when all are given back. */
export const sweepAudits =
  (ports: AdvanceAuditPorts) =>
  async (limit: number): Promise<Swept> =>
    advanceAll(await ports.auditWork.claimDue(limit), (work) => advance(work, ports))

type Going = {
  work: AuditWork
  ports: AdvanceAuditPorts
  store: ObjectStore
  steps: readonly OperationStep[]
  result: AuditResult
  listing: ListingState | null
  until: number
  /** The database's clock, carried on by a clock that nobody sets. */
  now: () => Date
}
class LeaseLost extends Error {}
/** It ends here, with a reason. */
class AuditFailure extends Error {
  readonly code: ErrorCode | 'AUDIT_TIMEOUT'
  constructor(code: AuditFailure['code'], message: string) {
    super(message)
    this.code = code
  }
}

const NOTHING: ListingState['numbers'] = { ORPHAN: 0, UNREGISTERED: 0, MISSING: 0 }
const AT_THE_BEGINNING: ListingState = { pageToken: null, pending: null, numbers: NOTHING }
const EMPTY: AuditResult = {
  listed: { objects: 0, bytes: 0 },
  found: {
    ORPHAN: { count: 0, objects: 0, bytes: 0 },
    UNREGISTERED: { count: 0, objects: 0, bytes: 0 },
    MISSING: { count: 0, objects: 0, bytes: 0 },
  },
  foreign: { objects: 0, bytes: 0 },
}

async function advance(work: AuditWork, ports: AdvanceAuditPorts): Promise<void> {
  const now = clockFrom(work.now)
  const lease = keepLease(() => ports.auditWork.renew(work), ports.limits.renewMs)
  const seen: { going: Going | null } = { going: null }
  try {
    if (work.storage.deleted) throw new AuditFailure('REFERENCE_NOT_FOUND', 'The storage was deleted.')
    const going: Going = {
      work,
      ports,
      store: ports.stores.of(work.storage),
      steps: work.steps,
      result: work.listing === null ? EMPTY : work.result,
      listing: work.listing,
      until: performance.now() + ports.limits.holdMs,
      now,
    }
    seen.going = going
    const over = await run(going)
    if (!over) await ports.auditWork.release(work, { nextActionInMs: 0, tries: 0 })
  } catch (error) {
    await retreat(work, ports, seen.going, now, error)
  } finally {
    lease.stop()
  }
}

/** true: it has ended. */
async function run(going: Going): Promise<boolean> {
  const { work, ports } = going
  if (going.now() >= work.deadlineAt) {
    throw new AuditFailure('AUDIT_TIMEOUT', `The audit was not done within ${work.request.timeoutSeconds} s.`)
  }
  if (!isListed(going) && !(await list(going))) return false
  await lookForRows(going)
  if (performance.now() > going.until && currentStep(going.steps) === 'rows') return false
  going.steps = endStep(going.steps, 'record', 'DONE', going.now())
  if (!(await ports.auditWork.complete(work, going))) throw new LeaseLost()
  ports.log.info(
    { operationId: work.id, storage: work.request.storage.name, ...going.result.found },
    'storage audited',
  )
  return true
}

const isListed = ({ steps }: Going): boolean =>
  steps.some(({ name, status }) => name === 'list' && status === 'DONE')

// ------------------------------------------------------------------------------------------------------ list

/** false: to be gone on with. */
async function list(going: Going): Promise<boolean> {
  const { work, ports, store } = going
  if (going.listing === null) {
    going.listing = AT_THE_BEGINNING
    going.steps = beginStep(going.steps, 'list', going.now())
    if (!(await ports.auditWork.restart(work, going))) throw new LeaseLost()
  }
  for (;;) {
    const state: ListingState = going.listing ?? AT_THE_BEGINNING
    const page: ObjectPage = await store.list(
      work.storage.root,
      state.pageToken === null ? {} : { pageToken: state.pageToken },
    )
    await recordPage(going, state, page)
    ports.crashPoint('audit-page-recorded')
    if (page.nextPageToken === null) return true
    if (performance.now() > going.until) return false
  }
}

/** Directories that end on this page are judged; the one it ends in goes on with the next. */
async function recordPage(going: Going, state: ListingState, page: ObjectPage): Promise<void> {
  const { work } = going
  const complete: Unit[] = []
  let pending = state.pending
  let bytes = 0
  for (const { location, sizeBytes, modifiedAt } of page.objects) {
    const segments = relativeSegments(work.storage.root, location)
    const place = unitOf(segments, work.namespace)
    const object = { segments, sizeBytes, modifiedAt }
    const more = addToUnit(pending, place, object)
    if (more === null && pending !== null) complete.push(pending)
    pending = more ?? addToUnit(null, place, object)
    bytes += sizeBytes
  }
  const isLast = page.nextPageToken === null
  if (isLast && pending !== null) complete.push(pending)
  const judged = await judgeAll(going, complete)
  const numbers = { ...state.numbers }
  const findings = judged.flatMap(({ finding }) => (finding ? (keep(going, numbers, finding) ?? []) : []))
  count(
    going,
    judged.map(({ usage }) => usage),
  )
  const { listed = { objects: 0, bytes: 0 } } = going.result
  going.result = {
    ...going.result,
    listed: { objects: listed.objects + page.objects.length, bytes: listed.bytes + bytes },
  }
  going.listing = { pageToken: page.nextPageToken, pending: isLast ? null : pending, numbers }
  if (isLast)
    going.steps = endStep(
      going.steps,
      'list',
      'DONE',
      going.now(),
      `${going.result.listed?.objects} objects.`,
    )
  await record(
    going,
    findings,
    judged.map(({ usage }) => usage),
  )
}

type Judged = { usage: UsageEntry; finding: Omit<NewFinding, 'number'> | null }

async function judgeAll({ work, ports, now }: Going, units: readonly Unit[]): Promise<Judged[]> {
  if (units.length === 0) return []
  const places = units.map((unit) => ({
    ...work.storage.root,
    segments: [...work.storage.root.segments, ...unit.segments],
  }))
  const facts = await ports.auditWork.readUnits(
    work,
    units.map(({ snapshotId, flinkJobId }, at) => ({
      key: locationKey(places[at] ?? work.storage.root),
      snapshotId,
      flinkJobId,
    })),
  )
  return units.map((unit, at) => {
    const known = facts[at]
    const place = places[at]
    if (!known || !place) throw new Error('a directory was not judged')
    const { finding, ...usage } = judgeUnit(unit, known, now())
    const { objects, bytes, newestAt, snapshotId } = unit
    return {
      usage: { ...usage, objects, bytes },
      finding: finding && {
        ...finding,
        location: `${formatLocation(place)}/`,
        objects,
        bytes,
        newestAt,
        snapshot: snapshotId,
      },
    }
  })
}

/** Counts it; answers the finding with its number while there is room. */
function keep(
  going: Going,
  numbers: Record<FindingKind, number>,
  finding: Omit<NewFinding, 'number'>,
): NewFinding | null {
  const found = { ...(going.result.found ?? EMPTY.found ?? {}) } as NonNullable<AuditResult['found']>
  const { count: before, objects, bytes } = found[finding.kind]
  found[finding.kind] = {
    count: before + 1,
    objects: objects + finding.objects,
    bytes: bytes + finding.bytes,
  }
  going.result = { ...going.result, found }
  if (numbers[finding.kind] >= FINDINGS_KEPT) return null
  const number = FINDING_KINDS.reduce((sum, kind) => sum + numbers[kind], 0)
  numbers[finding.kind] += 1
  return { ...finding, number }
}

function count(going: Going, usage: readonly UsageEntry[]): void {
  const foreign = { ...(going.result.foreign ?? { objects: 0, bytes: 0 }) }
  for (const { kind, objects, bytes } of usage) {
    if (kind !== 'FOREIGN') continue
    foreign.objects += objects
    foreign.bytes += bytes
  }
  going.result = { ...going.result, foreign }
}

/** Two units of one job, version and kind are one row: a statement may change each row once. */
async function record(
  going: Going,
  findings: readonly NewFinding[],
  usage: readonly UsageEntry[],
): Promise<void> {
  const sums = new Map<string, UsageEntry>()
  for (const entry of usage) {
    const key = JSON.stringify([entry.job, entry.version, entry.kind])
    const sum = sums.get(key)
    sums.set(key, {
      ...entry,
      objects: entry.objects + (sum?.objects ?? 0),
      bytes: entry.bytes + (sum?.bytes ?? 0),
    })
  }
  const recorded = await going.ports.auditWork.record(
    going.work,
    { findings, usage: [...sums.values()] },
    going,
  )
  if (!recorded) throw new LeaseLost()
}

// ------------------------------------------------------------------------------------------------------ rows

/** Whose `_metadata` is gone; `pageToken` is the last row that was looked at. */
async function lookForRows(going: Going): Promise<void> {
  const { work, ports } = going
  if (going.steps.some(({ name, status }) => name === 'rows' && status === 'DONE')) return
  for (;;) {
    const state = going.listing ?? AT_THE_BEGINNING
    const rows = await ports.auditWork.listPresent(work, state.pageToken, ROWS_PER_PAGE)
    const gone = await findGone(going, rows)
    const numbers = { ...state.numbers }
    const findings = gone.flatMap(
      ({ id, location }) =>
        keep(going, numbers, {
          kind: 'MISSING',
          location,
          objects: 0,
          bytes: 0,
          newestAt: null,
          snapshot: id,
          message: 'Its `_metadata` is not there.',
        }) ?? [],
    )
    const last = rows.at(-1)
    const isLast = rows.length < ROWS_PER_PAGE || !last
    going.listing = { pageToken: isLast ? null : last.id, pending: null, numbers }
    going.steps = isLast
      ? endStep(going.steps, 'rows', 'DONE', going.now())
      : beginStep(going.steps, 'rows', going.now())
    await record(going, findings, [])
    ports.crashPoint('audit-rows-recorded')
    if (isLast || performance.now() > going.until) return
  }
}

async function findGone(
  { work, ports, store }: Going,
  rows: readonly { id: string; location: string }[],
): Promise<{ id: string; location: string }[]> {
  const gone: { id: string; location: string }[] = []
  await inParallel(rows, LOOKS_AT_ONCE, async (row) => {
    const directory = snapshotDirectory(parseLocation(row.location))
    // a root that was moved since: what lies elsewhere is not this storage's to tell
    if (!isInside(work.storage.root, directory)) return
    if ((await store.head(joinLocation(directory, '_metadata'))) === null) gone.push(row)
  })
  if (gone.length === 0) return []
  // what was cleared while we looked is no loss
  const still = new Set(await ports.auditWork.findStillPresent(work, gone))
  return gone.filter(({ id }) => still.has(id)).toSorted((one, other) => (one.id < other.id ? -1 : 1))
}

// ------------------------------------------------------------------------------------------------------ ends

/** What may pass is tried again until the deadline; a page token that the store refuses by now begins the listing anew. */
async function retreat(
  work: AuditWork,
  { auditWork, log }: AdvanceAuditPorts,
  going: Going | null,
  now: () => Date,
  error: unknown,
): Promise<void> {
  if (error instanceof LeaseLost) return
  const failure = toFailure(error)
  const foreseen = failure !== null || codeOf(error) !== null
  const message = error instanceof Error ? error.message : String(error)
  log[foreseen ? 'warn' : 'error'](
    { operationId: work.id, kind: 'AUDIT', error: foreseen ? message : error },
    failure ? 'storage could not be audited' : 'audit could not be advanced, will be repeated',
  )
  if (!foreseen) return
  const steps = going?.steps ?? work.steps
  const progress = { steps, result: going?.result ?? work.result, listing: going?.listing ?? work.listing }
  try {
    const refusedToken =
      going && !isListed(going) && progress.listing?.pageToken != null && !(error instanceof AuditFailure)
    if (failure && !refusedToken) {
      await auditWork.fail(work, failure, {
        ...progress,
        steps: endStep(steps, currentStep(steps), 'FAILED', now(), failure.message),
      })
      return
    }
    if (failure) await auditWork.restart(work, { ...progress, listing: AT_THE_BEGINNING, result: EMPTY })
    else {
      const noted = noteOnStep(steps, message)
      if (noted) await auditWork.record(work, { findings: [], usage: [] }, { ...progress, steps: noted })
    }
    await auditWork.release(work, { nextActionInMs: backoffMs(work.tries), tries: work.tries + 1 })
  } catch (cause) {
    log.warn(
      { operationId: work.id, error: cause instanceof Error ? cause.message : cause },
      'lease left to expire',
    )
  }
}

/** null: it may pass by itself. */
function toFailure(error: unknown): { code: string; message: string } | null {
  if (error instanceof AuditFailure) return { code: error.code, message: error.message }
  const code = codeOf(error)
  const passes: readonly (string | null)[] = [null, 'STORAGE_UNREACHABLE', 'DATABASE_UNAVAILABLE']
  return error instanceof Error && code !== null && !passes.includes(code)
    ? { code, message: error.message }
    : null
}
