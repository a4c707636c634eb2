-- What people entrusted to tools, sealed: crates/vault says how. Who has the key reads it, and nobody else.
CREATE TABLE tool_secrets (
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    server text NOT NULL,
    name text NOT NULL,
    sealed text NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (user_id, server, name)
);

-- Keys made on first use because none was configured: one for each purpose, the first that is made, and it stays.
CREATE TABLE generated_keys (
    purpose text PRIMARY KEY,
    key text NOT NULL,
    created_at bigint NOT NULL
);
