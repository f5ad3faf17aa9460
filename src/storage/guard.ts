/**
 * The last gate before storage: nothing outside the root, and nothing that a store or a proxy could read as another
 * place, is ever sent. Locations usually come from `parseLocation`, but they are plain objects, so it is checked here.
 */
import { DomainError } from '../domain/errors.ts'
import { formatLocation, isInside, type Location, relativeSegments } from '../domain/location.ts'
import { findSegmentProblem } from '../domain/location-rules.ts'

/** Throws LOCATION_OUTSIDE_ROOT unless `location` lies strictly below `root`. */
export function requireInside(root: Location, location: Location): void {
  relativeSegments(root, location)
  if (isInside(root, location)) return
  throw new DomainError(
    'LOCATION_OUTSIDE_ROOT',
    `${quote(location)} is the root itself, not an object below it`,
  )
}

/** For a folder, which may be the root; throws LOCATION_INVALID when it must not be sent. */
export function requireBelow(root: Location, location: Location): void {
  relativeSegments(root, location)
  const problem = findUnsafe(location)
  if (problem !== null) throw new DomainError('LOCATION_INVALID', `${quote(location)} is refused: ${problem}`)
}

export function requireObjectBelow(root: Location, location: Location): void {
  requireInside(root, location)
  requireBelow(root, location)
}

/** Why this location must not be sent to a store, or null. */
export function findUnsafe({ segments }: Location): string | null {
  for (const segment of segments) {
    const problem = findSegmentProblem(segment)
    if (problem !== null) return problem
  }
  return null
}

/** Hadoop marks a folder by an empty object `folder/`: in a listing its location ends with one empty segment. */
export const withoutFolderMark = (location: Location): Location =>
  location.segments.at(-1) === '' ? { ...location, segments: location.segments.slice(0, -1) } : location

const quote = (location: Location): string => JSON.stringify(formatLocation(location))
