import { describe, expect, it } from 'vitest'
import { ConfigError, readConfig } from '../../src/config.ts'

describe('the configuration', () => {
  it('needs nothing: every setting has a default', () => {
    const config = readConfig({})
    expect(config.port).toBe(8080)
    expect(config.redisUrl).toBeNull()
    expect(Object.isFrozen(config)).toBe(true)
  })

  it('lists every problem at once', () => {
    const env = {
      TIDEMARK_PORT: 'eighty',
      TIDEMARK_LEASE_MS: '-1',
      TIDEMARK_LOG_LEVEL: 'loud',
      TIDEMARK_PROT: '80',
    }
    expect(() => readConfig(env)).toThrow(ConfigError)
    expect(() => readConfig(env)).toThrow(/TIDEMARK_PORT must be/)
    expect(() => readConfig(env)).toThrow(/TIDEMARK_LOG_LEVEL must be one of/)
    expect(() => readConfig(env)).toThrow(/TIDEMARK_LEASE_MS must be a whole number/)
    expect(() => readConfig(env)).toThrow(/TIDEMARK_PROT is not a setting/)
  })

  it('takes boundary values as numbers and nothing else', () => {
    expect(readConfig({ TIDEMARK_PORT: '0' }).port).toBe(0)
    for (const value of ['65536', '-1', '1.5', '0x10', ' 80', '1e3']) {
      expect(() => readConfig({ TIDEMARK_PORT: value })).toThrow(/TIDEMARK_PORT/)
    }
  })

  it('reads one token per namespace, and refuses short ones', () => {
    expect(readConfig({ TIDEMARK_TOKENS: 'default:0123456789abcdef,b:fedcba9876543210' }).tokens).toEqual([
      { namespace: 'default', token: '0123456789abcdef' },
      { namespace: 'b', token: 'fedcba9876543210' },
    ])
    expect(() => readConfig({ TIDEMARK_TOKENS: 'default:short' })).toThrow(/TIDEMARK_TOKENS/)
  })

  it('never prints a token in a problem', () => {
    const wrong = () => readConfig({ TIDEMARK_TOKENS: 'Default:0123456789abcdef' })
    expect(wrong).toThrow(ConfigError)
    expect(wrong).not.toThrow(/0123456789abcdef/)
  })

  it('takes an empty variable as unset', () => {
    expect(readConfig({ REDIS_URL: '' }).redisUrl).toBeNull()
  })
})
