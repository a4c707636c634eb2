-- The record of who did what as a chain, as in the SQLite text beside this one, which says what everything is for.

CREATE TABLE audit_details (
    event_id text PRIMARY KEY,
    user_id text NOT NULL,
    salt text NOT NULL,
    detail text NOT NULL
);

CREATE INDEX audit_details_of_user ON audit_details (user_id);

CREATE TABLE audit_arrivals (
    event_id text PRIMARY KEY,
    arrived_at bigint NOT NULL
);

CREATE INDEX audit_arrivals_in_order ON audit_arrivals (arrived_at, event_id);

CREATE TABLE audit_chain (
    position bigint PRIMARY KEY,
    event_id text NOT NULL UNIQUE,
    arrived_at bigint NOT NULL,
    digest text NOT NULL,
    hash text NOT NULL
);

CREATE TABLE audit_seals (
    first_position bigint PRIMARY KEY,
    last_position bigint NOT NULL,
    hash text NOT NULL,
    sealed_at bigint NOT NULL,
    key_id text NOT NULL,
    signature text NOT NULL
);

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

CREATE VIEW audit_entries AS
SELECT CAST(NULL AS text) AS id, CAST(NULL AS bigint) AS at, CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS action,
    CAST(NULL AS text) AS subject, CAST(NULL AS text) AS run_id, CAST(NULL AS text) AS call_id, CAST(NULL AS text) AS outcome,
    CAST(NULL AS text) AS detail, CAST(NULL AS text) AS salt, CAST(NULL AS text) AS detail_digest
WHERE 1 = 0;

CREATE FUNCTION record_audit_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_events (id, at, user_id, action, subject, run_id, call_id, outcome, detail_digest)
    VALUES (NEW.id, NEW.at, NEW.user_id, NEW.action, NEW.subject, NEW.run_id, NEW.call_id, NEW.outcome, NEW.detail_digest)
    ON CONFLICT (id) DO NOTHING;
    INSERT INTO audit_details (event_id, user_id, salt, detail)
    SELECT NEW.id, NEW.user_id, NEW.salt, NEW.detail WHERE NEW.detail IS NOT NULL
    ON CONFLICT (event_id) DO NOTHING;
    RETURN NEW;
END
$$;

CREATE TRIGGER record_audit_entry INSTEAD OF INSERT ON audit_entries FOR EACH ROW EXECUTE FUNCTION record_audit_entry();

CREATE VIEW audit_batches AS
SELECT CAST(NULL AS text) AS links, CAST(NULL AS bigint) AS first_position, CAST(NULL AS bigint) AS last_position,
    CAST(NULL AS text) AS hash, CAST(NULL AS bigint) AS sealed_at, CAST(NULL AS text) AS key_id, CAST(NULL AS text) AS signature
WHERE 1 = 0;

CREATE FUNCTION seal_audit_batch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM audit_seals WHERE last_position >= NEW.first_position) THEN
        RETURN NULL;
    END IF;
    -- Of two at once, the second waits here for the first and then does nothing.
    INSERT INTO audit_seals (first_position, last_position, hash, sealed_at, key_id, signature)
    VALUES (NEW.first_position, NEW.last_position, NEW.hash, NEW.sealed_at, NEW.key_id, NEW.signature)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO audit_chain (position, event_id, arrived_at, digest, hash)
    SELECT links.position, links.event_id, links.arrived_at, links.digest, links.hash FROM json_to_recordset(CAST(NEW.links AS json))
        AS links (position bigint, event_id text, arrived_at bigint, digest text, hash text);
    DELETE FROM audit_arrivals WHERE event_id IN (
        SELECT links.event_id FROM json_to_recordset(CAST(NEW.links AS json)) AS links (event_id text));
    RETURN NEW;
END
$$;

CREATE TRIGGER seal_audit_batch INSTEAD OF INSERT ON audit_batches FOR EACH ROW EXECUTE FUNCTION seal_audit_batch();

CREATE FUNCTION refuse_to_change_the_record() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the chain of audit events is never changed or deleted';
END
$$;

CREATE TRIGGER audit_details_stay BEFORE UPDATE OR TRUNCATE ON audit_details
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_the_record();

CREATE TRIGGER audit_chain_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_chain
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_the_record();

CREATE TRIGGER audit_seals_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_seals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_the_record();

CREATE TRIGGER audit_arrivals_stay BEFORE UPDATE OR TRUNCATE ON audit_arrivals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_the_record();

CREATE FUNCTION wait_for_a_place() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM audit_chain WHERE event_id = OLD.event_id) THEN
        RAISE EXCEPTION 'an audit event waits until it has its place';
    END IF;
    RETURN OLD;
END
$$;

CREATE TRIGGER audit_arrivals_wait BEFORE DELETE ON audit_arrivals FOR EACH ROW EXECUTE FUNCTION wait_for_a_place();

-- A UUIDv7 (RFC 9562, section 5.7) of this time.
CREATE FUNCTION audit_event_id(at bigint) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT substr(time, 1, 8) || '-' || substr(time, 9, 4) || '-7' || substr(random, 1, 3) || '-8' || substr(random, 4, 3) || '-'
        || substr(random, 7, 12)
    -- The first half of a random UUID has no fixed digits; neither has the end of another one.
    FROM (SELECT lpad(to_hex(at), 12, '0') AS time, substr(replace(CAST(gen_random_uuid() AS text), '-', ''), 1, 6)
        || substr(replace(CAST(gen_random_uuid() AS text), '-', ''), 21, 12) AS random) AS parts
$$;

CREATE FUNCTION record_use_of_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_events (id, at, user_id, action, subject, outcome)
    VALUES (audit_event_id(NEW.used_at), NEW.used_at, NEW.user_id, 'api_key.use', NEW.id, 'ok');
    RETURN NULL;
END
$$;

CREATE TRIGGER record_use_of_key AFTER UPDATE OF used_at ON api_keys FOR EACH ROW
    WHEN (NEW.used_at / 86400000 > COALESCE(OLD.used_at, 0) / 86400000) EXECUTE FUNCTION record_use_of_key();

CREATE FUNCTION record_use_of_grant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_events (id, at, user_id, action, subject, outcome)
    VALUES (audit_event_id(NEW.rotated_at), NEW.rotated_at, NEW.user_id, 'oauth.use', NEW.id, 'ok');
    RETURN NULL;
END
$$;

CREATE TRIGGER record_use_of_grant AFTER UPDATE OF rotated_at ON sessions FOR EACH ROW
    WHEN (NEW.client_id IS NOT NULL AND NEW.revoked_at IS NULL
        AND NEW.rotated_at / 86400000 > COALESCE(OLD.rotated_at, 0) / 86400000) EXECUTE FUNCTION record_use_of_grant();
