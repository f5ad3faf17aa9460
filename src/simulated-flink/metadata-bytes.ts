/** Makes the bytes of `_metadata`. The checkpoint id stands in bytes 8–15 in every version. */
import { Buffer } from 'node:buffer'
import type { SavepointFormat } from './checkpoint-statistics.ts'
import type { SharedFile } from './job.ts'
import type { Operator } from './program.ts'

export type DataFile = { name: string; operator: Operator; bytes: Uint8Array }

export type MetadataRequest = {
  version: 3 | 4 | 5 | 6
  checkpointId: number
  /** null for a checkpoint. */
  savepointFormat: SavepointFormat | null
  /** What the job does afterwards. */
  action: 'NONE' | 'SUSPEND' | 'TERMINATE'
  operators: readonly Operator[]
  dataFiles: readonly DataFile[]
  /** Of an incremental checkpoint; `uploadedBytes` of a subtask is what is new of them. */
  shared: readonly SharedFile[]
  uploaded: ReadonlySet<SharedFile>
  /** What the job had counted. */
  total: number
}

export type MetadataBytes = (request: MetadataRequest) => Uint8Array

const MAGIC = 0x4960672d

/** The shortest file that Flink reads: no state, and null properties where the version has them. */
export const bareMetadata: MetadataBytes = ({ version, checkpointId }) => {
  const header = Buffer.alloc(24)
  header.writeInt32BE(MAGIC, 0)
  header.writeInt32BE(version, 4)
  header.writeBigInt64BE(BigInt(checkpointId), 8)
  return version < 4 ? header : Buffer.concat([header, Buffer.from('aced000570', 'hex')])
}

export function readCheckpointId(metadata: Uint8Array): number {
  return Number(Buffer.from(metadata.buffer, metadata.byteOffset, metadata.byteLength).readBigInt64BE(8))
}
