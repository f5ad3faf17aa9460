import type { S3Client } from '@aws-sdk/client-s3'
import { StorageError } from '../domain/errors.ts'
import type { Location } from '../domain/location.ts'
import type { S3Limits } from './s3-client.ts'
import { isNotFound, toStorageError } from './s3-errors.ts'

export type S3Connection = {
  client: S3Client
  bucket: string
  root: Location
  limits: S3Limits
  batchSize: number
  /** Storage classes that cannot be read at once, in upper case. */
  archiveClasses: readonly string[]
}

export const keyOf = (location: Location): string => location.segments.join('/')

/** Keys below a folder; the root of a bucket has no name of its own. */
export const prefixOf = (folder: Location): string =>
  folder.segments.length === 0 ? '' : `${keyOf(folder)}/`

/** One bounded call; what fails is a StorageError. */
export async function ask<T>(
  { limits }: S3Connection,
  doing: string,
  send: (options: { abortSignal: AbortSignal }) => Promise<T>,
): Promise<T> {
  try {
    return await send({ abortSignal: AbortSignal.timeout(limits.callTimeoutMs) })
  } catch (error) {
    throw toStorageError(doing, error)
  }
}

/** A 404 where no object was asked for: it is the bucket that is missing. */
export function throwBucketMissing(error: unknown): never {
  throw isNotFound(error) ? new StorageError('bucket-missing', error.message, error.cause) : error
}
