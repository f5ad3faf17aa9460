/** Flink's REST API as the outcomes of `domain/flink.ts`. Which route, which reader, what a 404 means: nothing else. */
import { createHash } from 'node:crypto'
import type { TriggerRequest } from '../domain/flink.ts'
import { rootCause } from '../domain/flink-failure.ts'
import type { FlinkClient } from '../ports/flink.ts'
import { type Answer, readAnswer, unreadable } from './answers.ts'
import { readCheckpointStatistics, readConfig } from './checkpoint-responses.ts'
import type { HttpReply, HttpRequest } from './http.ts'
import {
  readClusterInfo,
  readClusterSettings,
  readDeclaredVersion,
  readExceptions,
  readJob,
  readJobs,
  readSavepointStatus,
  readTriggered,
} from './responses.ts'
import type { Reader } from './shape.ts'

/** Sends one request; throws FlinkUnavailableError when there was no complete HTTP answer. */
export type Ask = (request: HttpRequest) => Promise<HttpReply>

export function createFlinkClient(ask: Ask): FlinkClient {
  /** null: the id in the path is not known now. */
  async function find<T>(path: string, read: Reader<T>): Promise<T | null> {
    const request: HttpRequest = { method: 'GET', path }
    const answer = readAnswer(request, await ask(request))
    if (answer.kind === 'unknown') return null
    if (answer.kind === 'refused')
      throw unreadable(request, `refused with ${answer.httpStatus}: ${rootCause(answer.text)}`)
    return readBody(request, answer.body, read)
  }

  async function get<T>(path: string, read: Reader<T>): Promise<T> {
    const value = await find(path, read)
    if (value === null)
      throw unreadable({ method: 'GET', path }, 'answered 404: this is not a Flink REST address')
    return value
  }

  return {
    describeCluster: () => get('/config', readClusterInfo),
    readSettings: () => get('/jobmanager/config', readClusterSettings),
    listJobs: () => get('/jobs/overview', readJobs),
    findJob: (job) => find(jobPath(job), readJob),
    listExceptions: async (job) => (await find(jobPath(job, '/exceptions'), readExceptions)) ?? [],
    readDeclaredVersion: async (job) =>
      (await find(jobPath(job, '/config'), readDeclaredVersion))?.version ?? null,
    readCheckpoints: (job) => find(jobPath(job, '/checkpoints'), readCheckpointStatistics),
    async pollCheckpoints(job, tag) {
      const request: HttpRequest = { method: 'GET', path: jobPath(job, '/checkpoints') }
      const reply = await ask(request)
      const ownTag = reply.status === 200 ? tagOf(reply.text) : ''
      if (ownTag !== '' && ownTag === tag) return { kind: 'unchanged' }
      const answer = readAnswer(request, reply)
      if (answer.kind === 'unknown') return { kind: 'none' }
      if (answer.kind === 'refused')
        throw unreadable(request, `refused with ${answer.httpStatus}: ${rootCause(answer.text)}`)
      return {
        kind: 'changed',
        tag: ownTag,
        statistics: readBody(request, answer.body, readCheckpointStatistics),
      }
    },
    readCheckpointConfig: (job) => find(jobPath(job, '/checkpoints/config'), readConfig),
    async triggerSavepoint(trigger) {
      const request = toTrigger(trigger)
      const answer = readAnswer(request, await ask(request))
      if (answer.kind === 'ok') return checkAccepted(request, answer, trigger.triggerId)
      // Flink answers 202 for unknown jobs too (§4); a 404 all the same is a refusal.
      const httpStatus = answer.kind === 'unknown' ? 404 : answer.httpStatus
      return { kind: 'refused', httpStatus, text: answer.text }
    },
    async readSavepoint(job, triggerId) {
      const path = jobPath(job, `/savepoints/${encodeURIComponent(triggerId)}`)
      return (await find(path, readSavepointStatus)) ?? { kind: 'unknown' }
    },
  }
}

/** Reading an answer of ten entries costs many times its hash. */
const tagOf = (text: string): string => createHash('sha1').update(text).digest('base64')

const jobPath = (job: string, rest = ''): string => `/jobs/${encodeURIComponent(job)}${rest}`

/** REST/messages/job/savepoints/SavepointTriggerRequestBody: `target-directory` with a hyphen, unlike `/stop`. */
function toTrigger({ flinkJobId, triggerId, targetDirectory, format }: TriggerRequest): HttpRequest {
  const body = { 'target-directory': targetDirectory, 'cancel-job': false, formatType: format, triggerId }
  return { method: 'POST', path: jobPath(flinkJobId, '/savepoints'), body: JSON.stringify(body) }
}

/** Before 1.15 Flink ignored our trigger id and made its own: we could never ask for that result. */
function checkAccepted(request: HttpRequest, answer: Extract<Answer, { kind: 'ok' }>, triggerId: string) {
  const accepted = readBody(request, answer.body, readTriggered)
  if (accepted.toLowerCase() !== triggerId.toLowerCase()) {
    throw unreadable(request, `was accepted under another trigger id (${accepted})`)
  }
  return { kind: 'accepted' } as const
}

function readBody<T>(request: HttpRequest, body: unknown, read: Reader<T>): T {
  const value = read(body)
  if (value === undefined)
    throw unreadable(request, "answered with JSON that does not have the shape of Flink's")
  return value
}
