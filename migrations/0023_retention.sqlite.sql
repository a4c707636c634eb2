-- How long conversations are kept (docs/adr/0042). 0002 says what a command is; the PostgreSQL text beside this one says the same.

-- What administrators decide: subject is 'installation', or 'role:' and a name. days is after how many days without use a conversation goes; 0: it is kept.
-- Nothing goes because of a rule before counts_at. No row: no rule. crates/storage/src/retention.rs says which rule counts for whom.
CREATE TABLE retention_rules (
    subject text PRIMARY KEY,
    days bigint NOT NULL,
    counts_at bigint NOT NULL
);

-- Conversations with a lifetime of their own: each goes idle_ms after its last use. is_temporary is 1 for a temporary chat, which no list shows. check_at is
-- when to look at it next: a use afterwards makes it live longer, so it is looked at too early and never too late.
CREATE TABLE conversation_lifetimes (
    conversation_id text PRIMARY KEY REFERENCES conversations (id) ON DELETE CASCADE,
    idle_ms bigint NOT NULL,
    is_temporary bigint NOT NULL,
    check_at bigint NOT NULL
);

CREATE INDEX conversation_lifetimes_by_check ON conversation_lifetimes (check_at);

-- Where the walk over everybody is that looks for conversations whose time by a rule is over: the last account that was looked at, and when to go on. A host
-- that looks has the walk for some seconds. One row, or none before the first rule.
CREATE TABLE retention_walk (
    id bigint PRIMARY KEY,
    passed text NOT NULL,
    due_at bigint NOT NULL
);

-- Whatever gets the same name later begins without a rule.
CREATE TRIGGER forget_retention_of_role AFTER DELETE ON roles
BEGIN
    DELETE FROM retention_rules WHERE subject = 'role:' || OLD.name;
END;

-- A temporary chat.
CREATE VIEW temporary_conversations AS
SELECT CAST(NULL AS text) AS id, CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS model, CAST(NULL AS bigint) AS idle_ms,
    CAST(NULL AS bigint) AS created_at
WHERE 1 = 0;

CREATE TRIGGER begin_temporary_conversation INSTEAD OF INSERT ON temporary_conversations
BEGIN
    INSERT INTO conversations (id, user_id, title, model, created_at, updated_at)
    VALUES (NEW.id, NEW.user_id, '', NEW.model, NEW.created_at, NEW.created_at);
    INSERT INTO conversation_lifetimes (conversation_id, idle_ms, is_temporary, check_at)
    VALUES (NEW.id, NEW.idle_ms, 1, NEW.created_at + NEW.idle_ms);
END;

-- Deletes conversations whose time is over, and records how many. conversations is a JSON array of objects with id, updated_at, and of the newest run
-- run_id ('' without one) and run_updated_at (0), as they were read: what was used since, or is being executed, stays.
CREATE VIEW conversation_expiries AS
SELECT CAST(NULL AS text) AS conversations, CAST(NULL AS text) AS reason, CAST(NULL AS text) AS audit_id, CAST(NULL AS bigint) AS expired_at
WHERE 1 = 0;

CREATE TRIGGER expire_conversations INSTEAD OF INSERT ON conversation_expiries
BEGIN
    INSERT INTO audit_events (id, at, user_id, action, subject, outcome, detail)
    SELECT NEW.audit_id, NEW.expired_at, '00000000-0000-0000-0000-000000000000', 'conversations.expire', NEW.reason, 'ok', 'count=' || expired
    FROM (SELECT COUNT(*) AS expired FROM json_each(NEW.conversations) AS seen
        JOIN conversations ON conversations.id = seen.value ->> 'id' AND conversations.updated_at = seen.value ->> 'updated_at'
        LEFT JOIN runs ON runs.id = (SELECT MAX(newest.id) FROM runs AS newest WHERE newest.conversation_id = conversations.id)
        WHERE COALESCE(runs.id, '') = seen.value ->> 'run_id' AND COALESCE(runs.updated_at, 0) = seen.value ->> 'run_updated_at'
            AND COALESCE(runs.lease_expires_at, 0) <= NEW.expired_at)
    WHERE expired > 0;
    DELETE FROM conversations WHERE id IN (
        SELECT conversations.id FROM json_each(NEW.conversations) AS seen
        JOIN conversations ON conversations.id = seen.value ->> 'id' AND conversations.updated_at = seen.value ->> 'updated_at'
        LEFT JOIN runs ON runs.id = (SELECT MAX(newest.id) FROM runs AS newest WHERE newest.conversation_id = conversations.id)
        WHERE COALESCE(runs.id, '') = seen.value ->> 'run_id' AND COALESCE(runs.updated_at, 0) = seen.value ->> 'run_updated_at'
            AND COALESCE(runs.lease_expires_at, 0) <= NEW.expired_at);
END;

-- An account that is erased is looked for here, too.
CREATE INDEX identity_links_of_user ON identity_links (user_id);
