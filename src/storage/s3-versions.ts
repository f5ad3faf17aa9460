/**
 * Buckets that keep versions: there a deletion without a version only hides the object. So clearing lists every version and
 * marker below a prefix and deletes each by its id. This needs s3:GetBucketVersioning, s3:ListBucketVersions and
 * s3:DeleteObjectVersion; a bucket that does not say whether it keeps versions is an error, never a guess.
 */
import {
  type DeleteMarkerEntry,
  GetBucketVersioningCommand,
  type ObjectVersion as ListedVersion,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import { StorageError } from '../domain/errors.ts'
import type { Location } from '../domain/location.ts'
import type { ObjectVersion, VersionedObjects } from '../ports/storage.ts'
import { requireBelow } from './guard.ts'
import { ask, prefixOf, type S3Connection, throwBucketMissing } from './s3-connection.ts'
import type { Deleter } from './s3-delete.ts'

const MAX_PAGE = 1000
/** Switched on in between, the next deletion would only hide: the answer is not kept for long. */
const ANSWER_HOLDS_MS = 60_000

export function createVersionedObjects(connection: S3Connection, remove: Deleter): VersionedObjects {
  let known: { kept: boolean; at: number } | null = null
  return {
    async areKept() {
      if (known && performance.now() - known.at < ANSWER_HOLDS_MS) return known.kept
      const kept = await askWhetherKept(connection)
      known = { kept, at: performance.now() }
      return kept
    },
    list: (prefix, options) => listVersions(connection, prefix, options?.pageToken),
    deleteMany: remove,
  }
}

/** Suspended: what was there before still has its versions. */
async function askWhetherKept(connection: S3Connection): Promise<boolean> {
  const command = new GetBucketVersioningCommand({ Bucket: connection.bucket })
  try {
    const { Status: status } = await ask(connection, 'Asking whether versions are kept', (options) =>
      connection.client.send(command, options),
    ).catch(throwBucketMissing)
    return status === 'Enabled' || status === 'Suspended'
  } catch (error) {
    if (doesNotKnowVersions(error)) return false
    throw error
  }
}

/** A store that has never heard of versions keeps none. */
function doesNotKnowVersions(error: unknown): boolean {
  const cause = error instanceof StorageError ? error.cause : null
  if (!(cause instanceof S3ServiceException)) return false
  return (
    cause.name === 'NotImplemented' ||
    cause.name === 'MethodNotAllowed' ||
    cause.$metadata.httpStatusCode === 501 ||
    cause.$metadata.httpStatusCode === 405
  )
}

// ----------------------------------------------------------------------------------------------------- list

async function listVersions(
  connection: S3Connection,
  prefix: Location,
  pageToken?: string,
): Promise<{ objects: ObjectVersion[]; nextPageToken: string | null }> {
  requireBelow(connection.root, prefix)
  const [keyMarker, versionMarker] = pageToken === undefined ? [] : decodeToken(pageToken)
  const command = new ListObjectVersionsCommand({
    Bucket: connection.bucket,
    Prefix: prefixOf(prefix),
    MaxKeys: MAX_PAGE,
    KeyMarker: keyMarker,
    VersionIdMarker: versionMarker,
  })
  const answer = await ask(connection, 'Listing versions', (options) =>
    connection.client.send(command, options),
  ).catch(throwBucketMissing)
  // an empty body parses as an empty listing; "nothing there" must be said
  if (answer.IsTruncated === undefined) {
    throw new StorageError('unreachable', 'The store answered a listing of versions without content')
  }
  const entries = [...(answer.Versions ?? []), ...(answer.DeleteMarkers ?? [])]
  return { objects: entries.map((entry) => toVersion(prefix, entry)), nextPageToken: tokenAfter(answer) }
}

function tokenAfter(answer: ListObjectVersionsCommandOutput): string | null {
  if (answer.IsTruncated !== true) return null
  const { NextKeyMarker: key, NextVersionIdMarker: version } = answer
  if (key === undefined) {
    throw new StorageError('refused', 'The store cut a listing of versions without saying how to go on')
  }
  return JSON.stringify(version === undefined ? [key] : [key, version])
}

/** A token of ours, from a page before. */
const decodeToken = (token: string): string[] => {
  const value: unknown = JSON.parse(token)
  return Array.isArray(value) ? value.map(String) : []
}

function toVersion(prefix: Location, entry: ListedVersion | DeleteMarkerEntry): ObjectVersion {
  const { Key: key, VersionId: versionId } = entry
  if (key === undefined || !key.startsWith(prefixOf(prefix))) {
    throw new StorageError(
      'refused',
      `The store listed ${JSON.stringify(key)}, which is not below the prefix`,
    )
  }
  if (versionId === undefined || versionId === '') {
    throw new StorageError('refused', 'The store listed a version without its id')
  }
  const sizeBytes = 'Size' in entry ? (entry.Size ?? 0) : 0
  return { location: { ...prefix, segments: key.split('/') }, sizeBytes, versionId }
}
