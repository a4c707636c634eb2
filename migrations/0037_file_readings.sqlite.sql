-- Documents among the files are read as text (docs/adr/0057). 0002 says what a command is; the PostgreSQL text beside this one says the same.

-- A file that is read, or is to be. state is 'queued', 'reading', 'read' or 'failed'. Whoever reads has it by lease, until then. turn_at is a person's place among
-- all people: two seconds behind their own file before. code and detail say why it failed, and notes what is missing: all three are words of this software. parts
-- is how many pages, sheets, slides, chapters or messages there are. bytes is the length of the text, which counts as what the person's files have.
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

-- With bytes, so that counting what a person has reads nothing but the index.
CREATE INDEX file_readings_of_user ON file_readings (user_id, state, bytes);

CREATE INDEX file_readings_by_turn ON file_readings (turn_at) WHERE state = 'queued';

CREATE INDEX file_readings_by_lease ON file_readings (until) WHERE state = 'reading';

-- The text in pieces of 262,144 bytes, sealed with the file's key. Like file_pieces they outlive their file for a while, without its key.
CREATE TABLE file_texts (
    file_id text NOT NULL,
    number bigint NOT NULL,
    sealed text NOT NULL,
    PRIMARY KEY (file_id, number)
);

-- In the statement with which a file is whole: whatever happens then, somebody reads it. Texts go to models as they are, and of these others nobody reads a text.
CREATE TRIGGER queue_file_reading AFTER UPDATE OF state ON files
WHEN NEW.state = 'ready' AND OLD.state <> 'ready' AND NEW.type NOT LIKE 'text/%' AND NEW.type NOT LIKE 'image/%'
    AND NEW.type NOT LIKE 'audio/%' AND NEW.type NOT LIKE 'video/%'
BEGIN
    INSERT INTO file_readings (file_id, user_id, state, turn_at, lease, until, attempts, code, detail, notes, parts, bytes)
    SELECT NEW.id, NEW.user_id, 'queued', CAST(unixepoch('subsec') * 1000 AS INTEGER) + 2000 * COUNT(*), '', 0, 0, '', '', '', 0, 0
    FROM file_readings WHERE user_id = NEW.user_id AND state IN ('queued', 'reading')
    ON CONFLICT DO NOTHING;
END;

-- The pieces of a file that is gone go first, then its text with the word that something was left.
CREATE TRIGGER remove_file_text AFTER DELETE ON file_removals
BEGIN
    DELETE FROM file_texts WHERE file_id = OLD.file_id;
END;

-- A piece of a text, from whoever has the lease, which is longer then.
CREATE VIEW read_texts AS
SELECT CAST(NULL AS text) AS file_id, CAST(NULL AS text) AS lease, CAST(NULL AS bigint) AS number, CAST(NULL AS text) AS sealed,
    CAST(NULL AS bigint) AS until
WHERE 1 = 0;

CREATE TRIGGER keep_read_text INSTEAD OF INSERT ON read_texts
BEGIN
    UPDATE file_readings SET until = NEW.until WHERE file_id = NEW.file_id;
    INSERT INTO file_texts (file_id, number, sealed) VALUES (NEW.file_id, NEW.number, NEW.sealed)
    ON CONFLICT (file_id, number) DO UPDATE SET sealed = excluded.sealed;
END;

-- Those that are there already, the newest of each person first.
INSERT INTO file_readings (file_id, user_id, state, turn_at, lease, until, attempts, code, detail, notes, parts, bytes)
SELECT id, user_id, 'queued',
    CAST(unixepoch('subsec') * 1000 AS INTEGER) + 2000 * ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY id DESC), '', 0, 0, '', '', '', 0, 0
FROM files
WHERE state = 'ready' AND type NOT LIKE 'text/%' AND type NOT LIKE 'image/%' AND type NOT LIKE 'audio/%' AND type NOT LIKE 'video/%';
