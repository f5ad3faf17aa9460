/** Which live Flink jobs an attach by pattern takes, and why it leaves the others. */
import { deriveName } from './derived-name.ts'
import type { FlinkJob } from './flink.ts'
import { isTerminal } from './flink.ts'
import type { Reference } from './snapshot.ts'

export const ATTACH_SKIPS = ['ALREADY_ATTACHED', 'AMBIGUOUS', 'NAME_UNUSABLE'] as const
export type AttachSkip = (typeof ATTACH_SKIPS)[number]

export type SkippedFlinkJob = { flinkJobName: string; reason: AttachSkip; job: Reference | null }
export type AttachCandidate = { flinkJobName: string; name: string }
export type AttachPlan = { attach: AttachCandidate[]; skipped: SkippedFlinkJob[] }

/** Who follows what on one cluster. */
export type Followers = { byId: ReadonlyMap<string, Reference>; byName: ReadonlyMap<string, Reference> }

/** What `attach.flinkJobName` of a job can hold: one line of 1 to 255 characters, without halves of surrogate pairs. */
const FOLLOWABLE = /^[^\p{Cc}\p{Cs}]{1,255}$/u

export const isFollowable = (flinkJobName: string): boolean =>
  flinkJobName.length <= 255 && FOLLOWABLE.test(flinkJobName)

/** The distinct names of live jobs that match, in the order of the names. */
export function planAttach(
  flinkJobs: readonly FlinkJob[],
  matches: (flinkJobName: string) => boolean,
  followers: Followers,
): AttachPlan {
  const plan: AttachPlan = { attach: [], skipped: [] }
  for (const [flinkJobName, ids] of groupLive(flinkJobs, matches)) {
    const skip = (reason: AttachSkip, job: Reference | null = null) =>
      plan.skipped.push({ flinkJobName, reason, job })
    const [id, second] = ids
    const follower = followers.byName.get(flinkJobName)
    const name = deriveName(flinkJobName)
    if (follower) skip('ALREADY_ATTACHED', follower)
    else if (second !== undefined) skip('AMBIGUOUS')
    else if (id !== undefined && followers.byId.has(id))
      skip('ALREADY_ATTACHED', followers.byId.get(id) ?? null)
    else if (name === null || !isFollowable(flinkJobName)) skip('NAME_UNUSABLE')
    else plan.attach.push({ flinkJobName, name })
  }
  return plan
}

function groupLive(
  flinkJobs: readonly FlinkJob[],
  matches: (flinkJobName: string) => boolean,
): [name: string, ids: string[]][] {
  const idsOf = new Map<string, string[]>()
  for (const { name, state, flinkJobId } of flinkJobs) {
    if (isTerminal(state)) continue
    const ids = idsOf.get(name)
    if (ids) ids.push(flinkJobId)
    else if (matches(name)) idsOf.set(name, [flinkJobId])
  }
  return [...idsOf].sort(([one], [other]) => (one < other ? -1 : 1))
}
