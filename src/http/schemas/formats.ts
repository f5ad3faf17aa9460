/** The small grammars of the API: each pattern with the words that explain it to whoever missed it. */
import { BACKEND_PATTERN, CLASS_PATTERN } from '../../domain/flink-settings.ts'

const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'
const DNS_LABEL = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?'
// In JSON Schema a pattern is ECMA-262: `\u0000` stays an escape so that the document never holds a control character.
const LABEL_KEY = '[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?'

export const PATTERNS = {
  uuid: `^${UUID}$`,
  name: `^(?!${UUID}$)${DNS_LABEL}$`,
  idOrName: `^${DNS_LABEL}$`,
  artifact: '^sha256:[0-9a-f]{64}$',
  flinkJobId: '^[0-9a-f]{32}$',
  labelKey: `^${LABEL_KEY}$`,
  labelFilter: `^${LABEL_KEY}=`,
  flinkVersion: '^[0-9]{1,3}\\.[0-9]{1,3}([.-][0-9A-Za-z.-]*)?$',
  singleLine: '^[^\\u0000-\\u001f\\u007f]*$',
  storageUri: '^[A-Za-z][A-Za-z0-9+.-]*:/[^\\u0000-\\u001f\\u007f]*$',
  visibleAscii: '^[\\u0021-\\u007e]+$',
  entityTag: '^(\\*|(W/)?"[\\u0021\\u0023-\\u007e]*")$',
  environmentVariable: '^[A-Za-z_][A-Za-z0-9_]*$',
} as const

const PATTERN_MEANINGS: ReadonlyMap<string, string> = new Map([
  [PATTERNS.uuid, 'an id (a UUID in lower case)'],
  [
    PATTERNS.name,
    'a DNS label (1 to 63 of a-z, 0-9 and -, no - at either end) that does not look like a UUID',
  ],
  [PATTERNS.idOrName, 'an id or a name (1 to 63 of a-z, 0-9 and -, no - at either end)'],
  [PATTERNS.artifact, '`sha256:` and 64 hexadecimal digits in lower case'],
  [PATTERNS.flinkJobId, "Flink's job id (32 hexadecimal digits in lower case)"],
  [PATTERNS.labelKey, 'a label key (1 to 63 of A-Z, a-z, 0-9, . _ / and -, a letter or digit at both ends)'],
  [PATTERNS.labelFilter, 'key=value'],
  [PATTERNS.flinkVersion, 'a Flink version such as 1.20 or 2.1.0'],
  [PATTERNS.singleLine, 'one line without control characters'],
  [
    PATTERNS.storageUri,
    'a URI as Flink writes it, such as s3://bucket/savepoints or file:///data/savepoints',
  ],
  [PATTERNS.visibleAscii, 'visible ASCII characters without spaces'],
  [PATTERNS.entityTag, 'one entity tag such as "7", or *'],
  [BACKEND_PATTERN, 'hashmap, rocksdb, forst or a class name with its package'],
  [CLASS_PATTERN, 'a class name with its package'],
  [PATTERNS.environmentVariable, 'the name of an environment variable'],
])

export const meaningOfPattern = (pattern: string): string =>
  PATTERN_MEANINGS.get(pattern) ?? `like ${pattern}`

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i

/** RFC 3339 with a time zone, a day that exists, in the years 1970 to 9999: what both Postgres and JavaScript can hold. */
const isInstant = (value: string): boolean => {
  if (!INSTANT.test(value) || !isCalendarDay(value.slice(0, 10))) return false
  const at = Date.parse(value)
  return at >= 0 && at < Date.UTC(10_000, 0)
}

/** `Date.parse` takes 30 February for 1 March. */
const isCalendarDay = (day: string): boolean => {
  const at = new Date(`${day}T00:00:00Z`)
  return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(day)
}

const isServiceUrl = (value: string): boolean => {
  if (!/^https?:\/\/[^\s\\?#@]+$/i.test(value) || !URL.canParse(value)) return false
  const url = new URL(value)
  return url.hostname !== '' && url.username === '' && url.password === ''
}

type Format = { means: string; accepts: (value: string) => boolean }

/** Our own formats; `date-time` replaces the laxer one of ajv-formats. */
export const FORMATS: Readonly<Record<string, Format>> = {
  'date-time': {
    means:
      'an RFC 3339 instant with its time zone, such as 2026-11-21T08:30:00Z (a + in a query is written %2B)',
    accepts: isInstant,
  },
  'service-url': {
    means: 'an http or https address without user, query and fragment',
    accepts: isServiceUrl,
  },
}

export const meaningOfFormat = (format: string): string => FORMATS[format]?.means ?? format

/** Services see instants as the API writes them: UTC with milliseconds. */
export const normalizeInstant = (instant: string): string => new Date(instant).toISOString()
