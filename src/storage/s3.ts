/** The object store on the S3 protocol. Every location passes the guard before a request is built from it. */
import { PutObjectCommand } from '@aws-sdk/client-s3'
import type { Location } from '../domain/location.ts'
import type { Secrets, StorageAddress } from '../ports/storage.ts'
import { requireObjectBelow } from './guard.ts'
import type { OpenStore } from './open-store.ts'
import { resolveAddressing, type S3Provider } from './providers.ts'
import { createS3Client, DEFAULT_S3_LIMITS, type S3Limits } from './s3-client.ts'
import { ask, keyOf, type S3Connection, throwBucketMissing } from './s3-connection.ts'
import { copyObject } from './s3-copy.ts'
import { createDeleter } from './s3-delete.ts'
import { findStorageRules } from './s3-lifecycle.ts'
import { createMissingProof, listObjects } from './s3-list.ts'
import { headObject, readObject, readObjectRange } from './s3-read.ts'
import { putObjectStream } from './s3-upload.ts'
import { createVersionedObjects } from './s3-versions.ts'

export function openS3Store(
  provider: S3Provider,
  address: StorageAddress,
  secrets: Secrets,
  limits: Partial<S3Limits> = {},
): OpenStore {
  const addressing = resolveAddressing(provider, address)
  const allLimits = { ...DEFAULT_S3_LIMITS, ...limits }
  const connection: S3Connection = {
    client: createS3Client(address, addressing, secrets, allLimits),
    bucket: address.root.bucket,
    root: address.root,
    limits: allLimits,
    batchSize: addressing.deleteBatchSize,
    archiveClasses: addressing.archiveClasses,
  }
  const proveMissing = createMissingProof(connection)
  const remove = createDeleter(connection)
  return {
    list: (prefix, options) => listObjects(connection, prefix, options),
    head: (location) => headObject(connection, location).catch(proveMissing),
    readRange: (location, offset, length) =>
      readObjectRange(connection, location, offset, length).catch(proveMissing),
    read: (location) => readObject(connection, location, proveMissing),
    put: (location, bytes) => putObject(connection, location, bytes),
    putStream: (location, content) => putObjectStream(connection, location, content),
    deleteMany: (locations, options) =>
      remove(
        locations.map((location) => ({ location })),
        options,
      ),
    copyInside: (source, target) => copyObject(connection, source, target),
    versions: createVersionedObjects(connection, remove),
    findRules: () => findStorageRules(connection),
    close: () => connection.client.destroy(),
  }
}

async function putObject(connection: S3Connection, location: Location, bytes: Uint8Array): Promise<void> {
  requireObjectBelow(connection.root, location)
  const command = new PutObjectCommand({ Bucket: connection.bucket, Key: keyOf(location), Body: bytes })
  await ask(connection, 'Writing', (options) => connection.client.send(command, options)).catch(
    throwBucketMissing,
  )
}
