//! Parses responses of WebDAV servers (`multistatus`, RFC 4918 section 14.16), as far as calendars need them. Entities that a document declares are
//! not resolved. Nothing here is recursive.

use crate::line::join_characters;
use quick_xml::{NsReader, escape::resolve_predefined_entity, events::Event, name::ResolveResult};

const DAV: &str = "DAV:";
const CALDAV: &str = "urn:ietf:params:xml:ns:caldav";

/// The deepest nesting: a multistatus needs eight levels.
const DEPTH_MAX: usize = 32;

/// The most entries of a response: more objects in a time range than a model can read.
const ENTRIES_MAX: usize = 5_000;

/// What the server says about one resource. Only existing properties are included.
#[derive(Default, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) href: String,
    /// Other resources with the same status.
    pub(crate) others: Vec<String>,
    /// The status of the whole resource, if the server sent one.
    pub(crate) status: Option<u16>,
    /// The status of its calendar data, if they could not be returned.
    pub(crate) data_status: Option<u16>,
    pub(crate) etag: Option<String>,
    pub(crate) display_name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) calendar_data: Option<String>,
    pub(crate) principal: Option<String>,
    pub(crate) home: Option<String>,
    pub(crate) is_collection: bool,
    pub(crate) is_calendar: bool,
    /// From `supported-calendar-component-set`; empty if the server did not send it.
    pub(crate) components: Vec<String>,
    /// From `current-user-privilege-set`; empty if the server did not send it.
    pub(crate) privileges: Vec<String>,
}

/// A parsed response.
#[derive(Default, PartialEq, Eq, Debug)]
pub(crate) struct Multistatus {
    pub(crate) entries: Vec<Entry>,
    /// Whether there are more than `ENTRIES_MAX` entries.
    pub(crate) is_cut: bool,
}

/// Parses a multistatus; `None` if it is not one, or not well-formed.
pub(crate) fn multistatus(bytes: &[u8]) -> Option<Multistatus> {
    let text = String::from_utf8_lossy(&join_characters(bytes)).into_owned();
    let mut reader = NsReader::from_str(text.trim_start_matches('\u{feff}').trim_start());
    // The local names from the root to the current element; empty for names of other namespaces.
    let mut path: Vec<String> = Vec::new();
    let (mut found, mut entry, mut pending) = (Multistatus::default(), Entry::default(), Entry::default());
    let (mut status, mut words) = (String::new(), String::new());
    let mut is_multistatus = false;
    loop {
        let (namespace, event) = reader.read_resolved_event().ok()?;
        let is_empty = matches!(event, Event::Empty(_));
        match event {
            Event::Start(start) | Event::Empty(start) => {
                let known =
                    matches!(&namespace, ResolveResult::Bound(space) if [DAV, CALDAV].contains(&space.as_ref()));
                let name = if known { start.local_name().as_ref().to_owned() } else { String::new() };
                path.push(name);
                if path.len() > DEPTH_MAX {
                    return None;
                }
                words.clear();
                is_multistatus |= path == ["multistatus"];
                if path == ["multistatus", "response", "propstat"] {
                    pending = Entry::default();
                    status.clear();
                }
                if let [.., "supported-calendar-component-set", "comp"] = names(&path).as_slice() {
                    let name = start.try_get_attribute("name").ok().flatten();
                    pending.components.extend(name.map(|name| name.value.to_ascii_uppercase()));
                }
                if is_empty {
                    element(&path, "", &mut pending);
                    path.pop();
                }
            }
            Event::End(_) => {
                let text = words.trim();
                match names(&path).as_slice() {
                    // If a request failed, the server may list several resources.
                    ["multistatus", "response", "href"] if entry.href.is_empty() => entry.href = text.to_owned(),
                    ["multistatus", "response", "href"] => entry.others.push(text.to_owned()),
                    ["multistatus", "response", "status"] => entry.status = code(text),
                    ["multistatus", "response", "propstat", "status"] => status = text.to_owned(),
                    ["multistatus", "response", "propstat"] => entry.take(&mut pending, code(&status)),
                    ["multistatus", "response"] => {
                        if found.entries.len() == ENTRIES_MAX {
                            found.is_cut = true;
                            return Some(found);
                        }
                        found.entries.push(std::mem::take(&mut entry));
                    }
                    ["multistatus", "response", "propstat", "prop", ..] => element(&path, text, &mut pending),
                    _ => {}
                }
                path.pop();
                words.clear();
            }
            Event::Text(text) => words.push_str(&text.xml10_content()),
            Event::CData(text) => words.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => match reference.resolve_char_ref() {
                Ok(Some(character)) => words.push(character),
                Ok(None) => words.push_str(resolve_predefined_entity(&reference.xml10_content())?),
                // A reference to an invalid character does not spoil the list.
                Err(_) => words.push(char::REPLACEMENT_CHARACTER),
            },
            Event::Eof => break,
            Event::DocType(_) => return None,
            _ => {}
        }
    }
    is_multistatus.then_some(found)
}

fn names(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

/// Parses a status line: `HTTP/1.1 200 OK`, and variants of it.
fn code(status: &str) -> Option<u16> {
    status.split_whitespace().find(|word| word.len() == 3)?.parse().ok()
}

/// Whether a status means success; a missing one does.
pub(crate) fn is_ok(status: Option<u16>) -> bool {
    status.is_none_or(|code| (200..300).contains(&code))
}

/// Handles the end of an element inside `prop`.
fn element(path: &[String], text: &str, entry: &mut Entry) {
    let names = names(path);
    let Some(path) = names.strip_prefix(&["multistatus", "response", "propstat", "prop"]) else { return };
    let words = || Some(text.to_owned()).filter(|text| !text.is_empty());
    match path {
        ["getetag"] => entry.etag = words(),
        ["displayname"] => entry.display_name = words(),
        ["calendar-description"] => entry.description = words(),
        ["calendar-data"] => entry.calendar_data = Some(text.to_owned()),
        ["current-user-principal", "href"] => entry.principal = words(),
        // If there are several homes, the first is used.
        ["calendar-home-set", "href"] if entry.home.is_none() => entry.home = words(),
        ["resourcetype", "collection"] => entry.is_collection = true,
        ["resourcetype", "calendar"] => entry.is_calendar = true,
        ["current-user-privilege-set", "privilege", name] => entry.privileges.push((*name).to_owned()),
        _ => {}
    }
}

impl Entry {
    /// Adds the properties of another `propstat`.
    fn take(&mut self, other: &mut Self, status: Option<u16>) {
        let other = std::mem::take(other);
        if !is_ok(status) {
            self.data_status = self.data_status.or(status.filter(|_| other.calendar_data.is_some()));
            return;
        }
        let texts = [
            (&mut self.etag, other.etag),
            (&mut self.display_name, other.display_name),
            (&mut self.description, other.description),
            (&mut self.calendar_data, other.calendar_data),
            (&mut self.principal, other.principal),
            (&mut self.home, other.home),
        ];
        for (mine, theirs) in texts {
            *mine = theirs.or(mine.take());
        }
        self.is_collection |= other.is_collection;
        self.is_calendar |= other.is_calendar;
        self.components.extend(other.components);
        self.privileges.extend(other.privileges);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(prop: &str) -> Entry {
        let text = format!(
            r#"<?xml version="1.0"?><d:multistatus xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns:x="other:">
            <d:response><d:href>/a%20b/</d:href>
            <d:propstat><d:prop><d:displayname/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>
            <d:propstat><d:prop>{prop}</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response></d:multistatus>"#
        );
        multistatus(text.as_bytes()).unwrap().entries.remove(0)
    }

    #[test]
    fn properties_are_told_by_their_namespace() {
        let entry = one(
            r#"<x:displayname>no</x:displayname><displayname xmlns="DAV:">A &amp; &#x42;<![CDATA[ <c>]]></displayname>
            <d:resourcetype><d:collection/><c:calendar></c:calendar></d:resourcetype>
            <c:supported-calendar-component-set><c:comp name="VEVENT"/></c:supported-calendar-component-set>
            <d:current-user-privilege-set><d:privilege><d:write/></d:privilege></d:current-user-privilege-set>
            <c:calendar-home-set><d:href>/home/</d:href><d:href>/second/</d:href></c:calendar-home-set>"#,
        );
        assert_eq!((entry.href.as_str(), entry.display_name.as_deref()), ("/a%20b/", Some("A & B <c>")));
        assert!(entry.is_collection && entry.is_calendar);
        assert_eq!((entry.components, entry.privileges), (vec!["VEVENT".to_owned()], vec!["write".to_owned()]));
        assert_eq!(entry.home.as_deref(), Some("/home/"));
    }

    #[test]
    fn a_property_that_was_not_found_is_not_there() {
        assert_eq!(one("<d:getetag>\"1\"</d:getetag>").display_name, None);
    }

    #[test]
    fn what_is_no_multistatus_is_nothing() {
        let bomb = r#"<!DOCTYPE d [<!ENTITY a "aaaa">]><d:multistatus xmlns:d="DAV:">&a;</d:multistatus>"#;
        let unknown = r#"<d:multistatus xmlns:d="DAV:">&a;</d:multistatus>"#;
        let deep = format!(r#"<d:multistatus xmlns:d="DAV:">{}"#, "<a>".repeat(100_000));
        for text in [bomb, unknown, &deep, "<html><body>Sign in</body></html>", "", "{}", "<a"] {
            assert_eq!(multistatus(text.as_bytes()), None);
        }
        assert_eq!(multistatus(br#"<multistatus xmlns="DAV:"/>"#), Some(Multistatus::default()));
    }
}
