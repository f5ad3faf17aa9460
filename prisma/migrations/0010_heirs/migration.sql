-- Which runs may have built on the files of a place: asked by an audit for a directory and everything below it, and for the
-- checkpoints of a Flink job id, also those that nobody has recorded. A location may be longer than an index entry may be.
create index run_restored_below_idx on run (namespace_id, (left(restored_key, 512) collate "C"))
  where restored_key is not null;
create index run_restored_from_idx on run (namespace_id, (substring(restored_key from '/([0-9a-f]{32})/chk-[0-9]+')))
  where restored_key is not null;
