//! `/api/conversations` and `/api/conversations/{id}`.

use axum::{extract::State, response::Response};
use domain::{Conversation, Id, Timestamp};
use http::StatusCode;
use permissions::table::{ConversationsRead, ConversationsWrite};
use problem::Problem;
use serde::{Deserialize, Deserializer};
use storage::{Database, retention::MAX_DAYS};
use web::{Allowed, Json, Listing, Page, PathId, Query, Result, Session, extract::created};

use crate::{body::ConversationBody, models, router::Chat};

/// A title is one line in a list.
const MAX_TITLE_CHARS: usize = 200;
/// The length of a page, if the request does not say.
const DEFAULT_LIMIT: u32 = 50;

#[derive(Deserialize)]
pub(crate) struct New {
    /// No list shows it, and it is deleted soon after it was left.
    #[serde(default)]
    temporary: bool,
    #[serde(flatten)]
    change: Change,
}

#[derive(Deserialize)]
pub(crate) struct Change {
    title: Option<String>,
    model: Option<String>,
    /// `null`: as the rules of the installation say. Absent: as before.
    #[serde(default, deserialize_with = "present")]
    retention_days: Option<Option<u32>>,
}

/// Tells `null` from a field that is absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<Option<u32>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Change {
    async fn check<D: Database>(&self, chat: &Chat<D>, session: &Session) -> Result<()> {
        if self.title.as_ref().is_some_and(|title| title.chars().count() > MAX_TITLE_CHARS) {
            return Err(Problem::invalid_field("title", "Use at most 200 characters.").into());
        }
        if self.retention_days.flatten().is_some_and(|days| !(1..=MAX_DAYS).contains(&days)) {
            let detail = format!("Keep it for 1 to {MAX_DAYS} days, or null: as long as the installation does.");
            return Err(Problem::invalid_field("retention_days", detail).into());
        }
        models::check_name(chat, session, self.model.as_deref()).await
    }
}

/// The cursor of a page: the position of its last item.
fn cursor(conversation: &Conversation) -> String {
    format!("{}_{}", conversation.updated_at.as_millis(), conversation.id)
}

fn parse_cursor(text: &str) -> Option<(Timestamp, Id)> {
    let (millis, id) = text.split_once('_')?;
    Some((Timestamp::from_millis(millis.parse().ok()?), id.parse().ok()?))
}

pub(crate) async fn list<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsRead>,
    Query(listing): Query<Listing>,
) -> Result<Json<Page<ConversationBody>>> {
    let limit = listing.limit(DEFAULT_LIMIT)?;
    let after = listing.cursor(parse_cursor)?;
    let has_rules = chat.has_retention_rules().await?;
    let found = chat.store().conversations(session.user_id(), after, limit + 1, has_rules).await?;
    Ok(Json(Page::new(found, limit, cursor, Into::into)))
}

pub(crate) async fn create<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsWrite>,
    Json(New { temporary, change }): Json<New>,
) -> Result<Response> {
    change.check(&chat, &session).await?;
    let (store, user_id, model) = (chat.store(), session.user_id(), change.model.as_deref());
    if temporary {
        if change.title.is_some() || change.retention_days.is_some() {
            let detail = "A temporary chat has no title and is not kept. Leave title and retention_days out.";
            return Err(Problem::invalid_field("temporary", detail).into());
        }
        let conversation = store.begin_temporary_conversation(user_id, model).await?;
        return Ok(created(ConversationBody::from(conversation.ok_or_else(Problem::not_found)?)));
    }
    let title = change.title.unwrap_or_default();
    let mut conversation = store.create_conversation(user_id, title.trim(), model).await?;
    if let Some(days) = change.retention_days {
        store.set_own_retention(user_id, conversation.id, days).await?;
        conversation = store.conversation(user_id, conversation.id).await?.ok_or_else(Problem::not_found)?;
    }
    Ok(created(ConversationBody::from(conversation)))
}

pub(crate) async fn read<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsRead>,
    PathId(id): PathId,
) -> Result<Json<ConversationBody>> {
    let conversation = chat.store().conversation(session.user_id(), id).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(conversation.into()))
}

pub(crate) async fn update<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsWrite>,
    PathId(id): PathId,
    Json(change): Json<Change>,
) -> Result<Json<ConversationBody>> {
    change.check(&chat, &session).await?;
    let (store, user_id) = (chat.store(), session.user_id());
    if change.title.is_some() || change.retention_days.is_some() {
        let conversation = store.conversation(user_id, id).await?.ok_or_else(Problem::not_found)?;
        if conversation.is_temporary {
            let detail = "A temporary chat has no title and is not kept. Begin another conversation, which is.";
            return Err(Problem::conflict("temporary", detail).into());
        }
    }
    let title = change.title.as_deref().map(str::trim);
    let updated = store.update_conversation(user_id, id, title, change.model.as_deref()).await?;
    let mut updated = updated.ok_or_else(Problem::not_found)?;
    // After the change, from which it counts: whatever fails in between, nothing goes at once.
    if let Some(days) = change.retention_days {
        store.set_own_retention(user_id, id, days).await?;
        updated = store.conversation(user_id, id).await?.ok_or_else(Problem::not_found)?;
    }
    Ok(Json(updated.into()))
}

pub(crate) async fn delete<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsWrite>,
    PathId(id): PathId,
) -> Result<StatusCode> {
    let has_tasks = chat.store().has_tool_tasks(session.user_id(), id).await?;
    if chat.store().delete_conversation(session.user_id(), id).await? {
        // Nobody is left who could read what they come to.
        if has_tasks {
            chat.stop_tasks(session.user_id(), None);
        }
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found().into())
    }
}
