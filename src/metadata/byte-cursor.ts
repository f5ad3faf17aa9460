import { Buffer } from 'node:buffer'
import type { ChunkSource } from './chunk-source.ts'
import { formatFieldPath, MetadataError, type MetadataErrorCode } from './errors.ts'
import { type Gap, joinBytes, withoutGaps } from './gaps.ts'
import type { InlineBytes } from './model.ts'
import { decodeModifiedUtf8 } from './modified-utf8.ts'

/** Thrown by a field that does not lie in the window, caught by `unit`. Made once: nobody looks at its stack. */
const SHORT = new Error('the window is short')

/**
 * A window over a pull source. Fields are read synchronously inside a *unit*: a run of fields without side effects,
 * such as one subtask. When the window ends inside a unit, more bytes are fetched and the unit is read again from its
 * start, so that there is no promise per field. Inline state is cut out of the window meanwhile: what is buffered is
 * what the model keeps. Each fetch brings at least as much as is read again, so reading stays linear.
 */
export class ByteCursor {
  readonly keepInlineBytes: boolean
  private readonly source: ChunkSource
  private readonly maxParts: number
  private readonly segments: (string | number)[] = []
  private window: Buffer = Buffer.alloc(0)
  private view = new DataView(this.window.buffer, 0, 0)
  /** Offset in the file of the window's first byte; moves on when a gap is passed. */
  private windowOffset = 0
  private at = 0
  /** Where in the window the field that fell short ends. */
  private missing = 0
  /** The inline state that fell short, if it was one. */
  private shortInline = 0
  /** Inline state passed in this unit, and of it what is already cut out of the window. */
  private passed: Gap[] = []
  private gaps: Gap[] = []
  /** Elements of lists read so far, those of a unit that is read again once. */
  private parts = 0

  constructor(source: ChunkSource, keepInlineBytes: boolean, maxParts: number) {
    this.source = source
    this.maxParts = maxParts
    this.keepInlineBytes = keepInlineBytes
  }

  get offset(): number {
    return this.windowOffset + this.at
  }

  // Where we are, for errors.

  enter(segment: string | number): void {
    this.segments.push(segment)
  }

  leave(): void {
    this.segments.pop()
  }

  /** Replaces the innermost segment: the next element of a list. */
  moveTo(index: number): void {
    this.segments[this.segments.length - 1] = index
  }

  /** Called for each element of a list, before it is read. */
  countPart(): void {
    this.parts += 1
    if (this.parts > this.maxParts)
      this.fail('too-large', '', `the file has more than ${this.maxParts} parts`)
  }

  fail(code: MetadataErrorCode, field: string, problem: string, offset = this.offset): never {
    const segments = field === '' ? this.segments : [...this.segments, field]
    throw new MetadataError(code, problem, offset, formatFieldPath(segments))
  }

  // Fields.

  private claim(length: number, field: string): number {
    const start = this.at
    if (start + length > this.window.length) this.fallShort(length, field)
    this.at = start + length
    return start
  }

  private fallShort(length: number, field: string): never {
    if (this.source.ended) this.fail('truncated', field, `the file ends inside a field of ${length} bytes`)
    this.missing = this.at + length
    throw SHORT
  }

  u8(field: string): number {
    return this.view.getUint8(this.claim(1, field))
  }

  u16(field: string): number {
    return this.view.getUint16(this.claim(2, field))
  }

  i32(field: string): number {
    return this.view.getInt32(this.claim(4, field))
  }

  i64(field: string): bigint {
    return this.view.getBigInt64(this.claim(8, field))
  }

  hex(length: number, field: string): string {
    const start = this.claim(length, field)
    return this.window.toString('hex', start, start + length)
  }

  text(field: string): string {
    return this.textOf(this.u16(field), field)
  }

  textOf(length: number, field: string): string {
    const start = this.claim(length, field)
    const text = decodeModifiedUtf8(this.window, this.view, start, start + length)
    if (typeof text === 'string') return text
    return this.fail('bad-string', field, 'not modified UTF-8', this.windowOffset + text)
  }

  /** A count of elements of at least `leastBytes` each, so that it can be believed before anything is allocated. */
  count(leastBytes: number, field: string): number {
    const count = this.i32(field)
    this.checkCount(count, leastBytes, field)
    return count
  }

  checkCount(count: number, leastBytes: number, field: string): void {
    const left = this.source.limit - this.offset
    if (count < 0) this.fail('bad-count', field, `negative count ${count}`, this.offset - 4)
    if (count * leastBytes > left)
      this.fail('bad-count', field, `${count} elements cannot fit into ${left} bytes`, this.offset - 4)
  }

  i64List(count: number, field: string): BigInt64Array {
    const start = this.claim(count * 8, field)
    const values = new BigInt64Array(count)
    for (let index = 0; index < count; index += 1) values[index] = this.view.getBigInt64(start + index * 8)
    return values
  }

  /** The bytes of inline state, whose length was just read: copied when they are to be kept, else passed over. */
  inline(length: number, field: string): InlineBytes {
    const gap = this.gaps[this.passed.length]
    if (gap?.at === this.at) {
      this.windowOffset += length
      this.passed.push(gap)
      return gap.inline
    }
    const offset = this.offset
    this.shortInline = length
    const start = this.claim(length, field)
    this.shortInline = 0
    const inline: InlineBytes = { length, offset }
    if (this.keepInlineBytes) inline.bytes = new Uint8Array(this.window.subarray(start, start + length))
    this.passed.push({ at: start, inWindow: length, inline })
    return inline
  }

  // Units.

  unit<T>(read: (cursor: ByteCursor) => T): T | Promise<T> {
    const start = this.at
    const depth = this.segments.length
    const parts = this.parts
    if (this.passed.length > 0) this.passed = []
    try {
      return read(this)
    } catch (error) {
      if (error !== SHORT) throw error
      return this.repeatUnit(read, start, depth, parts)
    }
  }

  private async repeatUnit<T>(
    read: (cursor: ByteCursor) => T,
    first: number,
    depth: number,
    parts: number,
  ): Promise<T> {
    const offset = this.windowOffset + first
    for (let start = first; ; start = 0) {
      this.segments.length = depth
      this.parts = parts
      await this.refill(start, offset)
      try {
        const value = read(this)
        this.gaps = []
        return value
      } catch (error) {
        if (error !== SHORT) throw error
      }
    }
  }

  /** Makes the unit that fell short begin the window, without the inline state it has passed. */
  private async refill(start: number, offset: number): Promise<void> {
    const { parts, length, gaps } = withoutGaps(this.window, start, this.passed)
    const cutAt = length - (this.window.length - this.at)
    const missing = cutAt + this.missing - this.at
    // A short field lies at `at`. When it is inline state and not small, it never enters the window.
    if (this.shortInline > cutAt) await this.fetchPastInline(parts, cutAt, gaps)
    else await this.fetch(parts, length, Math.max(missing, 2 * length))
    this.shortInline = 0
    this.openWindow(offset, parts)
    this.passed = []
    this.gaps = gaps
  }

  private async fetch(parts: Uint8Array[], have: number, want: number): Promise<void> {
    for (let total = have; total < want; ) {
      const chunk = await this.source.pull()
      if (chunk === null) return
      parts.push(chunk)
      total += chunk.length
    }
  }

  /** `parts` ends with what the window has of the inline state: its bytes go, and those behind it come. */
  private async fetchPastInline(parts: Uint8Array[], at: number, gaps: Gap[]): Promise<void> {
    const inline: InlineBytes = { length: this.shortInline, offset: this.offset }
    const kept: Uint8Array[] = []
    const [last = this.window] = parts.splice(-1)
    const before = last.length - (this.window.length - this.at)
    parts.push(last.subarray(0, before))
    let left = inline.length
    let chunk: Uint8Array | null = last.subarray(before)
    while (chunk !== null && chunk.length < left) {
      if (this.keepInlineBytes) kept.push(chunk)
      left -= chunk.length
      chunk = await this.source.pull()
    }
    if (chunk === null) return // the file has ended: reading again finds out where
    if (this.keepInlineBytes) inline.bytes = joinBytes([...kept, chunk.subarray(0, left)], inline.length)
    parts.push(chunk.subarray(left))
    gaps.push({ at, inWindow: 0, inline })
  }

  private openWindow(offset: number, parts: readonly Uint8Array[]): void {
    const filled = parts.filter((part) => part.length > 0)
    const [only] = filled
    const length = filled.reduce((sum, part) => sum + part.length, 0)
    const bytes = only !== undefined && filled.length === 1 ? only : joinBytes(filled, length)
    this.window = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.windowOffset = offset
    this.at = 0
  }

  /** Counts what follows, without keeping it. */
  async countRest(): Promise<number> {
    let rest = this.window.length - this.at
    for (;;) {
      const chunk = await this.source.pull()
      if (chunk === null) return rest
      rest += chunk.length
    }
  }
}
