import { openSimulatedFlink } from '../support/flink-under-test.ts'
import { describeClearing } from './suite-clearing.ts'

describeClearing('clearing on the simulated Flink 2, local directory', openSimulatedFlink('2.3.0'), 'local')
describeClearing('clearing on the simulated Flink 1.20, S3', openSimulatedFlink('1.20.4'), 's3')
