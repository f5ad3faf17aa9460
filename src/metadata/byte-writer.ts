import { Buffer } from 'node:buffer'
import { formatFieldPath, MetadataError } from './errors.ts'
import type { InlineBytes } from './model.ts'
import { encodeModifiedUtf8 } from './modified-utf8.ts'

/** Grows by doubling. Knows where it is in the model, so that what cannot be written is named. */
export class ByteWriter {
  private readonly segments: (string | number)[] = []
  private buffer: Buffer = Buffer.allocUnsafe(4096)
  private at = 0

  /** A view, valid until the next write. */
  finish(): Uint8Array {
    return new Uint8Array(this.buffer.buffer, this.buffer.byteOffset, this.at)
  }

  within(segment: string | number, write: () => void): void {
    this.segments.push(segment)
    write()
    this.segments.pop()
  }

  fail(field: string, problem: string): never {
    throw new MetadataError('not-writable', problem, this.at, formatFieldPath([...this.segments, field]))
  }

  private claim(length: number): number {
    const start = this.at
    if (start + length > this.buffer.length) this.grow(start + length)
    this.at = start + length
    return start
  }

  private grow(length: number): void {
    const grown = Buffer.allocUnsafe(Math.max(length, this.buffer.length * 2))
    this.buffer.copy(grown, 0, 0, this.at)
    this.buffer = grown
  }

  u8(value: number): void {
    const start = this.claim(1)
    this.buffer.writeUInt8(value, start)
  }

  u16(value: number): void {
    const start = this.claim(2)
    this.buffer.writeUInt16BE(value, start)
  }

  i32(value: number, field: string): void {
    if (!Number.isInteger(value) || value < -(2 ** 31) || value >= 2 ** 31)
      this.fail(field, `${value} is no 32-bit integer`)
    const start = this.claim(4)
    this.buffer.writeInt32BE(value, start)
  }

  i64(value: bigint, field: string): void {
    if (BigInt.asIntN(64, value) !== value) this.fail(field, `${value} is no 64-bit integer`)
    const start = this.claim(8)
    this.buffer.writeBigInt64BE(value, start)
  }

  raw(bytes: Uint8Array): void {
    const start = this.claim(bytes.length)
    this.buffer.set(bytes, start)
  }

  hex(text: string, length: number, field: string): void {
    const bytes = Buffer.from(text, 'hex')
    if (bytes.length !== length || text.length !== length * 2)
      this.fail(field, `not ${length} bytes in hex: ${text}`)
    this.raw(bytes)
  }

  text(text: string, field: string): void {
    const bytes = encodeModifiedUtf8(text)
    if (bytes.length > 0xffff) this.fail(field, `a text of ${bytes.length} bytes, more than 65535`)
    this.u16(bytes.length)
    this.raw(bytes)
  }

  inline({ length, bytes }: InlineBytes, field: string): void {
    const kept = bytes ?? this.fail(field, 'the inline bytes were not kept when the file was read')
    if (kept.length !== length) this.fail(field, `${kept.length} inline bytes, not ${length}`)
    this.i32(length, field)
    this.raw(kept)
  }

  i64List(values: BigInt64Array, field: string): void {
    this.i32(values.length, field)
    for (const value of values) this.i64(value, field)
  }

  list<T>(items: readonly T[], field: string, write: (item: T) => void): void {
    this.i32(items.length, field)
    this.segments.push(field, 0)
    for (const [index, item] of items.entries()) {
      this.segments[this.segments.length - 1] = index
      write(item)
    }
    this.segments.length -= 2
  }

  /** For the length in front of something whose length is only known afterwards. */
  lengthPrefixed(field: string, write: () => void): void {
    const start = this.claim(4)
    write()
    const length = this.at - start - 4
    if (length >= 2 ** 31) this.fail(field, `${length} bytes`)
    this.buffer.writeInt32BE(length, start)
  }
}
