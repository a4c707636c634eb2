-- The erasure of people, as in the SQLite text beside this one, which says what everything is for.

CREATE TABLE erasures (
    user_id text PRIMARY KEY,
    requested_by text NOT NULL,
    requested_at bigint NOT NULL,
    due_at bigint NOT NULL,
    was_suspended bigint NOT NULL,
    receipt_hash text,
    inventory text,
    leased_until bigint NOT NULL,
    erased_at bigint,
    receipt text
);

CREATE INDEX erasures_by_time ON erasures (due_at) WHERE erased_at IS NULL;

CREATE INDEX erasures_by_receipt ON erasures (receipt_hash) WHERE receipt_hash IS NOT NULL;

CREATE INDEX IF NOT EXISTS conversations_of_user ON conversations (user_id, id);

CREATE INDEX IF NOT EXISTS runs_of_user_in_order ON runs (user_id, id);

CREATE VIEW erasure_requests AS
SELECT CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS requested_by, CAST(NULL AS bigint) AS requested_at,
    CAST(NULL AS bigint) AS due_at, CAST(NULL AS text) AS receipt_hash, CAST(NULL AS text) AS audit_id
WHERE 1 = 0;

CREATE FUNCTION request_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before bigint;
BEGIN
    -- As everywhere, the account comes before what belongs to it.
    SELECT suspended_at INTO before FROM users WHERE id = NEW.user_id FOR UPDATE;
    -- Nothing is updated if it is the last administrator by now.
    UPDATE users SET suspended_at = COALESCE(suspended_at, NEW.requested_at), access_version = COALESCE(access_version, 0) + 1,
        access_changed_at = NEW.requested_at
    WHERE id = NEW.user_id;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO erasures (user_id, requested_by, requested_at, due_at, was_suspended, receipt_hash, leased_until)
    VALUES (NEW.user_id, NEW.requested_by, NEW.requested_at, NEW.due_at, CASE WHEN before IS NULL THEN 0 ELSE 1 END,
        NEW.receipt_hash, 0)
    ON CONFLICT (user_id) DO UPDATE SET due_at = LEAST(erasures.due_at, excluded.due_at),
        receipt_hash = COALESCE(excluded.receipt_hash, erasures.receipt_hash),
        requested_by = CASE WHEN excluded.requested_by = excluded.user_id THEN erasures.requested_by ELSE excluded.requested_by END;
    INSERT INTO audit_events (id, at, user_id, action, subject, outcome)
    VALUES (NEW.audit_id, NEW.requested_at, NEW.requested_by, 'account.erasure_request', NEW.user_id, 'ok');
    RETURN NEW;
END
$$;

CREATE TRIGGER request_erasure INSTEAD OF INSERT ON erasure_requests FOR EACH ROW EXECUTE FUNCTION request_erasure();

CREATE VIEW erasure_withdrawals AS
SELECT CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS withdrawn_by, CAST(NULL AS bigint) AS withdrawn_at, CAST(NULL AS text) AS audit_id
WHERE 1 = 0;

CREATE FUNCTION withdraw_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    suspended bigint;
BEGIN
    PERFORM 1 FROM users WHERE id = NEW.user_id FOR UPDATE;
    DELETE FROM erasures WHERE user_id = NEW.user_id AND inventory IS NULL RETURNING was_suspended INTO suspended;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    UPDATE users SET access_version = COALESCE(access_version, 0) + 1, access_changed_at = NEW.withdrawn_at,
        suspended_at = CASE WHEN suspended = 1 THEN suspended_at END
    WHERE id = NEW.user_id;
    INSERT INTO audit_events (id, at, user_id, action, subject, outcome)
    VALUES (NEW.audit_id, NEW.withdrawn_at, NEW.withdrawn_by, 'account.erasure_take_back', NEW.user_id, 'ok');
    RETURN NEW;
END
$$;

CREATE TRIGGER withdraw_erasure INSTEAD OF INSERT ON erasure_withdrawals FOR EACH ROW EXECUTE FUNCTION withdraw_erasure();

CREATE FUNCTION keep_resumed_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM erasures WHERE user_id = NEW.id AND inventory IS NULL;
    RETURN NULL;
END
$$;

CREATE TRIGGER keep_resumed_account AFTER UPDATE OF suspended_at ON users FOR EACH ROW
    WHEN (NEW.suspended_at IS NULL AND OLD.suspended_at IS NOT NULL) EXECUTE FUNCTION keep_resumed_account();

CREATE VIEW erasure_ends AS
SELECT CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS requested_by, CAST(NULL AS text) AS receipt, CAST(NULL AS bigint) AS erased_at,
    CAST(NULL AS text) AS audit_id
WHERE 1 = 0;

CREATE FUNCTION end_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Two hosts may come to the end at once: the first counts.
    UPDATE erasures SET receipt = NEW.receipt, erased_at = NEW.erased_at WHERE user_id = NEW.user_id AND erased_at IS NULL;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO audit_events (id, at, user_id, action, subject, outcome)
    VALUES (NEW.audit_id, NEW.erased_at, NEW.requested_by, 'account.erase', NEW.user_id, 'ok');
    RETURN NEW;
END
$$;

CREATE TRIGGER end_erasure INSTEAD OF INSERT ON erasure_ends FOR EACH ROW EXECUTE FUNCTION end_erasure();

CREATE FUNCTION forget_words_of_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE tool_tasks SET title = '', message = NULL, result = NULL WHERE run_id = OLD.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER forget_words_of_task AFTER DELETE ON runs FOR EACH ROW EXECUTE FUNCTION forget_words_of_task();

CREATE FUNCTION keep_details_with_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM erasures WHERE user_id = OLD.user_id AND inventory IS NOT NULL) THEN
        RAISE EXCEPTION 'details of audit events are erased only with their account';
    END IF;
    RETURN OLD;
END
$$;

CREATE TRIGGER audit_details_stay_with_account BEFORE DELETE ON audit_details FOR EACH ROW
    EXECUTE FUNCTION keep_details_with_account();
