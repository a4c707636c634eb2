-- Documents among the files are read as text, as in the SQLite text beside this one, which says what everything is for.

CREATE TABLE file_readings (
    file_id text PRIMARY KEY REFERENCES files (id) ON DELETE CASCADE,
    user_id text NOT NULL,
    state text NOT NULL,
    turn_at bigint NOT NULL,
    lease text NOT NULL,
    until bigint NOT NULL,
    attempts bigint NOT NULL,
    code text NOT NULL,
    detail text NOT NULL,
    notes text NOT NULL,
    parts bigint NOT NULL,
    bytes bigint NOT NULL
);

CREATE INDEX file_readings_of_user ON file_readings (user_id, state, bytes);

CREATE INDEX file_readings_by_turn ON file_readings (turn_at) WHERE state = 'queued';

CREATE INDEX file_readings_by_lease ON file_readings (until) WHERE state = 'reading';

CREATE TABLE file_texts (
    file_id text NOT NULL,
    number bigint NOT NULL,
    sealed text NOT NULL,
    PRIMARY KEY (file_id, number)
);

CREATE FUNCTION queue_file_reading() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO file_readings (file_id, user_id, state, turn_at, lease, until, attempts, code, detail, notes, parts, bytes)
    SELECT NEW.id, NEW.user_id, 'queued', CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) + 2000 * COUNT(*), '', 0, 0, '', '', '', 0, 0
    FROM file_readings WHERE user_id = NEW.user_id AND state IN ('queued', 'reading')
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER queue_file_reading AFTER UPDATE OF state ON files FOR EACH ROW
WHEN (NEW.state = 'ready' AND OLD.state <> 'ready' AND NEW.type NOT LIKE 'text/%' AND NEW.type NOT LIKE 'image/%'
    AND NEW.type NOT LIKE 'audio/%' AND NEW.type NOT LIKE 'video/%')
EXECUTE FUNCTION queue_file_reading();

CREATE FUNCTION remove_file_text() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM file_texts WHERE file_id = OLD.file_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER remove_file_text AFTER DELETE ON file_removals FOR EACH ROW EXECUTE FUNCTION remove_file_text();

CREATE VIEW read_texts AS
SELECT CAST(NULL AS text) AS file_id, CAST(NULL AS text) AS lease, CAST(NULL AS bigint) AS number, CAST(NULL AS text) AS sealed,
    CAST(NULL AS bigint) AS until
WHERE 1 = 0;

CREATE FUNCTION keep_read_text() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- First, and only if nobody has taken it over: as long as the row is locked, its file does not go.
    UPDATE file_readings SET until = NEW.until WHERE file_id = NEW.file_id AND lease = NEW.lease AND state = 'reading';
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO file_texts (file_id, number, sealed) VALUES (NEW.file_id, NEW.number, NEW.sealed)
    ON CONFLICT (file_id, number) DO UPDATE SET sealed = excluded.sealed;
    RETURN NEW;
END
$$;

CREATE TRIGGER keep_read_text INSTEAD OF INSERT ON read_texts FOR EACH ROW EXECUTE FUNCTION keep_read_text();

INSERT INTO file_readings (file_id, user_id, state, turn_at, lease, until, attempts, code, detail, notes, parts, bytes)
SELECT id, user_id, 'queued',
    CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) + 2000 * ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY id DESC), '', 0, 0, '', '', '', 0, 0
FROM files
WHERE state = 'ready' AND type NOT LIKE 'text/%' AND type NOT LIKE 'image/%' AND type NOT LIKE 'audio/%' AND type NOT LIKE 'video/%';
