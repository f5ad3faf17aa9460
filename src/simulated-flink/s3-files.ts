import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  NoSuchKey,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import type { Files } from './files.ts'

export type S3Options = {
  endpoint: string
  region?: string
  accessKeyId: string
  secretAccessKey: string
}

/** An object store has no directories: making one writes nothing, removing one deletes what lies below. */
export function s3Files(options: S3Options): Files {
  const client = new S3Client({
    endpoint: options.endpoint,
    region: options.region ?? 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: options.accessKeyId, secretAccessKey: options.secretAccessKey },
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  })
  return {
    stores: true,
    async makeDirectory() {},
    async write(file, bytes) {
      await client.send(new PutObjectCommand({ ...split(file), Body: bytes }))
    },
    read: (file) => readObject(client, file),
    async removeFile(file) {
      await client.send(new DeleteObjectCommand(split(file)))
    },
    removeDirectory: (directory) => removeBelow(client, directory),
    close: () => client.destroy(),
  }
}

function split(location: string): { Bucket: string; Key: string } {
  const [, bucket = '', key = ''] = /^[a-z0-9]+:\/\/([^/]+)\/?(.*)$/.exec(location) ?? []
  return { Bucket: bucket, Key: key }
}

async function readObject(client: S3Client, file: string): Promise<Uint8Array | null> {
  try {
    const object = await client.send(new GetObjectCommand(split(file)))
    return (await object.Body?.transformToByteArray()) ?? null
  } catch (error) {
    if (error instanceof NoSuchKey) return null
    throw error
  }
}

async function removeBelow(client: S3Client, directory: string): Promise<void> {
  const { Bucket, Key } = split(directory)
  let token: string | undefined
  do {
    const page = await client.send(
      new ListObjectsV2Command({ Bucket, Prefix: `${Key}/`, ...(token && { ContinuationToken: token }) }),
    )
    for (const { Key: found } of page.Contents ?? []) {
      if (found !== undefined) await client.send(new DeleteObjectCommand({ Bucket, Key: found }))
    }
    token = page.NextContinuationToken
  } while (token !== undefined)
}
