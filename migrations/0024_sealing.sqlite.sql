-- What else people type is sealed, and the installation's own private keys (docs/adr/0043). 0002 says what a command is; the PostgreSQL text beside this one
-- says the same.

-- The installation's own data keys, wrapped by a master key like those of people: 'details' seals details of the record that outlive who they are about.
CREATE TABLE installation_keys (
    name text PRIMARY KEY,
    id text NOT NULL,
    wrapped text NOT NULL,
    master_key text NOT NULL,
    created_at bigint NOT NULL
);

-- Nothing of this is sealed until an hour after the migration, as in 0019: hosts of an earlier release may run until then.
INSERT INTO sealing_progress (name, pass, passed, seen, total, began_at, due_at)
SELECT 'api_keys', 1, '', 0, (SELECT COUNT(*) FROM api_keys), CAST(unixepoch('subsec') * 1000 AS INTEGER), CAST(unixepoch('subsec') * 1000 AS INTEGER) + 3600000 WHERE EXISTS (SELECT 1 FROM users)
UNION ALL SELECT 'audit_details', 1, '', 0, (SELECT COUNT(*) FROM audit_details), CAST(unixepoch('subsec') * 1000 AS INTEGER), CAST(unixepoch('subsec') * 1000 AS INTEGER) + 3600000 WHERE EXISTS (SELECT 1 FROM users)
UNION ALL SELECT 'identity_links', 1, '', 0, (SELECT COUNT(*) FROM identity_links), CAST(unixepoch('subsec') * 1000 AS INTEGER), CAST(unixepoch('subsec') * 1000 AS INTEGER) + 3600000 WHERE EXISTS (SELECT 1 FROM users)
UNION ALL SELECT 'provider_sessions', 1, '', 0, (SELECT COUNT(*) FROM provider_sessions), CAST(unixepoch('subsec') * 1000 AS INTEGER), CAST(unixepoch('subsec') * 1000 AS INTEGER) + 3600000 WHERE EXISTS (SELECT 1 FROM users)
UNION ALL SELECT 'sessions', 1, '', 0, (SELECT COUNT(*) FROM sessions), CAST(unixepoch('subsec') * 1000 AS INTEGER), CAST(unixepoch('subsec') * 1000 AS INTEGER) + 3600000 WHERE EXISTS (SELECT 1 FROM users);

-- A detail may be sealed in place, and nothing else about it can change: the chain has the digest of what was said.
DROP TRIGGER audit_details_stay_as_they_are;

CREATE TRIGGER audit_details_stay_as_they_are BEFORE UPDATE ON audit_details
WHEN NEW.event_id <> OLD.event_id OR NEW.user_id <> OLD.user_id OR NEW.salt <> OLD.salt OR substr(NEW.detail, 1, 2) <> 's1' OR substr(NEW.detail, 3, 1) <> ':'
BEGIN
    SELECT RAISE(ABORT, 'details of audit events are never changed');
END;

-- A new master key that is kept here, and its record. Of two within at_least_ms, the second is a repetition of the first.
CREATE VIEW master_key_rotations AS
SELECT CAST(NULL AS text) AS purpose, CAST(NULL AS text) AS key, CAST(NULL AS bigint) AS at_least_ms, CAST(NULL AS text) AS audit_id,
    CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS detail, CAST(NULL AS bigint) AS rotated_at
WHERE 1 = 0;

CREATE TRIGGER rotate_master_key INSTEAD OF INSERT ON master_key_rotations
BEGIN
    INSERT INTO generated_keys (purpose, key, created_at) VALUES (NEW.purpose, NEW.key, NEW.rotated_at);
    INSERT INTO audit_events (id, at, user_id, action, subject, outcome, detail)
    VALUES (NEW.audit_id, NEW.rotated_at, NEW.user_id, 'key.rotate', 'master', 'ok', NEW.detail);
END;
