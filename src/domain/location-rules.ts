/**
 * What a location may not contain. A location is compared, written into requests and joined to file paths, so whatever
 * one reader could take for a separator, a parent folder or the end of the path is refused, also when encoded.
 */
export const MAX_LOCATION_LENGTH = 4096

type Rule = readonly [forbidden: RegExp, reason: string]

const FORBIDDEN: readonly Rule[] = [
  // line and paragraph separators too: they end a line for some readers of a log
  [/[\p{Cc}\p{Zl}\p{Zp}]/u, 'it contains a control character'],
  [/\p{Cs}/u, 'it contains half of a surrogate pair, which has no UTF-8 form'],
  [/\\/, 'it contains a backslash'],
  // `(?:25)*`: encoded once more for every reader that decodes once more
  [/%(?:25)*(?:2e|2f|5c|7f|[01][0-9a-f])/i, 'it contains a percent-encoded dot, slash or control character'],
  [/\?/, 'it contains a query (?)'],
  [/#/, 'it contains a fragment (#)'],
]

const FORBIDDEN_SEGMENTS: readonly Rule[] = [
  [/^$/, 'it contains an empty segment (//)'],
  [/^\.\.?$/, 'it contains a . or .. segment'],
  [/\//, 'a segment contains a slash'],
  [/^\s|\s$/, 'a segment begins or ends with white space'],
]

const firstBroken = (rules: readonly Rule[], text: string): string | null =>
  rules.find(([forbidden]) => forbidden.test(text))?.[1] ?? null

/** Why this text cannot be a location, whatever its scheme; null when nothing speaks against it. */
export const findTextProblem = (text: string): string | null =>
  text.length > MAX_LOCATION_LENGTH
    ? `it is longer than ${MAX_LOCATION_LENGTH} characters`
    : firstBroken(FORBIDDEN, text)

export const findSegmentProblem = (segment: string): string | null =>
  firstBroken(FORBIDDEN_SEGMENTS, segment) ?? firstBroken(FORBIDDEN, segment)

const BUCKET = /^[a-z0-9][a-z0-9._-]{0,254}$/i
const HOST_AND_PORT = /^[a-z0-9][a-z0-9._-]{0,254}(?::\d{1,5})?$/i
/** Azure writes `container@account`; the only place where `@` is not a user name. */
const AZURE_CONTAINER = /^[a-z0-9$][a-z0-9-]{0,62}@[a-z0-9][a-z0-9.-]{0,254}$/i

const AZURE_SCHEMES = new Set(['abfs', 'abfss', 'wasb', 'wasbs'])
const BUCKET_SCHEMES = new Set(['s3', 's3a', 's3n', 's3p', 'oss', 'cos', 'cosn', 'obs', 'gs'])
/** What people paste from a browser: the place of a service, not of a snapshot. */
const ENDPOINT_SCHEMES = new Set(['http', 'https', 'ftp', 'ftps'])

export function findBucketProblem(scheme: string, bucket: string): string | null {
  if (ENDPOINT_SCHEMES.has(scheme))
    return `${scheme} names an endpoint; write it as Flink does, e.g. s3://bucket/path`
  if (bucket === '') return 'the bucket is empty'
  if (AZURE_SCHEMES.has(scheme) && AZURE_CONTAINER.test(bucket)) return null
  if (bucket.includes('@')) return 'it contains user information (@)'
  if (bucket.includes('..')) return 'the bucket contains two dots in a row'
  const allowed = BUCKET_SCHEMES.has(scheme) ? BUCKET : HOST_AND_PORT
  return allowed.test(bucket) ? null : 'the bucket is not a bucket name'
}
