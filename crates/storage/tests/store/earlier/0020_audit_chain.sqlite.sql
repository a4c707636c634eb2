INSERT INTO audit_arrivals (event_id, arrived_at) SELECT id, 0 FROM audit_events;

-- However an event is recorded, also by a host of an earlier release, it waits for its place. An import of a copy brings places and arrivals along.
CREATE TRIGGER audit_event_arrives AFTER INSERT ON audit_events WHEN NOT EXISTS (SELECT 1 FROM audit_chain WHERE event_id = NEW.id)
BEGIN
    INSERT INTO audit_arrivals (event_id, arrived_at) VALUES (NEW.id, NEW.at) ON CONFLICT DO NOTHING;
END;
