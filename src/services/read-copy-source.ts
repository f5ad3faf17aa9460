/** A snapshot that is to be copied: its `_metadata` with the state inside it, and what it becomes in the new folder. */
import { StorageError } from '../domain/errors.ts'
import { formatLocation, joinLocation, type Location } from '../domain/location.ts'
import { locateFile } from '../domain/snapshot-files.ts'
import { MetadataError } from '../metadata/errors.ts'
import { readMetadata } from '../metadata/read-metadata.ts'
import { type Relocation, relocate } from '../metadata/relocate.ts'
import type { ObjectStore } from '../ports/storage.ts'
import { CopyFailure } from './copy-failure.ts'

/**
 * Every time the same for the same `_metadata`. Throws CopyFailure SOURCE_GONE, METADATA_UNREADABLE or COPY_NOT_POSSIBLE,
 * and StorageError.
 */
export async function readCopySource(
  store: ObjectStore,
  directory: Location,
  target: Location,
): Promise<Extract<Relocation, { possible: true }>> {
  const file = joinLocation(directory, '_metadata')
  const relocation = relocate(await readAll(store, file), {
    resolve: (named) => {
      const place = locateFile(directory, named)
      return place && formatLocation(place)
    },
    place: (name) => formatLocation(joinLocation(target, name)),
  })
  if (relocation.possible) return relocation
  const [first] = relocation.problems
  throw new CopyFailure(
    'COPY_NOT_POSSIBLE',
    `The snapshot cannot be copied: ${first ? `${JSON.stringify(first.path)}: ${first.message}` : 'its metadata says so'}.`,
    relocation.problems.map(({ code, path, message }) => ({
      code,
      message: `${JSON.stringify(path)}: ${message}`,
    })),
  )
}

async function readAll(store: ObjectStore, file: Location) {
  const found = await store.head(file)
  if (found === null) throw gone(file)
  try {
    return await readMetadata(store.read(file), { size: found.sizeBytes, keepInlineBytes: true })
  } catch (error) {
    if (error instanceof StorageError && error.kind === 'not-found') throw gone(file)
    if (!(error instanceof MetadataError)) throw error
    throw new CopyFailure('METADATA_UNREADABLE', `${formatLocation(file)} cannot be read: ${error.message}.`)
  }
}

export const gone = (file: Location): CopyFailure =>
  new CopyFailure(
    'SOURCE_GONE',
    `${formatLocation(file)} is gone: Flink subsumed the checkpoint, or somebody deleted it, before it was copied.`,
  )
