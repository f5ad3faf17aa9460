/** Where an end-to-end test has its savepoints written: what Flink, we and the test itself need to reach it. */
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  NoSuchKey,
  S3Client,
} from '@aws-sdk/client-s3'
import { createBucket } from '../../dev/services/s3.ts'

export type StorageKind = 'local' | 's3'

export type S3Server = { endpoint: string; accessKey: string; secretKey: string; bucket: string }

export type SavepointStorage = {
  kind: StorageKind
  /** The body of `POST /v1/storages`, all but the name. */
  input: Readonly<Record<string, unknown>>
  /** The URI of a storage whose bucket, or folder, does not exist. */
  nowhere: string
  /** Beside the savepoints: where the clusters of a test have their checkpoints, and the storage that reaches them. */
  checkpointDir: string
  checkpointInput: Readonly<Record<string, unknown>>
  /** What our processes need in their environment to reach it. */
  env: Readonly<Record<string, string>>
  /** The bytes of a file of a savepoint, read past Tidemark; null when there is no such file. */
  read(location: string, file: string): Promise<Uint8Array | null>
  /** How many files lie below a location. */
  count(location: string): Promise<number>
  /** The names right below a location. */
  children(location: string): Promise<string[]>
  /** Everything below a location goes, as if somebody had deleted it. */
  remove(location: string): Promise<void>
  /** One file, which must be there. */
  removeFile(location: string): Promise<void>
  close(): Promise<void>
}

export async function openLocalStorage(): Promise<SavepointStorage> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-savepoints-'))
  const root = join(folder, 'state')
  await mkdir(root)
  const checkpointDir = pathToFileURL(join(folder, 'checkpoints')).href
  await mkdir(join(folder, 'checkpoints'))
  return {
    kind: 'local',
    input: { uri: pathToFileURL(root).href },
    nowhere: pathToFileURL(join(folder, 'no-such-place')).href,
    checkpointDir,
    checkpointInput: { uri: checkpointDir },
    env: { TIDEMARK_LOCAL_ROOTS: folder },
    read: (location, file) => readFile(join(fileURLToPath(location), file)).catch(() => null),
    async count(location) {
      const entries = await readdir(fileURLToPath(location), { recursive: true, withFileTypes: true }).catch(
        () => [],
      )
      return entries.filter((entry) => entry.isFile()).length
    },
    children: (location) => readdir(fileURLToPath(location)).catch(() => []),
    remove: (location) => rm(fileURLToPath(location), { recursive: true, force: true }),
    removeFile: (location) => rm(fileURLToPath(location)),
    close: () => rm(folder, { recursive: true, force: true }),
  }
}

/** The credentials reach our processes as secrets of the namespace `default`. */
export function openS3Storage(server: S3Server): SavepointStorage {
  const client = new S3Client({
    endpoint: server.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey },
  })
  const access = {
    endpoint: server.endpoint,
    credentials: {
      accessKeyId: { env: 'TIDEMARK_SECRET_DEFAULT_ID' },
      secretAccessKey: { env: 'TIDEMARK_SECRET_DEFAULT_KEY' },
    },
  }
  const checkpointDir = `s3://${server.bucket}/checkpoints`
  return {
    kind: 's3',
    input: { uri: `s3://${server.bucket}/savepoints`, ...access },
    checkpointDir,
    checkpointInput: { uri: checkpointDir, ...access },
    nowhere: 's3://no-such-place/savepoints',
    env: {
      TIDEMARK_SECRET_DEFAULT_ID: server.accessKey,
      TIDEMARK_SECRET_DEFAULT_KEY: server.secretKey,
    },
    async read(location, file) {
      const { bucket, key } = split(location)
      try {
        const object = await client.send(new GetObjectCommand({ Bucket: bucket, Key: `${key}/${file}` }))
        return (await object.Body?.transformToByteArray()) ?? null
      } catch (error) {
        if (error instanceof NoSuchKey) return null
        throw error
      }
    },
    async count(location) {
      const { bucket, key } = split(location)
      const page = await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: `${key}/` }))
      return page.KeyCount ?? 0
    },
    async children(location) {
      const { bucket, key } = split(location)
      const page = await client.send(
        new ListObjectsV2Command({ Bucket: bucket, Prefix: `${key}/`, Delimiter: '/' }),
      )
      return (page.CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix)
    },
    async remove(location) {
      const { bucket, key } = split(location)
      for (;;) {
        const page = await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: `${key}/` }))
        for (const { Key } of page.Contents ?? []) {
          await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: Key ?? '' }))
        }
        if (!page.IsTruncated) return
      }
    },
    async removeFile(location) {
      const { bucket, key } = split(location)
      await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }))
      await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }))
    },
    close: async () => client.destroy(),
  }
}

function split(location: string): { bucket: string; key: string } {
  const [, bucket = '', key = ''] = /^s3a?:\/\/([^/]+)\/(.*?)\/?$/.exec(location) ?? []
  return { bucket, key }
}

/** A bucket of its own on the S3 server that the test run provides (fauxqs: for our client and the simulated Flink). */
export async function openBucketOfTheRun(): Promise<S3Server> {
  const endpoint = process.env['TEST_S3_URL'] ?? ''
  const server = { endpoint, accessKey: 'tidemark', secretKey: 'tidemark-secret' }
  const bucket = `e2e-${Math.random().toString(36).slice(2, 10)}`
  await createBucket({ ...server, url: endpoint }, bucket)
  return { ...server, bucket }
}
