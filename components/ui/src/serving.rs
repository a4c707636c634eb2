//! The response to a request for the page or one of its files: a function of the request and nothing else.

use bytes::Bytes;
use content_encoding::{Encoding, choose};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use problem::{Problem, REQUEST_ID};
use uuid::Uuid;
use web::Site;

use crate::assets::{self, Asset, DOCS, PAGE};

/// The parts of a request that matter.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Only GET and HEAD are allowed.
    pub method: &'a Method,
    /// The request's path, unchanged.
    pub path: &'a str,
    /// The installation's public address.
    pub site: &'a Site,
    /// Only `Host`, `Accept-Encoding`, `If-None-Match` and `X-Request-Id` are read.
    pub headers: &'a HeaderMap,
}

/// The prefixes of other components. A request for one of them that arrives here has an address that does not exist, and comes from a program
/// that cannot use a page.
const NOT_OURS: [&str; 5] = ["/api", "/auth", "/mcp", "/oauth", "/.well-known"];

/// The page loads nothing from other sites, runs only our own files, and cannot turn text into HTML.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; \
     manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'",
);

/// Where the description of the API is shown.
const DOCS_ADDRESS: &str = "/docs";

/// The page's only browser permission: writing to the clipboard when a person presses "Copy".
const PERMISSIONS_POLICY: HeaderValue = HeaderValue::from_static(
    "accelerometer=(), autoplay=(), camera=(), clipboard-read=(), display-capture=(), encrypted-media=(), fullscreen=(), \
     geolocation=(), gyroscope=(), hid=(), idle-detection=(), magnetometer=(), microphone=(), midi=(), payment=(), \
     publickey-credentials-get=(), screen-wake-lock=(), serial=(), usb=(), xr-spatial-tracking=()",
);

/// A year, the longest time that caches are known to respect.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// The browser keeps it but asks again each time: a 304 is short, and a new version is seen at once.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// Once a browser has seen an installation over TLS, it asks for it in no other way for two years. Said only where `public_url` is https, because
/// an address that is not cannot be reached afterwards.
const ONLY_TLS: HeaderValue = HeaderValue::from_static("max-age=63072000");

/// Longer request ids are replaced, because ids are logged.
const MAX_REQUEST_ID_CHARS: usize = 64;

/// Answers any request. Never fails.
#[must_use]
pub fn answer(asked: &Asked<'_>) -> Response<Bytes> {
    let request_id = request_id(asked.headers);
    let mut response = find(asked)
        .and_then(|asset| serve(asset, asked))
        .unwrap_or_else(|problem| problem.to_response(&request_id).map(Bytes::from));
    if asked.method == Method::HEAD {
        // No `Content-Length` of the GET response either: hosts compare it with the body.
        *response.body_mut() = Bytes::new();
    } else if response.status() != StatusCode::NOT_MODIFIED {
        let length = HeaderValue::from(response.body().len());
        response.headers_mut().insert(header::CONTENT_LENGTH, length);
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin"));
    headers.insert(HeaderName::from_static("permissions-policy"), PERMISSIONS_POLICY);
    if asked.site.public_url().starts_with("https:") {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, ONLY_TLS);
    }
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

/// The requested file. Addresses inside the app (`/c/…`) are handled by the page, so they get the page. A path that looks like a file and is
/// none gets 404.
fn find(asked: &Asked<'_>) -> Result<&'static Asset, Box<Problem>> {
    let is_below =
        |prefix: &str| asked.path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if NOT_OURS.into_iter().any(is_below) {
        return Err(Problem::not_found().into());
    }
    if asked.method != Method::GET && asked.method != Method::HEAD {
        return Err(Problem::method_not_allowed("GET, HEAD").into());
    }
    if !asked.site.is_ours(asked.headers) {
        let detail = format!("This installation is at {}. Open it there.", asked.site.public_url());
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", detail).into());
    }
    assets::find(file(asked.path)).ok_or_else(|| Problem::not_found().into())
}

/// The file that belongs to a path.
fn file(path: &str) -> &str {
    let is_file = path.rsplit('/').next().is_some_and(|name| name.contains('.'));
    match path {
        DOCS_ADDRESS => DOCS,
        _ if is_file => path,
        _ => PAGE,
    }
}

fn serve(asset: &Asset, asked: &Asked<'_>) -> Result<Response<Bytes>, Box<Problem>> {
    let is_there = |encoding| encoding == Encoding::Identity || asset.is_packed();
    let encoding = choose(&joined(asked.headers, header::ACCEPT_ENCODING), is_there);
    let etag = asset.etag(encoding);
    let is_fresh = is_known(&joined(asked.headers, header::IF_NONE_MATCH), etag);

    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(header::ETAG, HeaderValue::from_static(etag));
    headers.insert(header::CACHE_CONTROL, if asset.hashed { FOR_EVER } else { ASK_AGAIN });
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if is_fresh {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    if encoding != Encoding::Identity {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding.token()));
    }
    *response.body_mut() = asset.bytes(encoding).map_err(Problem::internal)?;
    Ok(response)
}

/// Whether the client already has this version: `If-None-Match`, which compares weakly (RFC 9110 section 13.1.2).
fn is_known(if_none_match: &str, etag: &str) -> bool {
    if_none_match.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// The values of a header that may occur several times, as one list (RFC 9110 section 5.3).
fn joined(headers: &HeaderMap, name: HeaderName) -> String {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(",")
}

/// The caller's id for this request if it may be logged, otherwise a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    match given {
        Some(id)
            if (1..=MAX_REQUEST_ID_CHARS).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            id.to_owned()
        }
        _ => Uuid::now_v7().to_string(),
    }
}

#[cfg(test)]
mod tests;
