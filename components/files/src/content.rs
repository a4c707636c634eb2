//! What is in a file, piece by piece: each is read, opened and sent before the next one.

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use domain::Id;
use futures::stream;
use http::{HeaderValue, StatusCode, header};
use problem::Problem;
use storage::{Database, StorageError, files::StoredFile};
use web::Result;

use crate::{
    names::disposition,
    objects::ObjectError,
    receiving::unavailable,
    router::{Files, unreadable},
};

/// Files are data: nothing in one runs, whatever it is taken for.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox");

/// Why a body breaks off.
#[derive(Debug, thiserror::Error)]
enum ContentError {
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
    let last = StoredFile::piece_of(file.size.saturating_sub(1));
    let pieces = stream::try_unfold((files, file, Some(first), 0), move |(files, file, read, number)| async move {
        if number > last {
            return Ok::<_, ContentError>(None);
        }
        let bytes = match read {
            Some(first) => first,
            None => piece(&files, user_id, &file, number).await?,
        };
        Ok(Some((bytes, (files, file, None, number.saturating_add(1)))))
    });
    let mut response = (StatusCode::OK, Body::from_stream(pieces)).into_response();
    for (name, value) in head {
        response.headers_mut().insert(name, value.map_err(Problem::internal)?);
    }
    Ok(response)
}
