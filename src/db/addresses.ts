/** From rows to addresses. The key is made of the settings themselves, so no adapter keeps a pool for old ones. */
import { parseLocation } from '../domain/location.ts'
import type { ClusterAddress } from '../ports/flink.ts'
import type { StorageAddress } from '../ports/storage.ts'

export const toClusterAddress = (row: {
  id: string
  namespace: string
  url: string
  auth: ClusterAddress['auth']
}): ClusterAddress => ({
  key: JSON.stringify([row.id, row.url, row.auth]),
  namespace: row.namespace,
  url: row.url,
  auth: row.auth,
})

export const toStorageAddress = (row: {
  id: string
  namespace: string
  uri: string
  provider: StorageAddress['provider']
  endpoint: string | null
  region: string | null
  pathStyle: boolean | null
  credentials: StorageAddress['credentials']
}): StorageAddress => ({
  key: JSON.stringify([
    row.id,
    row.uri,
    row.provider,
    row.endpoint,
    row.region,
    row.pathStyle,
    row.credentials,
  ]),
  namespace: row.namespace,
  root: parseLocation(row.uri),
  provider: row.provider,
  endpoint: row.endpoint,
  region: row.region,
  pathStyle: row.pathStyle,
  credentials: row.credentials,
})
