import type { StorageRepository } from '../ports/resources.ts'
import type { Services } from './api.ts'
import { idempotencyKeyOf, scopeOf } from './caller.ts'
import { checkName } from './check-input.ts'
import { readCreated } from './create-once.ts'
import { findStorage, showStorage } from './find-resource.ts'
import { readStorage, type StorageRules } from './storage-input.ts'

type Ports = StorageRules & { storages: Pick<StorageRepository, 'insert' | 'find'>; newId: () => string }

export const createStorage =
  ({ storages, newId, localRoots }: Ports): Services['createStorage'] =>
  async (command) => {
    const scope = scopeOf(command.caller)
    checkName(command.name)
    const values = readStorage(command.caller, command, { localRoots })
    const id = newId()
    const inserted = await storages.insert(scope, id, values, idempotencyKeyOf(command))
    return readCreated(inserted, id, async (created) =>
      showStorage(await findStorage(storages, scope, created)),
    )
  }
