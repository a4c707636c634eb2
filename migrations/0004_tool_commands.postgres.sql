-- Commands about tools, as in the SQLite text beside this one, which says what they are for.

CREATE VIEW approval_decisions AS
SELECT CAST(NULL AS text) AS run_id, CAST(NULL AS text) AS call_id, CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS pattern,
    CAST(NULL AS text) AS decision, CAST(NULL AS bigint) AS may_add, CAST(NULL AS text) AS audit_id,
    CAST(NULL AS bigint) AS decided_at
WHERE 1 = 0;

CREATE FUNCTION decide_approval() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Two may decide at once: the first counts.
    UPDATE approvals SET decision = NEW.decision, decided_at = NEW.decided_at
    WHERE run_id = NEW.run_id AND call_id = NEW.call_id AND decision IS NULL;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO tool_policies (user_id, pattern, effect, created_at)
    SELECT NEW.user_id, NEW.pattern, 'allow', NEW.decided_at
    WHERE NEW.decision = 'allow_always' AND NEW.may_add = 1 AND NEW.pattern NOT LIKE '%*%'
    ON CONFLICT (user_id, pattern) DO UPDATE SET effect = 'allow', created_at = excluded.created_at
    WHERE tool_policies.effect = 'ask';
    INSERT INTO audit_events (id, at, user_id, action, subject, run_id, call_id, outcome)
    VALUES (NEW.audit_id, NEW.decided_at, NEW.user_id, 'approval.decide', NEW.pattern, NEW.run_id, NEW.call_id, NEW.decision);
    RETURN NEW;
END
$$;

CREATE TRIGGER decide_approval INSTEAD OF INSERT ON approval_decisions FOR EACH ROW EXECUTE FUNCTION decide_approval();

CREATE FUNCTION close_question() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE approvals SET expires_at = LEAST(expires_at, NEW.created_at)
    WHERE run_id = NEW.run_id AND call_id = NEW.tool_call_id AND decision IS NULL;
    RETURN NULL;
END
$$;

CREATE TRIGGER close_question AFTER INSERT ON messages FOR EACH ROW WHEN (NEW.tool_call_id IS NOT NULL)
    EXECUTE FUNCTION close_question();

CREATE VIEW rate_takes AS
SELECT CAST(NULL AS text) AS limits, CAST(NULL AS bigint) AS now_us, CAST(NULL AS bigint) AS retry_after_us
WHERE 1 = 0;

CREATE FUNCTION take_rate() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    asked record;
    stored bigint;
BEGIN
    IF NEW.retry_after_us > 0 THEN
        RETURN NEW;
    END IF;
    -- All rows there and ours, in one order for everybody, and judged again.
    FOR asked IN
        SELECT * FROM json_to_recordset(CAST(NEW.limits AS json)) AS limits (key text, interval_us bigint, tolerance_us bigint)
        ORDER BY limits.key COLLATE "C"
    LOOP
        INSERT INTO rate_limits (key, full_at) VALUES (asked.key, 0)
        ON CONFLICT (key) DO UPDATE SET full_at = rate_limits.full_at RETURNING full_at INTO stored;
        NEW.retry_after_us := GREATEST(NEW.retry_after_us,
            asked.interval_us - asked.tolerance_us + GREATEST(stored - NEW.now_us, 0));
    END LOOP;
    IF NEW.retry_after_us > 0 THEN
        RETURN NEW;
    END IF;
    FOR asked IN
        SELECT * FROM json_to_recordset(CAST(NEW.limits AS json)) AS limits (key text, interval_us bigint)
    LOOP
        UPDATE rate_limits SET full_at = GREATEST(full_at, NEW.now_us) + asked.interval_us WHERE key = asked.key;
    END LOOP;
    DELETE FROM rate_limits WHERE key = ANY (ARRAY(
        SELECT key FROM rate_limits WHERE full_at < NEW.now_us - 60000000 ORDER BY full_at LIMIT 8 FOR UPDATE SKIP LOCKED));
    RETURN NEW;
END
$$;

CREATE TRIGGER take_rate INSTEAD OF INSERT ON rate_takes FOR EACH ROW EXECUTE FUNCTION take_rate();

CREATE FUNCTION refuse_to_change_audit_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit events are never changed or deleted';
END
$$;

CREATE TRIGGER audit_events_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_audit_events();
