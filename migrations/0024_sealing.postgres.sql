-- What else people type is sealed, as in the SQLite text beside this one, which says what everything is for.

CREATE TABLE installation_keys (
    name text PRIMARY KEY,
    id text NOT NULL,
    wrapped text NOT NULL,
    master_key text NOT NULL,
    created_at bigint NOT NULL
);

INSERT INTO sealing_progress (name, pass, passed, seen, total, began_at, due_at)
SELECT 'api_keys', 1, '', 0, (SELECT COUNT(*) FROM api_keys), CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint), CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) + 3600000 WHERE EXISTS (SELECT 1 FROM users)
UNION ALL SELECT 'audit_details', 1, '', 0, (SELECT COUNT(*) FROM audit_details), CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint), CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) + 3600000 WHERE EXISTS (SELECT 1 FROM users)
UNION ALL SELECT 'identity_links', 1, '', 0, (SELECT COUNT(*) FROM identity_links), CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint), CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) + 3600000 WHERE EXISTS (SELECT 1 FROM users)
UNION ALL SELECT 'provider_sessions', 1, '', 0, (SELECT COUNT(*) FROM provider_sessions), CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint), CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) + 3600000 WHERE EXISTS (SELECT 1 FROM users)
UNION ALL SELECT 'sessions', 1, '', 0, (SELECT COUNT(*) FROM sessions), CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint), CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) + 3600000 WHERE EXISTS (SELECT 1 FROM users);

DROP TRIGGER audit_details_stay ON audit_details;

CREATE TRIGGER audit_details_stay BEFORE TRUNCATE ON audit_details
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_the_record();

CREATE TRIGGER audit_details_stay_as_they_are BEFORE UPDATE ON audit_details FOR EACH ROW
    WHEN (NEW.event_id <> OLD.event_id OR NEW.user_id <> OLD.user_id OR NEW.salt <> OLD.salt OR substr(NEW.detail, 1, 2) <> 's1' OR substr(NEW.detail, 3, 1) <> ':')
    EXECUTE FUNCTION refuse_to_change_the_record();

CREATE VIEW master_key_rotations AS
SELECT CAST(NULL AS text) AS purpose, CAST(NULL AS text) AS key, CAST(NULL AS bigint) AS at_least_ms, CAST(NULL AS text) AS audit_id,
    CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS detail, CAST(NULL AS bigint) AS rotated_at
WHERE 1 = 0;

CREATE FUNCTION rotate_master_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Two may rotate at once: one after the other, and who comes second finds that it is done.
    PERFORM pg_advisory_xact_lock(hashtext('rotate_master_key'));
    IF EXISTS (SELECT 1 FROM generated_keys
            WHERE (purpose = 'master' OR substr(purpose, 1, 7) = 'master/') AND created_at > NEW.rotated_at - NEW.at_least_ms) THEN
        RETURN NULL;
    END IF;
    INSERT INTO generated_keys (purpose, key, created_at) VALUES (NEW.purpose, NEW.key, NEW.rotated_at);
    INSERT INTO audit_events (id, at, user_id, action, subject, outcome, detail)
    VALUES (NEW.audit_id, NEW.rotated_at, NEW.user_id, 'key.rotate', 'master', 'ok', NEW.detail);
    RETURN NEW;
END
$$;

CREATE TRIGGER rotate_master_key INSTEAD OF INSERT ON master_key_rotations
    FOR EACH ROW EXECUTE FUNCTION rotate_master_key();
