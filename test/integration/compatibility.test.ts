/** Whether a version fits a snapshot, over HTTP: a real Postgres, `_metadata` of real Flinks on this machine, two namespaces. */
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { v7 } from 'uuid'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { JobVersionSpec } from '../../src/domain/job-version.ts'
import type { RunningServer } from '../../src/server.ts'
import type { CompatibilityCheck } from '../../src/services/api.ts'
import type { Api } from '../support/api.ts'
import type { TestDatabase } from '../support/database.ts'
import { createTenants, insertSavepoint, type Tenant } from '../support/fixtures.ts'
import { moveStorageTo, startApiOfTwoTenants } from '../support/two-tenants.ts'

const SAMPLES = join(import.meta.dirname, '../support/flink-metadata-samples')
/** The same program on the same release, canonical and native. */
const CANONICAL = 'v6-flink2.3-operator-complexkeyed'
const OTHER_OPERATORS = 'v6-flink2.2-operator-nonkeyed'
const NATIVE = 'v6-flink2.2-udf-hashmap-savepoint-native'

let database: TestDatabase
let server: RunningServer
let folder: string
let ours: Tenant
let theirs: Tenant
let api: Api

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidemark-compatibility-'))
  ;({ database, server, api } = await startApiOfTwoTenants('compatibility', { localRoots: folder }))
}, 120_000)
afterAll(async () => {
  await server?.close()
  await database?.drop()
  if (folder) await rm(folder, { recursive: true, force: true })
})

beforeEach(async () => {
  const tenants = await createTenants(database.db)
  ours = tenants.ours
  theirs = tenants.theirs
  for (const tenant of [ours, theirs]) {
    await moveStorageTo(folder, database, tenant)
    await sql(`update cluster set flink_version = '2.3.0' where id = $1`, [tenant.clusterId])
  }
  await sql(
    `update run set state = 'FINISHED', flink_state = 'FINISHED', started_at = now() - interval '2 hours', ended_at = now() - interval '1 hour'`,
  )
})
afterEach(async () => {
  await sql('truncate cluster, storage, job, run, snapshot, job_version, attempt, worker, operation cascade')
  await sql('truncate history.event')
  for (const name of ['ours', 'theirs']) await rm(join(folder, name), { recursive: true, force: true })
})

const sql = (text: string, values: unknown[] = []) => database.db.sql(text, values)

const SPEC: JobVersionSpec = {
  artifact: `sha256:${'a'.repeat(64)}`,
  parallelism: 4,
  state: { backend: 'hashmap' },
}

/** Numbered from 1. */
async function versions(tenant: Tenant, ...specs: Partial<JobVersionSpec>[]): Promise<void> {
  for (const [index, spec] of specs.entries()) {
    await sql(
      `insert into job_version (namespace_id, job_id, number, spec, labels, created_by) values ($1, $2, $3, $4, '{}', 'a test')`,
      [tenant.caller.namespaceId, tenant.jobId, index + 1, JSON.stringify({ ...SPEC, ...spec })],
    )
  }
  await sql('update job set latest_version = $2 where id = $1', [tenant.jobId, specs.length])
}

let places = 0
/** A savepoint of a sample, by its folder, or with these bytes as `_metadata`. */
async function savepoint(
  of: string | Uint8Array,
  { version = 1, tenant = ours, at = 1 }: { version?: number | null; tenant?: Tenant; at?: number } = {},
): Promise<{ id: string; location: string; file: string }> {
  places += 1
  const place = join(folder, tenant.caller.namespace, `savepoints/sp-${places}`)
  await mkdir(place, { recursive: true })
  if (typeof of === 'string') await cp(join(SAMPLES, of, '_metadata'), join(place, '_metadata'))
  else await writeFile(join(place, '_metadata'), of)
  const location = pathToFileURL(place).href
  const id = await insertSavepoint(database.db, tenant, { status: 'Present', location })
  await sql(
    `update snapshot set flink_checkpoint_id = $2, completed_at = now() - interval '1 hour', job_version = $3,
       flink_version = '2.3.0' where id = $1`,
    [id, at, version],
  )
  return { id, location, file: join(place, '_metadata') }
}

async function ask(body: object | null = null, as: Api = api): Promise<CompatibilityCheck> {
  const answer = await as.call<CompatibilityCheck>(
    'POST',
    '/v1/jobs/orders/compatibility',
    body === null ? {} : { body },
  )
  expect([answer.status, answer.body]).toEqual([200, answer.body])
  return answer.body
}
const codesOf = ({ findings }: CompatibilityCheck): string[] => [
  ...new Set(findings.map(({ severity, code }) => `${severity} ${code}`)),
]
const refuse = (body: object, job = 'orders') =>
  api.call<{ code: string; errors: { pointer: string }[] }>('POST', `/v1/jobs/${job}/compatibility`, { body })

describe('a compatibility check', () => {
  it('of the version that wrote it names what it stands on, twice the same, and changes nothing [N-06]', async () => {
    await versions(ours, {})
    const { id, location } = await savepoint(CANONICAL)
    const before = await sql('select row_version, updated_at from snapshot')
    const first = await ask({ snapshot: id })
    expect(first).toMatchObject({
      job: { id: ours.jobId, name: 'orders' },
      version: 1,
      snapshot: id,
      location,
      verdict: 'COMPATIBLE',
      starts: true,
      allowNonRestoredState: false,
      findings: [],
      judgedBy: {
        flinkVersion: '2.3.0',
        snapshot: {
          metadataVersion: 6,
          flinkVersion: '2.3.0',
          format: 'canonical',
          jobVersion: 1,
          operators: 4,
        },
        operators: { basis: 'OWN', snapshot: id, version: 1, kept: 4, added: 0, removed: 0 },
      },
    })
    const second = await ask({ location: `${location}/_metadata` })
    expect({ ...second, decidedAt: '' }).toEqual({ ...first, decidedAt: '' })
    expect(await sql('select row_version, updated_at from snapshot')).toEqual(before)
    expect(await sql('select 1 from history.event')).toEqual([])
  })

  it('without a name is about the newest one, and the latest version [N-06]', async () => {
    await versions(ours, {}, {})
    await savepoint(OTHER_OPERATORS, { at: 1 })
    const newest = await savepoint(CANONICAL, { at: 2 })
    expect(await ask()).toMatchObject({ snapshot: newest.id, version: 2, verdict: 'COMPATIBLE' })
    expect(await ask({ version: 1 })).toMatchObject({ snapshot: newest.id, version: 1 })
  })

  it('asks a running job about its newest snapshot, too', async () => {
    await versions(ours, {})
    const { id } = await savepoint(CANONICAL)
    await sql(`update run set state = 'RUNNING', flink_state = 'RUNNING', ended_at = null`)
    expect(await ask()).toMatchObject({ snapshot: id, verdict: 'COMPATIBLE' })
  })

  it('knows the operators of another program only from a snapshot of it [N-06]', async () => {
    await versions(ours, {}, { artifact: `sha256:${'b'.repeat(64)}` })
    const { id } = await savepoint(CANONICAL, { version: 1 })
    const unknown = await ask({ snapshot: id })
    expect(unknown).toMatchObject({ verdict: 'UNKNOWN', starts: null, judgedBy: { operators: null } })
    expect(codesOf(unknown)).toEqual(['UNKNOWN OPERATORS_UNKNOWN', 'WARNS SERIALIZERS_NOT_VISIBLE'])

    const of2 = await savepoint(OTHER_OPERATORS, { version: 2, at: 2 })
    const known = await ask({ snapshot: id })
    expect(known).toMatchObject({
      verdict: 'PARTLY',
      starts: false,
      judgedBy: { operators: { basis: 'OWN', snapshot: of2.id, version: 2, removed: 1 } },
    })
    expect(codesOf(known)).toContain('DROPS_STATE OPERATOR_REMOVED')
    const removed = known.findings.find(({ code }) => code === 'OPERATOR_REMOVED')
    expect(removed).toMatchObject({
      operator: { id: expect.stringMatching(/^0120/), uid: 'window' },
      message: expect.stringContaining(of2.id),
      act: expect.stringContaining('allowNonRestoredState'),
    })
    expect(await ask({ snapshot: id, allowNonRestoredState: true })).toMatchObject({
      verdict: 'PARTLY',
      starts: true,
    })
    // What cannot be read any more says nothing, also not from memory of another place.
    await rm(of2.file)
    await sql('delete from snapshot_inspection')
    expect(await ask({ snapshot: id })).toMatchObject({ verdict: 'UNKNOWN', judgedBy: { operators: null } })
  })

  it('takes the snapshot of a version with the same program, and none of an import', async () => {
    await versions(ours, {}, { parallelism: 2, maxParallelism: 64 })
    const { id } = await savepoint(CANONICAL)
    const imported = await savepoint(OTHER_OPERATORS, { version: 2, at: 9 })
    await sql(`update snapshot set source = 'IMPORT' where id = $1`, [imported.id])
    const check = await ask({ snapshot: id })
    expect(check).toMatchObject({
      verdict: 'INCOMPATIBLE',
      starts: false,
      judgedBy: { operators: { basis: 'SAME_PROGRAM', snapshot: id, version: 1 } },
    })
    expect(codesOf(check)).toContain('BLOCKS MAX_PARALLELISM_CHANGED')
  })

  it('of native state minds the backend, and the Flink of the cluster [M-04] [N-06]', async () => {
    await versions(ours, {}, { state: { backend: 'rocksdb' } })
    const { id } = await savepoint(NATIVE)
    expect(codesOf(await ask({ snapshot: id, version: 1 }))).not.toContain('BLOCKS BACKEND_CHANGED')
    expect(codesOf(await ask({ snapshot: id }))).toContain('BLOCKS BACKEND_CHANGED')
    await sql(`update cluster set flink_version = '1.20.4'`)
    expect(codesOf(await ask({ snapshot: id, version: 1 }))).toContain('BLOCKS METADATA_TOO_NEW')
    await sql('update cluster set flink_version = null')
    expect(codesOf(await ask({ snapshot: id, version: 1 }))).toContain('UNKNOWN FLINK_VERSION_UNKNOWN')
  })

  it('takes a place that is no snapshot of ours, and knows less of it [A-39] [N-06]', async () => {
    await versions(ours, {})
    const { id, location } = await savepoint(CANONICAL)
    await sql('delete from snapshot where id = $1', [id])
    const check = await ask({ location })
    expect(check).toMatchObject({
      snapshot: null,
      location,
      verdict: 'UNKNOWN',
      judgedBy: { operators: null },
    })
    expect(codesOf(check)).toEqual(['UNKNOWN OPERATORS_UNKNOWN', 'WARNS SERIALIZERS_NOT_VISIBLE'])
  })

  it('of a job that never had state has nothing to compare', async () => {
    await versions(ours, {})
    const check = await ask()
    expect(check).toMatchObject({ verdict: 'COMPATIBLE', snapshot: null, judgedBy: { snapshot: null } })
    expect(codesOf(check)).toEqual(['NOTE NOTHING_TO_RESTORE'])
  })
})

describe('what stands in the way of a check is an answer', () => {
  const HEADER = Buffer.from('4960672d00000006000000000000000100000000', 'hex')
  const DAMAGED: [string, Uint8Array, string, string][] = [
    ['no metadata at all', Buffer.alloc(0), 'INCOMPATIBLE', 'BLOCKS METADATA_UNREADABLE'],
    [
      'something else',
      Buffer.from('hello, this is no metadata'),
      'INCOMPATIBLE',
      'BLOCKS METADATA_UNREADABLE',
    ],
    ['cut off', HEADER, 'INCOMPATIBLE', 'BLOCKS METADATA_UNREADABLE'],
    [
      'a count that cannot be',
      Buffer.concat([HEADER, Buffer.from('7fffffff', 'hex')]),
      'INCOMPATIBLE',
      'BLOCKS METADATA_UNREADABLE',
    ],
    [
      'of a Flink that is newer than we are',
      Buffer.from('4960672d00000007000000000000000100000000', 'hex'),
      'UNKNOWN',
      'UNKNOWN METADATA_UNREADABLE',
    ],
  ]
  it.each(DAMAGED)('%s', async (_, bytes, verdict, code) => {
    await versions(ours, {})
    const { id } = await savepoint(bytes)
    const check = await ask({ snapshot: id })
    expect([check.verdict, codesOf(check)]).toEqual([verdict, [code]])
    expect(check).toMatchObject({ snapshot: id, judgedBy: { snapshot: null, operators: null } })
  })

  it('metadata that is gone, and a snapshot that was cleared', async () => {
    await versions(ours, {})
    const gone = await savepoint(CANONICAL)
    await rm(gone.file)
    expect(await ask({ snapshot: gone.id })).toMatchObject({
      verdict: 'INCOMPATIBLE',
      findings: [{ code: 'NOT_RESTORABLE' }],
    })
    const cleared = await insertSavepoint(database.db, ours, { status: 'Cleared' })
    expect(await ask({ snapshot: cleared })).toMatchObject({
      verdict: 'INCOMPATIBLE',
      starts: false,
      findings: [{ code: 'NOT_RESTORABLE', message: expect.stringContaining('cleared') }],
    })
  })

  it('a store that cannot be asked', async () => {
    await versions(ours, {})
    const { id } = await savepoint(CANONICAL)
    await sql(
      `update storage set provider = 'minio', uri = 's3://bucket/x', root_key = 's3://bucket/x/', endpoint = 'http://127.0.0.1:9'
       where id = $1`,
      [ours.storageId],
    )
    await sql(
      `update snapshot set location = 's3://bucket/x/sp', location_key = 's3://bucket/x/sp' where id = $1`,
      [id],
    )
    const check = await ask({ snapshot: id })
    expect(check).toMatchObject({ verdict: 'UNKNOWN', starts: null, snapshot: id })
    expect(codesOf(check)).toEqual(['UNKNOWN STORE_NOT_ASKED'])
  })
})

describe('a check is refused', () => {
  it('for what is of another tenant, of another job or not there', async () => {
    await versions(ours, {})
    await versions(theirs, {}, {}, {})
    const mine = await savepoint(CANONICAL)
    const foreign = await savepoint(CANONICAL, { tenant: theirs })
    const cases: [object, number, string, string?][] = [
      [{ snapshot: foreign.id }, 404, 'REFERENCE_NOT_FOUND', '/body/snapshot'],
      [{ snapshot: v7() }, 404, 'REFERENCE_NOT_FOUND', '/body/snapshot'],
      [{ snapshot: mine.id, version: 3 }, 404, 'REFERENCE_NOT_FOUND', '/body/version'],
      [{ location: foreign.location }, 400, 'LOCATION_OUTSIDE_ROOT', '/body/location'],
      [{ location: `${mine.location}/../../../theirs` }, 400, 'LOCATION_INVALID'],
      [{ location: 'file:///etc/passwd' }, 400, 'LOCATION_OUTSIDE_ROOT', '/body/location'],
      [{ snapshot: mine.id, location: mine.location }, 400, 'VALIDATION_FAILED', '/body/location'],
      [{ snapshot: 'x' }, 400, 'VALIDATION_FAILED'],
      [{ snapshot: mine.id, claimMode: 'CLAIM' }, 400, 'VALIDATION_FAILED'],
    ]
    for (const [body, , code, pointer] of cases) {
      const answer = await refuse(body)
      expect([body, answer.body.code]).toEqual([body, code])
      expect(answer.status).toBeGreaterThanOrEqual(400)
      expect(answer.status).toBeLessThan(500)
      if (pointer !== undefined) expect(answer.body.errors.map((error) => error.pointer)).toEqual([pointer])
    }
    expect((await refuse({}, 'nothing')).body.code).toBe('NOT_FOUND')
    expect((await refuse({}, theirs.jobId)).body.code).toBe('NOT_FOUND')
  })

  it('for a job without any version', async () => {
    const { id } = await savepoint(CANONICAL, { version: null })
    const answer = await refuse({ snapshot: id })
    expect(answer.body).toMatchObject({ code: 'REFERENCE_NOT_FOUND', errors: [{ pointer: '/body/version' }] })
  })
})
