/**
 * What is missing below a root is gone only if the root itself is there. A disk that is not mounted leaves its mount point
 * behind: a folder that answers, and holds nothing.
 */
import { StorageError } from '../domain/errors.ts'
import { formatLocation, type Location } from '../domain/location.ts'
import type { ObjectStore, StorageAddress, StoredObject } from '../ports/storage.ts'

type Root = Pick<StorageAddress, 'root'>

/** Throws StorageError when the bucket or folder is missing, cannot be asked, or is a folder without any file. */
export async function proveRoot({ root }: Root, store: Pick<ObjectStore, 'list'>): Promise<void> {
  const { objects } = await store.list(root, { pageSize: 1 })
  if (!isFolder(root) || objects.length > 0) return
  throw new StorageError(
    'unreachable',
    `There is not one file in ${formatLocation(root)}: it may not be mounted`,
  )
}

/** null is proven. In a bucket every answer proves it; of a folder the root is asked, and then the object once more. */
export async function headProven(
  storage: Root,
  store: Pick<ObjectStore, 'head' | 'list'>,
  location: Location,
): Promise<StoredObject | null> {
  const found = await store.head(location)
  if (found !== null || !isFolder(storage.root)) return found
  await proveRoot(storage, store)
  return store.head(location)
}

/** Of a listing that showed nothing: asks nothing where the listing itself has proven the root. */
export const proveEmpty = async (storage: Root, store: Pick<ObjectStore, 'list'>): Promise<void> =>
  isFolder(storage.root) ? proveRoot(storage, store) : undefined

const isFolder = (root: Location): boolean => root.scheme === 'file'
