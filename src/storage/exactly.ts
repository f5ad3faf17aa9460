import { StorageError } from '../domain/errors.ts'
import type { ObjectContent } from '../ports/storage.ts'

/**
 * The content, refused when it is longer or shorter than it was said to be. The last piece comes only once that is
 * known: whoever is told the size beforehand never gets all of a wrong content.
 */
export async function* exactly({ sizeBytes, read }: ObjectContent): AsyncGenerator<Uint8Array> {
  let received = 0
  let held: Uint8Array | null = null
  for await (const chunk of read()) {
    if (chunk.length === 0) continue
    received += chunk.length
    if (received > sizeBytes) break
    if (held !== null) yield held
    held = chunk
  }
  if (received !== sizeBytes) {
    const comparison = received > sizeBytes ? 'longer' : 'shorter'
    throw new StorageError(
      'refused',
      `Writing: the content is ${comparison} than the ${sizeBytes} bytes announced`,
    )
  }
  if (held !== null) yield held
}
