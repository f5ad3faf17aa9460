/** `Prefer: wait=N` (RFC 7240): of several preferences we know this one and ignore the others, as the RFC says. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { DomainError } from '../domain/errors.ts'
import type { Operation } from '../domain/operation.ts'
import type { Snapshot } from '../domain/snapshot.ts'

const MAX_WAIT_SECONDS = 55
/** When to look again at a savepoint that is still being taken. */
export const RETRY_AFTER_SECONDS = 2

/** How long the caller wants to wait; undefined when it did not say. The first `wait` counts. */
export const readWaitSeconds = (request: FastifyRequest): number | undefined => {
  const header = request.headers.prefer
  const preferences = (Array.isArray(header) ? header.join(',') : (header ?? '')).split(',')
  const wait = preferences.map(parsePreference).find(({ name }) => name === 'wait')
  if (wait === undefined) return undefined
  if (/^\d{1,4}$/.test(wait.value) && Number(wait.value) <= MAX_WAIT_SECONDS) return Number(wait.value)
  const detail = `wait must be a whole number of seconds from 0 to ${MAX_WAIT_SECONDS}`
  throw new DomainError('VALIDATION_FAILED', `/headers/prefer: ${detail}`, {
    errors: [{ pointer: '/headers/prefer', detail }],
  })
}

const parsePreference = (preference: string) => {
  const [pair = ''] = preference.split(';')
  const [name = '', value = ''] = pair.split('=', 2)
  return { name: name.trim().toLowerCase(), value: value.trim().replace(/^"(.*)"$/, '$1') }
}

/** Aborted when the client goes away. (Fastify's own `request.signal` fires as soon as a body has been read.) */
const clientGone = (reply: FastifyReply): AbortSignal => {
  const gone = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort()
  })
  return gone.signal
}

/** The snapshot once it is no longer Creating, or as it is when the time is over, the client gone or we close. */
export const waitForSnapshot = async (
  request: FastifyRequest,
  reply: FastifyReply,
  snapshot: string,
  waitSeconds: number,
): Promise<Snapshot> => {
  reply.header('preference-applied', 'wait')
  const { services, closing } = request.server
  const signal = AbortSignal.any([clientGone(reply), closing])
  return services.waitForSnapshot({ caller: request.caller, snapshot, waitSeconds, signal })
}

/** The same for one that is being cleared: once it is Cleared. */
export const waitForCleared = async (
  request: FastifyRequest,
  reply: FastifyReply,
  snapshot: string,
  waitSeconds: number,
): Promise<Snapshot> => {
  reply.header('preference-applied', 'wait')
  const { services, closing } = request.server
  const signal = AbortSignal.any([clientGone(reply), closing])
  return services.waitForCleared({ caller: request.caller, snapshot, waitSeconds, signal })
}

/** The same for an operation: once it has ended. */
export const waitForOperation = async (
  request: FastifyRequest,
  reply: FastifyReply,
  query: { operation: string; pageToken?: string; waitSeconds: number },
): Promise<Operation> => {
  reply.header('preference-applied', 'wait')
  const { services, closing } = request.server
  const signal = AbortSignal.any([clientGone(reply), closing])
  return services.waitForOperation({ caller: request.caller, ...query, signal })
}
