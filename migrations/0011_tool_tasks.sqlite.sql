-- Calls that go on at their servers as tasks (Model Context Protocol, "Tasks"), while their runs wait. The PostgreSQL text
-- beside this one says the same.

-- A task that a run waits for. ask_at is when it is asked about next, poll_ms how long to wait after that, lapses_at until when its
-- server keeps it. silent_since is when its server was first asked in vain, if it has not answered since. session is where it was made, if
-- its server keeps sessions; message is what its server last said. When it has ended, result and is_error are what it came to, as text for
-- a model. A row outlives its run: without an active run, the task is to be stopped, not before stop_at, and is forgotten then.
-- An earlier release knows nothing of all this: it goes on with the run, and makes the call again if the tool only reads.
CREATE TABLE tool_tasks (
    run_id text NOT NULL,
    call_id text NOT NULL,
    user_id text NOT NULL,
    name text NOT NULL,
    title text NOT NULL,
    server text NOT NULL,
    tool text NOT NULL,
    task_id text NOT NULL,
    session text,
    message text,
    started_at bigint NOT NULL,
    ask_at bigint NOT NULL,
    poll_ms bigint NOT NULL,
    lapses_at bigint NOT NULL,
    silent_since bigint,
    stop_at bigint NOT NULL DEFAULT 0,
    ended_at bigint,
    result text,
    is_error bigint,
    PRIMARY KEY (run_id, call_id)
);

-- 1 until the result of the call is stored. NULL in rows of earlier releases, which know no tasks beside which it would matter.
ALTER TABLE approvals ADD COLUMN unanswered bigint;

-- A task whose call has a result is forgotten: the result is a message now. A decision about the call has been acted on.
CREATE TRIGGER settle_call AFTER INSERT ON messages WHEN NEW.tool_call_id IS NOT NULL
BEGIN
    DELETE FROM tool_tasks WHERE run_id = NEW.run_id AND call_id = NEW.tool_call_id;
    UPDATE approvals SET unanswered = 0 WHERE run_id = NEW.run_id AND call_id = NEW.tool_call_id;
END;
