/**
 * What a status and an error body mean (`flink-rest-api.md` §1). Only Flink's own words count as an answer: the HTML of a
 * proxy, a redirect or a route this JobManager does not have is "could not ask".
 */
import { FlinkUnavailableError } from '../domain/errors.ts'
import { rootCause } from '../domain/flink-failure.ts'
import { shortenTrace } from '../domain/stack-trace.ts'
import type { HttpReply, HttpRequest } from './http.ts'
import { parseJson } from './json.ts'

export type Answer =
  | { kind: 'ok'; body: unknown }
  /** 404 for an id: the route exists, the job or the operation is not known now. */
  | { kind: 'unknown'; text: string }
  /** Flink understood and said no. */
  | { kind: 'refused'; httpStatus: number; text: string }

type Kind = FlinkUnavailableError['kind']

const UNAVAILABLE: Record<number, { kind: Kind; says: string }> = {
  401: { kind: 'unauthorized', says: 'refused our credentials' },
  403: { kind: 'unauthorized', says: 'does not allow this' },
  407: { kind: 'unauthorized', says: 'a proxy wants credentials' },
  408: { kind: 'timeout', says: 'gave up waiting' },
  429: { kind: 'server-error', says: 'a proxy limits our requests' },
  502: { kind: 'unreachable', says: 'a proxy does not reach Flink' },
  503: { kind: 'leader-election', says: 'no leader now' }, // REST/handler/LeaderRetrievalHandler
  504: { kind: 'timeout', says: 'a proxy gave up waiting for Flink' },
}

/** The request was turned away before anything read it. Other answers of a proxy (502, 504) may come after Flink's work. */
const TURNED_AWAY = new Set([401, 403, 407])

/** REST/handler/router/RouterHandler; REST/handler/legacy/files/StaticFileServerHandler when the web UI is installed. */
const NO_SUCH_ROUTE = /^Not found: |Unable to load requested file|^File not found\.$/

export const describeRequest = ({ method, path }: HttpRequest): string => `${method} ${path}`

export const unreadable = (request: HttpRequest, says: string): FlinkUnavailableError =>
  new FlinkUnavailableError('unreadable', `${describeRequest(request)}: ${says}`)

/** Throws FlinkUnavailableError unless Flink itself answered the question. */
export function readAnswer(request: HttpRequest, reply: HttpReply): Answer {
  const { status } = reply
  if (status >= 200 && status < 300) return { kind: 'ok', body: readBody(request, reply) }
  if (status < 400) throw unreadable(request, describeRedirect(reply))
  const errors = readErrors(reply.text)
  const known = UNAVAILABLE[status]
  if (known !== undefined || status >= 500) throw unavailableBy(request, status, errors, known)
  if (errors === null) throw unreadable(request, `answered ${status} with a text that is not Flink's`)
  return status === 404
    ? readNotFound(request, errors)
    : { kind: 'refused', httpStatus: status, text: errors }
}

function readBody(request: HttpRequest, reply: HttpReply): unknown {
  const body = parseJson(reply.text)
  if (body === undefined)
    throw unreadable(request, `answered ${reply.status} with a text that is not Flink's JSON`)
  return body
}

function readNotFound(request: HttpRequest, errors: string): Answer {
  if (NO_SUCH_ROUTE.test(errors)) {
    const message = `${describeRequest(request)}: this address has no such route`
    throw new FlinkUnavailableError('unreadable', message, undefined, { mayHaveArrived: false })
  }
  return { kind: 'unknown', text: errors }
}

function unavailableBy(
  request: HttpRequest,
  status: number,
  errors: string | null,
  known: { kind: Kind; says: string } | undefined,
): FlinkUnavailableError {
  const says = [known?.says, errors && rootCause(errors)].filter(Boolean).join(': ') || 'no reason given'
  const message = `${describeRequest(request)}: answered ${status}: ${says}`
  // A 503 in Flink's own words is the leader election (§1: nothing was executed), in other words a proxy's.
  const isTurnedAway = TURNED_AWAY.has(status) || (status === 503 && errors !== null)
  const mayHaveArrived = !isTurnedAway
  return new FlinkUnavailableError(known?.kind ?? 'server-error', message, undefined, { mayHaveArrived })
}

/** The query of a redirect may carry a login token: only the place is shown. */
function describeRedirect({ status, location }: HttpReply): string {
  const place = location?.split(/[?#]/, 1)[0]?.slice(0, 200)
  return `answered ${status}, a redirect to ${place || 'nowhere'}; redirects are not followed, use the final address`
}

/**
 * REST/messages/ErrorResponseBody: one string, the stack trace of a RestHandlerException; or two, "Internal server error."
 * and "<Exception on server side:…". null when the body is not of that shape.
 */
export function readErrors(text: string): string | null {
  const body = parseJson(text)
  if (typeof body !== 'object' || body === null || !('errors' in body) || !Array.isArray(body.errors))
    return null
  const errors = body.errors.filter((error): error is string => typeof error === 'string' && error !== '')
  return errors.length === 0 ? null : shortenTrace(errors.slice(0, 4).join('\n'))
}
