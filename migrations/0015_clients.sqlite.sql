-- Programs: their keys, the accounts that are theirs alone, and the sessions that people opened for them by OAuth.

-- What an account is: null is a person's, 'service' a program's, which has no password and nobody logs in to.
ALTER TABLE users ADD COLUMN kind text;

CREATE INDEX users_of_programs ON users (id) WHERE kind IS NOT NULL;

-- Keys with which programs act for an account. Only a hash is kept, and prefix, the beginning, to tell them apart. scopes are permissions,
-- separated by spaces. A key that is revoked is deleted.
CREATE TABLE api_keys (
    id text PRIMARY KEY,
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name text NOT NULL,
    prefix text NOT NULL,
    key_hash text NOT NULL UNIQUE,
    scopes text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint,
    used_at bigint
);

CREATE INDEX api_keys_of_user ON api_keys (user_id);

-- A session of a program that a person lets in: a grant (OAuth 2.1). Its first token is the authorization code, the others are refresh tokens;
-- rotated_at is null until the code was used. All of these are null in a browser's session. client_id is what the program calls itself,
-- client_name how the person saw it, redirect_uri and code_challenge what the code is bound to, resource the path that its tokens open.
ALTER TABLE sessions ADD COLUMN client_id text;

ALTER TABLE sessions ADD COLUMN client_name text;

ALTER TABLE sessions ADD COLUMN redirect_uri text;

ALTER TABLE sessions ADD COLUMN code_challenge text;

ALTER TABLE sessions ADD COLUMN resource text;

ALTER TABLE sessions ADD COLUMN scopes text;

-- A new password ends all that an old one may have let somebody make: keys too, as `end_what_an_old_password_began` in 0014 does with sessions.
CREATE TRIGGER delete_keys_with_an_old_password AFTER UPDATE OF password_hash ON users WHEN NEW.password_hash IS NOT OLD.password_hash
BEGIN
    DELETE FROM api_keys WHERE user_id = NEW.id;
END;

-- So do the first second factor of an account and an administrator who removes one: keys may be of whoever knew the password alone. Another second
-- factor in place of one keeps them: whoever made them had shown a code.
CREATE TRIGGER revoke_keys_with_first_second_factor INSTEAD OF INSERT ON second_factor_changes WHEN NEW.is_first = 1
BEGIN
    DELETE FROM api_keys WHERE user_id = NEW.user_id;
END;

CREATE TRIGGER revoke_keys_with_removed_second_factor INSTEAD OF INSERT ON second_factor_removals WHEN NEW.ends_sessions = 1
BEGIN
    DELETE FROM api_keys WHERE user_id = NEW.user_id;
END;
