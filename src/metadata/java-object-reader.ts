import type { ByteCursor } from './byte-cursor.ts'
import { JAVA } from './java-tokens.ts'
import { MAX_JAVA_BYTES, MAX_JAVA_DEPTH, MAX_JAVA_FIELDS, MAX_JAVA_STRING_BYTES } from './limits.ts'

/**
 * The part of the Java object serialization protocol that Flink's checkpoint properties use. Class names are only
 * compared, never acted upon; every token that Flink does not write here is refused.
 */
export type JavaValue = null | boolean | number | bigint | string | JavaObject | JavaEnum
export type JavaObject = { className: string; fields: Map<string, JavaValue> }
export type JavaEnum = { enumName: string; constant: string }

type JavaClass = { className: string; isEnum: boolean; fields: JavaField[]; superClass: JavaClass | null }
type JavaField = { type: string; name: string }
/** Everything that a later TC_REFERENCE may point at, in the order Java numbers them. */
type Handle = { class: JavaClass } | { value: JavaValue }
type Stream = { cursor: ByteCursor; start: number; handles: Handle[] }

export function readJavaObject(cursor: ByteCursor): JavaValue {
  if (cursor.u16('header') !== JAVA.magic || cursor.u16('header') !== JAVA.version)
    refuse(cursor, 'no Java object stream begins here')
  return readContent({ cursor, start: cursor.offset, handles: [] }, 0)
}

function refuse(cursor: ByteCursor, problem: string): never {
  return cursor.fail('bad-java-object', '', problem)
}

function readContent(stream: Stream, depth: number): JavaValue {
  const { cursor } = stream
  if (depth > MAX_JAVA_DEPTH) refuse(cursor, 'objects nested too deeply')
  const token = readToken(stream)
  switch (token) {
    case JAVA.null:
      return null
    case JAVA.reference: {
      const handle = readReference(stream)
      return 'value' in handle ? handle.value : refuse(cursor, 'a reference to a class where a value must be')
    }
    case JAVA.object:
      return readObject(stream, depth)
    case JAVA.enum:
      return readEnum(stream, depth)
    case JAVA.string:
    case JAVA.longString:
      return readString(stream, token)
    default:
      return refuse(cursor, `unknown token 0x${token.toString(16)}`)
  }
}

/** Everything of variable length begins with a token, so here the whole is kept small. */
function readToken({ cursor, start }: Stream): number {
  const token = cursor.u8('token')
  if (cursor.offset - start > MAX_JAVA_BYTES) refuse(cursor, `more than ${MAX_JAVA_BYTES} bytes`)
  return token
}

function readReference({ cursor, handles }: Stream): Handle {
  const handle = cursor.i32('reference')
  return handles[handle - JAVA.firstHandle] ?? refuse(cursor, `a reference to nothing: ${handle}`)
}

function readObject(stream: Stream, depth: number): JavaObject {
  const javaClass = readClass(stream, depth) ?? refuse(stream.cursor, 'an object without a class')
  if (javaClass.isEnum) refuse(stream.cursor, 'an enum class where an object must be')
  const object: JavaObject = { className: javaClass.className, fields: new Map() }
  stream.handles.push({ value: object })
  for (const { fields } of superClassFirst(stream.cursor, javaClass)) {
    for (const { type, name } of fields) object.fields.set(name, readFieldValue(stream, type, depth))
  }
  return object
}

/** A class may refer to itself as its own super class: the chain is cut, not followed. */
function superClassFirst(cursor: ByteCursor, javaClass: JavaClass): JavaClass[] {
  const chain: JavaClass[] = []
  for (let next: JavaClass | null = javaClass; next !== null; next = next.superClass) {
    if (chain.unshift(next) > MAX_JAVA_DEPTH) refuse(cursor, 'classes nested too deeply')
  }
  return chain
}

function readFieldValue(stream: Stream, type: string, depth: number): JavaValue {
  const { cursor } = stream
  switch (type) {
    case 'Z':
      return cursor.u8('boolean') !== 0
    case 'B':
      return cursor.u8('byte')
    case 'C':
    case 'S':
      return cursor.u16('short')
    case 'I':
    case 'F': // as bits: nothing here reads a fraction
      return cursor.i32('int')
    case 'J':
    case 'D':
      return cursor.i64('long')
    default:
      return readContent(stream, depth + 1)
  }
}

function readEnum(stream: Stream, depth: number): JavaEnum {
  const { cursor, handles } = stream
  const javaClass = readClass(stream, depth)
  if (!javaClass?.isEnum) return refuse(cursor, 'an enum constant without an enum class')
  const value: JavaEnum = { enumName: javaClass.className, constant: '' }
  handles.push({ value })
  value.constant = readText(stream)
  return value
}

function readText(stream: Stream): string {
  const token = readToken(stream)
  if (token !== JAVA.reference) return readString(stream, token)
  const handle = readReference(stream)
  if ('value' in handle && typeof handle.value === 'string') return handle.value
  return refuse(stream.cursor, 'a reference to something that is no string')
}

function readString({ cursor, handles }: Stream, token: number): string {
  if (token !== JAVA.string && token !== JAVA.longString)
    refuse(cursor, `token 0x${token.toString(16)} where a string must be`)
  const length = token === JAVA.string ? BigInt(cursor.u16('string')) : cursor.i64('string')
  if (length < 0n || length > MAX_JAVA_STRING_BYTES) refuse(cursor, `a string of ${length} bytes`)
  const value = cursor.textOf(Number(length), 'string')
  handles.push({ value })
  return value
}

function readClass(stream: Stream, depth: number): JavaClass | null {
  const { cursor } = stream
  const token = readToken(stream)
  if (token === JAVA.null) return null
  if (token === JAVA.reference) {
    const handle = readReference(stream)
    return 'class' in handle ? handle.class : refuse(cursor, 'a reference to a value where a class must be')
  }
  if (token !== JAVA.classDescriptor) refuse(cursor, `token 0x${token.toString(16)} where a class must be`)
  return readNewClass(stream, depth)
}

function readNewClass(stream: Stream, depth: number): JavaClass {
  const { cursor, handles } = stream
  if (depth > MAX_JAVA_DEPTH) refuse(cursor, 'classes nested too deeply')
  const className = cursor.text('className')
  cursor.i64('serialVersionUID')
  const javaClass: JavaClass = { className, isEnum: false, fields: [], superClass: null }
  handles.push({ class: javaClass })
  javaClass.isEnum = readFlags(cursor)
  const count = cursor.u16('fields')
  if (count > MAX_JAVA_FIELDS) refuse(cursor, `${count} fields`)
  while (javaClass.fields.length < count) javaClass.fields.push(readField(stream))
  if (cursor.u8('token') !== JAVA.endBlockData) refuse(cursor, `annotations on ${className}`)
  javaClass.superClass = readClass(stream, depth + 1)
  return javaClass
}

/** Serializable by its fields, or an enum; anything else brings its own bytes, which nobody could skip. */
function readFlags(cursor: ByteCursor): boolean {
  const flags = cursor.u8('flags')
  if (flags !== JAVA.serializable && flags !== (JAVA.serializable | JAVA.enumFlag))
    refuse(cursor, `class flags 0x${flags.toString(16)}`)
  return flags !== JAVA.serializable
}

function readField(stream: Stream): JavaField {
  const type = String.fromCharCode(stream.cursor.u8('type'))
  if (!'BCDFIJSZL['.includes(type)) refuse(stream.cursor, `a field of type ${JSON.stringify(type)}`)
  const name = stream.cursor.text('fieldName')
  if (type === 'L' || type === '[') readText(stream) // its declared class
  return { type, name }
}
