-- What people had remembered of what they said, as in the SQLite text beside this one, which says what everything is for.

CREATE TABLE memories (
    id text PRIMARY KEY,
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    number bigint NOT NULL,
    content text NOT NULL,
    conversation_id text REFERENCES conversations (id) ON DELETE SET NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);

CREATE UNIQUE INDEX memories_of_user ON memories (user_id, number);

CREATE INDEX memories_of_conversation ON memories (conversation_id);

ALTER TABLE users ADD COLUMN memory_off_at bigint;

INSERT INTO sealing_progress (name, pass, passed, seen, total, began_at, due_at)
SELECT 'memories', 1, '', 0, 0, CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint), CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) + 3600000 WHERE EXISTS (SELECT 1 FROM users);
