/**
 * Large objects. S3 shows an object only when all of it has arrived: up to 64 MiB it goes in one request, above that in
 * parts that become the object at the end. Parts of an upload that could not be ended are aborted; those a crash of ours
 * leaves cost storage until a lifecycle rule (AbortIncompleteMultipartUpload) removes them.
 */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { StorageError } from '../domain/errors.ts'
import type { Location } from '../domain/location.ts'
import type { ObjectContent } from '../ports/storage.ts'
import { exactly } from './exactly.ts'
import { requireObjectBelow } from './guard.ts'
import { ask, keyOf, type S3Connection, throwBucketMissing } from './s3-connection.ts'
import { toStorageError } from './s3-errors.ts'

const MIB = 1024 * 1024
const PART_BYTES = 16 * MIB
const MAX_SINGLE_BYTES = 64 * MIB
/** S3 numbers parts from 1 to 10,000. */
const MAX_BYTES = 10_000 * PART_BYTES
const MAX_TRIES = 3

/** What it reads is read again, at most twice, while the store fails in ways that may pass. */
export async function putObjectStream(
  connection: S3Connection,
  location: Location,
  content: ObjectContent,
): Promise<void> {
  requireObjectBelow(connection.root, location)
  if (content.sizeBytes > MAX_BYTES) {
    throw new StorageError('refused', `Writing: an object may have at most ${MAX_BYTES} bytes`)
  }
  const upload = content.sizeBytes <= MAX_SINGLE_BYTES ? putWhole : putInParts
  for (let tries = 1; ; tries++) {
    const source = watch(content)
    try {
      return await upload(connection, location, source)
    } catch (error) {
      // what the source threw is its own: the SDK may have wrapped it as if the connection had broken
      if (source.failure) throw source.failure.error
      if (tries === MAX_TRIES || !mayPass(error)) throwBucketMissing(error)
    }
  }
}

type Watched = ObjectContent & { failure: { error: unknown } | null }

function watch(content: ObjectContent): Watched {
  const watched: Watched = {
    sizeBytes: content.sizeBytes,
    failure: null,
    async *read() {
      try {
        yield* exactly(content)
      } catch (error) {
        watched.failure = { error }
        throw error
      }
    },
  }
  return watched
}

/** An upload that the store has forgotten was aborted by somebody, or ended by a request whose answer was lost. */
const mayPass = (error: unknown): boolean =>
  error instanceof StorageError &&
  (error.kind === 'unreachable' || (error.cause instanceof Error && error.cause.name === 'NoSuchUpload'))

/**
 * Read once for its hash and once to be sent: the hash is signed, so a store that would keep what a broken connection left
 * (versitygw does) refuses it, and memory stays small.
 */
async function putWhole(connection: S3Connection, location: Location, content: ObjectContent): Promise<void> {
  const sha256 = await hashOf(content)
  const body = Readable.from(content.read(), { objectMode: false })
  // the SDK pipes it and hears of nothing: without this the request would wait for the rest, and the error for a listener
  const broken = new AbortController()
  body.on('error', () => broken.abort())
  const command = new PutObjectCommand({
    ...targetOf(connection, location),
    ContentLength: content.sizeBytes,
    Body: body,
  })
  command.middlewareStack.add(
    (next) => (args) => {
      if (hasHeaders(args.request)) args.request.headers['x-amz-content-sha256'] = sha256
      return next(args)
    },
    { name: 'contentSha256', step: 'build' }, // before signing, which takes the hash it finds
  )
  try {
    await transfer(connection, content.sizeBytes, ({ abortSignal, requestTimeout }) =>
      connection.client.send(command, {
        abortSignal: AbortSignal.any([abortSignal, broken.signal]),
        requestTimeout,
      }),
    )
  } finally {
    body.destroy()
  }
}

async function hashOf(content: ObjectContent): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of content.read()) hash.update(chunk)
  return hash.digest('hex')
}

const hasHeaders = (request: unknown): request is { headers: Record<string, string> } =>
  typeof request === 'object' && request !== null && 'headers' in request

async function putInParts(
  connection: S3Connection,
  location: Location,
  content: ObjectContent,
): Promise<void> {
  const target = targetOf(connection, location)
  const { UploadId: uploadId } = await ask(connection, 'Writing', (options) =>
    connection.client.send(new CreateMultipartUploadCommand(target), options),
  )
  if (uploadId === undefined) throw new StorageError('refused', 'Writing: the store named no upload')
  const upload = { ...target, UploadId: uploadId }
  try {
    const parts = await sendParts(connection, upload, content)
    const command = new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: parts } })
    await transfer(connection, content.sizeBytes, (options) => connection.client.send(command, options))
  } catch (error) {
    await ask(connection, 'Writing', (options) =>
      connection.client.send(new AbortMultipartUploadCommand(upload), options),
    ).catch(() => undefined) // why the upload failed says more than why its parts could not be removed
    throw error
  }
}

type Upload = { Bucket: string; Key: string; UploadId: string }

/** One after the other through one buffer: memory stays at a part, whatever the size of the object. */
async function sendParts(
  connection: S3Connection,
  upload: Upload,
  content: ObjectContent,
): Promise<CompletedPart[]> {
  const parts: CompletedPart[] = []
  for await (const part of cut(content.read())) {
    const PartNumber = parts.length + 1
    const command = new UploadPartCommand({ ...upload, PartNumber, Body: part, ContentLength: part.length })
    const { ETag } = await transfer(connection, part.length, (options) =>
      connection.client.send(command, options),
    )
    if (ETag === undefined) throw new StorageError('refused', 'Writing: the store named no ETag of a part')
    parts.push({ PartNumber, ETag })
  }
  return parts
}

/** Each piece is valid until the next one is asked for. */
async function* cut(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(PART_BYTES)
  let filled = 0
  for await (const chunk of chunks) {
    for (let used = 0; used < chunk.length; ) {
      const piece = chunk.subarray(used, used + PART_BYTES - filled)
      buffer.set(piece, filled)
      used += piece.length
      filled += piece.length
      if (filled < PART_BYTES) continue
      yield buffer
      filled = 0
    }
  }
  if (filled > 0) yield buffer.subarray(0, filled)
}

/** As `ask`, with the time of one call for every 16 MiB: the usual limits are those of small requests. */
async function transfer<T>(
  { limits }: S3Connection,
  sizeBytes: number,
  send: (options: { abortSignal: AbortSignal; requestTimeout: number }) => Promise<T>,
): Promise<T> {
  const timeoutMs = limits.callTimeoutMs * Math.max(1, Math.ceil(sizeBytes / PART_BYTES))
  try {
    return await send({ abortSignal: AbortSignal.timeout(timeoutMs), requestTimeout: timeoutMs })
  } catch (error) {
    throw toStorageError('Writing', error)
  }
}

const targetOf = ({ bucket }: S3Connection, location: Location) => ({ Bucket: bucket, Key: keyOf(location) })
