-- Whose checkpoint a run was restored from, also one that nobody has recorded: Flink puts each below its Flink job id. Asked
-- before the files of a retained checkpoint go.
create index if not exists run_restored_from_idx on run (namespace_id, (substring(restored_key from '/([0-9a-f]{32})/chk-[0-9]+')))
  where restored_key is not null;
