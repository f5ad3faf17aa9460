/** One running sample job as tests handle it, on a simulated Flink or a real one: only REST calls and its control directory. */
import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { failSnapshots, obeyNothing, slowSnapshots } from '../../dev/flink/control-dir.ts'
import { getJson } from '../../dev/flink/rest.ts'
import { cancelJob, takeSavepoint, waitUntilRunning } from '../../dev/flink/submit.ts'
import type { SavepointStorage } from './savepoint-storage.ts'

export type FlinkJobUnderTest = {
  readonly id: string
  readonly name: string
  /** Snapshots wait that long, or until `obeyNothing`. */
  slowSnapshots(ms: number): Promise<void>
  /** Snapshots throw this text, and the job restarts, until `obeyNothing`. */
  failSnapshots(text: string): Promise<void>
  obeyNothing(): Promise<void>
  untilRunning(): Promise<void>
  /** Gone when it resolves; a second time is harmless. */
  cancel(): Promise<void>
  /** Stops it with a savepoint in this directory, of which we know nothing. Answers the location. */
  stopWithSavepoint(directory: string): Promise<string>
  /** A savepoint that somebody else triggered, with a trigger id of Flink's own. Answers the location. */
  takeForeignSavepoint(directory: string): Promise<string>
  /** What Flink answers now, as it stands there: not older than the call. */
  statistics(): Promise<Statistics>
  /** `user-config` of /jobs/:id/config. */
  userConfig(): Promise<Record<string, string>>
  /** The numbers N of the `chk-N` that lie in its checkpoint directory, oldest first. */
  storedCheckpoints(): Promise<number[]>
}

/** GET /jobs/:id/checkpoints, as far as tests read it. */
export type Statistics = {
  counts: { restored: number; total: number; in_progress: number; completed: number; failed: number }
  latest: {
    completed: CheckpointStatistic | null
    savepoint: CheckpointStatistic | null
    failed: CheckpointStatistic | null
    restored: {
      id: number
      restore_timestamp: number
      is_savepoint: boolean
      external_path: string
    } | null
  }
  history: CheckpointStatistic[]
}

export type CheckpointStatistic = {
  id: number
  status: string
  is_savepoint: boolean
  checkpoint_type: string
  savepointFormat: string | null
  trigger_timestamp: number
  checkpointed_size: number
  state_size: number
  /** Of a completed one. */
  external_path: string
  discarded: boolean
  /** Of a failed one. */
  failure_message?: string | null
}

export type RunningJob = {
  url: string
  id: string
  name: string
  controlDir: string
  storage: SavepointStorage
}

export function handleJob({ url, id, name, controlDir, storage }: RunningJob): FlinkJobUnderTest {
  return {
    id,
    name,
    slowSnapshots: (ms) => slowSnapshots(controlDir, ms),
    failSnapshots: (text) => failSnapshots(controlDir, text),
    obeyNothing: () => obeyNothing(controlDir),
    untilRunning: () => waitUntilRunning(url, id),
    async cancel() {
      await obeyNothing(controlDir)
      await cancelJob(url, id)
      await rm(controlDir, { recursive: true, force: true })
    },
    stopWithSavepoint: (directory) => takeSavepoint(url, id, { directory, stop: true }),
    takeForeignSavepoint: (directory) => takeSavepoint(url, id, { directory }),
    async statistics() {
      await sleep(STATISTICS_REFRESH_MS)
      return getJson<Statistics>(url, `/jobs/${id}/checkpoints`)
    },
    async userConfig() {
      const answer = await getJson<ConfigAnswer>(url, `/jobs/${id}/config`)
      return answer['execution-config']['user-config']
    },
    async storedCheckpoints() {
      const names = await storage.children(`${storage.checkpointDir}/${id}`)
      const numbers = names.flatMap((name) => /(?:^|\/)chk-(\d+)\/?$/.exec(name)?.[1] ?? [])
      return numbers.map(Number).sort((a, b) => a - b)
    },
  }
}

type ConfigAnswer = { 'execution-config': { 'user-config': Record<string, string> } }

/** Older answers are served from a cache (`web.refresh-interval` of dev/flink). */
const STATISTICS_REFRESH_MS = 550
