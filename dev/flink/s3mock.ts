import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { request } from 'undici'
import { cachedDirectory } from './cached-directory.ts'
import { freePort, isFree } from './free-port.ts'
import { startJava, waitFor } from './java-process.ts'
import { copyArtifact } from './maven.ts'
import { readSettings } from './settings.ts'

const VERSION = '4.11.0'

export interface S3MockOptions {
  readonly port?: number
  readonly buckets?: readonly string[]
  /** Kept, with its objects, by `stop()`; without it a temporary directory is made and removed again. */
  readonly dataDir?: string
}

/** An S3 server Flink's own client works with. It accepts any credentials; these are merely some. */
export interface S3Mock {
  readonly endpoint: string
  readonly accessKey: string
  readonly secretKey: string
  readonly pid: number
  stop(): Promise<void>
}

export async function startS3Mock(options: S3MockOptions = {}): Promise<S3Mock> {
  const jar = await getS3Mock()
  const port = options.port ?? (await freePort())
  if (!(await isFree(port))) throw new Error(`Port ${port} is in use, so S3Mock cannot listen there.`)
  const ownDir = await mkdtemp(join(tmpdir(), 'tidemark-s3mock-'))
  const process = await startJava({
    name: `S3Mock ${VERSION}`,
    args: ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-jar', jar],
    env: environment(port, options, ownDir),
    logFile: join(ownDir, 's3mock.log'),
  })
  const stop = async () => {
    await process.end()
    await rm(ownDir, { recursive: true, force: true })
  }
  const endpoint = `http://127.0.0.1:${port}`
  await waitFor('S3Mock', 60_000, [process], () => answers(endpoint)).catch(async (cause: unknown) => {
    await stop()
    throw cause
  })
  return { endpoint, accessKey: 'tidemark', secretKey: 'tidemark-secret', pid: process.pid, stop }
}

/** The path of the jar, fetched from Maven Central when it is not in the cache. */
export async function getS3Mock(): Promise<string> {
  const dir = await cachedDirectory(join(readSettings().cacheDir, 's3mock', VERSION), (empty) =>
    copyArtifact(`com.adobe.testing:s3mock:${VERSION}:jar:exec`, empty),
  )
  return join(dir, `s3mock-${VERSION}-exec.jar`)
}

function environment(
  port: number,
  { buckets = [], dataDir }: S3MockOptions,
  ownDir: string,
): Record<string, string> {
  return {
    COM_ADOBE_TESTING_S3MOCK_HTTPPORT: String(port),
    SERVER_PORT: '0', // HTTPS, which nobody here uses
    COM_ADOBE_TESTING_S3MOCK_STORE_INITIAL_BUCKETS: buckets.join(','),
    COM_ADOBE_TESTING_S3MOCK_STORE_ROOT: dataDir ?? join(ownDir, 'objects'),
    COM_ADOBE_TESTING_S3MOCK_STORE_RETAIN_FILES_ON_EXIT: String(dataDir !== undefined),
  }
}

async function answers(endpoint: string): Promise<true | undefined> {
  const response = await request(endpoint)
  await response.body.dump()
  return response.statusCode === 200 ? true : undefined
}
