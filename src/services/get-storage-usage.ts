/** What lies in a storage, as its last audit measured it: a read of rows, never a listing. */
import type { AuditRepository } from '../ports/audits.ts'
import type { StorageRepository } from '../ports/resources.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { findStorage } from './find-resource.ts'

type Ports = { audits: Pick<AuditRepository, 'readUsage'>; storages: Pick<StorageRepository, 'find'> }

export const getStorageUsage =
  ({ audits, storages }: Ports): Services['getStorageUsage'] =>
  async ({ caller, storage }) => {
    const scope = scopeOf(caller)
    const { id, name } = await findStorage(storages, scope, storage)
    return audits.readUsage(scope, { id, name })
  }
