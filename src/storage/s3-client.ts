import { createHash } from 'node:crypto'
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import { StorageError } from '../domain/errors.ts'
import type { StorageCredentials } from '../domain/resources.ts'
import type { Secrets, StorageAddress } from '../ports/storage.ts'
import type { Addressing } from './providers.ts'

export type S3Limits = {
  connectionTimeoutMs: number
  /** Until the answer begins, and again between two pieces of it. */
  requestTimeoutMs: number
  /** One call with all its attempts; streamed reads are bounded by `requestTimeoutMs` between pieces instead. */
  callTimeoutMs: number
  maxAttempts: number
  /** Larger objects are copied in parts. S3 copies at most 5 GiB in one request, and takes its time for them. */
  singleCopyBytes: number
  /** At most 5 GiB each and 10,000 of them; at least 5 MiB. */
  copyPartBytes: number
}

export const DEFAULT_S3_LIMITS: S3Limits = {
  connectionTimeoutMs: 5_000,
  requestTimeoutMs: 30_000,
  callTimeoutMs: 100_000,
  maxAttempts: 3,
  singleCopyBytes: 1024 ** 3,
  copyPartBytes: 512 * 1024 ** 2,
}

const quiet = (): void => undefined
/** What fails is thrown; the SDK would also write some of it to the console. */
const SILENT: NonNullable<S3ClientConfig['logger']> = { debug: quiet, info: quiet, warn: quiet, error: quiet }

/** How long secrets are kept before they are read again: a rotated file needs no restart. */
const CREDENTIALS_LIFETIME_MS = 15 * 60_000

export function createS3Client(
  address: StorageAddress,
  addressing: Addressing,
  secrets: Secrets,
  limits: S3Limits,
): S3Client {
  const client = new S3Client({
    ...(addressing.endpoint === null ? {} : { endpoint: addressing.endpoint }),
    ...(addressing.region === null ? {} : { region: addressing.region }),
    ...(address.credentials === null
      ? {}
      : { credentials: credentialsFrom(address.namespace, address.credentials, secrets) }),
    forcePathStyle: addressing.pathStyle,
    logger: SILENT,
    maxAttempts: limits.maxAttempts,
    // several stores refuse the SDK's newer checksums where they are not asked for
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: limits.connectionTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      throwOnRequestTimeout: true,
      socketTimeout: limits.requestTimeoutMs,
    },
  })
  // it goes through all that was asked and answered, key by key, for a log that nobody reads
  client.middlewareStack.remove('loggerMiddleware')
  if (addressing.deleteIntegrity === 'content-md5') useContentMd5(client)
  return client
}

function credentialsFrom(
  namespace: string,
  credentials: StorageCredentials,
  secrets: Secrets,
): NonNullable<S3ClientConfig['credentials']> {
  return async () => {
    const { accessKeyId, secretAccessKey, sessionToken, roleArn } = credentials
    if (roleArn !== undefined) {
      throw new StorageError(
        'refused',
        'Assuming a role (credentials.roleArn) is not supported by this installation',
      )
    }
    if (accessKeyId === undefined || secretAccessKey === undefined) {
      throw new StorageError('refused', 'Storage credentials need both accessKeyId and secretAccessKey')
    }
    return {
      accessKeyId: await secrets.read(namespace, accessKeyId),
      secretAccessKey: await secrets.read(namespace, secretAccessKey),
      ...(sessionToken === undefined ? {} : { sessionToken: await secrets.read(namespace, sessionToken) }),
      expiration: new Date(Date.now() + CREDENTIALS_LIFETIME_MS),
    }
  }
}

type HttpRequestParts = { headers: Record<string, string>; body: string | Uint8Array }

/**
 * DeleteObjects must prove its body. The SDK can only send its own checksum headers, which OSS, COS and OBS do not
 * know; they want Content-MD5, and the others take it too.
 */
function useContentMd5(client: S3Client): void {
  client.middlewareStack.add(
    (next, context) => async (args) => {
      if (context['commandName'] !== 'DeleteObjectsCommand' || !isHttpRequest(args)) return next(args)
      const kept = Object.entries(args.request.headers).filter(([name]) => !isChecksumHeader(name))
      const md5 = createHash('md5').update(args.request.body).digest('base64')
      args.request.headers = { ...Object.fromEntries(kept), 'content-md5': md5 }
      return next(args)
    },
    { name: 'contentMd5', step: 'build', priority: 'low' }, // after the SDK's checksums, before signing
  )
}

const isChecksumHeader = (name: string): boolean => /^x-amz-(?:sdk-)?checksum-|^content-md5$/i.test(name)

function isHttpRequest<Args extends object>(args: Args): args is Args & { request: HttpRequestParts } {
  if (!('request' in args) || typeof args.request !== 'object' || args.request === null) return false
  const { request } = args
  if (!('headers' in request && 'body' in request)) return false
  return typeof request.body === 'string' || request.body instanceof Uint8Array
}
