-- The record of who did what as a chain (docs/adr/0040). 0002 says what a command is; the PostgreSQL text beside this one says the same.

-- What stands for a detail that is kept in `audit_details`. Null: there is none, or an earlier release wrote the event, with its detail in it.
ALTER TABLE audit_events ADD COLUMN detail_digest text;

-- Details of events, apart from them, so that they can be erased with their account: the event has SHA-256 of the salt and the detail.
CREATE TABLE audit_details (
    event_id text PRIMARY KEY,
    user_id text NOT NULL,
    salt text NOT NULL,
    detail text NOT NULL
);

CREATE INDEX audit_details_of_user ON audit_details (user_id);

-- Events that wait for their place in the chain. arrived_at is 0 for those that were recorded before there was one.
CREATE TABLE audit_arrivals (
    event_id text PRIMARY KEY,
    arrived_at bigint NOT NULL
);

CREATE INDEX audit_arrivals_in_order ON audit_arrivals (arrived_at, event_id);

-- The places: positions from 1 without gaps. digest is that of the event, hash that of everything up to here.
CREATE TABLE audit_chain (
    position bigint PRIMARY KEY,
    event_id text NOT NULL UNIQUE,
    arrived_at bigint NOT NULL,
    digest text NOT NULL,
    hash text NOT NULL
);

-- Signed statements about the last hash of a batch. A batch begins after the one before, so of two that are made at once, one counts.
CREATE TABLE audit_seals (
    first_position bigint PRIMARY KEY,
    last_position bigint NOT NULL,
    hash text NOT NULL,
    sealed_at bigint NOT NULL,
    key_id text NOT NULL,
    signature text NOT NULL
);

INSERT INTO audit_arrivals (event_id, arrived_at) SELECT id, 0 FROM audit_events;

-- However an event is recorded, also by a host of an earlier release, it waits for its place. An import of a copy brings places and arrivals along.
CREATE TRIGGER audit_event_arrives AFTER INSERT ON audit_events WHEN NOT EXISTS (SELECT 1 FROM audit_chain WHERE event_id = NEW.id)
BEGIN
    INSERT INTO audit_arrivals (event_id, arrived_at) VALUES (NEW.id, NEW.at) ON CONFLICT DO NOTHING;
END;

-- An event with its detail.
CREATE VIEW audit_entries AS
SELECT CAST(NULL AS text) AS id, CAST(NULL AS bigint) AS at, CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS action,
    CAST(NULL AS text) AS subject, CAST(NULL AS text) AS run_id, CAST(NULL AS text) AS call_id, CAST(NULL AS text) AS outcome,
    CAST(NULL AS text) AS detail, CAST(NULL AS text) AS salt, CAST(NULL AS text) AS detail_digest
WHERE 1 = 0;

CREATE TRIGGER record_audit_entry INSTEAD OF INSERT ON audit_entries
BEGIN
    INSERT INTO audit_events (id, at, user_id, action, subject, run_id, call_id, outcome, detail_digest)
    VALUES (NEW.id, NEW.at, NEW.user_id, NEW.action, NEW.subject, NEW.run_id, NEW.call_id, NEW.outcome, NEW.detail_digest)
    ON CONFLICT (id) DO NOTHING;
    INSERT INTO audit_details (event_id, user_id, salt, detail)
    SELECT NEW.id, NEW.user_id, NEW.salt, NEW.detail WHERE NEW.detail IS NOT NULL
    ON CONFLICT (event_id) DO NOTHING;
END;

-- A batch: links is a JSON array of objects with position, event_id, arrived_at, digest and hash. It counts if no other batch begins where it does.
CREATE VIEW audit_batches AS
SELECT CAST(NULL AS text) AS links, CAST(NULL AS bigint) AS first_position, CAST(NULL AS bigint) AS last_position,
    CAST(NULL AS text) AS hash, CAST(NULL AS bigint) AS sealed_at, CAST(NULL AS text) AS key_id, CAST(NULL AS text) AS signature
WHERE 1 = 0;

CREATE TRIGGER seal_audit_batch INSTEAD OF INSERT ON audit_batches
BEGIN
    INSERT INTO audit_seals (first_position, last_position, hash, sealed_at, key_id, signature)
    VALUES (NEW.first_position, NEW.last_position, NEW.hash, NEW.sealed_at, NEW.key_id, NEW.signature);
    INSERT INTO audit_chain (position, event_id, arrived_at, digest, hash)
    SELECT value ->> 'position', value ->> 'event_id', value ->> 'arrived_at', value ->> 'digest', value ->> 'hash' FROM json_each(NEW.links);
    DELETE FROM audit_arrivals WHERE event_id IN (SELECT value ->> 'event_id' FROM json_each(NEW.links));
END;

CREATE TRIGGER audit_details_stay_as_they_are BEFORE UPDATE ON audit_details
BEGIN
    SELECT RAISE(ABORT, 'details of audit events are never changed');
END;

CREATE TRIGGER audit_chain_stays_as_it_is BEFORE UPDATE ON audit_chain
BEGIN
    SELECT RAISE(ABORT, 'the chain of audit events is never changed');
END;

CREATE TRIGGER audit_chain_stays BEFORE DELETE ON audit_chain
BEGIN
    SELECT RAISE(ABORT, 'the chain of audit events is never deleted');
END;

CREATE TRIGGER audit_seals_stay_as_they_are BEFORE UPDATE ON audit_seals
BEGIN
    SELECT RAISE(ABORT, 'seals of audit events are never changed');
END;

CREATE TRIGGER audit_seals_stay BEFORE DELETE ON audit_seals
BEGIN
    SELECT RAISE(ABORT, 'seals of audit events are never deleted');
END;

CREATE TRIGGER audit_arrivals_wait_as_they_are BEFORE UPDATE ON audit_arrivals
BEGIN
    SELECT RAISE(ABORT, 'arrivals of audit events are never changed');
END;

CREATE TRIGGER audit_arrivals_wait BEFORE DELETE ON audit_arrivals
WHEN NOT EXISTS (SELECT 1 FROM audit_chain WHERE event_id = OLD.event_id)
BEGIN
    SELECT RAISE(ABORT, 'an audit event waits until it has its place');
END;

-- The first use of a key, or of what somebody let a program in for, in each day (UTC). Their uses are stored every few minutes; this is once more a day.
-- The id is a UUIDv7 (RFC 9562, section 5.7), as the app makes them.
CREATE TRIGGER record_use_of_key AFTER UPDATE OF used_at ON api_keys WHEN NEW.used_at / 86400000 > COALESCE(OLD.used_at, 0) / 86400000
BEGIN
    INSERT INTO audit_events (id, at, user_id, action, subject, outcome)
    SELECT substr(time, 1, 8) || '-' || substr(time, 9, 4) || '-7' || substr(random, 1, 3) || '-8' || substr(random, 4, 3) || '-'
        || substr(random, 7, 12), NEW.used_at, NEW.user_id, 'api_key.use', NEW.id, 'ok'
    FROM (SELECT printf('%012x', NEW.used_at) AS time, lower(hex(randomblob(9))) AS random);
END;

CREATE TRIGGER record_use_of_grant AFTER UPDATE OF rotated_at ON sessions
WHEN NEW.client_id IS NOT NULL AND NEW.revoked_at IS NULL AND NEW.rotated_at / 86400000 > COALESCE(OLD.rotated_at, 0) / 86400000
BEGIN
    INSERT INTO audit_events (id, at, user_id, action, subject, outcome)
    SELECT substr(time, 1, 8) || '-' || substr(time, 9, 4) || '-7' || substr(random, 1, 3) || '-8' || substr(random, 4, 3) || '-'
        || substr(random, 7, 12), NEW.rotated_at, NEW.user_id, 'oauth.use', NEW.id, 'ok'
    FROM (SELECT printf('%012x', NEW.rotated_at) AS time, lower(hex(randomblob(9))) AS random);
END;
