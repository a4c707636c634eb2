-- What budgets count, as in the SQLite text beside this one, which says what everything is for.

CREATE INDEX budget_use_by_period ON budget_use (period COLLATE "C");

CREATE FUNCTION forget_budget_use() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM budget_use WHERE subject = TG_ARGV[0] || OLD.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER forget_budget_use_of_user AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION forget_budget_use('user:');

CREATE TRIGGER forget_budget_use_of_group AFTER DELETE ON user_groups FOR EACH ROW EXECUTE FUNCTION forget_budget_use('group:');

CREATE TRIGGER forget_budget_use_of_key AFTER DELETE ON api_keys FOR EACH ROW EXECUTE FUNCTION forget_budget_use('key:');

CREATE VIEW present_charges AS
SELECT run_charges.run_id FROM run_charges
WHERE run_charges.tokens > run_charges.settled_tokens
    OR NOT EXISTS (SELECT 1 FROM run_budgets
        WHERE run_budgets.run_id = run_charges.run_id AND run_budgets.period NOT IN (SELECT name FROM budget_periods));

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
FROM run_charges JOIN run_budgets ON run_budgets.run_id = run_charges.run_id
JOIN limits ON limits.subject = run_budgets.subject
    AND limits.kind LIKE CASE length(run_budgets.period) WHEN 10 THEN '%_per_day' ELSE '%_per_month' END
JOIN budget_use ON budget_use.subject = run_budgets.subject AND budget_use.period = run_budgets.period
WHERE EXISTS (SELECT 1 FROM present_charges WHERE present_charges.run_id = run_charges.run_id);

CREATE OR REPLACE FUNCTION reserve_budget() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.is_short <> 0 OR NEW.rooms IS NULL THEN
        RETURN NEW;
    END IF;
    -- The lease holds until this is committed. The run is locked before its budgets, as when it ends.
    PERFORM 1 FROM runs WHERE id = NEW.run_id AND lease_owner = NEW.lease_owner FOR SHARE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    DELETE FROM run_charges WHERE run_id = NEW.run_id
        AND NOT EXISTS (SELECT 1 FROM present_charges WHERE present_charges.run_id = NEW.run_id);
    DELETE FROM run_budgets WHERE run_id = NEW.run_id
        AND NOT EXISTS (SELECT 1 FROM run_charges WHERE run_charges.run_id = NEW.run_id);
    INSERT INTO run_budgets (run_id, subject, period)
    SELECT DISTINCT run_id, subject, period FROM budgets_of_runs WHERE run_id = NEW.run_id ON CONFLICT DO NOTHING;
    INSERT INTO budget_use (subject, period, tokens, cost)
    SELECT subject, period, 0, 0 FROM run_budgets WHERE run_id = NEW.run_id
    ORDER BY subject COLLATE "C", period COLLATE "C" ON CONFLICT DO NOTHING;
    DELETE FROM budget_use WHERE (subject, period) IN (
        SELECT subject, period FROM budget_use
        WHERE period COLLATE "C" < to_char((statement_timestamp() AT TIME ZONE 'UTC') - interval '1 month', 'YYYY-MM')
        LIMIT 8 FOR UPDATE SKIP LOCKED);
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

DROP VIEW limit_changes;

DROP FUNCTION change_limits();

CREATE VIEW limit_replacements AS
SELECT CAST(NULL AS text) AS subject, CAST(NULL AS text) AS limits, CAST(NULL AS text) AS former WHERE 1 = 0;

CREATE FUNCTION replace_limits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- One change after the other.
    PERFORM pg_advisory_xact_lock(hashtext('change_limits'));
    NEW.former := (SELECT string_agg(kind || '=' || amount, ' ' ORDER BY kind COLLATE "C") FROM limits WHERE subject = NEW.subject);
    DELETE FROM limits WHERE subject = NEW.subject;
    INSERT INTO limits (subject, kind, amount)
    SELECT NEW.subject, key, CAST(value AS bigint) FROM json_each_text(CAST(NEW.limits AS json));
    RETURN NEW;
END
$$;

CREATE TRIGGER replace_limits INSTEAD OF INSERT ON limit_replacements FOR EACH ROW EXECUTE FUNCTION replace_limits();

CREATE INDEX IF NOT EXISTS sessions_open ON sessions (id) WHERE revoked_at IS NULL;

CREATE INDEX IF NOT EXISTS sessions_open_of_user ON sessions (user_id, id) WHERE revoked_at IS NULL;

CREATE INDEX IF NOT EXISTS sessions_by_expiry ON sessions (expires_at);
