/** What the raw GETs ask: a bare HTTP server that answers a savepoint's status at once. */
import { createServer } from 'node:http'

const BODY = JSON.stringify({
  status: { id: 'COMPLETED' },
  operation: { location: 's3://bench/flink/default/job/savepoints/0/1/savepoint-000000-000000000000' },
})
const server = createServer((_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': BODY.length })
  response.end(BODY)
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  console.log(JSON.stringify({ started: 'bare HTTP', url: `http://127.0.0.1:${port}` }))
})
process.once('SIGTERM', () => server.close(() => process.exit(0)))
