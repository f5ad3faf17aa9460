/**
 * The reference of B3b, a process of its own: nothing but Fastify, one route, and the page it was given as objects that
 * are serialized by our response schema each time. `node --import tsx bare-fastify.ts <page.json>`
 */
import { readFileSync } from 'node:fs'
import Fastify from 'fastify'
import { answer } from '../../src/http/schemas/answers.ts'
import { Attempt, Snapshot, SnapshotPage } from '../../src/http/schemas/snapshots.ts'

const [file = ''] = process.argv.slice(2)
const page: unknown = JSON.parse(readFileSync(file, 'utf8'))
const app = Fastify({ logger: false })
for (const schema of [Attempt, Snapshot, SnapshotPage]) app.addSchema(schema)
app.get('/page', { schema: { response: { 200: answer(SnapshotPage, 'One page.') } } }, async () => page)
const url = await app.listen({ host: '127.0.0.1', port: 0 })
console.log(JSON.stringify({ started: 'bare Fastify', url }))
process.once('SIGTERM', () => void app.close())
