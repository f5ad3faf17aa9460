import { expect, it } from 'vitest'
import { resolveAddressing } from '../../src/storage/providers.ts'
import { storageAddress } from '../support/storage-address.ts'

const addressing = (...[provider, overrides]: [Parameters<typeof resolveAddressing>[0], object]) =>
  resolveAddressing(provider, storageAddress('s3://bucket/root', { provider, ...overrides }))

it.each([
  [
    'aws',
    { region: 'eu-central-1' },
    { endpoint: null, region: 'eu-central-1', pathStyle: false, deleteIntegrity: 'crc32' },
  ],
  ['aws', {}, { endpoint: null, region: null, pathStyle: false, deleteIntegrity: 'crc32' }],
  [
    'oss',
    { region: 'oss-cn-hangzhou' },
    { endpoint: 'https://s3.oss-cn-hangzhou.aliyuncs.com', pathStyle: false },
  ],
  [
    'cos',
    { region: 'ap-guangzhou' },
    { endpoint: 'https://cos.ap-guangzhou.myqcloud.com', pathStyle: false },
  ],
  [
    'obs',
    { region: 'cn-north-4' },
    { endpoint: 'https://obs.cn-north-4.myhuaweicloud.com', pathStyle: false },
  ],
  ['gcs', {}, { endpoint: 'https://storage.googleapis.com', region: 'auto', pathStyle: false }],
  [
    'minio',
    { endpoint: 'http://minio:9000' },
    { endpoint: 'http://minio:9000', region: 'us-east-1', pathStyle: true },
  ],
  [
    'minio',
    { endpoint: 'http://minio:9000', pathStyle: false },
    { pathStyle: false, deleteIntegrity: 'content-md5' },
  ],
  ['generic', { endpoint: 'https://s3.example.org' }, { pathStyle: true, deleteBatchSize: 1000 }],
] as const)('speaks to %s with %j as its profile says', (provider, overrides, expected) => {
  expect(addressing(provider, overrides)).toMatchObject(expected)
})
