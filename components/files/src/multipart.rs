//! A file as a browser's form sends it: `multipart/form-data` (RFC 7578) with one field `file`. It is stored while it arrives. If it breaks off, nothing stays.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::{body::Body, extract::Request, response::Response};
use bytes::Bytes;
use domain::Id;
use futures::Stream;
use http::{StatusCode, header};
use http_body_util::BodyDataStream;
use multer::{Constraints, Multipart, SizeLimit};
use problem::Problem;
use storage::Database;
use web::Result;

use crate::{
    receiving::{Receiver, too_large},
    router::{Files, created},
    upload::begin,
};

/// The most bytes of a form besides its file: borders, headers of fields, and fields that nobody needs.
const MAX_FRAME_BYTES: u64 = 64 * 1024;

/// The field with the file.
const FIELD: &str = "file";

/// A form with a file.
#[cfg(test)]
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "it is only described")]
pub(crate) struct Form {
    /// The file, with its name.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// The body, one chunk at a time. The parser takes whatever is ready into its buffer, so without the pauses it would hold all of a body that arrives faster than
/// it is stored.
struct Sips {
    body: BodyDataStream<Body>,
    has_sipped: bool,
    /// Whether the file has begun. Before it, little is read.
    is_in_file: Arc<AtomicBool>,
    read_before: u64,
}

/// Too much came before the file.
#[derive(Debug, thiserror::Error)]
#[error("the form has more than {MAX_FRAME_BYTES} bytes before its file")]
struct TooLongFrame;

impl Stream for Sips {
    type Item = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.has_sipped) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = Pin::new(&mut self.body).poll_next(context);
        let Poll::Ready(Some(Ok(chunk))) = next else {
            return next.map(|next| next.map(|next| next.map_err(Into::into)));
        };
        self.has_sipped = true;
        if !self.is_in_file.load(Ordering::Relaxed) {
            // The chunk with which the file begins may be long; what comes after it is counted.
            if self.read_before > MAX_FRAME_BYTES {
                return Poll::Ready(Some(Err(TooLongFrame.into())));
            }
            self.read_before = self.read_before.saturating_add(chunk.len() as u64);
        }
        Poll::Ready(Some(Ok(chunk)))
    }
}

/// Stores the file of a form.
pub(crate) async fn create<D: Database>(
    files: &Files<D>,
    user_id: Id,
    boundary: String,
    request: Request,
) -> Result<Response> {
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let max_bytes = files.config.max_bytes;
    if declared.is_some_and(|declared: u64| declared > max_bytes.saturating_add(MAX_FRAME_BYTES)) {
        return Err(too_large(max_bytes).into());
    }
    let is_in_file = Arc::new(AtomicBool::new(false));
    let body = BodyDataStream::new(request.into_body());
    let sips = Sips { body, has_sipped: false, is_in_file: Arc::clone(&is_in_file), read_before: 0 };
    let whole = SizeLimit::new().whole_stream(max_bytes.saturating_add(MAX_FRAME_BYTES));
    let mut form = Multipart::with_constraints(sips, boundary, Constraints::new().size_limit(whole));
    while let Some(mut field) = form.next_field().await.map_err(|error| broken(error, max_bytes))? {
        if field.name() != Some(FIELD) {
            continue;
        }
        is_in_file.store(true, Ordering::Relaxed);
        // A file that would have no room even if the form were nothing else is refused before it is read; a little too much is reserved.
        let size = declared.map_or(max_bytes, |declared| declared.min(max_bytes));
        let name = field.file_name().unwrap_or_default().to_owned();
        // An empty file is none, and nothing is made for it. The parser may give an empty chunk before it knows that the field has ended.
        let mut first = Bytes::new();
        while first.is_empty() {
            let chunk = field.chunk().await.map_err(|error| broken(error, max_bytes))?;
            first = chunk.ok_or_else(empty)?;
        }
        let file = begin(files, user_id, &name, size).await?;
        let id = file.id;
        let mut receiver = Receiver::at_end_of(files, user_id, file).await?;
        let received = async {
            receiver.take(&first).await?;
            while let Some(chunk) = field.chunk().await.map_err(|error| broken(error, max_bytes))? {
                receiver.take(&chunk).await?;
            }
            receiver.end().await
        };
        if let Err(error) = received.await {
            // Whoever sent it sends it again, and the sweeper finds it otherwise.
            if files.store().delete_file(user_id, id).await.is_ok() {
                (files.soon)(files.clone());
            }
            return Err(error);
        }
        return created(receiver.file());
    }
    Err(Problem::invalid_field(FIELD, "The form has no field named file.").into())
}

/// Neither a form nor an upload in parts.
pub(crate) fn no_form() -> Problem {
    let detail =
        "Send the file as the field named file of a form (multipart/form-data), or in parts by the protocol tus 1.0.0.";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
}

/// A file without a byte.
pub(crate) fn empty() -> Problem {
    Problem::invalid_field(FIELD, "The file is empty.")
}

fn broken(error: multer::Error, max_bytes: u64) -> Problem {
    match error {
        multer::Error::StreamSizeExceeded { .. } => too_large(max_bytes),
        error => {
            let detail = "The form broke off or is malformed. Nothing was stored; send it again.";
            Problem::new(StatusCode::BAD_REQUEST, "invalid_form", detail).with_cause(error)
        }
    }
}
