/** The rule of `domain/restorable.ts` for statements that look for the newest restorable snapshot. */
import { DOUBTFUL_VERDICTS } from '../domain/restorable.ts'

/** Of the row `s`. An IMPORT is restored only when somebody names it, so it is nobody's newest restore point. */
export const RESTORABLE = `s.status = 'Present' and s.completed_at is not null and s.location is not null
      and s.claimed_by_run_id is null and s.source <> 'IMPORT'
      and coalesce(s.verdict, '') not in (${DOUBTFUL_VERDICTS.map((verdict) => `'${verdict}'`).join(', ')})`

/**
 * The newest restorable snapshots of the job: its newest restorable checkpoint (`snapshot_checkpoints_idx`; folding keeps few
 * of those before it) and its ten newest restorable savepoints by when they were accepted. Ten, because a copy is as old as
 * its source and a late one overtakes nobody.
 */
export const newestRestorable = (columns: string, jobId: string, namespaceId: string): string => `
    (select ${columns} from snapshot s
      where s.job_id = ${jobId} and s.namespace_id = ${namespaceId} and s.kind = 'CHECKPOINT' and ${RESTORABLE}
      order by s.completed_at desc, s.id desc limit 1)
    union all
    (select ${columns} from snapshot s
      where s.job_id = ${jobId} and s.namespace_id = ${namespaceId} and s.kind = 'SAVEPOINT' and ${RESTORABLE}
      order by s.created_at desc, s.id desc limit 10)`
