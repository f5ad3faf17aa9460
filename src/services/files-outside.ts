import type { Location } from '../domain/location.ts'
import type { InspectionRepository, SnapshotNeedsRepository } from '../ports/inspections.ts'
import type { Scope } from '../ports/scope.ts'
import type { ObjectStore } from '../ports/storage.ts'
import { readMetadataFile } from './read-inspection.ts'
import type { Slots } from './slots.ts'

export type FilesOutsidePorts = {
  inspections: Pick<InspectionRepository, 'find'> & SnapshotNeedsRepository
  metadataSlots?: Slots
}

/**
 * How many files a snapshot needs outside `folder` (a key that ends in `/`), from what is kept, else from its `_metadata`, which
 * is not kept: with the files of what goes there would only be more to delete. Throws as `readMetadataFile`.
 */
export async function countFilesOutside(
  { inspections, metadataSlots }: FilesOutsidePorts,
  scope: Scope,
  { id, folder }: { id: string; folder: string },
  open: () => Promise<{ store: ObjectStore; directory: Location }>,
): Promise<number> {
  if (await inspections.find(scope, id)) {
    const { outside, unplaced } = await inspections.countNeeds(scope, id, folder)
    return outside + unplaced
  }
  const { store, directory } = await open()
  const { files } = await readMetadataFile(store, directory, metadataSlots)
  return files.filter(({ key }) => key === null || !key.startsWith(folder)).length
}
