//! `GET /api/account/export`: everything about a person as an archive, written while it is read. Memory does not depend on its size: rows are read in
//! pages by key, files in pieces, and nothing waits in memory but a page and the list of files. Whoever loses the connection asks again. Must not contain the value of a secret, or a hash.

mod archive;
mod readable;

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use domain::{Conversation, Id, Message, User};
use futures::{SinkExt as _, StreamExt as _, channel::mpsc, future, stream};
use http::{HeaderValue, header};
use platform::files::FileUnread;
use problem::Problem;
use send_wrapper::SendWrapper;
use serde_json::{Map, Value, json};
use storage::{Database, Store, account_export::SECTIONS};
use web::{App, Result, Session};

use crate::{limits::Attempt, record::record, routes::Auth};
use archive::Archive;

/// Rows read at once.
const PAGE: u32 = 200;
/// Messages read at once, and about how much text of them: one that is longer comes alone.
const MESSAGES: u32 = 100;
const MESSAGES_BYTES: u64 = 512 * 1024;

/// What is in the archive, for whoever opens it.
const README: &str = "# Your data

This is what the installation has stored about you. Temporary chats are not in it.

- `profile.json`: your account
- `conversations.md`: your conversations, to read
- `conversations.jsonl`, `messages.jsonl`: the same, for programs: one JSON object in each line
- `files.jsonl`: your files; `messages.jsonl` says which messages have them, and the folder `files` has what is in them. If one could not be read to its end, `damaged_files.txt` names it
- `runs.jsonl`, `tool_calls.jsonl`, `tool_tasks.jsonl`, `approvals.jsonl`: how your messages were answered, what tools were called, and what you decided
- `assistants.jsonl`, `conversation_settings.jsonl`, `response_formats.jsonl`: your assistants, the settings of your conversations, and the forms that programs wanted answers in
- `memories.jsonl`: what was remembered about you
- `sessions.jsonl`, `identities.jsonl`, `api_keys.jsonl`, `groups.jsonl`, `invitations.jsonl`, `password_resets.jsonl`: how you log in, and who you are here
- `tool_policies.jsonl`, `tool_secrets.jsonl`, `tool_connections.jsonl`: what you set for tools. Secrets are there by their names, and keys by their beginnings
- `model_requests.jsonl`: which models your programs asked at `/v1`, when, and what they used
- `webhooks.jsonl`: where you have had events sent, by the server of each address
- `record.jsonl`: what was recorded of what you did

Passwords, secrets, keys and tokens are not in it: most are not stored in a form that anybody could read.
";

/// Copies everything that is stored about the caller.
///
/// A ZIP archive, written while it is read. It breaks off if something fails: then it has no end. Six times, then every ten minutes.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/account/export", tag = "Account", operation_id = "exportOwnAccount",
    responses(
        (status = 200, description = "The archive.", content((Vec<u8> = "application/zip"))),
        (status = 429, description = "`rate_limited`."),
    ),
))]
pub(crate) async fn read<D: Database + 'static>(State(auth): State<Auth<D>>, session: Session) -> Result<Response> {
    let user = auth.store().user(session.user_id()).await?.ok_or_else(Problem::unauthenticated)?;
    Attempt::with_export(&auth, user.id).await?;
    record(&auth, &user, "account.export", "ok").await?;
    let (pieces, written) = mpsc::channel(0);
    let app = auth.app.clone();
    // The writer goes on when the reader has taken a piece. If it fails, the body breaks off, and the archive has no end.
    let writing = stream::once(async move { write(&app, &user, pieces).await })
        .filter_map(|outcome| future::ready(outcome.err().map(Err::<Vec<u8>, _>)));
    let body = Body::from_stream(stream::select(written.map(Ok), writing));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    let named = HeaderValue::from_static("attachment; filename=\"your-data.zip\"");
    headers.insert(header::CONTENT_DISPOSITION, named);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Why the archive breaks off.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error(transparent)]
    Storage(#[from] storage::StorageError),
    #[error("the archive cannot be written: {0}")]
    Archive(#[from] zip::result::ZipError),
    #[error("the archive cannot be written: {0}")]
    Io(#[from] std::io::Error),
    #[error("a row cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("a file cannot be read: {0}")]
    File(#[from] FileUnread),
}

/// Sends what the archive has written so far. Whoever has left ends it: the next row is then read in vain, and no other.
async fn send(archive: &Archive, pieces: &mut mpsc::Sender<Vec<u8>>) -> Result<(), ExportError> {
    let piece = archive.taken();
    if !piece.is_empty() && pieces.send(piece).await.is_err() {
        return Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe).into());
    }
    Ok(())
}

async fn write<D: Database>(app: &App<D>, user: &User, mut pieces: mpsc::Sender<Vec<u8>>) -> Result<(), ExportError> {
    let (store, mut files) = (app.store(), Vec::new());
    let mut archive = Archive::new();
    archive.begin("README.md")?;
    archive.write(README)?;
    archive.begin("profile.json")?;
    archive.write(&serde_json::to_string_pretty(&profile(user))?)?;
    for section in &SECTIONS {
        archive.begin(&format!("{}.jsonl", section.name))?;
        let mut after = None;
        loop {
            let rows = store.export_rows(user.id, section, after, PAGE).await?;
            for row in &rows {
                if section.name == "files" && row.fields.get("state") == Some(&"ready".into()) {
                    files.extend(named(&row.fields));
                }
                archive.line(&Value::Object(row.fields.clone()))?;
            }
            send(&archive, &mut pieces).await?;
            match rows.into_iter().last() {
                Some(last) => after = Some(last.key),
                None => break,
            }
        }
    }
    for (name, form) in [
        ("conversations.jsonl", Form::Conversations),
        ("messages.jsonl", Form::Messages),
        ("conversations.md", Form::Readable),
    ] {
        archive.begin(name)?;
        conversations(store, user.id, form, &mut archive, &mut pieces).await?;
    }
    let mut damaged = String::new();
    for (id, name, size) in files {
        if !copy(app, user.id, (id, size), &name, &mut archive, &mut pieces).await? {
            damaged.push_str(&format!("{name}: this file is damaged. Not all of it is in this archive.\n"));
        }
    }
    if !damaged.is_empty() {
        archive.begin("damaged_files.txt")?;
        archive.write(&damaged)?;
    }
    archive.finish()?;
    send(&archive, &mut pieces).await
}

/// The id of a file, its name in the archive, since names may be alike, and its bytes.
fn named(fields: &Map<String, Value>) -> Option<(Id, String, u64)> {
    let text = |name| fields.get(name).and_then(Value::as_str);
    let id: Id = text("id")?.parse().ok()?;
    Some((id, format!("files/{id} {}", text("name")?), fields.get("size").and_then(Value::as_u64)?))
}

/// Copies what is in a file that has so many bytes. One that was deleted meanwhile, or that nobody can read any more, is left out. `false`: not all of it came.
async fn copy<D: Database>(
    app: &App<D>,
    user_id: Id,
    (file_id, size): (Id, u64),
    name: &str,
    archive: &mut Archive,
    pieces: &mut mpsc::Sender<Vec<u8>>,
) -> Result<bool, ExportError> {
    // A guest has one thread, so nothing of this moves to another.
    let mut bytes = match SendWrapper::new(platform::files::read(app, user_id, file_id)).await {
        Err(FileUnread::Gone) => return Ok(true),
        read => read?,
    };
    archive.begin(name)?;
    let mut came = 0_u64;
    // If the component that keeps files is away, the next file cannot be read at all, and that ends the archive.
    while let Some(Ok(chunk)) = bytes.next().await {
        came = came.saturating_add(chunk.len() as u64);
        archive.write_bytes(&chunk)?;
        send(archive, pieces).await?;
    }
    Ok(came == size)
}

/// What is written of conversations.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Conversations,
    Messages,
    Readable,
}

async fn conversations<D: Database>(
    store: &Store<D>,
    user_id: Id,
    form: Form,
    archive: &mut Archive,
    pieces: &mut mpsc::Sender<Vec<u8>>,
) -> Result<(), ExportError> {
    let mut after: Option<Id> = None;
    loop {
        let page = store.conversations_as_begun(user_id, after, PAGE).await?;
        for conversation in &page {
            match form {
                Form::Conversations => archive.line(&described(conversation))?,
                Form::Readable => archive.write(&readable::heading(conversation))?,
                Form::Messages => {}
            }
            if form != Form::Conversations {
                messages(store, user_id, conversation.id, form, archive, pieces).await?;
            }
        }
        send(archive, pieces).await?;
        match page.last() {
            Some(last) => after = Some(last.id),
            None => return Ok(()),
        }
    }
}

async fn messages<D: Database>(
    store: &Store<D>,
    user_id: Id,
    conversation_id: Id,
    form: Form,
    archive: &mut Archive,
    pieces: &mut mpsc::Sender<Vec<u8>>,
) -> Result<(), ExportError> {
    let mut position = 0;
    loop {
        let page = store.messages(user_id, conversation_id, position, MESSAGES, MESSAGES_BYTES).await?;
        for message in &page.messages {
            if form == Form::Readable {
                archive.write(&readable::message(message))?;
            } else {
                archive.line(&whole(message))?;
            }
        }
        send(archive, pieces).await?;
        match page.next {
            Some(next) => position = next,
            None => return Ok(()),
        }
    }
}

fn profile(user: &User) -> Value {
    json!({
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "roles": user.roles().collect::<Vec<_>>(),
        "suspended": user.is_suspended,
        "second_factor": user.has_second_factor,
        "created_at": user.created_at,
    })
}

fn described(conversation: &Conversation) -> Value {
    let Conversation { id, title, model, created_at, updated_at, retention_days, expires_at, .. } = conversation;
    json!({
        "id": id,
        "title": title,
        "model": model,
        "created_at": created_at,
        "updated_at": updated_at,
        "retention_days": retention_days,
        "expires_at": expires_at,
    })
}

fn whole(message: &Message) -> Value {
    let result = message.tool_result.as_ref().map(|result| {
        json!({
            "call_id": result.call_id,
            "is_error": result.is_error,
            "duration_ms": result.duration_ms,
            "title": result.title,
        })
    });
    json!({
        "id": message.id,
        "conversation_id": message.conversation_id,
        "run_id": message.run_id,
        "position": message.position,
        "role": message.role,
        "content": message.content,
        "reasoning": message.reasoning,
        "tool_calls": message.tool_calls,
        "tool_result": result,
        "finish_reason": message.finish_reason,
        "files": message.files,
        "created_at": message.created_at,
    })
}

#[cfg(test)]
mod tests;
