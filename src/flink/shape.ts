/**
 * Checking answers. A schema names only what we use and says nothing about the rest: Flink adds fields in every version,
 * leaves others out, and writes `null` for absent ones (`flink-rest-api.md` §1).
 */
import { type Static, type TSchema, Type } from 'typebox'
import { Compile } from 'typebox/compile'

/** The value, or undefined when the answer is not of the expected shape. */
export type Reader<T> = (body: unknown) => T | undefined

/** `convert` may still answer undefined: a rule that a schema cannot say. */
export function reader<Schema extends TSchema, T>(
  schema: Schema,
  convert: (value: Static<Schema>) => T | undefined,
): Reader<T> {
  const isOfShape = guard(schema)
  return (body) => (isOfShape(body) ? convert(body) : undefined)
}

function guard<Schema extends TSchema>(schema: Schema): (value: unknown) => value is Static<Schema> {
  const validator = Compile(schema)
  return (value): value is Static<Schema> => validator.Check(value)
}

/** Present, null or absent. */
export const maybe = <Schema extends TSchema>(schema: Schema) =>
  Type.Optional(Type.Union([schema, Type.Null()]))

/** A Flink id: job, trigger, vertex. */
export const FlinkId = Type.String({ pattern: '^[0-9a-f]{32}$' })

/**
 * A Java long that counts, or null: absent, negative (Flink's "none" is -1) or above 2^53, where JSON numbers lie
 * (9223372036854775807 stands for "never").
 */
export const countOf = (value: number | null | undefined): number | null =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null

export const textOf = (value: string | null | undefined): string | null =>
  value === undefined || value === null || value === '' ? null : value
