-- What people type and what they are answered is sealed (docs/adr/0039): each person has a data key, wrapped by a master key. crates/vault says how.

-- wrapped is '' when the key was destroyed: what it sealed can never be read again. master_key is the id of the master key that wraps it; 'lost' if that was
-- given up, so that a new key is made. lost has the ids of the keys that were given up, separated by commas.
CREATE TABLE data_keys (
    user_id text PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    id text NOT NULL,
    wrapped text NOT NULL,
    master_key text NOT NULL,
    lost text,
    created_at bigint NOT NULL
);

CREATE INDEX data_keys_by_master_key ON data_keys (master_key, user_id);

-- How far the rows of earlier releases are sealed, table by table; no rows in a new installation. began_at is the time of this migration: nothing is sealed
-- until an hour after it, because hosts of an earlier release may run until then. passed is the key of the last row that was looked at, in the order of
-- keys; seen and total count rows. A host takes the next step when it is due, and is given some time for it. The second pass is due an hour after the first:
-- it finds what was written in clear beside it. skipped counts rows whose person's key cannot be used; while there are any, the table is looked through again.
CREATE TABLE sealing_progress (
    name text PRIMARY KEY,
    pass bigint NOT NULL,
    passed text NOT NULL,
    seen bigint NOT NULL,
    total bigint NOT NULL,
    began_at bigint NOT NULL,
    due_at bigint NOT NULL,
    finished_at bigint,
    skipped bigint NOT NULL DEFAULT 0
);

INSERT INTO sealing_progress (name, pass, passed, seen, total, began_at, due_at)
SELECT 'conversations', 1, '', 0, (SELECT COUNT(*) FROM conversations), CAST(unixepoch('subsec') * 1000 AS INTEGER), CAST(unixepoch('subsec') * 1000 AS INTEGER) + 3600000 WHERE EXISTS (SELECT 1 FROM users)
UNION ALL SELECT 'messages', 1, '', 0, (SELECT COUNT(*) FROM messages), CAST(unixepoch('subsec') * 1000 AS INTEGER), CAST(unixepoch('subsec') * 1000 AS INTEGER) + 3600000 WHERE EXISTS (SELECT 1 FROM users)
UNION ALL SELECT 'run_events', 1, '', 0, (SELECT COUNT(*) FROM run_events), CAST(unixepoch('subsec') * 1000 AS INTEGER), CAST(unixepoch('subsec') * 1000 AS INTEGER) + 3600000 WHERE EXISTS (SELECT 1 FROM users)
UNION ALL SELECT 'runs', 1, '', 0, (SELECT COUNT(*) FROM runs), CAST(unixepoch('subsec') * 1000 AS INTEGER), CAST(unixepoch('subsec') * 1000 AS INTEGER) + 3600000 WHERE EXISTS (SELECT 1 FROM users)
UNION ALL SELECT 'tool_tasks', 1, '', 0, (SELECT COUNT(*) FROM tool_tasks), CAST(unixepoch('subsec') * 1000 AS INTEGER), CAST(unixepoch('subsec') * 1000 AS INTEGER) + 3600000 WHERE EXISTS (SELECT 1 FROM users)
UNION ALL SELECT 'tool_secrets', 1, '', 0, (SELECT COUNT(*) FROM tool_secrets), CAST(unixepoch('subsec') * 1000 AS INTEGER), CAST(unixepoch('subsec') * 1000 AS INTEGER) + 3600000 WHERE EXISTS (SELECT 1 FROM users)
UNION ALL SELECT 'second_factors', 1, '', 0, (SELECT COUNT(*) FROM second_factors), CAST(unixepoch('subsec') * 1000 AS INTEGER), CAST(unixepoch('subsec') * 1000 AS INTEGER) + 3600000 WHERE EXISTS (SELECT 1 FROM users)
UNION ALL SELECT 'tool_connections', 1, '', 0, (SELECT COUNT(*) FROM tool_connections), CAST(unixepoch('subsec') * 1000 AS INTEGER), CAST(unixepoch('subsec') * 1000 AS INTEGER) + 3600000 WHERE EXISTS (SELECT 1 FROM users);
