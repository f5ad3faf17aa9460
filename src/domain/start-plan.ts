/**
 * What to do next with a start: pure, and the same whichever worker asks. It keeps the promise of `product.md` §1.6: a job id
 * whose last answer we did not see is never used for a second start. With `askedAt` set a start is only ever looked at;
 * it is taken back only by the worker that was told that Flink executed nothing.
 */
import { fillDefaults, readSettings } from './checkpoint-settings.ts'
import type { StartFailedCode } from './failure-codes.ts'
import type { FlinkJob } from './flink.ts'
import { isSince, readFlinkVersion } from './flink-settings.ts'
import type { JobVersionSpec } from './job-version.ts'
import type { ClusterMode, RunState } from './resources.ts'
import type { Restore } from './restore-point.ts'

export type StartFacts = {
  now: Date
  deadlineAt: Date
  askedAt: Date | null
  cluster: {
    name: string
    mode: ClusterMode
    identityChanged: boolean
    flinkVersion: string | null
    jarSubmission: boolean | null
  }
  /** Of the job, and not over, but not that of this start. */
  otherRun: { id: string; state: RunState; missing: boolean } | null
  /** That of this start, once it is committed. */
  run: object | null
}

export type StartStep =
  | { do: 'fail'; code: StartFailedCode; message: string }
  | { do: 'wait'; inMs: number; message: string }
  /** Nothing is committed: bring the jar, choose, commit, ask. */
  | { do: 'submit' }
  /** It is committed, and certain that Flink executed nothing: ask once more under the same job id. */
  | { do: 'ask-again' }
  /** Asked. `last`: the deadline has passed. */
  | { do: 'look'; last: boolean }

/** `flinkConfiguration` of a jar run came with 1.17 (`flink-rest-api.md` §12): before it the version's settings are ignored. */
const CONFIGURABLE_SINCE = [1, 17] as const
const WAIT_FOR_CLUSTER_MS = 1_000

export function nextStartStep(start: StartFacts): StartStep {
  const last = start.now >= start.deadlineAt
  if (start.askedAt !== null) return { do: 'look', last }
  const refusal = refuse(start)
  if (refusal !== null) return { do: 'fail', ...refusal }
  if (last) {
    const message = 'Flink could not be asked to start the job in time: nothing was started.'
    return { do: 'fail', code: 'START_TIMEOUT', message }
  }
  if (start.cluster.flinkVersion === null) {
    const message = `the cluster ${start.cluster.name} has not been reached yet, so its Flink version is not known`
    return { do: 'wait', inMs: WAIT_FOR_CLUSTER_MS, message }
  }
  return start.run === null ? { do: 'submit' } : { do: 'ask-again' }
}

type Refusal = { code: StartFailedCode; message: string }

function refuse({ cluster, otherRun }: StartFacts): Refusal | null {
  if (cluster.mode === 'OBSERVE_ONLY') {
    return {
      code: 'OBSERVE_ONLY',
      message: `The cluster ${cluster.name} is observe-only: nothing is started there.`,
    }
  }
  if (cluster.identityChanged) {
    const message = `Another Flink cluster answers at the address of ${cluster.name}; confirm it first.`
    return { code: 'CLUSTER_IDENTITY_CHANGED', message }
  }
  if (cluster.jarSubmission === false) {
    return { code: 'CLUSTER_UNSUPPORTED', message: takesNoJars(cluster.name) }
  }
  return refuseVersion(cluster) ?? (otherRun && refuseRun(otherRun))
}

export const takesNoJars = (cluster: string): string =>
  `The cluster ${cluster} takes no jars: its jar endpoints are switched off (web.submit.enable), as always in application mode.`

function refuseVersion({ name, flinkVersion }: StartFacts['cluster']): Refusal | null {
  if (flinkVersion === null) return null
  const version = readFlinkVersion(flinkVersion)
  if (version !== null && isSince(version, CONFIGURABLE_SINCE)) return null
  return {
    code: 'CLUSTER_UNSUPPORTED',
    message: `The cluster ${name} runs Flink ${flinkVersion}, which takes no settings with a jar: starts need Flink 1.17 or newer. Upgrade the cluster.`,
  }
}

const refuseRun = ({ id, state, missing }: NonNullable<StartFacts['otherRun']>): Refusal =>
  state === 'LOST' || missing
    ? {
        code: 'RUN_STATE_UNKNOWN',
        message: `Nobody can say whether the run ${id} still writes: Flink does not list it. Confirm its end with POST /v1/runs/${id}/confirm-ended.`,
      }
    : { code: 'RUN_IS_LIVE', message: `The run ${id} is ${state}: stop it first.` }

// ------------------------------------------------------------------------------------------------------ looking

export type StartVerdict = 'unlisted' | 'coming' | 'running' | 'finished' | 'canceled' | 'failed'

/** What Flink shows of the job that was started; null when it does not list it, which is no end. */
export function judgeStarted(job: Pick<FlinkJob, 'state' | 'allTasksRunning'> | null): StartVerdict {
  if (job === null) return 'unlisted'
  switch (job.state) {
    case 'FAILED':
      return 'failed'
    case 'CANCELED':
      return 'canceled'
    case 'FINISHED':
      return 'finished'
    case 'RUNNING':
      return job.allTasksRunning ? 'running' : 'coming'
    default:
      return 'coming'
  }
}

/** As the observer knows it; null when it knows nothing that decides. */
export function judgeRun({
  state,
  allTasksRunning,
}: {
  state: RunState
  allTasksRunning: boolean
}): StartVerdict | 'lost' | null {
  if (state === 'LOST') return 'lost'
  if (state === 'FAILED') return 'failed'
  if (state === 'FINISHED') return 'finished'
  if (state === 'CANCELED') return 'canceled'
  return state === 'RUNNING' && allTasksRunning ? 'running' : null
}

// ------------------------------------------------------------------------------------------------ configuration

const NAME = 'pipeline.name'
const PARAMETERS = 'pipeline.global-job-parameters'
const MAX_PARALLELISM = 'pipeline.max-parallelism'

/**
 * What is sent with the jar beside the settings of the version: the job's name, and the version's number where Flink shows
 * it (`tidemark.version` in /jobs/:id/config), unless the version says otherwise. A program that sets its own name or its
 * own global parameters outranks both. Maps are `a:1,b:2` in every Flink (ConfigurationUtils.convertToProperties); one
 * written as YAML is left alone.
 */
export function startConfiguration(
  rendered: Readonly<Record<string, string>>,
  start: { jobName: string; version: number; maxParallelism: number | undefined },
): Record<string, string> {
  const given = rendered[PARAMETERS]?.trim() ?? ''
  const declared = `tidemark.version:${start.version}`
  return {
    [NAME]: start.jobName,
    ...(start.maxParallelism === undefined ? {} : { [MAX_PARALLELISM]: String(start.maxParallelism) }),
    ...rendered,
    ...(given.startsWith('{') || given.includes('tidemark.version')
      ? {}
      : { [PARAMETERS]: given === '' ? declared : `${given.replace(/,$/, '')},${declared}` }),
  }
}

/** How the version keeps its checkpoints when that forbids to claim a snapshot: it would go with them. null: it may. */
export function retentionAgainstClaim(spec: JobVersionSpec, { claimMode }: Restore): string | null {
  if (claimMode !== 'CLAIM') return null
  const { retention } = fillDefaults(readSettings(spec)).checkpointing
  return retention === 'RETAIN_ON_CANCELLATION' ? null : retention
}
