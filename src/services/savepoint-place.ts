import { formatLocation, joinLocation, parseLocation } from '../domain/location.ts'

/** `<root>/<namespace>/<job>/savepoints/<snapshotId>/<attempt>/`: nobody else ever writes below it. */
export function placeFor(savepoint: { root: string; namespace: string; job: string; id: string }): {
  ownedPrefix: string
  directory: string
} {
  const root = parseLocation(savepoint.root)
  const prefix = joinLocation(root, savepoint.namespace, savepoint.job, 'savepoints', savepoint.id)
  return {
    ownedPrefix: `${formatLocation(prefix)}/`,
    directory: `${formatLocation(joinLocation(prefix, '1'))}/`,
  }
}
