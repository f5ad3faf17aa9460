import type { ByteWriter } from './byte-writer.ts'
import { JAVA } from './java-tokens.ts'

/** A class as `ObjectOutputStream` describes it. Fields are in Java's order: primitives first, each group by name. */
export type JavaClassDescriptor = {
  className: string
  serialVersionUID: bigint
  isEnum?: boolean
  fields: readonly JavaFieldDescriptor[]
  superClass?: JavaClassDescriptor
}
/** `signature` is the declared class of an object field; a field without one is a boolean. */
export type JavaFieldDescriptor = { name: string; signature?: string }

export type JavaInstance = string | boolean | JavaEnumInstance | JavaObjectInstance
type JavaEnumInstance = { javaClass: JavaClassDescriptor; constant: string }
type JavaObjectInstance = { javaClass: JavaClassDescriptor; values: readonly JavaInstance[] }

/** Java writes a class or a field's signature once and refers back to it by number afterwards. */
type Stream = { out: ByteWriter; numbers: Map<JavaClassDescriptor | string, number>; next: number }

export function writeJavaObject(out: ByteWriter, value: JavaInstance | null): void {
  out.u16(JAVA.magic)
  out.u16(JAVA.version)
  if (value === null) out.u8(JAVA.null)
  else writeValue({ out, numbers: new Map(), next: JAVA.firstHandle }, value)
}

function writeValue(stream: Stream, value: JavaInstance): void {
  if (typeof value === 'boolean') stream.out.u8(value ? 1 : 0)
  else if (typeof value === 'string') writeString(stream, value)
  else writeInstance(stream, value)
}

function writeInstance(stream: Stream, instance: JavaObjectInstance | JavaEnumInstance): void {
  const isEnum = 'constant' in instance
  stream.out.u8(isEnum ? JAVA.enum : JAVA.object)
  writeClass(stream, instance.javaClass)
  stream.next += 1
  if (isEnum) writeString(stream, instance.constant)
  else for (const value of instance.values) writeValue(stream, value)
}

function writeString(stream: Stream, text: string): void {
  stream.next += 1
  stream.out.u8(JAVA.string)
  stream.out.text(text, 'string')
}

function writeClass(stream: Stream, javaClass: JavaClassDescriptor): void {
  const { out } = stream
  if (writeReference(stream, javaClass)) return
  out.u8(JAVA.classDescriptor)
  out.text(javaClass.className, 'className')
  out.i64(javaClass.serialVersionUID, 'serialVersionUID')
  assignNumber(stream, javaClass)
  out.u8(javaClass.isEnum ? JAVA.serializable | JAVA.enumFlag : JAVA.serializable)
  out.u16(javaClass.fields.length)
  for (const field of javaClass.fields) writeField(stream, field)
  out.u8(JAVA.endBlockData)
  if (javaClass.superClass) writeClass(stream, javaClass.superClass)
  else out.u8(JAVA.null)
}

function writeField(stream: Stream, { name, signature }: JavaFieldDescriptor): void {
  stream.out.u8((signature === undefined ? 'Z' : 'L').charCodeAt(0))
  stream.out.text(name, 'fieldName')
  if (signature === undefined || writeReference(stream, signature)) return
  stream.out.u8(JAVA.string)
  assignNumber(stream, signature)
  stream.out.text(signature, 'signature')
}

function assignNumber(stream: Stream, key: JavaClassDescriptor | string): void {
  stream.numbers.set(key, stream.next)
  stream.next += 1
}

function writeReference({ out, numbers }: Stream, key: JavaClassDescriptor | string): boolean {
  const number = numbers.get(key)
  if (number === undefined) return false
  out.u8(JAVA.reference)
  out.i32(number, 'reference')
  return true
}
