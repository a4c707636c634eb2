-- Calls that go on at their servers as tasks (Model Context Protocol, "Tasks"), while their runs wait. As in the SQLite text
-- beside this one.

-- A task that a run waits for. ask_at is when it is asked about next, poll_ms how long to wait after that, lapses_at until when its server keeps it.
-- session is where it was made, if its server keeps sessions; message is what its server last said. When it has ended, result and is_error are what it came to, as text for a model; the run can go on when none
-- of its tasks is without ended_at. An earlier release knows nothing of all this: it goes on with the run, and says that the call was not made again.
CREATE TABLE tool_tasks (
    run_id text NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    call_id text NOT NULL,
    user_id text NOT NULL,
    name text NOT NULL,
    server text NOT NULL,
    tool text NOT NULL,
    task_id text NOT NULL,
    session text,
    message text,
    started_at bigint NOT NULL,
    ask_at bigint NOT NULL,
    poll_ms bigint NOT NULL,
    lapses_at bigint NOT NULL,
    ended_at bigint,
    result text,
    is_error bigint,
    PRIMARY KEY (run_id, call_id)
);

-- A task whose call has a result is nobody's business any more: what it came to is a message now.
CREATE FUNCTION forget_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM tool_tasks WHERE run_id = NEW.run_id AND call_id = NEW.tool_call_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER forget_task AFTER INSERT ON messages FOR EACH ROW WHEN (NEW.tool_call_id IS NOT NULL)
    EXECUTE FUNCTION forget_task();
