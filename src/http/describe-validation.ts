/** Ajv's findings in words for the person who sent the request, each with the place it is about. */
import type { FastifySchemaValidationError } from 'fastify'
import type { ErrorDetail } from '../domain/errors.ts'
import { meaningOfFormat, meaningOfPattern } from './schemas/formats.ts'

const PARTS: Readonly<Record<string, string>> = {
  body: '/body',
  querystring: '/query',
  params: '/path',
  headers: '/headers',
}

/** One segment of an RFC 6901 pointer. */
export const escapePointer = (segment: string): string => segment.replaceAll('~', '~0').replaceAll('/', '~1')

const text = (value: unknown): string => (typeof value === 'string' ? value : String(value))
const list = (value: unknown): string => (Array.isArray(value) ? value.map(text).join(', ') : text(value))

type Finding = { at?: string; detail: string }
type Describe = (params: Readonly<Record<string, unknown>>) => Finding

const DESCRIPTIONS: Readonly<Record<string, Describe>> = {
  required: ({ missingProperty }) => ({ at: text(missingProperty), detail: 'is required' }),
  additionalProperties: ({ additionalProperty }) => ({
    at: text(additionalProperty),
    detail: 'is not known here',
  }),
  propertyNames: ({ propertyName }) => ({ at: text(propertyName), detail: 'is not allowed as a key' }),
  type: ({ type }) => ({ detail: `must be ${list(type)}` }),
  enum: ({ allowedValues }) => ({ detail: `must be one of ${list(allowedValues)}` }),
  pattern: ({ pattern }) => ({ detail: `must be ${meaningOfPattern(text(pattern))}` }),
  format: ({ format }) => ({ detail: `must be ${meaningOfFormat(text(format))}` }),
  minimum: ({ limit }) => ({ detail: `must be at least ${text(limit)}` }),
  maximum: ({ limit }) => ({ detail: `must be at most ${text(limit)}` }),
  minLength: ({ limit }) => ({ detail: `must have at least ${text(limit)} characters` }),
  maxLength: ({ limit }) => ({ detail: `must have at most ${text(limit)} characters` }),
  minItems: ({ limit }) => ({ detail: `must have at least ${text(limit)} entries` }),
  maxItems: ({ limit }) => ({ detail: `must have at most ${text(limit)} entries` }),
  minProperties: ({ limit }) => ({ detail: `must have at least ${text(limit)} entries` }),
  maxProperties: ({ limit }) => ({ detail: `must have at most ${text(limit)} entries` }),
  oneOf: () => ({ detail: 'must be exactly one of the documented forms' }),
  anyOf: () => ({ detail: 'must be one of the documented forms' }),
}

const describe = (root: string, error: FastifySchemaValidationError): ErrorDetail => {
  const { at, detail } = DESCRIPTIONS[error.keyword]?.(error.params) ?? {
    detail: error.message ?? 'is not valid',
  }
  return { pointer: `${root}${error.instancePath}${at === undefined ? '' : `/${escapePointer(at)}`}`, detail }
}

/** Below a union Ajv lists what every form lacks: only the union itself is worth saying. */
const worthSaying = (errors: readonly FastifySchemaValidationError[]) => {
  const union = errors.findLast(({ keyword }) => keyword === 'oneOf' || keyword === 'anyOf')
  if (union !== undefined) return [union]
  const key = errors.find(({ keyword }) => keyword === 'propertyNames')
  return key === undefined ? errors : [key]
}

export const describeValidation = (
  errors: readonly FastifySchemaValidationError[],
  context = 'body',
): ErrorDetail[] => worthSaying(errors).map((error) => describe(PARTS[context] ?? '', error))
