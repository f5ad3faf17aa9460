import type { Storage } from '../domain/resources.ts'
import type { StorageRepository } from '../ports/resources.ts'
import type { Services, StorageInput } from './api.ts'
import { atVersion } from './at-version.ts'
import { scopeOf } from './caller.ts'
import { findStorage, showStorage } from './find-resource.ts'
import { readStorage, type StorageRules } from './storage-input.ts'

type Ports = StorageRules & { storages: Pick<StorageRepository, 'find' | 'update'> }

export const updateStorage =
  ({ storages, localRoots }: Ports): Services['updateStorage'] =>
  async ({ caller, storage, ifMatch, changes }) => {
    const scope = scopeOf(caller)
    const id = await atVersion(
      ifMatch,
      () => findStorage(storages, scope, storage),
      async (row) => {
        const values = readStorage(caller, { ...asInput(row), ...changes }, { localRoots })
        return (await storages.update(scope, row.id, row.etag, values)) ? row.id : 'stale'
      },
    )
    return showStorage(await findStorage(storages, scope, id))
  }

/** The storage as somebody would enter it now. */
const asInput = ({ endpoint, region, pathStyle, credentials, ...storage }: Storage): StorageInput => ({
  name: storage.name,
  uri: storage.uri,
  provider: storage.provider,
  clearCheckpoints: storage.clearCheckpoints,
  ...(endpoint === null ? {} : { endpoint }),
  ...(region === null ? {} : { region }),
  ...(pathStyle === null ? {} : { pathStyle }),
  ...(credentials === null ? {} : { credentials }),
})
