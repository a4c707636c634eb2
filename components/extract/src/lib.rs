//! Turns files into text, apart from everything else: no network, no database, no secret, and an instance for each request (docs/adr/0055).
//!
//! `POST /` with a file's bytes, its media type as `content-type`, and its name as the parameter `name`. 200 is a [`extraction::Document`] as JSON, or, with
//! `accept: text/plain`, its text with marks, and in headers how many parts it has and the codes of its notes, so that a caller need not hold it; 4xx
//! is a problem whose detail is for the person, and 422 says why this file cannot be read. A file that breaks the reader ends the instance: whoever calls
//! gets a 500 without a body then, and no other request notices. Nobody outside reaches this component. It must not keep or log anything of a file.

mod body;

use std::panic;

use extraction::{Document, FILE_MAX_BYTES, Hints, Unreadable};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use logging::{Level, log};
use percent_encoding::percent_decode_str;
use problem::Problem;
use wasip2::{
    exports::http::incoming_handler::Guest,
    http::types::{IncomingRequest, Method, ResponseOutparam},
};

/// Its id in `spin.toml`.
const COMPONENT: &str = "extract";

/// The media type of a text.
const PLAIN: &str = "text/plain";
/// How many pages, sheets, slides, chapters or messages there are.
const PARTS: HeaderName = HeaderName::from_static("document-parts");
/// The codes of the notes, with commas between them.
const NOTES: HeaderName = HeaderName::from_static("document-notes");

struct Extract;

#[allow(unsafe_code, reason = "the generated function that the host calls")]
mod export {
    use super::Extract;
    wasip2::http::proxy::export!(Extract);
}

impl Guest for Extract {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        // The usual line would say what the reader stumbled over, which can be a piece of the file.
        panic::set_hook(Box::new(|panicked| {
            let place = panicked.location().map(ToString::to_string);
            log(COMPONENT, Level::Error, "a reader of files broke", serde_json::json!({ "place": place }));
        }));
        let response =
            respond(&request).unwrap_or_else(|problem| problem.to_response(&header_of(&request, "x-request-id")));
        body::send(response, answer);
    }
}

fn respond(request: &IncomingRequest) -> Result<Response<Vec<u8>>, Box<Problem>> {
    let address = request.path_with_query().unwrap_or_default();
    let (path, query) = address.split_once('?').unwrap_or((&address, ""));
    if path != "/" {
        return Err(Box::new(Problem::not_found()));
    }
    if !matches!(request.method(), Method::Post) {
        return Err(Box::new(Problem::method_not_allowed("POST")));
    }
    let name = query.split('&').find_map(|parameter| parameter.strip_prefix("name=")).unwrap_or_default();
    let name = percent_decode_str(name).decode_utf8_lossy();
    let media_type = header_of(request, "content-type");
    let bytes = body::read(request)?;
    let document = extraction::read(bytes, Hints { name: &name, media_type: &media_type })
        .map_err(|unreadable| Box::new(refused(&unreadable)))?;
    if header_of(request, "accept") == PLAIN {
        return Ok(marked(&document));
    }
    let json = serde_json::to_vec(&document).map_err(|error| Box::new(Problem::internal(error)))?;
    let mut response = Response::new(json);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// The text with marks for a model.
fn marked(document: &Document) -> Response<Vec<u8>> {
    let mut response = Response::new(document.marked().into_bytes());
    let mut codes: Vec<_> = document.notes.iter().map(|note| note.code.code()).collect();
    codes.dedup();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(PARTS, document.parts.len().into());
    // The codes are words of ours.
    if let Ok(codes) = HeaderValue::try_from(codes.join(",")) {
        headers.insert(NOTES, codes);
    }
    response
}

fn refused(unreadable: &Unreadable) -> Problem {
    let status = match unreadable {
        Unreadable::TooLarge => return Problem::too_large(FILE_MAX_BYTES),
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Problem::new(status, unreadable.code(), unreadable.to_string())
}

/// A header as text, or an empty text.
fn header_of(request: &IncomingRequest, name: &str) -> String {
    let values = request.headers().get(name);
    values.into_iter().next().and_then(|value| String::from_utf8(value).ok()).unwrap_or_default()
}
