/** The object store on a local folder, which must lie below one of the installation's `localRoots`. */
import { constants } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { StorageError } from '../domain/errors.ts'
import { formatLocation, type Location } from '../domain/location.ts'
import type { ObjectPage, StoredObject } from '../ports/storage.ts'
import { requireBelow, requireObjectBelow } from './guard.ts'
import { copyFileInside } from './local-copy.ts'
import { deleteFiles, removeFolders } from './local-delete.ts'
import { toLocalError } from './local-errors.ts'
import { listFolder } from './local-list.ts'
import { resolveRoot, resolveTarget } from './local-paths.ts'
import { writeObject, writeObjectStream } from './local-write.ts'
import type { OpenStore } from './open-store.ts'

export function openLocalStore(root: Location, localRoots: readonly string[]): OpenStore {
  /** The root is resolved for every call: it may be replaced by a link at any moment. */
  const withRoot = async <T>(work: (realRoot: string) => Promise<T>): Promise<T> => {
    try {
      return await work(await resolveRoot(root, localRoots))
    } catch (error) {
      throw toLocalError(error)
    }
  }
  const withFile = <T>(location: Location, work: (file: FileHandle) => Promise<T>): Promise<T | null> =>
    withRoot(async (realRoot) => {
      requireObjectBelow(root, location)
      const file = await openFile(realRoot, root, location)
      return file === null ? null : work(file).finally(() => file.close())
    })
  return {
    list: (prefix, options) => withRoot((realRoot) => list(realRoot, root, prefix, options)),
    head: (location) => withFile(location, (file) => describe(location, file)),
    readRange: (location, offset, length) =>
      withFile(location, async (file) => {
        const { size } = await file.stat()
        const buffer = new Uint8Array(Math.max(0, Math.min(length, size - offset)))
        return buffer.subarray(0, await fill(file, buffer, offset))
      }),
    read: (location) => read(() => withRoot((realRoot) => openForReading(realRoot, root, location))),
    put: (location, bytes) => withRoot((realRoot) => writeObject(realRoot, root, location, bytes)),
    putStream: (location, content) =>
      withRoot((realRoot) => writeObjectStream(realRoot, root, location, content)),
    deleteMany: (locations, options) =>
      withRoot((realRoot) => deleteFiles(realRoot, root, locations, options)),
    removeEmptyFolders: (folder) => withRoot((realRoot) => removeFolders(realRoot, root, folder)),
    copyInside: (source, target) =>
      withRoot(async (realRoot) => {
        const file = await openForReading(
          await resolveRoot(source.root, localRoots),
          source.root,
          source.location,
        )
        try {
          return await copyFileInside(file, source, { realRoot, root, location: target })
        } finally {
          await file.close()
        }
      }),
    close: () => undefined,
  }
}

async function list(
  realRoot: string,
  root: Location,
  prefix: Location,
  options?: { pageSize?: number; pageToken?: string },
): Promise<ObjectPage> {
  requireBelow(root, prefix)
  const folder = await resolveTarget(realRoot, root, prefix)
  if (folder === null) return { objects: [], nextPageToken: null }
  return listFolder({ realRoot, root, prefix }, folder, options)
}

/** null for what is not there and for what is not a file: a folder is no object. */
async function openFile(realRoot: string, root: Location, location: Location): Promise<FileHandle | null> {
  const path = await resolveTarget(realRoot, root, location)
  if (path === null) return null
  if (!(await stat(path)).isFile()) return null
  // already resolved, so a link here was put in between; NONBLOCK: opening a pipe would wait for its writer
  return open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
}

async function openForReading(realRoot: string, root: Location, location: Location): Promise<FileHandle> {
  requireObjectBelow(root, location)
  const file = await openFile(realRoot, root, location)
  if (file === null) throw new StorageError('not-found', `${formatLocation(location)} does not exist`)
  return file
}

async function describe(location: Location, file: FileHandle): Promise<StoredObject> {
  const { size, mtime } = await file.stat()
  return { location, sizeBytes: size, modifiedAt: mtime, archived: false }
}

async function fill(file: FileHandle, buffer: Uint8Array, offset: number): Promise<number> {
  let filled = 0
  while (filled < buffer.length) {
    const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, offset + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return filled
}

async function* read(openIt: () => Promise<FileHandle>): AsyncGenerator<Uint8Array> {
  const file = await openIt()
  try {
    for await (const chunk of file.createReadStream({ autoClose: false })) yield chunk
  } catch (error) {
    throw toLocalError(error)
  } finally {
    await file.close()
  }
}
