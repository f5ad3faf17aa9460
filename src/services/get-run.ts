import type { Run } from '../domain/run.ts'
import type { RunRepository, RunRow } from '../ports/runs.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { findRun } from './find-run.ts'

/** What only the judgement of its end needs stays inside. */
export const showRun = ({ clusterUnreachable: _inside, ...run }: RunRow): Run => run

export const getRun =
  ({ runs }: { runs: Pick<RunRepository, 'find'> }): Services['getRun'] =>
  async ({ caller, run }) =>
    showRun(await findRun(runs, scopeOf(caller), run))
