/**
 * One pool per cluster address, opened at its first request and closed when idle. Clients hold no pool: they may be kept
 * for ever. A pool belongs to a `key`; when url or auth change the key changes and the old pool idles away.
 */
import type { ClusterAddress, FlinkConnections } from '../ports/flink.ts'
import type { Secrets } from '../ports/storage.ts'
import { type Authorization, createAuthorization, createConnect } from './authentication.ts'
import { createFlinkClient } from './client.ts'
import { type HttpLimits, type HttpLink, type HttpReply, type HttpRequest, openLink, send } from './http.ts'
import { neverAsked } from './http-errors.ts'

export type FlinkConnectionOptions = HttpLimits & { idleCloseMs: number }

export const DEFAULT_FLINK_CONNECTION_OPTIONS: FlinkConnectionOptions = {
  connectTimeoutMs: 5_000,
  requestTimeoutMs: 15_000,
  runTimeoutMs: 120_000,
  maxBodyBytes: 16 * 1024 * 1024,
  connections: 4,
  idleCloseMs: 60_000,
}

type Entry = { link: HttpLink; authorization: Authorization; idle: NodeJS.Timeout; inFlight: number }

export function createFlinkConnections(
  secrets: Secrets,
  given: Partial<FlinkConnectionOptions> = {},
): FlinkConnections {
  const options = { ...DEFAULT_FLINK_CONNECTION_OPTIONS, ...given }
  const entries = new Map<string, Entry>()
  let closed = false

  function open(address: ClusterAddress): Entry {
    const url = parseUrl(address.url)
    const entry: Entry = {
      link: openLink(url, options, createConnect(secrets, address, options.connectTimeoutMs)),
      authorization: createAuthorization(secrets, address),
      idle: setTimeout(() => closeIdle(address.key, entry), options.idleCloseMs).unref(),
      inFlight: 0,
    }
    entries.set(address.key, entry)
    return entry
  }

  function closeIdle(key: string, entry: Entry): void {
    if (entry.inFlight > 0) {
      entry.idle.refresh()
      return
    }
    entries.delete(key)
    entry.link.pool.close().catch(() => {}) // nothing is in flight: nobody is left to be told
  }

  async function ask(address: ClusterAddress, request: HttpRequest): Promise<HttpReply> {
    if (closed) throw neverAsked('unreachable', 'the connections to Flink are closed')
    const entry = entries.get(address.key) ?? open(address)
    entry.inFlight++
    try {
      const reply = await send(entry.link, request, await entry.authorization.header())
      if (reply.status === 401 || reply.status === 403) entry.authorization.forget()
      return reply
    } finally {
      entry.inFlight--
      entry.idle.refresh()
    }
  }

  return {
    to: (address) => createFlinkClient((request) => ask(address, request)),
    async close() {
      closed = true
      const open = [...entries.values()]
      entries.clear()
      for (const { idle } of open) clearTimeout(idle)
      await Promise.all(open.map(({ link }) => link.pool.close())) // waits for what is in flight, which has a deadline
    },
  }
}

function parseUrl(url: string): URL {
  const parsed = URL.canParse(url) ? new URL(url) : null
  if (parsed?.protocol === 'http:' || parsed?.protocol === 'https:') return parsed
  throw neverAsked('unreachable', 'the cluster url is not an http or https address')
}
