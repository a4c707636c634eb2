-- Second factors of local accounts, as in the SQLite text beside this one.

-- The secret that the person's app makes codes from, sealed (crates/vault says how), and the step (RFC 6238) of the newest code that was used:
-- a code counts once.
CREATE TABLE second_factors (
    user_id text PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    sealed text NOT NULL,
    last_step bigint NOT NULL,
    created_at bigint NOT NULL
);

-- Codes for whoever has lost the app, each for one use. Only their hashes are kept.
CREATE TABLE recovery_codes (
    user_id text NOT NULL REFERENCES second_factors (user_id) ON DELETE CASCADE,
    code_hash text NOT NULL,
    used_at bigint,
    PRIMARY KEY (user_id, code_hash)
);

CREATE VIEW second_factor_changes AS
SELECT CAST(NULL AS text) AS user_id, CAST(NULL AS bigint) AS access_version, CAST(NULL AS text) AS sealed, CAST(NULL AS bigint) AS last_step,
    CAST(NULL AS bigint) AS is_first, CAST(NULL AS text) AS recovery_hashes, CAST(NULL AS text) AS kept_session, CAST(NULL AS text) AS audit_id, CAST(NULL AS bigint) AS changed_at
WHERE 1 = 0;

CREATE FUNCTION change_second_factor() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Two may be set up at once: one after the other, and who comes second finds another version.
    PERFORM 1 FROM users WHERE id = NEW.user_id AND COALESCE(access_version, 0) = NEW.access_version FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO second_factors (user_id, sealed, last_step, created_at)
    SELECT NEW.user_id, NEW.sealed, NEW.last_step, NEW.changed_at WHERE NEW.sealed IS NOT NULL
    ON CONFLICT (user_id) DO UPDATE SET sealed = excluded.sealed, last_step = excluded.last_step, created_at = excluded.created_at;
    DELETE FROM recovery_codes WHERE user_id = NEW.user_id;
    INSERT INTO recovery_codes (user_id, code_hash)
    SELECT NEW.user_id, value FROM json_array_elements_text(CAST(NEW.recovery_hashes AS json));
    UPDATE users SET access_version = COALESCE(access_version, 0) + 1, access_changed_at = NEW.changed_at
    WHERE id = NEW.user_id AND NEW.sealed IS NOT NULL;
    UPDATE sessions SET revoked_at = NEW.changed_at
    WHERE user_id = NEW.user_id AND revoked_at IS NULL AND NEW.sealed IS NOT NULL AND id IS DISTINCT FROM NEW.kept_session;
    INSERT INTO audit_events (id, at, user_id, action, subject, outcome)
    VALUES (NEW.audit_id, NEW.changed_at, NEW.user_id,
        CASE WHEN NEW.sealed IS NULL THEN 'recovery_codes.renew' ELSE 'second_factor.set' END, NEW.user_id, 'ok');
    RETURN NEW;
END
$$;

CREATE TRIGGER change_second_factor INSTEAD OF INSERT ON second_factor_changes
    FOR EACH ROW EXECUTE FUNCTION change_second_factor();

CREATE VIEW second_factor_removals AS
SELECT CAST(NULL AS text) AS user_id, CAST(NULL AS bigint) AS ends_sessions, CAST(NULL AS bigint) AS removed_at
WHERE 1 = 0;

CREATE FUNCTION remove_second_factor() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A log-in waits too.
    PERFORM 1 FROM users WHERE id = NEW.user_id FOR UPDATE;
    DELETE FROM second_factors WHERE user_id = NEW.user_id;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    UPDATE users SET access_version = COALESCE(access_version, 0) + 1, access_changed_at = NEW.removed_at WHERE id = NEW.user_id;
    UPDATE sessions SET revoked_at = NEW.removed_at WHERE user_id = NEW.user_id AND revoked_at IS NULL AND NEW.ends_sessions = 1;
    RETURN NEW;
END
$$;

CREATE TRIGGER remove_second_factor INSTEAD OF INSERT ON second_factor_removals
    FOR EACH ROW EXECUTE FUNCTION remove_second_factor();

-- How often the access of the account had changed whose password a link sets, so that who is given more meanwhile is not taken over with it. An earlier
-- release makes links without it.
ALTER TABLE password_resets ADD COLUMN user_version bigint;

CREATE FUNCTION end_what_an_old_password_began() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE password_resets SET used_at = NEW.access_changed_at WHERE user_id = NEW.id AND used_at IS NULL;
    UPDATE sessions SET revoked_at = NEW.access_changed_at WHERE user_id = NEW.id AND revoked_at IS NULL;
    -- Whoever knew it may have linked themselves. An account without a password keeps what opens it.
    DELETE FROM user_identities WHERE user_id = NEW.id AND OLD.password_hash IS NOT NULL;
    DELETE FROM identity_links WHERE user_id = NEW.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER end_what_an_old_password_began AFTER UPDATE OF password_hash ON users FOR EACH ROW
    WHEN (NEW.password_hash IS DISTINCT FROM OLD.password_hash) EXECUTE FUNCTION end_what_an_old_password_began();
