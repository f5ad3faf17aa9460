/** Clearing on stores that misbehave, on folders, and in a bucket that keeps versions. */
import { mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import {
  DeleteObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startVersityGateway, type VersityGateway } from '../../dev/services/s3.ts'
import type { ObjectStores } from '../../src/ports/storage.ts'
import { createObjectStores } from '../../src/storage/stores.ts'
import { type ClearingBench, insertOwnedSavepoint, openClearingBench } from '../support/clearing.ts'
import { openMigratedDatabase, type TestDatabase } from '../support/database.ts'
import { createTenants, type Tenant } from '../support/fixtures.ts'
import {
  keysOf,
  type S3Request,
  type S3Script,
  type ScriptedS3,
  sendDeleted,
  sendError,
  sendListing,
  sendXml,
  startScriptedS3,
} from '../support/scripted-s3.ts'
import { fixedSecrets } from '../support/storage-address.ts'

let database: TestDatabase
let ours: Tenant
let stores: ObjectStores
let bench: ClearingBench

beforeAll(async () => {
  database = await openMigratedDatabase('clearing-stores')
})
afterAll(() => database.drop())
afterEach(() => stores.close())

async function useStorage(uri: string, provider: string, endpoint: string | null, localRoots: string[] = []) {
  const { db } = database
  await db.sql('truncate namespace cascade')
  ;({ ours } = await createTenants(db))
  const credentials = {
    accessKeyId: { env: 'TIDEMARK_SECRET_OURS_ID' },
    secretAccessKey: { env: 'TIDEMARK_SECRET_OURS_KEY' },
  }
  await db.sql(
    `update storage set uri = $1, root_key = $2, provider = $3, endpoint = $4, credentials = $5::jsonb where id = $6`,
    [uri, `${uri}/`, provider, endpoint, endpoint && JSON.stringify(credentials), ours.storageId],
  )
  stores = createObjectStores({
    secrets: fixedSecrets,
    localRoots,
    s3Limits: { maxAttempts: 1, requestTimeoutMs: 300, callTimeoutMs: 2_000 },
  })
  bench = openClearingBench(db, stores)
}

/** An unprotected savepoint, Clearing. */
async function startClearing(root: string) {
  const { db } = database
  await insertOwnedSavepoint(db, ours, root, { checkpointId: 99 })
  const gone = await insertOwnedSavepoint(db, ours, root)
  await bench.clear({ caller: ours.caller, snapshot: gone.id })
  return gone
}

describe('a store that misbehaves', () => {
  const ROOT = 's3://bucket/root'
  let server: ScriptedS3
  let prefix: string
  let objects: Set<string>
  let snapshot: string

  beforeAll(async () => {
    server = await startScriptedS3()
  })
  afterAll(() => server.close())
  beforeEach(async () => {
    await useStorage(ROOT, 'minio', server.url)
    server.answerWith((_, response) => sendError(response, 404, 'NoSuchKey'))
    const gone = await startClearing(ROOT)
    snapshot = gone.id
    prefix = gone.prefix.replace('s3://bucket/', '')
    objects = new Set(['1/sp/_metadata', '1/sp/a', '1/sp/b'].map((key) => `${prefix}${key}`))
    server.answerWith(store())
  })

  const isDeletion = ({ method, query }: S3Request): boolean => method === 'POST' && query.has('delete')
  const isListing = ({ query }: S3Request): boolean => query.has('list-type')
  /** A plain store over `objects`; `fault` may answer first. */
  const store =
    (fault: S3Script | null = null, answered = (): boolean => false): S3Script =>
    (request, response) => {
      fault?.(request, response)
      if (response.writableEnded || response.headersSent || answered()) return
      if (request.query.has('versioning')) return sendXml(response, 200, '<VersioningConfiguration/>')
      if (isListing(request)) {
        const below = request.query.get('prefix') ?? ''
        return sendListing(response, [...objects].filter((key) => key.startsWith(below)).toSorted())
      }
      if (!isDeletion(request)) return sendError(response, 404, 'NoSuchKey')
      for (const key of keysOf(request)) objects.delete(key)
      return sendDeleted(response, keysOf(request))
    }
  const deletedKeys = (): string[] => server.requests.filter(isDeletion).flatMap(keysOf)
  const forgetError = () => database.db.sql('update clearing set error_code = null')

  it('by errors for single keys keeps these, shows them, and tries them again, without the others', async () => {
    server.answerWith(
      store((request, response) => {
        const keys = keysOf(request)
        const bad = `${prefix}1/sp/b`
        if (!isDeletion(request) || !keys.includes(bad)) return
        for (const key of keys) if (key !== bad) objects.delete(key)
        sendDeleted(
          response,
          keys.filter((key) => key !== bad),
          `<Error><Key>${bad}</Key><Code>AccessDenied</Code><Message>held</Message></Error>`,
        )
      }),
    )
    expect(await bench.drain(snapshot)).toMatchObject({
      status: 'Clearing',
      phase: 'DELETING',
      error: 'AccessDenied',
      message: expect.stringContaining('1/sp/b'),
      deleted: 2,
    })
    server.answerWith(store())
    await forgetError()
    expect(await bench.drain(snapshot)).toMatchObject({ status: 'Cleared', deleted: 3 })
    expect(deletedKeys()).toEqual([`${prefix}1/sp/b`])
  })

  it('by an error for _metadata deletes nothing else', async () => {
    server.answerWith(
      store((request, response) => {
        if (!isDeletion(request)) return
        const [key] = keysOf(request)
        sendDeleted(
          response,
          [],
          `<Error><Key>${key}</Key><Code>AccessDenied</Code><Message>no</Message></Error>`,
        )
      }),
    )
    expect(await bench.drain(snapshot)).toMatchObject({ phase: 'DELETING_METADATA', error: 'AccessDenied' })
    expect(deletedKeys()).toEqual([`${prefix}1/sp/_metadata`])
  })

  it('by 503 to everything stays visible and goes on later', async () => {
    server.answerWith((_, response) => sendError(response, 503, 'SlowDown'))
    expect(await bench.drain(snapshot)).toMatchObject({ status: 'Clearing', error: 'STORAGE_UNREACHABLE' })
    expect(objects.size).toBe(3)
    server.answerWith(store())
    await forgetError()
    expect(await bench.drain(snapshot)).toMatchObject({ status: 'Cleared' })
    expect(objects.size).toBe(0)
  })

  it('by an answer that never comes, after it has deleted, is asked again and ends well', async () => {
    let hung = 0
    server.answerWith(
      store(
        (request) => {
          if (!isDeletion(request) || hung > 1) return
          hung += 1
          for (const key of keysOf(request)) objects.delete(key)
        },
        () => hung === 1,
      ),
    )
    expect(await bench.drain(snapshot)).toMatchObject({ status: 'Clearing', error: 'STORAGE_UNREACHABLE' })
    hung = 2
    await forgetError()
    expect(await bench.drain(snapshot)).toMatchObject({ status: 'Cleared' })
  })

  it.each([
    ['cut off', '<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>x'],
    ['empty', ''],
    ['of keys outside the prefix', ''],
  ])('by a listing that is %s deletes nothing and does not call it empty', async (what, body) => {
    server.answerWith(
      store((request, response) => {
        if (!isListing(request)) return
        if (what.startsWith('of keys'))
          sendListing(response, ['other/_metadata', `${prefix.slice(0, -1)}2/x`])
        else response.writeHead(200, { 'content-type': 'application/xml' }).end(body)
      }),
    )
    expect(await bench.drain(snapshot)).toMatchObject({
      status: 'Clearing',
      phase: 'LISTING',
      error: expect.stringMatching(/^STORAGE_/),
    })
    expect(deletedKeys()).toEqual([])
  })

  it('by listing what it has deleted for a while longer is asked until it is empty twice', async () => {
    const ghosts = [...objects]
    let listings = 0
    server.answerWith(
      store((request, response) => {
        if (!isListing(request)) return
        listings += 1
        // the list, two times what is gone already, empty once, a ghost again, and then nothing
        if (listings <= 3) sendListing(response, ghosts)
        else if (listings === 5) sendListing(response, ghosts.slice(0, 1))
        else if (listings === 4) sendListing(response, [])
      }),
    )
    expect(await bench.drain(snapshot)).toMatchObject({ status: 'Cleared', objects: 3, deleted: 3 })
    expect(listings).toBeGreaterThanOrEqual(7)
  })

  it('by not saying whether it keeps versions is refused: its objects might only be hidden', async () => {
    server.answerWith(
      store((request, response) => {
        if (request.query.has('versioning')) sendError(response, 403, 'AccessDenied')
      }),
    )
    expect(await bench.drain(snapshot)).toMatchObject({ status: 'Clearing', error: 'STORAGE_ACCESS_DENIED' })
    expect(deletedKeys()).toEqual([])
  })

  it('by not knowing versions at all keeps none', async () => {
    server.answerWith(
      store((request, response) => {
        if (request.query.has('versioning')) sendError(response, 501, 'NotImplemented')
      }),
    )
    expect(await bench.drain(snapshot)).toMatchObject({ status: 'Cleared' })
  })
})

describe('a folder of this machine', () => {
  let folder: string
  let root: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tidemark-clearing-'))
    await mkdir(join(folder, 'root'))
    await mkdir(join(folder, 'elsewhere'))
    await writeFile(join(folder, 'elsewhere', 'precious'), 'x')
    root = `file://${folder}/root`
    await useStorage(root, 'local', null, [join(folder, 'root')])
  })
  afterEach(() => rm(folder, { recursive: true }))
  const pathOf = (location: string): string => location.replace('file://', '')
  const write = async (location: string): Promise<void> => {
    await mkdir(dirname(pathOf(location)), { recursive: true })
    await writeFile(pathOf(location), 'x')
  }

  it('is empty afterwards, its empty folders gone as well, and its neighbours there', async () => {
    const gone = await startClearing(root)
    await write(`${gone.location}/_metadata`)
    await write(`${gone.location}/deep/er/part-0`)
    await mkdir(join(pathOf(gone.prefix), '2', 'empty', 'er'), { recursive: true })
    const neighbour = `${gone.prefix.slice(0, -1)}2/_metadata`
    await write(neighbour)

    expect(await bench.drain(gone.id)).toMatchObject({ status: 'Cleared', deleted: 2 })
    await expect(readdir(pathOf(gone.prefix))).rejects.toMatchObject({ code: 'ENOENT' })
    expect(await readFile(pathOf(neighbour), 'utf8')).toBe('x')
  })

  it('that is not mounted is not empty: the clearing stands still and says so, and goes on once it is mounted', async () => {
    const gone = await startClearing(root)
    await write(`${gone.location}/_metadata`)
    const [disk, mountPoint] = [join(folder, 'disk'), pathOf(root)]
    await rename(mountPoint, disk)
    await mkdir(mountPoint)
    for (let round = 0; round < 3; round++) await bench.sweep()
    expect(await bench.read(gone.id)).toMatchObject({
      status: 'Clearing',
      phase: 'LISTING',
      error: 'STORAGE_UNREACHABLE',
      message: expect.stringContaining('may not be mounted'),
    })
    await rm(mountPoint, { recursive: true })
    await rename(disk, mountPoint)
    await database.db.sql('update clearing set error_code = null')
    expect(await bench.drain(gone.id)).toMatchObject({ status: 'Cleared', deleted: 1 })
    expect(await readdir(mountPoint)).toEqual([])
  })

  it('that our own deletion leaves empty is empty, also when it is listed once more', async () => {
    const gone = await startClearing(root)
    await write(`${gone.location}/_metadata`)
    await bench.sweep()
    await database.db.sql(`update clearing set phase = 'LISTING', found_empty = 0`)
    expect(await bench.drain(gone.id)).toMatchObject({ status: 'Cleared', deleted: 1 })
  })

  it('where others stand is looked at as ever: what somebody else has deleted there is gone', async () => {
    const gone = await startClearing(root)
    await write(`${root}/another/file`)
    expect(await bench.drain(gone.id)).toMatchObject({ status: 'Cleared', objects: 0, deleted: 0 })
  })

  it('with a link that leads out of it: what the link points to stays, and the clearing says why it stands still', async () => {
    const gone = await startClearing(root)
    await write(`${gone.location}/_metadata`)
    await symlink(join(folder, 'elsewhere'), join(pathOf(gone.prefix), '1', 'link'))
    expect(await bench.drain(gone.id)).toMatchObject({ status: 'Clearing', error: 'LOCATION_OUTSIDE_ROOT' })
    expect(await readdir(join(folder, 'elsewhere'))).toEqual(['precious'])
  })

  it('that is itself a link into another folder of the root is not followed', async () => {
    const gone = await startClearing(root)
    const other = join(folder, 'root', 'other')
    await mkdir(other)
    await writeFile(join(other, 'part-0'), 'x')
    await mkdir(dirname(pathOf(gone.prefix.slice(0, -1))), { recursive: true })
    await symlink(other, pathOf(gone.prefix.slice(0, -1)))
    expect(await bench.drain(gone.id)).toMatchObject({ status: 'Clearing', error: expect.any(String) })
    expect(await readdir(other)).toEqual(['part-0'])
  })
})

describe('a bucket that keeps versions', () => {
  let gateway: VersityGateway
  let client: S3Client
  const BUCKET = 'versioned'
  const ROOT = `s3://${BUCKET}/root`

  beforeAll(async () => {
    gateway = await startVersityGateway({ accessKey: 'test', secretKey: 'test', versioning: true })
    await gateway.createBucket(BUCKET)
    client = new S3Client({
      endpoint: gateway.url,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    })
    await client.send(
      new PutBucketVersioningCommand({ Bucket: BUCKET, VersioningConfiguration: { Status: 'Enabled' } }),
    )
  }, 120_000)
  afterAll(async () => {
    client.destroy()
    await gateway.stop()
  })
  beforeEach(() => useStorage(ROOT, 'minio', gateway.url))

  const put = (key: string) =>
    client.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: `x${Math.random()}` }))
  const versionsBelow = async (prefix: string): Promise<number> => {
    const answer = await client.send(new ListObjectVersionsCommand({ Bucket: BUCKET, Prefix: prefix }))
    return (answer.Versions ?? []).length + (answer.DeleteMarkers ?? []).length
  }

  it('loses every version and every marker below the prefix, and nothing beside it', async () => {
    const gone = await startClearing(ROOT)
    const key = (location: string): string => location.replace(`s3://${BUCKET}/`, '')
    const [metadata, part] = [`${key(gone.location)}/_metadata`, `${key(gone.location)}/part-0`]
    for (const each of [metadata, metadata, part, part, part]) await put(each)
    await client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: part }))
    const neighbour = `${key(gone.prefix).slice(0, -1)}2/part-0`
    await put(neighbour)
    expect(await versionsBelow(key(gone.prefix))).toBe(6)

    expect(await bench.drain(gone.id)).toMatchObject({ status: 'Cleared', objects: 6, deleted: 6 })
    expect(await versionsBelow(key(gone.prefix))).toBe(0)
    expect(await versionsBelow(neighbour)).toBe(1)
  })
})
