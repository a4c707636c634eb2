-- What tools may do, what people were asked and decided, how often something may be done, and what was done.

-- user_id is '' for what the whole installation says; hence no reference to users.
CREATE TABLE tool_policies (
    user_id text NOT NULL,
    pattern text NOT NULL,
    effect text NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (user_id, pattern)
);

-- A call that the person was asked about. A run that waits can go on when none of its calls is both undecided and unexpired.
CREATE TABLE approvals (
    run_id text NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    call_id text NOT NULL,
    user_id text NOT NULL,
    server text NOT NULL,
    tool text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    decision text,
    decided_at bigint,
    PRIMARY KEY (run_id, call_id)
);

-- full_at is when everything that the limit allows at once may be done again: microseconds, so that any rate is exact.
-- A row whose time has passed says nothing that no row does not say, and is deleted by whoever takes something next.
CREATE TABLE rate_limits (
    key text PRIMARY KEY,
    full_at bigint NOT NULL
);

CREATE INDEX rate_limits_by_time ON rate_limits (full_at);

-- Who did what. Triggers refuse to change or delete a row. It outlives what it names: hence no references, and detail must not hold
-- what people say.
CREATE TABLE audit_events (
    id text PRIMARY KEY,
    at bigint NOT NULL,
    user_id text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    run_id text,
    call_id text,
    outcome text NOT NULL,
    detail text
);

CREATE INDEX audit_events_of_user ON audit_events (user_id, at);

-- What each remote tool server last said it has.
CREATE TABLE tool_listings (
    server text PRIMARY KEY,
    listing text NOT NULL,
    fetched_at bigint NOT NULL,
    ttl_ms bigint NOT NULL
);
