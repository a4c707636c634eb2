-- Requests of programs that go on to providers of models, as in the SQLite text beside this one, which says what everything is for.

CREATE TABLE model_requests (
    id text PRIMARY KEY,
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    api_key_id text,
    api text NOT NULL,
    model text NOT NULL,
    provider text,
    prompt_tokens bigint,
    completion_tokens bigint,
    is_estimated bigint,
    cost bigint,
    currency text,
    created_at bigint NOT NULL,
    ended_at bigint
);

CREATE INDEX model_requests_of_user ON model_requests (user_id, id);

CREATE TABLE model_request_charges (
    request_id text NOT NULL REFERENCES model_requests (id) ON DELETE CASCADE,
    subject text NOT NULL,
    period text NOT NULL,
    tokens bigint NOT NULL,
    cost bigint NOT NULL,
    reserved_at bigint NOT NULL,
    PRIMARY KEY (request_id, subject, period)
);

CREATE INDEX model_request_charges_of_subject ON model_request_charges (subject, period);

CREATE INDEX model_request_charges_by_age ON model_request_charges (reserved_at);

CREATE VIEW reserved_by_model_requests AS
SELECT subject, period, tokens, cost FROM model_request_charges WHERE reserved_at > CAST(extract(epoch FROM statement_timestamp()) AS bigint) * 1000 - 600000;

CREATE OR REPLACE VIEW budgets AS
SELECT limits.subject, limits.kind, limits.amount, budget_periods.name AS period,
    COALESCE(CASE WHEN limits.kind LIKE 'tokens%' THEN budget_use.tokens ELSE budget_use.cost END, 0) AS taken,
    (SELECT CAST(COALESCE(SUM(CASE WHEN limits.kind LIKE 'tokens%' THEN reserved_budgets.tokens ELSE reserved_budgets.cost END), 0) AS bigint)
     FROM reserved_budgets WHERE reserved_budgets.subject = limits.subject AND reserved_budgets.period = budget_periods.name)
    + (SELECT CAST(COALESCE(SUM(CASE WHEN limits.kind LIKE 'tokens%' THEN requests.tokens ELSE requests.cost END), 0) AS bigint)
     FROM reserved_by_model_requests AS requests WHERE requests.subject = limits.subject AND requests.period = budget_periods.name) AS reserved
FROM limits JOIN budget_periods ON limits.kind LIKE '%_per_' || budget_periods.length
LEFT JOIN budget_use ON budget_use.subject = limits.subject AND budget_use.period = budget_periods.name;

CREATE OR REPLACE VIEW budgets_of_runs AS
SELECT runs.id AS run_id, budgets.subject, budgets.kind, budgets.amount, budgets.period, budgets.amount - budgets.taken AS room,
    budgets.reserved
FROM runs JOIN budgets ON budgets.subject = 'installation' OR budgets.subject = 'user:' || runs.user_id
    OR budgets.subject = 'key:' || runs.api_key_id
    OR budgets.subject IN (SELECT 'group:' || group_id FROM user_group_members WHERE user_group_members.user_id = runs.user_id)
WHERE NOT EXISTS (SELECT 1 FROM present_charges WHERE present_charges.run_id = runs.id)
UNION ALL
SELECT run_budgets.run_id, limits.subject, limits.kind, limits.amount, run_budgets.period,
    limits.amount - CASE WHEN limits.kind LIKE 'tokens%' THEN budget_use.tokens - run_charges.tokens + run_charges.settled_tokens
        ELSE budget_use.cost - run_charges.cost + run_charges.settled_cost END,
    (SELECT CAST(COALESCE(SUM(CASE WHEN limits.kind LIKE 'tokens%' THEN reserved_budgets.tokens ELSE reserved_budgets.cost END), 0) AS bigint)
     FROM reserved_budgets WHERE reserved_budgets.subject = run_budgets.subject AND reserved_budgets.period = run_budgets.period
        AND reserved_budgets.run_id <> run_budgets.run_id)
    + (SELECT CAST(COALESCE(SUM(CASE WHEN limits.kind LIKE 'tokens%' THEN requests.tokens ELSE requests.cost END), 0) AS bigint)
     FROM reserved_by_model_requests AS requests WHERE requests.subject = run_budgets.subject AND requests.period = run_budgets.period)
FROM run_charges JOIN run_budgets ON run_budgets.run_id = run_charges.run_id
JOIN limits ON limits.subject = run_budgets.subject
    AND limits.kind LIKE CASE length(run_budgets.period) WHEN 10 THEN '%_per_day' ELSE '%_per_month' END
JOIN budget_use ON budget_use.subject = run_budgets.subject AND budget_use.period = run_budgets.period
WHERE EXISTS (SELECT 1 FROM present_charges WHERE present_charges.run_id = run_charges.run_id);

CREATE VIEW budgets_of_model_requests AS
SELECT model_requests.id AS request_id, budgets.subject, budgets.kind, budgets.amount, budgets.period, budgets.amount - budgets.taken AS room,
    budgets.reserved
FROM model_requests JOIN budgets ON budgets.subject = 'installation' OR budgets.subject = 'user:' || model_requests.user_id
    OR budgets.subject = 'key:' || model_requests.api_key_id
    OR budgets.subject IN (SELECT 'group:' || group_id FROM user_group_members WHERE user_group_members.user_id = model_requests.user_id);

CREATE VIEW model_request_beginnings AS
SELECT CAST(NULL AS text) AS id, CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS api_key_id, CAST(NULL AS text) AS api,
    CAST(NULL AS text) AS model, CAST(NULL AS bigint) AS tokens, CAST(NULL AS bigint) AS cost, CAST(NULL AS bigint) AS created_at,
    CAST(NULL AS text) AS limits, CAST(NULL AS bigint) AS now_us, CAST(NULL AS bigint) AS retry_after_us, CAST(NULL AS text) AS states,
    CAST(NULL AS text) AS rooms, CAST(NULL AS bigint) AS is_short
WHERE 1 = 0;

CREATE FUNCTION lock_budgets_of_model_request(of_request text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM budget_use JOIN model_request_charges AS charges
        ON charges.subject = budget_use.subject AND charges.period = budget_use.period
    WHERE charges.request_id = of_request
    ORDER BY budget_use.subject COLLATE "C", budget_use.period COLLATE "C" FOR UPDATE OF budget_use;
END
$$;

CREATE FUNCTION begin_model_request() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.retry_after_us > 0 OR NEW.is_short <> 0 THEN
        RETURN NEW;
    END IF;
    INSERT INTO model_requests (id, user_id, api_key_id, api, model, created_at)
    VALUES (NEW.id, NEW.user_id, NEW.api_key_id, NEW.api, NEW.model, NEW.created_at);
    INSERT INTO model_request_charges (request_id, subject, period, tokens, cost, reserved_at)
    SELECT DISTINCT NEW.id, subject, period, NEW.tokens, NEW.cost, NEW.created_at FROM budgets_of_model_requests WHERE request_id = NEW.id;
    IF FOUND THEN
        INSERT INTO budget_use (subject, period, tokens, cost)
        SELECT subject, period, 0, 0 FROM model_request_charges WHERE request_id = NEW.id
        ORDER BY subject COLLATE "C", period COLLATE "C" ON CONFLICT DO NOTHING;
        PERFORM lock_budgets_of_model_request(NEW.id);
        -- All rows are there and ours: judged again.
        SELECT string_agg(subject || ' ' || kind || ' ' || amount || ' ' || room || ' ' || (room + reserved), ','),
            MAX(CASE WHEN room < CASE WHEN kind LIKE 'tokens%' THEN NEW.tokens ELSE NEW.cost END THEN 1 ELSE 0 END)
        INTO NEW.rooms, NEW.is_short FROM (
            SELECT subject, kind, amount, room, reserved - CASE WHEN kind LIKE 'tokens%' THEN NEW.tokens ELSE NEW.cost END AS reserved
            FROM budgets_of_model_requests WHERE request_id = NEW.id) AS judged;
        NEW.is_short := COALESCE(NEW.is_short, 0);
    END IF;
    -- The budgets are locked before the limits, which nobody locks first.
    IF NEW.is_short = 0 AND NEW.limits IS NOT NULL THEN
        INSERT INTO quota_takes (limits, now_us, retry_after_us, states)
        VALUES (NEW.limits, NEW.now_us, NEW.retry_after_us, NEW.states)
        RETURNING retry_after_us, states INTO NEW.retry_after_us, NEW.states;
    END IF;
    IF NEW.is_short <> 0 OR NEW.retry_after_us > 0 THEN
        DELETE FROM model_requests WHERE id = NEW.id;
        RETURN NEW;
    END IF;
    UPDATE budget_use SET tokens = budget_use.tokens + NEW.tokens, cost = budget_use.cost + NEW.cost
    WHERE (subject, period) IN (SELECT c.subject, c.period FROM model_request_charges AS c WHERE c.request_id = NEW.id);
    DELETE FROM model_request_charges WHERE (request_id, subject, period) IN (
        SELECT request_id, subject, period FROM model_request_charges WHERE reserved_at < NEW.created_at - 86400000
        ORDER BY reserved_at LIMIT 8 FOR UPDATE SKIP LOCKED);
    DELETE FROM model_requests WHERE id = ANY (ARRAY(
        SELECT id FROM (SELECT id, created_at FROM model_requests ORDER BY id LIMIT 4) AS oldest WHERE created_at < NEW.created_at - 34560000000));
    RETURN NEW;
END
$$;

CREATE TRIGGER begin_model_request INSTEAD OF INSERT ON model_request_beginnings FOR EACH ROW EXECUTE FUNCTION begin_model_request();

CREATE FUNCTION settle_model_request() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lock_budgets_of_model_request(NEW.id);
    UPDATE budget_use SET
        tokens = budget_use.tokens + COALESCE(NEW.prompt_tokens, 0) + COALESCE(NEW.completion_tokens, 0) - charges.tokens,
        cost = budget_use.cost + COALESCE(NEW.cost, 0) - charges.cost
    FROM model_request_charges AS charges
    WHERE charges.request_id = NEW.id AND charges.subject = budget_use.subject AND charges.period = budget_use.period;
    DELETE FROM model_request_charges WHERE request_id = NEW.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER settle_model_request AFTER UPDATE OF ended_at ON model_requests FOR EACH ROW
    WHEN (NEW.ended_at IS NOT NULL AND OLD.ended_at IS NULL) EXECUTE FUNCTION settle_model_request();
