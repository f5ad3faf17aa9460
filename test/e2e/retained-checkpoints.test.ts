import { openSimulatedFlink } from '../support/flink-under-test.ts'
import { describeRetained, RETAINED_CHECKPOINTS, SMALL_FILES } from './suite-retained.ts'

const options = { checkpoints: RETAINED_CHECKPOINTS, configuration: SMALL_FILES }

describeRetained(
  'retained checkpoints on the simulated Flink 2, local directory',
  openSimulatedFlink('2.3.0', options),
  'local',
)
describeRetained(
  'retained checkpoints on the simulated Flink 1.20, S3',
  openSimulatedFlink('1.20.4', options),
  's3',
)
