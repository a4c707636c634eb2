-- Who answered in a run, and for how much; and which models servers list. The PostgreSQL text beside this one says the same.

-- The provider's name, and what all tokens of the run cost in millionths of a currency (its code). Null where no provider was asked, where the price
-- is not known, and in what earlier releases write.
ALTER TABLE runs ADD COLUMN provider text;

ALTER TABLE runs ADD COLUMN cost bigint;

ALTER TABLE runs ADD COLUMN currency text;

-- The models that a server listed: JSON, an array of names. server is its address without parts that may be secret. A row that is deleted is made
-- again.
CREATE TABLE model_listings (
    server text PRIMARY KEY,
    models text NOT NULL,
    listed_at bigint NOT NULL
);

-- What an executor stores at once, as step_records in 0009 does, and who answered.
CREATE VIEW answer_records AS
SELECT CAST(NULL AS text) AS run_id, CAST(NULL AS text) AS lease_owner, CAST(NULL AS text) AS state, CAST(NULL AS bigint) AS last_id,
    CAST(NULL AS text) AS frames, CAST(NULL AS text) AS message_id, CAST(NULL AS text) AS conversation_id,
    CAST(NULL AS bigint) AS position, CAST(NULL AS text) AS role, CAST(NULL AS text) AS content, CAST(NULL AS text) AS tool_calls,
    CAST(NULL AS text) AS tool_call_id, CAST(NULL AS bigint) AS tool_error, CAST(NULL AS bigint) AS duration_ms,
    CAST(NULL AS text) AS title, CAST(NULL AS text) AS finish_reason, CAST(NULL AS text) AS reasoning, CAST(NULL AS text) AS echo,
    CAST(NULL AS bigint) AS size, CAST(NULL AS text) AS final_state, CAST(NULL AS text) AS error_code,
    CAST(NULL AS text) AS error_message, CAST(NULL AS bigint) AS prompt_tokens, CAST(NULL AS bigint) AS completion_tokens,
    CAST(NULL AS bigint) AS created_at, CAST(NULL AS text) AS provider, CAST(NULL AS bigint) AS cost, CAST(NULL AS text) AS currency
WHERE 1 = 0;

CREATE TRIGGER take_answer_record INSTEAD OF INSERT ON answer_records
BEGIN
    UPDATE runs SET provider = NEW.provider, cost = NEW.cost, currency = NEW.currency
    WHERE id = NEW.run_id AND (provider IS NOT NEW.provider OR cost IS NOT NEW.cost OR currency IS NOT NEW.currency);
    INSERT INTO step_records (run_id, lease_owner, state, last_id, frames, message_id, conversation_id, position, role, content, tool_calls, tool_call_id, tool_error,
        duration_ms, title, finish_reason, reasoning, echo, size, final_state, error_code, error_message, prompt_tokens, completion_tokens, created_at)
    VALUES (NEW.run_id, NEW.lease_owner, NEW.state, NEW.last_id, NEW.frames, NEW.message_id, NEW.conversation_id, NEW.position,
        NEW.role, NEW.content, NEW.tool_calls, NEW.tool_call_id, NEW.tool_error, NEW.duration_ms, NEW.title, NEW.finish_reason,
        NEW.reasoning, NEW.echo, NEW.size, NEW.final_state, NEW.error_code, NEW.error_message, NEW.prompt_tokens,
        NEW.completion_tokens, NEW.created_at);
END;
