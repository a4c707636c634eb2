-- As the SQLite text beside this one, which says what for.
CREATE TABLE IF NOT EXISTS audit_backlog (
    last_id text PRIMARY KEY,
    after_id text NOT NULL
);

CREATE OR REPLACE FUNCTION audit_event_arrives() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A step that moves the backlog at this moment waits, and then sees this event; or this waits for the step.
    PERFORM 1 FROM audit_backlog WHERE NEW.id > after_id AND NEW.id <= last_id FOR SHARE;
    IF NOT FOUND THEN
        INSERT INTO audit_arrivals (event_id, arrived_at)
        SELECT NEW.id, NEW.at WHERE NOT EXISTS (SELECT 1 FROM audit_chain WHERE event_id = NEW.id)
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE VIEW audit_backlog_steps AS
SELECT CAST(NULL AS text) AS last_id, CAST(NULL AS text) AS after_id, CAST(NULL AS text) AS up_to WHERE 1 = 0;

CREATE OR REPLACE FUNCTION take_audit_backlog() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- One step after the other: of two that are the same, the second does nothing.
    PERFORM 1 FROM audit_backlog WHERE last_id = NEW.last_id AND after_id = NEW.after_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NEW;
    END IF;
    INSERT INTO audit_arrivals (event_id, arrived_at)
    SELECT id, 0 FROM audit_events WHERE id > NEW.after_id AND id <= NEW.up_to
        AND NOT EXISTS (SELECT 1 FROM audit_chain WHERE audit_chain.event_id = audit_events.id)
    ON CONFLICT DO NOTHING;
    UPDATE audit_backlog SET after_id = NEW.up_to WHERE last_id = NEW.last_id;
    DELETE FROM audit_backlog WHERE after_id >= last_id;
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER take_audit_backlog INSTEAD OF INSERT ON audit_backlog_steps FOR EACH ROW EXECUTE FUNCTION take_audit_backlog();

-- Of people whose data key is being replaced there are seldom any.
CREATE INDEX data_keys_replaced ON data_keys (former_id) WHERE former_id IS NOT NULL;
