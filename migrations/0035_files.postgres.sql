-- Files that people attach to messages, as in the SQLite text beside this one, which says what everything is for.

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

CREATE INDEX files_of_user ON files (user_id, id, size);

CREATE INDEX files_by_expiry ON files (expires_at) WHERE expires_at IS NOT NULL;

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

CREATE TABLE file_removals (
    file_id text PRIMARY KEY,
    store text NOT NULL,
    pieces bigint NOT NULL,
    attempts bigint NOT NULL,
    due_at bigint NOT NULL
);

CREATE INDEX file_removals_by_time ON file_removals (due_at);

CREATE FUNCTION remember_removed_file() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO file_removals (file_id, store, pieces, attempts, due_at)
    VALUES (OLD.id, OLD.store, OLD.size / 262144 + 1, 0,
        CASE WHEN OLD.state = 'arriving' AND OLD.store <> '' THEN CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) + 120000 ELSE 0 END)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER remember_removed_file AFTER DELETE ON files FOR EACH ROW EXECUTE FUNCTION remember_removed_file();

CREATE FUNCTION forget_detached_file() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Before it is looked who else has it: what another deletes or attaches at the same time is then seen.
    PERFORM 1 FROM files WHERE id = OLD.file_id FOR UPDATE;
    DELETE FROM files WHERE id = OLD.file_id AND NOT EXISTS (SELECT 1 FROM message_files WHERE file_id = OLD.file_id);
    RETURN NULL;
END
$$;

CREATE TRIGGER forget_detached_file AFTER DELETE ON message_files FOR EACH ROW EXECUTE FUNCTION forget_detached_file();

CREATE VIEW new_files AS
SELECT CAST(NULL AS text) AS id, CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS name, CAST(NULL AS text) AS key,
    CAST(NULL AS bigint) AS size, CAST(NULL AS text) AS store, CAST(NULL AS bigint) AS created_at, CAST(NULL AS bigint) AS expires_at,
    CAST(NULL AS bigint) AS quota, CAST(NULL AS bigint) AS most
WHERE 1 = 0;

CREATE FUNCTION add_file() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- One new file of a person after the other: who comes second counts the first.
    PERFORM 1 FROM users WHERE id = NEW.user_id FOR NO KEY UPDATE;
    IF (SELECT COUNT(*) >= NEW.most OR COALESCE(SUM(size), 0) + NEW.size > NEW.quota FROM files WHERE user_id = NEW.user_id) THEN
        RETURN NULL;
    END IF;
    INSERT INTO files (id, user_id, name, key, type, size, received, state, store, created_at, expires_at)
    VALUES (NEW.id, NEW.user_id, NEW.name, NEW.key, '', NEW.size, 0, 'arriving', NEW.store, NEW.created_at, NEW.expires_at);
    RETURN NEW;
END
$$;

CREATE TRIGGER add_file INSTEAD OF INSERT ON new_files FOR EACH ROW EXECUTE FUNCTION add_file();

CREATE VIEW received_pieces AS
SELECT CAST(NULL AS text) AS file_id, CAST(NULL AS bigint) AS number, CAST(NULL AS text) AS sealed, CAST(NULL AS bigint) AS former,
    CAST(NULL AS bigint) AS received, CAST(NULL AS bigint) AS size, CAST(NULL AS text) AS type, CAST(NULL AS text) AS state,
    CAST(NULL AS bigint) AS expires_at
WHERE 1 = 0;

CREATE FUNCTION receive_piece() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- First, and only if nobody was faster.
    UPDATE files SET received = NEW.received, size = NEW.size, type = COALESCE(NEW.type, type), state = NEW.state, expires_at = NEW.expires_at
    WHERE id = NEW.file_id AND received = NEW.former AND state = 'arriving';
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO file_pieces (file_id, number, sealed) SELECT NEW.file_id, NEW.number, NEW.sealed WHERE NEW.sealed IS NOT NULL
    ON CONFLICT (file_id, number) DO UPDATE SET sealed = excluded.sealed;
    DELETE FROM file_pieces WHERE NEW.sealed IS NULL AND file_id = NEW.file_id AND number = NEW.number;
    RETURN NEW;
END
$$;

CREATE TRIGGER receive_piece INSTEAD OF INSERT ON received_pieces FOR EACH ROW EXECUTE FUNCTION receive_piece();

CREATE VIEW messages_with_files AS
SELECT CAST(NULL AS text) AS message_id, CAST(NULL AS text) AS conversation_id, CAST(NULL AS text) AS user_id,
    CAST(NULL AS text) AS run_id, CAST(NULL AS text) AS model, CAST(NULL AS bigint) AS position, CAST(NULL AS text) AS content,
    CAST(NULL AS text) AS title, CAST(NULL AS text) AS idempotency_key, CAST(NULL AS bigint) AS size,
    CAST(NULL AS bigint) AS created_at, CAST(NULL AS text) AS api_key_id, CAST(NULL AS text) AS limits,
    CAST(NULL AS bigint) AS now_us, CAST(NULL AS bigint) AS retry_after_us, CAST(NULL AS text) AS states,
    CAST(NULL AS text) AS response_format, CAST(NULL AS text) AS file_ids
WHERE 1 = 0;

CREATE FUNCTION send_message_with_files() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO configured_messages (message_id, conversation_id, user_id, run_id, model, position, content, title, idempotency_key, size,
        created_at, api_key_id, limits, now_us, retry_after_us, states, response_format)
    VALUES (NEW.message_id, NEW.conversation_id, NEW.user_id, NEW.run_id, NEW.model, NEW.position, NEW.content, NEW.title,
        NEW.idempotency_key, NEW.size, NEW.created_at, NEW.api_key_id, NEW.limits, NEW.now_us, NEW.retry_after_us, NEW.states,
        NEW.response_format)
    RETURNING position, retry_after_us, states INTO NEW.position, NEW.retry_after_us, NEW.states;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF NEW.retry_after_us > 0 THEN
        RETURN NEW;
    END IF;
    -- Locks them, so that none goes meanwhile. One that has just gone is not attached.
    UPDATE files SET expires_at = NULL
    WHERE id IN (SELECT value FROM json_array_elements_text(CAST(NEW.file_ids AS json))) AND user_id = NEW.user_id;
    INSERT INTO message_files (message_id, position, conversation_id, file_id)
    SELECT NEW.message_id, attached.number - 1, NEW.conversation_id, files.id
    FROM json_array_elements_text(CAST(NEW.file_ids AS json)) WITH ORDINALITY AS attached (id, number)
    JOIN files ON files.id = attached.id AND files.user_id = NEW.user_id;
    RETURN NEW;
END
$$;

CREATE TRIGGER send_message_with_files INSTEAD OF INSERT ON messages_with_files FOR EACH ROW EXECUTE FUNCTION send_message_with_files();

INSERT INTO sealing_progress (name, pass, passed, seen, total, began_at, due_at)
SELECT 'files', 1, '', 0, 0, CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint), CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) + 3600000 WHERE EXISTS (SELECT 1 FROM users);
