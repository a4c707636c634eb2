//! Sends a request, and sends it again where a server of the same origin says that it is: mostly at the same address with a `/` more.

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header};
use url::Url;

use super::{BodyStream, Client, ClientError, Transport, packed};

/// More is a loop.
const MAX_REDIRECTS: usize = 3;
/// The longest address that is repeated.
const MAX_LOCATION_CHARS: usize = 200;

impl<T: Transport> Client<T> {
    /// Sends a request. A redirect to another origin is not followed, for it would carry along what the server is proven with.
    pub(super) async fn send(&self, mut request: Request<Bytes>) -> Result<Response<BodyStream>, ClientError> {
        let mut redirects = 0;
        loop {
            let response = self.transport.send(request.clone()).await?;
            let (status, location) = (response.status(), response.headers().get(header::LOCATION));
            let Some(location) = location.filter(|_| status.is_redirection()) else {
                return Ok(packed::unpacked(response, self.options.max_answer_bytes)?);
            };
            let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
            redirects += 1;
            match target(request.uri(), status, &location).filter(|_| redirects <= MAX_REDIRECTS) {
                Some(uri) => {
                    *self.moved.borrow_mut() = Some(uri.clone());
                    *request.uri_mut() = uri;
                }
                None => {
                    let location = location.chars().take(MAX_LOCATION_CHARS).collect();
                    return Err(ClientError::Moved { status, location });
                }
            }
        }
    }
}

/// Where the same request is to be sent instead. 301 and 302 leave it to clients whether a POST stays one (RFC 9110, 15.4.2); after 303 the
/// request has been seen to and must not be sent again.
fn target(asked: &Uri, status: StatusCode, location: &str) -> Option<Uri> {
    let same_request = matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let asked: Url = asked.to_string().parse().ok()?;
    let mut target = asked.join(location).ok()?;
    // A server behind a proxy often does not know that it is asked securely. It is asked again, as securely as before.
    if (asked.scheme(), target.scheme()) == ("https", "http")
        && (asked.host(), asked.port()) == (target.host(), target.port())
    {
        target.set_scheme("https").ok()?;
    }
    if !same_request || target.origin() != asked.origin() {
        return None;
    }
    target.as_str().parse().ok()
}
