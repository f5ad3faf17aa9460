import { describe, expect, it } from 'vitest'
import { readMetadata } from '../../../src/metadata/read-metadata.ts'
import { summarize } from '../../../src/metadata/summarize.ts'
import { inChunks, SAMPLE_FOLDERS, SAMPLES, sample } from './samples.ts'

describe('samples written by Flink 1.6 to 2.4', () => {
  it('has an expectation for every sample', () => {
    expect(SAMPLES.map(({ name }) => name).sort()).toEqual(SAMPLE_FOLDERS.sort())
  })

  it.each(SAMPLES)('[N-05] finds in $name what Flink finds', async ({ bytes, expected }) => {
    const metadata = await readMetadata(bytes)
    const summary = JSON.parse(JSON.stringify(summarize(metadata)))

    expect(summary).toMatchObject(expected)
    expect(summary.handleCounts).toEqual(expected.handleCounts)
    expect('properties' in summary).toBe('properties' in expected)
    expect(metadata).toMatchObject({ byteLength: bytes.length, trailingBytes: 0 })
  })

  it.each(SAMPLES)('reads $name alike in chunks of any size', async ({ bytes }) => {
    const whole = await readMetadata(bytes)
    const kept = await readMetadata(bytes, { keepInlineBytes: true })
    for (const sizes of [[1], [7], [1, 0, 333], [4093, 5]])
      expect(await readMetadata(inChunks(bytes, ...sizes))).toEqual(whole)
    expect(await readMetadata(inChunks(bytes, 13), { keepInlineBytes: true })).toEqual(kept)
  })

  it('notes where inline state lies without keeping it', async () => {
    const { bytes } = sample('v6-flink2.3-operator-complexkeyed')
    const lean = await readMetadata(inChunks(bytes, 100))
    const full = await readMetadata(bytes, { keepInlineBytes: true })
    const inlineOf = (metadata: typeof lean) =>
      metadata.operatorStates
        .flatMap(({ subtasks }) => subtasks)
        .flatMap((subtask) => (subtask.finished ? [] : [subtask.managedKeyed]))
        .flatMap((handle) => (handle !== null && 'delegate' in handle ? [handle.delegate] : []))
        .flatMap((stream) => (stream.kind === 'byteStream' ? [stream.inline] : []))

    expect(inlineOf(lean)).not.toHaveLength(0)
    for (const [index, { length, offset = -1, bytes: copy }] of inlineOf(full).entries()) {
      expect(copy).toEqual(new Uint8Array(bytes.subarray(offset, offset + length)))
      expect(inlineOf(lean)[index]).toEqual({ length, offset })
    }
  })

  it('counts the bytes behind the end and warns of them', async () => {
    const { bytes } = sample('v4-flink1.18-udf-hashmap-savepoint')
    const metadata = await readMetadata(inChunks(Buffer.concat([bytes, Buffer.alloc(10)]), 100))
    expect(metadata).toMatchObject({ byteLength: bytes.length, trailingBytes: 10 })
    expect(summarize(metadata).warnings.map(({ code }) => code)).toEqual(['trailing-bytes'])
  })
})
