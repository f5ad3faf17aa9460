import type { ByteWriter } from './byte-writer.ts'
import { type JavaClassDescriptor, type JavaInstance, writeJavaObject } from './java-object-writer.ts'
import type { SnapshotProperties } from './model.ts'

/** The Java classes behind the properties, as every Flink from 1.16 to 2.3 serializes them. */
export function writeSnapshotProperties(out: ByteWriter, properties: SnapshotProperties | null): void {
  out.within('properties', () => {
    writeJavaObject(out, properties === null ? null : toJava(out, properties))
  })
}

function toJava(out: ByteWriter, properties: SnapshotProperties): JavaInstance {
  const type =
    properties.kind === 'savepoint' ? savepointType(out, properties) : checkpointType(out, properties)
  return {
    javaClass: CHECKPOINT_PROPERTIES,
    values: [
      properties.discardCancelled,
      properties.discardFailed,
      properties.discardFinished,
      properties.discardSubsumed,
      properties.discardSuspended,
      properties.forced,
      properties.unclaimed,
      type,
    ],
  }
}

function savepointType(out: ByteWriter, properties: SnapshotProperties): JavaInstance {
  const format = properties.formatType ?? out.fail('formatType', 'a savepoint has a format')
  const action =
    properties.postCheckpointAction ?? out.fail('postCheckpointAction', 'a savepoint has an action')
  return {
    javaClass: SAVEPOINT_TYPE,
    values: [
      { javaClass: SAVEPOINT_FORMAT, constant: format },
      properties.typeName,
      { javaClass: POST_CHECKPOINT_ACTION, constant: action },
    ],
  }
}

function checkpointType(out: ByteWriter, properties: SnapshotProperties): JavaInstance {
  const sharing =
    properties.sharingFilesStrategy ?? out.fail('sharingFilesStrategy', 'a checkpoint has a strategy')
  return {
    javaClass: CHECKPOINT_TYPE,
    values: [properties.typeName, { javaClass: SHARING_FILES_STRATEGY, constant: sharing }],
  }
}

const PACKAGE = 'org.apache.flink.runtime.checkpoint'
const signatureOf = (className: string) => `L${className.replaceAll('.', '/')};`
const STRING = signatureOf('java.lang.String')

const ENUM: JavaClassDescriptor = {
  className: 'java.lang.Enum',
  serialVersionUID: 0n,
  isEnum: true,
  fields: [],
}
const enumClass = (className: string): JavaClassDescriptor => ({
  className,
  serialVersionUID: 0n,
  isEnum: true,
  fields: [],
  superClass: ENUM,
})
const SHARING_FILES_STRATEGY = enumClass(`${PACKAGE}.SnapshotType$SharingFilesStrategy`)
const POST_CHECKPOINT_ACTION = enumClass(`${PACKAGE}.SavepointType$PostCheckpointAction`)
const SAVEPOINT_FORMAT = enumClass('org.apache.flink.core.execution.SavepointFormatType')

const CHECKPOINT_TYPE: JavaClassDescriptor = {
  className: `${PACKAGE}.CheckpointType`,
  serialVersionUID: BigInt.asIntN(64, 0xd6de4f0305ae1d3an),
  fields: [
    { name: 'name', signature: STRING },
    { name: 'sharingFilesStrategy', signature: signatureOf(SHARING_FILES_STRATEGY.className) },
  ],
}
const SAVEPOINT_TYPE: JavaClassDescriptor = {
  className: `${PACKAGE}.SavepointType`,
  serialVersionUID: BigInt.asIntN(64, 0xa087d308a45814b8n),
  fields: [
    { name: 'formatType', signature: signatureOf(SAVEPOINT_FORMAT.className) },
    { name: 'name', signature: STRING },
    { name: 'postCheckpointAction', signature: signatureOf(POST_CHECKPOINT_ACTION.className) },
  ],
}
const CHECKPOINT_PROPERTIES: JavaClassDescriptor = {
  className: `${PACKAGE}.CheckpointProperties`,
  serialVersionUID: 2n,
  fields: [
    { name: 'discardCancelled' },
    { name: 'discardFailed' },
    { name: 'discardFinished' },
    { name: 'discardSubsumed' },
    { name: 'discardSuspended' },
    { name: 'forced' },
    { name: 'unclaimed' },
    { name: 'checkpointType', signature: signatureOf(`${PACKAGE}.SnapshotType`) },
  ],
}
