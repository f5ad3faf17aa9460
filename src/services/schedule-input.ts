/** What the schedule services share: the rule as given, its slots, and the schedule as it is shown. */
import { DomainError } from '../domain/errors.ts'
import {
  findScheduleWarnings,
  isTooTight,
  jitterMs,
  type Period,
  type Schedule,
  type ScheduleWarning,
  secondsOf,
  toPeriod,
} from '../domain/schedule.ts'
import { type ScheduleSlots, slotsOf } from '../domain/schedule-slots.ts'
import type { NextSlot, ScheduleContext, ScheduleRepository, ScheduleRow } from '../ports/schedules.ts'
import type { Scope } from '../ports/scope.ts'
import type { ScheduleRuleInput } from './api.ts'
import { refuseInput } from './check-input.ts'
import { showVersion } from './show-version.ts'

export type SchedulePorts = { schedules: ScheduleRepository }
export type Rule = { cron: string | null; everySeconds: number | null; timeZone: string }

/** Throws VALIDATION_FAILED with what to write instead. */
export function readRule({ cron, every, timeZone = 'UTC' }: ScheduleRuleInput): {
  rule: Rule
  slots: ScheduleSlots
} {
  if ((cron === undefined) === (every === undefined)) refuseInput('', 'give either cron or every')
  const rule = {
    cron: cron === undefined ? null : cron.trim().replace(/[ \t]+/g, ' '),
    everySeconds: every === undefined ? null : secondsOf(every),
    timeZone,
  }
  const slots = slotsOf(rule)
  if ('problem' in slots) return refuseInput(`/${slots.member}`, slots.problem)
  return { rule, slots }
}

/** Of a rule that was accepted. */
export function slotsOfRow(rule: Rule): ScheduleSlots {
  const slots = slotsOf(rule)
  if ('problem' in slots) throw new Error(`A stored schedule cannot be read: ${slots.problem}.`)
  return slots
}

export async function findContext(
  { schedules }: SchedulePorts,
  scope: Scope,
  job: string,
): Promise<ScheduleContext> {
  const context = await schedules.readContext(scope, job)
  if (!context) throw new DomainError('NOT_FOUND', `There is no job ${JSON.stringify(job.slice(0, 100))}.`)
  return context
}

/** The job with its schedule; NOT_FOUND when it has none. */
export async function findSchedule(
  ports: SchedulePorts,
  scope: Scope,
  job: string,
): Promise<ScheduleContext & { schedule: ScheduleRow }> {
  const context = await findContext(ports, scope, job)
  const { schedule } = context
  if (!schedule) throw new DomainError('NOT_FOUND', `The job ${context.job.name} has no schedule.`)
  return { ...context, schedule }
}

export function findNext(
  { now, job }: ScheduleContext,
  slots: ScheduleSlots,
  jitterSeconds: number,
): NextSlot | null {
  const slotAt = slots.next(now)
  return slotAt && { slotAt, actionAt: new Date(slotAt.getTime() + jitterMs(job.id, slotAt, jitterSeconds)) }
}

export function refuseTooTight({ job, savepointP90Ms }: ScheduleContext, slots: ScheduleSlots): void {
  if (!isTooTight(savepointP90Ms, slots.intervalSeconds)) return
  throw new DomainError(
    'SCHEDULE_TOO_TIGHT',
    `Nine of ten savepoints of ${job.name} take up to ${Math.ceil((savepointP90Ms ?? 0) / 1000)} s, more than a quarter of the ${slots.intervalSeconds} s between two runs.`,
    { extra: { p90DurationMs: savepointP90Ms, effectiveIntervalSeconds: slots.intervalSeconds } },
  )
}

export const warningsOf = (
  { version, job, observeOnly }: ScheduleContext,
  slots: ScheduleSlots,
  format: Schedule['format'],
): ScheduleWarning[] =>
  findScheduleWarnings(
    { format, stateBackend: readBackend(version), attached: job.attached, observeOnly },
    slots,
  )

function readBackend(version: ScheduleContext['version']): string | null {
  if (version === null) return null
  const { effective } = showVersion({ ...version, number: 0, labels: {}, createdAt: '', createdBy: '' })
  return effective.state.backend
}

export function showSchedule(context: ScheduleContext & { schedule: ScheduleRow }): Schedule {
  const { schedule, job } = context
  const slots = slotsOfRow(schedule)
  const format = schedule.format ?? 'CANONICAL'
  return {
    job: { id: job.id, name: job.name },
    cron: schedule.cron,
    every: toEvery(schedule.everySeconds),
    timeZone: schedule.timeZone,
    meaning: slots.meaning,
    effectiveIntervalSeconds: slots.intervalSeconds,
    floored: slots.floored,
    enabled: schedule.enabled,
    paused: schedule.paused,
    format,
    description: schedule.description,
    timeoutSeconds: schedule.timeoutSeconds,
    jitterSeconds: schedule.jitterSeconds,
    nextRunAt: schedule.nextSlotAt,
    lastRunAt: schedule.lastSlotAt,
    failures: schedule.failures,
    warnings: warningsOf(context, slots, format),
    createdAt: schedule.createdAt,
    createdBy: schedule.createdBy,
    updatedAt: schedule.updatedAt,
    etag: schedule.etag,
  }
}

const toEvery = (seconds: number | null): Period | null => (seconds === null ? null : toPeriod(seconds))
