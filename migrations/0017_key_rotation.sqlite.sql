-- Keys that rotate. A key signs from signs_from on (null, in what an earlier release wrote: from created_at; 0: it never signed), until a newer one does;
-- what it signed verifies until verifies_until (null: no end is set). A key from configuration, which has no private half here, always has an end: hosts
-- on which it is configured put it off. text_key is what texts are signed with that people and programs keep, such as a registration: it outlives the
-- private half.
ALTER TABLE signing_keys ADD COLUMN signs_from bigint;

ALTER TABLE signing_keys ADD COLUMN verifies_until bigint;

ALTER TABLE signing_keys ADD COLUMN text_key text;

-- A rotation: a new key, which signs after publish_ms, an end for what the others signed, and its record. With revokes = 1 that end is now, and with it
-- end all sessions. keeps: the configured key that signs, instead of a new one. With is_first = 1 there was no key to sign with, and nothing is recorded.
CREATE VIEW signing_key_rotations AS
SELECT CAST(NULL AS text) AS id, CAST(NULL AS text) AS public_key, CAST(NULL AS text) AS private_key, CAST(NULL AS text) AS text_key,
    CAST(NULL AS bigint) AS is_first, CAST(NULL AS bigint) AS publish_ms, CAST(NULL AS bigint) AS overlap_ms, CAST(NULL AS bigint) AS revokes,
    CAST(NULL AS text) AS keeps, CAST(NULL AS text) AS audit_id, CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS detail,
    CAST(NULL AS bigint) AS rotated_at
WHERE 1 = 0;

CREATE TRIGGER rotate_signing_key INSTEAD OF INSERT ON signing_key_rotations
BEGIN
    UPDATE signing_keys SET verifies_until = NEW.rotated_at + NEW.publish_ms + NEW.overlap_ms
    WHERE NEW.is_first = 0 AND NEW.revokes = 0 AND retired_at IS NULL AND verifies_until IS NULL;
    UPDATE signing_keys SET retired_at = COALESCE(retired_at, NEW.rotated_at), verifies_until = NEW.rotated_at, private_key = NULL, text_key = NULL
    WHERE NEW.revokes = 1 AND (retired_at IS NULL OR text_key IS NOT NULL) AND id IS NOT NEW.keeps;
    UPDATE sessions SET revoked_at = NEW.rotated_at WHERE NEW.revokes = 1 AND revoked_at IS NULL;
    INSERT INTO signing_keys (id, public_key, private_key, text_key, created_at, signs_from)
    SELECT NEW.id, NEW.public_key, NEW.private_key, NEW.text_key, NEW.rotated_at, NEW.rotated_at + NEW.publish_ms WHERE NEW.keeps IS NULL;
    INSERT INTO audit_events (id, at, user_id, action, subject, outcome, detail)
    SELECT NEW.audit_id, NEW.rotated_at, NEW.user_id, CASE WHEN NEW.revokes = 1 THEN 'key.revoke' ELSE 'key.rotate' END, 'tokens', 'ok', NEW.detail
    WHERE NEW.is_first = 0;
END;

-- The keys with which components prove to each other who calls. Each caller has its own. verifies_until: null for the one that signs.
CREATE TABLE inside_keys (
    id text PRIMARY KEY,
    caller text NOT NULL,
    public_key text NOT NULL,
    private_key text,
    created_at bigint NOT NULL,
    verifies_until bigint
);

CREATE UNIQUE INDEX inside_keys_of_caller ON inside_keys (caller) WHERE verifies_until IS NULL;

-- A rotation of all of these that are older than at_least_ms: each caller makes itself a new one.
CREATE VIEW inside_key_rotations AS
SELECT CAST(NULL AS bigint) AS at_least_ms, CAST(NULL AS bigint) AS overlap_ms, CAST(NULL AS bigint) AS revokes, CAST(NULL AS text) AS audit_id,
    CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS detail, CAST(NULL AS bigint) AS rotated_at
WHERE 1 = 0;

CREATE TRIGGER rotate_inside_keys INSTEAD OF INSERT ON inside_key_rotations
BEGIN
    UPDATE inside_keys SET verifies_until = NEW.rotated_at + NEW.overlap_ms, private_key = NULL
    WHERE created_at <= NEW.rotated_at - NEW.at_least_ms
        AND (verifies_until IS NULL OR (NEW.revokes = 1 AND verifies_until > NEW.rotated_at));
    INSERT INTO audit_events (id, at, user_id, action, subject, outcome, detail)
    VALUES (NEW.audit_id, NEW.rotated_at, NEW.user_id, CASE WHEN NEW.revokes = 1 THEN 'key.revoke' ELSE 'key.rotate' END, 'inside', 'ok', NEW.detail);
END;
