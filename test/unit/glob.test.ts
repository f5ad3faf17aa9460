import { describe, expect, it } from 'vitest'
import { compileGlob } from '../../src/domain/glob.ts'

describe('a pattern over Flink job names', () => {
  it.each([
    ['*', '', true],
    ['*', 'anything at all', true],
    ['orders', 'orders', true],
    ['orders', 'orders-2', false],
    ['orders', 'Orders', false],
    ['orders-*', 'orders-eu', true],
    ['orders-*', 'orders-', true],
    ['orders-*', 'orders', false],
    ['*-eu', 'orders-eu', true],
    ['*-eu', 'orders-eu-2', false],
    ['or*rs', 'orders', true],
    ['*a*b*', 'xxaxxbxx', true],
    ['*a*b*', 'xxbxxaxx', false],
    ['*ab', 'aab', true],
    ['*aab', 'aaaab', true],
    ['orders-?', 'orders-1', true],
    ['orders-?', 'orders-', false],
    ['orders-?', 'orders-12', false],
    ['?', '🚀', true],
    ['??', '🚀', false],
    ['*?', '', false],
    ['?*', 'a', true],
    ['', '', true],
    ['', 'a', false],
  ])('%j on %j is %s', (pattern, name, expected) => {
    expect(compileGlob(pattern)(name)).toBe(expected)
  })

  it.each(['a.b', '(a+)+$', '[a-z]', 'a|b', '{a,b}', '\\d', '^a', '!a'])(
    'takes %j for itself and nothing else',
    (pattern) => {
      expect(compileGlob(pattern)(pattern)).toBe(true)
      expect(compileGlob(pattern)('a')).toBe(false)
      expect(compileGlob(pattern)('aXb')).toBe(false)
    },
  )

  it('needs no more than pattern times name steps for a hostile pattern', () => {
    const hostile = compileGlob(`${'*a'.repeat(127)}b`)
    const startedAt = performance.now()
    expect(hostile('a'.repeat(10_000))).toBe(false)
    expect(compileGlob(`${'*?'.repeat(127)}b`)('a'.repeat(10_000))).toBe(false)
    expect(performance.now() - startedAt).toBeLessThan(1_000)
  })
})
