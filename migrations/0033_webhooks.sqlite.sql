-- Webhooks: what happened is told to addresses that people and administrators name (docs/adr/0050). 0002 says what a command is; the PostgreSQL text beside
-- this one says the same.

-- user_id is whose events are told; null: everybody's, for the installation. server is scheme, host and port of the address; events are types with a space
-- before and behind each. sealed has the whole address and the secret, sealed with the master key. free_at is when the next message may be sent: the end of a
-- sender's turn, whose id is turn, or of a pause after a failure. failures counts attempts in a row; given_up and dropped count messages that will not be sent. answer is what
-- the last attempt came to, in a word of ours. stopped_at: the receiver said that it is gone for good.
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

-- What waits to be sent: a row goes when its receiver has it, or when it is given up. id is the event's, the same for all webhooks that tell it.
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

-- Budgets of which was told that they are reached: once in each day or month, and again if the amount is changed.
CREATE TABLE budgets_reached (
    subject text NOT NULL,
    kind text NOT NULL,
    period text NOT NULL,
    amount bigint NOT NULL,
    reached_at bigint NOT NULL,
    PRIMARY KEY (subject, kind, period, amount)
);

-- An event, for whoever wants to be told. A queue of a thousand is that of a receiver that has been away for long: what comes then is counted and dropped, so
-- that nobody's absence fills the database. Whoever is suspended is told nothing.
CREATE VIEW webhook_events AS
SELECT CAST(NULL AS text) AS id, CAST(NULL AS text) AS type, CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS data,
    CAST(NULL AS bigint) AS occurred_at
WHERE 1 = 0;

-- The webhooks to which something may be told.
CREATE VIEW hearing_webhooks AS
SELECT webhooks.id, webhooks.user_id, webhooks.events,
    (SELECT COUNT(*) FROM webhook_deliveries WHERE webhook_deliveries.webhook_id = webhooks.id) >= 1000 AS is_full
FROM webhooks
WHERE stopped_at IS NULL AND NOT EXISTS (SELECT 1 FROM users WHERE users.id = webhooks.user_id AND users.suspended_at IS NOT NULL);

CREATE TRIGGER queue_webhook_event INSTEAD OF INSERT ON webhook_events
BEGIN
    UPDATE webhooks SET dropped = dropped + 1
    WHERE id IN (SELECT id FROM hearing_webhooks WHERE (user_id IS NULL OR user_id = NEW.user_id) AND events LIKE '% ' || NEW.type || ' %' AND is_full);
    INSERT INTO webhook_deliveries (webhook_id, id, type, data, occurred_at, attempts, due_at)
    SELECT id, NEW.id, NEW.type, NEW.data, NEW.occurred_at, 0, NEW.occurred_at FROM hearing_webhooks
    WHERE (user_id IS NULL OR user_id = NEW.user_id) AND events LIKE '% ' || NEW.type || ' %' AND NOT is_full
    ON CONFLICT DO NOTHING;
END;

-- A new webhook, if its owner has fewer than the most.
CREATE VIEW new_webhooks AS
SELECT CAST(NULL AS text) AS id, CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS server, CAST(NULL AS text) AS events,
    CAST(NULL AS text) AS sealed, CAST(NULL AS bigint) AS created_at, CAST(NULL AS bigint) AS most
WHERE 1 = 0;

CREATE TRIGGER add_webhook INSTEAD OF INSERT ON new_webhooks
BEGIN
    INSERT INTO webhooks (id, user_id, server, events, sealed, created_at, free_at, failures, given_up, dropped)
    VALUES (NEW.id, NEW.user_id, NEW.server, NEW.events, NEW.sealed, NEW.created_at, 0, 0, 0, 0)
    ON CONFLICT DO NOTHING;
END;

-- What an attempt came to, in the turn of its sender: of one that was late and lost the turn, nothing is stored. next_turn is null if the turn ends. retry_at
-- is null if there is no further attempt: the receiver has the message, or it is given up.
CREATE VIEW webhook_attempts AS
SELECT CAST(NULL AS text) AS webhook_id, CAST(NULL AS text) AS turn, CAST(NULL AS text) AS id, CAST(NULL AS bigint) AS attempts,
    CAST(NULL AS text) AS answer, CAST(NULL AS bigint) AS is_delivered, CAST(NULL AS bigint) AS is_gone, CAST(NULL AS bigint) AS attempted_at,
    CAST(NULL AS bigint) AS retry_at, CAST(NULL AS bigint) AS free_at, CAST(NULL AS text) AS next_turn
WHERE 1 = 0;

CREATE TRIGGER take_webhook_attempt INSTEAD OF INSERT ON webhook_attempts
BEGIN
    UPDATE webhooks SET attempted_at = NEW.attempted_at, answer = NEW.answer, free_at = NEW.free_at, turn = NEW.next_turn,
        delivered_at = CASE WHEN NEW.is_delivered = 1 THEN NEW.attempted_at ELSE delivered_at END,
        failures = CASE WHEN NEW.is_delivered = 1 THEN 0 ELSE failures + 1 END,
        given_up = given_up + CASE WHEN NEW.is_delivered = 0 AND NEW.retry_at IS NULL THEN 1 ELSE 0 END,
        stopped_at = CASE WHEN NEW.is_gone = 1 THEN NEW.attempted_at ELSE stopped_at END
    WHERE id = NEW.webhook_id AND turn = NEW.turn;
    UPDATE webhook_deliveries SET attempts = NEW.attempts, due_at = NEW.retry_at
    WHERE webhook_id = NEW.webhook_id AND id = NEW.id AND NEW.retry_at IS NOT NULL;
    DELETE FROM webhook_deliveries
    WHERE webhook_id = NEW.webhook_id AND (id = NEW.id AND NEW.retry_at IS NULL OR NEW.is_gone = 1);
END;

-- A run's end. What is copied into a database is old, and told to nobody; runs are copied with their end, so only the triggers for new rows look at the time.
-- Not with IN: SQLite makes a table of each such list, which takes longer than the rest.
CREATE TRIGGER tell_end_of_run AFTER UPDATE OF state ON runs
WHEN (NEW.state = 'complete' OR NEW.state = 'error' OR NEW.state = 'cancelled')
    AND OLD.state <> 'complete' AND OLD.state <> 'error' AND OLD.state <> 'cancelled' AND EXISTS (SELECT 1 FROM webhooks)
BEGIN
    INSERT INTO webhook_events (id, type, user_id, data, occurred_at)
    SELECT 'evt_' || lower(hex(randomblob(16))), 'run.ended', NEW.user_id,
        json_object('run_id', NEW.id, 'conversation_id', NEW.conversation_id, 'user_id', NEW.user_id, 'state', NEW.state,
            'error_code', NEW.error_code),
        NEW.updated_at;
END;

CREATE TRIGGER tell_question AFTER INSERT ON approvals
WHEN NEW.decision IS NULL AND NEW.created_at > CAST(unixepoch('subsec') * 1000 AS INTEGER) - 60000 AND EXISTS (SELECT 1 FROM webhooks)
BEGIN
    INSERT INTO webhook_events (id, type, user_id, data, occurred_at)
    SELECT 'evt_' || lower(hex(randomblob(16))), 'approval.needed', NEW.user_id,
        json_object('run_id', NEW.run_id, 'conversation_id', (SELECT conversation_id FROM runs WHERE id = NEW.run_id),
            'user_id', NEW.user_id, 'call_id', NEW.call_id, 'server', NEW.server, 'tool', NEW.tool),
        NEW.created_at;
END;

CREATE TRIGGER tell_record AFTER INSERT ON audit_events
WHEN NEW.at > CAST(unixepoch('subsec') * 1000 AS INTEGER) - 60000 AND EXISTS (SELECT 1 FROM webhooks WHERE user_id IS NULL)
BEGIN
    INSERT INTO webhook_events (id, type, user_id, data, occurred_at)
    SELECT 'evt_' || NEW.id, 'audit.recorded', NULL,
        json_object('id', NEW.id, 'user_id', NEW.user_id, 'action', NEW.action, 'subject', NEW.subject, 'run_id', NEW.run_id,
            'call_id', NEW.call_id, 'outcome', NEW.outcome),
        NEW.at;
END;

-- A budget is reached when what was used of it, without what is only reserved, is as much as it is: after the last round or request that fitted. Nothing is
-- said when an administrator makes a budget less than what was used, and nothing is looked at while nobody wants to be told.
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

CREATE TRIGGER notice_reached_budget AFTER UPDATE OF tokens, cost ON budget_use
WHEN EXISTS (SELECT 1 FROM webhooks WHERE webhooks.user_id IS NULL)
BEGIN
    INSERT INTO budgets_reached (subject, kind, period, amount, reached_at)
    SELECT subject, kind, period, amount, CAST(unixepoch('subsec') * 1000 AS INTEGER) FROM reached_budgets
    WHERE subject = NEW.subject AND period = NEW.period
    ON CONFLICT DO NOTHING;
END;

-- A request of a program is charged before it reserves nothing more.
CREATE TRIGGER notice_budget_of_request AFTER DELETE ON model_request_charges
WHEN EXISTS (SELECT 1 FROM webhooks WHERE webhooks.user_id IS NULL)
BEGIN
    INSERT INTO budgets_reached (subject, kind, period, amount, reached_at)
    SELECT subject, kind, period, amount, CAST(unixepoch('subsec') * 1000 AS INTEGER) FROM reached_budgets
    WHERE subject = OLD.subject AND period = OLD.period
    ON CONFLICT DO NOTHING;
END;

-- Or when it has too little left for a run's next request and the shortest answer (MIN_ANSWER_TOKENS in crates/orchestrator/src/budget.rs), also without what
-- others have reserved: then the run ends for it.
CREATE TRIGGER notice_short_budget INSTEAD OF INSERT ON budget_reservations
WHEN NEW.is_short = 1 AND EXISTS (SELECT 1 FROM webhooks WHERE webhooks.user_id IS NULL)
BEGIN
    INSERT INTO budgets_reached (subject, kind, period, amount, reached_at)
    SELECT subject, kind, period, amount, CAST(unixepoch('subsec') * 1000 AS INTEGER) FROM budgets_of_runs
    WHERE run_id = NEW.run_id AND room + reserved < CASE WHEN kind LIKE 'tokens%' THEN NEW.prompt_tokens + 256
        ELSE (NEW.prompt_tokens * NEW.input_price + 256 * NEW.output_price + 999999) / 1000000 END
    ON CONFLICT DO NOTHING;
END;

-- Rows go with one that comes after forty days, when their days and months are over, and those of a person with the account.
CREATE TRIGGER tell_reached_budget AFTER INSERT ON budgets_reached
WHEN NEW.reached_at > CAST(unixepoch('subsec') * 1000 AS INTEGER) - 60000
BEGIN
    DELETE FROM budgets_reached WHERE reached_at < NEW.reached_at - 3456000000;
    INSERT INTO webhook_events (id, type, user_id, data, occurred_at)
    SELECT 'evt_' || lower(hex(randomblob(16))), 'budget.reached', NULL,
        json_object('subject', NEW.subject, 'kind', NEW.kind, 'period', NEW.period, 'amount', NEW.amount),
        NEW.reached_at;
END;

CREATE TRIGGER forget_reached_budgets_of_user AFTER DELETE ON users
BEGIN
    DELETE FROM budgets_reached WHERE subject = 'user:' || OLD.id;
END;
