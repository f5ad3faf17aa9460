/** The HTTP side: reads a request, lets the hooks see it, calls the route, sends the reply. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Cluster } from './cluster.ts'
import type { Exchange, HookAnswer } from './hooks.ts'
import { throwable } from './java-throwable.ts'
import { internalError, leaderElection, noSuchRoute, Refusal, type Reply } from './reply.ts'
import { parseBody } from './request-body.ts'
import { createRouter, type Match } from './router.ts'
import { ROUTES, type RouteCall } from './routes.ts'

/** up; down: connections are reset; electing: everything answers 503. */
export type Availability = 'up' | 'down' | 'electing'

export type RestServer = {
  port: number
  setAvailability(availability: Availability): void
  close(): Promise<void>
}

export async function listen(cluster: Cluster, port: number): Promise<RestServer> {
  const route = createRouter(cluster.dialect)
  const sockets = new Set<Socket>()
  let availability: Availability = 'up'
  let address = ''
  const server = createServer((request, response) => {
    if (availability === 'electing') {
      send(response, leaderElection())
      return
    }
    respond({ cluster, route, address, request, response }).catch(() => response.destroy())
  })
  server.keepAliveTimeout = 0
  server.on('connection', (socket) => {
    if (availability === 'down') {
      socket.destroy()
      return
    }
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  const bound = await bind(server, port)
  address = `http://127.0.0.1:${bound}`
  const dropConnections = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: bound,
    setAvailability(next) {
      availability = next
      if (next === 'down') dropConnections()
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        dropConnections()
      }),
  }
}

const bind = (server: Server, port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => resolve(portOf(server.address())))
  })

function portOf(address: AddressInfo | string | null): number {
  if (address === null || typeof address === 'string') throw new Error(`unexpected address ${address}`)
  return address.port
}

type Incoming = {
  cluster: Cluster
  route: (method: string, path: string) => Match | null
  address: string
  request: IncomingMessage
  response: ServerResponse
}

async function respond(incoming: Incoming): Promise<void> {
  const { cluster, request, response } = incoming
  const { hooks } = cluster
  const bytes = await readAll(request)
  const call = prepare(incoming, bytes)
  const before = await hooks.onRequest?.(call.exchange)
  if (before === 'taken') return
  const reply = before ?? (await call.execute())
  const after: HookAnswer = await hooks.beforeReply?.(call.exchange, reply)
  if (after !== 'taken') send(response, after ?? reply)
}

function prepare(incoming: Incoming, bytes: Buffer) {
  const { cluster, request, response } = incoming
  const method = request.method ?? 'GET'
  const [path = '/', search = ''] = (request.url ?? '/').split('?', 2)
  const contentType = request.headers['content-type'] ?? ''
  const body = contentType.startsWith('multipart/') ? undefined : parseBody(bytes)
  let match: Match | null = null
  let refusal: Reply | null = null
  try {
    match = incoming.route(method, path)
  } catch (error) {
    refusal = toReply(error)
  }
  const params = match?.params ?? {}
  const triggerId = params['triggerid'] ?? triggerIdOf(body)
  const route = match?.name ?? null
  const exchange: Exchange = { route, method, path, params, triggerId, body, request, response }
  const { address } = incoming
  const query = new URLSearchParams(search)
  const execute = async (): Promise<Reply> => {
    if (refusal !== null) return refusal
    if (route === null) return noSuchRoute(method, request.url ?? path)
    return callRoute(route, { cluster, params, query, body, bytes, contentType, address })
  }
  return { exchange, execute }
}

async function callRoute(name: keyof typeof ROUTES, call: RouteCall): Promise<Reply> {
  try {
    return await ROUTES[name].handle(call)
  } catch (error) {
    return toReply(error)
  }
}

function toReply(error: unknown): Reply {
  if (error instanceof Refusal) return error.reply
  const text = error instanceof Error ? error.message : String(error)
  return internalError(throwable('java.lang.RuntimeException', text)).reply
}

function triggerIdOf(body: unknown): string | null {
  if (typeof body !== 'object' || body === null || !('triggerId' in body)) return null
  return typeof body.triggerId === 'string' ? body.triggerId.toLowerCase() : null
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  if (request.method === 'GET') return Buffer.alloc(0)
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks)
}

export function send(response: ServerResponse, { status, body, headers }: Reply): void {
  if (response.headersSent || response.destroyed) return
  response.writeHead(status, {
    'access-control-allow-origin': '*',
    'content-type': 'application/json; charset=UTF-8',
    'content-length': Buffer.byteLength(body),
    ...headers,
  })
  response.end(body)
}
