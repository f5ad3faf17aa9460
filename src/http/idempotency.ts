/** `Idempotency-Key`: the same key on the same path means the same request, proven by the hash of its body. */
import { hash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Idempotency } from '../services/api.ts'

/** JSON whose text depends only on its meaning: the keys of every object sorted. Depth is bounded before. */
export const canonicalJson = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const members = Object.entries(value)
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`)
  return `{${members.join(',')}}`
}

/** The route is the path as asked, not its template: one key may serve several jobs. */
export const readIdempotency = (request: FastifyRequest): Idempotency | undefined => {
  const key = request.headers['idempotency-key']
  if (typeof key !== 'string') return undefined
  const [path = ''] = request.url.split('?')
  const bodyHash = hash('sha256', canonicalJson(request.body))
  return { key, route: `${request.method} ${path}`, bodyHash }
}

export const markReplayed = (reply: FastifyReply, { replayed }: { replayed: boolean }): void => {
  if (replayed) reply.header('idempotency-replayed', 'true')
}
