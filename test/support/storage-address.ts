import { parseLocation } from '../../src/domain/location.ts'
import type { Secrets, StorageAddress } from '../../src/ports/storage.ts'

export const storageAddress = (uri: string, overrides: Partial<StorageAddress> = {}): StorageAddress => ({
  key: `${uri} ${overrides.endpoint}`,
  namespace: 'default',
  root: parseLocation(uri),
  provider: 'generic',
  endpoint: null,
  region: null,
  pathStyle: null,
  credentials: {
    accessKeyId: { env: 'TIDEMARK_SECRET_DEFAULT_ID' },
    secretAccessKey: { env: 'TIDEMARK_SECRET_DEFAULT_KEY' },
  },
  ...overrides,
})

export const fixedSecrets: Secrets = { read: async () => 'test' }
