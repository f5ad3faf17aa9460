/**
 * Two S3 servers for tests. fauxqs runs in this process, is up in a moment, checks no credentials and remembers
 * every request. versitygw over a folder is a real server: it checks credentials and knows versions.
 */
import { randomUUID } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { buildApp } from 'fauxqs'
import { openRunFolder } from './run-folder.ts'
import { describeRequest, type LoggedRequest } from './s3-request-log.ts'
import { startOnPort, startServiceProcess } from './service-process.ts'
import { provideVersityGateway } from './versitygw-binary.ts'

export type Fauxqs = {
  readonly url: string
  readonly port: number
  /** In order of arrival. Grows in place. */
  readonly requests: readonly LoggedRequest[]
  forgetRequests(): void
  createBucket(name: string): Promise<void>
  stop(): Promise<void>
}

/** The package's own `startFauxqs` listens on all interfaces and shows no requests, hence its `buildApp`. */
export async function startFauxqs({ port = 0 }: { port?: number } = {}): Promise<Fauxqs> {
  const app = buildApp({ logger: false })
  const requests: LoggedRequest[] = []
  const logged = new WeakMap<object, LoggedRequest>()
  app.addHook('preHandler', async ({ raw, method, url, body }) => {
    const entry = describeRequest(method, url, body)
    requests.push(entry)
    logged.set(raw, entry)
  })
  app.addHook('onResponse', async ({ raw }, reply) => {
    const entry = logged.get(raw)
    if (entry) entry.status = reply.statusCode
  })
  const url = await app.listen({ port, host: '127.0.0.1' })
  return {
    url,
    port: Number(new URL(url).port),
    requests,
    forgetRequests: () => void requests.splice(0),
    async createBucket(name) {
      const answer = await app.inject({ method: 'PUT', url: `/${name}` })
      if (answer.statusCode !== 200) throw new Error(`Bucket ${name} was not created: ${answer.body}`)
      const entry = logged.get(answer.raw.req)
      if (entry) requests.splice(requests.indexOf(entry), 1)
    },
    stop: () => app.close(),
  }
}

export type Credentials = { accessKey: string; secretKey: string }

export type VersityOptions = Credentials & {
  port?: number
  /** Without it: a folder that goes with this process. */
  dir?: string
  /** Lets buckets turn versioning on. */
  versioning?: boolean
}

export type VersityGateway = {
  readonly url: string
  readonly port: number
  createBucket(name: string): Promise<void>
  stop(): Promise<void>
  kill(): Promise<void>
}

const REGION = 'us-east-1'

export async function startVersityGateway(options: VersityOptions): Promise<VersityGateway> {
  const program = await provideVersityGateway()
  const dir = options.dir ?? join(await openRunFolder(), `versitygw-${randomUUID().slice(0, 8)}`)
  const { objects, versions } = { objects: join(dir, 'objects'), versions: join(dir, 'versions') }
  await Promise.all([objects, versions].map((folder) => mkdir(folder, { recursive: true })))
  return startOnPort(options.port, async (port) => {
    const url = `http://127.0.0.1:${port}`
    const gateway = await startServiceProcess({
      name: 'versitygw',
      command: program,
      args: [
        ...['--port', `127.0.0.1:${port}`, '--region', REGION, '--quiet', 'posix'],
        ...(options.versioning ? ['--versioning-dir', versions] : []),
        objects,
      ],
      // By environment: arguments are for every user of the machine to read.
      env: { ROOT_ACCESS_KEY_ID: options.accessKey, ROOT_SECRET_ACCESS_KEY: options.secretKey },
      isReady: () => answersHttp(url),
    })
    return {
      url,
      port,
      createBucket: (name) => createBucket({ url, ...options }, name),
      kill: gateway.kill,
      async stop() {
        await gateway.stop()
        if (!options.dir) await rm(dir, { recursive: true, force: true })
      },
    }
  })
}

/** On any S3 that takes path-style addresses. */
export async function createBucket(store: Credentials & { url: string }, name: string): Promise<void> {
  const client = new S3Client({
    endpoint: store.url,
    region: REGION,
    forcePathStyle: true,
    credentials: { accessKeyId: store.accessKey, secretAccessKey: store.secretKey },
  })
  try {
    await client.send(new CreateBucketCommand({ Bucket: name }))
  } finally {
    client.destroy()
  }
}

const answersHttp = (url: string) =>
  fetch(url).then(
    () => true,
    () => false,
  )
