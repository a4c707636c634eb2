//! `/api/files`: the files of a person, what is known of each, what is in it, and how it goes.

use axum::{extract::State, response::Response};
use domain::{Id, Timestamp};
use http::StatusCode;
use permissions::table::{FilesRead, FilesWrite};
use problem::Problem;
use serde::Serialize;
use storage::{
    Database,
    file_readings::{FileReading, ReadingState},
    files::StoredFile,
};
use web::{
    Allowed, Inside, Json, Listing, Page, PathId, Query, Result,
    inside::{Reading, ReadingTexts},
};

use crate::{content, router::Files};

/// The length of a page, if the request does not say.
const DEFAULT_LIMIT: u32 = 50;

/// A file.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = File, example = json!({"id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f00", "name": "plan.pdf", "type": "application/pdf", "size": 48213, "state": "ready", "created_at": "2026-01-01T12:00:00.000Z", "expires_at": "2026-01-02T12:00:00.000Z", "reading": {"state": "queued", "code": null, "detail": null, "notes": [], "parts": 0, "bytes": 0}})))]
pub(crate) struct FileBody {
    id: Id,
    /// As the person's device had it, without folders.
    name: String,
    /// Its media type, which is decided by its content and not by its name. Empty until its beginning was received.
    #[serde(rename = "type")]
    media_type: String,
    /// Its bytes; of one that is arriving, how many were announced.
    size: u64,
    /// `arriving`: a part of it is there. `ready`: all of it is, and it can be attached to messages.
    #[cfg_attr(test, schema(pattern = "^(arriving|ready)$"))]
    state: &'static str,
    created_at: Timestamp,
    /// When it is deleted unless it is attached to a message, or continued, before; null: a message has it.
    expires_at: Option<Timestamp>,
    /// What is known of the text of a document. Null: it is none, such as a picture, or text as it is; or not whole yet.
    reading: Option<ReadingBody>,
}

/// How a document becomes text, which models get.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = FileReading, example = json!({"state": "read", "code": null, "detail": null, "notes": [], "parts": 12, "bytes": 30412})))]
pub(crate) struct ReadingBody {
    /// `queued`, `reading`, `read` or `failed`.
    #[cfg_attr(test, schema(pattern = "^(queued|reading|read|failed)$"))]
    state: &'static str,
    /// Why it failed, for programs, such as `file_encrypted`; null: it has not.
    code: Option<String>,
    /// Why it failed, for people; null: it has not.
    detail: Option<String>,
    /// What is missing in the text: `scanned` (pages are pictures), `no_text`, `truncated`, `unknown_letters`, `damaged`, `attachments`.
    notes: Vec<String>,
    /// Its pages, sheets, slides, chapters or messages.
    parts: u64,
    /// The length of its text. It counts as what the caller's files have.
    bytes: u64,
}

impl From<&FileReading> for ReadingBody {
    fn from(reading: &FileReading) -> Self {
        let (state, failure) = match &reading.state {
            ReadingState::Queued => ("queued", None),
            ReadingState::Reading => ("reading", None),
            ReadingState::Read => ("read", None),
            ReadingState::Failed(failure) => ("failed", Some(failure.clone())),
        };
        let (code, detail) = failure.map(|failure| (failure.code, failure.detail)).unzip();
        Self { state, code, detail, notes: reading.notes.clone(), parts: reading.parts, bytes: reading.bytes }
    }
}

impl From<&StoredFile> for FileBody {
    fn from(file: &StoredFile) -> Self {
        Self {
            id: file.id,
            name: file.name.clone(),
            media_type: file.media_type.clone(),
            size: file.size,
            state: if file.is_ready { "ready" } else { "arriving" },
            created_at: file.created_at,
            expires_at: file.expires_at,
            reading: file.reading.as_ref().map(ReadingBody::from),
        }
    }
}

/// Lists the caller's files, the newest first.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/files", tag = "Files", operation_id = "listFiles",
    params(Listing),
    responses(
        (status = 200, description = "A page of files.", body = Page<FileBody>),
    ),
))]
pub(crate) async fn list<D: Database>(
    State(files): State<Files<D>>,
    session: Allowed<FilesRead>,
    Query(listing): Query<Listing>,
) -> Result<Json<Page<FileBody>>> {
    let limit = listing.limit(DEFAULT_LIMIT)?;
    let found = files.store().files(session.user_id(), listing.before()?, limit.saturating_add(1)).await?;
    Ok(Json(Page::new(found, limit, |file| file.id.to_string(), |file| FileBody::from(&file))))
}

/// Says what is known of a file.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/files/{id}", tag = "Files", operation_id = "readFile",
    params(("id" = Id, Path)),
    responses(
        (status = 200, description = "The file, without what is in it.", body = FileBody),
    ),
))]
pub(crate) async fn read<D: Database>(
    State(files): State<Files<D>>,
    session: Allowed<FilesRead>,
    PathId(id): PathId,
) -> Result<Json<FileBody>> {
    let file = files.store().file(session.user_id(), id).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(FileBody::from(&file)))
}

/// Downloads a file.
///
/// It is sent as data to be saved, with its type by its content. If it breaks off, it has fewer bytes than `Content-Length` says.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/files/{id}/content", tag = "Files", operation_id = "downloadFile",
    params(("id" = Id, Path)),
    responses(
        (status = 200, description = "Its bytes.", content((Vec<u8> = "*/*"))),
        (status = 409, description = "`file_arriving`: it is not whole yet. `file_damaged`: it cannot be read any more."),
        (status = 503, description = "`file_store_unavailable`."),
    ),
))]
pub(crate) async fn download<D: Database + 'static>(
    State(files): State<Files<D>>,
    session: Allowed<FilesRead>,
    PathId(id): PathId,
) -> Result<Response> {
    let file = files.store().file(session.user_id(), id).await?.ok_or_else(Problem::not_found)?;
    content::response(files, session.user_id(), file).await
}

/// `GET /internal/files/{id}`: the bytes of a person's file, for components that need them.
pub(crate) async fn read_inside<D: Database + 'static>(
    State(files): State<Files<D>>,
    call: Inside<Reading>,
    PathId(id): PathId,
) -> Result<Response> {
    let user_id = call.person()?;
    let file = files.store().file(user_id, id).await?.ok_or_else(Problem::not_found)?;
    content::response(files, user_id, file).await
}

/// `GET /internal/files/{id}/text`: the text of a person's document, for models.
pub(crate) async fn read_text_inside<D: Database + 'static>(
    State(files): State<Files<D>>,
    call: Inside<ReadingTexts>,
    PathId(id): PathId,
) -> Result<Response> {
    let user_id = call.person()?;
    let file = files.store().file(user_id, id).await?.ok_or_else(Problem::not_found)?;
    content::text_response(files, user_id, file)
}

/// Deletes a file, also from the messages that have it.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/files/{id}", tag = "Files", operation_id = "deleteFile",
    params(("id" = Id, Path)),
    responses(
        (status = 204, description = "It cannot be read any more, and what is stored of it goes soon."),
    ),
))]
pub(crate) async fn delete<D: Database + 'static>(
    State(files): State<Files<D>>,
    session: Allowed<FilesWrite>,
    PathId(id): PathId,
) -> Result<StatusCode> {
    if !files.store().delete_file(session.user_id(), id).await? {
        return Err(Problem::not_found().into());
    }
    (files.soon)(files.clone());
    Ok(StatusCode::NO_CONTENT)
}
