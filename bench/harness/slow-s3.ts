/**
 * In front of an S3 server: every request takes some time longer, and is counted. A process of its own:
 * `node --import tsx slow-s3.ts <host:port> <added ms>`. DELETE on `/__requests` begins to count anew, GET answers how many.
 */
import { Agent, createServer, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

const [target = '', addedMs = '20'] = process.argv.slice(2)
const [host = '', port = ''] = target.split(':')
const agent = new Agent({ keepAlive: true, maxSockets: 256 })
let requests = 0

const server = createServer(async (incoming, outgoing) => {
  if (incoming.url === '/__requests') {
    if (incoming.method === 'DELETE') requests = 0
    outgoing.end(JSON.stringify({ requests }))
    return
  }
  requests += 1
  await sleep(Number(addedMs))
  const { method = 'GET', url = '/', headers } = incoming
  const forwarded = request({ host, port, method, path: url, headers, agent }, (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.pipe(outgoing)
  })
  forwarded.on('error', (error) => outgoing.destroy(error))
  incoming.pipe(forwarded)
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  const own = typeof address === 'object' && address ? address.port : 0
  console.log(JSON.stringify({ started: 'slow S3', url: `http://127.0.0.1:${own}` }))
})
process.once('SIGTERM', () => process.exit(0))
