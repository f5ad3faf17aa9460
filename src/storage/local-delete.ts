import { lstat, readdir, rmdir, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { StorageError } from '../domain/errors.ts'
import { type Location, relativeSegments } from '../domain/location.ts'
import type { DeleteFailure, DeleteOptions } from '../ports/storage.ts'
import { findUnsafe, requireInside, requireObjectBelow } from './guard.ts'
import { codeOf, isMissing } from './local-errors.ts'
import { isPathInside, resolveEntry, resolveTarget } from './local-paths.ts'

/** Deletes files and links (never what a link points to), then the folders they leave empty, up to but not the root. */
export async function deleteFiles(
  realRoot: string,
  root: Location,
  locations: readonly Location[],
  { mayStart = () => true }: DeleteOptions = {},
): Promise<DeleteFailure[]> {
  for (const location of locations) requireInside(root, location)
  // all are looked at before one is deleted: a link that leads outside stops the whole call
  for (const location of locations) {
    if (findUnsafe(location) === null) await resolveTarget(realRoot, root, location)
  }
  const failures: DeleteFailure[] = []
  for (const location of locations) {
    if (!mayStart()) throw new StorageError('unreachable', 'Deleting: it waited too long')
    const failure = await deleteFile(realRoot, root, location)
    if (failure !== null) failures.push({ location, ...failure })
  }
  return failures
}

async function deleteFile(
  realRoot: string,
  root: Location,
  location: Location,
): Promise<{ code: string; message: string } | null> {
  const problem = findUnsafe(location)
  if (problem !== null) return { code: 'LOCATION_INVALID', message: `Never touched: ${problem}` }
  const path = await resolveEntry(realRoot, root, location)
  if (path === null) return null
  // a link inside the root can still lead into somebody else's folder, whose name was never compared
  if (path !== join(realRoot, ...relativeSegments(root, location))) {
    return { code: 'SYMBOLIC_LINK', message: 'Never touched: its folder is reached through a symbolic link' }
  }
  try {
    await unlink(path)
  } catch (error) {
    if (!isMissing(error)) return { code: codeOf(error), message: String(error) }
  }
  await removeEmptyFolders(realRoot, dirname(path))
  return null
}

async function removeEmptyFolders(realRoot: string, deepest: string): Promise<void> {
  for (
    let folder = deepest;
    folder !== realRoot && isPathInside(realRoot, folder);
    folder = dirname(folder)
  ) {
    try {
      await rmdir(folder)
    } catch {
      return // not empty, or not ours to remove: the files are gone, which is what was asked
    }
  }
}

/**
 * Removes the empty folders below and including this one. A folder that is reached through a link is left alone. Answers
 * whether nothing of it is left.
 */
export async function removeFolders(realRoot: string, root: Location, folder: Location): Promise<boolean> {
  requireObjectBelow(root, folder)
  const path = await resolveEntry(realRoot, root, folder)
  if (path === null) return true
  if (path !== join(realRoot, ...relativeSegments(root, folder))) return false
  return removeTree(path)
}

/** Depth first; a file, a link or anything else that is no folder stays, and with it every folder above it. */
async function removeTree(path: string): Promise<boolean> {
  try {
    if (!(await lstat(path)).isDirectory()) return false
    for (const entry of await readdir(path, { withFileTypes: true })) {
      if (!entry.isDirectory() || !(await removeTree(join(path, entry.name)))) return false
    }
    await rmdir(path)
    return true
  } catch (error) {
    if (isMissing(error)) return true
    if (codeOf(error) === 'ENOTEMPTY') return false
    throw error
  }
}
