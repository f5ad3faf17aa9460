import { MetadataError } from './errors.ts'

export type MetadataSource = Uint8Array | AsyncIterable<Uint8Array> | Iterable<Uint8Array>

/** Pulls chunk after chunk, and refuses a source that is longer than it may be. */
export class ChunkSource {
  /** Where the file ends, or the furthest it may end when its size was not told. */
  readonly limit: number
  ended = false
  private received = 0
  private readonly chunks: AsyncIterator<Uint8Array> | Iterator<Uint8Array>

  constructor(source: MetadataSource, limit: number) {
    this.chunks = openChunks(source)
    this.limit = limit
  }

  async pull(): Promise<Uint8Array | null> {
    const next = await this.chunks.next()
    if (next.done === true) {
      this.ended = true
      return null
    }
    this.received += next.value.length
    if (this.received > this.limit)
      throw new MetadataError('too-large', `the file is longer than ${this.limit} bytes`, this.limit, '')
    return next.value
  }

  /** Lets a stream that was not read to its end go. */
  async close(): Promise<void> {
    if (!this.ended) await this.chunks.return?.()
  }
}

function openChunks(source: MetadataSource): AsyncIterator<Uint8Array> | Iterator<Uint8Array> {
  if (source instanceof Uint8Array) return [source][Symbol.iterator]()
  return Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
}
