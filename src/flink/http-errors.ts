/** Why an HTTP exchange with a JobManager came to nothing, in the one error the ports know. */
import { FlinkUnavailableError } from '../domain/errors.ts'

type Kind = FlinkUnavailableError['kind']

/** Codes of undici, node:net, node:dns and node:tls. All others: `unreachable`. */
const BY_CODE: Record<string, { kind: Kind; says: string }> = {
  UND_ERR_CONNECT_TIMEOUT: { kind: 'timeout', says: 'no connection in time' },
  ETIMEDOUT: { kind: 'timeout', says: 'no connection in time' },
  ECONNREFUSED: { kind: 'unreachable', says: 'connection refused' },
  ECONNRESET: { kind: 'unreachable', says: 'connection reset' },
  EPIPE: { kind: 'unreachable', says: 'connection closed' },
  UND_ERR_SOCKET: { kind: 'unreachable', says: 'connection closed before the answer was complete' },
  ENOTFOUND: { kind: 'unreachable', says: 'unknown host' },
  EAI_AGAIN: { kind: 'unreachable', says: 'host name could not be resolved now' },
  UND_ERR_DESTROYED: { kind: 'unreachable', says: 'we are closing' },
  UND_ERR_CLOSED: { kind: 'unreachable', says: 'we are closing' },
  UND_ERR_RES_EXCEEDED_MAX_SIZE: { kind: 'unreadable', says: 'answer too long' },
  UND_ERR_HEADERS_OVERFLOW: { kind: 'unreadable', says: 'headers too long' },
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: {
    kind: 'unreadable',
    says: 'answer of another length than announced',
  },
  HTTPParserError: { kind: 'unreadable', says: 'not an HTTP answer' },
  UND_ERR_INVALID_ARG: { kind: 'unauthorized', says: 'the secret cannot be sent as a header' },
}

const BY_PREFIX: readonly { prefix: string; kind: Kind; says: string }[] = [
  { prefix: 'HPE_', kind: 'unreadable', says: 'not an HTTP answer' },
  // e.g. ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED, ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: the other side did not want us
  { prefix: 'ERR_SSL_TLSV1', kind: 'unauthorized', says: 'TLS refused' },
  { prefix: 'ERR_SSL_SSLV3_ALERT', kind: 'unauthorized', says: 'TLS refused' },
]

/** The socket went away: a GET on a kept-alive socket may simply be asked again. */
export const isReset = (error: unknown): boolean =>
  ['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'].includes(codeOf(error) ?? '')

/** The request was never written: no connection came about, or we would not send it. */
const NEVER_SENT = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_CLOSED',
  'UND_ERR_INVALID_ARG',
])

/** Certain only: whatever happens to an open connection may have come after Flink had read the request. */
function isNeverSent(error: unknown): boolean {
  // A name with several addresses: each was tried.
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.every(isNeverSent)
  if (NEVER_SENT.has(codeOf(error) ?? '')) return true
  return error instanceof Error && 'syscall' in error && error.syscall === 'connect' // ETIMEDOUT, EHOSTUNREACH, …
}

/** Nothing was sent at all. */
export const neverAsked = (kind: Kind, message: string, cause?: unknown): FlinkUnavailableError =>
  new FlinkUnavailableError(kind, message, cause, { mayHaveArrived: false })

export function unavailable(what: string, error: unknown): FlinkUnavailableError {
  if (error instanceof FlinkUnavailableError) return error
  const code = codeOf(error)
  const known = code === undefined ? undefined : lookUp(code)
  const says = known?.says ?? (error instanceof Error ? error.message : String(error))
  return new FlinkUnavailableError(
    known?.kind ?? 'unreachable',
    `${what}: ${says.slice(0, 300)}${code === undefined ? '' : ` (${code})`}`,
    error,
    { mayHaveArrived: !isNeverSent(error) },
  )
}

const lookUp = (code: string) => BY_CODE[code] ?? BY_PREFIX.find(({ prefix }) => code.startsWith(prefix))

/** Some parser errors of undici carry no code: their name stands for it. */
function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  if ('code' in error && typeof error.code === 'string') return error.code
  return error.name in BY_CODE ? error.name : undefined
}
