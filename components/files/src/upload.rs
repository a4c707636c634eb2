//! `POST /api/files`: a new file, whole in a form or to be continued.

use axum::{
    extract::{Request, State},
    response::Response,
};
use domain::Id;
use http::header;
use permissions::table::FilesWrite;
use problem::Problem;
use storage::{
    Database,
    files::{FileCreated, MAX_FILES_OF_USER, NewFile, StoredFile},
    rate_limits::Limit,
};
use web::{Allowed, Result};

use crate::{multipart, names::clean, receiving::too_large, resumable, router::Files};

/// New files of a person in a minute: more than somebody chooses by hand, and few enough for a program that runs wild.
const NEW_PER_MINUTE: u32 = 60;

/// Uploads a file.
///
/// Whole, as the field `file` of a form. Or in parts that can be resumed, by the protocol tus 1.0.0 (tus.io): this request begins the upload, with `Tus-Resumable`,
/// `Upload-Length` and, in `Upload-Metadata`, `filename`; `HEAD` of the file's address says in `Upload-Offset` how much is there, and `PATCH` continues.
/// A file that no message has goes a day after its last byte came.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/files", tag = "Files", operation_id = "uploadFile",
    params(
        ("Tus-Resumable" = Option<String>, Header, description = "`1.0.0`: the file is uploaded in parts.", example = "1.0.0"),
        ("Upload-Length" = Option<u64>, Header, description = "In parts: the bytes of the whole file.", example = 48213),
        ("Upload-Metadata" = Option<String>, Header, description = "In parts: `filename` and the name in base64.", example = "filename cGxhbi5wZGY="),
    ),
    request_body(content((multipart::Form = "multipart/form-data"))),
    responses(
        (status = 201, description = "The file. `Location` has its address.", body = crate::files::FileBody),
        (status = 400, description = "`invalid_form`: the form broke off or is malformed. `invalid_body`: the part broke off; what came of it stays."),
        (status = 409, description = "`file_changed`: it was deleted meanwhile."),
        (status = 412, description = "`tus_version`."),
        (status = 413, description = "`too_large`: the file is too long. `file_quota`: the caller has no room for it."),
        (status = 415, description = "`unsupported_media_type`: it is neither a form nor an upload in parts."),
        (status = 422, description = "`invalid_field`: the file is missing or empty, or its length."),
        (status = 429, description = "`rate_limited`: too many new files in a minute."),
        (status = 503, description = "`file_store_unavailable`."),
    ),
))]
pub(crate) async fn create<D: Database>(
    State(files): State<Files<D>>,
    session: Allowed<FilesWrite>,
    request: Request,
) -> Result<Response> {
    let user_id = session.user_id();
    if request.headers().contains_key(resumable::VERSION_HEADER) {
        return resumable::create(&files, user_id, request).await;
    }
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(kind).map_err(|_| multipart::no_form())?;
    multipart::create(&files, user_id, boundary, request).await
}

/// Begins a file of at most so many bytes.
pub(crate) async fn begin<D: Database>(files: &Files<D>, user_id: Id, name: &str, size: u64) -> Result<StoredFile> {
    if size > files.config.max_bytes {
        return Err(too_large(files.config.max_bytes).into());
    }
    // Before anything is made: a store that cannot be asked takes nothing.
    let is_in_objects = files.keeps_in_objects()?;
    let limit = Limit::per_minute(format!("new-files:{user_id}"), NEW_PER_MINUTE);
    files.store().take_rate(&[limit]).await?.map_err(|wait| {
        Problem::rate_limited("You have sent many files. Try again in a minute.", wait.0.div_ceil(1000))
    })?;
    let name = clean(name);
    let quota_bytes = files.config.quota_bytes;
    let new = NewFile { name: &name, size, is_in_objects, quota_bytes };
    match files.store().create_file(user_id, &new).await? {
        FileCreated::Created(file) => Ok(file),
        FileCreated::Full(used) => Err(full(used, quota_bytes).into()),
    }
}

fn full(used_bytes: u64, quota_bytes: u64) -> Problem {
    let detail = format!(
        "There is no room for this file: your files have {used_bytes} of {quota_bytes} bytes, and there can be {MAX_FILES_OF_USER} of them. Delete some, or conversations that have some."
    );
    Problem::new(http::StatusCode::PAYLOAD_TOO_LARGE, "file_quota", detail)
}
