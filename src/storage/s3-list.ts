import { type _Object, ListObjectsV2Command, type ListObjectsV2CommandOutput } from '@aws-sdk/client-s3'
import { StorageError } from '../domain/errors.ts'
import type { Location } from '../domain/location.ts'
import type { ObjectPage, StoredObject } from '../ports/storage.ts'
import { requireBelow } from './guard.ts'
import { mayBeArchived } from './s3-archive.ts'
import { ask, prefixOf, type S3Connection, throwBucketMissing } from './s3-connection.ts'
import { isNotFound, namesMissingKey } from './s3-errors.ts'

const MAX_PAGE = 1000

export async function listObjects(
  connection: S3Connection,
  prefix: Location,
  options: { pageSize?: number; pageToken?: string } = {},
): Promise<ObjectPage> {
  requireBelow(connection.root, prefix)
  const pageSize = Math.min(Math.max(options.pageSize ?? MAX_PAGE, 1), MAX_PAGE)
  const answer = await requestPage(connection, prefix, pageSize, options.pageToken)
  const nextPageToken = answer.IsTruncated === true ? answer.NextContinuationToken : null
  if (nextPageToken === undefined) {
    throw new StorageError('refused', 'The store cut a listing without saying how to go on')
  }
  return {
    objects: (answer.Contents ?? []).map((entry) => toStoredObject(connection, prefix, entry)),
    nextPageToken,
  }
}

async function requestPage(
  connection: S3Connection,
  prefix: Location,
  pageSize: number,
  pageToken?: string,
): Promise<ListObjectsV2CommandOutput> {
  const command = new ListObjectsV2Command({
    Bucket: connection.bucket,
    Prefix: prefixOf(prefix),
    MaxKeys: pageSize,
    ContinuationToken: pageToken,
  })
  const answer = await ask(connection, 'Listing', (options) =>
    connection.client.send(command, options),
  ).catch(throwBucketMissing)
  // an empty body parses as an empty listing; "nothing there" must be said
  if (answer.IsTruncated === undefined) {
    throw new StorageError('unreachable', 'The store answered a listing without content')
  }
  return answer
}

/** The key is kept as it is, odd segments included: what cannot be named must still be seen. */
function toStoredObject(connection: S3Connection, prefix: Location, entry: _Object): StoredObject {
  const { Key: key, Size: sizeBytes, LastModified } = entry
  if (key === undefined || !key.startsWith(prefixOf(prefix))) {
    throw new StorageError(
      'refused',
      `The store listed ${JSON.stringify(key)}, which is not below the prefix`,
    )
  }
  if (sizeBytes === undefined)
    throw new StorageError('refused', 'The store listed an object without its size')
  return {
    location: { ...prefix, segments: key.split('/') },
    sizeBytes,
    modifiedAt: LastModified ?? null,
    archived: mayBeArchived(connection, entry),
  }
}

/**
 * Answers null for an error that proves a missing key, and throws every other one. A HEAD that answers 404 has no body:
 * the key, the bucket or the whole endpoint may be missing. So the root is listed once, and success is remembered.
 */
export function createMissingProof(connection: S3Connection): (error: unknown) => Promise<null> {
  let bucketProof: Promise<unknown> | null = null
  return async (error) => {
    if (!isNotFound(error)) throw error
    if (namesMissingKey(error)) return null
    bucketProof ??= requestPage(connection, connection.root, 1).catch((reason: unknown) => {
      bucketProof = null
      throw reason
    })
    await bucketProof
    return null
  }
}
