import type { JobAttachment } from '../domain/resources.ts'

/** How a job is followed, from its two columns; null: it is ours to start. */
export function toAttachment(row: {
  attach_flink_job_id: string | null
  attach_flink_job_name: string | null
}): JobAttachment | null {
  if (row.attach_flink_job_id !== null) return { flinkJobId: row.attach_flink_job_id }
  return row.attach_flink_job_name === null ? null : { flinkJobName: row.attach_flink_job_name }
}
