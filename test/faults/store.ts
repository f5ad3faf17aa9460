/**
 * The object store of a random run: fauxqs, with two doors. Ours can be made to fail and logs what is deleted through it;
 * Flink's only notes what every `_metadata` that was written names. The checker reads both logs, never our tables, to know
 * what was deleted and who needed it.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { request } from 'undici'
import { type Fauxqs, startFauxqs } from '../../dev/services/s3.ts'
import { describeRequest } from '../../dev/services/s3-request-log.ts'
import { startTcpProxy, type TcpProxy } from '../../dev/services/tcp-proxy.ts'
import { readMetadata } from '../../src/metadata/read-metadata.ts'
import { listReferencedFiles } from '../../src/metadata/referenced-files.ts'
import type { S3Options } from '../../src/simulated-flink/s3-files.ts'
import type { ContentRecord, DeleteRecord } from './history.ts'

export type StoreFault =
  /** 503 SlowDown to everything. */
  | { kind: 'slow-down' }
  /** 200 to DeleteObjects, with an error for every other key. */
  | { kind: 'refuses-keys' }
  /** The deletion happens, its answer never comes. */
  | { kind: 'silent-after-effect' }
  /** The request has its effect, and half of the answer arrives. */
  | { kind: 'half-an-answer' }
  /** What was deleted is listed for so long. */
  | { kind: 'lists-deleted'; forMs: number }

export type RunStore = {
  /** Where savepoints go, without a closing slash. */
  readonly root: string
  /** Below it, for the checkpoints of managed jobs. */
  readonly checkpointRoot: string
  /** The body of `POST /v1/storages`, all but the name. */
  readonly input: Readonly<Record<string, unknown>>
  readonly env: Readonly<Record<string, string>>
  readonly flinkOptions: S3Options
  /** Before our door. */
  readonly proxy: TcpProxy
  readonly deletes: readonly DeleteRecord[]
  readonly contents: readonly ContentRecord[]
  set(fault: StoreFault): void
  clear(): void
  listObjects(): Promise<string[]>
  close(): Promise<void>
}

const BUCKET = 'faults'
const ACCESS = { accessKeyId: 'tidemark', secretAccessKey: 'tidemark-secret' }

export async function openRunStore(): Promise<RunStore> {
  const fauxqs = await startFauxqs()
  await fauxqs.createBucket(BUCKET)
  const state: State = { fauxqs, fault: null, deletes: [], contents: [], gone: new Map() }
  const [ours, flinks] = [await openDoor(state, true), await openDoor(state, false)]
  const proxy = await startTcpProxy({ target: ours.url })
  const root = `s3://${BUCKET}/savepoints`
  return {
    root,
    checkpointRoot: `${root}/checkpoints`,
    input: {
      uri: root,
      endpoint: proxy.url,
      credentials: {
        accessKeyId: { env: 'TIDEMARK_SECRET_DEFAULT_ID' },
        secretAccessKey: { env: 'TIDEMARK_SECRET_DEFAULT_KEY' },
      },
    },
    env: {
      TIDEMARK_SECRET_DEFAULT_ID: ACCESS.accessKeyId,
      TIDEMARK_SECRET_DEFAULT_KEY: ACCESS.secretAccessKey,
    },
    flinkOptions: { endpoint: flinks.url, ...ACCESS },
    proxy,
    deletes: state.deletes,
    contents: state.contents,
    set: (fault) => {
      state.fault = fault
    },
    clear: () => {
      state.fault = null
    },
    listObjects: () => listAll(fauxqs.url),
    async close() {
      await proxy.stop()
      await Promise.all([ours.close(), flinks.close()])
      await fauxqs.stop()
    },
  }
}

// ------------------------------------------------------------------------------------------------------ doors

type State = {
  fauxqs: Fauxqs
  fault: StoreFault | null
  deletes: DeleteRecord[]
  contents: ContentRecord[]
  /** What was deleted through our door, and when. */
  gone: Map<string, number>
}
type Incoming = { method: string; url: string; headers: IncomingMessage['headers']; body: Buffer }
type Outgoing = { status: number; headers: Record<string, string | string[]>; body: Buffer }

async function openDoor(state: State, isOurs: boolean): Promise<{ url: string; close(): Promise<void> }> {
  const server: Server = createServer((message, response) => {
    void readAll(message)
      .then((incoming) =>
        isOurs ? answerUs(state, incoming, response) : answerFlink(state, incoming, response),
      )
      .catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function readAll(message: IncomingMessage): Promise<Incoming> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk)
  const { method = 'GET', url = '/', headers } = message
  return { method, url, headers, body: Buffer.concat(chunks) }
}

async function answerFlink(state: State, incoming: Incoming, response: ServerResponse): Promise<void> {
  if (incoming.method === 'PUT') await noteContent(state, incoming)
  send(response, await forward(state, incoming))
}

async function answerUs(state: State, incoming: Incoming, response: ServerResponse): Promise<void> {
  const { fault } = state
  const at = Date.now()
  if (incoming.method === 'PUT') await noteContent(state, incoming)
  const keys = deletedKeys(incoming)
  if (fault?.kind === 'slow-down') {
    note(state, keys, at, false)
    return sendXml(response, 503, errorXml('SlowDown'))
  }
  if (fault?.kind === 'refuses-keys' && keys.length > 0) return refuseSome(state, incoming, keys, response)
  const answer = await forward(state, incoming)
  note(state, keys, at, answer.status < 300)
  if (fault?.kind === 'silent-after-effect' && keys.length > 0) return
  if (fault?.kind === 'half-an-answer') {
    response.writeHead(answer.status, answer.headers)
    response.write(answer.body.subarray(0, answer.body.length / 2), () => response.destroy())
    return
  }
  send(response, fault?.kind === 'lists-deleted' ? lingering(state, incoming, answer, fault.forMs) : answer)
}

const HOP_BY_HOP = new Set([
  'host',
  'connection',
  'transfer-encoding',
  'content-length',
  'expect',
  'keep-alive',
])

async function forward({ fauxqs }: State, { method, url, headers, body }: Incoming): Promise<Outgoing> {
  const answer = await request(`${fauxqs.url}${url}`, {
    method: method as 'GET',
    headers: passOn(headers),
    ...(body.length > 0 && { body }),
  })
  const bytes = Buffer.from(await answer.body.arrayBuffer())
  // A HEAD tells the length of what it does not send.
  const length = method === 'HEAD' ? answer.headers['content-length'] : String(bytes.length)
  const kept = {
    ...passOn(answer.headers),
    ...(answer.statusCode !== 204 && length && { 'content-length': length }),
  }
  return { status: answer.statusCode, headers: kept, body: bytes }
}

const passOn = (headers: IncomingMessage['headers']): Record<string, string | string[]> =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined || HOP_BY_HOP.has(name) ? [] : [[name, value]],
    ),
  )

const send = (response: ServerResponse, { status, headers, body }: Outgoing): void => {
  response.writeHead(status, headers).end(body)
}

const sendXml = (response: ServerResponse, status: number, xml: string): void => {
  response.writeHead(status, { 'content-type': 'application/xml' }).end(`<?xml version="1.0"?>${xml}`)
}
const errorXml = (code: string): string => `<Error><Code>${code}</Code><Message>scripted</Message></Error>`

// ------------------------------------------------------------------------------------------------------- logs

function deletedKeys({ method, url, body }: Incoming): string[] {
  const asked = describeRequest(method, url, body.toString())
  if (asked.deletedKeys.length > 0) return [...asked.deletedKeys]
  return method === 'DELETE' ? [keyOf(asked.path)] : []
}

const keyOf = (path: string): string => decodeURIComponent(path.slice(`/${BUCKET}/`.length))
const locate = (key: string): string => `s3://${BUCKET}/${key}`

/** `at`: when it arrived. */
function note({ deletes, gone }: State, keys: readonly string[], at: number, done: boolean): void {
  for (const key of keys) {
    deletes.push({ at, location: locate(key), done })
    if (done) gone.set(key, Date.now())
  }
}

async function noteContent({ contents }: State, { url, body }: Incoming): Promise<void> {
  const path = url.split('?')[0] ?? ''
  if (!path.endsWith('/_metadata')) return
  const folder = locate(keyOf(path)).replace(/\/_metadata$/, '')
  contents.push({ folder, files: await namedFiles(body, folder) })
}

/** What a `_metadata` names, as locations. */
export async function namedFiles(bytes: Uint8Array, folder: string): Promise<string[]> {
  return listReferencedFiles(await readMetadata(bytes)).map(({ kind, path }) =>
    kind === 'relative'
      ? `${folder}/${path}`
      : path.replace(/^s3[an]:/, 's3:').replace(/^file:\/*/, 'file:///'),
  )
}

// ----------------------------------------------------------------------------------------------------- faults

async function refuseSome(
  state: State,
  incoming: Incoming,
  keys: readonly string[],
  response: ServerResponse,
): Promise<void> {
  const refused = keys.filter((_, index) => index % 2 === 0)
  const taken = keys.filter((_, index) => index % 2 === 1)
  const at = Date.now()
  note(state, refused, at, false)
  if (incoming.method === 'DELETE') return sendXml(response, 500, errorXml('InternalError'))
  for (const key of taken) {
    const url = `/${BUCKET}/${key.split('/').map(encodeURIComponent).join('/')}`
    await forward(state, { method: 'DELETE', url, headers: {}, body: Buffer.alloc(0) })
  }
  note(state, taken, at, true)
  const xml = (names: readonly string[], wrap: (key: string) => string) => names.map(wrap).join('')
  sendXml(
    response,
    200,
    `<DeleteResult>${xml(taken, (key) => `<Deleted><Key>${key}</Key></Deleted>`)}${xml(
      refused,
      (key) =>
        `<Error><Key>${key}</Key><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>`,
    )}</DeleteResult>`,
  )
}

/** Keys that were deleted a moment ago stand in the last page of a listing once more. */
function lingering({ gone }: State, { method, url }: Incoming, answer: Outgoing, forMs: number): Outgoing {
  const query = new URLSearchParams(url.split('?')[1] ?? '')
  const xml = answer.body.toString()
  if (method !== 'GET' || query.get('list-type') !== '2' || !xml.includes('<IsTruncated>false')) return answer
  const prefix = query.get('prefix') ?? ''
  const encode = query.get('encoding-type') === 'url' ? encodeURIComponent : (key: string) => key
  const found = [...gone].filter(([key, at]) => key.startsWith(prefix) && Date.now() - at < forMs)
  const extra = found
    .filter(([key]) => !xml.includes(`<Key>${encode(key)}</Key>`))
    .map(
      ([key]) =>
        `<Contents><Key>${encode(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>"0"</ETag><Size>1</Size><StorageClass>STANDARD</StorageClass></Contents>`,
    )
  const body = Buffer.from(xml.replace('</ListBucketResult>', `${extra.join('')}</ListBucketResult>`))
  return { ...answer, headers: { ...answer.headers, 'content-length': String(body.length) }, body }
}

// ---------------------------------------------------------------------------------------------------- contents

async function listAll(url: string): Promise<string[]> {
  const found: string[] = []
  let token: string | null = null
  do {
    const more: string = token === null ? '' : `&continuation-token=${encodeURIComponent(token)}`
    const { body } = await request(`${url}/${BUCKET}?list-type=2${more}`)
    const xml = await body.text()
    for (const [, key = ''] of xml.matchAll(/<Key>(.*?)<\/Key>/g)) found.push(locate(key))
    token = /<NextContinuationToken>(.*?)<\/NextContinuationToken>/.exec(xml)?.[1] ?? null
  } while (token !== null)
  return found
}
