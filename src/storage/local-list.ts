/**
 * Lists a folder as an object store would: every file below it, in the byte order of keys, one page at a time. A symlink
 * is one object and never a folder to walk, so no link can make a listing leave the root or run in a circle.
 */
import { lstat, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Location } from '../domain/location.ts'
import type { ObjectPage, StoredObject } from '../ports/storage.ts'
import { isMissing } from './local-errors.ts'
import { resolveTarget } from './local-paths.ts'

type Place = { realRoot: string; root: Location; prefix: Location }
/** `key` is relative to the prefix; a folder's ends with `/`, which puts `a-b` before `a/b` as in S3. */
type Entry = { key: string; isFolder: boolean }

const MAX_PAGE = 1000

export async function listFolder(
  place: Place,
  folder: string,
  options: { pageSize?: number; pageToken?: string } = {},
): Promise<ObjectPage> {
  const pageSize = Math.min(Math.max(options.pageSize ?? MAX_PAGE, 1), MAX_PAGE)
  const after = options.pageToken === undefined ? '' : Buffer.from(options.pageToken, 'base64url').toString()
  const objects: StoredObject[] = []
  let lastKey = ''
  for await (const key of walk(folder, '', after)) {
    if (objects.length === pageSize) {
      return { objects, nextPageToken: Buffer.from(lastKey).toString('base64url') }
    }
    const object = await describe(place, folder, key)
    if (object === null) continue
    objects.push(object)
    lastKey = key
  }
  return { objects, nextPageToken: null }
}

async function* walk(folder: string, parentKey: string, after: string): AsyncGenerator<string> {
  for (const { key, isFolder } of await readEntries(folder, parentKey)) {
    if (isFolder && (compareKeys(key, after) > 0 || after.startsWith(key))) yield* walk(folder, key, after)
    if (!isFolder && compareKeys(key, after) > 0) yield key
  }
}

async function readEntries(folder: string, parentKey: string): Promise<Entry[]> {
  const entries = await readdir(join(folder, parentKey), { withFileTypes: true }).catch((error: unknown) => {
    if (isMissing(error)) return [] // deleted while we walked
    throw error
  })
  return entries
    .map((entry) => ({
      key: `${parentKey}${entry.name}${entry.isDirectory() ? '/' : ''}`,
      isFolder: entry.isDirectory(),
    }))
    .sort((a, b) => compareKeys(a.key, b.key))
}

const compareKeys = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

async function describe(place: Place, folder: string, key: string): Promise<StoredObject | null> {
  const location = { ...place.prefix, segments: [...place.prefix.segments, ...key.split('/')] }
  const path = join(folder, key)
  try {
    const entry = await lstat(path)
    if (!entry.isSymbolicLink()) {
      return { location, sizeBytes: entry.size, modifiedAt: entry.mtime, archived: false }
    }
    const target = await resolveTarget(place.realRoot, place.root, location)
    const sizeBytes = target === null ? 0 : (await stat(target)).size
    return { location, sizeBytes, modifiedAt: entry.mtime, archived: false }
  } catch (error) {
    if (isMissing(error)) return null
    throw error
  }
}
