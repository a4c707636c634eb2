//! `/api/memories`: what the caller had remembered, on one page: seen, edited, deleted, turned off. Facts come from tool calls in conversations and nowhere else.

use std::cmp::Reverse;

use axum::extract::State;
use domain::{Id, Memory, Timestamp, memory::memory_content};
use http::StatusCode;
use permissions::table::{ConversationsRead, ConversationsWrite};
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{Database, audit::AuditEvent};
use web::{Allowed, Json, PathId, Result, Session};

use crate::router::Chat;

/// What is remembered about the caller.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct MemoryList {
    /// The newest first.
    items: Vec<MemoryBody>,
    next_cursor: Option<String>,
    /// Whether conversations remember, and use what is remembered.
    is_on: bool,
}

/// A fact about the caller.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Memory, example = json!({"id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f00", "number": 3, "content": "Prefers metric units.", "conversation_id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f01", "created_at": "2026-01-01T12:00:00.000Z", "updated_at": "2026-01-01T12:00:00.000Z"})))]
pub(crate) struct MemoryBody {
    id: Id,
    /// How models name it.
    number: i64,
    content: String,
    /// The conversation in which it was said, or last replaced; null: it is deleted.
    conversation_id: Option<Id>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Memory> for MemoryBody {
    fn from(Memory { id, number, content, conversation_id, created_at, updated_at }: Memory) -> Self {
        Self { id, number, content, conversation_id, created_at, updated_at }
    }
}

/// Lists what is remembered.
///
/// All facts about the caller, at most 200. A conversation adds to them with the tool `memory:remember`.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/memories", tag = "Memories", operation_id = "listMemories",
    responses(
        (status = 200, description = "The facts, and whether they are used.", body = MemoryList),
    ),
))]
pub(crate) async fn list<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsRead>,
) -> Result<Json<MemoryList>> {
    let (store, user_id) = (chat.store(), session.user_id());
    let is_on = store.memory_is_on(user_id).await?;
    let mut memories = store.memories(user_id).await?;
    memories.sort_by_key(|memory| Reverse((memory.updated_at, memory.number)));
    Ok(Json(MemoryList { items: memories.into_iter().map(Into::into).collect(), next_cursor: None, is_on }))
}

/// Whether anything is remembered.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(example = json!({"is_on": false})))]
pub(crate) struct MemorySwitch {
    is_on: bool,
}

/// Turns memory on or off.
///
/// While it is off, nothing is remembered, and nothing that is remembered is told to models. What is remembered stays.
#[cfg_attr(test, utoipa::path(
    patch, path = "/api/memories", tag = "Memories", operation_id = "switchMemory",
    request_body = MemorySwitch,
    responses(
        (status = 200, description = "As it is now.", body = MemorySwitch),
    ),
))]
pub(crate) async fn switch<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsWrite>,
    Json(wanted): Json<MemorySwitch>,
) -> Result<Json<MemorySwitch>> {
    chat.store().switch_memory(session.user_id(), wanted.is_on).await?;
    record(&chat, &session, "memory.switch", "", Some(if wanted.is_on { "on" } else { "off" })).await?;
    Ok(Json(wanted))
}

/// Deletes everything that is remembered.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/memories", tag = "Memories", operation_id = "deleteMemories",
    responses(
        (status = 204, description = "Nothing is remembered any more."),
    ),
))]
pub(crate) async fn delete_all<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsWrite>,
) -> Result<StatusCode> {
    let count = chat.store().delete_memories(session.user_id()).await?;
    record(&chat, &session, "memory.delete", "all", Some(&count.to_string())).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a fact is to say.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = MemoryChange, example = json!({"content": "Prefers metric units."})))]
pub(crate) struct Change {
    #[cfg_attr(test, schema(min_length = 1, max_length = 500))]
    content: String,
}

/// Edits a fact.
#[cfg_attr(test, utoipa::path(
    patch, path = "/api/memories/{id}", tag = "Memories", operation_id = "updateMemory",
    params(("id" = Id, Path)),
    request_body = Change,
    responses(
        (status = 200, description = "The fact, as it is now.", body = MemoryBody),
    ),
))]
pub(crate) async fn update<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsWrite>,
    PathId(id): PathId,
    Json(change): Json<Change>,
) -> Result<Json<MemoryBody>> {
    let content = memory_content(&change.content)
        .map_err(|invalid| Problem::invalid_field("content", format!("This cannot be kept: {invalid}.")))?;
    let changed = chat.store().edit_memory(session.user_id(), id, &content).await?;
    Ok(Json(changed.ok_or_else(Problem::not_found)?.into()))
}

/// Deletes a fact.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/memories/{id}", tag = "Memories", operation_id = "deleteMemory",
    params(("id" = Id, Path)),
    responses(
        (status = 204, description = "It is forgotten."),
    ),
))]
pub(crate) async fn delete<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsWrite>,
    PathId(id): PathId,
) -> Result<StatusCode> {
    if !chat.store().delete_memory(session.user_id(), id).await? {
        return Err(Problem::not_found().into());
    }
    record(&chat, &session, "memory.delete", &id.to_string(), None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Records what was done, without what is remembered.
async fn record<D: Database>(
    chat: &Chat<D>,
    session: &Session,
    action: &str,
    subject: &str,
    detail: Option<&str>,
) -> Result<()> {
    let event = AuditEvent { detail, ..AuditEvent::new(session.user_id(), action, subject) };
    Ok(chat.store().append_audit(&event).await?)
}
