-- What came of tool calls. 0002 says what a command is; the PostgreSQL text beside this one says the same.

-- Of a message that is a tool's result: whether the call failed or was not made, how long it took, and the tool's name for people. All three are
-- null in what an earlier release writes with `run_steps` and `executor_steps`. That release says a failure with the finish_reason
-- 'tool_error', and looks for it there. So this release still writes 'tool_error' too, and reads it where tool_error is null.
ALTER TABLE messages ADD COLUMN tool_error bigint;

ALTER TABLE messages ADD COLUMN duration_ms bigint;

ALTER TABLE messages ADD COLUMN title text;

-- What an executor stores at once, as `executor_steps` in 0006 does, and with a tool's result how the call went.
CREATE VIEW step_records AS
SELECT CAST(NULL AS text) AS run_id, CAST(NULL AS text) AS lease_owner, CAST(NULL AS text) AS state, CAST(NULL AS bigint) AS last_id,
    CAST(NULL AS text) AS frames, CAST(NULL AS text) AS message_id, CAST(NULL AS text) AS conversation_id,
    CAST(NULL AS bigint) AS position, CAST(NULL AS text) AS role, CAST(NULL AS text) AS content, CAST(NULL AS text) AS tool_calls,
    CAST(NULL AS text) AS tool_call_id, CAST(NULL AS bigint) AS tool_error, CAST(NULL AS bigint) AS duration_ms,
    CAST(NULL AS text) AS title, CAST(NULL AS text) AS finish_reason, CAST(NULL AS text) AS reasoning, CAST(NULL AS text) AS echo,
    CAST(NULL AS bigint) AS size, CAST(NULL AS text) AS final_state, CAST(NULL AS text) AS error_code,
    CAST(NULL AS text) AS error_message, CAST(NULL AS bigint) AS prompt_tokens, CAST(NULL AS bigint) AS completion_tokens,
    CAST(NULL AS bigint) AS created_at
WHERE 1 = 0;

CREATE TRIGGER take_step_record INSTEAD OF INSERT ON step_records
BEGIN
    UPDATE runs SET updated_at = NEW.created_at, state = COALESCE(NEW.final_state, state), error_code = NEW.error_code,
        error_message = NEW.error_message, prompt_tokens = NEW.prompt_tokens, completion_tokens = NEW.completion_tokens,
        lease_owner = CASE WHEN NEW.final_state IS NULL THEN lease_owner END,
        attempt = CASE WHEN NEW.final_state IS NULL AND NEW.message_id IS NOT NULL THEN 1 ELSE attempt END
    WHERE id = NEW.run_id;
    INSERT INTO run_events (run_id, last_id, state, frames)
    SELECT NEW.run_id, NEW.last_id, NEW.state, NEW.frames WHERE NEW.frames <> ''
    ON CONFLICT (run_id, last_id) DO NOTHING;
    INSERT INTO messages (id, conversation_id, run_id, position, role, content, tool_calls, tool_call_id, tool_error, duration_ms,
        title, finish_reason, reasoning, echo, size, created_at)
    SELECT NEW.message_id, NEW.conversation_id, NEW.run_id, NEW.position, NEW.role, NEW.content, NEW.tool_calls,
        NEW.tool_call_id, NEW.tool_error, NEW.duration_ms, NEW.title, NEW.finish_reason, NEW.reasoning, NEW.echo, NEW.size,
        NEW.created_at
    WHERE NEW.message_id IS NOT NULL
    ON CONFLICT (id) DO NOTHING;
    UPDATE tool_calls SET finished_at = NEW.created_at, is_error = NEW.tool_error
    WHERE run_id = NEW.run_id AND call_id = NEW.tool_call_id;
END;
