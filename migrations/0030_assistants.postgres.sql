-- Settings of conversations, and assistants, as in the SQLite text beside this one, which says what everything is for.

CREATE TABLE conversation_settings (
    id text PRIMARY KEY,
    conversation_id text NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    settings text NOT NULL,
    created_at bigint NOT NULL
);

CREATE INDEX conversation_settings_of_conversation ON conversation_settings (conversation_id, id);

ALTER TABLE conversations ADD COLUMN settings_id text;

ALTER TABLE runs ADD COLUMN settings_id text;

CREATE TABLE response_formats (
    message_id text PRIMARY KEY,
    conversation_id text NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    format text NOT NULL
);

CREATE INDEX response_formats_of_conversation ON response_formats (conversation_id, message_id);

CREATE TABLE assistants (
    id text PRIMARY KEY,
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name_hash text NOT NULL,
    contents text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);

CREATE UNIQUE INDEX assistants_by_name ON assistants (name_hash, user_id);

CREATE INDEX assistants_of_user ON assistants (user_id, id);

CREATE TABLE assistant_groups (
    assistant_id text NOT NULL REFERENCES assistants (id) ON DELETE CASCADE,
    group_id text NOT NULL REFERENCES user_groups (id) ON DELETE CASCADE,
    PRIMARY KEY (assistant_id, group_id)
);

CREATE INDEX assistant_groups_of_group ON assistant_groups (group_id, assistant_id);

CREATE VIEW conversation_settings_changes AS
SELECT CAST(NULL AS text) AS id, CAST(NULL AS text) AS conversation_id, CAST(NULL AS text) AS former_id, CAST(NULL AS text) AS settings,
    CAST(NULL AS text) AS model, CAST(NULL AS bigint) AS changed_at
WHERE 1 = 0;

CREATE FUNCTION change_conversation_settings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- First, so that no message is sent meanwhile whose run needs a row that goes.
    UPDATE conversations SET settings_id = CASE WHEN NEW.settings IS NOT NULL THEN NEW.id END,
        model = COALESCE(NEW.model, model), updated_at = NEW.changed_at
    WHERE id = NEW.conversation_id AND settings_id IS NOT DISTINCT FROM NEW.former_id;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO conversation_settings (id, conversation_id, settings, created_at)
    SELECT NEW.id, NEW.conversation_id, NEW.settings, NEW.changed_at WHERE NEW.settings IS NOT NULL;
    DELETE FROM conversation_settings WHERE conversation_id = NEW.conversation_id AND id <> NEW.id
        AND NOT EXISTS (SELECT 1 FROM runs
            WHERE runs.conversation_id = NEW.conversation_id AND runs.settings_id = conversation_settings.id);
    RETURN NEW;
END
$$;

CREATE TRIGGER change_conversation_settings INSTEAD OF INSERT ON conversation_settings_changes
    FOR EACH ROW EXECUTE FUNCTION change_conversation_settings();

CREATE VIEW configured_messages AS
SELECT CAST(NULL AS text) AS message_id, CAST(NULL AS text) AS conversation_id, CAST(NULL AS text) AS user_id,
    CAST(NULL AS text) AS run_id, CAST(NULL AS text) AS model, CAST(NULL AS bigint) AS position, CAST(NULL AS text) AS content,
    CAST(NULL AS text) AS title, CAST(NULL AS text) AS idempotency_key, CAST(NULL AS bigint) AS size,
    CAST(NULL AS bigint) AS created_at, CAST(NULL AS text) AS api_key_id, CAST(NULL AS text) AS limits,
    CAST(NULL AS bigint) AS now_us, CAST(NULL AS bigint) AS retry_after_us, CAST(NULL AS text) AS states,
    CAST(NULL AS text) AS response_format
WHERE 1 = 0;

CREATE FUNCTION send_configured_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO limited_messages (message_id, conversation_id, user_id, run_id, model, position, content, title, idempotency_key, size,
        created_at, api_key_id, limits, now_us, retry_after_us, states)
    VALUES (NEW.message_id, NEW.conversation_id, NEW.user_id, NEW.run_id, NEW.model, NEW.position, NEW.content, NEW.title,
        NEW.idempotency_key, NEW.size, NEW.created_at, NEW.api_key_id, NEW.limits, NEW.now_us, NEW.retry_after_us, NEW.states)
    RETURNING position, retry_after_us, states INTO NEW.position, NEW.retry_after_us, NEW.states;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- The conversation is locked by now, so these are its present settings.
    UPDATE runs SET settings_id = conversations.settings_id FROM conversations
    WHERE runs.id = NEW.run_id AND conversations.id = NEW.conversation_id AND conversations.settings_id IS NOT NULL;
    -- If a limit was reached, nothing was stored.
    INSERT INTO response_formats (message_id, conversation_id, format)
    SELECT NEW.message_id, NEW.conversation_id, NEW.response_format
    WHERE NEW.response_format IS NOT NULL AND NEW.retry_after_us <= 0;
    RETURN NEW;
END
$$;

CREATE TRIGGER send_configured_message INSTEAD OF INSERT ON configured_messages
    FOR EACH ROW EXECUTE FUNCTION send_configured_message();

CREATE VIEW assistant_changes AS
SELECT CAST(NULL AS text) AS id, CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS name_hash, CAST(NULL AS text) AS contents,
    CAST(NULL AS text) AS group_ids, CAST(NULL AS bigint) AS former_at, CAST(NULL AS bigint) AS at_most, CAST(NULL AS bigint) AS changed_at
WHERE 1 = 0;

CREATE FUNCTION change_assistant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.former_at IS NULL THEN
        -- One new assistant of an owner after the other.
        PERFORM 1 FROM users WHERE id = NEW.user_id FOR NO KEY UPDATE;
        IF NEW.at_most <= (SELECT COUNT(*) FROM assistants WHERE user_id = NEW.user_id) THEN
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO assistants (id, user_id, name_hash, contents, created_at, updated_at)
    VALUES (NEW.id, NEW.user_id, NEW.name_hash, NEW.contents, NEW.changed_at, NEW.changed_at)
    ON CONFLICT (id) DO UPDATE SET name_hash = excluded.name_hash, contents = excluded.contents, updated_at = excluded.updated_at
        WHERE assistants.updated_at = NEW.former_at;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    DELETE FROM assistant_groups
    WHERE assistant_id = NEW.id AND group_id NOT IN (SELECT value FROM json_array_elements_text(CAST(NEW.group_ids AS json)));
    INSERT INTO assistant_groups (assistant_id, group_id)
    SELECT NEW.id, user_groups.id FROM json_array_elements_text(CAST(NEW.group_ids AS json)) AS shared (group_id)
    JOIN user_groups ON user_groups.id = shared.group_id
    FOR KEY SHARE OF user_groups
    ON CONFLICT DO NOTHING;
    RETURN NEW;
EXCEPTION WHEN unique_violation THEN
    -- Another of this name came in this moment.
    RETURN NULL;
END
$$;

CREATE TRIGGER change_assistant INSTEAD OF INSERT ON assistant_changes FOR EACH ROW EXECUTE FUNCTION change_assistant();

INSERT INTO sealing_progress (name, pass, passed, seen, total, began_at, due_at)
SELECT 'conversation_settings', 1, '', 0, 0, CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint), CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) + 3600000 WHERE EXISTS (SELECT 1 FROM users)
UNION ALL SELECT 'response_formats', 1, '', 0, 0, CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint), CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) + 3600000 WHERE EXISTS (SELECT 1 FROM users)
UNION ALL SELECT 'assistants', 1, '', 0, 0, CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint), CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) + 3600000 WHERE EXISTS (SELECT 1 FROM users);
