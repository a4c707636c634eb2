//! Full-text search (docs/adr/0056): a person's keys and words, and the texts that have the terms of a query, ranked with BM25. What fills the index is
//! `search_indexing.rs`. Must not know how a query becomes terms.

use std::collections::BTreeSet;

use domain::{Id, Timestamp};

use crate::{
    Database, Row, Statement, StorageError, Store, Value,
    conversations::title_of,
    database::places,
    messages,
    sealed_texts::Opener,
    search_indexing::{COUNT_BITS, DocumentKind, PURPOSE, SearchKey, word_name, word_place},
};

/// The most words of the dictionary that are read for a search. A bucket has some hundred, and there are at most four for each word of a query. Opening this
/// many takes five milliseconds, in which the instance answers nobody else, and they are in memory beside those of fifteen other searches.
const MAX_WORDS_READ: u32 = 4_000;
/// A page of long texts ends early: each is opened whole, so it is in memory several times, and an instance serves sixteen requests at once in 128 MiB.
pub const PAGE_BYTES: u32 = 512 * 1024;
/// The steps of the logarithm: powers of two from the one that stands for 1 on, so up to 34 billion times that. Between them it is a straight line, which is at
/// most 0.09 too low. SQLite as Spin has it has no `ln()`.
const LOGARITHM_STEPS: u32 = 36;
/// The fixed point of what the logarithm is taken of.
const FIXED_BITS: u32 = 10;
/// The fixed point of an average length.
const LENGTH_BITS: u32 = 4;

/// What is known of a person's index before anything is looked for.
#[derive(Debug)]
pub struct SearchIndex {
    /// The keys of its hashes: one, but while what was indexed with a former one is indexed anew.
    pub keys: Vec<SearchKey>,
    /// Whether texts wait to be indexed.
    pub has_backlog: bool,
    texts: i64,
    length: i64,
}

/// A word of a person's dictionary.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SearchWord {
    /// Its bucket.
    pub bucket: i64,
    /// The hash of the term that it became.
    pub term: i64,
    /// The word.
    pub text: String,
}

/// A term that is looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SearchTerm {
    /// Which word of the query it stands for, from 0.
    pub word: usize,
    /// Its hash.
    pub term: i64,
    /// How much it counts, from 1 to 100.
    pub weight_percent: u32,
}

/// What must be so of everything that is found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SearchFilter {
    /// One of these kinds. Empty: any.
    pub kinds: Vec<DocumentKind>,
    /// One of these authors of messages. Empty: any.
    pub authors: Vec<&'static str>,
    /// In one of these conversations. `None`: in any.
    pub conversations: Option<BTreeSet<Id>>,
    /// In a conversation whose title has one of these terms. `None`: in any.
    pub title_terms: Option<BTreeSet<i64>>,
    /// Earlier than this.
    pub before: Option<Timestamp>,
    /// Not earlier than this.
    pub after: Option<Timestamp>,
}

/// Where a page of results ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SearchPlace {
    /// The score of its last text.
    pub score: i64,
    /// The number of that text.
    pub document: i64,
}

/// A page of what was found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SearchPage {
    /// The texts, those with the highest score first.
    pub hits: Vec<SearchHit>,
    /// Where it ends, if there are more.
    pub next: Option<SearchPlace>,
}

/// A text that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SearchHit {
    /// Where it is in the results.
    pub place: SearchPlace,
    /// What it is.
    pub kind: DocumentKind,
    /// Its id: the message's or the conversation's.
    pub id: Id,
    /// The conversation.
    pub conversation_id: Id,
    /// The conversation's title.
    pub title: String,
    /// The message's role. `None`: it is a title.
    pub author: Option<String>,
    /// The message's position in its conversation. `None`: it is a title.
    pub position: Option<i64>,
    /// The run that answers the message, or wrote it. `None`: it is a title.
    pub run_id: Option<Id>,
    /// When it was written, or the conversation was begun.
    pub created_at: Timestamp,
    /// What it says.
    pub text: String,
}

impl<D: Database> Store<D> {
    /// A person's index. Without keys, nothing of theirs is in it.
    ///
    /// # Errors
    /// Those of the database, and of the person's key.
    pub async fn search_index(&self, user_id: Id) -> Result<SearchIndex, StorageError> {
        const QUERY: &str = "search_index";
        let sql = "SELECT key_id, texts, length,
                       CASE WHEN EXISTS (SELECT 1 FROM search_backlog WHERE user_id = ?1)
                           OR EXISTS (SELECT 1 FROM search_walks WHERE user_id = ?1 AND not_before <= now_ms()) THEN 1 ELSE 0 END
                   FROM (SELECT 1 AS one) AS one LEFT JOIN search_indexes ON user_id = ?1 AND texts > 0";
        let rows = self.database.query(Statement::new(QUERY, sql, [user_id.into()])).await?;
        let mut index = SearchIndex { keys: Vec::new(), has_backlog: false, texts: 0, length: 0 };
        for row in &rows {
            let mut columns = row.columns(QUERY);
            let (id, texts, length) =
                (columns.optional_text()?, columns.optional_integer()?, columns.optional_integer()?);
            index.has_backlog = columns.flag()?;
            let Some(id) = id else { continue };
            // What was made with a key that is gone says nothing any more, until it is indexed anew.
            if let Some(bytes) = self.data_key(user_id).await?.derive_for(id, PURPOSE) {
                index.keys.push(SearchKey { id: id.to_owned(), bytes });
                index.texts = index.texts.saturating_add(texts.unwrap_or_default());
                index.length = index.length.saturating_add(length.unwrap_or_default());
            }
        }
        Ok(index)
    }

    /// The words of buckets of a person's dictionary. Those that cannot be opened are left out.
    ///
    /// # Errors
    /// As [`Self::search_index`].
    pub async fn search_words(&self, user_id: Id, buckets: &BTreeSet<i64>) -> Result<Vec<SearchWord>, StorageError> {
        const QUERY: &str = "search_words";
        if buckets.is_empty() {
            return Ok(Vec::new());
        }
        let mut parameters: Vec<Value> = vec![user_id.into()];
        parameters.extend(buckets.iter().map(|bucket| Value::from(*bucket)));
        // Few different lengths, so that the database can keep them as prepared statements.
        parameters.resize(buckets.len().next_power_of_two() + 1, Value::Null);
        let sql = format!(
            "SELECT bucket, word, term, sealed FROM search_words WHERE user_id = ?1 AND bucket IN ({}) LIMIT {MAX_WORDS_READ}",
            places(2..=parameters.len())
        );
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let key = self.data_key(user_id).await?;
        let mut words = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut columns = row.columns(QUERY);
            let (bucket, word, term) = (columns.integer()?, columns.integer()?, columns.integer()?);
            if let Ok(text) = key.open(word_place(&word_name(bucket, word, term)), columns.text()?) {
                words.push(SearchWord { bucket, term, text });
            }
        }
        Ok(words)
    }

    /// The person's texts that have at least one of these terms, those with the highest score first, after a place in that order: at most `limit`, and about
    /// [`PAGE_BYTES`] of text.
    ///
    /// # Errors
    /// As [`Self::search_index`].
    pub async fn search(
        &self,
        user_id: Id,
        index: &SearchIndex,
        terms: &[SearchTerm],
        filter: &SearchFilter,
        after: Option<SearchPlace>,
        limit: u32,
    ) -> Result<SearchPage, StorageError> {
        const QUERY: &str = "search";
        if terms.is_empty() || index.texts == 0 {
            return Ok(SearchPage::default());
        }
        let (sql, parameters) = statement(user_id, index, terms, filter, after, limit);
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let opener = self.opener(user_id, &rows).await?;
        let (mut hits, mut ranked) = (Vec::with_capacity(rows.len()), 0);
        for row in rows.iter().take(usize::try_from(limit).unwrap_or(usize::MAX)) {
            let (hit, count) = read(QUERY, row, &opener)?;
            hits.push(hit);
            ranked = count;
        }
        let has_more = usize::try_from(ranked).unwrap_or_default() > hits.len();
        let next = hits.last().filter(|_| has_more).map(|hit| hit.place);
        Ok(SearchPage { hits, next })
    }
}

/// BM25 in one statement. `found` has the best term of each word in each text, with the part of its score that says how much of the text it is, times 1000;
/// `rarities` how rare a word is: the logarithm to base two, times 1000. `k1` is 1.2 and `b` 0.75.
fn statement(
    user_id: Id,
    index: &SearchIndex,
    terms: &[SearchTerm],
    filter: &SearchFilter,
    after: Option<SearchPlace>,
    limit: u32,
) -> (String, Vec<Value>) {
    let average = (index.length << LENGTH_BITS).checked_div(index.texts).unwrap_or_default().max(1);
    let mut parameters: Vec<Value> = vec![user_id.into(), average.into(), index.texts.saturating_mul(2).into()];
    // Few different lengths, so that the database can keep them as prepared statements. What fills them is no hash of anything.
    let filler = SearchTerm { word: 0, term: 0, weight_percent: 0 };
    let padded = terms.iter().chain(std::iter::repeat(&filler)).take(terms.len().next_power_of_two());
    let mut rows = Vec::new();
    for SearchTerm { word, term, weight_percent } in padded {
        let at = parameters.len();
        rows.push(format!("(CAST(?{} AS bigint), CAST(?{} AS bigint), CAST(?{} AS bigint))", at + 1, at + 2, at + 3));
        parameters.extend([(*word as u64).into(), (*term).into(), i64::from(*weight_percent).into()]);
    }
    let filters = filtered(filter, &mut parameters);
    let beyond = after.map_or_else(String::new, |place| {
        parameters.extend([place.score.into(), place.document.into()]);
        let at = parameters.len();
        format!("WHERE (score, document) < (CAST(?{} AS bigint), CAST(?{} AS bigint))", at - 1, at)
    });
    let steps: Vec<String> = (0..LOGARITHM_STEPS)
        .map(|step| format!("({step}, CAST({} AS bigint))", 1_u64 << (step + FIXED_BITS)))
        .collect();
    let (steps, rows) = (steps.join(", "), rows.join(", "));
    let count = format!("(search_postings.measure & {})", (1 << COUNT_BITS) - 1);
    let length = format!("(search_postings.measure >> {COUNT_BITS})");
    let sql = format!(
        "WITH terms (word, term, weight) AS (VALUES {rows}),
         steps (step, power) AS (VALUES {steps}),
         found AS MATERIALIZED (
             SELECT terms.word, search_postings.document,
                 MAX(terms.weight * ({count} * 22000 * CAST(?2 AS bigint)
                     / ({count} * 10 * CAST(?2 AS bigint) + 3 * CAST(?2 AS bigint) + {length} * {}))) AS part
             FROM terms JOIN search_postings ON search_postings.term = terms.term
             WHERE terms.weight > 0 {filters}
             GROUP BY terms.word, search_postings.document),
         rarities AS (
             SELECT word, (SELECT step * 1000 + rareness * 1000 / power - 1000 FROM steps WHERE power <= rareness ORDER BY power DESC LIMIT 1) AS rarity
             FROM (SELECT word, ((CAST(?3 AS bigint) + 2) << {FIXED_BITS}) / (2 * COUNT(*) + 1) AS rareness FROM found GROUP BY word) AS counted),
         best AS MATERIALIZED (
             SELECT score, document FROM (
                 SELECT found.document, CAST(SUM(found.part * (COALESCE(rarities.rarity, 0) + 1)) AS bigint) AS score
                 FROM found JOIN rarities ON rarities.word = found.word GROUP BY found.document) AS scored
             {beyond} ORDER BY score DESC, document DESC LIMIT {limit} + 1)
         SELECT score, document, kind, source_id, conversation_id, title, author, created_at, position, run_id, content, ranked FROM (
             SELECT best.score, best.document, search_documents.kind, search_documents.source_id, search_documents.conversation_id, conversations.title,
                 search_documents.author, search_documents.created_at, messages.position, messages.run_id, messages.content, (SELECT COUNT(*) FROM best) AS ranked,
                 COALESCE(messages.size, 0) AS size,
                 SUM(COALESCE(messages.size, 0)) OVER (ORDER BY best.score DESC, best.document DESC) AS running
             FROM best JOIN search_documents ON search_documents.number = best.document AND search_documents.user_id = ?1
                 JOIN conversations ON conversations.id = search_documents.conversation_id
                 LEFT JOIN messages ON messages.id = search_documents.source_id) AS page
         WHERE running - size < {PAGE_BYTES} ORDER BY score DESC, document DESC",
        9 << LENGTH_BITS
    );
    (sql, parameters)
}

/// The SQL conditions for a posting of a text that fits.
fn filtered(filter: &SearchFilter, parameters: &mut Vec<Value>) -> String {
    let SearchFilter { kinds, authors, conversations, title_terms, before, after } = filter;
    let mut listed = |mut values: Vec<Value>| {
        let first = parameters.len() + 1;
        // Few different lengths, so that the database can keep the statements as prepared ones.
        values.resize(values.len().next_power_of_two(), Value::Null);
        parameters.extend(values);
        places(first..=parameters.len())
    };
    let mut conditions = Vec::new();
    if !kinds.is_empty() {
        let kinds = listed(kinds.iter().map(|kind| kind.name().into()).collect());
        conditions.push(format!("search_documents.kind IN ({kinds})"));
    }
    if !authors.is_empty() {
        let authors = listed(authors.iter().map(|author| (*author).into()).collect());
        conditions.push(format!("search_documents.author IN ({authors})"));
    }
    if let Some(before) = before {
        conditions.push(format!("search_documents.created_at < {}", listed(vec![before.as_millis().into()])));
    }
    if let Some(after) = after {
        conditions.push(format!("search_documents.created_at >= {}", listed(vec![after.as_millis().into()])));
    }
    let mut places_of = Vec::new();
    if let Some(conversations) = conversations.as_ref().filter(|conversations| !conversations.is_empty()) {
        let conversations = listed(conversations.iter().map(|id| (*id).into()).collect());
        places_of.push(format!("search_documents.conversation_id IN ({conversations})"));
    }
    if let Some(terms) = title_terms.as_ref().filter(|terms| !terms.is_empty()) {
        let terms = listed(terms.iter().map(|term| (*term).into()).collect());
        places_of.push(format!(
            "search_documents.conversation_id IN (SELECT titles.source_id FROM search_postings AS named
                 JOIN search_documents AS titles ON titles.number = named.document
                 WHERE named.term IN ({terms}) AND titles.kind = '{}' AND titles.user_id = ?1)",
            DocumentKind::Conversation.name()
        ));
    }
    if conversations.is_some() || title_terms.is_some() {
        let any = if places_of.is_empty() { "1 = 0".to_owned() } else { places_of.join(" OR ") };
        conditions.push(format!("({any})"));
    }
    if conditions.is_empty() {
        return String::new();
    }
    format!(
        "AND search_postings.document IN (SELECT search_documents.number FROM search_documents WHERE search_documents.user_id = ?1 AND {})",
        conditions.join(" AND ")
    )
}

/// A text that was found, and how many were ranked, of which long ones may be left for the next page.
fn read(query: &'static str, row: &Row, opener: &Opener) -> Result<(SearchHit, i64), StorageError> {
    let mut columns = row.columns(query);
    let place = SearchPlace { score: columns.integer()?, document: columns.integer()? };
    let kind = columns.read("a kind of text", DocumentKind::parse)?;
    let (id, conversation_id) = (columns.id()?, columns.id()?);
    let title = opener.open(title_of(&conversation_id.to_string()), columns.text()?)?;
    let author = Some(columns.text()?.to_owned()).filter(|author| !author.is_empty());
    let (created_at, position, run_id) = (columns.timestamp()?, columns.optional_integer()?, columns.optional_id()?);
    let text = match columns.optional_text()? {
        Some(content) => opener.open(messages::place(&id.to_string(), "content"), content)?,
        None => title.clone(),
    };
    let hit = SearchHit { place, kind, id, conversation_id, title, author, position, run_id, created_at, text };
    Ok((hit, columns.integer()?))
}
