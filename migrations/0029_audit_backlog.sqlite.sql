-- Builds of this release's last days brought what was recorded before the chain into it at once, in an earlier text of 0020, and have no backlog. Their
-- databases get it here; in others this changes nothing.
CREATE TABLE IF NOT EXISTS audit_backlog (
    last_id text PRIMARY KEY,
    after_id text NOT NULL
);

DROP TRIGGER audit_event_arrives;

CREATE TRIGGER audit_event_arrives AFTER INSERT ON audit_events
WHEN NOT EXISTS (SELECT 1 FROM audit_chain WHERE event_id = NEW.id)
    AND NOT EXISTS (SELECT 1 FROM audit_backlog WHERE NEW.id > after_id AND NEW.id <= last_id)
BEGIN
    INSERT INTO audit_arrivals (event_id, arrived_at) VALUES (NEW.id, NEW.at) ON CONFLICT DO NOTHING;
END;

CREATE VIEW IF NOT EXISTS audit_backlog_steps AS
SELECT CAST(NULL AS text) AS last_id, CAST(NULL AS text) AS after_id, CAST(NULL AS text) AS up_to WHERE 1 = 0;

DROP TRIGGER IF EXISTS take_audit_backlog;

CREATE TRIGGER take_audit_backlog INSTEAD OF INSERT ON audit_backlog_steps
BEGIN
    INSERT INTO audit_arrivals (event_id, arrived_at)
    SELECT id, 0 FROM audit_events WHERE id > NEW.after_id AND id <= NEW.up_to
        AND NOT EXISTS (SELECT 1 FROM audit_chain WHERE audit_chain.event_id = audit_events.id)
    ON CONFLICT DO NOTHING;
    UPDATE audit_backlog SET after_id = NEW.up_to WHERE last_id = NEW.last_id;
    DELETE FROM audit_backlog WHERE after_id >= last_id;
END;

-- Of people whose data key is being replaced there are seldom any.
CREATE INDEX data_keys_replaced ON data_keys (former_id) WHERE former_id IS NOT NULL;
