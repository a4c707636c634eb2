-- What people had remembered of what they said (docs/adr/0060). The PostgreSQL text beside this one says the same.

-- A fact about a person. number is how models name it: one of a person at a time. content is sealed with the person's data key. conversation_id is where it was
-- said or last replaced, and null once that is deleted.
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

-- Since when the person wants nothing remembered, and nothing that was to be used. Null: they do.
ALTER TABLE users ADD COLUMN memory_off_at bigint;

-- Looked through when people's keys are replaced, like all others.
INSERT INTO sealing_progress (name, pass, passed, seen, total, began_at, due_at)
SELECT 'memories', 1, '', 0, 0, CAST(unixepoch('subsec') * 1000 AS INTEGER), CAST(unixepoch('subsec') * 1000 AS INTEGER) + 3600000 WHERE EXISTS (SELECT 1 FROM users);
