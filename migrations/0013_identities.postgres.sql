-- Signing in with an organisation's provider (OpenID Connect), as in the SQLite text beside this one.

-- Who somebody is at a provider. email is the newest address that the provider has verified; roles are those that the groups there gave at the last
-- log-in, separated by spaces. An earlier release knows nothing of them: there, the person has the account's own role and those of groups here.
CREATE TABLE user_identities (
    issuer text NOT NULL,
    subject text NOT NULL,
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email text NOT NULL,
    roles text NOT NULL,
    created_at bigint NOT NULL,
    used_at bigint NOT NULL,
    PRIMARY KEY (issuer, subject)
);

CREATE INDEX user_identities_of_user ON user_identities (user_id);

-- What each provider publishes about itself, so that not every host and instance asks anew. asked_at is when it was last asked, keys_at when
-- the keys were asked for because of a token.
CREATE TABLE identity_providers (
    issuer text PRIMARY KEY,
    document text NOT NULL,
    keys text NOT NULL,
    fetched_at bigint NOT NULL,
    asked_at bigint NOT NULL,
    keys_at bigint NOT NULL
);

-- The session at the provider that a session here began with. sid is its name there, if the provider says one; hint is the ID token, which the
-- provider wants back at the log-out. A session that has ended has none.
CREATE TABLE provider_sessions (
    session_id text PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    issuer text NOT NULL,
    subject text NOT NULL,
    sid text,
    hint text
);

CREATE INDEX provider_sessions_of_subject ON provider_sessions (issuer, subject);

CREATE INDEX provider_sessions_of_sid ON provider_sessions (issuer, sid);

-- Somebody who has signed in at a provider with the address of an account here, and has not entered its password yet. Only the hash of the secret in
-- their browser is kept. confirmed_at is when the password was right.
CREATE TABLE identity_links (
    token_hash text PRIMARY KEY,
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    issuer text NOT NULL,
    subject text NOT NULL,
    email text NOT NULL,
    roles text NOT NULL,
    sid text,
    hint text,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    confirmed_at bigint
);

CREATE INDEX identity_links_by_expiry ON identity_links (expires_at);

-- Log-out tokens of providers, so that each counts once, for as long as it is valid. No session begins that one of them has ended by its sid.
CREATE TABLE provider_logouts (
    issuer text NOT NULL,
    token_id text NOT NULL,
    sid text,
    expires_at bigint NOT NULL,
    PRIMARY KEY (issuer, token_id)
);

CREATE INDEX provider_logouts_by_expiry ON provider_logouts (expires_at);

-- An account without a password, and the identity that opens it.
CREATE VIEW identity_openings AS
SELECT CAST(NULL AS text) AS id, CAST(NULL AS text) AS email, CAST(NULL AS text) AS name, CAST(NULL AS text) AS access_role,
    CAST(NULL AS bigint) AS only_first, CAST(NULL AS text) AS invitation_hash, CAST(NULL AS text) AS issuer,
    CAST(NULL AS text) AS subject, CAST(NULL AS text) AS roles, CAST(NULL AS bigint) AS created_at
WHERE 1 = 0;

CREATE FUNCTION open_account_with_identity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- The same lock as that of `open_account`: who comes second with one identity sees who came first.
    PERFORM pg_advisory_xact_lock(hashtext('sign_up'));
    IF EXISTS (SELECT 1 FROM user_identities WHERE issuer = NEW.issuer AND subject = NEW.subject) THEN
        RETURN NULL;
    END IF;
    INSERT INTO account_openings (id, email, name, access_role, password_hash, only_first, invitation_hash, created_at)
    VALUES (NEW.id, NEW.email, NEW.name, NEW.access_role, NULL, NEW.only_first, NEW.invitation_hash, NEW.created_at);
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO user_identities (issuer, subject, user_id, email, roles, created_at, used_at)
    VALUES (NEW.issuer, NEW.subject, NEW.id, NEW.email, NEW.roles, NEW.created_at, NEW.created_at);
    RETURN NEW;
END
$$;

CREATE TRIGGER open_account_with_identity INSTEAD OF INSERT ON identity_openings FOR EACH ROW
    EXECUTE FUNCTION open_account_with_identity();

-- Other groups at the provider give other roles, so tokens that were made before are void.
CREATE FUNCTION change_roles_of_identity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE users SET access_version = COALESCE(access_version, 0) + 1, access_changed_at = NEW.used_at WHERE id = NEW.user_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER change_roles_of_identity AFTER UPDATE OF roles ON user_identities FOR EACH ROW
    WHEN (NEW.roles <> OLD.roles) EXECUTE FUNCTION change_roles_of_identity();

-- An account without a password follows its address at the provider, unless another account has it. With a password, the address is what its person
-- logs in with.
CREATE FUNCTION change_email_of_identity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Nobody takes the address meanwhile.
    PERFORM pg_advisory_xact_lock(hashtext('sign_up'));
    UPDATE users SET email = NEW.email
    WHERE id = NEW.user_id AND email = OLD.email AND password_hash IS NULL
        AND NOT EXISTS (SELECT 1 FROM users AS other WHERE other.email = NEW.email);
    RETURN NULL;
END
$$;

CREATE TRIGGER change_email_of_identity AFTER UPDATE OF email ON user_identities FOR EACH ROW
    WHEN (NEW.email <> OLD.email) EXECUTE FUNCTION change_email_of_identity();

-- The password was right: the identity opens the account from now on, in place of another one of the same provider.
CREATE FUNCTION confirm_identity_link() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- What ends with the identities that are replaced: sessions that began with the other one, and this one's of another account.
    UPDATE sessions SET revoked_at = NEW.confirmed_at
    WHERE revoked_at IS NULL AND id IN (
        SELECT provider_sessions.session_id FROM user_identities JOIN provider_sessions
            ON provider_sessions.issuer = user_identities.issuer AND provider_sessions.subject = user_identities.subject
        WHERE user_identities.issuer = NEW.issuer AND (user_identities.user_id = NEW.user_id OR user_identities.subject = NEW.subject)
            AND NOT (user_identities.user_id = NEW.user_id AND user_identities.subject = NEW.subject));
    -- Identities are locked before this lock, as where an identity's address changes.
    PERFORM 1 FROM user_identities WHERE issuer = NEW.issuer AND (user_id = NEW.user_id OR subject = NEW.subject)
    ORDER BY subject FOR UPDATE;
    -- Two links to one account, or from one identity, may be confirmed at once: one after the other.
    PERFORM pg_advisory_xact_lock(hashtext('sign_up'));
    DELETE FROM user_identities WHERE issuer = NEW.issuer AND (user_id = NEW.user_id OR subject = NEW.subject);
    INSERT INTO user_identities (issuer, subject, user_id, email, roles, created_at, used_at)
    VALUES (NEW.issuer, NEW.subject, NEW.user_id, NEW.email, NEW.roles, NEW.confirmed_at, NEW.confirmed_at);
    UPDATE users SET access_version = COALESCE(access_version, 0) + 1, access_changed_at = NEW.confirmed_at
    WHERE id = NEW.user_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER confirm_identity_link AFTER UPDATE OF confirmed_at ON identity_links FOR EACH ROW
    WHEN (NEW.confirmed_at IS NOT NULL AND OLD.confirmed_at IS NULL) EXECUTE FUNCTION confirm_identity_link();

-- A session that begins at a provider. What is over is forgotten with it.
CREATE VIEW provider_session_openings AS
SELECT CAST(NULL AS text) AS id, CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS token_hash, CAST(NULL AS text) AS family_hash,
    CAST(NULL AS bigint) AS created_at, CAST(NULL AS bigint) AS expires_at, CAST(NULL AS text) AS issuer,
    CAST(NULL AS text) AS subject, CAST(NULL AS text) AS sid, CAST(NULL AS text) AS hint
WHERE 1 = 0;

CREATE FUNCTION open_provider_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO sessions (id, user_id, token_hash, family_hash, created_at, expires_at)
    VALUES (NEW.id, NEW.user_id, NEW.token_hash, NEW.family_hash, NEW.created_at, NEW.expires_at);
    INSERT INTO provider_sessions (session_id, issuer, subject, sid, hint)
    VALUES (NEW.id, NEW.issuer, NEW.subject, NEW.sid, NEW.hint);
    DELETE FROM identity_links WHERE expires_at < NEW.created_at;
    DELETE FROM provider_sessions WHERE session_id IN (
        SELECT id FROM sessions WHERE user_id = NEW.user_id AND expires_at < NEW.created_at);
    DELETE FROM provider_logouts WHERE expires_at < NEW.created_at;
    RETURN NEW;
END
$$;

CREATE TRIGGER open_provider_session INSTEAD OF INSERT ON provider_session_openings FOR EACH ROW
    EXECUTE FUNCTION open_provider_session();

CREATE FUNCTION end_provider_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM provider_sessions WHERE session_id = NEW.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER end_provider_session AFTER UPDATE OF revoked_at ON sessions FOR EACH ROW
    WHEN (NEW.revoked_at IS NOT NULL AND OLD.revoked_at IS NULL) EXECUTE FUNCTION end_provider_session();

-- The provider says that somebody has logged out there: of one session, or of all. It is a command: an import of a copy inserts the tokens and ends
-- nothing.
CREATE VIEW logouts_by_provider AS
SELECT CAST(NULL AS text) AS issuer, CAST(NULL AS text) AS token_id, CAST(NULL AS text) AS subject, CAST(NULL AS text) AS sid,
    CAST(NULL AS bigint) AS received_at, CAST(NULL AS bigint) AS expires_at
WHERE 1 = 0;

CREATE FUNCTION log_out_by_provider() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO provider_logouts (issuer, token_id, sid, expires_at)
    VALUES (NEW.issuer, NEW.token_id, NEW.sid, NEW.expires_at)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- What the groups there gave ends with the last session, so tokens of other sessions are void. As everywhere, the account comes before its sessions.
    UPDATE users SET access_version = COALESCE(access_version, 0) + 1, access_changed_at = NEW.received_at
    WHERE id IN (
        SELECT user_identities.user_id FROM user_identities JOIN provider_sessions
            ON provider_sessions.issuer = user_identities.issuer AND provider_sessions.subject = user_identities.subject
        WHERE user_identities.issuer = NEW.issuer AND user_identities.roles <> ''
            AND (NEW.subject IS NULL OR provider_sessions.subject = NEW.subject)
            AND (NEW.sid IS NULL OR provider_sessions.sid = NEW.sid OR provider_sessions.sid IS NULL AND NEW.subject IS NOT NULL));
    -- A session whose sid was never said may be the one that ends.
    UPDATE sessions SET revoked_at = NEW.received_at
    WHERE revoked_at IS NULL AND id IN (
        SELECT session_id FROM provider_sessions
        WHERE issuer = NEW.issuer AND (NEW.subject IS NULL OR subject = NEW.subject)
            AND (NEW.sid IS NULL OR sid = NEW.sid OR sid IS NULL AND NEW.subject IS NOT NULL));
    DELETE FROM identity_links
    WHERE issuer = NEW.issuer AND (NEW.subject IS NULL OR subject = NEW.subject)
        AND (NEW.sid IS NULL OR sid = NEW.sid OR sid IS NULL AND NEW.subject IS NOT NULL);
    RETURN NEW;
END
$$;

CREATE TRIGGER log_out_by_provider INSTEAD OF INSERT ON logouts_by_provider FOR EACH ROW EXECUTE FUNCTION log_out_by_provider();
