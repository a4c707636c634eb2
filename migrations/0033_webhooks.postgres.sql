-- Webhooks, as in the SQLite text beside this one, which says what everything is for.

CREATE TABLE webhooks (
    id text PRIMARY KEY,
    user_id text REFERENCES users (id) ON DELETE CASCADE,
    server text NOT NULL,
    events text NOT NULL,
    sealed text NOT NULL,
    created_at bigint NOT NULL,
    free_at bigint NOT NULL,
    turn text,
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

CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, due_at);

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
DECLARE
    receiver record;
BEGIN
    -- Locked, so that one that is being removed is waited for and then not told. What is counted of a full queue is left out while somebody else changes the
    -- row: nobody may wait here for a receiver, and two events must not wait for each other.
    FOR receiver IN
        SELECT webhooks.id FROM webhooks
        WHERE (user_id IS NULL OR user_id = NEW.user_id) AND stopped_at IS NULL AND events LIKE '% ' || NEW.type || ' %'
            AND NOT EXISTS (SELECT 1 FROM users WHERE users.id = webhooks.user_id AND users.suspended_at IS NOT NULL)
        FOR KEY SHARE OF webhooks
    LOOP
        IF (SELECT COUNT(*) FROM webhook_deliveries WHERE webhook_id = receiver.id) < 1000 THEN
            INSERT INTO webhook_deliveries (webhook_id, id, type, data, occurred_at, attempts, due_at)
            VALUES (receiver.id, NEW.id, NEW.type, NEW.data, NEW.occurred_at, 0, NEW.occurred_at)
            ON CONFLICT DO NOTHING;
        ELSE
            UPDATE webhooks SET dropped = dropped + 1
            WHERE id = (SELECT locked.id FROM webhooks AS locked WHERE locked.id = receiver.id FOR NO KEY UPDATE SKIP LOCKED);
        END IF;
    END LOOP;
    RETURN NEW;
END
$$;

CREATE TRIGGER queue_webhook_event INSTEAD OF INSERT ON webhook_events FOR EACH ROW EXECUTE FUNCTION queue_webhook_event();

CREATE VIEW new_webhooks AS
SELECT CAST(NULL AS text) AS id, CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS server, CAST(NULL AS text) AS events,
    CAST(NULL AS text) AS sealed, CAST(NULL AS bigint) AS created_at, CAST(NULL AS bigint) AS most
WHERE 1 = 0;

CREATE FUNCTION add_webhook() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- One after the other: who comes second counts the first.
    PERFORM pg_advisory_xact_lock(hashtext('add_webhook'));
    IF (SELECT COUNT(*) FROM webhooks WHERE user_id IS NOT DISTINCT FROM NEW.user_id AND id <> NEW.id) >= NEW.most THEN
        RETURN NULL;
    END IF;
    INSERT INTO webhooks (id, user_id, server, events, sealed, created_at, free_at, failures, given_up, dropped)
    VALUES (NEW.id, NEW.user_id, NEW.server, NEW.events, NEW.sealed, NEW.created_at, 0, 0, 0, 0)
    ON CONFLICT DO NOTHING;
    RETURN NEW;
END
$$;

CREATE TRIGGER add_webhook INSTEAD OF INSERT ON new_webhooks FOR EACH ROW EXECUTE FUNCTION add_webhook();

CREATE VIEW webhook_attempts AS
SELECT CAST(NULL AS text) AS webhook_id, CAST(NULL AS text) AS turn, CAST(NULL AS text) AS id, CAST(NULL AS bigint) AS attempts,
    CAST(NULL AS text) AS answer, CAST(NULL AS bigint) AS is_delivered, CAST(NULL AS bigint) AS is_gone, CAST(NULL AS bigint) AS attempted_at,
    CAST(NULL AS bigint) AS retry_at, CAST(NULL AS bigint) AS free_at, CAST(NULL AS text) AS next_turn
WHERE 1 = 0;

CREATE FUNCTION take_webhook_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE webhooks SET attempted_at = NEW.attempted_at, answer = NEW.answer, free_at = NEW.free_at, turn = NEW.next_turn,
        delivered_at = CASE WHEN NEW.is_delivered = 1 THEN NEW.attempted_at ELSE delivered_at END,
        failures = CASE WHEN NEW.is_delivered = 1 THEN 0 ELSE failures + 1 END,
        given_up = given_up + CASE WHEN NEW.is_delivered = 0 AND NEW.retry_at IS NULL THEN 1 ELSE 0 END,
        stopped_at = CASE WHEN NEW.is_gone = 1 THEN NEW.attempted_at ELSE stopped_at END
    WHERE id = NEW.webhook_id AND turn = NEW.turn;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
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

CREATE VIEW reached_budgets AS
SELECT limits.subject, limits.kind, budget_use.period, limits.amount
FROM limits JOIN budget_use ON budget_use.subject = limits.subject
    AND limits.kind LIKE CASE length(budget_use.period) WHEN 10 THEN '%_per_day' ELSE '%_per_month' END
WHERE limits.amount <= CASE WHEN limits.kind LIKE 'tokens%'
    THEN budget_use.tokens
        - (SELECT COALESCE(SUM(runs.tokens), 0) FROM reserved_budgets AS runs WHERE runs.subject = budget_use.subject AND runs.period = budget_use.period)
        - (SELECT COALESCE(SUM(requests.tokens), 0) FROM reserved_by_model_requests AS requests
            WHERE requests.subject = budget_use.subject AND requests.period = budget_use.period)
    ELSE budget_use.cost
        - (SELECT COALESCE(SUM(runs.cost), 0) FROM reserved_budgets AS runs WHERE runs.subject = budget_use.subject AND runs.period = budget_use.period)
        - (SELECT COALESCE(SUM(requests.cost), 0) FROM reserved_by_model_requests AS requests
            WHERE requests.subject = budget_use.subject AND requests.period = budget_use.period) END;

-- Whether somebody wants to be told about budgets.
CREATE FUNCTION tells_budgets() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM webhooks WHERE webhooks.user_id IS NULL)
$$;

CREATE FUNCTION notice_reached_budget() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed record;
BEGIN
    IF tells_budgets() THEN
        IF TG_OP = 'DELETE' THEN
            changed := OLD;
        ELSE
            changed := NEW;
        END IF;
        INSERT INTO budgets_reached (subject, kind, period, amount, reached_at)
        SELECT subject, kind, period, amount, CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) FROM reached_budgets
        WHERE subject = changed.subject AND period = changed.period
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER notice_reached_budget AFTER UPDATE OF tokens, cost ON budget_use FOR EACH ROW EXECUTE FUNCTION notice_reached_budget();

CREATE TRIGGER notice_budget_of_request AFTER DELETE ON model_request_charges FOR EACH ROW EXECUTE FUNCTION notice_reached_budget();

-- Called after reserve_budget, by its name.
CREATE FUNCTION reserve_budget_was_short() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.is_short = 1 AND tells_budgets() THEN
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
    IF NEW.reached_at > CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) - 60000 THEN
        DELETE FROM budgets_reached WHERE reached_at < NEW.reached_at - 3456000000;
        INSERT INTO webhook_events (id, type, user_id, data, occurred_at)
        SELECT webhook_event_id(), 'budget.reached', NULL,
            CAST(json_build_object('subject', NEW.subject, 'kind', NEW.kind, 'period', NEW.period, 'amount', NEW.amount) AS text),
            NEW.reached_at;
    END IF;
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
