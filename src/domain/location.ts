import { DomainError } from './errors.ts'
import {
  findBucketProblem,
  findSegmentProblem,
  findTextProblem,
  MAX_LOCATION_LENGTH,
} from './location-rules.ts'

/**
 * A parsed place in storage. Paths are compared segment by segment, never as strings: `s3://b/pre` is a string prefix of
 * `s3://b/prefix2`.
 */
export type Location = {
  /** As given, lower case: file, s3, s3a, oss, … */
  readonly scheme: string
  /** Bucket, or empty for `file`. */
  readonly bucket: string
  readonly segments: readonly string[]
}

/** Names of one file system: `s3a://b/x` and `s3://b/x` are the same object. */
const SCHEME_ALIASES: Readonly<Record<string, string>> = { s3a: 's3', s3n: 's3', s3p: 's3', cosn: 'cos' }

const foldScheme = (scheme: string): string => SCHEME_ALIASES[scheme] ?? scheme

/** Quoted as JSON: a refused text may hold anything, and the message ends up in logs and terminals. */
const refuse = (text: string, reason: string): never => {
  throw new DomainError(
    'LOCATION_INVALID',
    `${JSON.stringify(text.slice(0, 200))} is not a location: ${reason}`,
  )
}

/** Reads `scheme://bucket/a/b`, `file:/a`, `file:///a` or `/a`; throws LOCATION_INVALID saying why not. */
export function parseLocation(text: string): Location {
  const problem = findTextProblem(text)
  if (problem !== null) return refuse(text, problem)
  const { scheme, bucket, path } = splitLocation(text)
  const bucketProblem = scheme === 'file' ? null : findBucketProblem(scheme, bucket)
  if (bucketProblem !== null) return refuse(text, bucketProblem)
  const segments = splitPath(path)
  for (const segment of segments) {
    const segmentProblem = findSegmentProblem(segment)
    if (segmentProblem !== null) return refuse(text, segmentProblem)
  }
  return { scheme, bucket, segments }
}

function splitLocation(text: string): { scheme: string; bucket: string; path: string } {
  if (text.startsWith('/')) return { scheme: 'file', bucket: '', path: text }
  const [, givenScheme, slashes, rest] = /^([a-z][a-z0-9+.-]*):(\/\/)?(.*)$/is.exec(text) ?? []
  if (givenScheme === undefined || rest === undefined) {
    return refuse(text, 'write scheme://bucket/path, file:///path or an absolute path')
  }
  const scheme = givenScheme.toLowerCase()
  if (slashes === undefined) {
    if (scheme !== 'file') return refuse(text, `write ${scheme}://bucket/path`)
    if (!rest.startsWith('/')) return refuse(text, 'a file location needs an absolute path')
    return { scheme, bucket: '', path: rest }
  }
  const slash = rest.indexOf('/')
  const bucket = slash === -1 ? rest : rest.slice(0, slash)
  const path = slash === -1 ? '' : rest.slice(slash)
  if (scheme === 'file' && bucket !== '')
    return refuse(text, 'a file location has no host: write file:///path')
  if (scheme === 'file' && path === '') return refuse(text, 'a file location needs an absolute path')
  return { scheme, bucket, path }
}

/** One trailing slash is how folders are often written; two are an empty segment. */
function splitPath(path: string): string[] {
  const below = path.slice(1)
  if (below === '') return []
  return (below.endsWith('/') ? below.slice(0, -1) : below).split('/')
}

/** `file:///a/b`, `s3://bucket/a`, with the scheme as it was given. */
export const formatLocation = ({ scheme, bucket, segments }: Location): string =>
  segments.length === 0 && scheme !== 'file'
    ? `${scheme}://${bucket}`
    : `${scheme}://${bucket}/${segments.join('/')}`

/** The same for every way to write one location; what uniqueness is decided by. */
export const locationKey = ({ scheme, bucket, segments }: Location): string =>
  `${foldScheme(scheme)}://${bucket}/${segments.join('/')}`

export const sameLocation = (a: Location, b: Location): boolean =>
  isInsideOrEqual(a, b) && a.segments.length === b.segments.length

export const isInsideOrEqual = (root: Location, location: Location): boolean =>
  foldScheme(root.scheme) === foldScheme(location.scheme) &&
  root.bucket === location.bucket &&
  root.segments.length <= location.segments.length &&
  root.segments.every((segment, index) => segment === location.segments[index])

/** Strictly below: a root is not inside itself. */
export const isInside = (root: Location, location: Location): boolean =>
  isInsideOrEqual(root, location) && location.segments.length > root.segments.length

/** Whether one of two roots could reach into the other. */
export const rootsOverlap = (a: Location, b: Location): boolean =>
  isInsideOrEqual(a, b) || isInsideOrEqual(b, a)

/** The location below `root`; every segment is checked as if it had been parsed. */
export function joinLocation(root: Location, ...segments: readonly string[]): Location {
  for (const segment of segments) {
    const problem = findSegmentProblem(segment)
    if (problem !== null) return refuse(segment, problem)
  }
  const joined = { ...root, segments: [...root.segments, ...segments] }
  if (formatLocation(joined).length > MAX_LOCATION_LENGTH) {
    return refuse(formatLocation(joined), `it is longer than ${MAX_LOCATION_LENGTH} characters`)
  }
  return joined
}

/** The segments of `location` below `root`, none when they are the same; throws LOCATION_OUTSIDE_ROOT. */
export function relativeSegments(root: Location, location: Location): readonly string[] {
  if (!isInsideOrEqual(root, location)) {
    throw new DomainError(
      'LOCATION_OUTSIDE_ROOT',
      `${JSON.stringify(formatLocation(location))} is not below ${JSON.stringify(formatLocation(root))}`,
    )
  }
  return location.segments.slice(root.segments.length)
}

/** Flink reports a snapshot by its folder or by the `_metadata` file in it; this is the folder. */
export const snapshotDirectory = (location: Location): Location =>
  location.segments.at(-1) === '_metadata'
    ? { ...location, segments: location.segments.slice(0, -1) }
    : location

export const FLINK_JOB_ID = /^[0-9a-f]{32}$/
const OF_CHECKPOINTS = /^(chk-\d+|shared|taskowned)$/

/**
 * A place that Flink fills and empties by itself while jobs run (RT/state/filesystem/AbstractFsCheckpointStorageAccess): a
 * checkpoint's own `chk-N`, wherever it lies, and all that lies below `<checkpoint dir>/<Flink job id>`.
 */
export const isPlaceOfCheckpoints = ({ segments }: Location): boolean =>
  OF_CHECKPOINTS.test(segments.at(-1) ?? '') ||
  segments.some((segment, at) => FLINK_JOB_ID.test(segment) && OF_CHECKPOINTS.test(segments[at + 1] ?? ''))
