-- Whoever was restored from a place below a directory that is to be cleared: a range of keys, which only byte order gives.
create index run_restored_below_idx on run (namespace_id, (restored_key collate "C")) where restored_key is not null;
