/**
 * Refuses what JSON can carry but Postgres, JavaScript or a recursive reader cannot: NUL and lone surrogates in any
 * string or key, numbers that would lose digits, nesting without end. Runs before validation, on body, query and path.
 */
import type { FastifyRequest } from 'fastify'
import { DomainError } from '../domain/errors.ts'
import { escapePointer } from './describe-validation.ts'

const MAX_DEPTH = 32

type Place = { value: unknown; pointer: string; depth: number }

const faultOfText = (text: string): string | undefined => {
  if (text.includes('\0')) return 'must not contain the character U+0000'
  return /\p{Surrogate}/u.test(text) ? 'must not contain half of a surrogate pair' : undefined
}

const faultOf = ({ value, depth }: Place): string | undefined => {
  if (typeof value === 'string') return faultOfText(value)
  if (typeof value === 'object')
    return depth > MAX_DEPTH ? `must not be nested deeper than ${MAX_DEPTH}` : undefined
  const losesDigits =
    typeof value === 'number' && (!Number.isFinite(value) || Math.abs(value) > Number.MAX_SAFE_INTEGER)
  return losesDigits ? 'must lie between -(2^53 - 1) and 2^53 - 1' : undefined
}

const refuse = (pointer: string, detail: string) =>
  new DomainError('VALIDATION_FAILED', `${pointer}: ${detail}`, { errors: [{ pointer, detail }] })

const childrenOf = ({ value, pointer, depth }: Place): Place[] =>
  Object.entries(value ?? {}).map(([key, child]) => {
    const fault = faultOfText(key)
    if (fault !== undefined) throw refuse(pointer, `a key ${fault}`)
    return { value: child, pointer: `${pointer}/${escapePointer(key)}`, depth: depth + 1 }
  })

/** Iterative on purpose: the depth of the input must not become the depth of our stack. */
export const refuseUnstorable = (root: string, input: unknown): void => {
  const pending: Place[] = [{ value: input, pointer: root, depth: 0 }]
  for (let place = pending.pop(); place !== undefined; place = pending.pop()) {
    const fault = faultOf(place)
    if (fault !== undefined) throw refuse(place.pointer, fault)
    if (typeof place.value === 'object') for (const child of childrenOf(place)) pending.push(child)
  }
}

export const refuseUnstorableRequest = (request: FastifyRequest): void => {
  refuseUnstorable('/path', request.params)
  refuseUnstorable('/query', request.query)
  refuseUnstorable('/body', request.body)
}
