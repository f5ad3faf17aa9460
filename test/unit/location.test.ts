import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DomainError } from '../../src/domain/errors.ts'
import {
  formatLocation,
  isInside,
  isInsideOrEqual,
  joinLocation,
  type Location,
  locationKey,
  parseLocation,
  relativeSegments,
  rootsOverlap,
  sameLocation,
  snapshotDirectory,
} from '../../src/domain/location.ts'
import { findSegmentProblem } from '../../src/domain/location-rules.ts'
import { HOSTILE_LOCATIONS, HOSTILE_SEGMENTS } from '../support/hostile-locations.ts'

const segment = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
  .filter((text) => findSegmentProblem(text) === null)
const location: fc.Arbitrary<Location> = fc.record({
  scheme: fc.constantFrom('s3', 's3a', 's3n', 's3p', 'oss', 'cos', 'cosn', 'obs', 'gs'),
  bucket: fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,20}$/),
  segments: fc.array(segment, { maxLength: 5 }),
})
/** Any code units: halves of surrogate pairs and control characters included. */
const anyText = fc
  .array(
    fc.oneof(
      fc.constantFrom(...'/.%2eF\\:@?# '),
      fc.integer({ max: 0xffff, min: 0 }).map((unit) => String.fromCharCode(unit)),
    ),
  )
  .map((units) => units.join(''))
const fileLocation = fc
  .array(segment, { maxLength: 5 })
  .map((segments) => ({ scheme: 'file', bucket: '', segments }))

const refusalOf = (act: () => unknown): DomainError => {
  try {
    act()
  } catch (error) {
    if (error instanceof DomainError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

describe('parsing', () => {
  it.each([
    ['s3://bucket/a/b', 's3', 'bucket', ['a', 'b']],
    ['S3A://Bucket/A', 's3a', 'Bucket', ['A']],
    ['s3://bucket', 's3', 'bucket', []],
    ['s3://bucket/', 's3', 'bucket', []],
    ['s3://bucket/a/', 's3', 'bucket', ['a']],
    ['file:/a/b', 'file', '', ['a', 'b']],
    ['file:///a/b', 'file', '', ['a', 'b']],
    ['FILE:///a', 'file', '', ['a']],
    ['/a/b/', 'file', '', ['a', 'b']],
    ['/', 'file', '', []],
    ['hdfs://namenode:8020/flink', 'hdfs', 'namenode:8020', ['flink']],
    ['abfss://box@account.dfs.core.windows.net/a', 'abfss', 'box@account.dfs.core.windows.net', ['a']],
    ['cosn://bucket-1250000000/a', 'cosn', 'bucket-1250000000', ['a']],
    ['s3://bucket/Zustände/快照/é', 's3', 'bucket', ['Zustände', '快照', 'é']],
    [
      's3://bucket/dt=2026-01-01T00%3A00/a b/x+y/..a/a..',
      's3',
      'bucket',
      ['dt=2026-01-01T00%3A00', 'a b', 'x+y', '..a', 'a..'],
    ],
  ])('reads %s', (text, scheme, bucket, segments) => {
    expect(parseLocation(text)).toEqual({ scheme, bucket, segments })
  })

  it.each(HOSTILE_LOCATIONS.map(([text, reason]) => ({ name: text.slice(0, 40), text, reason })))(
    'refuses $name',
    ({ text, reason }) => {
      const refusal = refusalOf(() => parseLocation(text))
      expect(refusal.code).toBe('LOCATION_INVALID')
      expect(refusal.message).toContain(reason)
    },
  )

  it('never repeats a control character in its refusal', () => {
    expect(refusalOf(() => parseLocation('s3://bucket/a\u001b[2J\n')).message).not.toMatch(/\p{Cc}/u)
  })

  it('either refuses a text or reads one it writes back the same', () => {
    fc.assert(
      fc.property(fc.constantFrom('', '/', 'file:', 's3://', 's3://b/'), anyText, (start, end) => {
        const text = `${start}${end}`
        let parsed: Location
        try {
          parsed = parseLocation(text)
        } catch (error) {
          expect(error).toBeInstanceOf(DomainError)
          return
        }
        expect(parseLocation(formatLocation(parsed))).toEqual(parsed)
        expect(parsed.segments.every((each) => findSegmentProblem(each) === null)).toBe(true)
      }),
    )
  })
})

describe('writing', () => {
  it('writes what it read', () => {
    fc.assert(
      fc.property(fc.oneof(location, fileLocation), (each) => {
        expect(parseLocation(formatLocation(each))).toEqual(each)
      }),
    )
  })

  it('writes a file with three slashes and keeps the scheme as given', () => {
    expect(formatLocation(parseLocation('file:/a/b'))).toBe('file:///a/b')
    expect(formatLocation(parseLocation('s3a://bucket/a/'))).toBe('s3a://bucket/a')
    expect(formatLocation(parseLocation('s3://bucket/'))).toBe('s3://bucket')
  })

  it('gives every way to write one location the same key', () => {
    for (const scheme of ['s3', 's3a', 's3n', 's3p', 'S3A']) {
      expect(locationKey(parseLocation(`${scheme}://bucket/a/`))).toBe('s3://bucket/a')
    }
    expect(locationKey(parseLocation('cosn://b/a'))).toBe(locationKey(parseLocation('cos://b/a')))
    expect(locationKey(parseLocation('file:/a'))).toBe(locationKey(parseLocation('/a')))
    expect(locationKey(parseLocation('abfs://c@a/x'))).not.toBe(locationKey(parseLocation('abfss://c@a/x')))
    expect(locationKey(parseLocation('oss://b/a'))).not.toBe(locationKey(parseLocation('s3://b/a')))
  })

  it('gives two locations the same key exactly when they are the same', () => {
    fc.assert(
      fc.property(location, location, (a, b) => {
        expect(locationKey(a) === locationKey(b)).toBe(sameLocation(a, b))
        expect(sameLocation(a, { ...a, scheme: a.scheme })).toBe(true)
      }),
    )
  })
})

describe('comparing', () => {
  const root = parseLocation('s3://bucket/pre')

  it('does not take a sibling with a longer name for a child', () => {
    expect(isInside(root, parseLocation('s3://bucket/prefix2'))).toBe(false)
    expect(isInside(root, parseLocation('s3://bucket/prefix2/a'))).toBe(false)
    expect(isInside(root, parseLocation('s3://bucket2/pre/a'))).toBe(false)
    expect(isInside(root, parseLocation('oss://bucket/pre/a'))).toBe(false)
    expect(isInside(root, parseLocation('s3://bucket/PRE/a'))).toBe(false)
  })

  it('is not inside itself, whatever the alias', () => {
    expect(isInside(root, parseLocation('s3a://bucket/pre'))).toBe(false)
    expect(isInsideOrEqual(root, parseLocation('s3a://bucket/pre'))).toBe(true)
    expect(isInside(root, parseLocation('s3n://bucket/pre/a'))).toBe(true)
  })

  it('finds every joined location inside and tells the way back', () => {
    fc.assert(
      fc.property(location, fc.array(segment, { minLength: 1, maxLength: 4 }), (base, segments) => {
        const joined = joinLocation(base, ...segments)
        expect(isInside(base, joined)).toBe(true)
        expect(isInside(joined, base)).toBe(false)
        expect(relativeSegments(base, joined)).toEqual(segments)
        expect(rootsOverlap(base, joined) && rootsOverlap(joined, base)).toBe(true)
      }),
    )
  })

  it.each(HOSTILE_SEGMENTS.map((each) => [each]))('refuses to join %j', (hostile) => {
    expect(refusalOf(() => joinLocation(root, 'a', hostile, 'b')).code).toBe('LOCATION_INVALID')
  })

  it('refuses to join more than a location may hold', () => {
    expect(refusalOf(() => joinLocation(root, ...Array(50).fill('a'.repeat(100)))).code).toBe(
      'LOCATION_INVALID',
    )
  })

  it('tells no way to a location outside the root', () => {
    expect(relativeSegments(root, root)).toEqual([])
    expect(refusalOf(() => relativeSegments(root, parseLocation('s3://bucket/prefix2'))).code).toBe(
      'LOCATION_OUTSIDE_ROOT',
    )
  })

  it('sees an overlap only between a root and itself or what lies below it', () => {
    expect(rootsOverlap(root, parseLocation('s3a://bucket'))).toBe(true)
    expect(rootsOverlap(root, parseLocation('s3a://bucket/pre/'))).toBe(true)
    expect(rootsOverlap(root, parseLocation('s3://bucket/prefix'))).toBe(false)
    expect(rootsOverlap(parseLocation('/'), parseLocation('file:/a'))).toBe(true)
  })
})

it('finds the folder of a snapshot from either form Flink reports', () => {
  expect(snapshotDirectory(parseLocation('s3://b/sp/savepoint-1/_metadata'))).toEqual(
    parseLocation('s3://b/sp/savepoint-1'),
  )
  expect(snapshotDirectory(parseLocation('s3://b/sp/savepoint-1/'))).toEqual(
    parseLocation('s3://b/sp/savepoint-1'),
  )
})
