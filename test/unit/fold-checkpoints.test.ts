import { describe, expect, it } from 'vitest'
import type { CheckpointHistoryRepository } from '../../src/ports/runs.ts'
import { createCheckpointFolder } from '../../src/services/fold-checkpoints.ts'

const JOBS = ['a', 'b', 'c', 'd', 'e']

/** Jobs a to e; `rows` is what each call finds to fold. */
function fakeHistory(rows: number[] = []) {
  const folded: (readonly string[])[] = []
  const history: CheckpointHistoryRepository = {
    listJobs: async (after, limit) => JOBS.filter((id) => after === null || id > after).slice(0, limit),
    foldCheckpoints: async (jobs) => {
      folded.push(jobs)
      return rows.shift() ?? 0
    },
  }
  return { history, folded }
}

describe('folding in rounds', () => {
  it('takes the next slice of jobs each time and begins again after the last', async () => {
    const { history, folded } = fakeHistory()
    const folder = createCheckpointFolder({ history, jobsPerRound: 2 })
    for (let round = 0; round < 4; round++) expect(await folder.round()).toBe(false)
    expect(folded).toEqual([['a', 'b'], ['c', 'd'], ['e'], ['a', 'b']])
  })

  it('goes on with a slice until a batch is not full', async () => {
    const { history, folded } = fakeHistory([10, 10, 3])
    const folder = createCheckpointFolder({ history, jobsPerRound: 2, batchSize: 10 })
    expect(await folder.round()).toBe(false)
    expect(folded).toEqual([
      ['a', 'b'],
      ['a', 'b'],
      ['a', 'b'],
    ])
  })

  it('stops when its time is over, says that there is more, and continues with the same slice', async () => {
    const { history, folded } = fakeHistory([10, 3])
    let now = 0
    const folder = createCheckpointFolder({
      history,
      jobsPerRound: 2,
      batchSize: 10,
      budgetMs: 5,
      clock: () => {
        now += 6
        return now
      },
    })
    expect(await folder.round()).toBe(true)
    expect(await folder.round()).toBe(false)
    expect(folded).toEqual([
      ['a', 'b'],
      ['a', 'b'],
    ])
  })
})
