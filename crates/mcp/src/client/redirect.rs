//! Sends a request and follows redirects within the same origin: mostly to the same address with a `/` at its end.

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header};
use url::Url;

use super::{BodyStream, Client, ClientError, Transport, packed};

/// The most redirects. More are a loop.
const MAX_REDIRECTS: usize = 3;
/// The longest address that an error repeats.
const MAX_LOCATION_CHARS: usize = 200;

impl<T: Transport> Client<T> {
    /// Sends a request. A redirect to another origin is not followed, because the request carries credentials.
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

/// The address to which the same request is sent again. After 301 and 302, clients may choose whether a POST stays a POST (RFC 9110, 15.4.2). After
/// 303 the request was handled and must not be sent again.
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
    // A server behind a proxy often does not know that it is called over https, and redirects to http. The request stays on https.
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
