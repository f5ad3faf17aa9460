/** Copying on this machine: the file system shares the blocks where it can (reflinks of XFS, Btrfs, APFS). */
import { constants, copyFile, type FileHandle, open } from 'node:fs/promises'
import { StorageError } from '../domain/errors.ts'
import { formatLocation, type Location } from '../domain/location.ts'
import { writeObjectBy } from './local-write.ts'
import type { CopyInside } from './open-store.ts'

/**
 * `file` is open, so nobody can put another one in its place. Linux copies an open file by its name below /proc; elsewhere
 * the bytes go through us, and false says so.
 */
export async function copyFileInside(
  file: FileHandle,
  source: CopyInside,
  target: { realRoot: string; root: Location; location: Location },
): Promise<boolean> {
  if (process.platform !== 'linux') return false
  await writeObjectBy(target.realRoot, target.root, target.location, async (unfinished) => {
    await copyFile(
      `/proc/self/fd/${file.fd}`,
      unfinished,
      constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE,
    )
    const copy = await open(unfinished, 'r+')
    try {
      const { size } = await copy.stat()
      if (size !== source.sizeBytes) throw otherSize(source, size)
      await copy.sync()
    } finally {
      await copy.close()
    }
  })
  return true
}

const otherSize = ({ location, sizeBytes }: CopyInside, size: number): StorageError =>
  new StorageError(
    'refused',
    `Copying: ${formatLocation(location)} has ${size} bytes and not the ${sizeBytes} it had`,
  )
