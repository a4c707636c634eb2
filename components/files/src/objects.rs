//! Sealed pieces as objects of a bucket of an S3-compatible store. One object for each piece: it is there whole or not at all, the same request again does no
//! harm, and nothing has to be listed to be deleted.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use domain::Id;
use http::{Method, Request, StatusCode};
use rusty_s3::{Bucket, Credentials, S3Action};

use crate::outside::{Outlet, Unanswered};

/// For how long an address is good that was signed: nobody but this component sees it, and clocks differ.
const SIGNED_FOR: Duration = Duration::from_secs(15 * 60);
/// How often a request is sent. Most failures are a connection that was closed while nobody used it.
const ATTEMPTS: usize = 3;

/// Why an object could not be written, read or deleted.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum ObjectError {
    /// The settings name no store that can be asked.
    #[error("the settings of the file store are wrong: /ready says how")]
    Misconfigured,
    /// `spin.toml` does not allow the address.
    #[error("the file store is not in this component's allowed_outbound_hosts")]
    Denied,
    /// Nobody answered.
    #[error("the file store cannot be reached")]
    Unreachable,
    /// It took too long.
    #[error("the file store does not answer")]
    Slow,
    /// It refused.
    #[error("the file store answered {0}")]
    Refused(StatusCode),
}

/// A bucket.
#[derive(Clone)]
pub(crate) struct Objects {
    pub(crate) bucket: Arc<Bucket>,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) send: Outlet,
}

impl Objects {
    /// Stores a sealed piece, instead of what there was in its place.
    pub(crate) async fn put(&self, file_id: Id, number: u64, sealed: Vec<u8>) -> Result<(), ObjectError> {
        let key = key(file_id, number);
        let action = self.bucket.put_object(Some(&self.credentials), &key);
        match self.ask(Method::PUT, &action, Bytes::from(sealed)).await? {
            (status, _) if status.is_success() => Ok(()),
            (status, _) => Err(ObjectError::Refused(status)),
        }
    }

    /// A sealed piece. `None`: there is none.
    pub(crate) async fn get(&self, file_id: Id, number: u64) -> Result<Option<Vec<u8>>, ObjectError> {
        let key = key(file_id, number);
        let action = self.bucket.get_object(Some(&self.credentials), &key);
        match self.ask(Method::GET, &action, Bytes::new()).await? {
            (StatusCode::OK, body) => Ok(Some(body)),
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (status, _) => Err(ObjectError::Refused(status)),
        }
    }

    /// Deletes a piece, if it is there.
    pub(crate) async fn delete(&self, file_id: Id, number: u64) -> Result<(), ObjectError> {
        let key = key(file_id, number);
        let action = self.bucket.delete_object(Some(&self.credentials), &key);
        match self.ask(Method::DELETE, &action, Bytes::new()).await? {
            (status, _) if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
            (status, _) => Err(ObjectError::Refused(status)),
        }
    }

    async fn ask<'a>(
        &self,
        method: Method,
        action: &impl S3Action<'a>,
        body: Bytes,
    ) -> Result<(StatusCode, Vec<u8>), ObjectError> {
        let mut failed = ObjectError::Unreachable;
        for _ in 0..ATTEMPTS {
            let address = action.sign(SIGNED_FOR);
            let request = Request::builder().method(method.clone()).uri(address.as_str()).body(body.clone());
            let Ok(request) = request else { return Err(ObjectError::Misconfigured) };
            failed = match (self.send)(request).await {
                Ok((status, _)) if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                    ObjectError::Refused(status)
                }
                Ok(answer) => return Ok(answer),
                Err(Unanswered::Denied) => return Err(ObjectError::Denied),
                Err(Unanswered::Unreachable) => ObjectError::Unreachable,
                Err(Unanswered::Slow) => return Err(ObjectError::Slow),
            };
        }
        Err(failed)
    }
}

/// The key of a piece: nothing in it needs to be encoded, and nothing says whose it is.
fn key(file_id: Id, number: u64) -> String {
    format!("{file_id}/{number}")
}
