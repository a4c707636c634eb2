//! What is in a file, and the text of a document, piece by piece: each is read, opened and sent before the next one.

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use domain::Id;
use futures::{Stream, stream};
use http::{HeaderValue, StatusCode, header};
use problem::Problem;
use storage::{
    Database, StorageError,
    file_readings::{FileReading, ReadingState},
    files::{PIECE_BYTES, StoredFile},
};
use web::Result;

use crate::{
    names::disposition,
    objects::ObjectError,
    reader, reading,
    receiving::unavailable,
    router::{Files, unreadable},
};

/// Files are data: nothing in one runs, whatever it is taken for.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox");

/// Why a body breaks off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContentError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error("a piece of a file is missing")]
    Missing,
}

/// The next piece of a file, opened.
async fn piece<D: Database>(
    files: &Files<D>,
    user_id: Id,
    file: &StoredFile,
    number: u64,
) -> Result<Vec<u8>, ContentError> {
    let sealed = if file.is_in_objects {
        files.objects()?.get(file.id, number).await?
    } else {
        files.store().file_piece(user_id, file.id, number).await?
    };
    Ok(file.open(number, &sealed.ok_or(ContentError::Missing)?)?)
}

/// All pieces of a file, or from the second on if the first was read.
pub(crate) fn pieces<D: Database + 'static>(
    files: Files<D>,
    user_id: Id,
    file: StoredFile,
    first: Option<Vec<u8>>,
) -> impl Stream<Item = Result<Vec<u8>, ContentError>> + Send {
    let last = StoredFile::piece_of(file.size.saturating_sub(1));
    stream::try_unfold((files, file, first, 0), move |(files, file, read, number)| async move {
        if number > last {
            return Ok::<_, ContentError>(None);
        }
        let bytes = match read {
            Some(first) => first,
            None => piece(&files, user_id, &file, number).await?,
        };
        Ok(Some((bytes, (files, file, None, number.saturating_add(1)))))
    })
}

/// The answer with the text of a document: 202 as long as it is not there, and 422 with a sentence for the person if it never is.
pub(crate) fn text_response<D: Database + 'static>(files: Files<D>, user_id: Id, file: StoredFile) -> Result<Response> {
    let FileReading { state, notes, bytes, .. } = file.reading.clone().ok_or_else(Problem::not_found)?;
    match state {
        ReadingState::Queued | ReadingState::Reading => {
            // Whoever waits for it looks again soon. This instance reads it now, unless another one does.
            (files.soon)(files.clone());
            return Ok(StatusCode::ACCEPTED.into_response());
        }
        ReadingState::Failed(failure) => return Err(reading::problem(&failure).into()),
        ReadingState::Read if !file.is_readable() => return Err(unreadable().into()),
        ReadingState::Read => {}
    }
    let end = bytes.div_ceil(PIECE_BYTES as u64);
    let pieces = stream::try_unfold((files, file, 0), move |(files, file, number)| async move {
        if number >= end {
            return Ok::<_, ContentError>(None);
        }
        let sealed = files.store().text_piece(user_id, file.id, number).await?.ok_or(ContentError::Missing)?;
        let text = file.open_text(number, &sealed)?;
        Ok(Some((text, (files, file, number.saturating_add(1)))))
    });
    let mut response = (StatusCode::OK, Body::from_stream(pieces)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    headers.insert(reader::NOTES, HeaderValue::try_from(notes.join(",")).map_err(Problem::internal)?);
    Ok(response)
}

/// The answer with a file's bytes. Its beginning is read first, so that whoever asks learns in words what is wrong.
pub(crate) async fn response<D: Database + 'static>(
    files: Files<D>,
    user_id: Id,
    file: StoredFile,
) -> Result<Response> {
    if !file.is_readable() {
        return Err(unreadable().into());
    }
    if !file.is_ready {
        return Err(Problem::conflict("file_arriving", "This file is not whole yet.").into());
    }
    let first = match piece(&files, user_id, &file, 0).await {
        Ok(first) => first,
        Err(ContentError::Storage(StorageError::Vault(_)) | ContentError::Missing) => return Err(unreadable().into()),
        Err(ContentError::Storage(error)) => return Err(error.into()),
        Err(ContentError::Object(error)) => return Err(unavailable(error).into()),
    };
    let head = [
        (header::CONTENT_TYPE, HeaderValue::try_from(&file.media_type)),
        (header::CONTENT_DISPOSITION, HeaderValue::try_from(disposition(&file.name))),
        (header::CONTENT_LENGTH, Ok(HeaderValue::from(file.size))),
        (header::CONTENT_SECURITY_POLICY, Ok(POLICY)),
    ];
    let pieces = pieces(files, user_id, file, Some(first));
    let mut response = (StatusCode::OK, Body::from_stream(pieces)).into_response();
    for (name, value) in head {
        response.headers_mut().insert(name, value.map_err(Problem::internal)?);
    }
    Ok(response)
}
