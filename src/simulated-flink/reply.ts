/** Answers of the REST server, and the three ways in which Flink says no. */
import { type JavaThrowable, stackTrace, throwable } from './java-throwable.ts'

export type Reply = { status: number; body: string; headers?: Record<string, string> }

export const json = (status: number, body: unknown): Reply => ({ status, body: JSON.stringify(body) })

/** Thrown by a handler; becomes the reply. */
export class Refusal extends Error {
  readonly reply: Reply

  constructor(reply: Reply) {
    super(`${reply.status} ${reply.body.slice(0, 200)}`)
    this.reply = reply
  }
}

const HANDLER = 'org.apache.flink.runtime.rest.handler'

/** A handled error: one string, the whole trace of a RestHandlerException. */
export const refuse = (status: number, message: string, cause?: JavaThrowable): Refusal =>
  new Refusal(
    json(status, { errors: [stackTrace(throwable(`${HANDLER}.RestHandlerException`, message, cause))] }),
  )

export const notFound = (message: string, cause?: JavaThrowable): Refusal =>
  new Refusal(
    json(404, {
      errors: [stackTrace(throwable('org.apache.flink.runtime.rest.NotFoundException', message, cause))],
    }),
  )

/** An error that the handler did not expect. */
export const internalError = (cause: JavaThrowable): Refusal =>
  new Refusal(
    json(500, {
      errors: [
        'Internal server error.',
        `<Exception on server side:\n${stackTrace(cause)}\nEnd of exception on server side>`,
      ],
    }),
  )

export const badParameter = (kind: 'path' | 'query', name: string, value: string): Refusal => {
  const text = `Cannot resolve ${kind} parameter (${name}) from value "${value}".`
  const cause = throwable(`${HANDLER}.HandlerRequestException`, text)
  return refuse(400, `Bad request, could not parse parameters: ${text}`, cause)
}

export const badBody = (format: string, detail: string): Refusal =>
  refuse(
    400,
    `Request did not match expected format ${format}.`,
    throwable('org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonMappingException', detail),
  )

/** The router's own words, without a trace: there is no such route, or no such file of the web UI. */
export const noSuchRoute = (method: string, uri: string): Reply =>
  json(404, { errors: [method === 'GET' ? `Unable to load requested file ${uri}.` : `Not found: ${uri}`] })

export const leaderElection = (): Reply =>
  json(503, {
    errors: ['Service temporarily unavailable due to an ongoing leader election. Please refresh.'],
  })
