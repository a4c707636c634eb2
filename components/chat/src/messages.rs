//! `/api/conversations/{id}/messages`.

use std::collections::BTreeSet;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use completions_api::Wanted;
use domain::{Id, MAX_FILES_OF_MESSAGE, limits::MAX_MESSAGE_BYTES};
use http::{HeaderMap, StatusCode};
use permissions::{
    Action, Required as _,
    table::{ConversationsRead, ConversationsWrite, FilesRead},
};
use problem::Problem;
use serde::Deserialize;
use storage::{
    Database,
    messages::{Appended, IncomingMessage},
};
use web::{
    Allowed, Json, Listing, Page, PathId, Query, Result, Session,
    limits::{RequestLimits, over_budget},
};

use crate::{
    body::{MessageBody, SentBody},
    models,
    router::Chat,
};

/// JSON may write one byte as six.
const MAX_BODY_BYTES: usize = 6 * (MAX_MESSAGE_BYTES + json_schema::MAX_SCHEMA_BYTES) + 8 * 1024;
/// A page of long messages ends early: hosted edges allow responses of at most 10 MiB.
const MAX_PAGE_BYTES: u64 = 4 * 1024 * 1024;
/// The longest key; a UUID is shorter.
const MAX_KEY_BYTES: usize = 64;
/// The longest title that is made from a message.
const TITLE_CHARS: usize = 60;
/// The length of a page, if the request does not say.
const DEFAULT_LIMIT: u32 = 100;

/// A message to be sent.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NewMessage, example = json!({"content": "What is the time in Lima?"})))]
pub(crate) struct Send {
    /// What is said: 1 byte to 1 MiB, or nothing with files. The character NUL becomes U+FFFD.
    content: String,
    /// For this message alone, instead of the conversation's.
    #[cfg_attr(test, schema(max_length = 200))]
    model: Option<String>,
    /// The form that its answer must have.
    response_format: Option<Wanted>,
    /// Files of the caller, each once, in the order in which they are shown. With some, `content` may be empty.
    #[serde(default)]
    #[cfg_attr(test, schema(max_items = 10, required = false))]
    files: Vec<Id>,
}

/// Lists the messages of a conversation.
///
/// A page of long messages ends early.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/conversations/{id}/messages", tag = "Conversations", operation_id = "listMessages",
    params(
        ("id" = Id, Path),
        Listing,
        ("order" = Option<String>, Query, pattern = "^(asc|desc)$", description = "`asc`: the oldest first, unless asked otherwise. `desc`: the newest first."),
    ),
    responses(
        (status = 200, description = "A page of messages.", body = Page<MessageBody>),
    ),
))]
pub(crate) async fn list<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsRead>,
    PathId(id): PathId,
    Query(listing): Query<Listing>,
) -> Result<Json<Page<MessageBody>>> {
    let limit = listing.limit(DEFAULT_LIMIT)?;
    let place = listing.cursor(|text| text.parse().ok())?;
    let (store, user_id) = (chat.store(), session.user_id());
    let page = if listing.newest_first()? {
        store.newest_messages(user_id, id, place.unwrap_or(i64::MAX), limit, MAX_PAGE_BYTES).await?
    } else {
        store.messages(user_id, id, place.unwrap_or(0), limit, MAX_PAGE_BYTES).await?
    };
    if page.messages.is_empty() && chat.store().conversation(session.user_id(), id).await?.is_none() {
        return Err(Problem::not_found().into());
    }
    let items = page.messages.into_iter().map(Into::into).collect();
    Ok(Json(Page { items, next_cursor: page.next.map(|position| position.to_string()) }))
}

/// Sends a message and queues the run that answers it.
///
/// The first reader of the run's events starts it. Sending is limited by the minute, by tokens and by money.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/conversations/{id}/messages", tag = "Conversations", operation_id = "sendMessage",
    params(
        ("id" = Id, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Up to 64 visible ASCII characters. A repeated request with the same key stores nothing.", min_length = 1, max_length = 64, pattern = "^[!-~]+$"),
    ),
    request_body = Send,
    responses(
        (status = 201, description = "The message, and its run.", body = SentBody),
        (status = 200, description = "The same message and run as before: a request with this `Idempotency-Key` was answered already.", body = SentBody),
        (status = 403, description = "`forbidden`: the caller's roles do not have the model. `insufficient_scope`: the key lacks `tools:call:*`, as a run calls tools with all that its person may do."),
        (status = 409, description = "`run_active`: the previous answer is still being written."),
        (status = 429, description = "`rate_limited`. `budget`."),
    ),
))]
pub(crate) async fn send<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsWrite>,
    PathId(id): PathId,
    headers: HeaderMap,
    Json(body): Json<Send, MAX_BODY_BYTES>,
) -> Result<Response> {
    check_files(&session, &body.files)?;
    if body.content.trim().is_empty() && body.files.is_empty() {
        return Err(Problem::invalid_field("content", "Write something first.").into());
    }
    if body.content.len() > MAX_MESSAGE_BYTES {
        return Err(Problem::too_large(MAX_MESSAGE_BYTES).into());
    }
    let response_format = body.response_format.map(Wanted::checked).transpose();
    let response_format =
        response_format.map_err(|error| Problem::invalid_field("response_format", error.to_string()))?.flatten();
    session.check_may_run()?;
    let default_model = match body.model.as_deref() {
        Some(model) => {
            models::check_name(&chat, &session, Some(model)).await?;
            // It answers, so none is looked for.
            model.to_owned()
        }
        None => {
            let default_model = models::default_for(&chat, &session).await?;
            models::check(&chat, &session, id, &default_model).await?;
            default_model
        }
    };
    let limits = RequestLimits::of(&session, &chat.config.rates);
    let incoming = IncomingMessage {
        content: &body.content,
        title: &title(&body.content),
        default_model: &default_model,
        model: body.model.as_deref(),
        response_format: response_format.as_ref(),
        files: &body.files,
        idempotency_key: idempotency_key(&headers)?,
        api_key_id: session.api_key().map(|key| key.id),
        limits: limits.buckets(),
    };
    let appended = chat.store().append_message(session.user_id(), id, &incoming).await?;
    let left = match &appended {
        Appended::Stored(_, _, left) | Appended::Limited(left) if !left.is_empty() => left.clone(),
        Appended::NotFound => return Err(Problem::not_found().into()),
        // Nothing was taken.
        _ => chat.store().quotas(limits.buckets()).await?,
    };
    let (status, message, run) = match appended {
        Appended::Stored(message, run, _) => {
            traces::run_begun(run.id.as_u128(), run.id);
            (StatusCode::CREATED, message, run)
        }
        Appended::Existing(message, run) => (StatusCode::OK, message, run),
        Appended::Limited(_) => return Err(limits.refusal(&left).into()),
        Appended::OverBudget(budget) => return Err(limits.told(over_budget(&budget), &left).into()),
        Appended::NotFound => return Err(Problem::not_found().into()),
        Appended::NoSuchFile => {
            let detail = "One of the files is not there any more, or not whole yet. Attach it again.";
            return Err(limits.told(Problem::invalid_field("files", detail), &left).into());
        }
        Appended::RunActive => {
            let detail = "The previous answer is still being written. Wait for it, or stop it first.";
            return Err(limits.told(Problem::conflict("run_active", detail), &left).into());
        }
    };
    let mut response = (status, Json::<_>(SentBody { message: message.into(), run: run.into() })).into_response();
    response.headers_mut().extend(limits.headers(&left));
    Ok(response)
}

/// Files are attached by whoever may read them, each once.
fn check_files(session: &Session, files: &[Id]) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    session.check(&Action::Route(FilesRead::NAME))?;
    let unique: BTreeSet<&Id> = files.iter().collect();
    if files.len() > MAX_FILES_OF_MESSAGE || unique.len() < files.len() {
        let detail = format!("Attach at most {MAX_FILES_OF_MESSAGE} files, each once.");
        return Err(Problem::invalid_field("files", detail).into());
    }
    Ok(())
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=MAX_KEY_BYTES).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(Some(key))
        }
        _ => Err(Problem::invalid_field("Idempotency-Key", "Use 1 to 64 visible ASCII characters.").into()),
    }
}

/// The title for a message: its first words, on one line.
fn title(content: &str) -> String {
    let mut title = String::new();
    for word in content.split_whitespace() {
        let space = usize::from(!title.is_empty());
        if title.chars().count() + space + word.chars().count() > TITLE_CHARS {
            if title.is_empty() {
                title.extend(word.chars().take(TITLE_CHARS));
            }
            title.push('…');
            break;
        }
        if space == 1 {
            title.push(' ');
        }
        title.push_str(word);
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_the_first_words_on_one_line() {
        assert_eq!(title("  What is\n\n the time? "), "What is the time?");
        assert_eq!(title(&"x".repeat(1_000_000)).chars().count(), TITLE_CHARS + 1);
        let long = title(&"word ".repeat(100));
        assert!(long.ends_with("word…") && long.chars().count() <= TITLE_CHARS + 1, "{long}");
    }
}
