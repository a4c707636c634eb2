-- The index of full-text search, as in the SQLite text beside this one, which says what everything is for.

CREATE TABLE search_documents (
    number bigint PRIMARY KEY,
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key_id text NOT NULL,
    kind text NOT NULL,
    source_id text NOT NULL,
    conversation_id text REFERENCES conversations (id) ON DELETE CASCADE,
    author text NOT NULL,
    created_at bigint NOT NULL,
    length bigint NOT NULL
);

CREATE UNIQUE INDEX search_documents_of_source ON search_documents (source_id);

CREATE INDEX search_documents_of_user ON search_documents (user_id, kind, created_at);

CREATE INDEX search_documents_of_conversation ON search_documents (conversation_id);

-- With the measure in its index, so that the table is not read.
CREATE TABLE search_postings (
    term bigint NOT NULL,
    document bigint NOT NULL,
    measure bigint NOT NULL,
    PRIMARY KEY (term, document) INCLUDE (measure)
);

CREATE INDEX search_postings_of_document ON search_postings (document);

CREATE TABLE search_words (
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    bucket bigint NOT NULL,
    word bigint NOT NULL,
    term bigint NOT NULL,
    sealed text NOT NULL,
    PRIMARY KEY (user_id, bucket, word, term)
);

CREATE INDEX search_words_of_term ON search_words (term);

CREATE TABLE search_indexes (
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key_id text NOT NULL,
    texts bigint NOT NULL,
    length bigint NOT NULL,
    PRIMARY KEY (user_id, key_id)
);

CREATE TABLE search_backlog (
    source_id text PRIMARY KEY,
    user_id text NOT NULL,
    size bigint NOT NULL,
    revision bigint NOT NULL,
    attempts bigint NOT NULL,
    due_at bigint NOT NULL
);

CREATE INDEX search_backlog_of_user ON search_backlog (user_id, source_id);

CREATE INDEX search_backlog_by_due ON search_backlog (due_at);

CREATE TABLE search_walks (
    user_id text PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    passed text NOT NULL,
    not_before bigint NOT NULL,
    due_at bigint NOT NULL
);

CREATE INDEX search_walks_by_due ON search_walks (due_at);

INSERT INTO search_walks (user_id, passed, not_before, due_at)
SELECT id, 'z', 0, 0 FROM users WHERE EXISTS (SELECT 1 FROM conversations WHERE conversations.user_id = users.id);

CREATE FUNCTION search_new_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO search_backlog (user_id, source_id, size, revision, attempts, due_at)
    SELECT user_id, NEW.id, NEW.size, 0, 0, NEW.created_at FROM conversations WHERE id = NEW.conversation_id
        AND NOT EXISTS (SELECT 1 FROM conversation_lifetimes WHERE conversation_id = NEW.conversation_id AND is_temporary = 1)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER search_new_message AFTER INSERT ON messages FOR EACH ROW
    WHEN (NEW.role <> 'tool' AND NEW.content <> '' AND NEW.created_at > CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) - 60000)
    EXECUTE FUNCTION search_new_message();

CREATE FUNCTION search_title() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO search_backlog (user_id, source_id, size, revision, attempts, due_at)
    SELECT NEW.user_id, NEW.id, octet_length(NEW.title), 0, 0, NEW.updated_at
    WHERE NOT EXISTS (SELECT 1 FROM conversation_lifetimes WHERE conversation_id = NEW.id AND is_temporary = 1)
    ON CONFLICT (source_id) DO UPDATE SET revision = search_backlog.revision + 1, attempts = 0, due_at = excluded.due_at;
    RETURN NULL;
END
$$;

CREATE TRIGGER search_new_title AFTER INSERT ON conversations FOR EACH ROW
    WHEN (NEW.title <> '' AND NEW.created_at > CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) - 60000)
    EXECUTE FUNCTION search_title();

CREATE TRIGGER search_changed_title AFTER UPDATE OF title ON conversations FOR EACH ROW
    WHEN (NEW.title <> OLD.title) EXECUTE FUNCTION search_title();

CREATE FUNCTION search_anew_with_new_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO search_walks (user_id, passed, not_before, due_at)
    SELECT NEW.user_id, 'z', later, later FROM (SELECT CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint) + 240000 AS later) AS times
    ON CONFLICT (user_id) DO UPDATE SET passed = excluded.passed, not_before = excluded.not_before, due_at = excluded.due_at;
    RETURN NULL;
END
$$;

CREATE TRIGGER search_anew_with_new_key AFTER UPDATE OF id ON data_keys FOR EACH ROW
    WHEN (NEW.id <> OLD.id) EXECUTE FUNCTION search_anew_with_new_key();

CREATE FUNCTION search_forgets_document() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- First, so that whoever changes the index of the same person waits: else each of two would take the other's words for still in use, or for unused.
    UPDATE search_indexes SET texts = texts - 1, length = length - OLD.length WHERE user_id = OLD.user_id AND key_id = OLD.key_id;
    DELETE FROM search_words
    WHERE term IN (SELECT term FROM search_postings WHERE document = OLD.number) AND user_id = OLD.user_id
        AND NOT EXISTS (SELECT 1 FROM search_postings AS others WHERE others.term = search_words.term AND others.document <> OLD.number);
    DELETE FROM search_postings WHERE document = OLD.number;
    RETURN NULL;
END
$$;

CREATE TRIGGER search_forgets_document AFTER DELETE ON search_documents FOR EACH ROW EXECUTE FUNCTION search_forgets_document();

CREATE FUNCTION search_forgets_text() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM search_documents WHERE source_id = OLD.id;
    DELETE FROM search_backlog WHERE source_id = OLD.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER search_forgets_message AFTER DELETE ON messages FOR EACH ROW EXECUTE FUNCTION search_forgets_text();

CREATE TRIGGER search_forgets_title AFTER DELETE ON conversations FOR EACH ROW EXECUTE FUNCTION search_forgets_text();

CREATE VIEW indexed_texts AS
SELECT CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS key_id, CAST(NULL AS text) AS documents, CAST(NULL AS text) AS postings,
    CAST(NULL AS text) AS words
WHERE 1 = 0;

-- With arrays, for which an index is used however few rows there are.
CREATE FUNCTION keep_indexed_texts() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    documents json := CAST(NEW.documents AS json);
    kept bigint[];
    words_in_all bigint;
BEGIN
    -- As whoever deletes them: conversations come before the index of the person, whose changes wait for each other.
    PERFORM 1 FROM conversations
    WHERE id = ANY (ARRAY(SELECT value ->> 4 FROM json_array_elements(documents))) ORDER BY id FOR KEY SHARE;
    INSERT INTO search_indexes (user_id, key_id, texts, length) VALUES (NEW.user_id, NEW.key_id, 0, 0)
    ON CONFLICT (user_id, key_id) DO UPDATE SET texts = search_indexes.texts;
    DELETE FROM search_documents
    WHERE source_id = ANY (ARRAY(SELECT value ->> 1 FROM json_array_elements(documents))) AND user_id = NEW.user_id;
    WITH added AS (
        INSERT INTO search_documents (number, user_id, key_id, kind, source_id, conversation_id, author, created_at, length)
        SELECT CAST(value ->> 0 AS bigint), NEW.user_id, NEW.key_id, value ->> 3, value ->> 1, value ->> 4, value ->> 5,
            CAST(value ->> 6 AS bigint), CAST(value ->> 7 AS bigint)
        FROM json_array_elements(documents)
        WHERE CAST(value ->> 7 AS bigint) > 0 AND value ->> 4 = ANY (ARRAY(SELECT id FROM conversations
            WHERE id = ANY (ARRAY(SELECT value ->> 4 FROM json_array_elements(documents))) AND conversations.user_id = NEW.user_id))
        RETURNING number, length)
    SELECT array_agg(number), CAST(COALESCE(SUM(length), 0) AS bigint) INTO kept, words_in_all FROM added;
    UPDATE search_indexes SET texts = search_indexes.texts + COALESCE(cardinality(kept), 0), length = length + words_in_all
    WHERE user_id = NEW.user_id AND key_id = NEW.key_id;
    INSERT INTO search_postings (term, document, measure)
    SELECT CAST(value ->> 1 AS bigint), CAST(value ->> 0 AS bigint), CAST(value ->> 2 AS bigint) FROM json_array_elements(CAST(NEW.postings AS json))
    WHERE CAST(value ->> 0 AS bigint) = ANY (kept);
    INSERT INTO search_words (user_id, bucket, word, term, sealed)
    SELECT NEW.user_id, CAST(value ->> 0 AS bigint), CAST(value ->> 1 AS bigint), CAST(value ->> 2 AS bigint), value ->> 3
    FROM json_array_elements(CAST(NEW.words AS json))
    WHERE EXISTS (SELECT 1 FROM search_postings WHERE term = CAST(value ->> 2 AS bigint))
    ON CONFLICT DO NOTHING;
    DELETE FROM search_backlog USING json_array_elements(documents)
    WHERE source_id = ANY (ARRAY(SELECT value ->> 1 FROM json_array_elements(documents)))
        AND source_id = value ->> 1 AND revision = CAST(value ->> 2 AS bigint) AND user_id = NEW.user_id;
    RETURN NEW;
END
$$;

CREATE TRIGGER keep_indexed_texts INSTEAD OF INSERT ON indexed_texts FOR EACH ROW EXECUTE FUNCTION keep_indexed_texts();

CREATE VIEW search_walk_steps AS
SELECT CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS passed, CAST(NULL AS text) AS up_to, CAST(NULL AS bigint) AS walked_at WHERE 1 = 0;

CREATE FUNCTION take_search_walk_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.up_to IS NULL THEN
        DELETE FROM search_walks WHERE user_id = NEW.user_id AND passed = NEW.passed;
        RETURN NEW;
    END IF;
    INSERT INTO search_backlog (user_id, source_id, size, revision, attempts, due_at)
    SELECT user_id, id, octet_length(title), 0, 0, NEW.walked_at FROM conversations
    WHERE user_id = NEW.user_id AND id < NEW.passed AND id >= NEW.up_to AND title <> ''
        AND NOT EXISTS (SELECT 1 FROM conversation_lifetimes WHERE conversation_id = conversations.id AND is_temporary = 1)
    ON CONFLICT DO NOTHING;
    INSERT INTO search_backlog (user_id, source_id, size, revision, attempts, due_at)
    SELECT NEW.user_id, messages.id, messages.size, 0, 0, NEW.walked_at FROM messages
    WHERE messages.conversation_id = ANY (ARRAY(SELECT id FROM conversations
            WHERE user_id = NEW.user_id AND id < NEW.passed AND id >= NEW.up_to
                AND NOT EXISTS (SELECT 1 FROM conversation_lifetimes WHERE conversation_id = conversations.id AND is_temporary = 1)))
        AND messages.role <> 'tool' AND messages.content <> ''
    ON CONFLICT DO NOTHING;
    UPDATE search_walks SET passed = NEW.up_to, due_at = NEW.walked_at
    WHERE user_id = NEW.user_id AND passed = NEW.passed;
    RETURN NEW;
END
$$;

CREATE TRIGGER take_search_walk_step INSTEAD OF INSERT ON search_walk_steps FOR EACH ROW EXECUTE FUNCTION take_search_walk_step();
