-- Second factors of local accounts. 0002 says what a command is; the PostgreSQL text beside this one says the same.

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

-- A second factor, in place of the one before, with new recovery codes; or new recovery codes alone, if sealed is null. recovery_hashes is a JSON array
-- of texts. access_version is that of the account when it was read. A new second factor makes it grow, so a log-in that read the account before gets no
-- session, and it ends all sessions but kept_session: they may have begun with the password alone, or with a code of the app before.
-- is_first is 1 if the account had none; 0015 says what it ends besides.
CREATE VIEW second_factor_changes AS
SELECT CAST(NULL AS text) AS user_id, CAST(NULL AS bigint) AS access_version, CAST(NULL AS text) AS sealed, CAST(NULL AS bigint) AS last_step,
    CAST(NULL AS bigint) AS is_first, CAST(NULL AS text) AS recovery_hashes, CAST(NULL AS text) AS kept_session, CAST(NULL AS text) AS audit_id, CAST(NULL AS bigint) AS changed_at
WHERE 1 = 0;

CREATE TRIGGER change_second_factor INSTEAD OF INSERT ON second_factor_changes
BEGIN
    INSERT INTO second_factors (user_id, sealed, last_step, created_at)
    SELECT NEW.user_id, NEW.sealed, NEW.last_step, NEW.changed_at WHERE NEW.sealed IS NOT NULL
    ON CONFLICT (user_id) DO UPDATE SET sealed = excluded.sealed, last_step = excluded.last_step, created_at = excluded.created_at;
    DELETE FROM recovery_codes WHERE user_id = NEW.user_id;
    INSERT INTO recovery_codes (user_id, code_hash) SELECT NEW.user_id, value FROM json_each(NEW.recovery_hashes);
    UPDATE users SET access_version = COALESCE(access_version, 0) + 1, access_changed_at = NEW.changed_at
    WHERE id = NEW.user_id AND NEW.sealed IS NOT NULL;
    UPDATE sessions SET revoked_at = NEW.changed_at
    WHERE user_id = NEW.user_id AND revoked_at IS NULL AND NEW.sealed IS NOT NULL AND id IS NOT NEW.kept_session;
    INSERT INTO audit_events (id, at, user_id, action, subject, outcome)
    VALUES (NEW.audit_id, NEW.changed_at, NEW.user_id,
        CASE WHEN NEW.sealed IS NULL THEN 'recovery_codes.renew' ELSE 'second_factor.set' END, NEW.user_id, 'ok');
END;

-- The end of a second factor and its recovery codes; with ends_sessions also of all sessions, because whoever began them may have been a thief.
CREATE VIEW second_factor_removals AS
SELECT CAST(NULL AS text) AS user_id, CAST(NULL AS bigint) AS ends_sessions, CAST(NULL AS bigint) AS removed_at
WHERE 1 = 0;

CREATE TRIGGER remove_second_factor INSTEAD OF INSERT ON second_factor_removals
BEGIN
    DELETE FROM second_factors WHERE user_id = NEW.user_id;
    UPDATE users SET access_version = COALESCE(access_version, 0) + 1, access_changed_at = NEW.removed_at WHERE id = NEW.user_id;
    UPDATE sessions SET revoked_at = NEW.removed_at WHERE user_id = NEW.user_id AND revoked_at IS NULL AND NEW.ends_sessions = 1;
END;

-- How often the access of the account had changed whose password a link sets, so that who is given more meanwhile is not taken over with it. An earlier
-- release makes links without it.
ALTER TABLE password_resets ADD COLUMN user_version bigint;

-- A new password ends all sessions, uses up all links that would set another, and in place of an old one ends what that has linked at providers,
-- whoever sets it: `change_password` in 0012, or the person.
CREATE TRIGGER end_what_an_old_password_began AFTER UPDATE OF password_hash ON users WHEN NEW.password_hash IS NOT OLD.password_hash
BEGIN
    UPDATE password_resets SET used_at = NEW.access_changed_at WHERE user_id = NEW.id AND used_at IS NULL;
    UPDATE sessions SET revoked_at = NEW.access_changed_at WHERE user_id = NEW.id AND revoked_at IS NULL;
    -- Whoever knew it may have linked themselves. An account without a password keeps what opens it.
    DELETE FROM user_identities WHERE user_id = NEW.id AND OLD.password_hash IS NOT NULL;
    DELETE FROM identity_links WHERE user_id = NEW.id;
END;
