-- A person takes a provider's identity off their account. 0002 says what a command is; the SQLite text beside this one says the same.

-- The sessions that began with the identity end, but for the one in which it is taken off, and what its groups gave ends in all.
CREATE VIEW identity_removals AS
SELECT CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS issuer, CAST(NULL AS bigint) AS access_version,
    CAST(NULL AS text) AS kept_session, CAST(NULL AS bigint) AS removed_at
WHERE 1 = 0;

CREATE FUNCTION remove_identity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- The account comes before its sessions, as everywhere; if it has changed since it was proven whose it is, nothing happens.
    UPDATE users SET access_version = COALESCE(access_version, 0) + 1, access_changed_at = NEW.removed_at
    WHERE id = NEW.user_id AND COALESCE(access_version, 0) = NEW.access_version AND password_hash IS NOT NULL;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    UPDATE sessions SET revoked_at = NEW.removed_at
    WHERE revoked_at IS NULL AND user_id = NEW.user_id AND id <> COALESCE(NEW.kept_session, '') AND id IN (
        SELECT session_id FROM provider_sessions WHERE issuer = NEW.issuer);
    DELETE FROM provider_sessions WHERE session_id = NEW.kept_session AND issuer = NEW.issuer;
    DELETE FROM user_identities WHERE user_id = NEW.user_id AND issuer = NEW.issuer;
    RETURN NEW;
END
$$;

CREATE TRIGGER remove_identity INSTEAD OF INSERT ON identity_removals FOR EACH ROW EXECUTE FUNCTION remove_identity();
