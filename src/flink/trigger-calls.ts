/** What is asked of a running job: savepoint, stop, cancel. None is repeated here (`http.ts`). */
import type {
  CancelAnswer,
  DisposalTrigger,
  StopRequest,
  TriggerAnswer,
  TriggerRequest,
} from '../domain/flink.ts'
import type { FlinkClient } from '../ports/flink.ts'
import { readAnswer, unreadable } from './answers.ts'
import { type Ask, find, jobPath, readShape } from './asking.ts'
import type { HttpRequest } from './http.ts'
import { readDisposalStatus, readSavepointStatus, readTriggered } from './responses.ts'

type TriggerCalls = Pick<
  FlinkClient,
  'triggerSavepoint' | 'readSavepoint' | 'stopJob' | 'cancelJob' | 'disposeSavepoint' | 'readDisposal'
>

export function createTriggerCalls(ask: Ask): TriggerCalls {
  async function trigger(request: HttpRequest, triggerId: string): Promise<TriggerAnswer> {
    const answer = readAnswer(request, await ask(request))
    if (answer.kind === 'ok') return checkAccepted(request, answer.body, triggerId)
    // Flink answers 202 for unknown jobs too (§4); a 404 all the same is a refusal.
    const httpStatus = answer.kind === 'unknown' ? 404 : answer.httpStatus
    return { kind: 'refused', httpStatus, text: answer.text }
  }

  return {
    triggerSavepoint: (request) => trigger(toSavepoint(request), request.triggerId),
    stopJob: (request) => trigger(toStop(request), request.triggerId),
    async readSavepoint(job, triggerId) {
      const path = jobPath(job, `/savepoints/${encodeURIComponent(triggerId)}`)
      return (await find(ask, path, readSavepointStatus)) ?? { kind: 'unknown' }
    },
    async disposeSavepoint(location): Promise<DisposalTrigger> {
      const body = JSON.stringify({ 'savepoint-path': location })
      const request: HttpRequest = { method: 'POST', path: '/savepoint-disposal', body }
      const answer = readAnswer(request, await ask(request))
      if (answer.kind === 'ok') {
        return { kind: 'accepted', triggerId: readShape(request, answer.body, readTriggered) }
      }
      const httpStatus = answer.kind === 'unknown' ? 404 : answer.httpStatus
      return { kind: 'refused', httpStatus, text: answer.text }
    },
    async readDisposal(triggerId) {
      const path = `/savepoint-disposal/${encodeURIComponent(triggerId)}`
      return (await find(ask, path, readDisposalStatus)) ?? { kind: 'unknown' }
    },
    async cancelJob(job): Promise<CancelAnswer> {
      const request: HttpRequest = { method: 'PATCH', path: jobPath(job, '?mode=cancel') }
      const answer = readAnswer(request, await ask(request))
      if (answer.kind === 'ok') return { kind: 'accepted' }
      if (answer.kind === 'unknown') return { kind: 'unknown' }
      const { httpStatus, text } = answer
      // REST/handler/job/JobCancellationHandler: 409 for FINISHED and FAILED; a cancelled one is accepted again.
      return httpStatus === 409 ? { kind: 'ended', text } : { kind: 'refused', httpStatus, text }
    },
  }
}

/** REST/messages/job/savepoints/SavepointTriggerRequestBody: `target-directory` with a hyphen, unlike `/stop`. */
function toSavepoint({ flinkJobId, triggerId, targetDirectory, format }: TriggerRequest): HttpRequest {
  const body = { 'target-directory': targetDirectory, 'cancel-job': false, formatType: format, triggerId }
  return { method: 'POST', path: jobPath(flinkJobId, '/savepoints'), body: JSON.stringify(body) }
}

/** REST/messages/job/savepoints/stop/StopWithSavepointRequestBody: a misspelt field would be ignored, not refused. */
function toStop({ flinkJobId, triggerId, targetDirectory, format, drain }: StopRequest): HttpRequest {
  const body = { targetDirectory, drain, formatType: format, triggerId }
  return { method: 'POST', path: jobPath(flinkJobId, '/stop'), body: JSON.stringify(body) }
}

/** Before 1.15 Flink ignored our trigger id and made its own: we could never ask for that result. */
function checkAccepted(request: HttpRequest, body: unknown, triggerId: string): TriggerAnswer {
  const accepted = readShape(request, body, readTriggered)
  if (accepted.toLowerCase() !== triggerId.toLowerCase()) {
    throw unreadable(request, `was accepted under another trigger id (${accepted})`)
  }
  return { kind: 'accepted' }
}
