-- A person's data key can be replaced (docs/adr/0043): the former one opens what it sealed until all of that is sealed anew, and then goes. Wrapped by the
-- master key of that time.
ALTER TABLE data_keys ADD COLUMN former_id text;

ALTER TABLE data_keys ADD COLUMN former_wrapped text;

ALTER TABLE data_keys ADD COLUMN former_master_key text;
