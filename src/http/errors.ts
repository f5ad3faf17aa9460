/** Whatever goes wrong, the caller reads one shape: an RFC 9457 problem document, and never more than we mean to say. */
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { DomainError, type ErrorCode, type ErrorDetail } from '../domain/errors.ts'
import { describeValidation } from './describe-validation.ts'
import { PROBLEM_KINDS, PROBLEM_MEDIA_TYPE, type ProblemDocument, problemType } from './problems.ts'
import { newRequestId } from './request-id.ts'

type Reason = {
  code: ErrorCode
  detail: string
  errors?: readonly ErrorDetail[]
  extra?: Readonly<Record<string, unknown>>
}

const BODY_LIMIT_DETAIL = 'a request body may have at most 1 MiB (1048576 bytes)'
const JSON_DETAIL = 'the body is not valid JSON in UTF-8'

/** What Fastify and its plugins throw, by their code. */
const FRAMEWORK_REASONS: Readonly<Record<string, Reason>> = {
  FST_ERR_CTP_INVALID_JSON_BODY: { code: 'MALFORMED_BODY', detail: JSON_DETAIL },
  FST_ERR_CTP_EMPTY_JSON_BODY: { code: 'MALFORMED_BODY', detail: 'the body is empty' },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: {
    code: 'MALFORMED_BODY',
    detail: 'the body is not as long as Content-Length says',
  },
  FST_ERR_CTP_BODY_TOO_LARGE: { code: 'BODY_TOO_LARGE', detail: BODY_LIMIT_DETAIL },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: {
    code: 'UNSUPPORTED_MEDIA_TYPE',
    detail: 'this route does not read such a Content-Type; all but uploads read application/json',
  },
  FST_ERR_BAD_URL: { code: 'VALIDATION_FAILED', detail: 'the path is not correctly percent-encoded' },
  FST_ERR_MAX_PARAM_LENGTH: { code: 'VALIDATION_FAILED', detail: 'a segment of the path is too long' },
  FST_UNDER_PRESSURE: { code: 'OVERLOADED', detail: 'too much to do at the moment, ask again later' },
}

/** The same by status, for whatever else refuses a request with a 4xx. */
const CODE_OF_STATUS: Readonly<Record<number, ErrorCode>> = {
  401: 'UNAUTHENTICATED',
  403: 'FORBIDDEN',
  404: 'ROUTE_NOT_FOUND',
  413: 'BODY_TOO_LARGE',
  415: 'UNSUPPORTED_MEDIA_TYPE',
  429: 'TOO_MANY_REQUESTS',
}

const DATABASE_DOWN: Reason = {
  code: 'DATABASE_UNAVAILABLE',
  detail: 'the database does not answer at the moment, ask again later',
}

/**
 * Connection failures as node, Postgres (SQLSTATE) and Prisma name them. Services name Flink and storage failures
 * themselves, so what arrives here unnamed is the database.
 */
const DATABASE_DOWN_CODES =
  /^(ECONNREFUSED|ECONNRESET|ETIMEDOUT|EPIPE|ENOTFOUND|EAI_AGAIN|08\w{3}|57P0[1-3]|53300|P1001|P1002|P1008|P1017|P2024|P2037)$/

const isDatabaseDown = (error: unknown, depth = 0): boolean => {
  if (!(error instanceof Error) || depth > 5) return false
  if ('code' in error && typeof error.code === 'string' && DATABASE_DOWN_CODES.test(error.code)) return true
  if (error instanceof AggregateError && error.errors.some((one) => isDatabaseDown(one, depth + 1)))
    return true
  return isDatabaseDown(error.cause, depth + 1)
}

const reasonOfFramework = (error: Partial<FastifyError>): Reason | undefined => {
  if (error.validation !== undefined) {
    const errors = describeValidation(error.validation, error.validationContext)
    const [first] = errors
    return {
      code: 'VALIDATION_FAILED',
      detail: first === undefined ? 'the request is not valid' : `${first.pointer}: ${first.detail}`,
      errors,
    }
  }
  const named = FRAMEWORK_REASONS[error.code ?? '']
  if (named !== undefined) return named
  const status = error.statusCode ?? 500
  if (status < 400 || status > 499) return undefined
  const code = CODE_OF_STATUS[status] ?? 'VALIDATION_FAILED'
  return { code, detail: PROBLEM_KINDS[code].title }
}

const reasonOf = (error: unknown): Reason | undefined => {
  if (error instanceof DomainError) {
    const { code, errors, extra } = error
    return code === 'INTERNAL' ? undefined : { code, detail: error.message, errors, extra }
  }
  if (!(error instanceof Error)) return undefined
  return isDatabaseDown(error) ? DATABASE_DOWN : reasonOfFramework(error)
}

/** The document of any error; the words of an unexpected one stay in the log. */
export const describeProblem = (error: unknown, requestId: string): ProblemDocument => {
  const { code, detail, errors, extra } = reasonOf(error) ?? {
    code: 'INTERNAL',
    detail: `something went wrong on our side; our log has it under ${requestId}`,
  }
  const { status, title } = PROBLEM_KINDS[code]
  const standard = {
    type: problemType(code),
    title,
    status,
    detail,
    code,
    requestId,
    errors: [...(errors ?? [])],
  }
  return { ...standard, ...extra, ...standard } // first in order, and never overwritten by an extra member
}

/** Answers a request with the problem of `error`; serves as error handler and for `frameworkErrors`. */
export const sendProblem = (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
  const problem = describeProblem(error, request.id)
  const { retryAfterSeconds } = PROBLEM_KINDS[problem.code]
  if (problem.status >= 500) request.log.error({ err: error, code: problem.code }, 'request failed')
  else request.log.debug({ code: problem.code, detail: problem.detail }, 'request refused')
  if (retryAfterSeconds !== undefined) reply.header('retry-after', retryAfterSeconds)
  // Closed before all was read, the connection would be reset, and whoever is still sending would not see why. Node throws
  // away what else comes, for as long as a request may take.
  if (problem.code === 'BODY_TOO_LARGE') reply.removeHeader('connection')
  if (problem.code === 'UNAUTHENTICATED') reply.header('www-authenticate', 'Bearer realm="tidemark"')
  reply
    .code(problem.status)
    .headers({
      'content-type': PROBLEM_MEDIA_TYPE,
      'cache-control': 'no-store',
      'x-request-id': request.id,
      'x-content-type-options': 'nosniff',
    })
    .serializer(JSON.stringify)
    .send(problem)
}

export const sendRouteNotFound = (request: FastifyRequest, reply: FastifyReply): void => {
  const [path] = request.url.split('?')
  sendProblem(new DomainError('ROUTE_NOT_FOUND', `there is no ${request.method} ${path}`), request, reply)
}

/** Bytes that are not HTTP never become a request: answered on the socket itself. */
export const answerBrokenConnection = (error: Error & { code?: string }, socket: Socket): void => {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const detail =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? 'the request headers are too large'
      : 'the request is not readable HTTP'
  const problem = describeProblem(new DomainError('VALIDATION_FAILED', detail), newRequestId())
  const body = JSON.stringify(problem)
  socket.end(
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}\r\nContent-Type: ${PROBLEM_MEDIA_TYPE}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nX-Request-Id: ${problem.requestId}\r\nConnection: close\r\n\r\n${body}`,
  )
}
