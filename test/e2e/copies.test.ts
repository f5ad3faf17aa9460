import { describe } from 'vitest'
import { openSimulatedFlink } from '../support/flink-under-test.ts'
import { COPIED_CHECKPOINTS, describeCopies } from './suite-copies.ts'

describe('a simulated Flink', () => {
  describeCopies('copies', openSimulatedFlink('2.3.0', { ha: false, checkpoints: COPIED_CHECKPOINTS }), {
    storage: 'local',
    merges: false, // only a real one merges files
  })
})
