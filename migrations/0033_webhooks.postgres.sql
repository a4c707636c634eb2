-- Webhooks, as in the SQLite text beside this one, which says what everything is for.

CREATE TABLE webhooks (
    id text PRIMARY KEY,
    user_id text REFERENCES users (id) ON DELETE CASCADE,
    server text NOT NULL,
    events text NOT NULL,
    sealed text NOT NULL,
    created_at bigint NOT NULL,
    free_at bigint NOT NULL,
    failures bigint NOT NULL,
    given_up bigint NOT NULL,
    dropped bigint NOT NULL,
    attempted_at bigint,
    answer text,
    delivered_at bigint,
    stopped_at bigint
);

CREATE INDEX webhooks_of_user ON webhooks (user_id);

CREATE TABLE webhook_deliveries (
    webhook_id text NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    id text NOT NULL,
    type text NOT NULL,
    data text NOT NULL,
    occurred_at bigint NOT NULL,
    attempts bigint NOT NULL,
    due_at bigint NOT NULL,
    PRIMARY KEY (webhook_id, id)
);

CREATE INDEX webhook_deliveries_due ON webhook_deliveries (due_at, webhook_id);

CREATE TABLE budgets_reached (
    subject text NOT NULL,
    kind text NOT NULL,
    period text NOT NULL,
    amount bigint NOT NULL,
    reached_at bigint NOT NULL,
    PRIMARY KEY (subject, kind, period, amount)
);

CREATE VIEW webhook_events AS
SELECT CAST(NULL AS text) AS id, CAST(NULL AS text) AS type, CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS data,
    CAST(NULL AS bigint) AS occurred_at
WHERE 1 = 0;

CREATE FUNCTION queue_webhook_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE webhooks SET dropped = dropped + 1
    WHERE (user_id IS NULL OR user_id = NEW.user_id) AND stopped_at IS NULL AND events LIKE '% ' || NEW.type || ' %'
        AND (SELECT COUNT(*) FROM webhook_deliveries WHERE webhook_id = webhooks.id) >= 1000;
    INSERT INTO webhook_deliveries (webhook_id, id, type, data, occurred_at, attempts, due_at)
    SELECT webhooks.id, NEW.id, NEW.type, NEW.data, NEW.occurred_at, 0, NEW.occurred_at FROM webhooks
    WHERE (user_id IS NULL OR user_id = NEW.user_id) AND stopped_at IS NULL AND events LIKE '% ' || NEW.type || ' %'
        AND (SELECT COUNT(*) FROM webhook_deliveries WHERE webhook_id = webhooks.id) < 1000
        AND NOT EXISTS (SELECT 1 FROM users WHERE users.id = webhooks.user_id AND users.suspended_at IS NOT NULL)
    ON CONFLICT DO NOTHING;
    RETURN NEW;
END
$$;

CREATE TRIGGER queue_webhook_event INSTEAD OF INSERT ON webhook_events FOR EACH ROW EXECUTE FUNCTION queue_webhook_event();

CREATE VIEW webhook_attempts AS
SELECT CAST(NULL AS text) AS webhook_id, CAST(NULL AS text) AS id, CAST(NULL AS bigint) AS attempts, CAST(NULL AS text) AS answer,
    CAST(NULL AS bigint) AS is_delivered, CAST(NULL AS bigint) AS is_gone, CAST(NULL AS bigint) AS attempted_at, CAST(NULL AS bigint) AS retry_at,
    CAST(NULL AS bigint) AS free_at
WHERE 1 = 0;

CREATE FUNCTION take_webhook_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE webhooks SET attempted_at = NEW.attempted_at, answer = NEW.answer, free_at = NEW.free_at,
        delivered_at = CASE WHEN NEW.is_delivered = 1 THEN NEW.attempted_at ELSE delivered_at END,
        failures = CASE WHEN NEW.is_delivered = 1 THEN 0 ELSE failures + 1 END,
        given_up = given_up + CASE WHEN NEW.is_delivered = 0 AND NEW.retry_at IS NULL THEN 1 ELSE 0 END,
        stopped_at = CASE WHEN NEW.is_gone = 1 THEN NEW.attempted_at ELSE stopped_at END
    WHERE id = NEW.webhook_id AND EXISTS (SELECT 1 FROM webhook_deliveries WHERE webhook_id = NEW.webhook_id AND id = NEW.id);
    UPDATE webhook_deliveries SET attempts = NEW.attempts, due_at = NEW.retry_at
    WHERE webhook_id = NEW.webhook_id AND id = NEW.id AND NEW.retry_at IS NOT NULL;
    DELETE FROM webhook_deliveries
    WHERE webhook_id = NEW.webhook_id AND (id = NEW.id AND NEW.retry_at IS NULL OR NEW.is_gone = 1);
    RETURN NEW;
END
$$;

CREATE TRIGGER take_webhook_attempt INSTEAD OF INSERT ON webhook_attempts FOR EACH ROW EXECUTE FUNCTION take_webhook_attempt();

-- The id of an event that has no other.
CREATE FUNCTION webhook_event_id() RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT 'evt_' || replace(CAST(gen_random_uuid() AS text), '-', '')
$$;

CREATE FUNCTION tell_end_of_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM webhooks) THEN
        INSERT INTO webhook_events (id, type, user_id, data, occurred_at)
        SELECT webhook_event_id(), 'run.ended', NEW.user_id,
            CAST(json_build_object('run_id', NEW.id, 'conversation_id', NEW.conversation_id, 'user_id', NEW.user_id, 'state', NEW.state,
                'error_code', NEW.error_code) AS text),
            NEW.updated_at;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER tell_end_of_run AFTER UPDATE OF state ON runs FOR EACH ROW
    WHEN (NEW.state IN ('complete', 'error', 'cancelled') AND OLD.state NOT IN ('complete', 'error', 'cancelled'))
    EXECUTE FUNCTION tell_end_of_run();

CREATE FUNCTION tell_question() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.created_at > CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) - 60000 AND EXISTS (SELECT 1 FROM webhooks) THEN
        INSERT INTO webhook_events (id, type, user_id, data, occurred_at)
        SELECT webhook_event_id(), 'approval.needed', NEW.user_id,
            CAST(json_build_object('run_id', NEW.run_id, 'conversation_id', (SELECT conversation_id FROM runs WHERE id = NEW.run_id),
                'user_id', NEW.user_id, 'call_id', NEW.call_id, 'server', NEW.server, 'tool', NEW.tool) AS text),
            NEW.created_at;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER tell_question AFTER INSERT ON approvals FOR EACH ROW WHEN (NEW.decision IS NULL) EXECUTE FUNCTION tell_question();

CREATE FUNCTION tell_record() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.at > CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) - 60000
        AND EXISTS (SELECT 1 FROM webhooks WHERE user_id IS NULL) THEN
        INSERT INTO webhook_events (id, type, user_id, data, occurred_at)
        SELECT 'evt_' || NEW.id, 'audit.recorded', NULL,
            CAST(json_build_object('id', NEW.id, 'user_id', NEW.user_id, 'action', NEW.action, 'subject', NEW.subject, 'run_id', NEW.run_id,
                'call_id', NEW.call_id, 'outcome', NEW.outcome) AS text),
            NEW.at;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER tell_record AFTER INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION tell_record();

CREATE FUNCTION notice_reached_budget() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO budgets_reached (subject, kind, period, amount, reached_at)
    SELECT limits.subject, limits.kind, NEW.period, limits.amount, CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) FROM limits
    WHERE limits.subject = NEW.subject
        AND limits.kind LIKE CASE length(NEW.period) WHEN 10 THEN '%_per_day' ELSE '%_per_month' END
        AND limits.amount <= CASE WHEN limits.kind LIKE 'tokens%'
            THEN NEW.tokens - (SELECT COALESCE(SUM(tokens), 0) FROM reserved_budgets WHERE subject = NEW.subject AND period = NEW.period)
            ELSE NEW.cost - (SELECT COALESCE(SUM(cost), 0) FROM reserved_budgets WHERE subject = NEW.subject AND period = NEW.period) END
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER notice_reached_budget AFTER UPDATE OF tokens, cost ON budget_use FOR EACH ROW EXECUTE FUNCTION notice_reached_budget();

-- Called after reserve_budget, by its name.
CREATE FUNCTION reserve_budget_was_short() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.is_short = 1 THEN
        INSERT INTO budgets_reached (subject, kind, period, amount, reached_at)
        SELECT subject, kind, period, amount, CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) FROM budgets_of_runs
        WHERE run_id = NEW.run_id AND room + reserved < CASE WHEN kind LIKE 'tokens%' THEN NEW.prompt_tokens + 256
            ELSE (NEW.prompt_tokens * NEW.input_price + 256 * NEW.output_price + 999999) / 1000000 END
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER reserve_budget_was_short INSTEAD OF INSERT ON budget_reservations
    FOR EACH ROW EXECUTE FUNCTION reserve_budget_was_short();

CREATE FUNCTION tell_reached_budget() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.reached_at <= CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) - 60000 THEN
        RETURN NULL;
    END IF;
    DELETE FROM budgets_reached WHERE period NOT IN (SELECT name FROM budget_periods);
    INSERT INTO webhook_events (id, type, user_id, data, occurred_at)
    SELECT webhook_event_id(), 'budget.reached', NULL,
        CAST(json_build_object('subject', NEW.subject, 'kind', NEW.kind, 'period', NEW.period, 'amount', NEW.amount) AS text),
        NEW.reached_at
    WHERE EXISTS (SELECT 1 FROM webhooks WHERE webhooks.user_id IS NULL);
    RETURN NULL;
END
$$;

CREATE TRIGGER tell_reached_budget AFTER INSERT ON budgets_reached FOR EACH ROW EXECUTE FUNCTION tell_reached_budget();

CREATE FUNCTION forget_reached_budgets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM budgets_reached WHERE subject = 'user:' || OLD.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER forget_reached_budgets_of_user AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION forget_reached_budgets();
