/** What `_metadata` tells us and what Flink says of the same snapshot, and whether it is whole, for every kind that a real Flink writes. */
import { expect, it } from 'vitest'
import { obeyNothing, slowEvents } from '../../dev/flink/control-dir.ts'
import { getJson } from '../../dev/flink/rest.ts'
import type { Snapshot } from '../../src/domain/snapshot.ts'
import type { InspectionView } from '../../src/services/api.ts'
import { until } from '../support/api.ts'
import { KEYS, type ManagedJob, type ManagedScene } from './managed-scene.ts'
import { expectDamageFound, expectWhole, takeSavepoint } from './suite-verifying.ts'

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
    it(`an inspection agrees with what Flink reports, and a file that goes is found: ${name} [N-05]`, async () => {
      const { read } = use()
      const job = await use().newJob({ checkpointing: { unaligned }, more: { state } })
      await job.started()
      await job.untilCounted(KEYS)
      const checkpoint = await untilCheckpointOf(use(), job, unaligned)
      const ofCheckpoint = await expectSame(use(), job, checkpoint)
      expect(ofCheckpoint.inspection).toMatchObject({ kind: 'checkpoint', format: 'native', unaligned })
      expect(ofCheckpoint.checkpointType).toBe(unaligned ? 'UNALIGNED_CHECKPOINT' : 'CHECKPOINT')
      expect(keyedHandles(ofCheckpoint.inspection)).toEqual([expect.stringMatching(handles.checkpoint)])
      await expectWhole(use(), checkpoint)
      const savepoints: Snapshot[] = []
      for (const format of ['CANONICAL', 'NATIVE'] as const) {
        const savepoint = await read(await takeSavepoint(use(), job, format))
        const { inspection } = await expectSame(use(), job, savepoint)
        expect(inspection).toMatchObject({
          kind: 'savepoint',
          format: format.toLowerCase(),
          selfContained: true,
        })
        expect(keyedHandles(inspection)).toEqual([expect.stringMatching(handles[format])])
        await expectWhole(use(), savepoint)
        savepoints.push(savepoint)
      }
      await expectDamageFound(use(), job, { savepoints, incremental: state.incremental === true })
    })
  }
}

/**
 * Of state that has files of its own: the first may be taken before all keys are there. An unaligned one must have overtaken
 * events that the slowed job had not come to: that of an idle job holds none, whatever its mode.
 */
async function untilCheckpointOf(
  { system }: ManagedScene,
  job: ManagedJob,
  unaligned: boolean,
): Promise<Snapshot> {
  if (unaligned) await slowEvents(job.controlDir, 20)
  const found = await until(
    `a checkpoint of ${job.name} with files${unaligned ? ' and data in flight' : ''}`,
    async () => {
      const [newest] = await job.list('kind=CHECKPOINT&status=Present')
      if (!newest) return false
      const path = `/v1/snapshots/${newest.id}/inspection`
      const { body } = await system.api.call<InspectionView>('GET', path)
      return body.fileCount > 0 && body.unaligned === unaligned && newest
    },
    60_000,
  )
  await obeyNothing(job.controlDir)
  return found
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
