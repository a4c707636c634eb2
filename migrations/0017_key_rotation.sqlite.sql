-- Keys that rotate. A key signs from signs_from on (null, in what an earlier release wrote: from created_at), until a newer one does; what it signed
-- verifies until verifies_until (null: no newer one is there). text_key is what texts are signed with that people and programs keep, such as a
-- registration: it outlives the private half.
ALTER TABLE signing_keys ADD COLUMN signs_from bigint;

ALTER TABLE signing_keys ADD COLUMN verifies_until bigint;

ALTER TABLE signing_keys ADD COLUMN text_key text;

-- A rotation: a new key, which signs after publish_ms, and an end for what the others signed. With revokes = 1 that end is now, and with it end all
-- sessions; a configured key (no private half here) then stays the one that signs. With is_first = 1 there was no key to sign with.
CREATE VIEW signing_key_rotations AS
SELECT CAST(NULL AS text) AS id, CAST(NULL AS text) AS public_key, CAST(NULL AS text) AS private_key, CAST(NULL AS text) AS text_key,
    CAST(NULL AS bigint) AS is_first, CAST(NULL AS bigint) AS publish_ms, CAST(NULL AS bigint) AS overlap_ms, CAST(NULL AS bigint) AS revokes, CAST(NULL AS bigint) AS rotated_at
WHERE 1 = 0;

CREATE TRIGGER rotate_signing_key INSTEAD OF INSERT ON signing_key_rotations
BEGIN
    UPDATE signing_keys SET verifies_until = NEW.rotated_at + NEW.publish_ms + NEW.overlap_ms
    WHERE NEW.is_first = 0 AND NEW.revokes = 0 AND retired_at IS NULL AND verifies_until IS NULL;
    UPDATE signing_keys SET retired_at = COALESCE(retired_at, NEW.rotated_at), verifies_until = NEW.rotated_at, private_key = NULL, text_key = NULL
    WHERE NEW.revokes = 1 AND (retired_at IS NULL OR text_key IS NOT NULL)
        AND NOT (private_key IS NULL AND retired_at IS NULL AND verifies_until IS NULL);
    UPDATE sessions SET revoked_at = NEW.rotated_at WHERE NEW.revokes = 1 AND revoked_at IS NULL;
    INSERT INTO signing_keys (id, public_key, private_key, text_key, created_at, signs_from)
    SELECT NEW.id, NEW.public_key, NEW.private_key, NEW.text_key, NEW.rotated_at, NEW.rotated_at + NEW.publish_ms
    WHERE NEW.is_first = 1
        OR NOT EXISTS (SELECT 1 FROM signing_keys WHERE private_key IS NULL AND retired_at IS NULL AND verifies_until IS NULL);
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
