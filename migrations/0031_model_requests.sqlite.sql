-- Requests of programs that go on to providers of models (docs/adr/0048): what each used, and what it reserves while it is answered. The PostgreSQL
-- text beside this one says the same.

-- api is `chat_completions`, `responses` or `embeddings`. Tokens and cost (in millionths of the currency) are null until the request has ended, and
-- for ever if its host died. is_estimated: the provider did not say the tokens. Nothing of what was said is here.
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

-- What a request reserves of each budget that counts for it. If nobody settles it, what it reserved stays taken: nobody knows how much was used.
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

-- What requests in progress have reserved. One that has been in progress for ten minutes has probably lost its host, so what it reserved counts as used.
CREATE VIEW reserved_by_model_requests AS
SELECT subject, period, tokens, cost FROM model_request_charges WHERE reserved_at > CAST(strftime('%s', 'now') AS bigint) * 1000 - 600000;

-- As in 0018 and 0025, and with what requests reserve.
DROP VIEW budgets;

CREATE VIEW budgets AS
SELECT limits.subject, limits.kind, limits.amount, budget_periods.name AS period,
    COALESCE(CASE WHEN limits.kind LIKE 'tokens%' THEN budget_use.tokens ELSE budget_use.cost END, 0) AS taken,
    (SELECT CAST(COALESCE(SUM(CASE WHEN limits.kind LIKE 'tokens%' THEN reserved_budgets.tokens ELSE reserved_budgets.cost END), 0) AS bigint)
     FROM reserved_budgets WHERE reserved_budgets.subject = limits.subject AND reserved_budgets.period = budget_periods.name)
    + (SELECT CAST(COALESCE(SUM(CASE WHEN limits.kind LIKE 'tokens%' THEN requests.tokens ELSE requests.cost END), 0) AS bigint)
     FROM reserved_by_model_requests AS requests WHERE requests.subject = limits.subject AND requests.period = budget_periods.name) AS reserved
FROM limits JOIN budget_periods ON limits.kind LIKE '%_per_' || budget_periods.length
LEFT JOIN budget_use ON budget_use.subject = limits.subject AND budget_use.period = budget_periods.name;

DROP VIEW budgets_of_runs;

CREATE VIEW budgets_of_runs AS
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

-- The budgets that count for a request.
CREATE VIEW budgets_of_model_requests AS
SELECT model_requests.id AS request_id, budgets.subject, budgets.kind, budgets.amount, budgets.period, budgets.amount - budgets.taken AS room,
    budgets.reserved
FROM model_requests JOIN budgets ON budgets.subject = 'installation' OR budgets.subject = 'user:' || model_requests.user_id
    OR budgets.subject = 'key:' || model_requests.api_key_id
    OR budgets.subject IN (SELECT 'group:' || group_id FROM user_group_members WHERE user_group_members.user_id = model_requests.user_id);

-- A request begins: it takes from its limits and reserves in all of its budgets, or does nothing at all. rooms and states say what is left.
CREATE VIEW model_request_beginnings AS
SELECT CAST(NULL AS text) AS id, CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS api_key_id, CAST(NULL AS text) AS api,
    CAST(NULL AS text) AS model, CAST(NULL AS bigint) AS tokens, CAST(NULL AS bigint) AS cost, CAST(NULL AS bigint) AS created_at,
    CAST(NULL AS text) AS limits, CAST(NULL AS bigint) AS now_us, CAST(NULL AS bigint) AS retry_after_us, CAST(NULL AS text) AS states,
    CAST(NULL AS text) AS rooms, CAST(NULL AS bigint) AS is_short
WHERE 1 = 0;

CREATE TRIGGER begin_model_request INSTEAD OF INSERT ON model_request_beginnings WHEN NEW.retry_after_us <= 0 AND NEW.is_short = 0
BEGIN
    INSERT INTO rate_takes (limits, now_us, retry_after_us)
    SELECT NEW.limits, NEW.now_us, NEW.retry_after_us WHERE NEW.limits IS NOT NULL;
    INSERT INTO model_requests (id, user_id, api_key_id, api, model, created_at)
    VALUES (NEW.id, NEW.user_id, NEW.api_key_id, NEW.api, NEW.model, NEW.created_at);
    INSERT INTO model_request_charges (request_id, subject, period, tokens, cost, reserved_at)
    SELECT DISTINCT NEW.id, subject, period, NEW.tokens, NEW.cost, NEW.created_at FROM budgets_of_model_requests WHERE request_id = NEW.id;
    INSERT INTO budget_use (subject, period, tokens, cost)
    SELECT subject, period, 0, 0 FROM model_request_charges WHERE request_id = NEW.id ON CONFLICT DO NOTHING;
    UPDATE budget_use SET tokens = tokens + NEW.tokens, cost = cost + NEW.cost
    WHERE (subject, period) IN (SELECT c.subject, c.period FROM model_request_charges AS c WHERE c.request_id = NEW.id);
    -- A few of those that nobody will settle any more, and of the requests that no page of usage reaches back to (366 days).
    DELETE FROM model_request_charges WHERE (request_id, subject, period) IN (
        SELECT request_id, subject, period FROM model_request_charges WHERE reserved_at < NEW.created_at - 86400000 ORDER BY reserved_at LIMIT 8);
    DELETE FROM model_requests WHERE id IN (
        SELECT id FROM (SELECT id, created_at FROM model_requests ORDER BY id LIMIT 4) AS oldest WHERE created_at < NEW.created_at - 34560000000);
END;

-- A request that ends is settled: its budgets are charged with what it used, in the place of what it reserved.
CREATE TRIGGER settle_model_request AFTER UPDATE OF ended_at ON model_requests WHEN NEW.ended_at IS NOT NULL AND OLD.ended_at IS NULL
BEGIN
    UPDATE budget_use SET
        tokens = tokens + COALESCE(NEW.prompt_tokens, 0) + COALESCE(NEW.completion_tokens, 0) - (SELECT c.tokens FROM model_request_charges AS c
            WHERE c.request_id = NEW.id AND c.subject = budget_use.subject AND c.period = budget_use.period),
        cost = cost + COALESCE(NEW.cost, 0) - (SELECT c.cost FROM model_request_charges AS c
            WHERE c.request_id = NEW.id AND c.subject = budget_use.subject AND c.period = budget_use.period)
    WHERE (subject, period) IN (SELECT c.subject, c.period FROM model_request_charges AS c WHERE c.request_id = NEW.id);
    DELETE FROM model_request_charges WHERE request_id = NEW.id;
END;
