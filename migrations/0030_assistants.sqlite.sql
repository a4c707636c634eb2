-- Settings of conversations, and assistants, which are such settings under a name (docs/adr/0047). 0002 says what a command is; the PostgreSQL text beside
-- this one says the same.

-- The settings that a conversation has or had, sealed as one text. A change makes a new row, because runs go on with the settings that they were made with.
-- A row that is neither the conversation's present one nor a run's goes with the next change.
CREATE TABLE conversation_settings (
    id text PRIMARY KEY,
    conversation_id text NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    settings text NOT NULL,
    created_at bigint NOT NULL
);

CREATE INDEX conversation_settings_of_conversation ON conversation_settings (conversation_id, id);

-- The present settings. Null: everything is as usual.
ALTER TABLE conversations ADD COLUMN settings_id text;

-- The settings that a run was made with. Null: everything is as usual, as in runs of earlier releases.
ALTER TABLE runs ADD COLUMN settings_id text;

-- The JSON Schema that the answer to a person's message must fit, with its name, sealed as one text.
CREATE TABLE response_formats (
    message_id text PRIMARY KEY,
    conversation_id text NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    format text NOT NULL
);

CREATE INDEX response_formats_of_conversation ON response_formats (conversation_id, message_id);

-- contents: name, description, model and settings, sealed as one text with the owner's key. name_hash: SHA-256 of the name in small letters, so that an owner
-- has one assistant of each name, and so that it is found by its name.
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

-- The groups whose members may use an assistant.
CREATE TABLE assistant_groups (
    assistant_id text NOT NULL REFERENCES assistants (id) ON DELETE CASCADE,
    group_id text NOT NULL REFERENCES user_groups (id) ON DELETE CASCADE,
    PRIMARY KEY (assistant_id, group_id)
);

CREATE INDEX assistant_groups_of_group ON assistant_groups (group_id, assistant_id);

-- New settings of a conversation whose settings are still those that were read. settings null: everything is as usual again. model null: it stays.
CREATE VIEW conversation_settings_changes AS
SELECT CAST(NULL AS text) AS id, CAST(NULL AS text) AS conversation_id, CAST(NULL AS text) AS former_id, CAST(NULL AS text) AS settings,
    CAST(NULL AS text) AS model, CAST(NULL AS bigint) AS changed_at
WHERE 1 = 0;

CREATE TRIGGER change_conversation_settings INSTEAD OF INSERT ON conversation_settings_changes
BEGIN
    UPDATE conversations SET settings_id = CASE WHEN NEW.settings IS NOT NULL THEN NEW.id END,
        model = COALESCE(NEW.model, model), updated_at = NEW.changed_at
    WHERE id = NEW.conversation_id;
    INSERT INTO conversation_settings (id, conversation_id, settings, created_at)
    SELECT NEW.id, NEW.conversation_id, NEW.settings, NEW.changed_at WHERE NEW.settings IS NOT NULL;
    DELETE FROM conversation_settings WHERE conversation_id = NEW.conversation_id AND id <> NEW.id
        AND NOT EXISTS (SELECT 1 FROM runs
            WHERE runs.conversation_id = NEW.conversation_id AND runs.settings_id = conversation_settings.id);
END;

-- A person's message as limited_messages in 0018 has it, and the form that its answer must have. Its run is made with the conversation's settings.
CREATE VIEW configured_messages AS
SELECT CAST(NULL AS text) AS message_id, CAST(NULL AS text) AS conversation_id, CAST(NULL AS text) AS user_id,
    CAST(NULL AS text) AS run_id, CAST(NULL AS text) AS model, CAST(NULL AS bigint) AS position, CAST(NULL AS text) AS content,
    CAST(NULL AS text) AS title, CAST(NULL AS text) AS idempotency_key, CAST(NULL AS bigint) AS size,
    CAST(NULL AS bigint) AS created_at, CAST(NULL AS text) AS api_key_id, CAST(NULL AS text) AS limits,
    CAST(NULL AS bigint) AS now_us, CAST(NULL AS bigint) AS retry_after_us, CAST(NULL AS text) AS states,
    CAST(NULL AS text) AS response_format
WHERE 1 = 0;

CREATE TRIGGER send_configured_message INSTEAD OF INSERT ON configured_messages WHEN NEW.retry_after_us <= 0
BEGIN
    INSERT INTO limited_messages (message_id, conversation_id, user_id, run_id, model, position, content, title, idempotency_key, size,
        created_at, api_key_id, limits, now_us, retry_after_us, states)
    VALUES (NEW.message_id, NEW.conversation_id, NEW.user_id, NEW.run_id, NEW.model, NEW.position, NEW.content, NEW.title,
        NEW.idempotency_key, NEW.size, NEW.created_at, NEW.api_key_id, NEW.limits, NEW.now_us, NEW.retry_after_us, NEW.states);
    UPDATE runs SET settings_id = conversations.settings_id FROM conversations
    WHERE runs.id = NEW.run_id AND conversations.id = NEW.conversation_id AND conversations.settings_id IS NOT NULL;
    INSERT INTO response_formats (message_id, conversation_id, format)
    SELECT NEW.message_id, NEW.conversation_id, NEW.response_format WHERE NEW.response_format IS NOT NULL;
END;

-- An assistant as it is from now on, also a new one, and the groups it is shared with: a JSON array of their ids. former_at: its updated_at as it was read. at_most: how many
-- its owner may have with a new one.
CREATE VIEW assistant_changes AS
SELECT CAST(NULL AS text) AS id, CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS name_hash, CAST(NULL AS text) AS contents,
    CAST(NULL AS text) AS group_ids, CAST(NULL AS bigint) AS former_at, CAST(NULL AS bigint) AS at_most, CAST(NULL AS bigint) AS changed_at
WHERE 1 = 0;

CREATE TRIGGER change_assistant INSTEAD OF INSERT ON assistant_changes
WHEN NEW.former_at IS NOT NULL OR NEW.at_most > (SELECT COUNT(*) FROM assistants WHERE user_id = NEW.user_id)
BEGIN
    INSERT INTO assistants (id, user_id, name_hash, contents, created_at, updated_at)
    VALUES (NEW.id, NEW.user_id, NEW.name_hash, NEW.contents, NEW.changed_at, NEW.changed_at)
    ON CONFLICT (id) DO UPDATE SET name_hash = excluded.name_hash, contents = excluded.contents, updated_at = excluded.updated_at;
    DELETE FROM assistant_groups WHERE assistant_id = NEW.id AND group_id NOT IN (SELECT value FROM json_each(NEW.group_ids));
    INSERT INTO assistant_groups (assistant_id, group_id)
    SELECT NEW.id, user_groups.id FROM json_each(NEW.group_ids) AS shared JOIN user_groups ON user_groups.id = shared.value
    WHERE 1 = 1 ON CONFLICT DO NOTHING;
END;

-- They are looked through when keys are replaced, like all others: what an earlier release began about fewer tables is not over before.
INSERT INTO sealing_progress (name, pass, passed, seen, total, began_at, due_at)
SELECT 'conversation_settings', 1, '', 0, 0, CAST(unixepoch('subsec') * 1000 AS INTEGER), CAST(unixepoch('subsec') * 1000 AS INTEGER) + 3600000 WHERE EXISTS (SELECT 1 FROM users)
UNION ALL SELECT 'response_formats', 1, '', 0, 0, CAST(unixepoch('subsec') * 1000 AS INTEGER), CAST(unixepoch('subsec') * 1000 AS INTEGER) + 3600000 WHERE EXISTS (SELECT 1 FROM users)
UNION ALL SELECT 'assistants', 1, '', 0, 0, CAST(unixepoch('subsec') * 1000 AS INTEGER), CAST(unixepoch('subsec') * 1000 AS INTEGER) + 3600000 WHERE EXISTS (SELECT 1 FROM users);
