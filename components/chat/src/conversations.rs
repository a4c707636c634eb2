//! `/api/conversations` and `/api/conversations/{id}`.

use axum::{extract::State, response::Response};
use domain::{Conversation, Id, Timestamp};
use http::StatusCode;
use permissions::table::{ConversationsRead, ConversationsWrite};
use problem::Problem;
use serde::Deserialize;
use storage::Database;
use web::{Allowed, Json, Listing, Page, PathId, Query, Result, Session, extract::created};

use crate::{body::ConversationBody, models, router::Chat};

/// A title is one line in a list.
const MAX_TITLE_CHARS: usize = 200;
/// The length of a page, if the request does not say.
const DEFAULT_LIMIT: u32 = 50;

#[derive(Deserialize)]
pub(crate) struct Change {
    title: Option<String>,
    model: Option<String>,
}

impl Change {
    async fn check<D: Database>(&self, chat: &Chat<D>, session: &Session) -> Result<()> {
        if self.title.as_ref().is_some_and(|title| title.chars().count() > MAX_TITLE_CHARS) {
            return Err(Problem::invalid_field("title", "Use at most 200 characters.").into());
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
    let found = chat.store().conversations(session.user_id(), after, limit + 1).await?;
    Ok(Json(Page::new(found, limit, cursor, Into::into)))
}

pub(crate) async fn create<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsWrite>,
    Json(change): Json<Change>,
) -> Result<Response> {
    change.check(&chat, &session).await?;
    let title = change.title.unwrap_or_default();
    let conversation =
        chat.store().create_conversation(session.user_id(), title.trim(), change.model.as_deref()).await?;
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
    let title = change.title.as_deref().map(str::trim);
    let updated = chat.store().update_conversation(session.user_id(), id, title, change.model.as_deref()).await?;
    Ok(Json(updated.ok_or_else(Problem::not_found)?.into()))
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
