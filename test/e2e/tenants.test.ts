/** Two tenants whose things are called the same: each sees its own, and of the other nothing, by no route there is. */
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Snapshot } from '../../src/domain/snapshot.ts'
import { type Api, until } from '../support/api.ts'
import { aJar } from '../support/jars.ts'
import { type ScriptedFlink, startScriptedFlink } from '../support/simulated-flink.ts'
import { startSystem, type TestSystem } from '../support/system.ts'

type Ids = {
  cluster: string
  storage: string
  job: string
  run: string
  snapshot: string
  operation: string
  version: number
  artifact: string
}

let scripted: ScriptedFlink
let system: TestSystem
let ours: Ids
let theirs: Ids

beforeAll(async () => {
  scripted = await startScriptedFlink({ seedJobs: [{ name: 'orders' }, { name: 'orders-of-theirs' }] })
  system = await startSystem({ name: 'tenants' })
  ours = await populate(system.api, 'ours', 'orders')
  theirs = await populate(system.other, 'theirs', 'orders-of-theirs')
})
afterAll(async () => {
  await system?.stop()
  await scripted?.flink.stop()
})

/** The names are the same in both; only the folder and the Flink job behind them differ. */
async function populate(api: Api, folder: string, flinkJobName: string): Promise<Ids> {
  const post = async (path: string, body: object, headers: Record<string, string> = {}) => {
    const answer = await api.call<{ id: string; number: number }>('POST', path, { body, headers })
    expect(answer.status, JSON.stringify(answer.body)).toBe(201)
    return answer.body
  }
  await mkdir(join(system.folder, folder))
  const cluster = await post('/v1/clusters', { name: 'flink', url: scripted.flink.url })
  const storage = await post('/v1/storages', { name: 'state', uri: `file://${system.folder}/${folder}` })
  const job = await post('/v1/jobs', {
    name: 'orders',
    cluster: 'flink',
    savepointStorage: 'state',
    attach: { flinkJobName },
  })
  const version = await post('/v1/jobs/orders/versions', {})
  const upload = await api.call<{ artifact: string }>('POST', '/v1/artifacts?storage=state', {
    body: aJar(folder),
    headers: { 'content-type': 'application/java-archive' },
  })
  expect(upload.status, JSON.stringify(upload.body)).toBe(201)
  const run = await until('the run is observed', async () => {
    const { body } = await api.call<{ run: { id: string } | null }>('GET', '/v1/jobs/orders')
    return body.run
  })
  const wait = { prefer: 'wait=55' }
  const snapshot = await post(
    '/v1/jobs/orders/savepoints',
    { description: folder, labels: { of: 'this-test' } },
    wait,
  )
  expect(snapshot).toMatchObject({ status: 'Present', failure: null })
  const bulk = await api.call<{ id: string }>('POST', '/v1/savepoints', { body: { cluster: 'flink' } })
  expect(bulk.status, JSON.stringify(bulk.body)).toBe(202)
  return {
    run: run.id,
    operation: bulk.body.id,
    cluster: cluster.id,
    storage: storage.id,
    job: job.id,
    snapshot: snapshot.id,
    version: version.number,
    artifact: upload.body.artifact,
  }
}

type Route = { method: 'GET' | 'POST' | 'PATCH' | 'DELETE' | 'PUT'; path: string; id: string }

/** Every route of the document that names a thing. */
async function routesWithIds(): Promise<Route[]> {
  const document: { paths: Record<string, Record<string, unknown>> } = JSON.parse(
    await readFile('openapi/openapi.json', 'utf8'),
  )
  return Object.entries(document.paths).flatMap(([path, methods]) => {
    const id = /\{(\w+)\}/.exec(path)?.[1]
    if (id === undefined) return []
    return (['GET', 'POST', 'PATCH', 'DELETE', 'PUT'] as const)
      .filter((method) => method.toLowerCase() in methods)
      .map((method) => ({ method, path, id }))
  })
}

const BODIES: Readonly<Record<string, object>> = {
  '/v1/jobs/{job}/schedule': { every: { hours: 6 } },
  '/v1/jobs/{job}/retention': { keepCount: 5 },
  '/v1/snapshots/{snapshot}/copy': { storage: 'state' },
  '/v1/storages/{storage}/orphans/clear': {
    operation: '00000000-0000-7000-8000-000000000000',
    findings: [0],
  },
  '/v1/clusters/{cluster}': { mode: 'OBSERVE_ONLY' },
  '/v1/storages/{storage}': { clearCheckpoints: true },
  '/v1/jobs/{job}': { allowStop: true },
  '/v1/snapshots/{snapshot}': { description: 'mine now' },
  '/v1/clusters/{cluster}/attach': { namePattern: '*', savepointStorage: 'state' },
  '/v1/jobs/{job}/snapshots': { location: 'file:///somewhere/savepoint-1' },
}

const idsOf = (ids: Ids): Readonly<Record<string, string>> => ({
  ...ids,
  number: '1',
  version: '1',
  other: '1',
})

/** What a route must be told besides; the names are the same in both. */
const QUERIES: Readonly<Record<string, string>> = { '/v1/artifacts/{artifact}': '?storage=state' }

const fill = (path: string, ids: Ids) =>
  path.replaceAll(/\{(\w+)\}/g, (_all, name: string) => idsOf(ids)[name] ?? 'missing') + (QUERIES[path] ?? '')

describe('two tenants with the same names', () => {
  it('get 404 on every route there is for what belongs to the other', async () => {
    const routes = await routesWithIds()
    expect(routes.length).toBeGreaterThan(15)
    for (const { method, path } of routes) {
      const body =
        method === 'PATCH' || method === 'PUT'
          ? BODIES[path]
          : method === 'POST'
            ? (BODIES[path] ?? {})
            : undefined
      for (const [api, foreign] of [
        [system.api, theirs],
        [system.other, ours],
      ] as const) {
        const answer = await api.call(method, fill(path, foreign), body === undefined ? {} : { body })
        expect([`${method} ${path}`, answer.status, answer.body['code']]).toEqual([
          `${method} ${path}`,
          404,
          'NOT_FOUND',
        ])
      }
    }
  })

  it('find their own under the same names, and only their own in every list', async () => {
    for (const [api, mine, other] of [
      [system.api, ours, theirs],
      [system.other, theirs, ours],
    ] as const) {
      for (const [list, id] of [
        ['clusters', mine.cluster],
        ['storages', mine.storage],
        ['jobs', mine.job],
        ['jobs/orders/runs', mine.run],
        ['operations', mine.operation],
        ['jobs/orders/snapshots?source=MANUAL&label=of%3Dthis-test', mine.snapshot],
      ] as const) {
        const { body } = await api.call<{ items: { id: string }[] }>('GET', `/v1/${list}`)
        expect([list, body.items.map((item) => item.id)]).toEqual([list, [id]])
        expect(JSON.stringify(body)).not.toContain(other.cluster)
      }
      expect((await api.call('GET', '/v1/jobs/orders')).body['id']).toBe(mine.job)
    }
  })

  it('cannot refer to what belongs to the other, nor lie in its storage', async () => {
    const job = {
      name: 'another',
      cluster: 'flink',
      savepointStorage: 'state',
      attach: { flinkJobName: 'x' },
    }
    for (const reference of [{ cluster: theirs.cluster }, { savepointStorage: theirs.storage }]) {
      const answer = await system.api.call('POST', '/v1/jobs', { body: { ...job, ...reference } })
      expect([400, 404, 409]).toContain(answer.status)
      expect(answer.body['code']).toBe('REFERENCE_NOT_FOUND')
    }
    for (const uri of ['theirs', 'theirs/below', ''].map((folder) => `file://${system.folder}/${folder}`)) {
      const answer = await system.api.call('POST', '/v1/storages', { body: { name: 'spy', uri } })
      expect([uri, answer.status, answer.body['code']]).toEqual([uri, 409, 'STORAGE_ROOT_OVERLAP'])
      expect(JSON.stringify(answer.body)).not.toContain(theirs.storage)
    }
  })

  it('may use the same idempotency key for different things', async () => {
    const headers = { 'idempotency-key': 'the-same', prefer: 'wait=55' }
    const [mine, yours] = await Promise.all(
      [system.api, system.other].map((api) =>
        api.call<Snapshot>('POST', '/v1/jobs/orders/savepoints', { body: {}, headers }),
      ),
    )
    expect([mine?.status, yours?.status]).toEqual([201, 201])
    expect(mine?.body.id).not.toBe(yours?.body.id)
    expect(mine?.body.ownedPrefix).toContain('/ours/default/orders/')
    expect(yours?.body.ownedPrefix).toContain('/theirs/other/orders/')
  })

  it('are told apart by their tokens alone: none, a wrong one and half a one open nothing', async () => {
    for (const token of [
      null,
      'wrong-wrong-wrong-wrong',
      (system.env['TIDEMARK_TOKENS'] ?? '').slice(8, 30),
    ]) {
      for (const path of [
        '/v1/jobs/orders',
        '/v1/snapshots',
        `/v1/snapshots/${ours.snapshot}`,
        '/v1/system',
      ]) {
        const answer = await system.api.call('GET', path, { token })
        expect([path, answer.status, answer.body['code']]).toEqual([path, 401, 'UNAUTHENTICATED'])
      }
    }
  })

  it('left nothing behind in the namespace of the other', async () => {
    const { body } = await system.other.call<Snapshot>('GET', `/v1/snapshots/${theirs.snapshot}`)
    expect(body).toMatchObject({ description: 'theirs', status: 'Present' })
    expect((await system.other.call('GET', '/v1/jobs/orders')).body['allowStop']).toBe(false)
    expect((await system.other.call('GET', '/v1/clusters/flink')).body['mode']).toBe('MANAGE')
  })
})
