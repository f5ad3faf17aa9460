/**
 * Bearer tokens, one per namespace, until keys exist. A token is compared by its SHA-256 with every known one, so the
 * time of the answer says nothing. Without any token the namespace `default` is open, to this machine only.
 */
import { hash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { DomainError } from '../domain/errors.ts'
import type { Caller } from '../services/api.ts'

export type Asking = {
  headers: IncomingHttpHeaders
  socket: { remoteAddress?: string | undefined }
}
/** Throws UNAUTHENTICATED or FORBIDDEN. */
export type Authenticate = (request: Asking) => Caller

const BEARER = /^Bearer +([\u0021-\u007e]+) *$/i

const sha256 = (text: string) => hash('sha256', text, 'buffer')

export const authenticateByToken = (tokens: ReadonlyMap<string, Caller>): Authenticate => {
  const known = [...tokens].map(([token, caller]) => ({ digest: sha256(token), caller }))
  return ({ headers }) => {
    const token = BEARER.exec(headers.authorization ?? '')?.[1]
    if (token === undefined) throw new DomainError('UNAUTHENTICATED', 'send Authorization: Bearer <token>')
    const digest = sha256(token)
    let found: Caller | undefined
    for (const { digest: candidate, caller } of known) {
      if (timingSafeEqual(candidate, digest)) found = caller // no early end: every request compares with all
    }
    if (found === undefined) throw new DomainError('UNAUTHENTICATED', 'the bearer token is not known')
    return found
  }
}

const LOOPBACK_ADDRESS = /^(127\.\d+\.\d+\.\d+|::1|::ffff:127\.\d+\.\d+\.\d+)$/
const LOOPBACK_NAME = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/i

const isLoopbackOrigin = (origin: string) => URL.canParse(origin) && LOOPBACK_NAME.test(new URL(origin).host)

/** Host and Origin too: else any web page open on this machine could trigger savepoints (CSRF, DNS rebinding). */
const isFromThisMachine = ({ headers, socket }: Asking) =>
  LOOPBACK_ADDRESS.test(socket.remoteAddress ?? '') &&
  LOOPBACK_NAME.test(headers.host ?? '') &&
  (headers.origin === undefined || isLoopbackOrigin(headers.origin))

export const allowLoopbackOnly =
  (caller: Caller): Authenticate =>
  (request) => {
    if (isFromThisMachine(request)) return caller
    throw new DomainError('FORBIDDEN', 'without a configured token Tidemark answers this machine only')
  }

/** `everybody` is who asks when no token is configured. */
export const createAuthenticate = (tokens: ReadonlyMap<string, Caller>, everybody: Caller): Authenticate =>
  tokens.size > 0 ? authenticateByToken(tokens) : allowLoopbackOnly(everybody)
