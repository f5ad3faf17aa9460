import { type _Error, DeleteObjectsCommand } from '@aws-sdk/client-s3'
import { StorageError } from '../domain/errors.ts'
import type { Location } from '../domain/location.ts'
import type { DeleteFailure } from '../ports/storage.ts'
import { type KeyFailure, runInBatches } from './delete-batches.ts'
import { findUnsafe, requireInside, withoutFolderMark } from './guard.ts'
import { ask, keyOf, type S3Connection, throwBucketMissing } from './s3-connection.ts'

/** Outside the root is a mistake of ours and stops the call; an odd key below it is data, reported as not deleted. */
export async function deleteObjects(
  connection: S3Connection,
  locations: readonly Location[],
): Promise<DeleteFailure[]> {
  for (const location of locations) requireInside(connection.root, location)
  const byKey = new Map<string, Location>()
  const failures: DeleteFailure[] = []
  for (const location of locations) {
    const problem = findUnsafe(withoutFolderMark(location))
    if (problem === null) byKey.set(keyOf(location), location)
    else failures.push({ location, code: 'LOCATION_INVALID', message: `Never sent: ${problem}` })
  }
  const refused = await runInBatches([...byKey.keys()], connection.batchSize, (keys) =>
    deleteBatch(connection, keys),
  )
  for (const { key, code, message } of refused) {
    const location = byKey.get(key)
    if (location !== undefined) failures.push({ location, code, message })
  }
  return failures
}

async function deleteBatch(connection: S3Connection, keys: readonly string[]): Promise<KeyFailure[]> {
  const command = new DeleteObjectsCommand({
    Bucket: connection.bucket,
    Delete: { Objects: keys.map((key) => ({ Key: key })) },
  })
  const answer = await ask(connection, 'Deleting', (options) =>
    connection.client.send(command, options),
  ).catch(throwBucketMissing)
  const errors = answer.Errors ?? []
  // not Quiet, so that an empty body cannot pass for "all deleted"
  if (errors.length === 0 && (answer.Deleted ?? []).length === 0) {
    throw new StorageError('unreachable', 'The store answered a deletion without saying what it deleted')
  }
  return readKeyFailures(keys, errors)
}

function readKeyFailures(keys: readonly string[], errors: readonly _Error[]): KeyFailure[] {
  const asked = new Set(keys)
  return errors.flatMap(({ Key: key, Code: code = 'Unknown', Message: message = '' }) => {
    if (code === 'NoSuchKey') return []
    if (key !== undefined && asked.has(key)) return [{ key, code, message }]
    // an error about a key we cannot recognise may be about any of them
    return keys.map((each) => ({ key: each, code, message: `${message} (said of ${JSON.stringify(key)})` }))
  })
}
