/** How schemas of ours are built: references that keep their type, null that serializes fast, closed objects. */
import { type Static, type TSchema, Type } from 'typebox'

/** A named schema of the document: registered once with `addSchema`, used by reference. */
export type Named<Schema extends TSchema = TSchema> = Schema & { readonly $id: string }

export const named = <Schema extends TSchema>($id: string, schema: Schema): Named<Schema> =>
  Object.assign(schema, { $id })

/** `Type.Ref` has no static type: a wrong answer would compile. */
export const ref = <Schema extends Named>(schema: Schema) =>
  Type.Unsafe<Static<Schema>>({ $ref: `${schema.$id}#` })

/** Null or the schema. Not a union: fast-json-stringify would validate every value to find its branch. */
export const nullable = <Schema extends TSchema>(schema: Schema) => {
  const values = 'enum' in schema && Array.isArray(schema.enum) ? { enum: [...schema.enum, null] } : {}
  return Type.Unsafe<Static<Schema> | null>({ ...schema, ...values, nullable: true })
}

/** One of a closed list of words. */
export const oneOf = <const Words extends readonly string[]>(
  words: Words,
  options: { description?: string } = {},
) => Type.Unsafe<Words[number]>({ type: 'string', enum: [...words], ...options })

/** A word of a list that will grow: clients must tolerate values they do not know. */
export const openWord = <const Words extends readonly string[]>(words: Words, description: string) =>
  oneOf(words, { description: `${description} Clients must tolerate values added later.` })

export const CLOSED = { additionalProperties: false } as const

export const Instant = (description: string) =>
  Type.String({ format: 'date-time', maxLength: 40, description: `${description} RFC 3339.` })

/** An instant we write: UTC with milliseconds. */
export const Moment = (description: string) =>
  Type.Unsafe<string>({ type: 'string', description: `${description} RFC 3339 in UTC with milliseconds.` })
