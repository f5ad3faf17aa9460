import { openSimulatedApplication } from '../support/flink-application-under-test.ts'
import { openSimulatedFlink } from '../support/flink-under-test.ts'
import { describeFlinkFacts } from './suite-flink-facts.ts'

for (const version of ['1.20.4', '2.3.0']) {
  describeFlinkFacts(`facts of the simulated Flink ${version}`, {
    session: (options) => openSimulatedFlink(version, options),
    application: openSimulatedApplication(version),
  })
}
