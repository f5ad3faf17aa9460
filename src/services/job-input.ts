import { FLINK_JOB_ID } from '../domain/location.ts'
import type { JobInput } from './api.ts'
import { refuseInput } from './check-input.ts'

export function checkJob({ attach, savepointTimeoutSeconds }: Partial<JobInput>): void {
  if (attach !== undefined && 'flinkJobId' in attach && !FLINK_JOB_ID.test(attach.flinkJobId)) {
    refuseInput('/attach/flinkJobId', 'a Flink job id has 32 lower-case hexadecimal digits')
  }
  if (savepointTimeoutSeconds !== undefined && savepointTimeoutSeconds < 1) {
    refuseInput('/savepointTimeoutSeconds', 'it must be at least one second')
  }
}
