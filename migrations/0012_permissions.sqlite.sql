-- Who may do what. 0002 says what a command is; the PostgreSQL text beside this one says the same.

-- The role of an account. `role` stays 'admin' or 'user', which is all that an earlier release can read; null here says what `role` says, where
-- 'user' is a member.
ALTER TABLE users ADD COLUMN access_role text;

ALTER TABLE users ADD COLUMN suspended_at bigint;

-- Counts the changes of what the account may do: its role, its groups, its suspension, its password. A token names the number that it was made
-- with, and is void when there is a newer one. Null: no change yet.
ALTER TABLE users ADD COLUMN access_version bigint;

ALTER TABLE users ADD COLUMN access_changed_at bigint;

CREATE INDEX users_by_access_change ON users (access_changed_at) WHERE access_changed_at IS NOT NULL;

-- All instances read which sessions ended lately. docs/deploy.md says when to make it before.
CREATE INDEX IF NOT EXISTS sessions_by_end ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;

-- The installation's own roles. permissions are separated by spaces.
CREATE TABLE roles (
    name text PRIMARY KEY,
    permissions text NOT NULL,
    created_at bigint NOT NULL
);

-- roles are names of roles, separated by spaces. A name that no role has gives nothing.
CREATE TABLE user_groups (
    id text PRIMARY KEY,
    name text NOT NULL UNIQUE,
    roles text NOT NULL,
    created_at bigint NOT NULL
);

CREATE TABLE user_group_members (
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    group_id text NOT NULL REFERENCES user_groups (id) ON DELETE CASCADE,
    added_at bigint NOT NULL,
    PRIMARY KEY (user_id, group_id)
);

CREATE INDEX user_group_members_of_group ON user_group_members (group_id, user_id);

-- A link that makes one account. Only the hash of its secret is kept. created_version is its maker's access_version: the link counts only while that
-- is the same, so whoever is suspended or demoted leaves no way back.
CREATE TABLE invitations (
    id text PRIMARY KEY,
    token_hash text NOT NULL UNIQUE,
    role text NOT NULL,
    created_by text NOT NULL,
    created_version bigint NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    accepted_at bigint,
    accepted_by text,
    revoked_at bigint
);

-- A link that sets a new password, once.
CREATE TABLE password_resets (
    id text PRIMARY KEY,
    token_hash text NOT NULL UNIQUE,
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_by text NOT NULL,
    created_version bigint NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    used_at bigint
);

CREATE INDEX password_resets_of_user ON password_resets (user_id);

-- An account, as `sign_ups` in 0002 makes it, and with a role; an invitation is used up by it.
CREATE VIEW account_openings AS
SELECT CAST(NULL AS text) AS id, CAST(NULL AS text) AS email, CAST(NULL AS text) AS name, CAST(NULL AS text) AS access_role,
    CAST(NULL AS text) AS password_hash, CAST(NULL AS bigint) AS only_first, CAST(NULL AS text) AS invitation_hash,
    CAST(NULL AS bigint) AS created_at
WHERE 1 = 0;

CREATE TRIGGER open_account INSTEAD OF INSERT ON account_openings
BEGIN
    INSERT INTO users (id, email, name, role, access_role, password_hash, created_at)
    VALUES (NEW.id, NEW.email, NEW.name, CASE NEW.access_role WHEN 'admin' THEN 'admin' ELSE 'user' END, NEW.access_role,
        NEW.password_hash, NEW.created_at);
    UPDATE invitations SET accepted_at = NEW.created_at, accepted_by = NEW.id WHERE token_hash = NEW.invitation_hash;
END;

-- A new password by a link. All links of the account are used up, and all its sessions end: whoever knew the old password is out.
CREATE VIEW password_changes AS
SELECT CAST(NULL AS text) AS token_hash, CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS password_hash,
    CAST(NULL AS bigint) AS changed_at
WHERE 1 = 0;

CREATE TRIGGER change_password INSTEAD OF INSERT ON password_changes
BEGIN
    UPDATE password_resets SET used_at = NEW.changed_at WHERE user_id = NEW.user_id AND used_at IS NULL;
    UPDATE users SET password_hash = NEW.password_hash, access_version = COALESCE(access_version, 0) + 1,
        access_changed_at = NEW.changed_at
    WHERE id = NEW.user_id;
    UPDATE sessions SET revoked_at = NEW.changed_at WHERE user_id = NEW.user_id AND revoked_at IS NULL;
END;

-- Who is suspended has no session, and their runs stop.
CREATE TRIGGER suspend_account AFTER UPDATE OF suspended_at ON users
WHEN NEW.suspended_at IS NOT NULL AND OLD.suspended_at IS NULL
BEGIN
    UPDATE sessions SET revoked_at = NEW.suspended_at WHERE user_id = NEW.id AND revoked_at IS NULL;
    UPDATE runs SET cancel_requested = 1
    WHERE user_id = NEW.id AND state IN ('queued', 'processing', 'awaiting_approval');
END;

-- Who comes into a group or leaves it may do something else from then on. Joining is a command: an import of a copy inserts members and changes nothing.
CREATE VIEW group_joins AS
SELECT CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS group_id, CAST(NULL AS bigint) AS joined_at
WHERE 1 = 0;

CREATE TRIGGER join_group INSTEAD OF INSERT ON group_joins
BEGIN
    UPDATE users SET access_version = COALESCE(access_version, 0) + 1, access_changed_at = NEW.joined_at
    WHERE id = NEW.user_id
        AND NOT EXISTS (SELECT 1 FROM user_group_members WHERE user_id = NEW.user_id AND group_id = NEW.group_id);
    INSERT INTO user_group_members (user_id, group_id, added_at) VALUES (NEW.user_id, NEW.group_id, NEW.joined_at)
    ON CONFLICT DO NOTHING;
END;

CREATE TRIGGER leave_group AFTER DELETE ON user_group_members
BEGIN
    UPDATE users SET access_version = COALESCE(access_version, 0) + 1,
        access_changed_at = CAST(unixepoch('subsec') * 1000 AS INTEGER)
    WHERE id = OLD.user_id;
END;

CREATE TRIGGER change_roles_of_group AFTER UPDATE OF roles ON user_groups WHEN NEW.roles <> OLD.roles
BEGIN
    UPDATE users SET access_version = COALESCE(access_version, 0) + 1,
        access_changed_at = CAST(unixepoch('subsec') * 1000 AS INTEGER)
    WHERE id IN (SELECT user_id FROM user_group_members WHERE group_id = NEW.id);
END;
