import type { ByteCursor } from './byte-cursor.ts'
import { type JavaObject, type JavaValue, readJavaObject } from './java-object-reader.ts'
import type { SnapshotProperties } from './model.ts'

/** The Java object at the end of the file, from version 4 on. It may be null. */
export function readSnapshotProperties(cursor: ByteCursor): SnapshotProperties | null {
  cursor.enter('properties')
  const value = readJavaObject(cursor)
  const properties = value === null ? null : toProperties(cursor, value)
  cursor.leave()
  return properties
}

function toProperties(cursor: ByteCursor, value: JavaValue): SnapshotProperties {
  const object = asObject(value)
  if (object === null || simpleName(object.className) !== 'CheckpointProperties')
    return cursor.fail('bad-java-object', '', 'not the properties of a checkpoint')
  const type = asObject(object.fields.get('checkpointType') ?? null)
  const kind = KINDS.get(simpleName(type?.className ?? ''))
  if (type === null || kind === undefined)
    return cursor.fail('bad-java-object', 'checkpointType', 'neither a checkpoint nor a savepoint')
  const isSet = (name: string) => object.fields.get(name) === true
  return {
    kind,
    typeName: textOf(type, 'name') ?? '',
    formatType: textOf(type, 'formatType'),
    postCheckpointAction: textOf(type, 'postCheckpointAction'),
    sharingFilesStrategy: textOf(type, 'sharingFilesStrategy'),
    forced: isSet('forced'),
    discardSubsumed: isSet('discardSubsumed'),
    discardFinished: isSet('discardFinished'),
    discardCancelled: isSet('discardCancelled'),
    discardFailed: isSet('discardFailed'),
    discardSuspended: isSet('discardSuspended'),
    unclaimed: isSet('unclaimed'),
  }
}

const KINDS = new Map<string, SnapshotProperties['kind']>([
  ['CheckpointType', 'checkpoint'],
  ['SavepointType', 'savepoint'],
])

/** Classes may move between packages, so only the last part of a name counts. */
const simpleName = (className: string) => className.slice(className.search(/[^.$]*$/))

const asObject = (value: JavaValue): JavaObject | null =>
  typeof value === 'object' && value !== null && 'fields' in value ? value : null

function textOf(object: JavaObject, field: string): string | null {
  const value = object.fields.get(field)
  if (typeof value === 'string') return value
  return typeof value === 'object' && value !== null && 'constant' in value ? value.constant : null
}
