/**
 * How to ask an object store for many files with few requests. Pure. A HEAD answers for one file, a page of a listing for up
 * to 1000 objects of a folder, whoever needs them: listing wins in a folder of our own, and loses in a `shared/` of a million
 * objects of which three are needed. Nobody knows how many objects a folder holds, but keys come in order: each page tells
 * how many of our files it has passed.
 */
import { type Location, locationKey } from './location.ts'
import type { NeededFile } from './verification.ts'

/** One object, and everything that needs it. */
export type WantedFile = { key: string; location: Location; needs: NeededFile[] }
export type WantedFolder = {
  folder: Location
  /** In the order of a listing: by the bytes of the key. */
  files: WantedFile[]
  /** Begin with a listing; else a HEAD each. */
  list: boolean
}

/** Of somebody else's folder so many files are asked for one by one; one request more is what a wrong guess costs. */
const HEADS_AT_MOST = 8

/** `own`: the folder of the snapshot, in which little but its own files lies. */
export function planLooks(files: readonly NeededFile[], own: Location): WantedFolder[] {
  const folders = new Map<string, { folder: Location; files: Map<string, WantedFile> }>()
  for (const file of files) {
    const folder = { ...file.location, segments: file.location.segments.slice(0, -1) }
    const place = getOrAdd(folders, locationKey(folder), () => ({ folder, files: new Map() }))
    const key = locationKey(file.location)
    getOrAdd(place.files, key, () => ({ key, location: file.location, needs: [] })).needs.push(file)
  }
  const ownKey = locationKey(own)
  return [...folders].map(([key, { folder, files: wanted }]) => ({
    folder,
    files: [...wanted.values()].toSorted(byBytes),
    list: wanted.size > (key === ownKey ? 1 : HEADS_AT_MOST) && folder.segments.length > 0,
  }))
}

/**
 * Whether the next page is worth its request: while the pages so far have each passed more than one of our files, which is
 * what a HEAD does. `passed`: our files up to the last key listed; `left`: those after it.
 */
export const goOnListing = (listed: { pages: number; passed: number; left: number }): boolean =>
  listed.left > 1 && listed.passed > listed.pages

function getOrAdd<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  return made
}

const byBytes = (one: WantedFile, other: WantedFile): number =>
  Buffer.compare(Buffer.from(one.key), Buffer.from(other.key))
