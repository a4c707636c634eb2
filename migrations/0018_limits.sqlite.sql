-- How much may be used: limits that administrators set, and budgets of tokens and money. The PostgreSQL text beside this one says the same.

-- subject is 'installation', or role:, user:, group: or key: and a name or an id. kind is a rate (`person_requests_per_minute`) or a budget
-- (`tokens_per_day`); cost is in millionths of the currency. No row: no limit here. crates/storage/src/limits.rs has all kinds.
CREATE TABLE limits (
    subject text NOT NULL,
    kind text NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (subject, kind)
);

-- The key that started the run, if one did: its budget counts too.
ALTER TABLE runs ADD COLUMN api_key_id text;

-- What is taken of the budgets of a day ('2026-11-30') or a month ('2026-11') in UTC: what was used and what is reserved.
CREATE TABLE budget_use (
    subject text NOT NULL,
    period text NOT NULL,
    tokens bigint NOT NULL,
    cost bigint NOT NULL,
    PRIMARY KEY (subject, period)
);

-- What a run that goes on is charged: settled_* for the rounds that ended, tokens and cost for these and the round that is being asked. The
-- prices are for a million tokens. If the row goes because its run does, what was reserved stays taken: nobody knows how much was used.
CREATE TABLE run_charges (
    run_id text PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    settled_tokens bigint NOT NULL,
    settled_cost bigint NOT NULL,
    tokens bigint NOT NULL,
    cost bigint NOT NULL,
    prompt_tokens bigint NOT NULL,
    input_price bigint NOT NULL,
    output_price bigint NOT NULL
);

-- Which budgets the run is charged to: those of the moment in which it first reserved.
CREATE TABLE run_budgets (
    run_id text NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    subject text NOT NULL,
    period text NOT NULL,
    PRIMARY KEY (run_id, subject, period)
);

CREATE INDEX run_budgets_of_subject ON run_budgets (subject, period);

-- What each run in progress has reserved of each of its budgets, beyond what its rounds used.
CREATE VIEW reserved_budgets AS
SELECT run_budgets.run_id, run_budgets.subject, run_budgets.period, run_charges.tokens - run_charges.settled_tokens AS tokens,
    run_charges.cost - run_charges.settled_cost AS cost
FROM run_budgets JOIN run_charges ON run_charges.run_id = run_budgets.run_id;

-- The present periods, by the database's clock.
CREATE VIEW budget_periods AS
SELECT 'day' AS length, strftime('%Y-%m-%d', 'now') AS name UNION ALL SELECT 'month', strftime('%Y-%m', 'now');

-- All budgets, and what is taken of each at present: reserved of it by runs in progress.
CREATE VIEW budgets AS
SELECT limits.subject, limits.kind, limits.amount, budget_periods.name AS period,
    COALESCE(CASE WHEN limits.kind LIKE 'tokens%' THEN budget_use.tokens ELSE budget_use.cost END, 0) AS taken,
    (SELECT CAST(COALESCE(SUM(CASE WHEN limits.kind LIKE 'tokens%' THEN reserved_budgets.tokens ELSE reserved_budgets.cost END), 0) AS bigint)
     FROM reserved_budgets WHERE reserved_budgets.subject = limits.subject AND reserved_budgets.period = budget_periods.name) AS reserved
FROM limits JOIN budget_periods ON limits.kind LIKE '%_per_' || budget_periods.length
LEFT JOIN budget_use ON budget_use.subject = limits.subject AND budget_use.period = budget_periods.name;

-- The budgets that a run is charged to, or would be, and how much is left in each for the round that it asks; reserved: by
-- other runs.
CREATE VIEW budgets_of_runs AS
SELECT runs.id AS run_id, budgets.subject, budgets.kind, budgets.amount, budgets.period, budgets.amount - budgets.taken AS room,
    budgets.reserved
FROM runs JOIN budgets ON budgets.subject = 'installation' OR budgets.subject = 'user:' || runs.user_id
    OR budgets.subject = 'key:' || runs.api_key_id
    OR budgets.subject IN (SELECT 'group:' || group_id FROM user_group_members WHERE user_group_members.user_id = runs.user_id)
WHERE NOT EXISTS (SELECT 1 FROM run_charges WHERE run_charges.run_id = runs.id)
UNION ALL
SELECT run_budgets.run_id, limits.subject, limits.kind, limits.amount, run_budgets.period,
    limits.amount - CASE WHEN limits.kind LIKE 'tokens%' THEN budget_use.tokens - run_charges.tokens + run_charges.settled_tokens
        ELSE budget_use.cost - run_charges.cost + run_charges.settled_cost END,
    (SELECT CAST(COALESCE(SUM(CASE WHEN limits.kind LIKE 'tokens%' THEN reserved_budgets.tokens ELSE reserved_budgets.cost END), 0) AS bigint)
     FROM reserved_budgets WHERE reserved_budgets.subject = run_budgets.subject AND reserved_budgets.period = run_budgets.period
        AND reserved_budgets.run_id <> run_budgets.run_id)
FROM run_charges JOIN run_budgets ON run_budgets.run_id = run_charges.run_id
JOIN limits ON limits.subject = run_budgets.subject
    AND limits.kind LIKE CASE length(run_budgets.period) WHEN 10 THEN '%_per_day' ELSE '%_per_month' END
JOIN budget_use ON budget_use.subject = run_budgets.subject AND budget_use.period = run_budgets.period;

-- Reserves tokens and cost for the next round of a run, in all of its budgets or in none. rooms says how much is left in each, and is_short
-- whether that is too little, by the rows as the statement found them.
CREATE VIEW budget_reservations AS
SELECT CAST(NULL AS text) AS run_id, CAST(NULL AS text) AS lease_owner, CAST(NULL AS bigint) AS tokens, CAST(NULL AS bigint) AS cost,
    CAST(NULL AS bigint) AS prompt_tokens, CAST(NULL AS bigint) AS input_price, CAST(NULL AS bigint) AS output_price, CAST(NULL AS text) AS rooms,
    CAST(NULL AS bigint) AS is_short
WHERE 1 = 0;

CREATE TRIGGER reserve_budget INSTEAD OF INSERT ON budget_reservations WHEN NEW.is_short = 0 AND NEW.rooms IS NOT NULL
BEGIN
    INSERT INTO run_budgets (run_id, subject, period)
    SELECT DISTINCT run_id, subject, period FROM budgets_of_runs WHERE run_id = NEW.run_id ON CONFLICT DO NOTHING;
    INSERT INTO budget_use (subject, period, tokens, cost)
    SELECT subject, period, 0, 0 FROM run_budgets WHERE run_id = NEW.run_id ON CONFLICT DO NOTHING;
    INSERT INTO run_charges (run_id, settled_tokens, settled_cost, tokens, cost, prompt_tokens, input_price, output_price)
    SELECT NEW.run_id, 0, 0, 0, 0, 0, 0, 0 WHERE 1 = 1 ON CONFLICT DO NOTHING;
    UPDATE run_charges SET tokens = settled_tokens + NEW.tokens, cost = settled_cost + NEW.cost, prompt_tokens = NEW.prompt_tokens,
        input_price = NEW.input_price, output_price = NEW.output_price
    WHERE run_id = NEW.run_id;
END;

-- Whatever changes a charge changes what is taken of its budgets.
CREATE TRIGGER count_charge AFTER UPDATE OF tokens, cost ON run_charges
BEGIN
    UPDATE budget_use SET tokens = tokens + NEW.tokens - OLD.tokens, cost = cost + NEW.cost - OLD.cost
    WHERE (subject, period) IN (SELECT run_budgets.subject, run_budgets.period FROM run_budgets WHERE run_budgets.run_id = NEW.run_id);
END;

-- A round whose tokens the model's server reported is settled when they are stored with the run. With its run a charge ends; what nobody has
-- settled by then stays taken. One trigger, because this must happen in this order.
CREATE TRIGGER settle_charge AFTER UPDATE OF prompt_tokens, completion_tokens, state ON runs
WHEN (NEW.prompt_tokens IS NOT OLD.prompt_tokens OR NEW.completion_tokens IS NOT OLD.completion_tokens
        OR NEW.state IN ('complete', 'error', 'cancelled'))
    AND EXISTS (SELECT 1 FROM run_charges WHERE run_charges.run_id = NEW.id)
BEGIN
    UPDATE run_charges SET
        settled_tokens = settled_tokens + COALESCE(NEW.prompt_tokens, 0) - COALESCE(OLD.prompt_tokens, 0)
            + COALESCE(NEW.completion_tokens, 0) - COALESCE(OLD.completion_tokens, 0),
        settled_cost = settled_cost + ((COALESCE(NEW.prompt_tokens, 0) - COALESCE(OLD.prompt_tokens, 0)) * input_price
            + (COALESCE(NEW.completion_tokens, 0) - COALESCE(OLD.completion_tokens, 0)) * output_price + 999999) / 1000000
    WHERE run_id = NEW.id
        AND (NEW.prompt_tokens IS NOT OLD.prompt_tokens OR NEW.completion_tokens IS NOT OLD.completion_tokens);
    UPDATE run_charges SET tokens = settled_tokens, cost = settled_cost
    WHERE run_id = NEW.id
        AND (NEW.prompt_tokens IS NOT OLD.prompt_tokens OR NEW.completion_tokens IS NOT OLD.completion_tokens);
    DELETE FROM run_budgets WHERE run_id = NEW.id AND NEW.state IN ('complete', 'error', 'cancelled');
    DELETE FROM run_charges WHERE run_id = NEW.id AND NEW.state IN ('complete', 'error', 'cancelled');
END;

-- As rate_takes in 0004, and says of each limit what was there before: its place in the array, and for how long it is not yet full again, in
-- microseconds: '1:0,2:6000000'.
CREATE VIEW quota_takes AS
SELECT CAST(NULL AS text) AS limits, CAST(NULL AS bigint) AS now_us, CAST(NULL AS bigint) AS retry_after_us,
    CAST(NULL AS text) AS states
WHERE 1 = 0;

CREATE TRIGGER take_quota INSTEAD OF INSERT ON quota_takes WHEN NEW.retry_after_us <= 0
BEGIN
    INSERT INTO rate_takes (limits, now_us, retry_after_us) VALUES (NEW.limits, NEW.now_us, NEW.retry_after_us);
END;

-- A person's message as in sent_messages, with the key that sent it and the limits that it takes from. If one of these has nothing left, nothing
-- is stored or taken.
CREATE VIEW limited_messages AS
SELECT CAST(NULL AS text) AS message_id, CAST(NULL AS text) AS conversation_id, CAST(NULL AS text) AS user_id,
    CAST(NULL AS text) AS run_id, CAST(NULL AS text) AS model, CAST(NULL AS bigint) AS position, CAST(NULL AS text) AS content,
    CAST(NULL AS text) AS title, CAST(NULL AS text) AS idempotency_key, CAST(NULL AS bigint) AS size,
    CAST(NULL AS bigint) AS created_at, CAST(NULL AS text) AS api_key_id, CAST(NULL AS text) AS limits,
    CAST(NULL AS bigint) AS now_us, CAST(NULL AS bigint) AS retry_after_us, CAST(NULL AS text) AS states
WHERE 1 = 0;

CREATE TRIGGER send_limited_message INSTEAD OF INSERT ON limited_messages WHEN NEW.retry_after_us <= 0
BEGIN
    INSERT INTO rate_takes (limits, now_us, retry_after_us)
    SELECT NEW.limits, NEW.now_us, NEW.retry_after_us WHERE NEW.limits IS NOT NULL;
    INSERT INTO sent_messages (message_id, conversation_id, user_id, run_id, model, position, content, title, idempotency_key, size,
        created_at)
    VALUES (NEW.message_id, NEW.conversation_id, NEW.user_id, NEW.run_id, NEW.model, NEW.position, NEW.content, NEW.title,
        NEW.idempotency_key, NEW.size, NEW.created_at);
    UPDATE runs SET api_key_id = NEW.api_key_id WHERE id = NEW.run_id AND NEW.api_key_id IS NOT NULL;
END;

-- All limits of one subject at once: an object of kinds and amounts.
CREATE VIEW limit_changes AS
SELECT CAST(NULL AS text) AS subject, CAST(NULL AS text) AS limits WHERE 1 = 0;

CREATE TRIGGER change_limits INSTEAD OF INSERT ON limit_changes
BEGIN
    DELETE FROM limits WHERE subject = NEW.subject;
    INSERT INTO limits (subject, kind, amount) SELECT NEW.subject, key, value FROM json_each(NEW.limits);
END;

-- Whatever gets the same name later begins without limits.
CREATE TRIGGER forget_limits_of_role AFTER DELETE ON roles
BEGIN
    DELETE FROM limits WHERE subject = 'role:' || OLD.name;
END;

CREATE TRIGGER forget_limits_of_user AFTER DELETE ON users
BEGIN
    DELETE FROM limits WHERE subject = 'user:' || OLD.id;
END;

CREATE TRIGGER forget_limits_of_group AFTER DELETE ON user_groups
BEGIN
    DELETE FROM limits WHERE subject = 'group:' || OLD.id;
END;

CREATE TRIGGER forget_limits_of_key AFTER DELETE ON api_keys
BEGIN
    DELETE FROM limits WHERE subject = 'key:' || OLD.id;
END;
