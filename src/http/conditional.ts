/** ETag, If-Match and If-None-Match (RFC 9110 §13). Our tags are strong: the row version in quotes. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { DomainError } from '../domain/errors.ts'

export const entityTag = (etag: string): string => `"${etag}"`

/** The tag a change is based on, without its quotes; undefined when the caller does not care. */
export const readIfMatch = (request: FastifyRequest): string | undefined => {
  const header = request.headers['if-match']
  if (header === undefined || header === '*') return undefined
  if (header.startsWith('W/')) {
    throw new DomainError(
      'PRECONDITION_FAILED',
      'If-Match compares strongly: a weak entity tag never matches',
      {
        errors: [{ pointer: '/headers/if-match', detail: 'must be a strong entity tag such as "7"' }],
      },
    )
  }
  return header.slice(1, -1)
}

const names = (header: string, tag: string) =>
  header.trim() === '*' || header.split(',').some((one) => one.trim().replace(/^W\//, '') === tag)

/** Sets the ETag; true when the caller already holds this version and 304 is the whole answer. */
export const isUnchanged = (
  request: FastifyRequest,
  reply: FastifyReply,
  resource: { etag: string },
): boolean => {
  const tag = entityTag(resource.etag)
  reply.header('etag', tag)
  return names(request.headers['if-none-match'] ?? '', tag)
}
