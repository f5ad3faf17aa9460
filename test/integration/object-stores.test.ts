import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { ObjectStores } from '../../src/ports/storage.ts'
import { createObjectStores } from '../../src/storage/stores.ts'
import { type ScriptedS3, sendListing, startScriptedS3 } from '../support/scripted-s3.ts'
import { fixedSecrets, storageAddress } from '../support/storage-address.ts'

let server: ScriptedS3
let stores: ObjectStores
beforeAll(async () => {
  server = await startScriptedS3()
  server.answerWith((_request, response) => sendListing(response, []))
  stores = createObjectStores({ secrets: fixedSecrets, idleMs: 50 })
})
afterAll(async () => {
  await stores.close()
  await server.close()
})

const address = () => storageAddress('s3://bucket/root', { provider: 'minio', endpoint: server.url })

it('keeps one store per address and opens another one when the address changes', () => {
  const store = stores.of(address())
  expect(stores.of(address())).toBe(store)
  expect(stores.of({ ...address(), key: 'changed' })).not.toBe(store)
  expect(stores.of({ ...address(), namespace: 'other' })).not.toBe(store)
})

it('closes an idle store, and whoever kept it can still use it', async () => {
  const store = stores.of(address())
  await store.list(address().root)
  await vi.waitFor(() => expect(stores.of(address())).not.toBe(store), { timeout: 2_000 })
  await expect(store.list(address().root)).resolves.toEqual({ objects: [], nextPageToken: null })
})

it('does not close a store under a slow call', async () => {
  server.answerWith((_request, response) => setTimeout(() => sendListing(response, ['root/a']), 300))
  await expect(stores.of(address()).list(address().root)).resolves.toMatchObject({ nextPageToken: null })
  server.answerWith((_request, response) => sendListing(response, []))
})

it('has no store for what only Flink can reach', () => {
  const refused = expect.objectContaining({ code: 'STORAGE_NOT_ADDRESSABLE' })
  expect(() => stores.of({ ...address(), key: 'flink', provider: 'flink-only' })).toThrow(refused)
})

it.each([
  [{ provider: 'minio', endpoint: null }, '/body/endpoint'],
  [{ provider: 'generic', endpoint: null }, '/body/endpoint'],
  [{ provider: 'oss', endpoint: null }, '/body/region'],
  [{ provider: 'oss', endpoint: null, region: 'cn.evil.example/' }, '/body/region'],
  [{ provider: 'oss', region: 'cn-hangzhou', pathStyle: true }, '/body/pathStyle'],
  [{ provider: 'minio', endpoint: 'not a url' }, '/body/endpoint'],
  [{ provider: 'minio', endpoint: 'file:///etc' }, '/body/endpoint'],
  [{ provider: 'minio', endpoint: 'http://user:password@host' }, '/body/endpoint'],
  [{ provider: 'minio', endpoint: 'http://host/?a=b' }, '/body/endpoint'],
] as const)('refuses at once the address %j', (overrides, pointer) => {
  const refused = expect.objectContaining({
    code: 'VALIDATION_FAILED',
    errors: [expect.objectContaining({ pointer })],
  })
  expect(() => stores.of({ ...address(), key: 'refused', ...overrides })).toThrow(refused)
})

it('is closed for good', async () => {
  const closing = createObjectStores({ secrets: fixedSecrets })
  const store = closing.of(address())
  await closing.close()
  expect(() => closing.of(address())).toThrow('closed')
  await expect(store.list(address().root)).rejects.toThrow('closed')
})
