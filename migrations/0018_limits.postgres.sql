-- How much may be used, as in the SQLite text beside this one, which says what each is for. Rows of budgets are locked in one order.

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
SELECT 'day' AS length, to_char(statement_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS name
UNION ALL SELECT 'month', to_char(statement_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM');

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

CREATE FUNCTION lock_budgets(of_run text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM budget_use JOIN run_budgets ON run_budgets.subject = budget_use.subject AND run_budgets.period = budget_use.period
    WHERE run_budgets.run_id = of_run ORDER BY budget_use.subject COLLATE "C", budget_use.period COLLATE "C" FOR UPDATE OF budget_use;
END
$$;

-- Reserves tokens and cost for the next round of a run, in all of its budgets or in none. rooms says how much is left in each, and is_short
-- whether that is too little, by the rows as the statement found them.
CREATE VIEW budget_reservations AS
SELECT CAST(NULL AS text) AS run_id, CAST(NULL AS text) AS lease_owner, CAST(NULL AS bigint) AS tokens, CAST(NULL AS bigint) AS cost,
    CAST(NULL AS bigint) AS prompt_tokens, CAST(NULL AS bigint) AS input_price, CAST(NULL AS bigint) AS output_price, CAST(NULL AS text) AS rooms,
    CAST(NULL AS bigint) AS is_short
WHERE 1 = 0;

CREATE FUNCTION reserve_budget() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.is_short <> 0 OR NEW.rooms IS NULL THEN
        RETURN NEW;
    END IF;
    -- The lease holds until this is committed. The run is locked before its budgets, as when it ends.
    PERFORM 1 FROM runs WHERE id = NEW.run_id AND lease_owner = NEW.lease_owner FOR SHARE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO run_budgets (run_id, subject, period)
    SELECT DISTINCT run_id, subject, period FROM budgets_of_runs WHERE run_id = NEW.run_id ON CONFLICT DO NOTHING;
    INSERT INTO budget_use (subject, period, tokens, cost)
    SELECT subject, period, 0, 0 FROM run_budgets WHERE run_id = NEW.run_id
    ORDER BY subject COLLATE "C", period COLLATE "C" ON CONFLICT DO NOTHING;
    PERFORM lock_budgets(NEW.run_id);
    -- All rows are there and ours: judged again.
    SELECT string_agg(subject || ' ' || kind || ' ' || amount || ' ' || room || ' ' || (room + reserved), ','),
        MAX(CASE WHEN room < CASE WHEN kind LIKE 'tokens%' THEN NEW.tokens ELSE NEW.cost END THEN 1 ELSE 0 END)
    INTO NEW.rooms, NEW.is_short FROM budgets_of_runs WHERE run_id = NEW.run_id;
    IF NEW.rooms IS NULL THEN
        RETURN NEW;
    END IF;
    IF NEW.is_short <> 0 THEN
        DELETE FROM run_budgets WHERE run_id = NEW.run_id
            AND NOT EXISTS (SELECT 1 FROM run_charges WHERE run_charges.run_id = NEW.run_id);
        RETURN NEW;
    END IF;
    INSERT INTO run_charges (run_id, settled_tokens, settled_cost, tokens, cost, prompt_tokens, input_price, output_price)
    VALUES (NEW.run_id, 0, 0, 0, 0, 0, 0, 0) ON CONFLICT DO NOTHING;
    UPDATE run_charges SET tokens = settled_tokens + NEW.tokens, cost = settled_cost + NEW.cost, prompt_tokens = NEW.prompt_tokens,
        input_price = NEW.input_price, output_price = NEW.output_price
    WHERE run_id = NEW.run_id;
    RETURN NEW;
END
$$;

CREATE TRIGGER reserve_budget INSTEAD OF INSERT ON budget_reservations FOR EACH ROW EXECUTE FUNCTION reserve_budget();

CREATE FUNCTION count_charge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lock_budgets(NEW.run_id);
    UPDATE budget_use SET tokens = budget_use.tokens + NEW.tokens - OLD.tokens, cost = budget_use.cost + NEW.cost - OLD.cost
    WHERE (subject, period) IN (SELECT run_budgets.subject, run_budgets.period FROM run_budgets WHERE run_budgets.run_id = NEW.run_id);
    RETURN NULL;
END
$$;

CREATE TRIGGER count_charge AFTER UPDATE OF tokens, cost ON run_charges FOR EACH ROW EXECUTE FUNCTION count_charge();

CREATE FUNCTION settle_charge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.prompt_tokens IS DISTINCT FROM OLD.prompt_tokens OR NEW.completion_tokens IS DISTINCT FROM OLD.completion_tokens THEN
        UPDATE run_charges SET
            settled_tokens = settled_tokens + COALESCE(NEW.prompt_tokens, 0) - COALESCE(OLD.prompt_tokens, 0)
                + COALESCE(NEW.completion_tokens, 0) - COALESCE(OLD.completion_tokens, 0),
            settled_cost = settled_cost + ((COALESCE(NEW.prompt_tokens, 0) - COALESCE(OLD.prompt_tokens, 0)) * input_price
                + (COALESCE(NEW.completion_tokens, 0) - COALESCE(OLD.completion_tokens, 0)) * output_price + 999999) / 1000000
        WHERE run_id = NEW.id;
        IF FOUND THEN
            UPDATE run_charges SET tokens = settled_tokens, cost = settled_cost WHERE run_id = NEW.id;
        END IF;
    END IF;
    IF NEW.state IN ('complete', 'error', 'cancelled') THEN
        DELETE FROM run_budgets WHERE run_id = NEW.id;
        DELETE FROM run_charges WHERE run_id = NEW.id;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER settle_charge AFTER UPDATE OF prompt_tokens, completion_tokens, state ON runs FOR EACH ROW
    WHEN (NEW.prompt_tokens IS DISTINCT FROM OLD.prompt_tokens OR NEW.completion_tokens IS DISTINCT FROM OLD.completion_tokens
        OR NEW.state IN ('complete', 'error', 'cancelled'))
    EXECUTE FUNCTION settle_charge();

-- As rate_takes in 0004, and says of each limit what was there before: its place in the array, and for how long it is not yet full again, in
-- microseconds: '1:0,2:6000000'.
CREATE VIEW quota_takes AS
SELECT CAST(NULL AS text) AS limits, CAST(NULL AS bigint) AS now_us, CAST(NULL AS bigint) AS retry_after_us,
    CAST(NULL AS text) AS states
WHERE 1 = 0;

CREATE FUNCTION take_quota() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    asked record;
    stored bigint;
BEGIN
    IF NEW.retry_after_us > 0 THEN
        RETURN NEW;
    END IF;
    NEW.states := NULL;
    -- All rows there and ours, in one order for everybody, and judged again.
    FOR asked IN
        SELECT * FROM json_to_recordset(CAST(NEW.limits AS json))
            AS limits (place bigint, key text, interval_us bigint, tolerance_us bigint)
        ORDER BY limits.key COLLATE "C"
    LOOP
        INSERT INTO rate_limits (key, full_at) VALUES (asked.key, 0)
        ON CONFLICT (key) DO UPDATE SET full_at = rate_limits.full_at RETURNING full_at INTO stored;
        NEW.retry_after_us := GREATEST(NEW.retry_after_us,
            asked.interval_us - asked.tolerance_us + GREATEST(stored - NEW.now_us, 0));
        NEW.states := concat_ws(',', NEW.states, asked.place || ':' || GREATEST(stored - NEW.now_us, 0));
    END LOOP;
    IF NEW.retry_after_us <= 0 THEN
        INSERT INTO rate_takes (limits, now_us, retry_after_us) VALUES (NEW.limits, NEW.now_us, NEW.retry_after_us);
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER take_quota INSTEAD OF INSERT ON quota_takes FOR EACH ROW EXECUTE FUNCTION take_quota();

-- A person's message as in sent_messages, with the key that sent it and the limits that it takes from. If one of these has nothing left, nothing
-- is stored or taken.
CREATE VIEW limited_messages AS
SELECT CAST(NULL AS text) AS message_id, CAST(NULL AS text) AS conversation_id, CAST(NULL AS text) AS user_id,
    CAST(NULL AS text) AS run_id, CAST(NULL AS text) AS model, CAST(NULL AS bigint) AS position, CAST(NULL AS text) AS content,
    CAST(NULL AS text) AS title, CAST(NULL AS text) AS idempotency_key, CAST(NULL AS bigint) AS size,
    CAST(NULL AS bigint) AS created_at, CAST(NULL AS text) AS api_key_id, CAST(NULL AS text) AS limits,
    CAST(NULL AS bigint) AS now_us, CAST(NULL AS bigint) AS retry_after_us, CAST(NULL AS text) AS states
WHERE 1 = 0;

CREATE FUNCTION send_limited_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- One message after the other, and judged again before anything is taken: what is stored by now takes nothing. A step of a run that ends holds
    -- its run and needs a weaker lock of the conversation, which this one allows.
    PERFORM 1 FROM conversations WHERE id = NEW.conversation_id FOR NO KEY UPDATE;
    IF EXISTS (SELECT 1 FROM runs WHERE conversation_id = NEW.conversation_id AND state IN ('queued', 'processing', 'awaiting_approval'))
        OR EXISTS (SELECT 1 FROM messages WHERE conversation_id = NEW.conversation_id AND idempotency_key = NEW.idempotency_key) THEN
        RETURN NULL;
    END IF;
    IF NEW.limits IS NOT NULL THEN
        INSERT INTO quota_takes (limits, now_us, retry_after_us, states)
        VALUES (NEW.limits, NEW.now_us, NEW.retry_after_us, NEW.states)
        RETURNING retry_after_us, states INTO NEW.retry_after_us, NEW.states;
    END IF;
    IF NEW.retry_after_us > 0 THEN
        RETURN NEW;
    END IF;
    INSERT INTO sent_messages (message_id, conversation_id, user_id, run_id, model, position, content, title, idempotency_key, size,
        created_at)
    VALUES (NEW.message_id, NEW.conversation_id, NEW.user_id, NEW.run_id, NEW.model, NEW.position, NEW.content, NEW.title,
        NEW.idempotency_key, NEW.size, NEW.created_at)
    RETURNING position INTO NEW.position;
    IF NOT FOUND THEN
        -- A retry came first, which does not wait for the conversation: what was taken is given back.
        UPDATE rate_limits SET full_at = full_at - asked.interval_us
        FROM json_to_recordset(CAST(NEW.limits AS json)) AS asked (key text, interval_us bigint) WHERE rate_limits.key = asked.key;
        RETURN NULL;
    END IF;
    UPDATE runs SET api_key_id = NEW.api_key_id WHERE id = NEW.run_id AND NEW.api_key_id IS NOT NULL;
    RETURN NEW;
END
$$;

CREATE TRIGGER send_limited_message INSTEAD OF INSERT ON limited_messages FOR EACH ROW EXECUTE FUNCTION send_limited_message();

-- All limits of one subject at once: an object of kinds and amounts.
CREATE VIEW limit_changes AS
SELECT CAST(NULL AS text) AS subject, CAST(NULL AS text) AS limits WHERE 1 = 0;

CREATE FUNCTION change_limits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- One change after the other.
    PERFORM pg_advisory_xact_lock(hashtext('change_limits'));
    DELETE FROM limits WHERE subject = NEW.subject;
    INSERT INTO limits (subject, kind, amount)
    SELECT NEW.subject, key, CAST(value AS bigint) FROM json_each_text(CAST(NEW.limits AS json));
    RETURN NEW;
END
$$;

CREATE TRIGGER change_limits INSTEAD OF INSERT ON limit_changes FOR EACH ROW EXECUTE FUNCTION change_limits();

-- Whatever gets the same name later begins without limits.
CREATE FUNCTION forget_limits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM limits WHERE subject = TG_ARGV[0] || (to_jsonb(OLD) ->> TG_ARGV[1]);
    RETURN NULL;
END
$$;

CREATE TRIGGER forget_limits_of_role AFTER DELETE ON roles FOR EACH ROW EXECUTE FUNCTION forget_limits('role:', 'name');

CREATE TRIGGER forget_limits_of_user AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION forget_limits('user:', 'id');

CREATE TRIGGER forget_limits_of_group AFTER DELETE ON user_groups FOR EACH ROW EXECUTE FUNCTION forget_limits('group:', 'id');

CREATE TRIGGER forget_limits_of_key AFTER DELETE ON api_keys FOR EACH ROW EXECUTE FUNCTION forget_limits('key:', 'id');
