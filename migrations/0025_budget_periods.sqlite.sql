-- What budgets count is forgotten with its subject and when it is old, a run that waited goes on in the present day, and a change of limits says what
-- was there before. Pages of sessions read those that were not ended. The PostgreSQL text beside this one says the same.

CREATE INDEX budget_use_by_period ON budget_use (period);

CREATE TRIGGER forget_budget_use_of_user AFTER DELETE ON users
BEGIN
    DELETE FROM budget_use WHERE subject = 'user:' || OLD.id;
END;

CREATE TRIGGER forget_budget_use_of_group AFTER DELETE ON user_groups
BEGIN
    DELETE FROM budget_use WHERE subject = 'group:' || OLD.id;
END;

CREATE TRIGGER forget_budget_use_of_key AFTER DELETE ON api_keys
BEGIN
    DELETE FROM budget_use WHERE subject = 'key:' || OLD.id;
END;

-- The charges that hold: a round goes on, or the periods in which it began do. A run that waited beyond them, as for an approval, is charged anew.
CREATE VIEW present_charges AS
SELECT run_charges.run_id FROM run_charges
WHERE run_charges.tokens > run_charges.settled_tokens
    OR NOT EXISTS (SELECT 1 FROM run_budgets
        WHERE run_budgets.run_id = run_charges.run_id AND run_budgets.period NOT IN (SELECT name FROM budget_periods));

-- As in 0018, with the charges that hold.
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
FROM run_charges JOIN run_budgets ON run_budgets.run_id = run_charges.run_id
JOIN limits ON limits.subject = run_budgets.subject
    AND limits.kind LIKE CASE length(run_budgets.period) WHEN 10 THEN '%_per_day' ELSE '%_per_month' END
JOIN budget_use ON budget_use.subject = run_budgets.subject AND budget_use.period = run_budgets.period
WHERE EXISTS (SELECT 1 FROM present_charges WHERE present_charges.run_id = run_charges.run_id);

DROP TRIGGER reserve_budget;

CREATE TRIGGER reserve_budget INSTEAD OF INSERT ON budget_reservations WHEN NEW.is_short = 0 AND NEW.rooms IS NOT NULL
BEGIN
    DELETE FROM run_charges WHERE run_id = NEW.run_id
        AND NOT EXISTS (SELECT 1 FROM present_charges WHERE present_charges.run_id = NEW.run_id);
    DELETE FROM run_budgets WHERE run_id = NEW.run_id
        AND NOT EXISTS (SELECT 1 FROM run_charges WHERE run_charges.run_id = NEW.run_id);
    INSERT INTO run_budgets (run_id, subject, period)
    SELECT DISTINCT run_id, subject, period FROM budgets_of_runs WHERE run_id = NEW.run_id ON CONFLICT DO NOTHING;
    INSERT INTO budget_use (subject, period, tokens, cost)
    SELECT subject, period, 0, 0 FROM run_budgets WHERE run_id = NEW.run_id ON CONFLICT DO NOTHING;
    -- A few of the rows from before the last month go: nobody asks for them.
    DELETE FROM budget_use WHERE (subject, period) IN (
        SELECT subject, period FROM budget_use WHERE period < strftime('%Y-%m', 'now', 'start of month', '-1 month') LIMIT 8);
    INSERT INTO run_charges (run_id, settled_tokens, settled_cost, tokens, cost, prompt_tokens, input_price, output_price)
    SELECT NEW.run_id, 0, 0, 0, 0, 0, 0, 0 WHERE 1 = 1 ON CONFLICT DO NOTHING;
    UPDATE run_charges SET tokens = settled_tokens + NEW.tokens, cost = settled_cost + NEW.cost, prompt_tokens = NEW.prompt_tokens,
        input_price = NEW.input_price, output_price = NEW.output_price
    WHERE run_id = NEW.run_id;
END;

-- All limits of one subject at once: an object of kinds and amounts. former says what was there before, as `kind=amount kind=amount`.
DROP VIEW limit_changes;

CREATE VIEW limit_replacements AS
SELECT CAST(NULL AS text) AS subject, CAST(NULL AS text) AS limits, CAST(NULL AS text) AS former WHERE 1 = 0;

CREATE TRIGGER replace_limits INSTEAD OF INSERT ON limit_replacements
BEGIN
    DELETE FROM limits WHERE subject = NEW.subject;
    INSERT INTO limits (subject, kind, amount) SELECT NEW.subject, key, value FROM json_each(NEW.limits);
END;

-- docs/deploy.md says when to make these before.
CREATE INDEX IF NOT EXISTS sessions_open ON sessions (id) WHERE revoked_at IS NULL;

CREATE INDEX IF NOT EXISTS sessions_open_of_user ON sessions (user_id, id) WHERE revoked_at IS NULL;

CREATE INDEX IF NOT EXISTS sessions_by_expiry ON sessions (expires_at);
