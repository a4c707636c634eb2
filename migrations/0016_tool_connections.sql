-- What people have connected to MCP servers elsewhere, each for themselves. authority, access_token and refresh_token are sealed: crates/vault says
-- how. url is the server's address when it was connected: tokens go nowhere else. version grows with every new token. problem says why it must be
-- connected again. refreshing_until is the end of a host's claim to refresh the tokens, 0 if nobody holds one. refreshed_at is when that was last done, 0 if never.
-- listing is the server's last list for this person, and offers what of it a model may be told; both are JSON. listing_version grows with every list.
CREATE TABLE tool_connections (
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    server text NOT NULL,
    url text NOT NULL,
    authority text NOT NULL,
    access_token text NOT NULL,
    refresh_token text,
    scope text NOT NULL,
    version bigint NOT NULL,
    refreshed_at bigint NOT NULL,
    token_expires_at bigint,
    refreshing_until bigint NOT NULL,
    problem text,
    listing text,
    listing_version bigint NOT NULL,
    offers text,
    listed_at bigint NOT NULL,
    connected_at bigint NOT NULL,
    PRIMARY KEY (user_id, server)
);

-- An attempt to connect, until the person comes back with a code; one for each person and server. state_hash is the hash of what comes back, proof_hash
-- that of the cookie of the browser that began, and attempt is sealed.
CREATE TABLE tool_connection_attempts (
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    server text NOT NULL,
    session_id text NOT NULL,
    state_hash text NOT NULL UNIQUE,
    proof_hash text NOT NULL,
    attempt text NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (user_id, server)
);
