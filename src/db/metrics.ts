/** What operators watch (`product.md` §7), read in one bounded statement each when somebody scrapes. */
import type { InstallationGauges, JobGauge, MetricsRepository } from '../ports/metrics.ts'
import type { Database, Row } from './client.ts'
import { newestRestorable } from './restorable.ts'

export const createMetricsRepository = (db: Database): MetricsRepository => ({
  readJobs: ({ namespaceId }) => db.sql<JobGauge & Row>(JOBS, [namespaceId], 'metrics-jobs'),
  readInstallation: async () => {
    const [row] = await db.sql<InstallationGauges & Row>(INSTALLATION, [], 'metrics-installation')
    return row ?? { clearingOldestSeconds: 0, sweepLagSeconds: 0, snapshots: {} }
  },
})

/**
 * The newest snapshot that could be restored, savepoint or checkpoint. A live job without one is as old as its run: all of that would be lost. An observation is as old as its observer's heartbeat, or as the loss of the cluster.
 */
const JOBS = `
  select j.name as job,
    extract(epoch from now() - coalesce(p.completed_at, r.started_at))::float8 as "restorePointAgeSeconds",
    extract(epoch from now() - case when c.reachable then w.heartbeat_at else c.observed_at end)::float8
      as "observationAgeSeconds"
  from job j
    join cluster c on c.id = j.cluster_id
    left join run r on r.id = j.current_run_id
    left join worker w on w.id = c.observer_id
    left join lateral (
      select max(newest.completed_at) as completed_at
      from (${newestRestorable('s.completed_at', 'j.id', 'j.namespace_id')}) newest) p on true
  where j.namespace_id = $1 and j.deleted_at is null
  order by j.name limit 20000`

/**
 * Rows in work are counted (their partial indexes hold nothing else: an open clearing has a next action); the others come from the planner's statistics, because
 * counting ten million rows at every scrape would cost more than the figure is worth.
 */
const INSTALLATION = `
  with work as (select status, next_action_at, lease_until, updated_at from snapshot where next_action_at is not null),
  estimate as (
    select v.status, (v.freq * c.reltuples)::bigint as n
    from pg_class c, pg_stats s,
      unnest(s.most_common_vals::text::text[], s.most_common_freqs) as v(status, freq)
    where c.oid = 'snapshot'::regclass and c.reltuples > 0
      and s.schemaname = 'public' and s.tablename = 'snapshot' and s.attname = 'status')
  select
    coalesce((select extract(epoch from now() - min(requested_at)) from clearing where next_action_at is not null), 0)::float8
      as "clearingOldestSeconds",
    coalesce((select extract(epoch from now() - min(greatest(next_action_at, coalesce(lease_until, next_action_at))))
      from work where next_action_at <= now() and (lease_until is null or lease_until < now())), 0)::float8 as "sweepLagSeconds",
    coalesce((select json_object_agg(status, n) from estimate where status not in ('Creating', 'Clearing')), '{}'::json)::jsonb
      || jsonb_build_object(
        'Creating', (select count(*) from work where status = 'Creating'),
        'Clearing', (select count(*) from clearing where next_action_at is not null and subject = 'SNAPSHOT')) as snapshots`
