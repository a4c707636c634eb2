-- The first schema. It is written so that SQLite and PostgreSQL read it alike: text, bigint, no defaults that compute.
-- Times are milliseconds since the epoch; ids are UUIDv7 as text. A statement ends with a semicolon at the end of a line.

CREATE TABLE users (
    id text PRIMARY KEY,
    email text NOT NULL UNIQUE,
    name text NOT NULL,
    role text NOT NULL,
    password_hash text,
    created_at bigint NOT NULL
);

-- A session is one family of refresh tokens; token_hash belongs to the only one that still works.
CREATE TABLE sessions (
    id text PRIMARY KEY,
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    revoked_at bigint
);

CREATE INDEX sessions_of_user ON sessions (user_id);

-- private_key is absent when the key comes from configuration.
CREATE TABLE signing_keys (
    id text PRIMARY KEY,
    public_key text NOT NULL,
    private_key text,
    created_at bigint NOT NULL,
    retired_at bigint
);

CREATE TABLE conversations (
    id text PRIMARY KEY,
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    title text NOT NULL,
    model text,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);

CREATE INDEX conversations_by_activity ON conversations (user_id, updated_at, id);

-- state is queued, processing, awaiting_approval, or one of the ends; what lies between is told by the last batch of events.
CREATE TABLE runs (
    id text PRIMARY KEY,
    conversation_id text NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    message_id text NOT NULL,
    model text NOT NULL,
    state text NOT NULL,
    attempt bigint NOT NULL,
    lease_owner text,
    lease_expires_at bigint NOT NULL,
    cancel_requested bigint NOT NULL,
    error_code text,
    error_message text,
    prompt_tokens bigint,
    completion_tokens bigint,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);

-- One answer at a time in a conversation.
CREATE UNIQUE INDEX runs_active ON runs (conversation_id) WHERE state IN ('queued', 'processing', 'awaiting_approval');

CREATE INDEX runs_of_conversation ON runs (conversation_id, id);

CREATE INDEX runs_of_user ON runs (user_id);

-- size is the bytes of content and tool_calls, so that a page can be cut by size without reading them.
CREATE TABLE messages (
    id text PRIMARY KEY,
    conversation_id text NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    run_id text NOT NULL,
    position bigint NOT NULL,
    role text NOT NULL,
    content text NOT NULL,
    tool_calls text,
    tool_call_id text,
    finish_reason text,
    idempotency_key text,
    size bigint NOT NULL,
    created_at bigint NOT NULL
);

CREATE UNIQUE INDEX messages_in_order ON messages (conversation_id, position);

CREATE UNIQUE INDEX messages_sent_once ON messages (conversation_id, idempotency_key);

-- The log of a run: frames as they go over the wire, a batch a row, last_id the id of the batch's last event.
CREATE TABLE run_events (
    run_id text NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    last_id bigint NOT NULL,
    state text NOT NULL,
    frames text NOT NULL,
    PRIMARY KEY (run_id, last_id)
);

-- Written before a tool is called: a call that stands here is never made again.
CREATE TABLE tool_calls (
    run_id text NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    call_id text NOT NULL,
    name text NOT NULL,
    started_at bigint NOT NULL,
    finished_at bigint,
    is_error bigint,
    PRIMARY KEY (run_id, call_id)
);
