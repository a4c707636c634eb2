//! Calendars in memory that follow a case of the corpus, for responses that no real server can be made to send.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{cell::RefCell, collections::BTreeMap};

use http::Response;
use scripted_server::{Asked, answer};

/// The path of the calendar in all cases.
pub(super) const CALENDAR: &str = "/cal/";

const DAV: &str = r#"xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav""#;

/// The kind of ETags that the server sends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Etags {
    Strong,
    Weak,
    /// The server sends strong ones, and a proxy makes them weak.
    Weakened,
    /// ETags without quotes in XML.
    Bare,
    None,
}

pub(super) struct Calendars {
    pub(super) etags: Etags,
    /// Responses by method and path: status, headers and body.
    pub(super) answers: BTreeMap<String, Vec<u8>>,
    /// Objects by path, with the number of their writes.
    pub(super) objects: RefCell<BTreeMap<String, (u32, Vec<u8>)>>,
}

impl Calendars {
    fn etag(&self, revision: u32, is_xml: bool) -> Option<String> {
        match self.etags {
            Etags::Strong => Some(format!("\"{revision}\"")),
            Etags::Weak | Etags::Weakened => Some(format!("W/\"{revision}\"")),
            Etags::Bare if is_xml => Some(revision.to_string()),
            Etags::Bare => Some(format!("\"{revision}\"")),
            Etags::None => None,
        }
    }

    fn entry(&self, path: &str, with_data: bool) -> Vec<u8> {
        let objects = self.objects.borrow();
        let (revision, text) = &objects[path];
        let etag = self.etag(*revision, true).map(|etag| format!("<d:getetag>{etag}</d:getetag>")).unwrap_or_default();
        let mut entry = format!("<d:response><d:href>{path}</d:href><d:propstat><d:prop>{etag}").into_bytes();
        if with_data {
            entry.extend(b"<c:calendar-data>");
            for byte in text {
                match byte {
                    b'&' => entry.extend(b"&amp;"),
                    b'<' => entry.extend(b"&lt;"),
                    b'\r' => entry.extend(b"&#13;"),
                    byte => entry.push(*byte),
                }
            }
            entry.extend(b"</c:calendar-data>");
        }
        entry.extend(b"</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>");
        entry
    }

    fn multistatus(&self, entries: Vec<Vec<u8>>) -> Response<Vec<u8>> {
        let body = [format!("<d:multistatus {DAV}>").into_bytes(), entries.concat(), b"</d:multistatus>".to_vec()];
        answer(207, &[], body.concat())
    }

    fn is_met(&self, asked: &Asked, path: &str) -> bool {
        let header = |name| asked.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let found = self.objects.borrow().get(path).map(|(revision, _)| *revision);
        match (header("if-match"), header("if-none-match")) {
            (_, Some(_)) => found.is_none(),
            // A strong comparison: a weak ETag matches nothing.
            (Some(wanted), _) => {
                self.etags != Etags::Weak && found.is_some_and(|revision| format!("\"{revision}\"") == wanted)
            }
            (None, None) => true,
        }
    }
}

/// Parses a raw response: a status line such as `207 Multi-Status`, headers, an empty line, a body.
fn raw(text: &[u8]) -> Response<Vec<u8>> {
    let end = text.windows(2).position(|pair| pair == b"\n\n").unwrap_or(text.len());
    let head = String::from_utf8(text[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status: u16 = lines.next().unwrap().split(' ').next().unwrap().parse().unwrap();
    let mut response = Response::builder().status(status);
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        response = response.header(name, value);
    }
    let body = text.get(end + 2..).unwrap_or_default();
    response.body(body.strip_suffix(b"\n").unwrap_or(body).to_vec()).unwrap()
}

impl Calendars {
    /// The response to a request.
    pub(super) fn answer(&self, asked: &Asked) -> Response<Vec<u8>> {
        let path = asked.uri.path().to_owned();
        if let Some(answer) = self.answers.get(&format!("{} {path}", asked.method)) {
            return raw(answer);
        }
        let status = |status: u16| answer(status, &[], "");
        let found = self.objects.borrow().get(&path).cloned();
        match (asked.method.as_str(), found) {
            ("PROPFIND", None) if path == "/" || path == CALENDAR => {
                let calendar = format!(
                    "<d:response><d:href>{CALENDAR}</d:href><d:propstat><d:prop><d:resourcetype><d:collection/><c:calendar/></d:resourcetype></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
                );
                self.multistatus(vec![calendar.into_bytes()])
            }
            ("PROPFIND", Some(_)) => self.multistatus(vec![self.entry(&path, false)]),
            ("REPORT", _) => {
                let paths: Vec<_> = self.objects.borrow().keys().cloned().collect();
                self.multistatus(paths.iter().map(|path| self.entry(path, true)).collect())
            }
            ("GET", Some((revision, text))) => {
                let mut response = Response::builder();
                if let Some(etag) = self.etag(revision, false) {
                    response = response.header("etag", etag);
                }
                response.body(text).unwrap()
            }
            ("PUT" | "DELETE", _) if !self.is_met(asked, &path) => status(412),
            ("PUT", found) => {
                let revision = found.map_or(0, |(revision, _)| revision) + 1;
                self.objects.borrow_mut().insert(path, (revision, asked.body.clone()));
                status(204)
            }
            ("DELETE", Some(_)) => {
                self.objects.borrow_mut().remove(&path);
                status(204)
            }
            _ => status(404),
        }
    }
}
