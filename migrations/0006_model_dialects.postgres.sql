-- What models' servers want, as in the SQLite text beside this one.

-- reasoning: what the model thought before it said the message; never counted in size. echo: JSON, what its server sent along for itself and
-- wants back with the message in later requests.
ALTER TABLE messages ADD COLUMN reasoning text;

ALTER TABLE messages ADD COLUMN echo text;

-- How a model's server wants its requests, as far as it differs from what most want: JSON, learned from what it refused. A row that is
-- deleted is learned again.
CREATE TABLE model_dialects (
    server text NOT NULL,
    model text NOT NULL,
    dialect text NOT NULL,
    learned_at bigint NOT NULL,
    PRIMARY KEY (server, model)
);

-- What an executor stores at once, as `run_steps` in 0002 does, and with the message what came beside its text.
CREATE VIEW executor_steps AS
SELECT CAST(NULL AS text) AS run_id, CAST(NULL AS text) AS lease_owner, CAST(NULL AS text) AS state, CAST(NULL AS bigint) AS last_id,
    CAST(NULL AS text) AS frames, CAST(NULL AS text) AS message_id, CAST(NULL AS text) AS conversation_id,
    CAST(NULL AS bigint) AS position, CAST(NULL AS text) AS role, CAST(NULL AS text) AS content, CAST(NULL AS text) AS tool_calls,
    CAST(NULL AS text) AS tool_call_id, CAST(NULL AS bigint) AS is_error, CAST(NULL AS text) AS finish_reason,
    CAST(NULL AS text) AS reasoning, CAST(NULL AS text) AS echo, CAST(NULL AS bigint) AS size, CAST(NULL AS text) AS final_state,
    CAST(NULL AS text) AS error_code, CAST(NULL AS text) AS error_message, CAST(NULL AS bigint) AS prompt_tokens,
    CAST(NULL AS bigint) AS completion_tokens, CAST(NULL AS bigint) AS created_at
WHERE 1 = 0;

CREATE FUNCTION take_executor_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE runs SET updated_at = NEW.created_at, state = COALESCE(NEW.final_state, state), error_code = NEW.error_code,
        error_message = NEW.error_message, prompt_tokens = NEW.prompt_tokens, completion_tokens = NEW.completion_tokens,
        lease_owner = CASE WHEN NEW.final_state IS NULL THEN lease_owner END,
        attempt = CASE WHEN NEW.final_state IS NULL AND NEW.message_id IS NOT NULL THEN 1 ELSE attempt END
    WHERE id = NEW.run_id AND lease_owner = NEW.lease_owner;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO run_events (run_id, last_id, state, frames)
    SELECT NEW.run_id, NEW.last_id, NEW.state, NEW.frames WHERE NEW.frames <> ''
    ON CONFLICT (run_id, last_id) DO NOTHING;
    INSERT INTO messages (id, conversation_id, run_id, position, role, content, tool_calls, tool_call_id, finish_reason, reasoning,
        echo, size, created_at)
    SELECT NEW.message_id, NEW.conversation_id, NEW.run_id, NEW.position, NEW.role, NEW.content, NEW.tool_calls,
        NEW.tool_call_id, NEW.finish_reason, NEW.reasoning, NEW.echo, NEW.size, NEW.created_at
    WHERE NEW.message_id IS NOT NULL
    ON CONFLICT (id) DO NOTHING;
    UPDATE tool_calls SET finished_at = NEW.created_at, is_error = NEW.is_error
    WHERE run_id = NEW.run_id AND call_id = NEW.tool_call_id;
    RETURN NEW;
END
$$;

CREATE TRIGGER take_executor_step INSTEAD OF INSERT ON executor_steps FOR EACH ROW EXECUTE FUNCTION take_executor_step();
