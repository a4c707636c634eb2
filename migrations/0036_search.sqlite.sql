-- The index of full-text search (docs/adr/0056): keyed hashes of what people's texts say, and a sealed dictionary of their words. 0002 says what a command is;
-- the PostgreSQL text beside this one says the same.

-- A text that is in the index. number is random, for its rows in search_postings. key_id is the data key whose derived key made the hashes. kind is
-- conversation, whose text is its title, or message; source_id is the row's id there. author is a message's role. length counts words, small ones left out.
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
) WITHOUT ROWID;

CREATE UNIQUE INDEX search_documents_of_source ON search_documents (source_id);

CREATE INDEX search_documents_of_user ON search_documents (user_id, kind, created_at);

CREATE INDEX search_documents_of_conversation ON search_documents (conversation_id);

-- Which texts have a term. measure is the text's length times 1024, and how often the term is in it, at most 1023 times: a search reads nothing else.
CREATE TABLE search_postings (
    term bigint NOT NULL,
    document bigint NOT NULL,
    measure bigint NOT NULL,
    PRIMARY KEY (term, document)
) WITHOUT ROWID;

CREATE INDEX search_postings_of_document ON search_postings (document);

-- A person's words, each once for a term that it became. bucket and word are hashes of its beginning and of itself; sealed is the word.
CREATE TABLE search_words (
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    bucket bigint NOT NULL,
    word bigint NOT NULL,
    term bigint NOT NULL,
    sealed text NOT NULL,
    PRIMARY KEY (user_id, bucket, word, term)
) WITHOUT ROWID;

CREATE INDEX search_words_of_term ON search_words (term);

-- How many texts of a person were indexed with a key, and how long they are together.
CREATE TABLE search_indexes (
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key_id text NOT NULL,
    texts bigint NOT NULL,
    length bigint NOT NULL,
    PRIMARY KEY (user_id, key_id)
) WITHOUT ROWID;

-- Texts that are to be indexed, or indexed anew. revision tells whether a text was changed again meanwhile. due_at is when whoever comes by may take the
-- text; whoever took it and did not finish has counted in attempts. size is about its bytes. Without references, since a row comes with every message: triggers
-- delete it.
CREATE TABLE search_backlog (
    source_id text PRIMARY KEY,
    user_id text NOT NULL,
    size bigint NOT NULL,
    revision bigint NOT NULL,
    attempts bigint NOT NULL,
    due_at bigint NOT NULL
) WITHOUT ROWID;

CREATE INDEX search_backlog_of_user ON search_backlog (user_id, source_id);

CREATE INDEX search_backlog_by_due ON search_backlog (due_at);

-- People all of whose texts are to be indexed: those of before this migration, those with a new data key, and everybody while the index is turned off. The newest
-- conversations come first; passed is the id of the last one whose texts are in the backlog, and z comes behind every id. due_at is when whoever comes by takes the
-- next step. Whoever searches takes their own earlier, but not before not_before.
CREATE TABLE search_walks (
    user_id text PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    passed text NOT NULL,
    not_before bigint NOT NULL,
    due_at bigint NOT NULL
) WITHOUT ROWID;

CREATE INDEX search_walks_by_due ON search_walks (due_at);

INSERT INTO search_walks (user_id, passed, not_before, due_at)
SELECT id, 'z', 0, 0 FROM users WHERE EXISTS (SELECT 1 FROM conversations WHERE conversations.user_id = users.id);

-- What is copied into a database is old, and brings its own backlog. Temporary chats and tools' results are not searched, and a text that is empty says nothing.
CREATE TRIGGER search_new_message AFTER INSERT ON messages
WHEN NEW.role <> 'tool' AND NEW.content <> '' AND NEW.created_at > CAST(unixepoch('subsec') * 1000 AS INTEGER) - 60000
BEGIN
    INSERT INTO search_backlog (user_id, source_id, size, revision, attempts, due_at)
    SELECT user_id, NEW.id, NEW.size, 0, 0, NEW.created_at FROM conversations WHERE id = NEW.conversation_id
        AND NOT EXISTS (SELECT 1 FROM conversation_lifetimes WHERE conversation_id = NEW.conversation_id AND is_temporary = 1)
    ON CONFLICT DO NOTHING;
END;

CREATE TRIGGER search_new_title AFTER INSERT ON conversations
WHEN NEW.title <> '' AND NEW.created_at > CAST(unixepoch('subsec') * 1000 AS INTEGER) - 60000
BEGIN
    INSERT INTO search_backlog (user_id, source_id, size, revision, attempts, due_at)
    VALUES (NEW.user_id, NEW.id, octet_length(NEW.title), 0, 0, NEW.created_at)
    ON CONFLICT DO NOTHING;
END;

CREATE TRIGGER search_changed_title AFTER UPDATE OF title ON conversations
WHEN NEW.title <> OLD.title
BEGIN
    INSERT INTO search_backlog (user_id, source_id, size, revision, attempts, due_at)
    SELECT NEW.user_id, NEW.id, octet_length(NEW.title), 0, 0, NEW.updated_at
    WHERE NOT EXISTS (SELECT 1 FROM conversation_lifetimes WHERE conversation_id = NEW.id AND is_temporary = 1)
    ON CONFLICT (source_id) DO UPDATE SET revision = revision + 1, attempts = 0, due_at = excluded.due_at;
END;

-- For two minutes, the former key still seals, and instances keep keys for one (crates/storage/src/data_keys.rs).
CREATE TRIGGER search_anew_with_new_key AFTER UPDATE OF id ON data_keys
WHEN NEW.id <> OLD.id
BEGIN
    INSERT INTO search_walks (user_id, passed, not_before, due_at)
    SELECT NEW.user_id, 'z', later, later FROM (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) + 240000 AS later) AS times WHERE 1 = 1
    ON CONFLICT (user_id) DO UPDATE SET passed = excluded.passed, not_before = excluded.not_before, due_at = excluded.due_at;
END;

-- Whatever deletes a text deletes its rows, and the words that no other text has.
CREATE TRIGGER search_forgets_document AFTER DELETE ON search_documents
BEGIN
    UPDATE search_indexes SET texts = texts - 1, length = length - OLD.length WHERE user_id = OLD.user_id AND key_id = OLD.key_id;
    DELETE FROM search_words
    WHERE term IN (SELECT term FROM search_postings WHERE document = OLD.number) AND user_id = OLD.user_id
        AND NOT EXISTS (SELECT 1 FROM search_postings AS others WHERE others.term = search_words.term AND others.document <> OLD.number);
    DELETE FROM search_postings WHERE document = OLD.number;
END;

CREATE TRIGGER search_forgets_message AFTER DELETE ON messages
BEGIN
    DELETE FROM search_documents WHERE source_id = OLD.id;
    DELETE FROM search_backlog WHERE source_id = OLD.id;
END;

CREATE TRIGGER search_forgets_title AFTER DELETE ON conversations
BEGIN
    DELETE FROM search_backlog WHERE source_id = OLD.id;
END;

-- Texts that were indexed, as JSON. documents: [number, source_id, revision, kind, conversation_id, author, created_at, length] each; one with length 0 says
-- nothing, or is gone, and leaves the index. postings: [document, term, measure]; words: [bucket, word, term, sealed]. Sending it again changes nothing.
CREATE VIEW indexed_texts AS
SELECT CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS key_id, CAST(NULL AS text) AS documents, CAST(NULL AS text) AS postings,
    CAST(NULL AS text) AS words
WHERE 1 = 0;

CREATE TRIGGER keep_indexed_texts INSTEAD OF INSERT ON indexed_texts
BEGIN
    DELETE FROM search_documents
    WHERE source_id IN (SELECT json_extract(value, '$[1]') FROM json_each(NEW.documents)) AND user_id = NEW.user_id;
    INSERT INTO search_documents (number, user_id, key_id, kind, source_id, conversation_id, author, created_at, length)
    SELECT json_extract(value, '$[0]'), NEW.user_id, NEW.key_id, json_extract(value, '$[3]'), json_extract(value, '$[1]'), conversations.id,
        json_extract(value, '$[5]'), json_extract(value, '$[6]'), json_extract(value, '$[7]')
    FROM json_each(NEW.documents) CROSS JOIN conversations
    WHERE json_extract(value, '$[7]') > 0 AND conversations.id = json_extract(value, '$[4]') AND conversations.user_id = NEW.user_id;
    INSERT INTO search_indexes (user_id, key_id, texts, length)
    SELECT NEW.user_id, NEW.key_id, COUNT(*), COALESCE(SUM(length), 0) FROM search_documents
    WHERE number IN (SELECT json_extract(value, '$[0]') FROM json_each(NEW.documents))
    ON CONFLICT (user_id, key_id) DO UPDATE SET texts = texts + excluded.texts, length = length + excluded.length;
    INSERT INTO search_postings (term, document, measure)
    SELECT json_extract(value, '$[1]'), json_extract(value, '$[0]'), json_extract(value, '$[2]') FROM json_each(NEW.postings)
    WHERE EXISTS (SELECT 1 FROM search_documents WHERE number = json_extract(value, '$[0]'));
    INSERT INTO search_words (user_id, bucket, word, term, sealed)
    SELECT NEW.user_id, json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'), json_extract(value, '$[3]')
    FROM json_each(NEW.words)
    WHERE EXISTS (SELECT 1 FROM search_postings WHERE term = json_extract(value, '$[2]'))
    ON CONFLICT DO NOTHING;
    DELETE FROM search_backlog
    WHERE user_id = NEW.user_id AND (source_id, revision) IN (SELECT json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(NEW.documents));
END;

-- The next conversations of somebody whose texts are all to be indexed: those before `passed` down to `up_to`. Without up_to there are none, and it is done.
CREATE VIEW search_walk_steps AS
SELECT CAST(NULL AS text) AS user_id, CAST(NULL AS text) AS passed, CAST(NULL AS text) AS up_to, CAST(NULL AS bigint) AS walked_at WHERE 1 = 0;

CREATE TRIGGER take_search_walk_step INSTEAD OF INSERT ON search_walk_steps
BEGIN
    INSERT INTO search_backlog (user_id, source_id, size, revision, attempts, due_at)
    SELECT user_id, id, octet_length(title), 0, 0, NEW.walked_at FROM conversations
    WHERE user_id = NEW.user_id AND id < NEW.passed AND id >= NEW.up_to AND title <> ''
        AND NOT EXISTS (SELECT 1 FROM conversation_lifetimes WHERE conversation_id = conversations.id AND is_temporary = 1)
    ON CONFLICT DO NOTHING;
    INSERT INTO search_backlog (user_id, source_id, size, revision, attempts, due_at)
    SELECT conversations.user_id, messages.id, messages.size, 0, 0, NEW.walked_at
    FROM conversations CROSS JOIN messages ON messages.conversation_id = conversations.id
    WHERE conversations.user_id = NEW.user_id AND conversations.id < NEW.passed AND conversations.id >= NEW.up_to
        AND NOT EXISTS (SELECT 1 FROM conversation_lifetimes WHERE conversation_id = conversations.id AND is_temporary = 1)
        AND messages.role <> 'tool' AND messages.content <> ''
    ON CONFLICT DO NOTHING;
    UPDATE search_walks SET passed = NEW.up_to, due_at = NEW.walked_at
    WHERE user_id = NEW.user_id AND passed = NEW.passed AND NEW.up_to IS NOT NULL;
    DELETE FROM search_walks WHERE user_id = NEW.user_id AND passed = NEW.passed AND NEW.up_to IS NULL;
END;
