import { describe, expect, it } from 'vitest'
import { parseLocation } from '../../src/domain/location.ts'
import {
  folderKey,
  locateFile,
  sumBytes,
  toInspectionSummary,
  toStoredFiles,
} from '../../src/domain/snapshot-files.ts'
import { readMetadata } from '../../src/metadata/read-metadata.ts'
import { summarize } from '../../src/metadata/summarize.ts'
import { HOSTILE_LOCATIONS } from '../support/hostile-locations.ts'
import { metadataWithFiles, type NamedFile } from '../support/metadata-with-files.ts'

const DIRECTORY = parseLocation('s3a://bucket/chk/chk-7')

const read = async (files: NamedFile[], name?: string) =>
  summarize(await readMetadata(metadataWithFiles(files, name === undefined ? {} : { name })))
const keysOf = async (...files: NamedFile[]) =>
  toStoredFiles((await read(files)).files, DIRECTORY).map(({ key }) => key)

describe('the key of a file', () => {
  it('is its place below the folder, or where an absolute path says, for every name of a scheme', async () => {
    expect(
      await keysOf(
        { path: 'state-1', relative: true },
        { path: 'a/b', relative: true },
        { path: 's3n://bucket/chk/shared/x' },
        { path: 's3://bucket/chk//shared///y' },
        { path: 'file:/data/z' },
        { path: 's3://another-bucket/w' },
      ),
    ).toEqual([
      's3://bucket/chk/chk-7/state-1',
      's3://bucket/chk/chk-7/a/b',
      's3://bucket/chk/shared/x',
      's3://bucket/chk/shared/y',
      'file:///data/z',
      's3://another-bucket/w',
    ])
  })

  it('is null for a path that is no location or leaves the folder', async () => {
    const relative = [
      '../other/x',
      'a/../../x',
      '/etc/passwd',
      '',
      's3://bucket/x',
      'a\u0000b',
      'a\\b',
      'a%2f..',
    ]
    expect(await keysOf(...relative.map((path) => ({ path, relative: true })))).toEqual(
      relative.map(() => null),
    )
    // Flink takes several slashes for one, and so do we; everything else hostile is no place.
    const hostile = HOSTILE_LOCATIONS.map(([text]) => text).filter((text) => !/[^:/]\/\//.test(text))
    expect(hostile.length).toBeGreaterThan(40)
    for (const path of hostile)
      expect([path, locateFile(DIRECTORY, { kind: 'absolute', path })]).toEqual([path, null])
  })

  it('lies in a folder only segment by segment', () => {
    expect(folderKey(DIRECTORY)).toBe('s3://bucket/chk/chk-7/')
    expect(folderKey(parseLocation('s3://bucket'))).toBe('s3://bucket/')
    expect('s3://bucket/chk/chk-77/x'.startsWith(folderKey(DIRECTORY))).toBe(false)
  })
})

describe('what is kept', () => {
  it('has sizes that a number can hold, however large the metadata says they are', async () => {
    const huge = 2n ** 62n
    const { files } = await read([
      { path: 's3://b/x', size: huge },
      { path: 's3://b/y', size: huge },
      { path: 's3://b/z', size: -1n },
    ])
    const stored = toStoredFiles(files, DIRECTORY)
    expect(stored.map(({ sizeBytes }) => sizeBytes)).toEqual([
      Number.MAX_SAFE_INTEGER,
      Number.MAX_SAFE_INTEGER,
      null,
    ])
    expect(sumBytes(stored)).toBe(Number.MAX_SAFE_INTEGER)
  })

  it('has no text that Postgres cannot hold', async () => {
    const summary = await read([{ path: 's3://b/a\u0000b' }], 'nul \u0000 half \ud800 whole \u{1f600}')
    const [file] = toStoredFiles(summary.files, DIRECTORY)
    expect(file).toMatchObject({ path: 's3://b/a\ufffdb', key: null })
    expect(toInspectionSummary(summary).operators[0]?.name).toBe('nul \ufffd half \ufffd whole \u{1f600}')
  })

  it('is the summary of the offline inspection without its lists of files', async () => {
    const summary = await read([{ path: 's3://b/x' }])
    const { files: _f, absoluteFiles: _a, relativeFiles: _r, ...rest } = summary
    expect(toInspectionSummary(summary)).toEqual(rest)
  })
})
