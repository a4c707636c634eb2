//! `fetch`: a page as text.

use std::{fmt::Write, time::Duration};

use http::{Response, header};
use hypertext::{Refresh, charset};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tool_provider::{Answer, Failure, IntoAnswer, schema, tool};
use upstream::{Deadline, Limits, MediaType, Outside, Redirect, redirect};
use url::{Host, Url};

use crate::{
    address,
    html::{self, Page},
    outside::{World, get},
};

/// How much of a response is read: twice the longest articles of an encyclopedia. The worst page of this size takes a fifth of a second.
const MAX_BYTES: usize = 2 << 20;
/// Enough redirects from an old address to the canonical one, twice.
const MAX_REDIRECTS: usize = 5;
/// A page that moves on to another page after this time is replaced by that one; a person would not have had time to read it either.
const MAX_REFRESH_SECONDS: u32 = 10;
/// The limit for all requests of a call, including redirects. The caller waits for 60 s.
const TIME_LIMIT: Duration = Duration::from_secs(15);
/// The longest result of a call: about 5,000 tokens, so a few pages fit into a small context.
const MAX_CHARS: usize = 20_000;
/// The types that we can convert to text, for servers that can choose.
const ACCEPT: &str =
    "text/html,application/xhtml+xml,text/markdown;q=0.9,text/plain;q=0.8,application/json;q=0.8,*/*;q=0.1";
/// Types outside `text/*` that are text.
const TEXT_TYPES: [&str; 6] = [
    "application/json",
    "application/ld+json",
    "application/javascript",
    "application/x-ndjson",
    "application/yaml",
    "application/toml",
];

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fetch {
    /// The address, such as `https://www.rust-lang.org/learn`.
    #[schemars(length(min = 1, max = 2048))]
    url: String,
    /// How many characters of the text to leave out: `next_offset` of an earlier result, to read on.
    #[serde(default)]
    offset: u32,
}

/// A part of a page's text. The model reads it as it is; programs get the fields.
#[derive(Serialize, JsonSchema, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    /// Of the page; empty if it has none.
    title: String,
    /// Where the text is from, after redirects.
    url: String,
    /// Markdown if the page is HTML.
    text: String,
    /// How many characters the whole text has.
    characters: usize,
    /// If there is more: the `offset` to read on with.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_offset: Option<usize>,
}

/// Reads a page of the public web, as text without navigation and scripts. Use it for an address that the person names, or that a search
/// found, before you tell what is on the page. Long pages come in parts: call it again with `next_offset` as `offset`.
/// HTML, plain text, JSON, XML and the like; no PDF, no pictures. Pages that only scripts fill are empty.
#[tool(title = "Read a page", read_only, cache_ms = 300_000)]
pub(crate) async fn fetch(arguments: Fetch) -> Result<Part, Failure> {
    read(&arguments, &Outside).await
}

impl IntoAnswer for Part {
    fn schema() -> Option<String> {
        Some(schema::<Self>())
    }

    fn into_answer(self) -> Result<Answer, Failure> {
        let structured = serde_json::to_string(&self)
            .map_err(|error| Failure::UpstreamFailed(format!("The page cannot be written as JSON: {error}.")))?;
        let mut text = String::new();
        // Writing to a string does not fail.
        if !self.title.is_empty() {
            let _ = writeln!(text, "Title: {}", self.title);
        }
        let _ = writeln!(text, "Address: {}\n", self.url);
        text.push_str(if self.text.is_empty() { "(no text)" } else { &self.text });
        if let Some(next) = self.next_offset {
            let _ = write!(text, "\n\n(next_offset: {next} of {} characters)", self.characters);
        }
        Ok(Answer { text, structured: Some(structured) })
    }
}

async fn read(arguments: &Fetch, world: &impl World) -> Result<Part, Failure> {
    let url = Url::parse(arguments.url.trim()).map_err(|error| {
        Failure::InvalidArguments(format!(
            "This is not an address: {error}. Write one like https://www.rust-lang.org/learn."
        ))
    })?;
    let (url, Page { title, text, refresh }) = follow(url, world).await?;
    let text = match refresh.and_then(|refresh| Some((refresh.seconds, target(&url, &refresh)?))) {
        Some((seconds, to)) => format!("{text}\n\n(After {seconds} seconds the page moves on to {to})"),
        None => text,
    };
    let characters = text.chars().count();
    let offset = usize::try_from(arguments.offset).unwrap_or(usize::MAX);
    if offset > 0 && offset >= characters {
        return Err(Failure::InvalidArguments(format!(
            "The text ends before offset {offset}: it has {characters} characters."
        )));
    }
    let end = offset.saturating_add(MAX_CHARS);
    let text = text.chars().skip(offset).take(MAX_CHARS).collect();
    Ok(Part { title, url: url.into(), text, characters, next_offset: (end < characters).then_some(end) })
}

/// The page after all redirects, and its address.
async fn follow(url: Url, world: &impl World) -> Result<(Url, Page), Failure> {
    let deadline = Deadline::after(TIME_LIMIT);
    let mut next = url;
    for _ in 0..=MAX_REDIRECTS {
        let url = address::checked(next)?;
        if let Some(Host::Domain(name)) = url.host() {
            for address in world.addresses(name).await?.unwrap_or_default() {
                address::public(address)?;
            }
        }
        let answer = get(world, &url, ACCEPT, Limits { bytes: MAX_BYTES, wait: deadline.left() }).await?;
        let status = answer.status();
        match redirect(&url, &answer) {
            Some(Redirect::To(to)) => {
                next = to;
                continue;
            }
            Some(Redirect::Nowhere) => {
                return Err(Failure::UpstreamFailed(format!("{url} redirects to something that is not an address")));
            }
            None => {}
        }
        if !status.is_success() {
            return Err(Failure::UpstreamFailed(format!("{url} answered {status}")));
        }
        let page = page(&url, &answer)?;
        let soon = page.refresh.as_ref().filter(|refresh| refresh.seconds <= MAX_REFRESH_SECONDS);
        match soon.and_then(|refresh| target(&url, refresh)) {
            Some(to) => next = to,
            None => return Ok((url, page)),
        }
    }
    Err(Failure::UpstreamFailed(format!("the page redirects more than {MAX_REDIRECTS} times, last to {next}")))
}

/// The target of a page that moves on to another page.
fn target(url: &Url, refresh: &Refresh) -> Option<Url> {
    let mut target = url.join(&refresh.url).ok().filter(|target| matches!(target.scheme(), "http" | "https"))?;
    target.set_fragment(None);
    (target != *url).then_some(target)
}

/// Converts a response to a page. If it is not HTML, its text is the whole text.
fn page(url: &Url, answer: &Response<Vec<u8>>) -> Result<Page, Failure> {
    let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = MediaType::read(header(header::CONTENT_TYPE));
    let bytes = answer.body().as_slice();
    let kind = match (media_type.essence.as_str(), media_type.kind()) {
        ("", _) if looks_like_html(bytes) => charset::Kind::Html,
        ("", _) if bytes.starts_with(b"<?xml") => charset::Kind::Xml,
        ("", kind) | (_, kind @ (charset::Kind::Html | charset::Kind::Xml)) => kind,
        (text, kind) if text.starts_with("text/") || text.ends_with("+json") || TEXT_TYPES.contains(&text) => kind,
        (other, _) => {
            return Err(Failure::UpstreamFailed(format!(
                "{url} is {}, which cannot be read: only HTML, plain text, JSON and XML",
                other.chars().take(100).collect::<String>()
            )));
        }
    };
    // UTF-16 contains zeros, but also begins with a byte order mark.
    if media_type.essence.is_empty() && bytes.contains(&0) {
        return Err(Failure::UpstreamFailed(format!("{url} has no content type and is not text")));
    }
    let text = charset::decode(bytes, media_type.charset.as_deref(), kind);
    let mut page = match kind {
        charset::Kind::Html => html::read(&text, url),
        charset::Kind::Xml | charset::Kind::Other => {
            Page { text: hypertext::seen(&text).into_owned(), ..Page::default() }
        }
    };
    let by_server = answer.headers().get("refresh").and_then(|value| hypertext::refresh(value.to_str().ok()?));
    page.refresh = by_server.or(page.refresh);
    Ok(page)
}

/// Without a type from the server, the first tag shows whether the text is HTML.
fn looks_like_html(bytes: &[u8]) -> bool {
    let start = bytes.trim_ascii_start();
    ["<!doctype html", "<html", "<head", "<body"]
        .iter()
        .any(|tag| start.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes())))
}

#[cfg(test)]
mod tests;
