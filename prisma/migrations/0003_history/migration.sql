-- What happened: transitions and events, partitioned by month and kept 90 days. They live in a schema of their own,
-- which Prisma does not manage.
create schema if not exists history;

create table history.snapshot_transition (
  namespace_id uuid not null,
  snapshot_id  uuid not null,
  from_status  text,
  to_status    text not null,
  reason       text not null,
  message      text,
  at           timestamptz(3) not null default now(),
  by           text not null
) partition by range (at);
create index on history.snapshot_transition (snapshot_id, at);

-- `xid` orders events so that no late commit is lost: a reader takes (xid, seq) > its cursor and stops below
-- pg_snapshot_xmin(pg_current_snapshot()), under which every transaction has ended.
create sequence history.event_seq;
create table history.event (
  namespace_id uuid not null,
  xid          xid8 not null default pg_current_xact_id(),
  seq          bigint not null default nextval('history.event_seq'),
  at           timestamptz(3) not null default now(),
  type         text not null,
  job_id       uuid,
  snapshot_id  uuid,
  data         jsonb not null default '{}'
) partition by range (at);
create index on history.event (namespace_id, xid, seq);

-- Nothing is refused for want of a partition.
create table history.snapshot_transition_default partition of history.snapshot_transition default;
create table history.event_default partition of history.event default;

-- Makes the partitions of this month and the next two; drops those that ended over `keep` ago. Called by
-- `tidemark migrate` and daily by a worker. Harmless when called twice or by two at once.
create function history.maintain(keep interval default '90 days') returns void language plpgsql as $$
declare
  parent text;
  since timestamptz;
  until timestamptz;
  child text;
begin
  perform pg_advisory_xact_lock(hashtext('tidemark.history.maintain'));
  foreach parent in array array['snapshot_transition', 'event'] loop
    for ahead in 0..2 loop
      since := (date_trunc('month', now() at time zone 'UTC') + make_interval(months => ahead)) at time zone 'UTC';
      until := (date_trunc('month', now() at time zone 'UTC') + make_interval(months => ahead + 1)) at time zone 'UTC';
      child := format('%s_%s', parent, to_char(since at time zone 'UTC', 'YYYYMM'));
      continue when to_regclass(format('history.%I', child)) is not null;
      execute format('create table history.%I (like history.%I including defaults)', child, parent);
      -- A month that was missed has its rows in the default partition; they must move before the new one is attached.
      execute format(
        'with moved as (delete from history.%I where at >= %L and at < %L returning *) insert into history.%I select * from moved',
        parent || '_default', since, until, child);
      execute format('alter table history.%I attach partition history.%I for values from (%L) to (%L)',
        parent, child, since, until);
    end loop;
    for child in
      select c.relname from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        join pg_class p on p.oid = i.inhparent
        join pg_namespace n on n.oid = p.relnamespace
      where n.nspname = 'history' and p.relname = parent and c.relname ~ ('^' || parent || '_\d{6}$')
        and (to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month') at time zone 'UTC' < now() - keep
    loop
      execute format('drop table history.%I', child);
    end loop;
  end loop;
end $$;

select history.maintain();
