-- Metrics (docs/adr/0049): what is counted here with what is written anyway, and what instances have observed. 0002 says what a command is; the PostgreSQL
-- text beside this one says the same. No row is about a person.

-- The sums of everything that was counted. A counter has one row, a histogram one for each bucket and one for its sum (crates/metrics says how they are
-- told apart). Labels that a metric does not have are empty.
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

-- What was counted since the totals were last made: only inserted, so nobody who counts waits for anybody. The id means nothing.
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

-- The values of each metric's first label that have series of their own, and when each was last counted, to the hour. All others are 'other'.
CREATE TABLE metric_names (
    metric text NOT NULL,
    name text NOT NULL,
    used_at bigint NOT NULL,
    PRIMARY KEY (metric, name)
);

-- What an instance has observed: a JSON array of objects with metric, labels (an array of four), bucket and value.
CREATE VIEW metric_additions AS SELECT CAST(NULL AS text) AS samples WHERE 1 = 0;

CREATE TRIGGER add_metrics INSTEAD OF INSERT ON metric_additions
BEGIN
    INSERT INTO metric_changes (id, metric, label_1, label_2, label_3, label_4, bucket, value)
    SELECT lower(hex(randomblob(16))), value ->> 'metric', value ->> '$.labels[0]', value ->> '$.labels[1]', value ->> '$.labels[2]',
        value ->> '$.labels[3]', value ->> 'bucket', value ->> 'value'
    FROM json_each(NEW.samples);
END;

-- Adds the first max_changes of the changes to the totals. A metric has at most max_names values of its first label; if it has so many, those that were
-- not counted since unused_since become 'other', with what they have, and make room. waiting is how many changes there were, up to one more than max_changes.
CREATE VIEW metric_folds AS
SELECT CAST(NULL AS bigint) AS max_names, CAST(NULL AS bigint) AS max_changes, CAST(NULL AS bigint) AS unused_since, CAST(NULL AS bigint) AS folded_at,
    CAST(NULL AS bigint) AS waiting
WHERE 1 = 0;

CREATE TRIGGER fold_metrics INSTEAD OF INSERT ON metric_folds
BEGIN
    INSERT INTO metric_totals (metric, label_1, label_2, label_3, label_4, bucket, value)
    SELECT metric, 'other', label_2, label_3, label_4, bucket, SUM(value) FROM metric_totals
    WHERE EXISTS (SELECT 1 FROM metric_names WHERE metric_names.metric = metric_totals.metric AND metric_names.name = metric_totals.label_1
        AND metric_names.name <> 'other' AND metric_names.used_at < NEW.unused_since
        AND (SELECT count(*) FROM metric_names AS places WHERE places.metric = metric_names.metric) >= NEW.max_names)
    GROUP BY metric, label_2, label_3, label_4, bucket
    ON CONFLICT (metric, label_1, label_2, label_3, label_4, bucket) DO UPDATE SET value = metric_totals.value + excluded.value;
    DELETE FROM metric_totals
    WHERE EXISTS (SELECT 1 FROM metric_names WHERE metric_names.metric = metric_totals.metric AND metric_names.name = metric_totals.label_1
        AND metric_names.name <> 'other' AND metric_names.used_at < NEW.unused_since
        AND (SELECT count(*) FROM metric_names AS places WHERE places.metric = metric_names.metric) >= NEW.max_names);
    DELETE FROM metric_names WHERE used_at < NEW.unused_since
        AND (SELECT count(*) FROM metric_names AS places WHERE places.metric = metric_names.metric) >= NEW.max_names;
    INSERT INTO metric_names (metric, name, used_at)
    SELECT fresh.metric, fresh.name, NEW.folded_at FROM (
        SELECT seen.metric, seen.name, row_number() OVER (PARTITION BY seen.metric ORDER BY seen.name) AS place
        FROM (SELECT DISTINCT metric, label_1 AS name FROM metric_changes
            WHERE length(label_1) <= 100 AND rowid IN (SELECT rowid FROM metric_changes ORDER BY rowid LIMIT NEW.max_changes)) AS seen
        WHERE NOT EXISTS (SELECT 1 FROM metric_names AS known WHERE known.metric = seen.metric AND known.name = seen.name)
    ) AS fresh
    WHERE fresh.place + (SELECT count(*) FROM metric_names AS known WHERE known.metric = fresh.metric) <= NEW.max_names;
    UPDATE metric_names SET used_at = NEW.folded_at
    WHERE used_at < NEW.folded_at - 3600000 AND (metric, name) IN (SELECT metric, label_1 FROM metric_changes
        WHERE rowid IN (SELECT rowid FROM metric_changes ORDER BY rowid LIMIT NEW.max_changes));
    INSERT INTO metric_totals (metric, label_1, label_2, label_3, label_4, bucket, value)
    SELECT changed.metric, changed.name, changed.label_2, changed.label_3, changed.label_4, changed.bucket, SUM(changed.value) FROM (
        SELECT metric_changes.*, CASE WHEN known.name IS NULL THEN 'other' ELSE known.name END AS name
        FROM metric_changes LEFT JOIN metric_names AS known ON known.metric = metric_changes.metric AND known.name = metric_changes.label_1
        WHERE metric_changes.rowid IN (SELECT rowid FROM metric_changes ORDER BY rowid LIMIT NEW.max_changes)
    ) AS changed
    WHERE 1 = 1 GROUP BY 1, 2, 3, 4, 5, 6
    ON CONFLICT (metric, label_1, label_2, label_3, label_4, bucket) DO UPDATE SET value = metric_totals.value + excluded.value;
    DELETE FROM metric_changes WHERE rowid IN (SELECT rowid FROM metric_changes ORDER BY rowid LIMIT NEW.max_changes);
END;

-- However a run ends, also by a host of an earlier release: its end, what it used, and that another executor went on with it.
CREATE TRIGGER count_run AFTER UPDATE OF state, attempt, prompt_tokens, completion_tokens, cost ON runs
WHEN (NEW.state IN ('complete', 'error', 'cancelled') AND OLD.state NOT IN ('complete', 'error', 'cancelled'))
    OR (OLD.state = 'processing' AND NEW.attempt > OLD.attempt AND NEW.lease_owner IS NOT OLD.lease_owner)
    OR NEW.prompt_tokens IS NOT OLD.prompt_tokens OR NEW.completion_tokens IS NOT OLD.completion_tokens OR NEW.cost IS NOT OLD.cost
BEGIN
    INSERT INTO metric_changes (id, metric, label_1, label_2, label_3, label_4, bucket, value)
    SELECT lower(hex(randomblob(16))), counted.metric, counted.label_1, counted.label_2, '', '', 0, counted.value FROM (
        SELECT 'runs_ended' AS metric, NEW.state AS label_1, COALESCE(NEW.error_code, '') AS label_2,
            CASE WHEN NEW.state IN ('complete', 'error', 'cancelled') AND OLD.state NOT IN ('complete', 'error', 'cancelled') THEN 1 ELSE 0 END AS value
        UNION ALL SELECT 'run_takeovers', '', '',
            CASE WHEN OLD.state = 'processing' AND NEW.attempt > OLD.attempt AND NEW.lease_owner IS NOT OLD.lease_owner THEN 1 ELSE 0 END
        UNION ALL SELECT 'tokens', NEW.model, 'prompt', COALESCE(NEW.prompt_tokens, 0) - COALESCE(OLD.prompt_tokens, 0)
        UNION ALL SELECT 'tokens', NEW.model, 'completion', COALESCE(NEW.completion_tokens, 0) - COALESCE(OLD.completion_tokens, 0)
        UNION ALL SELECT 'cost', NEW.model, COALESCE(NEW.currency, ''), COALESCE(NEW.cost, 0) - COALESCE(OLD.cost, 0)
    ) AS counted
    WHERE counted.value > 0;
END;

-- What a program used at /v1, once it is settled.
CREATE TRIGGER count_model_request AFTER UPDATE OF ended_at ON model_requests
WHEN NEW.ended_at IS NOT NULL AND OLD.ended_at IS NULL
BEGIN
    INSERT INTO metric_changes (id, metric, label_1, label_2, label_3, label_4, bucket, value)
    SELECT lower(hex(randomblob(16))), counted.metric, NEW.model, counted.label_2, '', '', 0, counted.value FROM (
        SELECT 'tokens' AS metric, 'prompt' AS label_2, COALESCE(NEW.prompt_tokens, 0) AS value
        UNION ALL SELECT 'tokens', 'completion', COALESCE(NEW.completion_tokens, 0)
        UNION ALL SELECT 'cost', COALESCE(NEW.currency, ''), COALESCE(NEW.cost, 0)
    ) AS counted
    WHERE counted.value > 0;
END;

CREATE TRIGGER count_decision AFTER UPDATE OF decision ON approvals
WHEN OLD.decision IS NULL AND NEW.decision IS NOT NULL
BEGIN
    INSERT INTO metric_changes (id, metric, label_1, label_2, label_3, label_4, bucket, value)
    VALUES (lower(hex(randomblob(16))), 'approvals_decided', NEW.decision, '', '', '', 0, 1);
END;

-- As in 0020, and counts what tool calls came to: those of runs and of programs, each once, and not the steps before. A run's task ends
-- later, and so does a program's call whose question is answered with another request; a program looks after its tasks itself. The name of a tool that there is not
-- may be a model's invention: its server is a question mark (63).
DROP TRIGGER record_audit_entry;

CREATE TRIGGER record_audit_entry INSTEAD OF INSERT ON audit_entries
BEGIN
    INSERT INTO metric_changes (id, metric, label_1, label_2, label_3, label_4, bucket, value)
    SELECT lower(hex(randomblob(16))), 'tool_calls', CASE WHEN unicode(NEW.subject) = 63 THEN 'unknown' ELSE NEW.subject END, NEW.outcome, '', '', 0, 1
    WHERE NEW.action = 'tool.call' AND NEW.outcome NOT IN ('approval_asked', 'begun')
        AND NOT (NEW.outcome = 'task' AND NEW.run_id IS NOT NULL) AND NOT (NEW.outcome = 'input_asked' AND NEW.run_id IS NULL)
        AND NOT EXISTS (SELECT 1 FROM audit_events WHERE audit_events.id = NEW.id);
    INSERT INTO audit_events (id, at, user_id, action, subject, run_id, call_id, outcome, detail_digest)
    VALUES (NEW.id, NEW.at, NEW.user_id, NEW.action, NEW.subject, NEW.run_id, NEW.call_id, NEW.outcome, NEW.detail_digest)
    ON CONFLICT (id) DO NOTHING;
    INSERT INTO audit_details (event_id, user_id, salt, detail)
    SELECT NEW.id, NEW.user_id, NEW.salt, NEW.detail WHERE NEW.detail IS NOT NULL
    ON CONFLICT (event_id) DO NOTHING;
END;
