import { DomainError } from '../domain/errors.ts'
import type { RunRepository, RunRow } from '../ports/runs.ts'
import type { Scope } from '../ports/scope.ts'

export async function findRun(runs: Pick<RunRepository, 'find'>, scope: Scope, id: string): Promise<RunRow> {
  const run = await runs.find(scope, id)
  if (!run) throw new DomainError('NOT_FOUND', `There is no run ${JSON.stringify(id.slice(0, 100))}.`)
  return run
}
