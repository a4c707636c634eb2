-- A person's data key can be replaced (docs/adr/0043): the former one opens what it sealed until all of that is sealed anew, and then goes. Wrapped by the
-- master key of that time.
ALTER TABLE data_keys ADD COLUMN former_id text;

ALTER TABLE data_keys ADD COLUMN former_wrapped text;

ALTER TABLE data_keys ADD COLUMN former_master_key text;

-- When a row of the person was last skipped, because their key could not be used: their former key stays until no table has skipped rows any more.
ALTER TABLE data_keys ADD COLUMN skipped_at bigint;

-- When a table was last looked through to its end a second time, also if rows were skipped.
ALTER TABLE sealing_progress ADD COLUMN looked_at bigint;
