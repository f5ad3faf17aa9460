/** Stable: callers and users may match on these words. */
export type MetadataErrorCode =
  | 'bad-magic' // not a Flink `_metadata` file
  | 'unsupported-version' // a `_metadata` file, of a version nobody here reads
  | 'legacy-state' // version 2 with state of Flink 1.1, which Flink refuses too
  | 'truncated' // the file ends inside a field
  | 'too-large' // the file is longer, or has more parts, than the reader was told to accept
  | 'bad-count' // a count or length that is negative or cannot fit into the rest of the file
  | 'bad-tag' // a type tag that is unknown, or known but not allowed at this place
  | 'bad-value' // a number outside its range
  | 'bad-string' // not modified UTF-8
  | 'bad-java-object' // the serialized checkpoint properties are not what Flink writes
  | 'too-deep' // handles nested beyond any reason
  | 'not-writable' // the model asks the writer for something the format cannot say

/** The only error this module throws by itself; errors of the byte source pass through unchanged. */
export class MetadataError extends Error {
  override readonly name = 'MetadataError'
  readonly code: MetadataErrorCode
  /** Byte offset in the file; for the writer, bytes written so far. */
  readonly offset: number
  /** Like `operatorStates[3].subtasks[0].managedKeyed.delegate.path`. */
  readonly path: string

  constructor(code: MetadataErrorCode, problem: string, offset: number, path: string) {
    super(`${problem} (${path || 'file'}, byte ${offset})`)
    this.code = code
    this.offset = offset
    this.path = path
  }
}

/** `['operatorStates', 3, 'id']` as `operatorStates[3].id`. */
export function formatFieldPath(segments: readonly (string | number)[]): string {
  let path = ''
  for (const segment of segments) {
    if (typeof segment === 'number') path += `[${segment}]`
    else path += path === '' ? segment : `.${segment}`
  }
  return path
}
