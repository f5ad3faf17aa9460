/** What differs between stores that speak S3. One row per provider; nothing else in this folder asks who it talks to. */
import { DomainError } from '../domain/errors.ts'
import type { StorageProvider } from '../domain/resources.ts'
import type { StorageAddress } from '../ports/storage.ts'

export type S3Provider = Exclude<StorageProvider, 'local' | 'flink-only'>

type Profile = {
  /** `bucket.host/key` or `host/bucket/key`; `only-…` where the other one does not exist. */
  addressing: 'virtual-hosted' | 'only-virtual-hosted' | 'path'
  /** Endpoint of a region; `null` where the SDK knows better, `required` where nobody can know. */
  endpoint: ((region: string) => string) | 'sdk' | 'required'
  /** Signing region when none is given; null leaves it to the SDK (AWS) or makes it required. */
  defaultRegion: string | null
  /** What proves the body of DeleteObjects: AWS checks CRC32, the others know only Content-MD5. */
  deleteIntegrity: 'crc32' | 'content-md5'
  /** Keys per DeleteObjects; 1000 is the most the protocol allows. */
  deleteBatchSize: number
  /** Storage classes that must be brought back before they can be read, in upper case. */
  archiveClasses: readonly string[]
}

const PROFILES: Readonly<Record<S3Provider, Profile>> = {
  aws: {
    addressing: 'virtual-hosted',
    endpoint: 'sdk',
    defaultRegion: null,
    deleteIntegrity: 'crc32',
    deleteBatchSize: 1000,
    archiveClasses: ['GLACIER', 'DEEP_ARCHIVE'],
  },
  oss: {
    addressing: 'only-virtual-hosted',
    endpoint: (region) => `https://s3.oss-${region.replace(/^oss-/, '')}.aliyuncs.com`,
    defaultRegion: null,
    deleteIntegrity: 'content-md5',
    deleteBatchSize: 1000,
    archiveClasses: ['ARCHIVE', 'COLDARCHIVE', 'DEEPCOLDARCHIVE', 'GLACIER'],
  },
  cos: {
    addressing: 'virtual-hosted', // buckets older than 2024 still take paths
    endpoint: (region) => `https://cos.${region}.myqcloud.com`,
    defaultRegion: null,
    deleteIntegrity: 'content-md5',
    deleteBatchSize: 1000,
    archiveClasses: ['ARCHIVE', 'DEEP_ARCHIVE'],
  },
  obs: {
    addressing: 'virtual-hosted',
    endpoint: (region) => `https://obs.${region}.myhuaweicloud.com`,
    defaultRegion: null,
    deleteIntegrity: 'content-md5',
    deleteBatchSize: 1000,
    archiveClasses: ['COLD', 'GLACIER', 'DEEP_ARCHIVE'],
  },
  gcs: {
    addressing: 'virtual-hosted',
    endpoint: () => 'https://storage.googleapis.com',
    defaultRegion: 'auto',
    deleteIntegrity: 'content-md5',
    deleteBatchSize: 1000,
    archiveClasses: [], // its ARCHIVE is read like any other
  },
  minio: {
    addressing: 'path',
    endpoint: 'required',
    defaultRegion: 'us-east-1',
    deleteIntegrity: 'content-md5',
    deleteBatchSize: 1000,
    archiveClasses: [], // what it has moved elsewhere is read through it
  },
  generic: {
    addressing: 'path',
    endpoint: 'required',
    defaultRegion: 'us-east-1',
    deleteIntegrity: 'content-md5',
    deleteBatchSize: 1000, // one that is too slow for it gets smaller ones (delete-queue.ts)
    archiveClasses: ['GLACIER', 'DEEP_ARCHIVE', 'ARCHIVE'],
  },
}

export type Addressing = {
  /** null: the SDK's own. */
  endpoint: string | null
  region: string | null
  pathStyle: boolean
  deleteIntegrity: Profile['deleteIntegrity']
  deleteBatchSize: number
  archiveClasses: readonly string[]
}

const refuse = (property: string, detail: string): never => {
  throw new DomainError('VALIDATION_FAILED', detail, { errors: [{ pointer: `/body/${property}`, detail }] })
}

/** How to speak to this store; throws VALIDATION_FAILED when the storage does not say enough, or the impossible. */
export function resolveAddressing(provider: S3Provider, address: StorageAddress): Addressing {
  const profile = PROFILES[provider]
  if (profile.addressing === 'only-virtual-hosted' && address.pathStyle === true) {
    return refuse('pathStyle', `${provider} knows virtual-hosted addressing only`)
  }
  const endpoint =
    address.endpoint === null ? defaultEndpoint(provider, address) : checkEndpoint(address.endpoint)
  return {
    endpoint,
    // where a region only names the endpoint, an explicit endpoint makes it free to choose
    region: address.region ?? profile.defaultRegion ?? (provider === 'aws' ? null : 'us-east-1'),
    pathStyle: address.pathStyle ?? profile.addressing === 'path',
    deleteIntegrity: profile.deleteIntegrity,
    deleteBatchSize: profile.deleteBatchSize,
    archiveClasses: profile.archiveClasses,
  }
}

function defaultEndpoint(provider: S3Provider, address: StorageAddress): string | null {
  const { endpoint, defaultRegion } = PROFILES[provider]
  if (endpoint === 'sdk') return null
  if (endpoint === 'required') return refuse('endpoint', `${provider} needs an endpoint`)
  const region = address.region ?? defaultRegion
  if (region === null) return refuse('region', `${provider} needs a region or an endpoint`)
  // the region becomes part of a host name
  if (!/^[a-z0-9-]{1,63}$/.test(region))
    return refuse('region', 'a region has lower-case letters, digits and dashes')
  return endpoint(region)
}

function checkEndpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : refuse('endpoint', 'the endpoint is not a URL')
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    return refuse('endpoint', 'the endpoint is not http(s)')
  if (url.username !== '' || url.password !== '')
    return refuse('endpoint', 'the endpoint contains credentials')
  if (url.search !== '' || url.hash !== '')
    return refuse('endpoint', 'the endpoint contains a query or a fragment')
  return text
}
