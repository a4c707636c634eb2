//! Errors of handlers: each becomes a [`Problem`], which [`crate::serve`] writes and logs.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode};
use identity::{IdentityError, signup::InvalidField};
use problem::Problem;
use storage::{DatabaseError, StorageError};

/// What a handler returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A problem to respond with. Boxed, so that `Result` stays small.
#[derive(Clone, Debug)]
pub struct Error(Box<Problem>);

impl Error {
    /// The response's status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// What the person is told, for callers that are no request.
    #[must_use]
    pub fn detail(&self) -> &str {
        self.0.detail()
    }

    /// The causes, for callers that log the error without a response.
    #[must_use]
    pub fn causes(&self) -> Option<String> {
        self.0.causes()
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(self, name: HeaderName, value: HeaderValue) -> Self {
        Self(Box::new(self.0.with_header(name, value)))
    }
}

impl IntoResponse for Error {
    /// The status, and the problem as an extension. The body is written by [`crate::serve`], which alone knows the request's id.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.0.status();
        response.extensions_mut().insert(*self.0);
        response
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Database(DatabaseError::Unavailable(_) | DatabaseError::Lost(_)) => {
                Problem::unavailable(error)
            }
            // A token may outlive its account by minutes. Its person then no longer exists.
            StorageError::Database(DatabaseError::Orphaned { .. }) => Problem::unauthenticated().with_cause(error),
            StorageError::Database(DatabaseError::Unwritable(_)) => Problem::unwritable(error),
            StorageError::MasterKeyMissing(_) => {
                let detail = "What is stored here for this account is encrypted, and the key for it is missing. Nothing is lost: it can be read again once an administrator has put the key back, which /ready names.";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "key_missing", detail).with_cause(error)
            }
            StorageError::KeyDamaged => {
                let detail = "What is stored here for this account cannot be read: the key that it is encrypted with was damaged. An administrator can bring the key back from a copy of the database; until then, nothing new is stored.";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "key_damaged", detail).with_cause(error)
            }
            StorageError::KeyDestroyed => {
                let detail = "What was stored here for this account was erased. It cannot be read any more, and nothing new is stored.";
                Problem::new(StatusCode::GONE, "erased", detail).with_cause(error)
            }
            _ => Problem::internal(error),
        }
        .into()
    }
}

impl From<IdentityError> for Error {
    fn from(error: IdentityError) -> Self {
        Problem::internal(error).into()
    }
}

impl From<InvalidField> for Error {
    fn from(error: InvalidField) -> Self {
        Problem::invalid_field(error.field, error.message).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_key_is_said_in_words_and_not_named_to_people() {
        let error = Error::from(StorageError::MasterKeyMissing("630dcd2966c43366".to_owned())).into_response();
        assert_eq!(error.status(), 503);
        let problem = error.extensions().get::<Problem>().unwrap().to_response("id").into_body();
        let said = String::from_utf8(problem).unwrap();
        assert!(said.contains("Nothing is lost") && !said.contains("630dcd29"), "{said}");
    }

    #[test]
    fn a_full_disk_is_said_to_be_one_and_not_to_be_our_fault() {
        let full = DatabaseError::Unwritable("database or disk is full".to_owned());
        let error = Error::from(StorageError::from(full)).into_response();
        assert_eq!(error.status(), 507);
        let problem = error.extensions().get::<Problem>().unwrap().to_response("id").into_body();
        let said = String::from_utf8(problem).unwrap();
        assert!(said.contains("the disk of this installation is full"), "{said}");
        assert!(!said.contains("database"), "the cause is for the log: {said}");
    }
}
