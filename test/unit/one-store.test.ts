import { describe, expect, it } from 'vitest'
import { isOneStore } from '../../src/storage/copy-objects.ts'
import { storageAddress } from '../support/storage-address.ts'

const bucket = (name: string, overrides: Parameters<typeof storageAddress>[1] = {}) =>
  storageAddress(`s3://${name}/root`, { provider: 'minio', endpoint: 'http://s3:9000', ...overrides })

describe('two storages are one store', () => {
  it('when whoever reaches one reaches the other by the same requests', () => {
    expect(isOneStore(bucket('a'), bucket('b'))).toBe(true)
    expect(isOneStore(bucket('a'), bucket('b', { pathStyle: true }))).toBe(true)
    const secretFirst = {
      secretAccessKey: { env: 'TIDEMARK_SECRET_DEFAULT_KEY' },
      accessKeyId: { env: 'TIDEMARK_SECRET_DEFAULT_ID' },
    }
    expect(isOneStore(bucket('a'), bucket('b', { credentials: secretFirst }))).toBe(true)
  })

  it.each([
    ['another endpoint', { endpoint: 'http://other:9000' }],
    ['another provider', { provider: 'generic' as const }],
    ['another region', { region: 'eu-1' }],
    ['other credentials', { credentials: { accessKeyId: { env: 'X' }, secretAccessKey: { env: 'Y' } } }],
    ['the credentials of the machine', { credentials: null }],
    ['another namespace', { namespace: 'theirs' }],
  ])('but not with %s', (_, overrides) => {
    expect(isOneStore(bucket('a'), bucket('b', overrides))).toBe(false)
  })

  it('when both lie on this machine', () => {
    const local = (path: string) => storageAddress(`file://${path}`, { provider: 'local', credentials: null })
    expect(isOneStore(local('/a'), local('/b'))).toBe(true)
    expect(isOneStore(local('/a'), bucket('b'))).toBe(false)
  })
})
