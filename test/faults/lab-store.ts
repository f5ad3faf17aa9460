/** The store of the lab: the shipped one on a folder, with a log of what it was asked to delete and two scripted faults. */
import { formatLocation, type Location } from '../../src/domain/location.ts'
import type { ObjectStore, ObjectStores } from '../../src/ports/storage.ts'
import type { ContentRecord, DeleteRecord } from './history.ts'
import { namedFiles } from './store.ts'

export type WatchedStores = {
  stores: ObjectStores
  deletes: DeleteRecord[]
  /** Of every `_metadata` that was to be deleted, as it was. */
  contents: ContentRecord[]
  /** So many deletions to come fail for one key, or see one object written again right after. */
  faults: { refuse: number; writeAgain: number }
}

export function watchStores(real: ObjectStores): WatchedStores {
  const deletes: DeleteRecord[] = []
  const contents: ContentRecord[] = []
  const faults = { refuse: 0, writeAgain: 0 }
  const watch = (store: ObjectStore): ObjectStore => ({
    list: (...args) => store.list(...args),
    head: (...args) => store.head(...args),
    readRange: (...args) => store.readRange(...args),
    read: (...args) => store.read(...args),
    put: (...args) => store.put(...args),
    putStream: (...args) => store.putStream(...args),
    removeEmptyFolders: async (folder) => (await store.removeEmptyFolders?.(folder)) ?? true,
    async deleteMany(locations) {
      const at = Date.now()
      for (const location of locations) await noteContent(store, location, contents)
      const refused = faults.refuse > 0 ? locations.slice(0, 1) : []
      if (refused.length > 0) faults.refuse -= 1
      const [again] = faults.writeAgain > 0 ? locations.filter((each) => !isMetadata(each)) : []
      const bytes = again ? await store.readRange(again, 0, 1_000) : null
      const failures = await store.deleteMany(locations.filter((each) => !refused.includes(each)))
      if (again && bytes) {
        faults.writeAgain -= 1
        await store.put(again, bytes)
      }
      for (const location of locations)
        deletes.push({ at, location: formatLocation(location), done: !refused.includes(location) })
      const message = 'We encountered an internal error.'
      return [...failures, ...refused.map((location) => ({ location, code: 'InternalError', message }))]
    },
  })
  return {
    stores: { of: (storage) => watch(real.of(storage)), close: () => real.close() },
    deletes,
    contents,
    faults,
  }
}

const isMetadata = ({ segments }: Location): boolean => segments.at(-1) === '_metadata'

async function noteContent(store: ObjectStore, location: Location, contents: ContentRecord[]): Promise<void> {
  if (!isMetadata(location)) return
  const found = await store.head(location)
  const bytes = found && (await store.readRange(location, 0, found.sizeBytes))
  if (!bytes) return
  const folder = formatLocation({ ...location, segments: location.segments.slice(0, -1) })
  contents.push({ folder, files: await namedFiles(bytes, folder) })
}
