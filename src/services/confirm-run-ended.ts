/**
 * A person's word that a run we cannot see has ended. It frees the run's checkpoint directory, so it is refused while Flink
 * lists the run. Given twice it is the same word.
 */
import { DomainError } from '../domain/errors.ts'
import { judgeEnd } from '../domain/run.ts'
import type { RunRepository, RunRow } from '../ports/runs.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { findRun } from './find-run.ts'
import { showRun } from './get-run.ts'

/** The run may be seen again, or confirmed by somebody else, between reading and writing. */
const TRIES = 3

export const confirmRunEnded =
  ({ runs }: { runs: Pick<RunRepository, 'find' | 'confirmEnd'> }): Services['confirmRunEnded'] =>
  async ({ caller, run: id }) => {
    const scope = scopeOf(caller)
    for (let tries = 0; tries < TRIES; tries++) {
      const run = await findRun(runs, scope, id)
      const verdict = judgeEnd(run)
      if (verdict === 'settled') return showRun(run)
      if (verdict === 'live') throw isLive(run)
      if (await runs.confirmEnd(scope, run.id, caller.principal))
        return showRun(await findRun(runs, scope, id))
    }
    throw new DomainError('OVERLOADED', 'The run changed several times in between; try again.')
  }

const isLive = ({ id, job, cluster, state, flinkJobId }: RunRow): DomainError =>
  new DomainError(
    'RUN_IS_LIVE',
    `The cluster ${cluster.name} lists the run ${id} of ${job.name} (Flink job ${flinkJobId}), which is ${state}: it has not ended.`,
    { extra: { state } },
  )
