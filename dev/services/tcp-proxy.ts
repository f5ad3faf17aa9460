/**
 * Stands between a client and a server and spoils their connection on demand. One fault at a time, for
 * connections old and new; what a fault held back is delivered when it is lifted, as a network does.
 */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** How a connection ends: politely (FIN), with ECONNRESET (RST), or not at all: silence on an open one. */
export type Ending = 'cut' | 'reset' | 'hang'

export type ProxyFault =
  /** Both ways; pieces in flight together arrive together. */
  | { kind: 'latency'; ms: number }
  /** Both ways, in small pieces. */
  | { kind: 'slow'; bytesPerSecond: number }
  /** Connects and accepts, delivers nothing either way. */
  | { kind: 'blackhole' }
  /** Each new connection is reset at once. */
  | { kind: 'refuse' }
  /**
   * The server gets the request and acts; of its answer only `afterBytes` bytes get through. 0 loses the answer,
   * more is half a body. Bytes count per connection from the moment the fault is set.
   */
  | { kind: 'break-answer'; afterBytes: number; ending: Ending }

export type TcpProxy = {
  /** The target's URL, by way of this proxy. */
  readonly url: string
  readonly port: number
  /** Connections open now. */
  readonly connections: number
  set(fault: ProxyFault): void
  /** Lifts the fault. */
  clear(): void
  /** Ends all open connections; new ones are welcome. */
  breakAll(ending: 'cut' | 'reset'): void
  stop(): Promise<void>
}

type State = { fault: ProxyFault | undefined; links: Set<Link>; changed: PromiseWithResolver }
type PromiseWithResolver = { promise: Promise<void>; resolve: () => void }
type Link = { client: Socket; server: Socket; closed: Promise<void>; isMute: boolean; answeredBytes: number }
type Lane = { from: Socket; to: Socket; isAnswer: boolean; link: Link; state: State }

const MAX_HELD_BYTES = 1 << 20
const PIECE_INTERVAL_MS = 20

export async function startTcpProxy(options: { target: string; port?: number }): Promise<TcpProxy> {
  const target = new URL(options.target)
  const state: State = { fault: undefined, links: new Set(), changed: createResolver() }
  const listener = createServer({ allowHalfOpen: true }, (client) => accept(state, client, target))
  listener.listen(options.port ?? 0, '127.0.0.1')
  await once(listener, 'listening')
  const url = new URL(target)
  url.hostname = '127.0.0.1'
  url.port = String(readPort(listener.address()))
  const setFault = (fault: ProxyFault | undefined) => {
    state.fault = fault
    for (const link of state.links) link.answeredBytes = 0
    state.changed.resolve()
    state.changed = createResolver()
  }
  return {
    url: options.target.endsWith('/') ? url.href : url.href.replace(/\/$/, ''),
    port: Number(url.port),
    get connections() {
      return state.links.size
    },
    set: setFault,
    clear: () => setFault(undefined),
    breakAll: (ending) => {
      for (const link of state.links) endLink(link, ending)
    },
    async stop() {
      listener.close()
      for (const link of state.links) endLink(link, 'reset')
      if (listener.listening || state.links.size > 0) await once(listener, 'close')
    },
  }
}

function accept(state: State, client: Socket, target: URL): void {
  if (state.fault?.kind === 'refuse') {
    client.resetAndDestroy()
    return
  }
  const server = connect({ host: target.hostname, port: Number(target.port || 80), allowHalfOpen: true })
  const { promise: closed, resolve } = createResolver()
  const link: Link = { client, server, closed, isMute: false, answeredBytes: 0 }
  state.links.add(link)
  for (const [socket, other] of [
    [client, server],
    [server, client],
  ] as const) {
    socket.setNoDelay(true)
    socket.on('error', () => other.resetAndDestroy()) // a broken side breaks the other likewise
  }
  client.once('close', () => {
    server.destroy()
    state.links.delete(link)
    resolve()
  })
  openLane({ from: client, to: server, isAnswer: false, link, state })
  openLane({ from: server, to: client, isAnswer: true, link, state })
}

/** One direction: pieces keep their order, and a slow receiver or a fault holds back the sender. */
function openLane(lane: Lane): void {
  const { from } = lane
  let heldBytes = 0
  let last: Promise<void> = Promise.resolve()
  from.on('data', (piece) => {
    const arrivedAt = performance.now()
    heldBytes += piece.length
    if (heldBytes > MAX_HELD_BYTES) from.pause()
    last = last.then(async () => {
      await deliver(lane, piece, arrivedAt)
      heldBytes -= piece.length
      if (heldBytes <= MAX_HELD_BYTES) from.resume()
    })
  })
  from.once('end', () => {
    last = last.then(() => passEnd(lane))
  })
}

async function passEnd(lane: Lane): Promise<void> {
  await waitWhileBlackhole(lane)
  if (!lane.link.isMute) lane.to.end()
  else if (!lane.isAnswer) endLink(lane.link, 'cut') // the client tired of waiting for a lost answer
}

async function deliver(lane: Lane, piece: Buffer, arrivedAt: number): Promise<void> {
  await waitWhileBlackhole(lane)
  const { fault } = lane.state
  if (lane.isAnswer && lane.link.isMute) return
  if (lane.isAnswer && fault?.kind === 'break-answer') return breakAnswer(lane, piece, fault)
  if (fault?.kind === 'latency') await sleep(Math.max(0, arrivedAt + fault.ms - performance.now()))
  if (fault?.kind === 'slow') return trickle(lane, piece)
  return write(lane.to, piece)
}

async function waitWhileBlackhole({ state, link }: Lane): Promise<void> {
  while (state.fault?.kind === 'blackhole' && state.links.has(link)) {
    await Promise.race([state.changed.promise, link.closed])
  }
}

async function breakAnswer(
  { to, link }: Lane,
  piece: Buffer,
  { afterBytes, ending }: Extract<ProxyFault, { kind: 'break-answer' }>,
): Promise<void> {
  const allowed = piece.subarray(0, afterBytes - link.answeredBytes)
  link.answeredBytes += piece.length
  if (allowed.length > 0) await write(to, allowed)
  if (allowed.length === piece.length) return
  link.isMute = true
  endLink(link, ending)
}

async function trickle({ to, state }: Lane, piece: Buffer): Promise<void> {
  let rest = piece
  while (rest.length > 0 && state.fault?.kind === 'slow' && to.writable) {
    const size = Math.max(1, Math.round((state.fault.bytesPerSecond * PIECE_INTERVAL_MS) / 1000))
    await sleep(Math.max(PIECE_INTERVAL_MS, 1000 / state.fault.bytesPerSecond))
    await write(to, rest.subarray(0, size))
    rest = rest.subarray(size)
  }
  if (rest.length > 0) await write(to, rest)
}

async function write(to: Socket, piece: Buffer): Promise<void> {
  if (!to.writable || to.write(piece)) return
  await Promise.race([once(to, 'drain'), once(to, 'close')]).catch(() => undefined)
}

function endLink({ client, server }: Link, ending: Ending): void {
  if (ending === 'hang') return
  server.destroy()
  if (ending === 'reset') client.resetAndDestroy()
  else client.end(() => client.destroy())
}

function createResolver(): PromiseWithResolver {
  let resolve = () => {}
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

const readPort = (address: ReturnType<ReturnType<typeof createServer>['address']>) =>
  typeof address === 'object' && address ? address.port : 0
