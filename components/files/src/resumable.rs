//! Uploads in parts that can be resumed, by tus 1.0.0 (tus.io/protocols/resumable-upload): its core, and the extensions creation, creation-with-upload,
//! expiration and termination, which is the `DELETE` of any file. docs/adr/0054 says why this protocol.

use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use domain::Id;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use permissions::table::{FilesRead, FilesWrite};
use problem::Problem;
use storage::{Database, files::StoredFile};
use web::{Allowed, PathId, Result};

use crate::{
    multipart::empty,
    receiving::Receiver,
    router::{Files, created, unreadable},
    upload::begin,
};

/// The header with the version, in every request and every answer.
pub(crate) const VERSION_HEADER: HeaderName = HeaderName::from_static("tus-resumable");
const VERSION: HeaderValue = HeaderValue::from_static("1.0.0");
/// Which versions are taken, if it is another one.
const VERSIONS: HeaderName = HeaderName::from_static("tus-version");
const LENGTH: HeaderName = HeaderName::from_static("upload-length");
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const METADATA: HeaderName = HeaderName::from_static("upload-metadata");
/// The type of a body with bytes of a file.
const PART: &str = "application/offset+octet-stream";

/// Begins an upload.
pub(crate) async fn create<D: Database>(files: &Files<D>, user_id: Id, request: Request) -> Result<Response> {
    check_version(request.headers())?;
    let size = number(request.headers(), &LENGTH)
        .ok_or_else(|| Problem::invalid_field("Upload-Length", "Say how many bytes the file has."))?;
    if size == 0 {
        return Err(empty().into());
    }
    let name = file_name(request.headers());
    let has_part = is_part(request.headers());
    let file = begin(files, user_id, &name, size).await?;
    let mut receiver = Receiver::at_end_of(files, user_id, file).await?;
    if has_part {
        receive(&mut receiver, request.into_body()).await?;
    }
    let mut response = created(receiver.file())?;
    told(&mut response, receiver.file());
    Ok(response)
}

/// `HEAD /api/files/{id}`: how much of a file is there.
pub(crate) async fn progress<D: Database>(
    State(files): State<Files<D>>,
    session: Allowed<FilesRead>,
    PathId(id): PathId,
) -> Result<Response> {
    let file = files.store().file(session.user_id(), id).await?.ok_or_else(Problem::not_found)?;
    let mut response = StatusCode::OK.into_response();
    told(&mut response, &file);
    response.headers_mut().insert(LENGTH, HeaderValue::from(file.size));
    Ok(response)
}

/// Continues an upload.
///
/// By the protocol tus 1.0.0. What has come when a connection breaks stays, and `HEAD` says how much that is.
#[cfg_attr(test, utoipa::path(
    patch, path = "/api/files/{id}", tag = "Files", operation_id = "continueFile",
    params(
        ("id" = Id, Path),
        ("Tus-Resumable" = Option<String>, Header, description = "`1.0.0`.", example = "1.0.0"),
        ("Upload-Offset" = Option<u64>, Header, description = "How many bytes are there: as `HEAD` says.", example = 262_144),
    ),
    request_body(content((Vec<u8> = "application/offset+octet-stream"))),
    responses(
        (status = 204, description = "The bytes are stored. `Upload-Offset` says how many are there now."),
        (status = 400, description = "`invalid_body`: the body broke off. What came of it stays."),
        (status = 409, description = "`upload_offset`: another number of bytes is there. `file_changed`: something else continues it. `file_damaged`: it cannot be continued."),
        (status = 412, description = "`tus_version`."),
        (status = 413, description = "`too_large`: more bytes came than were announced."),
        (status = 415, description = "`unsupported_media_type`: the body is not said to be a part of a file."),
        (status = 503, description = "`file_store_unavailable`."),
    ),
))]
pub(crate) async fn go_on<D: Database>(
    State(files): State<Files<D>>,
    session: Allowed<FilesWrite>,
    PathId(id): PathId,
    request: Request,
) -> Result<Response> {
    let file = files.store().file(session.user_id(), id).await?.ok_or_else(Problem::not_found)?;
    check_version(request.headers())?;
    if !is_part(request.headers()) {
        let detail = "Send the bytes with the header Content-Type: application/offset+octet-stream.";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail).into());
    }
    if !file.is_readable() {
        return Err(unreadable().into());
    }
    if number(request.headers(), &OFFSET) != Some(file.received) {
        let detail = format!("{} bytes of this file are there: continue with Upload-Offset: {0}.", file.received);
        return Err(Problem::conflict("upload_offset", detail).into());
    }
    let mut receiver = Receiver::at_end_of(&files, session.user_id(), file).await?;
    receive(&mut receiver, request.into_body()).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    told(&mut response, receiver.file());
    Ok(response)
}

/// Takes a body. What has come is kept, also if it breaks off.
async fn receive<D: Database>(receiver: &mut Receiver<'_, D>, mut body: Body) -> Result<()> {
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                if let Ok(bytes) = frame.into_data() {
                    receiver.take(&bytes).await?;
                }
            }
            Err(error) => {
                receiver.keep().await?;
                let detail = "The body broke off. What came until then stays.";
                return Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_body", detail).with_cause(error).into());
            }
        }
    }
    receiver.keep().await
}

/// What an answer says of an upload.
fn told(response: &mut Response, file: &StoredFile) {
    let headers = response.headers_mut();
    headers.insert(VERSION_HEADER, VERSION);
    headers.insert(OFFSET, HeaderValue::from(file.received));
}

fn check_version(headers: &HeaderMap) -> Result<()> {
    if headers.get(VERSION_HEADER) == Some(&VERSION) {
        return Ok(());
    }
    let detail = "Uploads in parts are taken by version 1.0.0 of the protocol tus: send Tus-Resumable: 1.0.0.";
    Err(Problem::new(StatusCode::PRECONDITION_FAILED, "tus_version", detail).with_header(VERSIONS, VERSION).into())
}

fn is_part(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == PART)
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// The name in the metadata: pairs of a key and a value in base64, comma-separated.
fn file_name(headers: &HeaderMap) -> String {
    let metadata = headers.get(METADATA).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let named = metadata.split(',').filter_map(|pair| pair.trim().split_once(' '));
    let name = named.into_iter().find(|(key, _)| matches!(*key, "filename" | "name"));
    let name = name.and_then(|(_, value)| BASE64_STANDARD.decode(value.trim()).ok());
    name.and_then(|name| String::from_utf8(name).ok()).unwrap_or_default()
}
