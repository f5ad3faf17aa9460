/**
 * Buckets that keep versions: there a deletion without a version only hides the object. So clearing lists every version and
 * marker below a prefix and deletes each by its id. This needs s3:GetBucketVersioning, s3:ListBucketVersions and
 * s3:DeleteObjectVersion; a bucket that does not say whether it keeps versions is an error, never a guess.
 */
import {
  type _Error,
  type DeleteMarkerEntry,
  DeleteObjectsCommand,
  GetBucketVersioningCommand,
  type ObjectVersion as ListedVersion,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import { StorageError } from '../domain/errors.ts'
import type { Location } from '../domain/location.ts'
import type { ObjectVersion, VersionedObjects } from '../ports/storage.ts'
import { type KeyFailure, runInBatches } from './delete-batches.ts'
import { findUnsafe, requireBelow, requireInside, withoutFolderMark } from './guard.ts'
import { ask, keyOf, prefixOf, type S3Connection, throwBucketMissing } from './s3-connection.ts'

const MAX_PAGE = 1000
/** Switched on in between, the next deletion would only hide: the answer is not kept for long. */
const ANSWER_HOLDS_MS = 60_000

type Deletion = { location: Location; versionId: string }

export function createVersionedObjects(connection: S3Connection): VersionedObjects {
  let known: { kept: boolean; at: number } | null = null
  return {
    async areKept() {
      if (known && performance.now() - known.at < ANSWER_HOLDS_MS) return known.kept
      const kept = await askWhetherKept(connection)
      known = { kept, at: performance.now() }
      return kept
    },
    list: (prefix, options) => listVersions(connection, prefix, options?.pageToken),
    deleteMany: (versions) => deleteVersions(connection, versions),
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

// --------------------------------------------------------------------------------------------------- delete

/** As `deleteObjects`: outside the root is a mistake of ours and stops the call; an odd key below it is never sent. */
async function deleteVersions(
  connection: S3Connection,
  versions: readonly Deletion[],
): ReturnType<VersionedObjects['deleteMany']> {
  for (const { location } of versions) requireInside(connection.root, location)
  const byName = new Map<string, Deletion>()
  const failures: Awaited<ReturnType<VersionedObjects['deleteMany']>> = []
  for (const version of versions) {
    const problem = findUnsafe(withoutFolderMark(version.location))
    if (problem === null) byName.set(nameOf(keyOf(version.location), version.versionId), version)
    else failures.push({ ...version, code: 'LOCATION_INVALID', message: `Never sent: ${problem}` })
  }
  const refused = await runInBatches([...byName.keys()], connection.batchSize, (names) =>
    deleteBatch(
      connection,
      names.flatMap((name) => byName.get(name) ?? []),
    ),
  )
  for (const { key, code, message } of refused) {
    const version = byName.get(key)
    if (version !== undefined) failures.push({ ...version, code, message })
  }
  return failures
}

/** A key may hold anything but its own end: the id comes first. */
const nameOf = (key: string, versionId: string): string => JSON.stringify([versionId, key])

async function deleteBatch(connection: S3Connection, versions: readonly Deletion[]): Promise<KeyFailure[]> {
  const command = new DeleteObjectsCommand({
    Bucket: connection.bucket,
    Delete: {
      Objects: versions.map(({ location, versionId }) => ({ Key: keyOf(location), VersionId: versionId })),
    },
  })
  const answer = await ask(connection, 'Deleting versions', (options) =>
    connection.client.send(command, options),
  ).catch(throwBucketMissing)
  const errors = answer.Errors ?? []
  if (errors.length === 0 && (answer.Deleted ?? []).length === 0) {
    throw new StorageError('unreachable', 'The store answered a deletion without saying what it deleted')
  }
  return readFailures(versions, errors)
}

function readFailures(versions: readonly Deletion[], errors: readonly _Error[]): KeyFailure[] {
  const names = versions.map(({ location, versionId }) => nameOf(keyOf(location), versionId))
  const asked = new Set(names)
  return errors.flatMap(
    ({ Key: key, VersionId: versionId, Code: code = 'Unknown', Message: message = '' }) => {
      if (code === 'NoSuchKey' || code === 'NoSuchVersion') return []
      const name = key === undefined || versionId === undefined ? null : nameOf(key, versionId)
      if (name !== null && asked.has(name)) return [{ key: name, code, message }]
      // an error about a version we cannot recognise may be about any of them
      return names.map((each) => ({
        key: each,
        code,
        message: `${message} (said of ${JSON.stringify(key)})`,
      }))
    },
  )
}
