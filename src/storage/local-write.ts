/**
 * Writing into a local folder: beside the target and renamed, so that a reader sees the whole object or none. What a
 * crash leaves is a file `<target>.<uuid>.unfinished`, which nobody reads and which may be deleted at any time.
 */
import { randomUUID } from 'node:crypto'
import { type FileHandle, mkdir, open, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Location } from '../domain/location.ts'
import type { ObjectContent } from '../ports/storage.ts'
import { exactly } from './exactly.ts'
import { requireObjectBelow } from './guard.ts'
import { requireRealInside, resolveExisting } from './local-paths.ts'

export const writeObject = (
  realRoot: string,
  root: Location,
  location: Location,
  bytes: Uint8Array,
): Promise<void> =>
  replace(realRoot, root, location, (unfinished) => writeFile(unfinished, bytes, { flag: 'wx' }))

/** On disk before it gets its name, and its name on disk before we say so: a power cut undoes neither. */
export async function writeObjectStream(
  realRoot: string,
  root: Location,
  location: Location,
  content: ObjectContent,
): Promise<void> {
  await writeObjectBy(realRoot, root, location, async (unfinished) => {
    const file = await open(unfinished, 'wx')
    try {
      for await (const chunk of exactly(content)) await writeAll(file, chunk)
      await file.sync()
    } finally {
      await file.close()
    }
  })
}

/** As `writeObjectStream`; `write` makes the file, which does not exist yet, and leaves it on disk. */
export async function writeObjectBy(
  realRoot: string,
  root: Location,
  location: Location,
  write: (unfinished: string) => Promise<void>,
): Promise<void> {
  await replace(realRoot, root, location, write)
  await syncFolder(dirname(await targetPath(realRoot, root, location)))
}

async function replace(
  realRoot: string,
  root: Location,
  location: Location,
  write: (unfinished: string) => Promise<void>,
): Promise<void> {
  const path = await targetPath(realRoot, root, location)
  await mkdir(dirname(path), { recursive: true })
  const unfinished = `${path}.${randomUUID()}.unfinished`
  try {
    await write(unfinished)
    await rename(unfinished, path)
  } catch (error) {
    await rm(unfinished, { force: true })
    throw error
  }
}

async function targetPath(realRoot: string, root: Location, location: Location): Promise<string> {
  requireObjectBelow(root, location)
  const { real } = await resolveExisting(
    [realRoot, ...location.segments.slice(root.segments.length)].join('/'),
  )
  requireRealInside(realRoot, real, location)
  return real
}

/** `write` may take less than it is given. */
async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let written = 0; written < chunk.length; ) {
    written += (await file.write(chunk, written, chunk.length - written)).bytesWritten
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
