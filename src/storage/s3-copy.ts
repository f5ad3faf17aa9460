/**
 * Copying inside a store: no byte comes to us. A CopyObject that fails on its way answers 200 with an error in its body
 * (S3 API, CopyObject: "a 200 OK response can contain either a success or an error"); the SDK throws those it knows, and an
 * answer without the ETag of the copy is a failure too. What is larger than one request takes is copied in parts, and becomes
 * the object when all of them are there.
 */
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  S3ServiceException,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import { StorageError } from '../domain/errors.ts'
import type { Location } from '../domain/location.ts'
import { requireObjectBelow } from './guard.ts'
import type { CopyInside } from './open-store.ts'
import { ask, keyOf, type S3Connection } from './s3-connection.ts'
import { toStorageError } from './s3-errors.ts'

const MIB = 1024 * 1024
/** A copy moves at least so much in the time of one call. */
const BYTES_PER_CALL = 64 * MIB
const MAX_PARTS = 10_000
const PARTS_AT_ONCE = 4

/** false: this store copies nothing by itself. */
export async function copyObject(
  connection: S3Connection,
  source: CopyInside,
  target: Location,
): Promise<boolean> {
  requireObjectBelow(source.root, source.location)
  requireObjectBelow(connection.root, target)
  try {
    if (source.sizeBytes <= connection.limits.singleCopyBytes) await copyWhole(connection, source, target)
    else await copyInParts(connection, source, target)
    return true
  } catch (error) {
    if (copiesNothing(error)) return false
    throw error
  }
}

async function copyWhole(connection: S3Connection, source: CopyInside, target: Location): Promise<void> {
  const command = new CopyObjectCommand({ ...placeOf(connection, target), CopySource: sourceOf(source) })
  const answer = await transfer(connection, source.sizeBytes, (options) =>
    connection.client.send(command, options),
  )
  requireETag(answer.CopyObjectResult?.ETag)
}

async function copyInParts(connection: S3Connection, source: CopyInside, target: Location): Promise<void> {
  const partBytes = Math.max(connection.limits.copyPartBytes, Math.ceil(source.sizeBytes / MAX_PARTS))
  const place = placeOf(connection, target)
  const { UploadId: uploadId } = await ask(connection, 'Copying', (options) =>
    connection.client.send(new CreateMultipartUploadCommand(place), options),
  )
  if (uploadId === undefined) throw new StorageError('refused', 'Copying: the store named no upload')
  const upload = { ...place, UploadId: uploadId }
  try {
    const parts = await copyParts(connection, upload, source, partBytes)
    const command = new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: parts } })
    const answer = await transfer(connection, source.sizeBytes, (options) =>
      connection.client.send(command, options),
    )
    requireETag(answer.ETag)
  } catch (error) {
    await ask(connection, 'Copying', (options) =>
      connection.client.send(new AbortMultipartUploadCommand(upload), options),
    ).catch(() => undefined) // a lifecycle rule takes what is left
    throw error
  }
}

async function copyParts(
  connection: S3Connection,
  upload: { Bucket: string; Key: string; UploadId: string },
  source: CopyInside,
  partBytes: number,
): Promise<CompletedPart[]> {
  const parts: CompletedPart[] = []
  const count = Math.ceil(source.sizeBytes / partBytes)
  const copyPart = async (number: number): Promise<void> => {
    const first = (number - 1) * partBytes
    const last = Math.min(first + partBytes, source.sizeBytes) - 1
    const command = new UploadPartCopyCommand({
      ...upload,
      PartNumber: number,
      CopySource: sourceOf(source),
      CopySourceRange: `bytes=${first}-${last}`,
    })
    const answer = await transfer(connection, last - first + 1, (options) =>
      connection.client.send(command, options),
    )
    parts[number - 1] = { PartNumber: number, ETag: requireETag(answer.CopyPartResult?.ETag) }
  }
  let next = 1
  const workers = Array.from({ length: Math.min(PARTS_AT_ONCE, count) }, async () => {
    while (next <= count) {
      const number = next
      next += 1
      await copyPart(number).catch((error: unknown) => {
        next = count + 1 // the others end what they have in hand, so that nothing is sent after the abort
        throw error
      })
    }
  })
  const ended = await Promise.allSettled(workers)
  for (const each of ended) if (each.status === 'rejected') throw each.reason
  return parts
}

/** `bucket/key` in the request's header, percent-encoded; the SDK sends it as it is. */
const sourceOf = ({ location }: CopyInside): string =>
  [location.bucket, ...location.segments].map(encodeURIComponent).join('/')

const placeOf = ({ bucket }: S3Connection, location: Location) => ({ Bucket: bucket, Key: keyOf(location) })

function requireETag(etag: string | undefined): string {
  if (etag === undefined || etag === '')
    throw new StorageError('unreachable', 'Copying: the store answered without the ETag of the copy')
  return etag
}

const copiesNothing = (error: unknown): boolean =>
  error instanceof StorageError &&
  error.cause instanceof S3ServiceException &&
  (error.cause.name === 'NotImplemented' || error.cause.$metadata.httpStatusCode === 501)

async function transfer<T>(
  { limits }: S3Connection,
  sizeBytes: number,
  send: (options: { abortSignal: AbortSignal; requestTimeout: number }) => Promise<T>,
): Promise<T> {
  const timeoutMs = limits.callTimeoutMs * Math.max(1, Math.ceil(sizeBytes / BYTES_PER_CALL))
  try {
    return await send({ abortSignal: AbortSignal.timeout(timeoutMs), requestTimeout: timeoutMs })
  } catch (error) {
    throw toStorageError('Copying', error)
  }
}
