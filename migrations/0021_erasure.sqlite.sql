-- The erasure of people (docs/adr/0041). 0002 says what a command is; the PostgreSQL text beside this one says the same.

-- An account that is to be erased, or was. It outlives the account: hence no reference. requested_by is who asked, the person or an administrator.
-- was_suspended is 1 if the account was suspended before, so that it stays so when the erasure is taken back. receipt_hash is the hash of the secret with
-- which the person gets the receipt. inventory is a JSON object with the number of rows of each kind; from when it is there, nothing can be taken back.
-- leased_until is the end of a host's turn. receipt is the signed statement of what was erased.
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

-- For a copy of everything and an erasure, which read what somebody has in pages. docs/deploy.md says when to make them before.
CREATE INDEX IF NOT EXISTS conversations_of_user ON conversations (user_id, id);

CREATE INDEX IF NOT EXISTS runs_of_user_in_order ON runs (user_id, id);

-- Asks for an erasure, or for an earlier one, on record. The account is suspended from then on: its sessions end, its runs stop, its keys open nothing.
-- What an administrator asks for is no more the person's own.
CREATE VIEW erasure_requests AS
SELECT CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS requested_by, CAST(NULL AS bigint) AS requested_at,
    CAST(NULL AS bigint) AS due_at, CAST(NULL AS text) AS receipt_hash, CAST(NULL AS text) AS audit_id
WHERE 1 = 0;

CREATE TRIGGER request_erasure INSTEAD OF INSERT ON erasure_requests
BEGIN
    INSERT INTO erasures (user_id, requested_by, requested_at, due_at, was_suspended, receipt_hash, leased_until)
    SELECT NEW.user_id, NEW.requested_by, NEW.requested_at, NEW.due_at, CASE WHEN suspended_at IS NULL THEN 0 ELSE 1 END,
        NEW.receipt_hash, 0
    FROM users WHERE id = NEW.user_id
    ON CONFLICT (user_id) DO UPDATE SET due_at = MIN(due_at, excluded.due_at), receipt_hash = COALESCE(excluded.receipt_hash, receipt_hash),
        requested_by = CASE WHEN excluded.requested_by = excluded.user_id THEN requested_by ELSE excluded.requested_by END;
    UPDATE users SET suspended_at = COALESCE(suspended_at, NEW.requested_at), access_version = COALESCE(access_version, 0) + 1,
        access_changed_at = NEW.requested_at
    WHERE id = NEW.user_id;
    INSERT INTO audit_events (id, at, user_id, action, subject, outcome)
    VALUES (NEW.audit_id, NEW.requested_at, NEW.requested_by, 'account.erasure_request', NEW.user_id, 'ok');
END;

-- Takes back an erasure that has not begun, on record: the account is open again, unless it was suspended before.
CREATE VIEW erasure_withdrawals AS
SELECT CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS withdrawn_by, CAST(NULL AS bigint) AS withdrawn_at, CAST(NULL AS text) AS audit_id
WHERE 1 = 0;

CREATE TRIGGER withdraw_erasure INSTEAD OF INSERT ON erasure_withdrawals
BEGIN
    UPDATE users SET access_version = COALESCE(access_version, 0) + 1, access_changed_at = NEW.withdrawn_at,
        suspended_at = CASE WHEN (SELECT was_suspended FROM erasures WHERE user_id = NEW.user_id) = 1 THEN suspended_at END
    WHERE id = NEW.user_id;
    DELETE FROM erasures WHERE user_id = NEW.user_id;
    INSERT INTO audit_events (id, at, user_id, action, subject, outcome)
    VALUES (NEW.audit_id, NEW.withdrawn_at, NEW.withdrawn_by, 'account.erasure_take_back', NEW.user_id, 'ok');
END;

-- Whoever lets somebody back in takes back what waits.
CREATE TRIGGER keep_resumed_account AFTER UPDATE OF suspended_at ON users WHEN NEW.suspended_at IS NULL AND OLD.suspended_at IS NOT NULL
BEGIN
    DELETE FROM erasures WHERE user_id = NEW.id AND inventory IS NULL;
END;

-- The end of an erasure: the receipt and its record, once.
CREATE VIEW erasure_ends AS
SELECT CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS requested_by, CAST(NULL AS text) AS receipt, CAST(NULL AS bigint) AS erased_at,
    CAST(NULL AS text) AS audit_id
WHERE 1 = 0;

CREATE TRIGGER end_erasure INSTEAD OF INSERT ON erasure_ends
BEGIN
    UPDATE erasures SET receipt = NEW.receipt, erased_at = NEW.erased_at WHERE user_id = NEW.user_id;
    INSERT INTO audit_events (id, at, user_id, action, subject, outcome)
    VALUES (NEW.audit_id, NEW.erased_at, NEW.requested_by, 'account.erase', NEW.user_id, 'ok');
END;

-- What a task's row says of the conversation goes with its run. The rest stays until its server was told to stop.
CREATE TRIGGER forget_words_of_task AFTER DELETE ON runs
BEGIN
    UPDATE tool_tasks SET title = '', message = NULL, result = NULL WHERE run_id = OLD.id;
END;

-- Details of events are erased with their account and not otherwise.
CREATE TRIGGER audit_details_stay BEFORE DELETE ON audit_details
WHEN NOT EXISTS (SELECT 1 FROM erasures WHERE user_id = OLD.user_id AND inventory IS NOT NULL)
BEGIN
    SELECT RAISE(ABORT, 'details of audit events are erased only with their account');
END;
