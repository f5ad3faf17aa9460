/**
 * One request, one bounded answer. What bounds it: a deadline over everything (waiting for a socket, headers, body; slow
 * bytes do not prolong it) and a byte cap; either destroys the socket. Redirects are answers, never followed: they would
 * carry our credentials elsewhere. A GET whose socket is reset before an answer is asked once more on a socket of its own;
 * a POST never (a trigger that was perhaps executed is looked up, not repeated).
 */
import { Readable } from 'node:stream'
import { Client, type Dispatcher, Pool } from 'undici'
import { FlinkUnavailableError } from '../domain/errors.ts'
import { isReset, unavailable } from './http-errors.ts'

export type HttpRequest = {
  method: 'GET' | 'POST' | 'PATCH'
  path: string
  /** JSON, or bytes that are read while they are sent. */
  body?: string | StreamedBody
  /** It runs a program's main method meanwhile. */
  isRun?: boolean
}
export type StreamedBody = { contentType: string; sizeBytes: number; read: () => AsyncIterable<Uint8Array> }
export type HttpReply = { status: number; text: string; location: string | null }

export type HttpLimits = {
  connectTimeoutMs: number
  /** Over all of one request. An upload has a second more for each MiB. */
  requestTimeoutMs: number
  /** The same for POST /jars/:jarid/run, which answers when the program's main method has come to its end. */
  runTimeoutMs: number
  maxBodyBytes: number
  /** Sockets per cluster. */
  connections: number
}

/** One JobManager: its pool, and what a one-off connection to the same place needs. */
export type HttpLink = {
  origin: string
  pathPrefix: string
  pool: Pool
  clientOptions: Client.Options
  limits: HttpLimits
}

const SLOWEST_UPLOAD_BYTES_PER_MS = 1024 * 1.024 // 1 MiB/s

/** Below the idle timeouts of usual proxies (60 s), above a polling interval. */
const KEEP_ALIVE_MS = 20_000

export function openLink(url: URL, limits: HttpLimits, connect: Client.Options['connect']): HttpLink {
  const clientOptions: Client.Options = {
    ...(connect === undefined ? {} : { connect }),
    headersTimeout: 0, // the deadline of `send` covers both, to the millisecond
    bodyTimeout: 0,
    maxResponseSize: limits.maxBodyBytes,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
  }
  const pool = new Pool(url.origin, { ...clientOptions, connections: limits.connections })
  return { origin: url.origin, pathPrefix: url.pathname.replace(/\/+$/, ''), pool, clientOptions, limits }
}

export async function send(
  link: HttpLink,
  request: HttpRequest,
  authorization: string | null,
): Promise<HttpReply> {
  const deadline = new AbortController()
  const timeLimitMs = timeLimitOf(request, link.limits)
  const timer = setTimeout(() => deadline.abort(), timeLimitMs)
  const what = `${request.method} ${link.origin}${link.pathPrefix}${request.path}`
  const body = toBody(request)
  try {
    return await exchange(link, toOptions(link, request, authorization, { signal: deadline.signal, body }))
  } catch (error) {
    const unread = body.readFailure()
    if (unread !== null) throw unread.error
    if (!deadline.signal.aborted) throw unavailable(what, error)
    throw new FlinkUnavailableError('timeout', `${what}: no complete answer within ${timeLimitMs} ms`, error)
  } finally {
    clearTimeout(timer)
  }
}

function timeLimitOf({ isRun, body }: HttpRequest, limits: HttpLimits): number {
  if (isRun) return limits.runTimeoutMs
  const uploadBytes = typeof body === 'object' ? body.sizeBytes : 0
  return limits.requestTimeoutMs + Math.ceil(uploadBytes / SLOWEST_UPLOAD_BYTES_PER_MS)
}

type Body = {
  headers: Record<string, string>
  content: string | Readable | undefined
  /** Why the bytes to send could not be read: the reader's own error, and not Flink's fault. */
  readFailure: () => { error: unknown } | null
}

function toBody({ body }: HttpRequest): Body {
  const readFailure = () => null
  if (body === undefined) return { headers: {}, content: undefined, readFailure }
  if (typeof body === 'string')
    return { headers: { 'content-type': 'application/json' }, content: body, readFailure }
  const { contentType, sizeBytes, read } = body
  let failure: { error: unknown } | null = null
  const chunks = read()[Symbol.asyncIterator]()
  // No generator: undici would throw its own errors into it, which are not the reader's.
  const remembering: AsyncIterableIterator<Uint8Array> = {
    async next() {
      try {
        return await chunks.next()
      } catch (error) {
        failure = { error }
        throw error
      }
    },
    return: async () => (await chunks.return?.()) ?? { done: true, value: undefined },
    [Symbol.asyncIterator]: () => remembering,
  }
  // Its errors are told by the request; one that is never sent has no other listener.
  const content = Readable.from(remembering, { objectMode: false }).on('error', () => {})
  return {
    headers: { 'content-type': contentType, 'content-length': String(sizeBytes) },
    content,
    readFailure: () => failure,
  }
}

function toOptions(
  link: HttpLink,
  request: HttpRequest,
  authorization: string | null,
  { signal, body }: { signal: AbortSignal; body: Body },
): Dispatcher.RequestOptions {
  return {
    method: request.method,
    path: link.pathPrefix + request.path,
    signal,
    headers: {
      accept: 'application/json',
      ...body.headers,
      ...(authorization === null ? {} : { authorization }),
    },
    ...(body.content === undefined ? {} : { body: body.content }),
  }
}

async function exchange(link: HttpLink, options: Dispatcher.RequestOptions): Promise<HttpReply> {
  let answer: Dispatcher.ResponseData
  try {
    answer = await link.pool.request(options)
  } catch (error) {
    if (options.method !== 'GET' || !isReset(error)) throw error
    return exchangeOnce(new Client(link.origin, link.clientOptions), options)
  }
  return readReply(answer)
}

/** Other kept-alive sockets of the pool may be just as dead: a JobManager that restarts resets all of them. */
async function exchangeOnce(client: Client, options: Dispatcher.RequestOptions): Promise<HttpReply> {
  try {
    return await readReply(await client.request(options))
  } finally {
    await client.destroy()
  }
}

async function readReply({ statusCode, headers, body }: Dispatcher.ResponseData): Promise<HttpReply> {
  const location = headers['location']
  return {
    status: statusCode,
    text: await body.text(),
    location: typeof location === 'string' ? location : null,
  }
}
