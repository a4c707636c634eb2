//! What fills the index of full-text search (docs/adr/0056): which texts wait to be indexed, their reading, and the storing of what the index keeps of them.
//! Triggers fill the backlog, and delete with a text what the index has of it. Must not know how a text becomes terms.

use domain::Id;
use serde_json::json;
use vault::{DataKey, Place};
use zeroize::Zeroizing;

use crate::{
    Database, Row, Statement, StorageError, Store, Value, conversations::title_of, data_keys::PersonKey,
    database::places, messages, retention::TEMPORARY,
};

/// What the key of the hashes is derived for.
pub(crate) const PURPOSE: &str = "search index";

/// Texts that are indexed at once: some thousand rows in one statement.
const BATCH: usize = 32;
/// The most bytes of a batch, but for one text, which may be longer: some ten milliseconds of stemming, in which the instance answers nobody else.
const BATCH_BYTES: u32 = 64 * 1024;
/// How long whoever takes texts has them for itself. It doubles with each time that nothing came of it, up to [`MAX_DOUBLINGS`]: a text that cannot be
/// indexed must not be tried all the time.
const TURN_MS: u32 = 30_000;
/// A day and a half.
const MAX_DOUBLINGS: u32 = 12;
/// Conversations whose texts are put into the backlog at once: most have some dozen messages.
const WALKED: u32 = 4;
/// Texts that leave the index at once when it is turned off: some thousand rows.
const EMPTIED: u32 = 50;
/// Rows of the backlog that go at once then.
const EMPTIED_BACKLOG: u32 = 1_000;
/// How long a walk waits while the index is turned off. Then it is looked at again, so that hosts without an index do not look for it all the time.
const OFF_MS: u32 = 10 * 60 * 1000;
/// Walks that are made to wait at once.
const PUT_OFF: u32 = 1_000;
/// How much of a posting's measure is how often the term is in the text (migrations/0036).
pub(crate) const COUNT_BITS: u32 = 10;
/// A text's length fits beside it.
const MAX_LENGTH: u32 = 1 << 30;

/// A key of hashes, and the id of the data key that it comes from.
#[derive(Clone, Debug)]
pub struct SearchKey {
    /// The data key's id.
    pub id: String,
    /// The key.
    pub bytes: Zeroizing<[u8; 32]>,
}

impl SearchKey {
    /// The one with which texts are indexed.
    pub(crate) fn current(key: &DataKey) -> Self {
        let (id, bytes) = key.derive(PURPOSE);
        Self { id: id.to_owned(), bytes }
    }
}

/// What kind of text is indexed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DocumentKind {
    /// The title of a conversation.
    Conversation,
    /// A message.
    Message,
}

impl DocumentKind {
    /// As it is stored, and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Conversation => "conversation",
            Self::Message => "message",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Conversation, Self::Message].into_iter().find(|kind| kind.name() == name)
    }
}

/// What came of taking texts.
#[derive(Debug)]
pub enum TakenTexts {
    /// These are to be indexed.
    Turn(IndexingTurn),
    /// The key of whoever they are of cannot be used. They are tried again later.
    KeyUnusable,
    /// There are none that nobody else has.
    Nothing,
}

/// Texts of one person that are to be indexed.
#[derive(Debug)]
pub struct IndexingTurn {
    /// The person.
    pub user_id: Id,
    /// The key for the hashes.
    pub key: SearchKey,
    /// The texts.
    pub texts: Vec<TextToIndex>,
    data_key: std::sync::Arc<PersonKey>,
}

/// A text that is to be indexed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TextToIndex {
    /// What it says. Empty: it is gone, or must not be indexed.
    pub text: String,
    source_id: String,
    revision: i64,
    kind: DocumentKind,
    conversation_id: String,
    author: String,
    created_at: i64,
}

/// What the index keeps of a text.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct IndexedText {
    /// How many words it has, small ones left out. 0: it leaves the index.
    pub length: u32,
    /// The hashes of its terms, and how often each is in it.
    pub postings: Vec<(i64, u32)>,
    /// Its words.
    pub words: Vec<NewSearchWord>,
}

/// A word for the person's dictionary.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct NewSearchWord {
    /// The hash of its beginning.
    pub bucket: i64,
    /// The hash of the word.
    pub word: i64,
    /// The hash of the term that it became.
    pub term: i64,
    /// The word. It is stored sealed.
    pub text: String,
}

/// Where a word of the dictionary is.
pub(crate) fn word_place(name: &str) -> Place<'_> {
    Place { table: "search_words", row: name, column: "sealed" }
}

/// The name of a word's row: its key without the person, who is authenticated anyway.
pub(crate) fn word_name(bucket: i64, word: i64, term: i64) -> String {
    format!("{bucket} {word} {term}")
}

/// The SQL condition for work that [`Store::take_texts_to_index`] or [`Store::take_search_walk_step`] has for whoever comes by.
pub(crate) fn is_due() -> &'static str {
    "CASE WHEN EXISTS (SELECT 1 FROM search_backlog WHERE due_at <= now_ms()) OR EXISTS (SELECT 1 FROM search_walks WHERE due_at <= now_ms()) THEN 1 ELSE 0 END"
}

impl<D: Database> Store<D> {
    /// Takes texts of one person that are to be indexed: of this one, or of whoever waits longest.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn take_texts_to_index(&self, person: Option<Id>) -> Result<TakenTexts, StorageError> {
        const QUERY: &str = "first_in_search_backlog";
        let user_id = match person {
            Some(person) => person,
            None => {
                let sql = "SELECT user_id FROM search_backlog WHERE due_at <= now_ms() ORDER BY due_at LIMIT 1";
                let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
                let Some(row) = rows.first() else { return Ok(TakenTexts::Nothing) };
                row.columns(QUERY).id()?
            }
        };
        // What was tried before goes alone: whatever is wrong with it must not keep the others from it again.
        let mut taken = self.take_from_search_backlog(user_id, "attempts = 0", BATCH).await?;
        if taken.is_empty() {
            taken = self.take_from_search_backlog(user_id, "attempts > 0", 1).await?;
        }
        if taken.is_empty() {
            return Ok(TakenTexts::Nothing);
        }
        // The key of one person must not keep the texts of others from being indexed.
        let Some(data_key) = self.data_key_if_usable(user_id).await? else { return Ok(TakenTexts::KeyUnusable) };
        let texts = self.texts_to_index(user_id, &data_key, taken).await?;
        Ok(TakenTexts::Turn(IndexingTurn { user_id, key: SearchKey::current(&data_key), texts, data_key }))
    }

    async fn take_from_search_backlog(
        &self,
        user_id: Id,
        which: &str,
        limit: usize,
    ) -> Result<Vec<(String, i64)>, StorageError> {
        const QUERY: &str = "take_from_search_backlog";
        // The condition stands twice: of two hosts that choose the same rows, the second one finds them changed.
        let sql = format!(
            "UPDATE search_backlog SET attempts = attempts + 1,
                 due_at = now_ms() + ({TURN_MS} << CAST(CASE WHEN attempts < {MAX_DOUBLINGS} THEN attempts ELSE {MAX_DOUBLINGS} END AS integer))
             WHERE user_id = ?1 AND due_at <= now_ms() AND source_id IN (
                 SELECT source_id FROM (
                     SELECT source_id, size, SUM(size) OVER (ORDER BY source_id DESC) AS running FROM (
                         SELECT source_id, size FROM search_backlog
                         WHERE user_id = ?1 AND due_at <= now_ms() AND {which} ORDER BY source_id DESC LIMIT {limit}) AS due) AS summed
                 WHERE running - size < {BATCH_BYTES})
             RETURNING source_id, revision"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [user_id.into()])).await?;
        let read = |row: &Row| {
            let mut columns = row.columns(QUERY);
            Ok((columns.text()?.to_owned(), columns.integer()?))
        };
        rows.iter().map(read).collect()
    }

    /// Reads texts. Those that are gone, of temporary chats, or sealed with a lost key are empty.
    async fn texts_to_index(
        &self,
        user_id: Id,
        key: &PersonKey,
        taken: Vec<(String, i64)>,
    ) -> Result<Vec<TextToIndex>, StorageError> {
        const QUERY: &str = "texts_to_index";
        let mut parameters: Vec<Value> = taken.iter().map(|(source_id, _)| source_id.as_str().into()).collect();
        // Few different lengths, so that the database can keep them as prepared statements.
        parameters.resize(parameters.len().next_power_of_two(), Value::Null);
        let (sources, user) = (places(1..=parameters.len()), parameters.len() + 1);
        parameters.push(user_id.into());
        let sql = format!(
            "SELECT messages.id, 'message', conversations.id, messages.role, messages.created_at, messages.content
             FROM messages JOIN conversations ON conversations.id = messages.conversation_id
             WHERE messages.id IN ({sources}) AND conversations.user_id = ?{user} AND messages.role <> 'tool' AND NOT {TEMPORARY}
             UNION ALL
             SELECT conversations.id, 'conversation', conversations.id, '', conversations.created_at, conversations.title
             FROM conversations WHERE conversations.id IN ({sources}) AND conversations.user_id = ?{user} AND NOT {TEMPORARY}"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let mut found = std::collections::BTreeMap::new();
        for row in &rows {
            let mut columns = row.columns(QUERY);
            let (source_id, kind) = (columns.text()?, columns.read("a kind of text", DocumentKind::parse)?);
            let (conversation_id, author) = (columns.text()?, columns.text()?);
            let (created_at, stored) = (columns.integer()?, columns.text()?);
            found.insert(source_id, (kind, conversation_id, author, created_at, stored));
        }
        let text = |(source_id, revision): (String, i64)| {
            let Some((kind, conversation_id, author, created_at, stored)) = found.get(source_id.as_str()) else {
                let (text, conversation_id, author) = (String::new(), String::new(), String::new());
                let kind = DocumentKind::Message;
                return TextToIndex { text, source_id, revision, kind, conversation_id, author, created_at: 0 };
            };
            let place = match kind {
                DocumentKind::Conversation => title_of(&source_id),
                DocumentKind::Message => messages::place(&source_id, "content"),
            };
            // What cannot be opened has no words: those that stand for it on a page are nobody's.
            let text = if key.has_sealed(stored) || !vault::looks_sealed(stored) {
                key.open(place, stored).unwrap_or_default()
            } else {
                String::new()
            };
            let (conversation_id, author) = ((*conversation_id).to_owned(), (*author).to_owned());
            TextToIndex { text, source_id, revision, kind: *kind, conversation_id, author, created_at: *created_at }
        };
        Ok(taken.into_iter().map(text).collect())
    }

    /// Stores what the index keeps of the texts of a turn, in their order, and takes them from the backlog.
    ///
    /// # Errors
    /// Those of the database, and of the person's key. The texts are taken again later.
    pub async fn keep_indexed_texts(
        &self,
        turn: &IndexingTurn,
        indexed: impl IntoIterator<Item = IndexedText>,
    ) -> Result<(), StorageError> {
        let (mut documents, mut postings, mut words) = (Vec::new(), Vec::new(), Vec::new());
        for (number, (text, indexed)) in (first_number()..).zip(turn.texts.iter().zip(indexed)) {
            let length = indexed.length.min(MAX_LENGTH);
            let TextToIndex { source_id, revision, kind, conversation_id, author, created_at, .. } = text;
            documents.push(json!([
                number,
                source_id,
                revision,
                kind.name(),
                conversation_id,
                author,
                created_at,
                length
            ]));
            let most = (1 << COUNT_BITS) - 1;
            let measure = |count: u32| i64::from(length) << COUNT_BITS | i64::from(count.min(most));
            postings.extend(indexed.postings.into_iter().map(|(term, count)| (term, number, measure(count))));
            words.extend(indexed.words);
        }
        // In the order of the index, and so that their order says nothing about the texts.
        postings.sort_unstable();
        words.sort_unstable();
        words.dedup_by(|a, b| (a.bucket, a.word, a.term) == (b.bucket, b.word, b.term));
        let postings: Vec<_> = postings.into_iter().map(|(term, number, measure)| (number, term, measure)).collect();
        let mut sealed = Vec::with_capacity(words.len());
        for NewSearchWord { bucket, word, term, text } in words {
            // No earlier release reads this table, so it is sealed also while others of it may run.
            let text = turn.data_key.seal(word_place(&word_name(bucket, word, term)), &text)?;
            sealed.push((bucket, word, term, text));
        }
        let sql = "INSERT INTO indexed_texts (user_id, key_id, documents, postings, words) VALUES (?1, ?2, ?3, ?4, ?5)";
        let parameters = [
            turn.user_id.into(),
            turn.key.id.as_str().into(),
            serde_json::to_string(&documents)?.into(),
            serde_json::to_string(&postings)?.into(),
            serde_json::to_string(&sealed)?.into(),
        ];
        self.database.query(Statement::new("keep_indexed_texts", sql, parameters).repeatably()).await?;
        Ok(())
    }

    /// Puts the texts of the next conversations of somebody into the backlog whose texts are all to be indexed: of this person, or of whoever waits longest.
    /// `false`: there is nobody.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn take_search_walk_step(&self, person: Option<Id>) -> Result<bool, StorageError> {
        let (whose, parameters) = match person {
            Some(person) => ("?1", vec![person.into()]),
            None => ("(SELECT user_id FROM search_walks WHERE due_at <= now_ms() ORDER BY due_at LIMIT 1)", Vec::new()),
        };
        let sql = format!(
            "INSERT INTO search_walk_steps (user_id, passed, up_to, walked_at)
             SELECT user_id, passed, (SELECT MIN(id) FROM (SELECT id FROM conversations
                 WHERE conversations.user_id = search_walks.user_id AND conversations.id < search_walks.passed
                 ORDER BY conversations.user_id DESC, conversations.id DESC LIMIT {WALKED}) AS next), now_ms()
             FROM search_walks WHERE user_id = {whose} AND not_before <= now_ms() RETURNING user_id"
        );
        // Sent a second time, it takes the next step.
        let statement = Statement::new("take_search_walk_step", sql, parameters).repeatably();
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Removes the next rows of an index that was turned off, and notes whose texts are to be indexed when it is turned on again. `false`: nothing is left.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn empty_search_index(&self) -> Result<bool, StorageError> {
        const QUERY: &str = "person_in_search_index";
        let sql = "SELECT COALESCE((SELECT user_id FROM search_backlog LIMIT 1),
                       (SELECT user_id FROM search_indexes LIMIT 1))";
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let person = rows.first().map(|row| row.columns(QUERY).optional_id()).transpose()?.flatten();
        let Some(person) = person else { return self.put_off_search_walks().await };
        for (name, sql) in [
            // First, so that whoever is killed in between forgets nobody. Of somebody who is gone only the rows are left.
            (
                "walk_when_turned_on",
                "INSERT INTO search_walks (user_id, passed, not_before, due_at) SELECT id, 'z', 0, 0 FROM users WHERE id = ?1
                 ON CONFLICT (user_id) DO UPDATE SET passed = excluded.passed"
                    .to_owned(),
            ),
            (
                "empty_search_documents",
                format!(
                    "DELETE FROM search_documents WHERE number IN (SELECT number FROM search_documents WHERE user_id = ?1 LIMIT {EMPTIED})"
                ),
            ),
            (
                "empty_search_backlog",
                format!(
                    "DELETE FROM search_backlog WHERE user_id = ?1 AND source_id IN (
                         SELECT source_id FROM search_backlog WHERE user_id = ?1 LIMIT {EMPTIED_BACKLOG})"
                ),
            ),
            ("empty_search_indexes", "DELETE FROM search_indexes WHERE user_id = ?1 AND texts <= 0".to_owned()),
        ] {
            self.database.query(Statement::new(name, sql, [person.into()]).repeatably()).await?;
        }
        Ok(true)
    }

    /// Makes walks wait that are due. `false`: none is.
    async fn put_off_search_walks(&self) -> Result<bool, StorageError> {
        let sql = format!(
            "UPDATE search_walks SET due_at = now_ms() + {OFF_MS}
             WHERE user_id IN (SELECT user_id FROM search_walks WHERE due_at <= now_ms() ORDER BY due_at LIMIT {PUT_OFF})
                 AND due_at <= now_ms() RETURNING user_id"
        );
        let statement = Statement::new("put_off_search_walks", sql, []).repeatably();
        Ok(!self.database.query(statement).await?.is_empty())
    }
}

/// The number of the first text of a batch: random, so that hosts need not agree on one, and copies of a database have the same. A batch whose numbers are in use
/// is refused, and taken again later.
fn first_number() -> i64 {
    /// Numbers of this size take six bytes in SQLite; with the random bits, ten million texts share a number once in some installations.
    const BITS: u32 = 47;
    let slots = (BATCH as u128).next_power_of_two();
    let random = Id::new().as_u128() & ((1 << BITS) - 1) & !(slots - 1);
    i64::try_from(random).unwrap_or_default()
}
