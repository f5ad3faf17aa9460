/**
 * From a location to a path on this machine. A path is used only in its resolved form and only when that still lies
 * below the resolved root, so a symlink can never lead out of it.
 */
import { realpath } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { DomainError, StorageError } from '../domain/errors.ts'
import { formatLocation, type Location, relativeSegments } from '../domain/location.ts'
import { codeOf, isMissing } from './local-errors.ts'

const pathOf = (location: Location): string => `/${location.segments.join('/')}`

export function isPathInside(folder: string, path: string): boolean {
  const way = relative(folder, path)
  return way === '' || !(way === '..' || way.startsWith(`..${sep}`) || isAbsolute(way))
}

/** The real path of the root; throws STORAGE_ROOT_NOT_ALLOWED, or `bucket-missing` when the folder is not there. */
export async function resolveRoot(root: Location, localRoots: readonly string[]): Promise<string> {
  const path = pathOf(root)
  const { real, exists } = await resolveExisting(path)
  const allowed = await Promise.all(localRoots.map((each) => resolveExisting(resolve(each))))
  if (root.scheme !== 'file' || !allowed.some((each) => isPathInside(each.real, real))) {
    throw new DomainError(
      'STORAGE_ROOT_NOT_ALLOWED',
      `${path} is not below a local root of this installation`,
    )
  }
  if (!exists) throw new StorageError('bucket-missing', `The folder ${path} does not exist`)
  return real
}

/** Resolves as much of a path as exists and keeps the rest: what `path` will be once it is made. */
export async function resolveExisting(path: string): Promise<{ real: string; exists: boolean }> {
  try {
    return { real: await realpath(path), exists: true }
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' || dirname(path) === path) throw error
    return { real: join((await resolveExisting(dirname(path))).real, basename(path)), exists: false }
  }
}

/**
 * Where `location` is, without following its own last name: its folder is resolved and proven to lie below the root.
 * null when that folder does not exist.
 */
export async function resolveEntry(
  realRoot: string,
  root: Location,
  location: Location,
): Promise<string | null> {
  const names = relativeSegments(root, location)
  const last = names.at(-1)
  if (last === undefined) return realRoot
  try {
    const folder = await realpath(join(realRoot, ...names.slice(0, -1)))
    requireRealInside(realRoot, folder, location)
    return join(folder, last)
  } catch (error) {
    if (isMissing(error)) return null
    throw error
  }
}

/** As `resolveEntry`, with the last name followed too; null when nothing is there. */
export async function resolveTarget(
  realRoot: string,
  root: Location,
  location: Location,
): Promise<string | null> {
  const entry = await resolveEntry(realRoot, root, location)
  if (entry === null) return null
  try {
    const target = await realpath(entry)
    requireRealInside(realRoot, target, location)
    return target
  } catch (error) {
    if (isMissing(error)) return null
    throw error
  }
}

export function requireRealInside(realRoot: string, real: string, location: Location): void {
  if (isPathInside(realRoot, real)) return
  throw new DomainError(
    'LOCATION_OUTSIDE_ROOT',
    `${JSON.stringify(formatLocation(location))} leads outside the root through a symbolic link`,
  )
}
