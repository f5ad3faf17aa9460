import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'

type Store = { url: string; accessKey: string; secretKey: string }

/** Below `flink/`, under the name the file has. */
export async function uploadFile(store: Store, bucket: string, file: string): Promise<void> {
  const client = new S3Client({
    endpoint: store.url,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: store.accessKey, secretAccessKey: store.secretKey },
  })
  try {
    const body = await readFile(file)
    await client.send(new PutObjectCommand({ Bucket: bucket, Key: `flink/${basename(file)}`, Body: body }))
  } finally {
    client.destroy()
  }
}
