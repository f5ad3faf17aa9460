/** Successful answers: the schema, what the status means here, and the headers that come with it. */
import { type Static, type TSchema, Type } from 'typebox'
import { type Named, ref } from './base.ts'

type Headers = Readonly<Record<string, { type: 'string' | 'integer'; description: string }>>

const HEADERS = {
  ETag: { type: 'string', description: 'The version of the resource, for `If-Match` and `If-None-Match`.' },
  Location: { type: 'string', description: 'The path of the resource.' },
  'Idempotency-Replayed': {
    type: 'string',
    description: '`true` when this Idempotency-Key was seen before: nothing new was created.',
  },
  'Preference-Applied': { type: 'string', description: '`wait` when `Prefer: wait=N` was honoured.' },
  'Retry-After': { type: 'integer', description: 'Seconds after which to look again.' },
  'Tidemark-Joined': {
    type: 'string',
    description: '`true` when a savepoint already in progress answers (`ifRunning: JOIN`).',
  },
  'Tidemark-Reused': {
    type: 'string',
    description: '`true` when a fresh savepoint answers (`reuseWithinSeconds`).',
  },
} as const satisfies Headers

type AnswerHeader = keyof typeof HEADERS

const headersOf = (names: readonly AnswerHeader[]): Headers =>
  Object.fromEntries(names.map((name) => [name, HEADERS[name]]))

/** An answer with a body of the named schema. */
export const answer = <Schema extends Named<TSchema>>(
  schema: Schema,
  description: string,
  ...headers: readonly AnswerHeader[]
) =>
  Type.Unsafe<Static<Schema>>({
    ...ref(schema),
    description,
    headers: headersOf(headers),
  })

/** An answer without a body. */
export const noContent = (description: string, ...headers: readonly AnswerHeader[]) =>
  Type.Unsafe<null>({ type: 'null', description, headers: headersOf(headers) })
