/**
 * What a bucket does to our objects by itself: rules that delete or archive what lies below a root. Knowing is a courtesy:
 * most credentials for savepoints may not read them and many stores have none, so every other answer is "not known".
 */
import {
  GetBucketLifecycleConfigurationCommand,
  type LifecycleRule,
  type Transition,
} from '@aws-sdk/client-s3'
import { StorageError } from '../domain/errors.ts'
import type { StorageRule } from '../ports/storage.ts'
import { isArchiveClass } from './s3-archive.ts'
import { ask, prefixOf, type S3Connection } from './s3-connection.ts'

export async function findStorageRules(connection: S3Connection): Promise<StorageRule[] | null> {
  const command = new GetBucketLifecycleConfigurationCommand({ Bucket: connection.bucket })
  try {
    const { Rules: rules } = await ask(connection, 'Reading lifecycle rules', (options) =>
      connection.client.send(command, options),
    )
    return (rules ?? []).flatMap((rule) => toStorageRules(connection, rule))
  } catch (error) {
    if (!(error instanceof StorageError)) throw error
    return isNone(error) ? [] : null
  }
}

/** AWS and most others answer 404 with this code where there is no rule. */
const isNone = ({ cause }: StorageError): boolean =>
  cause instanceof Error && cause.name === 'NoSuchLifecycleConfiguration'

/** Prefixes of rules are strings, not folders: `root` touches `root2/`, too. */
function touches(connection: S3Connection, prefix: string): boolean {
  const root = prefixOf(connection.root)
  return root.startsWith(prefix) || prefix.startsWith(root)
}

function toStorageRules(connection: S3Connection, rule: LifecycleRule): StorageRule[] {
  const { Filter: filter } = rule
  const prefix = filter?.And?.Prefix ?? filter?.Prefix ?? rule.Prefix ?? ''
  if (rule.Status !== 'Enabled' || !touches(connection, prefix)) return []
  const common = {
    name: rule.ID ?? null,
    prefix,
    onlySome: [filter?.Tag, filter?.ObjectSizeGreaterThan, filter?.ObjectSizeLessThan, filter?.And].some(
      (condition) => condition !== undefined,
    ),
  }
  const { Expiration: expiration, Transitions: transitions = [] } = rule
  const deletes = expiration?.Days !== undefined || expiration?.Date !== undefined
  return [
    ...(deletes
      ? [{ ...common, does: 'DELETE' as const, afterDays: expiration?.Days ?? null, storageClass: null }]
      : []),
    ...transitions
      .filter((transition) => archives(connection, transition))
      .map(({ Days: days, StorageClass: storageClass }) => ({
        ...common,
        does: 'ARCHIVE' as const,
        afterDays: days ?? null,
        storageClass: storageClass ?? null,
      })),
  ]
}

const archives = (connection: S3Connection, { StorageClass: storageClass }: Transition): boolean =>
  isArchiveClass(connection, storageClass)
