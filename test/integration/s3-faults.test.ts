/** What an S3 store may answer instead of what was asked, and that we neither believe it nor send what we must not. */
import { createHash } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { DomainError } from '../../src/domain/errors.ts'
import { joinLocation } from '../../src/domain/location.ts'
import type { StorageAddress } from '../../src/ports/storage.ts'
import type { OpenStore } from '../../src/storage/open-store.ts'
import { openS3Store } from '../../src/storage/s3.ts'
import { HOSTILE_SEGMENTS } from '../support/hostile-locations.ts'
import {
  keysOf,
  type ScriptedS3,
  sendDeleted,
  sendError,
  sendListing,
  sendXml,
  startScriptedS3,
} from '../support/scripted-s3.ts'
import { fixedSecrets, storageAddress } from '../support/storage-address.ts'

const LIMITS = {
  requestTimeoutMs: 10_000,
  connectionTimeoutMs: 10_000,
  callTimeoutMs: 20_000,
  maxAttempts: 1,
}
const HASTY = { ...LIMITS, requestTimeoutMs: 150 }

let server: ScriptedS3
let address: StorageAddress
let store: OpenStore

beforeAll(async () => {
  server = await startScriptedS3()
  address = storageAddress('s3://bucket/root', { provider: 'minio', endpoint: server.url })
})
afterAll(() => server.close())
const useStore = (limits: typeof LIMITS, provider: 'minio' | 'generic' = 'minio'): void => {
  store = openS3Store(provider, address, fixedSecrets, limits)
}
beforeEach(() => useStore(LIMITS))
afterEach(() => store.close())

const at = (...names: string[]) => joinLocation(address.root, ...names)
const failing = (kind: string) => ({ name: 'StorageError', kind })
const read = async (): Promise<void> => {
  for await (const _chunk of store.read(at('a'))) void _chunk
}

describe('an error', () => {
  it.each([
    [503, 'SlowDown', 'unreachable'],
    [500, 'InternalError', 'unreachable'],
    [502, 'BadGateway', 'unreachable'],
    [429, 'TooManyRequests', 'unreachable'],
    [400, 'RequestTimeout', 'unreachable'],
    [403, 'AccessDenied', 'access-denied'],
    [403, 'SignatureDoesNotMatch', 'access-denied'],
    [403, 'InvalidAccessKeyId', 'access-denied'],
    [400, 'ExpiredToken', 'access-denied'],
    [401, 'Unauthorized', 'access-denied'],
    [404, 'NoSuchBucket', 'bucket-missing'],
    [301, 'PermanentRedirect', 'refused'],
    [400, 'InvalidRequest', 'refused'],
    [501, 'NotImplemented', 'refused'],
  ])('%i %s is %s, whatever was asked', async (status, code, kind) => {
    server.answerWith((_request, response) => sendError(response, status, code))
    await expect(store.list(address.root)).rejects.toMatchObject(failing(kind))
    await expect(store.readRange(at('a'), 0, 1)).rejects.toMatchObject(failing(kind))
    await expect(read()).rejects.toMatchObject(failing(kind))
    await expect(store.put(at('a'), new Uint8Array())).rejects.toMatchObject(failing(kind))
    await expect(store.deleteMany([at('a')])).rejects.toMatchObject(failing(kind))
  })

  it('about an archived object is not a lack of permission', async () => {
    server.answerWith((_request, response) => sendError(response, 403, 'InvalidObjectState'))
    await expect(store.readRange(at('a'), 0, 1)).rejects.toMatchObject(failing('refused'))
  })

  it('is unreachable when nobody listens', async () => {
    const nobody = openS3Store('minio', { ...address, endpoint: 'http://127.0.0.1:1' }, fixedSecrets, LIMITS)
    await expect(nobody.list(address.root)).rejects.toMatchObject(failing('unreachable'))
    await expect(nobody.head(at('a'))).rejects.toMatchObject(failing('unreachable'))
    nobody.close()
  })

  it('is unreachable when no answer comes in time', async () => {
    useStore(HASTY)
    server.answerWith(() => undefined)
    await expect(store.list(address.root)).rejects.toMatchObject(failing('unreachable'))
    await expect(store.head(at('a'))).rejects.toMatchObject(failing('unreachable'))
    await expect(store.put(at('a'), new Uint8Array(1))).rejects.toMatchObject(failing('unreachable'))
  })

  it('is unreachable when an answer stops in the middle', async () => {
    useStore(HASTY)
    server.answerWith((_request, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('half')
    })
    await expect(store.list(address.root)).rejects.toMatchObject(failing('unreachable'))
    await expect(store.readRange(at('a'), 0, 100)).rejects.toMatchObject(failing('unreachable'))
    await expect(read()).rejects.toMatchObject(failing('unreachable'))
  })

  it('is unreachable when the connection breaks in the middle', async () => {
    server.answerWith((_request, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('half', () => response.destroy())
    })
    await expect(store.list(address.root)).rejects.toMatchObject(failing('unreachable'))
    await expect(store.readRange(at('a'), 0, 100)).rejects.toMatchObject(failing('unreachable'))
    await expect(read()).rejects.toMatchObject(failing('unreachable'))
  })

  it('passes when a second attempt succeeds', async () => {
    const patient = openS3Store('minio', address, fixedSecrets, { ...LIMITS, maxAttempts: 3 })
    server.answerWith((_request, response) =>
      server.requests.length < 3 ? sendError(response, 503, 'SlowDown') : sendListing(response, ['root/a']),
    )
    expect((await patient.list(address.root)).objects).toHaveLength(1)
    expect(server.requests).toHaveLength(3)
    patient.close()
  })
})

describe('a missing object', () => {
  it('is not believed on a bare 404 before the bucket was seen, once', async () => {
    server.answerWith((request, response) =>
      request.method === 'HEAD' ? response.writeHead(404).end() : sendListing(response, []),
    )
    expect(await store.head(at('a'))).toBeNull()
    expect(await store.head(at('b'))).toBeNull()
    expect(server.requests.map((request) => request.method)).toEqual(['HEAD', 'GET', 'HEAD'])
    expect(server.requests[1]?.query.get('max-keys')).toBe('1')
    expect(server.requests[1]?.query.get('prefix')).toBe('root/')
  })

  it.each([
    [404, 'NoSuchBucket', 'bucket-missing'],
    [404, 'Unknown', 'bucket-missing'],
    [403, 'AccessDenied', 'access-denied'],
    [503, 'SlowDown', 'unreachable'],
  ])('is not missing when the bucket answers %i %s', async (status, code, kind) => {
    server.answerWith((request, response) =>
      request.method === 'HEAD' ? response.writeHead(404).end() : sendError(response, status, code),
    )
    await expect(store.head(at('a'))).rejects.toMatchObject(failing(kind))
    server.answerWith((request, response) =>
      request.method === 'HEAD' ? response.writeHead(404).end() : sendListing(response, []),
    )
    expect(await store.head(at('a'))).toBeNull() // a failed look is not remembered
  })

  it('is access-denied, never missing, on a 403', async () => {
    server.answerWith((_request, response) => response.writeHead(403).end())
    await expect(store.head(at('a'))).rejects.toMatchObject(failing('access-denied'))
  })

  it('is believed when the store names the key', async () => {
    server.answerWith((_request, response) => sendError(response, 404, 'NoSuchKey'))
    expect(await store.readRange(at('a'), 0, 1)).toBeNull()
    await expect(read()).rejects.toMatchObject(failing('not-found'))
    expect(server.requests).toHaveLength(2)
  })
})

describe('a listing', () => {
  it.each([
    ['<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>root/a</Key>', 'unreachable'],
    ['<ListBucketResult><IsTruncated>false</IsTruncated>', 'unreachable'],
    ['<ListBucketResult></ListBucketResult>', 'unreachable'],
    ['<html><body>Welcome to the proxy</body></html>', 'unreachable'],
    ['<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>', 'refused'],
  ])('that reads %j is not an empty one', async (xml, kind) => {
    server.answerWith((_request, response) => sendXml(response, 200, xml))
    await expect(store.list(address.root)).rejects.toMatchObject(failing(kind))
  })

  it('without a body is not an empty one', async () => {
    server.answerWith((_request, response) => response.writeHead(200).end())
    await expect(store.list(address.root)).rejects.toMatchObject(failing('unreachable'))
  })

  it('that names keys outside the prefix is refused', async () => {
    server.answerWith((_request, response) => sendListing(response, ['root/a', 'root2/b']))
    await expect(store.list(address.root)).rejects.toMatchObject(failing('refused'))
  })

  it('asks for the folder and never for its siblings', async () => {
    server.answerWith((_request, response) => sendListing(response, []))
    await store.list(address.root)
    await store.list(at('a', 'pre'), { pageSize: 5000, pageToken: 'next' })
    expect(server.requests.map((request) => request.query.get('prefix'))).toEqual(['root/', 'root/a/pre/'])
    expect(server.requests[1]?.query.get('max-keys')).toBe('1000')
    expect(server.requests[1]?.query.get('continuation-token')).toBe('next')
  })

  it('shows what cannot be named, and Hadoop folder marks can be deleted', async () => {
    server.answerWith((request, response) =>
      request.method === 'POST'
        ? sendDeleted(response, keysOf(request))
        : sendListing(response, ['root/', 'root/a/', 'root//b', 'root/x/../y']),
    )
    const { objects } = await store.list(address.root)
    expect(objects.map((object) => object.location.segments.join('/'))).toEqual([
      'root/',
      'root/a/',
      'root//b',
      'root/x/../y',
    ])
    const failures = await store.deleteMany(objects.map((object) => object.location))
    expect(failures.map((failure) => failure.code)).toEqual(['LOCATION_INVALID', 'LOCATION_INVALID'])
    expect(server.requests.flatMap(keysOf)).toEqual(['root/', 'root/a/'])
  })
})

describe('a range', () => {
  it('is cut from the whole object when the store ignores ranges', async () => {
    server.answerWith((_request, response) => response.writeHead(200).end('0123456789'))
    expect(Buffer.from((await store.readRange(at('a'), 3, 4)) ?? []).toString()).toBe('3456')
  })
})

describe('a deletion', () => {
  it('returns the errors of single keys and counts a missing one as deleted', async () => {
    const errors =
      '<Error><Key>root/b</Key><Code>AccessDenied</Code><Message>no</Message></Error><Error><Key>root/c</Key><Code>NoSuchKey</Code></Error>'
    server.answerWith((_request, response) => sendDeleted(response, ['root/a'], errors))
    expect(await store.deleteMany([at('a'), at('b'), at('c')])).toEqual([
      { location: at('b'), code: 'AccessDenied', message: 'no' },
    ])
  })

  it('counts nothing as deleted when an error names a key nobody asked for', async () => {
    server.answerWith((_request, response) =>
      sendDeleted(response, ['root/a'], '<Error><Code>InternalError</Code></Error>'),
    )
    expect((await store.deleteMany([at('a'), at('b')])).map((failure) => failure.location)).toEqual([
      at('a'),
      at('b'),
    ])
  })

  it.each(['', '<DeleteResult></DeleteResult>', '<DeleteResult><Deleted><Key>root/a</Key>'])(
    'that answers %j did not delete',
    async (xml) => {
      server.answerWith((_request, response) =>
        xml === '' ? response.writeHead(200).end() : sendXml(response, 200, xml),
      )
      await expect(store.deleteMany([at('a')])).rejects.toMatchObject(failing('unreachable'))
    },
  )

  it('sends at most 1000 keys, at most four batches at once, each proven by Content-MD5 only', async () => {
    const [atOnce, batches] = [4, 6]
    const held: (() => void)[] = []
    let most = 0
    server.answerWith((request, response) => {
      held.push(() => sendDeleted(response, keysOf(request)))
      most = Math.max(most, held.length)
      const isFull = held.length === atOnce
      const isLast = server.requests.length === batches
      // whoever does not keep to its limit has the time to show it
      if (isFull || isLast) setTimeout(() => held.splice(0).map((answer) => answer()), 100)
    })
    const locations = Array.from({ length: 5_500 }, (_, index) => at(`${index}`))
    expect(await store.deleteMany([...locations, ...locations])).toEqual([])
    const sizes = server.requests.map((request) => keysOf(request).length)
    expect(sizes).toEqual([1000, 1000, 1000, 1000, 1000, 500])
    expect(most).toBe(atOnce)
    for (const { headers, body } of server.requests) {
      expect(headers['content-md5']).toBe(createHash('md5').update(body).digest('base64'))
      expect(Object.keys(headers).filter((name) => name.includes('checksum'))).toEqual([])
    }
  })

  it.each([
    ['times out', null],
    ['asks to slow down', 'SlowDown'],
  ])('halves its batches when the store %s', async (_name, code) => {
    if (code === null) useStore(HASTY)
    const deleted = new Set<string>()
    server.answerWith((request, response) => {
      const keys = keysOf(request)
      if (keys.length > 250) {
        if (code !== null) sendError(response, 503, code)
        return
      }
      for (const key of keys) deleted.add(key)
      sendDeleted(response, keys)
    })
    const locations = Array.from({ length: 1_500 }, (_, index) => at(`${index}`))
    expect(await store.deleteMany(locations)).toEqual([])
    expect(deleted.size).toBe(1_500)
  })

  it('gives up, without another request, when even small batches fail', async () => {
    server.answerWith((_request, response) => sendError(response, 503, 'SlowDown'))
    const locations = Array.from({ length: 1_000 }, (_, index) => at(`${index}`))
    await expect(store.deleteMany(locations)).rejects.toMatchObject(failing('unreachable'))
    const asked = server.requests.length
    expect(asked).toBeLessThan(20)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(server.requests).toHaveLength(asked)
  })
})

describe('what is sent', () => {
  it.each(HOSTILE_SEGMENTS.map((each) => [each]))(
    'never contains the hostile segment %j',
    async (segment) => {
      server.answerWith((_request, response) => sendListing(response, []))
      const hostile = { ...address.root, segments: ['root', 'a', segment, 'x'] }
      const sibling = { ...address.root, segments: ['root2', 'x'] }
      for (const location of [hostile, sibling]) {
        await expect(store.list(location)).rejects.toBeInstanceOf(DomainError)
        await expect(store.head(location)).rejects.toBeInstanceOf(DomainError)
        await expect(store.readRange(location, 0, 1)).rejects.toBeInstanceOf(DomainError)
        await expect(store.read(location)[Symbol.asyncIterator]().next()).rejects.toBeInstanceOf(DomainError)
        await expect(store.put(location, new Uint8Array())).rejects.toBeInstanceOf(DomainError)
      }
      await store.deleteMany([hostile])
      await expect(store.deleteMany([hostile, sibling])).rejects.toBeInstanceOf(DomainError)
      expect(server.requests).toEqual([])
    },
  )

  it('is signed with the secrets of the namespace, which are read before anything is sent', async () => {
    const refusing = {
      read: async () => Promise.reject(new DomainError('SECRET_MISSING', 'The variable is not set')),
    }
    const unsigned = openS3Store('minio', address, refusing, LIMITS)
    server.answerWith((_request, response) => sendListing(response, []))
    await expect(unsigned.list(address.root)).rejects.toMatchObject({ code: 'SECRET_MISSING' })
    expect(server.requests).toEqual([])
    unsigned.close()
  })

  it('is nothing when a role would have to be assumed or a key is missing', async () => {
    for (const credentials of [
      { roleArn: 'arn:aws:iam::1:role/r' },
      { accessKeyId: { env: 'TIDEMARK_SECRET_DEFAULT_ID' } },
    ]) {
      const unable = openS3Store('minio', { ...address, credentials }, fixedSecrets, LIMITS)
      await expect(unable.list(address.root)).rejects.toMatchObject(failing('refused'))
      unable.close()
    }
    expect(server.requests).toEqual([])
  })
})

describe('lifecycle rules', () => {
  const answerRules = (rules: string): void =>
    server.answerWith((request, response) =>
      request.query.has('lifecycle')
        ? sendXml(response, 200, `<LifecycleConfiguration>${rules}</LifecycleConfiguration>`)
        : sendError(response, 400, 'InvalidRequest'),
    )
  const enabled = (rest: string) => `<Rule><ID>r</ID><Status>Enabled</Status>${rest}</Rule>`
  const days = (count: number) => `<Expiration><Days>${count}</Days></Expiration>`
  const found = async () => (await store.findRules?.()) ?? null

  it('that delete what lies below the root are found, however their prefix is written', async () => {
    answerRules(
      enabled(`<Filter><Prefix>root/</Prefix></Filter>${days(30)}`) +
        enabled(`<Prefix>ro</Prefix>${days(31)}`) +
        enabled(`<Filter></Filter>${days(32)}`) +
        enabled(
          `<Filter><And><Prefix>root/x/</Prefix><Tag><Key>a</Key><Value>b</Value></Tag></And></Filter>${days(33)}`,
        ),
    )
    expect(await found()).toEqual([
      { name: 'r', prefix: 'root/', does: 'DELETE', afterDays: 30, storageClass: null, onlySome: false },
      { name: 'r', prefix: 'ro', does: 'DELETE', afterDays: 31, storageClass: null, onlySome: false },
      { name: 'r', prefix: '', does: 'DELETE', afterDays: 32, storageClass: null, onlySome: false },
      { name: 'r', prefix: 'root/x/', does: 'DELETE', afterDays: 33, storageClass: null, onlySome: true },
    ])
  })
  it('that touch others, are off, or only tidy up are not ours', async () => {
    answerRules(
      enabled(`<Filter><Prefix>root2/</Prefix></Filter>${days(1)}`) +
        `<Rule><ID>off</ID><Status>Disabled</Status><Filter></Filter>${days(1)}</Rule>` +
        enabled(
          '<Filter></Filter><AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>',
        ) +
        enabled(
          '<Filter></Filter><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>',
        ),
    )
    expect(await found()).toEqual([])
  })
  it('that archive are found where the class cannot be read at once', async () => {
    useStore(LIMITS, 'generic')
    const transition = (storageClass: string) =>
      `<Transition><Days>90</Days><StorageClass>${storageClass}</StorageClass></Transition>`
    answerRules(enabled(`<Filter></Filter>${transition('STANDARD_IA')}${transition('GLACIER')}`))
    expect(await found()).toMatchObject([{ does: 'ARCHIVE', afterDays: 90, storageClass: 'GLACIER' }])
  })
  it.each([
    [404, 'NoSuchLifecycleConfiguration', []],
    [403, 'AccessDenied', null],
    [501, 'NotImplemented', null],
    [503, 'SlowDown', null],
  ])('%i %s is %j', async (status, code, expected) => {
    server.answerWith((_request, response) => sendError(response, status, code))
    expect(await found()).toEqual(expected)
  })
})
