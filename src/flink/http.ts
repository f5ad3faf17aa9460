/**
 * One request, one bounded answer. What bounds it: a deadline over everything (waiting for a socket, headers, body; slow
 * bytes do not prolong it) and a byte cap; either destroys the socket. Redirects are answers, never followed: they would
 * carry our credentials elsewhere. A GET whose socket is reset before an answer is asked once more on a socket of its own;
 * a POST never (a trigger that was perhaps executed is looked up, not repeated).
 */
import { Client, type Dispatcher, Pool } from 'undici'
import { FlinkUnavailableError } from '../domain/errors.ts'
import { isReset, unavailable } from './http-errors.ts'

export type HttpRequest = { method: 'GET' | 'POST'; path: string; body?: string }
export type HttpReply = { status: number; text: string; location: string | null }

export type HttpLimits = {
  connectTimeoutMs: number
  /** Over all of one request. */
  requestTimeoutMs: number
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
  const timer = setTimeout(() => deadline.abort(), link.limits.requestTimeoutMs)
  const what = `${request.method} ${link.origin}${link.pathPrefix}${request.path}`
  try {
    return await exchange(link, toOptions(link, request, authorization, deadline.signal))
  } catch (error) {
    if (!deadline.signal.aborted) throw unavailable(what, error)
    const message = `${what}: no complete answer within ${link.limits.requestTimeoutMs} ms`
    throw new FlinkUnavailableError('timeout', message, error)
  } finally {
    clearTimeout(timer)
  }
}

function toOptions(
  link: HttpLink,
  request: HttpRequest,
  authorization: string | null,
  signal: AbortSignal,
): Dispatcher.RequestOptions {
  return {
    method: request.method,
    path: link.pathPrefix + request.path,
    signal,
    headers: {
      accept: 'application/json',
      ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(authorization === null ? {} : { authorization }),
    },
    ...(request.body === undefined ? {} : { body: request.body }),
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
