import type { StorageRepository } from '../ports/resources.ts'
import type { Services } from './api.ts'
import { atVersion, refuseInUse } from './at-version.ts'
import { scopeOf } from './caller.ts'
import { findStorage } from './find-resource.ts'

type Ports = { storages: Pick<StorageRepository, 'find' | 'remove'> }

export const deleteStorage =
  ({ storages }: Ports): Services['deleteStorage'] =>
  async ({ caller, storage, ifMatch }) => {
    const scope = scopeOf(caller)
    await atVersion(
      ifMatch,
      () => findStorage(storages, scope, storage),
      async (row) => refuseInUse('storage', await storages.remove(scope, row.id, row.etag)),
    )
  }
