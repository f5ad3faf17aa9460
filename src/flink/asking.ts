/** Asking for one thing and reading the answer as it: what every call of the client shares. */
import { rootCause } from '../domain/flink-failure.ts'
import { readAnswer, unreadable } from './answers.ts'
import type { HttpReply, HttpRequest } from './http.ts'
import type { Reader } from './shape.ts'

/** Sends one request; throws FlinkUnavailableError when there was no complete HTTP answer. */
export type Ask = (request: HttpRequest) => Promise<HttpReply>

/** null: the id in the path is not known now. */
export async function find<T>(ask: Ask, path: string, read: Reader<T>): Promise<T | null> {
  const request: HttpRequest = { method: 'GET', path }
  return readFound(request, await ask(request), read)
}

export async function get<T>(ask: Ask, path: string, read: Reader<T>): Promise<T> {
  const request: HttpRequest = { method: 'GET', path }
  return readKnown(request, await ask(request), read)
}

/** For a path without ids: a 404 is no answer of Flink's. */
export function readKnown<T>(request: HttpRequest, reply: HttpReply, read: Reader<T>): T {
  const value = readFound(request, reply, read)
  if (value === null) throw unreadable(request, 'answered 404: this is not a Flink REST address')
  return value
}

export function readFound<T>(request: HttpRequest, reply: HttpReply, read: Reader<T>): T | null {
  const answer = readAnswer(request, reply)
  if (answer.kind === 'unknown') return null
  if (answer.kind === 'refused')
    throw unreadable(request, `refused with ${answer.httpStatus}: ${rootCause(answer.text)}`)
  return readShape(request, answer.body, read)
}

export function readShape<T>(request: HttpRequest, body: unknown, read: Reader<T>): T {
  const value = read(body)
  if (value === undefined)
    throw unreadable(request, "answered with JSON that does not have the shape of Flink's")
  return value
}

export const jobPath = (job: string, rest = ''): string => `/jobs/${encodeURIComponent(job)}${rest}`
