-- What is there now, while others go on recording; what they record meanwhile comes after the lock below.
INSERT INTO audit_arrivals (event_id, arrived_at) SELECT id, 0 FROM audit_events;

ALTER TABLE audit_events ADD COLUMN detail_digest text;

CREATE FUNCTION audit_event_arrives() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_arrivals (event_id, arrived_at)
    SELECT NEW.id, NEW.at WHERE NOT EXISTS (SELECT 1 FROM audit_chain WHERE event_id = NEW.id)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER audit_event_arrives AFTER INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION audit_event_arrives();

-- Ids begin with their time (RFC 9562, section 5.7): those of the last day are enough, however long the copy took.
INSERT INTO audit_arrivals (event_id, arrived_at)
SELECT id, 0 FROM audit_events
WHERE id >= (SELECT substr(time, 1, 8) || '-' || substr(time, 9, 4)
    FROM (SELECT lpad(to_hex(CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) - 86400000), 12, '0') AS time) AS yesterday)
ON CONFLICT DO NOTHING;
