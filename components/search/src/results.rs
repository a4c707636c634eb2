//! `GET /api/search`: the caller's texts that have what they look for, the best first, with the words marked.

use axum::extract::State;
use domain::{Id, Timestamp};
use http::{HeaderMap, StatusCode};
use permissions::table::ConversationsRead;
use problem::Problem;
use search_terms::{IndexKey, MAX_QUERY_CHARS, Query as Typed};
use serde::{Deserialize, Serialize};
use storage::{
    Database,
    rate_limits::Limit,
    search::{SearchHit, SearchPlace},
};
use web::{Allowed, Json, Listing, Query, Result, preferences::Preferences};

use crate::{
    filters, indexing,
    router::Search,
    terms::{buckets, terms},
};

/// The length of a page, if the request does not say.
const DEFAULT_LIMIT: u32 = 20;
/// The longest page: each of its texts is opened and looked through.
const MAX_LIMIT: u32 = 50;
/// One a second: the page asks a quarter of a second after the last letter. A search may take a tenth of a second of the database's time and more.
const SEARCHES_PER_MINUTE: u32 = 60;
/// About two lines of a page.
const SNIPPET_BYTES: usize = 200;

/// What is looked for.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub(crate) struct Asked {
    /// Words, phrases in quotation marks, and filters: `in:messages`, `in:conversations`, `in:` with a conversation's id or a word of its title, `from:me`,
    /// `from:assistant`, `before:2026-11-30`, `after:2026-11`.
    #[cfg_attr(test, param(min_length = 1, max_length = 512, example = "cabin before:2026"))]
    q: Option<String>,
}

/// Texts that were found.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct SearchResults {
    /// The best first.
    items: Vec<ResultBody>,
    /// What to send as `cursor` for the next page; null: this is the last one. A page may have fewer items than asked for, or none, and a next one.
    next_cursor: Option<String>,
    /// Whether everything that the caller said is indexed by now.
    is_complete: bool,
}

/// A text that was found. Programs ignore kinds that they do not know: more will come.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = SearchResult, example = json!({"kind": "message", "id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f00", "conversation_id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f01", "title": "A trip", "role": "user", "position": 3, "run_id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f02", "created_at": "2026-01-01T12:00:00.000Z", "snippet": [{"text": "Where is the ", "match": false}, {"text": "cabin", "match": true}]})))]
pub(crate) struct ResultBody {
    /// `message`; or `conversation`, whose title was found.
    kind: &'static str,
    /// The message's or the conversation's.
    id: Id,
    conversation_id: Id,
    /// The conversation's title. Empty: it has none.
    title: String,
    /// Who wrote the message: `user` or `assistant`. What is said of messages alone is null for a title.
    role: Option<String>,
    /// The message's place in the conversation, as the cursors of its messages count.
    position: Option<i64>,
    /// The run that answers the message, or wrote it.
    run_id: Option<Id>,
    /// When the message was written, or the conversation begun.
    created_at: Timestamp,
    /// The part of the text that has the most of what was looked for.
    snippet: Vec<PieceBody>,
}

/// A part of a snippet.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = SnippetPiece))]
pub(crate) struct PieceBody {
    text: String,
    /// It was looked for.
    #[serde(rename = "match")]
    is_match: bool,
}

fn cursor(place: SearchPlace) -> String {
    format!("{}_{}", place.score, place.document)
}

fn parse_cursor(text: &str) -> Option<SearchPlace> {
    let (score, document) = text.split_once('_')?;
    Some(SearchPlace { score: score.parse().ok()?, document: document.parse().ok()? })
}

/// Searches one's conversations.
///
/// Their titles and messages: other forms of a word are found, other words that begin like the last one typed, and words with a letter or two mistyped. Temporary chats and
/// what tools answered are not searched. A page has at most 50 results, also if a larger `limit` is asked for.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/search", tag = "Search", operation_id = "search",
    params(
        Asked,
        Listing,
        ("Time-Zone" = Option<String>, Header, description = "Where the days of filters begin, such as `Europe/Berlin`."),
    ),
    responses(
        (status = 200, description = "A page of results.", body = SearchResults),
        (status = 403, description = "`search_off`: this installation has no index."),
        (status = 429, description = "`rate_limited`."),
    ),
))]
pub(crate) async fn search<D: Database + 'static>(
    State(search): State<Search<D>>,
    session: Allowed<ConversationsRead>,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
    Query(listing): Query<Listing>,
) -> Result<Json<SearchResults>> {
    if !search.config.has_index {
        let detail = "This installation keeps no index of what is said, so nothing can be searched. Whoever deploys it can change that.";
        return Err(Problem::new(StatusCode::FORBIDDEN, "search_off", detail).into());
    }
    let limit = listing.limit(DEFAULT_LIMIT)?.min(MAX_LIMIT);
    let after = listing.cursor(parse_cursor)?;
    let typed = asked.q.unwrap_or_default();
    if !(1..=MAX_QUERY_CHARS).contains(&typed.trim().chars().count()) {
        let detail = format!("Say what to look for, in at most {MAX_QUERY_CHARS} characters.");
        return Err(Problem::invalid_field("q", detail).into());
    }
    let rate = Limit::per_minute(format!("searches:{}", session.user_id()), SEARCHES_PER_MINUTE);
    search.store().take_rate(&[rate]).await?.map_err(|wait| {
        Problem::rate_limited("You have searched many times. Try again in a minute.", wait.0.div_ceil(1000))
    })?;
    // With a space behind it: whoever typed one has finished the word.
    let query = Typed::parse(typed.trim_start());
    let (store, user_id) = (search.store(), session.user_id());
    let mut index = store.search_index(user_id).await?;
    if index.has_backlog {
        indexing::catch_up(&search, user_id).await;
        index = store.search_index(user_id).await?;
        (search.soon)(search.clone());
    }
    let keys: Vec<_> = index.keys.iter().map(|key| IndexKey::new(&key.bytes)).collect();
    let is_complete = !index.has_backlog;
    let filter = filters::filter(&query.filters, &keys, &Preferences::of(&headers)).filter(|_| !query.is_empty());
    let Some(filter) = filter else {
        return Ok(Json(SearchResults { items: Vec::new(), next_cursor: None, is_complete }));
    };
    let dictionary = store.search_words(user_id, &buckets(&query, &keys)).await?;
    let (terms, expansions) = terms(&query, &keys, &dictionary);
    let page = store.search(user_id, &index, &terms, &filter, after, limit).await?;
    let matcher = query.matcher(expansions.iter().map(|(place, expansion)| (*place, expansion)));
    let body = |hit: SearchHit| {
        let piece = |piece: search_terms::Piece| PieceBody { text: piece.text, is_match: piece.is_match };
        ResultBody {
            kind: hit.kind.name(),
            id: hit.id,
            conversation_id: hit.conversation_id,
            title: hit.title,
            role: hit.author,
            position: hit.position,
            run_id: hit.run_id,
            created_at: hit.created_at,
            snippet: matcher.snippet(&hit.text, SNIPPET_BYTES).into_iter().map(piece).collect(),
        }
    };
    let items = page.hits.into_iter().filter(|hit| query.has_phrases(&hit.text)).map(body).collect();
    Ok(Json(SearchResults { items, next_cursor: page.next.map(cursor), is_complete }))
}
