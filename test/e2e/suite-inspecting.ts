/** What `_metadata` tells us and what Flink says of the same snapshot, for every kind that a real Flink writes. */
import { expect, it } from 'vitest'
import { getJson } from '../../dev/flink/rest.ts'
import type { Snapshot } from '../../src/domain/snapshot.ts'
import type { InspectionView } from '../../src/services/api.ts'
import { until } from '../support/api.ts'
import { KEYS, type ManagedJob, type ManagedScene } from './managed-scene.ts'

type Kind = {
  state: { backend: 'hashmap' | 'rocksdb'; incremental?: boolean }
  unaligned?: boolean
  /** Handles of its keyed state in a checkpoint, and in a savepoint of each format. */
  handles: { checkpoint: RegExp; NATIVE: RegExp; CANONICAL: RegExp }
}

const GROUPS = /^keyed:12-keyGroupsV2$/
const TABLES = /^keyed:11-incrementalV2$/
const CANONICAL = /^keyed:7-savepointKeyGroups$/

const KINDS: Record<string, Kind> = {
  'hashmap, unaligned': {
    state: { backend: 'hashmap' },
    unaligned: true,
    handles: { checkpoint: GROUPS, NATIVE: GROUPS, CANONICAL },
  },
  'rocksdb, full checkpoints': {
    state: { backend: 'rocksdb', incremental: false },
    handles: { checkpoint: TABLES, NATIVE: TABLES, CANONICAL },
  },
  'rocksdb, incremental and unaligned': {
    state: { backend: 'rocksdb', incremental: true },
    unaligned: true,
    handles: { checkpoint: TABLES, NATIVE: TABLES, CANONICAL },
  },
}

export function describeInspecting(use: () => ManagedScene): void {
  for (const [name, { state, unaligned = false, handles }] of Object.entries(KINDS)) {
    it(`an inspection agrees with what Flink reports: ${name} [N-05]`, async () => {
      const { read } = use()
      const job = await use().newJob({ checkpointing: { unaligned }, more: { state } })
      await job.started()
      await job.untilCounted(KEYS)
      const checkpoint = await job.untilCheckpoint()
      const ofCheckpoint = await expectSame(use(), job, checkpoint)
      expect(ofCheckpoint.inspection).toMatchObject({ kind: 'checkpoint', format: 'native' })
      expect(ofCheckpoint.checkpointType).toBe(unaligned ? 'UNALIGNED_CHECKPOINT' : 'CHECKPOINT')
      expect(keyedHandles(ofCheckpoint.inspection)).toEqual([expect.stringMatching(handles.checkpoint)])
      for (const format of ['CANONICAL', 'NATIVE'] as const) {
        const savepoint = await read(await takeSavepoint(use(), job, format))
        const { inspection } = await expectSame(use(), job, savepoint)
        expect(inspection).toMatchObject({
          kind: 'savepoint',
          format: format.toLowerCase(),
          selfContained: true,
        })
        expect(keyedHandles(inspection)).toEqual([expect.stringMatching(handles[format])])
      }
    })
  }
}

const keyedHandles = ({ handleCounts }: InspectionView): string[] =>
  Object.keys(handleCounts).filter((name) => /^(keyed|keyGroups):/.test(name))

type Reported = {
  vertices: { id: string; parallelism: number; maxParallelism: number }[]
}
type History = { history: { id: number; state_size: number; checkpoint_type: string }[] }

/** By vertex, whose id is that of its first operator, and as a whole. */
async function expectSame(
  { flink, system }: ManagedScene,
  job: ManagedJob,
  { id, flinkCheckpointId, sizeBytes }: Snapshot,
): Promise<{ inspection: InspectionView; checkpointType: string | undefined }> {
  const answer = await system.api.call<InspectionView>('GET', `/v1/snapshots/${id}/inspection`)
  expect(answer.status, JSON.stringify(answer.body)).toBe(200)
  const inspection = answer.body
  const { flinkJobId } = await job.run()
  const { vertices } = await getJson<Reported>(flink.url, `/jobs/${flinkJobId}`)
  const operators = new Map(inspection.operators.map((operator) => [operator.id, operator]))
  expect(vertices.length).toBeGreaterThan(1)
  for (const { id: vertex, parallelism, maxParallelism } of vertices) {
    expect(operators.get(vertex)).toMatchObject({ parallelism, maxParallelism })
  }
  const reported = await until('Flink shows it in its statistics', async () => {
    const { history } = await getJson<History>(flink.url, `/jobs/${flinkJobId}/checkpoints`)
    return history.find((entry) => entry.id === flinkCheckpointId)
  })
  expect(inspection.checkpointId).toBe(String(flinkCheckpointId))
  expect(ofSubtasks(inspection)).toBe(reported.state_size)
  expect(sizeBytes).toBe(reported.state_size)
  return { inspection, checkpointType: reported.checkpoint_type }
}

/** Flink's statistics are of tasks: what coordinators keep on the JobManager is not in them. */
const ofSubtasks = ({ stateSize, operators }: InspectionView): number =>
  operators.reduce((sum, { coordinatorStateBytes }) => sum - (coordinatorStateBytes ?? 0), Number(stateSize))

export async function takeSavepoint(
  { system, read }: ManagedScene,
  { name }: ManagedJob,
  format: 'CANONICAL' | 'NATIVE',
): Promise<string> {
  const { status, body } = await system.api.call<{ id: string }>('POST', `/v1/jobs/${name}/savepoints`, {
    body: { format },
  })
  expect(status, JSON.stringify(body)).toBe(202)
  await until(`the ${format} savepoint`, async () => (await read(body.id)).status === 'Present', 60_000)
  return body.id
}
