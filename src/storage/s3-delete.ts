import { type _Error, DeleteObjectsCommand } from '@aws-sdk/client-s3'
import { StorageError } from '../domain/errors.ts'
import type { Location } from '../domain/location.ts'
import type { DeleteFailure, DeleteOptions } from '../ports/storage.ts'
import { createDeleteQueue, type ItemFailure } from './delete-queue.ts'
import { findUnsafe, requireInside, withoutFolderMark } from './guard.ts'
import { ask, keyOf, type S3Connection, throwBucketMissing } from './s3-connection.ts'

/** An object, or one version of it. */
type Deletion = { location: Location; versionId?: string }
export type Deleter = <D extends Deletion>(
  deletions: readonly D[],
  options?: DeleteOptions,
) => Promise<(D & DeleteFailure)[]>

type Item = { name: string; key: string; versionId: string | undefined }

/** Outside the root is a mistake of ours and stops the call; an odd key below it is data, reported as not deleted. */
export function createDeleter(connection: S3Connection): Deleter {
  const remove = createDeleteQueue<Item>({
    largest: connection.batchSize,
    nameOf: ({ name }) => name,
    send: (items) => sendDeletion(connection, items),
  })
  return async <D extends Deletion>(deletions: readonly D[], { mayStart }: DeleteOptions = {}) => {
    for (const { location } of deletions) requireInside(connection.root, location)
    const byName = new Map<string, D>()
    const items: Item[] = []
    const failures: (D & DeleteFailure)[] = []
    for (const deletion of deletions) {
      const { location, versionId } = deletion
      const problem = findUnsafe(withoutFolderMark(location))
      if (problem !== null) {
        failures.push({ ...deletion, code: 'LOCATION_INVALID', message: `Never sent: ${problem}` })
        continue
      }
      const key = keyOf(location)
      const name = nameOf(key, versionId)
      if (!byName.has(name)) items.push({ name, key, versionId })
      byName.set(name, deletion)
    }
    for (const { name, code, message } of await remove(items, mayStart)) {
      const deletion = byName.get(name)
      if (deletion !== undefined) failures.push({ ...deletion, code, message })
    }
    return failures
  }
}

/** A key may hold anything but its own end: the id comes first. */
const nameOf = (key: string, versionId?: string): string => JSON.stringify([versionId ?? null, key])

async function sendDeletion(connection: S3Connection, items: readonly Item[]): Promise<ItemFailure[]> {
  const command = new DeleteObjectsCommand({
    Bucket: connection.bucket,
    Delete: {
      Objects: items.map(({ key, versionId }) => ({ Key: key, VersionId: versionId })),
    },
  })
  const answer = await ask(connection, 'Deleting', (options) =>
    connection.client.send(command, options),
  ).catch(throwBucketMissing)
  const errors = answer.Errors ?? []
  // not Quiet, so that an empty body cannot pass for "all deleted"
  if (errors.length === 0 && (answer.Deleted ?? []).length === 0) {
    throw new StorageError('unreachable', 'The store answered a deletion without saying what it deleted')
  }
  return readFailures(items, errors)
}

function readFailures(items: readonly Item[], errors: readonly _Error[]): ItemFailure[] {
  const asked = new Set(items.map(({ name }) => name))
  return errors.flatMap(
    ({ Key: key, VersionId: versionId, Code: code = 'Unknown', Message: message = '' }) => {
      if (code === 'NoSuchKey' || code === 'NoSuchVersion') return []
      const names = key === undefined ? [] : [nameOf(key, versionId), nameOf(key)]
      const name = names.find((each) => asked.has(each))
      if (name !== undefined) return [{ name, code, message }]
      // an error about something we cannot recognise may be about any of them
      const said = `${message} (said of ${JSON.stringify(key)})`
      return [...asked].map((each) => ({ name: each, code, message: said }))
    },
  )
}
