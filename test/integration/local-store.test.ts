/** What only a local folder can do to us: links, folders that stay, roots nobody allowed. */
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { joinLocation, parseLocation } from '../../src/domain/location.ts'
import { openLocalStore } from '../../src/storage/local.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidemark-local-'))
  await mkdir(join(folder, 'allowed/root/a/b'), { recursive: true })
  await mkdir(join(folder, 'outside'))
  await writeFile(join(folder, 'outside/secret'), 'secret')
  await writeFile(join(folder, 'allowed/root/a/b/file'), 'file')
})
afterEach(() => rm(folder, { recursive: true }))

const rootOf = (path = 'allowed/root') => parseLocation(join(folder, path))
const open = (path?: string) => openLocalStore(rootOf(path), [join(folder, 'allowed')])
const outside = { code: 'LOCATION_OUTSIDE_ROOT' }

describe('the root', () => {
  it('must lie below an allowed one', async () => {
    const refused = { code: 'STORAGE_ROOT_NOT_ALLOWED' }
    await expect(open('outside').list(rootOf('outside'))).rejects.toMatchObject(refused)
    await expect(open('allowed2/x').list(rootOf('allowed2/x'))).rejects.toMatchObject(refused)
    await expect(openLocalStore(rootOf(), []).list(rootOf())).rejects.toMatchObject(refused)
    await expect(open('allowed').list(rootOf('allowed'))).resolves.toMatchObject({ nextPageToken: null })
  })

  it('is not allowed when it is a link that leads out of the allowed one', async () => {
    await symlink(join(folder, 'outside'), join(folder, 'allowed/link'))
    await expect(open('allowed/link').list(rootOf('allowed/link'))).rejects.toMatchObject({
      code: 'STORAGE_ROOT_NOT_ALLOWED',
    })
    await expect(open('allowed/link/new').list(rootOf('allowed/link/new'))).rejects.toMatchObject({
      code: 'STORAGE_ROOT_NOT_ALLOWED',
    })
  })

  it('may be named through a link that stays inside', async () => {
    await symlink('root', join(folder, 'allowed/alias'))
    const page = await open('allowed/alias').list(rootOf('allowed/alias'))
    expect(page.objects.map((object) => object.location)).toEqual([
      joinLocation(rootOf('allowed/alias'), 'a', 'b', 'file'),
    ])
  })
})

describe('a link that leads outside', () => {
  const link = () => joinLocation(rootOf(), 'a', 'link')
  const below = () => joinLocation(rootOf(), 'a', 'folder', 'secret')
  beforeEach(async () => {
    await symlink(join(folder, 'outside/secret'), join(folder, 'allowed/root/a/link'))
    await symlink(join(folder, 'outside'), join(folder, 'allowed/root/a/folder'))
  })

  it('is refused for reading and listing', async () => {
    for (const location of [link(), below()]) {
      await expect(open().head(location)).rejects.toMatchObject(outside)
      await expect(open().readRange(location, 0, 1)).rejects.toMatchObject(outside)
      await expect(open().read(location)[Symbol.asyncIterator]().next()).rejects.toMatchObject(outside)
    }
    await expect(open().list(rootOf())).rejects.toMatchObject(outside)
    await expect(open().list(joinLocation(rootOf(), 'a', 'folder'))).rejects.toMatchObject(outside)
  })

  it('is refused for writing', async () => {
    await expect(open().put(link(), new Uint8Array())).rejects.toMatchObject(outside)
    await expect(open().put(below(), new Uint8Array())).rejects.toMatchObject(outside)
    await expect(
      open().put(joinLocation(rootOf(), 'a', 'folder', 'new'), new Uint8Array()),
    ).rejects.toMatchObject(outside)
    expect(await readFile(join(folder, 'outside/secret'), 'utf8')).toBe('secret')
    expect(await readdir(join(folder, 'outside'))).toEqual(['secret'])
  })

  it('is refused for deleting, before anything else is deleted', async () => {
    const file = joinLocation(rootOf(), 'a', 'b', 'file')
    await expect(open().deleteMany([file, link()])).rejects.toMatchObject(outside)
    await expect(open().deleteMany([file, below()])).rejects.toMatchObject(outside)
    expect(await open().head(file)).not.toBeNull()
    expect(await readFile(join(folder, 'outside/secret'), 'utf8')).toBe('secret')
  })
})

describe('a link that stays inside', () => {
  it('is one object, and deleting it leaves what it points to', async () => {
    await symlink('b', join(folder, 'allowed/root/a/c'))
    await symlink('..', join(folder, 'allowed/root/a/circle'))
    await symlink('nowhere', join(folder, 'allowed/root/a/dangling'))
    const { objects } = await open().list(rootOf())
    expect(objects.map((object) => object.location.segments.slice(-1)[0])).toEqual([
      'file',
      'c',
      'circle',
      'dangling',
    ])
    expect(await open().deleteMany(objects.slice(1).map((object) => object.location))).toEqual([])
    expect(await readdir(join(folder, 'allowed/root/a'))).toEqual(['b'])
    expect(await readFile(join(folder, 'allowed/root/a/b/file'), 'utf8')).toBe('file')
  })

  it('is never followed into another folder when deleting', async () => {
    await symlink('b', join(folder, 'allowed/root/a/c'))
    const through = joinLocation(rootOf(), 'a', 'c', 'file')
    expect(await open().deleteMany([through])).toMatchObject([{ location: through, code: 'SYMBOLIC_LINK' }])
    expect(await readFile(join(folder, 'allowed/root/a/b/file'), 'utf8')).toBe('file')
  })
})

describe('deleting', () => {
  it('removes the folders it leaves empty, but never the root', async () => {
    expect(await open().deleteMany([joinLocation(rootOf(), 'a', 'b', 'file')])).toEqual([])
    expect(await readdir(join(folder, 'allowed/root'))).toEqual([])
    expect((await lstat(join(folder, 'allowed/root'))).isDirectory()).toBe(true)
  })

  it('finishes what a crash left: folders of files that are already gone', async () => {
    await rm(join(folder, 'allowed/root/a/b/file'))
    expect(await open().deleteMany([joinLocation(rootOf(), 'a', 'b', 'file')])).toEqual([])
    expect(await readdir(join(folder, 'allowed/root'))).toEqual([])
  })

  it('keeps a folder that something else is in', async () => {
    await writeFile(join(folder, 'allowed/root/a/other'), 'x')
    await open().deleteMany([joinLocation(rootOf(), 'a', 'b', 'file')])
    expect(await readdir(join(folder, 'allowed/root/a'))).toEqual(['other'])
  })

  it('reports a folder that was named as an object', async () => {
    const location = joinLocation(rootOf(), 'a', 'b')
    expect(await open().deleteMany([location])).toMatchObject([{ location, code: 'EISDIR' }])
    expect(await open().head(joinLocation(location, 'file'))).not.toBeNull()
  })
})

it('leaves no unfinished file behind when it cannot write', async () => {
  await expect(open().put(joinLocation(rootOf(), 'a', 'b'), new Uint8Array(1))).rejects.toMatchObject({
    name: 'StorageError',
  })
  expect(await readdir(join(folder, 'allowed/root/a'))).toEqual(['b'])
})
