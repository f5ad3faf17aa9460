import { Readable } from 'node:stream'
import { GetObjectCommand, type GetObjectCommandOutput, HeadObjectCommand } from '@aws-sdk/client-s3'
import { StorageError } from '../domain/errors.ts'
import type { Location } from '../domain/location.ts'
import type { StoredObject } from '../ports/storage.ts'
import { requireObjectBelow } from './guard.ts'
import { isArchived } from './s3-archive.ts'
import { ask, keyOf, type S3Connection } from './s3-connection.ts'
import { isBeyondEnd, toStorageError } from './s3-errors.ts'

/** Throws StorageError `not-found` on a 404, which is not yet a proof. */
export async function headObject(connection: S3Connection, location: Location): Promise<StoredObject> {
  requireObjectBelow(connection.root, location)
  const command = new HeadObjectCommand({ Bucket: connection.bucket, Key: keyOf(location) })
  const answer = await ask(connection, 'Looking', (options) => connection.client.send(command, options))
  if (answer.ContentLength === undefined) throw new StorageError('refused', 'The store did not tell the size')
  return {
    location,
    sizeBytes: answer.ContentLength,
    modifiedAt: answer.LastModified ?? null,
    archived: isArchived(connection, answer),
  }
}

export async function readObjectRange(
  connection: S3Connection,
  location: Location,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  requireObjectBelow(connection.root, location)
  if (length === 0) {
    await headObject(connection, location) // nothing to read, but whether it exists is still asked
    return new Uint8Array(0)
  }
  return ask(connection, 'Reading', async (options) => {
    const answer = await get(connection, location, `bytes=${offset}-${offset + length - 1}`, options)
    // a store that ignores ranges sends everything
    return collect(bodyOf(answer), answer.ContentRange === undefined ? offset : 0, length)
  }).catch((error: unknown) => {
    if (isBeyondEnd(error)) return new Uint8Array(0)
    throw error
  })
}

/** The object as chunks. Only the pauses between chunks are bounded: a large object takes its time. */
export async function* readObject(
  connection: S3Connection,
  location: Location,
  proveMissing: (error: unknown) => Promise<null>,
): AsyncGenerator<Uint8Array> {
  requireObjectBelow(connection.root, location)
  const answer = await get(connection, location).catch((error: unknown) =>
    proveMissing(toStorageError('Reading', error)),
  )
  if (answer === null) throw new StorageError('not-found', `${keyOf(location)} does not exist`)
  let received = 0
  try {
    for await (const chunk of bodyOf(answer)) {
      received += chunk.length
      yield chunk
    }
  } catch (error) {
    throw toStorageError('Reading', error)
  }
  if (answer.ContentLength !== undefined && received !== answer.ContentLength) {
    throw new StorageError('unreachable', `Reading: ${received} of ${answer.ContentLength} bytes arrived`)
  }
}

const get = (
  { client, bucket }: S3Connection,
  location: Location,
  range?: string,
  options: { abortSignal?: AbortSignal } = {},
): Promise<GetObjectCommandOutput> =>
  client.send(new GetObjectCommand({ Bucket: bucket, Key: keyOf(location), Range: range }), options)

function bodyOf({ Body: body }: GetObjectCommandOutput): AsyncIterable<Uint8Array> {
  if (body instanceof Readable) return body
  throw new StorageError('refused', 'The store sent no content')
}

async function collect(body: AsyncIterable<Uint8Array>, skip: number, length: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let before = skip
  let missing = length
  for await (const chunk of body) {
    const piece = chunk.subarray(before, before + missing)
    before = Math.max(0, before - chunk.length)
    missing -= piece.length
    chunks.push(piece)
    if (missing === 0) break
  }
  return Buffer.concat(chunks)
}
