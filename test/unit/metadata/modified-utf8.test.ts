import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeModifiedUtf8, encodeModifiedUtf8 } from '../../../src/metadata/modified-utf8.ts'

function decode(bytes: Buffer): string | number {
  return decodeModifiedUtf8(
    bytes,
    new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    0,
    bytes.length,
  )
}

/** Any UTF-16 text, lone surrogates too: Java writes them as they are. */
const anyUnits = fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units))

describe('modified UTF-8', () => {
  it('gives back every text', () => {
    fc.assert(
      fc.property(anyUnits, (text) => {
        expect(decode(encodeModifiedUtf8(text))).toBe(text)
      }),
    )
  })

  it('is UTF-8 for texts without NUL and supplementary characters', () => {
    const plain = fc.string({ unit: 'grapheme' }).filter((text) => !/[\0\ud800-\udfff]/.test(text))
    fc.assert(
      fc.property(plain, (text) => {
        expect(Buffer.compare(encodeModifiedUtf8(text), Buffer.from(text))).toBe(0)
      }),
    )
  })

  it('writes NUL in two bytes and supplementary characters in six', () => {
    expect(encodeModifiedUtf8('\0').toString('hex')).toBe('c080')
    expect(encodeModifiedUtf8('\u{1f600}').toString('hex')).toBe('eda0bdedb880')
  })

  it.each([
    ['80', 0],
    ['41c2', 1],
    ['4141e28241', 2],
    ['f09f9880', 0],
    ['41414141ff', 4],
  ])('answers where %s is malformed', (hex, at) => {
    expect(decode(Buffer.from(hex, 'hex'))).toBe(at)
  })

  it('never throws on any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const text = decode(Buffer.from(bytes))
        if (typeof text === 'number') expect(text).toBeLessThan(bytes.length)
      }),
    )
  })
})
