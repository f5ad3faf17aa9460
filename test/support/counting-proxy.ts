/** In front of an HTTP server: passes everything on as it was sent, counts it, and answers itself where a test says so. */
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type PassedRequest = { method: string; path: string; headers: IncomingMessage['headers'] }
export type CountingProxy = {
  url: string
  requests: PassedRequest[]
  /** Answers instead of the server; true when it did. */
  intercept: (message: IncomingMessage, response: ServerResponse) => boolean
  close(): Promise<void>
}

export async function startCountingProxy(target: string): Promise<CountingProxy> {
  const { hostname, port } = new URL(target)
  const server = createServer((message, response) => {
    const { method = '', url: path = '', headers } = message
    proxy.requests.push({ method, path, headers })
    if (proxy.intercept(message, response)) return
    const passed = request({ hostname, port, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    passed.on('error', () => response.destroy())
    message.pipe(passed)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const proxy: CountingProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: [],
    intercept: () => false,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return proxy
}
