-- Commands about tools. 0002 says what a command is; the PostgreSQL text beside this one says the same.

-- A person's decision about a call, the policy that "always" stands for, and the record of it. A policy that denies stays. A name that
-- would be read as a pattern becomes no policy.
CREATE VIEW approval_decisions AS
SELECT CAST(NULL AS text) AS run_id, CAST(NULL AS text) AS call_id, CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS pattern,
    CAST(NULL AS text) AS decision, CAST(NULL AS bigint) AS may_add, CAST(NULL AS text) AS audit_id,
    CAST(NULL AS bigint) AS decided_at
WHERE 1 = 0;

CREATE TRIGGER decide_approval INSTEAD OF INSERT ON approval_decisions
BEGIN
    UPDATE approvals SET decision = NEW.decision, decided_at = NEW.decided_at
    WHERE run_id = NEW.run_id AND call_id = NEW.call_id;
    INSERT INTO tool_policies (user_id, pattern, effect, created_at)
    SELECT NEW.user_id, NEW.pattern, 'allow', NEW.decided_at
    WHERE NEW.decision = 'allow_always' AND NEW.may_add = 1 AND NEW.pattern NOT LIKE '%*%'
    ON CONFLICT (user_id, pattern) DO UPDATE SET effect = 'allow', created_at = excluded.created_at
    WHERE tool_policies.effect = 'ask';
    INSERT INTO audit_events (id, at, user_id, action, subject, run_id, call_id, outcome)
    VALUES (NEW.audit_id, NEW.decided_at, NEW.user_id, 'approval.decide', NEW.pattern, NEW.run_id, NEW.call_id, NEW.decision);
END;

-- A question whose call has a result is answered, whatever became of the person: it does not keep its run waiting.
CREATE TRIGGER close_question AFTER INSERT ON messages WHEN NEW.tool_call_id IS NOT NULL
BEGIN
    UPDATE approvals SET expires_at = MIN(expires_at, NEW.created_at)
    WHERE run_id = NEW.run_id AND call_id = NEW.tool_call_id AND decision IS NULL;
END;

-- One of each of several limits, or none of any. limits is a JSON array of objects with key, interval_us and tolerance_us; retry_after_us
-- is above zero when one of them has nothing left, by the rows as the statement found them.
CREATE VIEW rate_takes AS
SELECT CAST(NULL AS text) AS limits, CAST(NULL AS bigint) AS now_us, CAST(NULL AS bigint) AS retry_after_us
WHERE 1 = 0;

CREATE TRIGGER take_rate INSTEAD OF INSERT ON rate_takes WHEN NEW.retry_after_us <= 0
BEGIN
    INSERT INTO rate_limits (key, full_at)
    SELECT value ->> 'key', NEW.now_us + (value ->> 'interval_us') FROM json_each(NEW.limits) WHERE 1 = 1
    ON CONFLICT (key) DO UPDATE SET full_at = excluded.full_at + CASE
        WHEN rate_limits.full_at > NEW.now_us THEN rate_limits.full_at - NEW.now_us ELSE 0 END;
    DELETE FROM rate_limits WHERE key IN (
        SELECT key FROM rate_limits WHERE full_at < NEW.now_us - 60000000 ORDER BY full_at LIMIT 8);
END;

CREATE TRIGGER audit_events_stay_as_they_are BEFORE UPDATE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit events are never changed');
END;

CREATE TRIGGER audit_events_stay BEFORE DELETE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit events are never deleted');
END;
