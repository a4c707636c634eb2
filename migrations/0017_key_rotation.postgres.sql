-- Keys that rotate, as in the SQLite text beside this one.
ALTER TABLE signing_keys ADD COLUMN signs_from bigint;

ALTER TABLE signing_keys ADD COLUMN verifies_until bigint;

ALTER TABLE signing_keys ADD COLUMN text_key text;

CREATE VIEW signing_key_rotations AS
SELECT CAST(NULL AS text) AS id, CAST(NULL AS text) AS public_key, CAST(NULL AS text) AS private_key, CAST(NULL AS text) AS text_key,
    CAST(NULL AS bigint) AS is_first, CAST(NULL AS bigint) AS publish_ms, CAST(NULL AS bigint) AS overlap_ms, CAST(NULL AS bigint) AS revokes,
    CAST(NULL AS text) AS keeps, CAST(NULL AS text) AS audit_id, CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS detail,
    CAST(NULL AS bigint) AS rotated_at
WHERE 1 = 0;

CREATE FUNCTION rotate_signing_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Two may rotate at once: one after the other, and who comes second finds that it is done.
    PERFORM pg_advisory_xact_lock(hashtext('rotate_signing_key'));
    IF NEW.is_first = 1
            AND EXISTS (SELECT 1 FROM signing_keys WHERE private_key IS NOT NULL AND retired_at IS NULL AND verifies_until IS NULL) THEN
        RETURN NULL;
    END IF;
    IF NEW.is_first = 0 AND NEW.revokes = 0
            AND EXISTS (SELECT 1 FROM signing_keys WHERE retired_at IS NULL AND verifies_until > NEW.rotated_at) THEN
        RETURN NULL;
    END IF;
    IF NEW.revokes = 1 AND NOT EXISTS (SELECT 1 FROM signing_keys
            WHERE retired_at IS NULL AND created_at < NEW.rotated_at - 10000 AND id IS DISTINCT FROM NEW.keeps) THEN
        RETURN NULL;
    END IF;
    UPDATE signing_keys SET verifies_until = NEW.rotated_at + NEW.publish_ms + NEW.overlap_ms
    WHERE NEW.is_first = 0 AND NEW.revokes = 0 AND retired_at IS NULL AND verifies_until IS NULL;
    UPDATE signing_keys SET retired_at = COALESCE(retired_at, NEW.rotated_at), verifies_until = NEW.rotated_at, private_key = NULL, text_key = NULL
    WHERE NEW.revokes = 1 AND (retired_at IS NULL OR text_key IS NOT NULL) AND id IS DISTINCT FROM NEW.keeps;
    UPDATE sessions SET revoked_at = NEW.rotated_at WHERE NEW.revokes = 1 AND revoked_at IS NULL;
    INSERT INTO signing_keys (id, public_key, private_key, text_key, created_at, signs_from)
    SELECT NEW.id, NEW.public_key, NEW.private_key, NEW.text_key, NEW.rotated_at, NEW.rotated_at + NEW.publish_ms WHERE NEW.keeps IS NULL;
    INSERT INTO audit_events (id, at, user_id, action, subject, outcome, detail)
    SELECT NEW.audit_id, NEW.rotated_at, NEW.user_id, CASE WHEN NEW.revokes = 1 THEN 'key.revoke' ELSE 'key.rotate' END, 'tokens', 'ok', NEW.detail
    WHERE NEW.is_first = 0;
    RETURN NEW;
END
$$;

CREATE TRIGGER rotate_signing_key INSTEAD OF INSERT ON signing_key_rotations
    FOR EACH ROW EXECUTE FUNCTION rotate_signing_key();

CREATE TABLE inside_keys (
    id text PRIMARY KEY,
    caller text NOT NULL,
    public_key text NOT NULL,
    private_key text,
    created_at bigint NOT NULL,
    verifies_until bigint
);

CREATE UNIQUE INDEX inside_keys_of_caller ON inside_keys (caller) WHERE verifies_until IS NULL;

CREATE VIEW inside_key_rotations AS
SELECT CAST(NULL AS bigint) AS at_least_ms, CAST(NULL AS bigint) AS overlap_ms, CAST(NULL AS bigint) AS revokes, CAST(NULL AS text) AS audit_id,
    CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS detail, CAST(NULL AS bigint) AS rotated_at
WHERE 1 = 0;

CREATE FUNCTION rotate_inside_keys() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE inside_keys SET verifies_until = NEW.rotated_at + NEW.overlap_ms, private_key = NULL
    WHERE created_at <= NEW.rotated_at - NEW.at_least_ms
        AND (verifies_until IS NULL OR (NEW.revokes = 1 AND verifies_until > NEW.rotated_at));
    -- Somebody else has done it meanwhile.
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO audit_events (id, at, user_id, action, subject, outcome, detail)
    VALUES (NEW.audit_id, NEW.rotated_at, NEW.user_id, CASE WHEN NEW.revokes = 1 THEN 'key.revoke' ELSE 'key.rotate' END, 'inside', 'ok', NEW.detail);
    RETURN NEW;
END
$$;

CREATE TRIGGER rotate_inside_keys INSTEAD OF INSERT ON inside_key_rotations
    FOR EACH ROW EXECUTE FUNCTION rotate_inside_keys();
