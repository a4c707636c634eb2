-- How long conversations are kept, as in the SQLite text beside this one, which says what everything is for.

CREATE TABLE retention_rules (
    subject text PRIMARY KEY,
    days bigint NOT NULL,
    counts_at bigint NOT NULL
);

CREATE TABLE conversation_lifetimes (
    conversation_id text PRIMARY KEY REFERENCES conversations (id) ON DELETE CASCADE,
    idle_ms bigint NOT NULL,
    is_temporary bigint NOT NULL,
    check_at bigint NOT NULL
);

CREATE INDEX conversation_lifetimes_by_check ON conversation_lifetimes (check_at);

CREATE TABLE retention_walk (
    id bigint PRIMARY KEY,
    passed text NOT NULL,
    due_at bigint NOT NULL
);

CREATE FUNCTION forget_retention_of_role() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM retention_rules WHERE subject = 'role:' || OLD.name;
    RETURN NULL;
END
$$;

CREATE TRIGGER forget_retention_of_role AFTER DELETE ON roles FOR EACH ROW EXECUTE FUNCTION forget_retention_of_role();

CREATE VIEW temporary_conversations AS
SELECT CAST(NULL AS text) AS id, CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS model, CAST(NULL AS bigint) AS idle_ms,
    CAST(NULL AS bigint) AS created_at
WHERE 1 = 0;

CREATE FUNCTION begin_temporary_conversation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO conversations (id, user_id, title, model, created_at, updated_at)
    VALUES (NEW.id, NEW.user_id, '', NEW.model, NEW.created_at, NEW.created_at);
    INSERT INTO conversation_lifetimes (conversation_id, idle_ms, is_temporary, check_at)
    VALUES (NEW.id, NEW.idle_ms, 1, NEW.created_at + NEW.idle_ms);
    RETURN NEW;
END
$$;

CREATE TRIGGER begin_temporary_conversation INSTEAD OF INSERT ON temporary_conversations FOR EACH ROW
    EXECUTE FUNCTION begin_temporary_conversation();

CREATE VIEW conversation_expiries AS
SELECT CAST(NULL AS text) AS conversations, CAST(NULL AS text) AS reason, CAST(NULL AS text) AS audit_id, CAST(NULL AS bigint) AS expired_at
WHERE 1 = 0;

CREATE FUNCTION expire_conversations() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    expired bigint;
BEGIN
    -- As everywhere, a run comes before its conversation. From here on, nobody takes up the run, sends a message or tries an answer again; whoever was
    -- faster is seen by the last statement.
    PERFORM 1 FROM runs
    WHERE id IN (SELECT seen ->> 'run_id' FROM json_array_elements(CAST(NEW.conversations AS json)) AS seen) ORDER BY id FOR UPDATE;
    PERFORM 1 FROM conversations
    WHERE id IN (SELECT seen ->> 'id' FROM json_array_elements(CAST(NEW.conversations AS json)) AS seen) ORDER BY id FOR UPDATE;
    DELETE FROM conversations WHERE id IN (
        SELECT conversations.id FROM json_array_elements(CAST(NEW.conversations AS json)) AS seen
        JOIN conversations ON conversations.id = seen ->> 'id' AND conversations.updated_at = CAST(seen ->> 'updated_at' AS bigint)
        LEFT JOIN runs ON runs.id = (SELECT MAX(newest.id) FROM runs AS newest WHERE newest.conversation_id = conversations.id)
        WHERE COALESCE(runs.id, '') = seen ->> 'run_id' AND COALESCE(runs.updated_at, 0) = CAST(seen ->> 'run_updated_at' AS bigint)
            AND COALESCE(runs.lease_expires_at, 0) <= NEW.expired_at);
    GET DIAGNOSTICS expired = ROW_COUNT;
    IF expired = 0 THEN
        RETURN NULL;
    END IF;
    INSERT INTO audit_events (id, at, user_id, action, subject, outcome, detail)
    VALUES (NEW.audit_id, NEW.expired_at, '00000000-0000-0000-0000-000000000000', 'conversations.expire', NEW.reason, 'ok',
        'count=' || expired);
    RETURN NEW;
END
$$;

CREATE TRIGGER expire_conversations INSTEAD OF INSERT ON conversation_expiries FOR EACH ROW EXECUTE FUNCTION expire_conversations();

CREATE INDEX identity_links_of_user ON identity_links (user_id);
