-- Files that people attach to messages (docs/adr/0054). 0002 says what a command is; the PostgreSQL text beside this one says the same.

-- name and key are sealed with the person's data key; key seals the pieces. type is decided by the content, and empty until enough of it is there. size is what
-- was announced until all of it was received. state is 'arriving' or 'ready'. store is '' where the pieces are in file_pieces, else 's3': they are in the
-- configured store, but for one that is not whole yet. expires_at is when a file goes that no message has.
CREATE TABLE files (
    id text PRIMARY KEY,
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name text NOT NULL,
    key text NOT NULL,
    type text NOT NULL,
    size bigint NOT NULL,
    received bigint NOT NULL,
    state text NOT NULL,
    store text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint
);

-- With size, so that counting what a person has reads nothing but the index.
CREATE INDEX files_of_user ON files (user_id, id, size);

CREATE INDEX files_by_expiry ON files (expires_at) WHERE expires_at IS NOT NULL;

-- Pieces of 262,144 bytes, the last one shorter, sealed and in base64. They outlive their file for a while, without its key, so that whatever deletes files need
-- not wait for megabytes: hence no reference.
CREATE TABLE file_pieces (
    file_id text NOT NULL,
    number bigint NOT NULL,
    sealed text NOT NULL,
    PRIMARY KEY (file_id, number)
);

CREATE TABLE message_files (
    message_id text NOT NULL,
    position bigint NOT NULL,
    conversation_id text NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    file_id text NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    PRIMARY KEY (message_id, position)
);

CREATE INDEX message_files_of_conversation ON message_files (conversation_id, message_id);

CREATE INDEX message_files_of_file ON message_files (file_id);

-- Files that are gone and whose pieces are not yet. pieces is how many there can be.
CREATE TABLE file_removals (
    file_id text PRIMARY KEY,
    store text NOT NULL,
    pieces bigint NOT NULL,
    attempts bigint NOT NULL,
    due_at bigint NOT NULL
);

CREATE INDEX file_removals_by_time ON file_removals (due_at);

-- An object of one that is arriving may be on its way: three attempts of twenty seconds end before two minutes have passed.
CREATE TRIGGER remember_removed_file AFTER DELETE ON files
BEGIN
    INSERT INTO file_removals (file_id, store, pieces, attempts, due_at)
    VALUES (OLD.id, OLD.store, OLD.size / 262144 + 1, 0,
        CASE WHEN OLD.state = 'arriving' AND OLD.store <> '' THEN CAST(unixepoch('subsec') * 1000 AS INTEGER) + 120000 ELSE 0 END)
    ON CONFLICT DO NOTHING;
END;

-- What only one conversation had goes with it.
CREATE TRIGGER forget_detached_file AFTER DELETE ON message_files
BEGIN
    DELETE FROM files WHERE id = OLD.file_id AND NOT EXISTS (SELECT 1 FROM message_files WHERE file_id = OLD.file_id);
END;

-- A new file, if its person has room for it: quota is in bytes, most is the number of files.
CREATE VIEW new_files AS
SELECT CAST(NULL AS text) AS id, CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS name, CAST(NULL AS text) AS key,
    CAST(NULL AS bigint) AS size, CAST(NULL AS text) AS store, CAST(NULL AS bigint) AS created_at, CAST(NULL AS bigint) AS expires_at,
    CAST(NULL AS bigint) AS quota, CAST(NULL AS bigint) AS most
WHERE 1 = 0;

CREATE TRIGGER add_file INSTEAD OF INSERT ON new_files
BEGIN
    INSERT INTO files (id, user_id, name, key, type, size, received, state, store, created_at, expires_at)
    VALUES (NEW.id, NEW.user_id, NEW.name, NEW.key, '', NEW.size, 0, 'arriving', NEW.store, NEW.created_at, NEW.expires_at);
END;

-- A piece that was received, after former bytes. sealed is null if the piece is in the configured store. Of two who continue a file at the same place, one does.
CREATE VIEW received_pieces AS
SELECT CAST(NULL AS text) AS file_id, CAST(NULL AS bigint) AS number, CAST(NULL AS text) AS sealed, CAST(NULL AS bigint) AS former,
    CAST(NULL AS bigint) AS received, CAST(NULL AS bigint) AS size, CAST(NULL AS text) AS type, CAST(NULL AS text) AS state,
    CAST(NULL AS bigint) AS expires_at
WHERE 1 = 0;

CREATE TRIGGER receive_piece INSTEAD OF INSERT ON received_pieces
BEGIN
    UPDATE files SET received = NEW.received, size = NEW.size, type = COALESCE(NEW.type, type), state = NEW.state, expires_at = NEW.expires_at
    WHERE id = NEW.file_id;
    INSERT INTO file_pieces (file_id, number, sealed) SELECT NEW.file_id, NEW.number, NEW.sealed WHERE NEW.sealed IS NOT NULL
    ON CONFLICT (file_id, number) DO UPDATE SET sealed = excluded.sealed;
    DELETE FROM file_pieces WHERE NEW.sealed IS NULL AND file_id = NEW.file_id AND number = NEW.number;
END;

-- A person's message as configured_messages in 0030 has it, and its files: a JSON array of their ids.
CREATE VIEW messages_with_files AS
SELECT CAST(NULL AS text) AS message_id, CAST(NULL AS text) AS conversation_id, CAST(NULL AS text) AS user_id,
    CAST(NULL AS text) AS run_id, CAST(NULL AS text) AS model, CAST(NULL AS bigint) AS position, CAST(NULL AS text) AS content,
    CAST(NULL AS text) AS title, CAST(NULL AS text) AS idempotency_key, CAST(NULL AS bigint) AS size,
    CAST(NULL AS bigint) AS created_at, CAST(NULL AS text) AS api_key_id, CAST(NULL AS text) AS limits,
    CAST(NULL AS bigint) AS now_us, CAST(NULL AS bigint) AS retry_after_us, CAST(NULL AS text) AS states,
    CAST(NULL AS text) AS response_format, CAST(NULL AS text) AS file_ids
WHERE 1 = 0;

CREATE TRIGGER send_message_with_files INSTEAD OF INSERT ON messages_with_files WHEN NEW.retry_after_us <= 0
BEGIN
    INSERT INTO configured_messages (message_id, conversation_id, user_id, run_id, model, position, content, title, idempotency_key, size,
        created_at, api_key_id, limits, now_us, retry_after_us, states, response_format)
    VALUES (NEW.message_id, NEW.conversation_id, NEW.user_id, NEW.run_id, NEW.model, NEW.position, NEW.content, NEW.title,
        NEW.idempotency_key, NEW.size, NEW.created_at, NEW.api_key_id, NEW.limits, NEW.now_us, NEW.retry_after_us, NEW.states,
        NEW.response_format);
    UPDATE files SET expires_at = NULL WHERE id IN (SELECT value FROM json_each(NEW.file_ids)) AND user_id = NEW.user_id;
    INSERT INTO message_files (message_id, position, conversation_id, file_id)
    SELECT NEW.message_id, attached.key, NEW.conversation_id, files.id FROM json_each(NEW.file_ids) AS attached
    JOIN files ON files.id = attached.value AND files.user_id = NEW.user_id;
END;

-- Looked through when people's keys are replaced, like all others.
INSERT INTO sealing_progress (name, pass, passed, seen, total, began_at, due_at)
SELECT 'files', 1, '', 0, 0, CAST(unixepoch('subsec') * 1000 AS INTEGER), CAST(unixepoch('subsec') * 1000 AS INTEGER) + 3600000 WHERE EXISTS (SELECT 1 FROM users);
