-- Metrics, as in the SQLite text beside this one, which says what everything is for.

CREATE TABLE metric_totals (
    metric text NOT NULL,
    label_1 text NOT NULL,
    label_2 text NOT NULL,
    label_3 text NOT NULL,
    label_4 text NOT NULL,
    bucket bigint NOT NULL,
    value bigint NOT NULL,
    PRIMARY KEY (metric, label_1, label_2, label_3, label_4, bucket)
);

CREATE TABLE metric_changes (
    id text PRIMARY KEY,
    metric text NOT NULL,
    label_1 text NOT NULL,
    label_2 text NOT NULL,
    label_3 text NOT NULL,
    label_4 text NOT NULL,
    bucket bigint NOT NULL,
    value bigint NOT NULL
);

CREATE TABLE metric_names (
    metric text NOT NULL,
    name text NOT NULL,
    used_at bigint NOT NULL,
    PRIMARY KEY (metric, name)
);

CREATE VIEW metric_additions AS SELECT CAST(NULL AS text) AS samples WHERE 1 = 0;

CREATE FUNCTION add_metrics() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO metric_changes (id, metric, label_1, label_2, label_3, label_4, bucket, value)
    SELECT CAST(gen_random_uuid() AS text), metric, labels ->> 0, labels ->> 1, labels ->> 2, labels ->> 3, bucket, value
    FROM json_to_recordset(CAST(NEW.samples AS json)) AS added (metric text, labels json, bucket bigint, value bigint);
    RETURN NEW;
END
$$;

CREATE TRIGGER add_metrics INSTEAD OF INSERT ON metric_additions FOR EACH ROW EXECUTE FUNCTION add_metrics();

CREATE VIEW metric_folds AS
SELECT CAST(NULL AS bigint) AS max_names, CAST(NULL AS bigint) AS max_changes, CAST(NULL AS bigint) AS unused_since, CAST(NULL AS bigint) AS folded_at,
    CAST(NULL AS bigint) AS waiting
WHERE 1 = 0;

CREATE FUNCTION fold_metrics() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- One after the other, so nobody else changes names and totals, and nobody waits for their rows.
    PERFORM pg_advisory_xact_lock(hashtext('fold_metrics'));
    WITH unused AS (
        DELETE FROM metric_names WHERE used_at < NEW.unused_since
            AND (SELECT count(*) FROM metric_names AS places WHERE places.metric = metric_names.metric) >= NEW.max_names
        RETURNING metric, name
    ), moved AS (
        DELETE FROM metric_totals USING unused
        WHERE metric_totals.metric = unused.metric AND metric_totals.label_1 = unused.name AND unused.name <> 'other'
        RETURNING metric_totals.metric, metric_totals.label_2, metric_totals.label_3, metric_totals.label_4, metric_totals.bucket, metric_totals.value
    )
    INSERT INTO metric_totals (metric, label_1, label_2, label_3, label_4, bucket, value)
    SELECT moved.metric, 'other', moved.label_2, moved.label_3, moved.label_4, moved.bucket, SUM(moved.value) FROM moved GROUP BY 1, 2, 3, 4, 5, 6
    ON CONFLICT (metric, label_1, label_2, label_3, label_4, bucket) DO UPDATE SET value = metric_totals.value + excluded.value;
    -- One statement: what is counted meanwhile waits for the next time.
    WITH taken AS (
        DELETE FROM metric_changes WHERE ctid = ANY (ARRAY(SELECT ctid FROM metric_changes LIMIT NEW.max_changes))
        RETURNING metric, label_1, label_2, label_3, label_4, bucket, value
    ), seen AS (
        SELECT DISTINCT metric, label_1 AS name FROM taken WHERE length(label_1) <= 100
    ), fresh AS (
        SELECT seen.metric, seen.name, row_number() OVER (PARTITION BY seen.metric ORDER BY seen.name COLLATE "C") AS place FROM seen
        WHERE NOT EXISTS (SELECT 1 FROM metric_names AS known WHERE known.metric = seen.metric AND known.name = seen.name)
    ), named AS (
        INSERT INTO metric_names (metric, name, used_at)
        SELECT fresh.metric, fresh.name, NEW.folded_at FROM fresh
        WHERE fresh.place + (SELECT count(*) FROM metric_names AS known WHERE known.metric = fresh.metric) <= NEW.max_names
        RETURNING metric, name
    ), used AS (
        UPDATE metric_names SET used_at = NEW.folded_at FROM seen
        WHERE metric_names.metric = seen.metric AND metric_names.name = seen.name AND metric_names.used_at < NEW.folded_at - 3600000
    ), known AS (
        SELECT metric, name FROM metric_names UNION ALL SELECT metric, name FROM named
    )
    INSERT INTO metric_totals (metric, label_1, label_2, label_3, label_4, bucket, value)
    SELECT changed.metric, changed.name, changed.label_2, changed.label_3, changed.label_4, changed.bucket, SUM(changed.value) FROM (
        SELECT taken.*, CASE WHEN known.name IS NULL THEN 'other' ELSE known.name END AS name
        FROM taken LEFT JOIN known ON known.metric = taken.metric AND known.name = taken.label_1
    ) AS changed
    GROUP BY 1, 2, 3, 4, 5, 6
    ON CONFLICT (metric, label_1, label_2, label_3, label_4, bucket) DO UPDATE SET value = metric_totals.value + excluded.value;
    RETURN NEW;
END
$$;

CREATE TRIGGER fold_metrics INSTEAD OF INSERT ON metric_folds FOR EACH ROW EXECUTE FUNCTION fold_metrics();

CREATE FUNCTION count_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO metric_changes (id, metric, label_1, label_2, label_3, label_4, bucket, value)
    SELECT CAST(gen_random_uuid() AS text), counted.metric, counted.label_1, counted.label_2, '', '', 0, counted.value FROM (VALUES
        ('runs_ended', NEW.state, COALESCE(NEW.error_code, ''),
            CASE WHEN NEW.state IN ('complete', 'error', 'cancelled') AND OLD.state NOT IN ('complete', 'error', 'cancelled') THEN 1 ELSE 0 END),
        ('run_takeovers', '', '',
            CASE WHEN OLD.state = 'processing' AND NEW.attempt > OLD.attempt AND NEW.lease_owner IS DISTINCT FROM OLD.lease_owner THEN 1 ELSE 0 END),
        ('tokens', NEW.model, 'prompt', COALESCE(NEW.prompt_tokens, 0) - COALESCE(OLD.prompt_tokens, 0)),
        ('tokens', NEW.model, 'completion', COALESCE(NEW.completion_tokens, 0) - COALESCE(OLD.completion_tokens, 0)),
        ('cost', NEW.model, COALESCE(NEW.currency, ''), COALESCE(NEW.cost, 0) - COALESCE(OLD.cost, 0))
    ) AS counted (metric, label_1, label_2, value)
    WHERE counted.value > 0;
    RETURN NULL;
END
$$;

CREATE TRIGGER count_run AFTER UPDATE OF state, attempt, prompt_tokens, completion_tokens, cost ON runs FOR EACH ROW
    WHEN ((NEW.state IN ('complete', 'error', 'cancelled') AND OLD.state NOT IN ('complete', 'error', 'cancelled'))
        OR (OLD.state = 'processing' AND NEW.attempt > OLD.attempt AND NEW.lease_owner IS DISTINCT FROM OLD.lease_owner)
        OR NEW.prompt_tokens IS DISTINCT FROM OLD.prompt_tokens OR NEW.completion_tokens IS DISTINCT FROM OLD.completion_tokens
        OR NEW.cost IS DISTINCT FROM OLD.cost)
    EXECUTE FUNCTION count_run();

CREATE FUNCTION count_model_request() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO metric_changes (id, metric, label_1, label_2, label_3, label_4, bucket, value)
    SELECT CAST(gen_random_uuid() AS text), counted.metric, NEW.model, counted.label_2, '', '', 0, counted.value FROM (VALUES
        ('tokens', 'prompt', COALESCE(NEW.prompt_tokens, 0)),
        ('tokens', 'completion', COALESCE(NEW.completion_tokens, 0)),
        ('cost', COALESCE(NEW.currency, ''), COALESCE(NEW.cost, 0))
    ) AS counted (metric, label_2, value)
    WHERE counted.value > 0;
    RETURN NULL;
END
$$;

CREATE TRIGGER count_model_request AFTER UPDATE OF ended_at ON model_requests FOR EACH ROW
    WHEN (NEW.ended_at IS NOT NULL AND OLD.ended_at IS NULL) EXECUTE FUNCTION count_model_request();

CREATE FUNCTION count_decision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO metric_changes (id, metric, label_1, label_2, label_3, label_4, bucket, value)
    VALUES (CAST(gen_random_uuid() AS text), 'approvals_decided', NEW.decision, '', '', '', 0, 1);
    RETURN NULL;
END
$$;

CREATE TRIGGER count_decision AFTER UPDATE OF decision ON approvals FOR EACH ROW
    WHEN (OLD.decision IS NULL AND NEW.decision IS NOT NULL) EXECUTE FUNCTION count_decision();

CREATE OR REPLACE FUNCTION record_audit_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_events (id, at, user_id, action, subject, run_id, call_id, outcome, detail_digest)
    VALUES (NEW.id, NEW.at, NEW.user_id, NEW.action, NEW.subject, NEW.run_id, NEW.call_id, NEW.outcome, NEW.detail_digest)
    ON CONFLICT (id) DO NOTHING;
    -- Of two executions of the same statement at once, the second waits for the first, and finds the event.
    IF FOUND AND NEW.action = 'tool.call' AND NEW.outcome NOT IN ('approval_asked', 'begun')
        AND NOT (NEW.outcome = 'task' AND NEW.run_id IS NOT NULL) AND NOT (NEW.outcome = 'input_asked' AND NEW.run_id IS NULL) THEN
        INSERT INTO metric_changes (id, metric, label_1, label_2, label_3, label_4, bucket, value)
        VALUES (CAST(gen_random_uuid() AS text), 'tool_calls', CASE WHEN ascii(NEW.subject) = 63 THEN 'unknown' ELSE NEW.subject END, NEW.outcome, '', '', 0, 1);
    END IF;
    INSERT INTO audit_details (event_id, user_id, salt, detail)
    SELECT NEW.id, NEW.user_id, NEW.salt, NEW.detail WHERE NEW.detail IS NOT NULL
    ON CONFLICT (event_id) DO NOTHING;
    RETURN NEW;
END
$$;
