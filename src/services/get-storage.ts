import type { StorageRepository } from '../ports/resources.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { findStorage, showStorage } from './find-resource.ts'

export const getStorage =
  ({ storages }: { storages: Pick<StorageRepository, 'find'> }): Services['getStorage'] =>
  async ({ caller, storage }) =>
    showStorage(await findStorage(storages, scopeOf(caller), storage))
