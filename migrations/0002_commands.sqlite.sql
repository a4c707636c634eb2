-- Commands. What must be written to several tables at once is one INSERT into a view that holds nothing: its columns are what the
-- command carries, its trigger takes the row apart. One statement is one trip to the database, and atomic on every host.
-- The PostgreSQL text beside this one says the same. A statement ends with a semicolon before an empty line.

-- A person's message and the run that answers it.
CREATE VIEW sent_messages AS
SELECT CAST(NULL AS text) AS message_id, CAST(NULL AS text) AS conversation_id, CAST(NULL AS text) AS user_id,
    CAST(NULL AS text) AS run_id, CAST(NULL AS text) AS model, CAST(NULL AS bigint) AS position, CAST(NULL AS text) AS content,
    CAST(NULL AS text) AS title, CAST(NULL AS text) AS idempotency_key, CAST(NULL AS bigint) AS size,
    CAST(NULL AS bigint) AS created_at
WHERE 1 = 0;

CREATE TRIGGER send_message INSTEAD OF INSERT ON sent_messages
BEGIN
    INSERT INTO runs (id, conversation_id, user_id, message_id, model, state, attempt, lease_expires_at, cancel_requested,
        created_at, updated_at)
    VALUES (NEW.run_id, NEW.conversation_id, NEW.user_id, NEW.message_id, NEW.model, 'queued', 0, 0, 0,
        NEW.created_at, NEW.created_at);
    INSERT INTO messages (id, conversation_id, run_id, position, role, content, idempotency_key, size, created_at)
    VALUES (NEW.message_id, NEW.conversation_id, NEW.run_id, NEW.position, 'user', NEW.content, NEW.idempotency_key, NEW.size,
        NEW.created_at);
    UPDATE conversations SET updated_at = NEW.created_at, title = CASE WHEN title = '' THEN NEW.title ELSE title END
    WHERE id = NEW.conversation_id;
END;

-- What an executor stores at once: events, a message or none, a tool call's end if the message is its result, the run's end if it is one.
-- A finished step is progress: who takes the run over after it is the second again, not the eleventh.
CREATE VIEW run_steps AS
SELECT CAST(NULL AS text) AS run_id, CAST(NULL AS text) AS lease_owner, CAST(NULL AS text) AS state, CAST(NULL AS bigint) AS last_id,
    CAST(NULL AS text) AS frames, CAST(NULL AS text) AS message_id, CAST(NULL AS text) AS conversation_id,
    CAST(NULL AS bigint) AS position, CAST(NULL AS text) AS role, CAST(NULL AS text) AS content, CAST(NULL AS text) AS tool_calls,
    CAST(NULL AS text) AS tool_call_id, CAST(NULL AS bigint) AS is_error, CAST(NULL AS text) AS finish_reason,
    CAST(NULL AS bigint) AS size, CAST(NULL AS text) AS final_state, CAST(NULL AS text) AS error_code,
    CAST(NULL AS text) AS error_message, CAST(NULL AS bigint) AS prompt_tokens, CAST(NULL AS bigint) AS completion_tokens,
    CAST(NULL AS bigint) AS created_at
WHERE 1 = 0;

CREATE TRIGGER take_run_step INSTEAD OF INSERT ON run_steps
BEGIN
    UPDATE runs SET updated_at = NEW.created_at, state = COALESCE(NEW.final_state, state), error_code = NEW.error_code,
        error_message = NEW.error_message, prompt_tokens = NEW.prompt_tokens, completion_tokens = NEW.completion_tokens,
        lease_owner = CASE WHEN NEW.final_state IS NULL THEN lease_owner END,
        attempt = CASE WHEN NEW.final_state IS NULL AND NEW.message_id IS NOT NULL THEN 1 ELSE attempt END
    WHERE id = NEW.run_id;
    INSERT INTO run_events (run_id, last_id, state, frames)
    SELECT NEW.run_id, NEW.last_id, NEW.state, NEW.frames WHERE NEW.frames <> ''
    ON CONFLICT (run_id, last_id) DO NOTHING;
    INSERT INTO messages (id, conversation_id, run_id, position, role, content, tool_calls, tool_call_id, finish_reason, size,
        created_at)
    SELECT NEW.message_id, NEW.conversation_id, NEW.run_id, NEW.position, NEW.role, NEW.content, NEW.tool_calls,
        NEW.tool_call_id, NEW.finish_reason, NEW.size, NEW.created_at
    WHERE NEW.message_id IS NOT NULL
    ON CONFLICT (id) DO NOTHING;
    UPDATE tool_calls SET finished_at = NEW.created_at, is_error = NEW.is_error
    WHERE run_id = NEW.run_id AND call_id = NEW.tool_call_id;
END;

-- An account. The very first is the administrator's, however many sign up at the same moment.
CREATE VIEW sign_ups AS
SELECT CAST(NULL AS text) AS id, CAST(NULL AS text) AS email, CAST(NULL AS text) AS name, CAST(NULL AS text) AS role,
    CAST(NULL AS text) AS password_hash, CAST(NULL AS bigint) AS only_first, CAST(NULL AS bigint) AS created_at
WHERE 1 = 0;

CREATE TRIGGER sign_up INSTEAD OF INSERT ON sign_ups
BEGIN
    INSERT INTO users (id, email, name, role, password_hash, created_at)
    VALUES (NEW.id, NEW.email, NEW.name, NEW.role, NEW.password_hash, NEW.created_at);
END;

-- The key made on first use, unless another instance was first.
CREATE VIEW first_signing_keys AS
SELECT CAST(NULL AS text) AS id, CAST(NULL AS text) AS public_key, CAST(NULL AS text) AS private_key,
    CAST(NULL AS bigint) AS created_at
WHERE 1 = 0;

CREATE TRIGGER add_first_signing_key INSTEAD OF INSERT ON first_signing_keys
BEGIN
    INSERT INTO signing_keys (id, public_key, private_key, created_at)
    VALUES (NEW.id, NEW.public_key, NEW.private_key, NEW.created_at);
END;
