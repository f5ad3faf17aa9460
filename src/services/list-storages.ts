import type { StorageRepository } from '../ports/resources.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { toPage, toPageRequest } from './list-page.ts'

export const listStorages =
  ({ storages }: { storages: Pick<StorageRepository, 'list'> }): Services['listStorages'] =>
  async (query) =>
    toPage(await storages.list(scopeOf(query.caller), toPageRequest(query)))
