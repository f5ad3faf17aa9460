/** The steps an operation shows. Pure: `now` comes in, as RFC 3339 or a Date of the database. */
import type { OperationStep } from './operation.ts'

export const plannedSteps = (names: readonly string[]): OperationStep[] =>
  names.map((name) => ({ name, status: 'WAITING', startedAt: null, endedAt: null, message: null }))

/** The step under way; what stood before it and still waits was not needed. */
export function beginStep(
  steps: readonly OperationStep[],
  name: string,
  now: Date,
  message: string | null = null,
): OperationStep[] {
  const at = steps.findIndex((step) => step.name === name)
  return steps.map((step, index) => {
    if (index < at && step.status === 'WAITING')
      return { ...step, status: 'SKIPPED', endedAt: now.toISOString() }
    if (index < at && step.status === 'RUNNING')
      return { ...step, status: 'DONE', endedAt: now.toISOString() }
    if (index !== at) return step
    return { ...step, status: 'RUNNING', startedAt: step.startedAt ?? now.toISOString(), message }
  })
}

/** Ends the step under way; with FAILED what still waits is skipped. */
export function endStep(
  steps: readonly OperationStep[],
  name: string,
  status: 'DONE' | 'FAILED' | 'SKIPPED',
  now: Date,
  message: string | null = null,
): OperationStep[] {
  return steps.map((step) => {
    if (step.name === name) {
      return {
        ...step,
        status,
        startedAt: step.startedAt ?? now.toISOString(),
        endedAt: now.toISOString(),
        message,
      }
    }
    return status === 'FAILED' && step.status === 'WAITING' ? { ...step, status: 'SKIPPED' } : step
  })
}

/** The step under way with what it waits for; null when it says so already, or none is. */
export function noteOnStep(steps: readonly OperationStep[], message: string): OperationStep[] | null {
  const at = steps.findIndex((step) => step.status === 'RUNNING')
  if (at === -1 || steps[at]?.message === message) return null
  return steps.map((step, index) => (index === at ? { ...step, message } : step))
}

/** The step under way, else the first that waits. */
export const currentStep = (steps: readonly OperationStep[]): string =>
  (steps.find(({ status }) => status === 'RUNNING') ?? steps.find(({ status }) => status === 'WAITING'))
    ?.name ?? ''
