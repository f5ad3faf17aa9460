/**
 * Which objects cannot be read at once. A HEAD knows: `x-amz-storage-class`, `x-amz-archive-status` (an archive tier of
 * INTELLIGENT_TIERING) and `x-amz-restore` (a copy that was brought back). A listing knows the class only.
 */
import type { S3Connection } from './s3-connection.ts'

type Classes = Pick<S3Connection, 'archiveClasses'>

export const isArchived = (
  connection: Classes,
  answer: {
    StorageClass?: string | undefined
    ArchiveStatus?: string | undefined
    Restore?: string | undefined
  },
): boolean =>
  !/ongoing-request="false"/.test(answer.Restore ?? '') &&
  (answer.ArchiveStatus !== undefined || isArchiveClass(connection, answer.StorageClass))

/** INTELLIGENT_TIERING archives nothing that was read within 90 days, and nothing is read before it is written. */
const TIERED_AFTER_MS = 90 * 86_400_000

/** true: a HEAD may know better. */
export const mayBeArchived = (
  connection: Classes,
  entry: { StorageClass?: string | undefined; LastModified?: Date | undefined },
): boolean =>
  entry.StorageClass === 'INTELLIGENT_TIERING'
    ? Date.now() - (entry.LastModified?.getTime() ?? 0) > TIERED_AFTER_MS
    : isArchiveClass(connection, entry.StorageClass)

export const isArchiveClass = ({ archiveClasses }: Classes, storageClass: string | undefined): boolean =>
  storageClass !== undefined && archiveClasses.includes(storageClass.toUpperCase())
