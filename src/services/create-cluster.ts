import type { ClusterRepository } from '../ports/resources.ts'
import type { Services } from './api.ts'
import { idempotencyKeyOf, scopeOf } from './caller.ts'
import { checkName } from './check-input.ts'
import { readClusterChanges } from './cluster-input.ts'
import { readCreated } from './create-once.ts'
import { findCluster, showCluster } from './find-resource.ts'

type Ports = { clusters: Pick<ClusterRepository, 'insert' | 'find'>; newId: () => string }

export const createCluster =
  ({ clusters, newId }: Ports): Services['createCluster'] =>
  async (command) => {
    const scope = scopeOf(command.caller)
    checkName(command.name)
    const values = {
      name: command.name,
      url: command.url,
      auth: { type: 'none' } as const,
      mode: 'MANAGE' as const,
      followIdentity: false,
      ...readClusterChanges(command.caller, command),
    }
    const id = newId()
    const inserted = await clusters.insert(scope, id, values, idempotencyKeyOf(command))
    return readCreated(inserted, id, async (created) =>
      showCluster(await findCluster(clusters, scope, created)),
    )
  }
