//! `search`: addresses of pages, from a search engine with SearXNG's API that the operator runs.

use std::time::Duration;

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tool_provider::{Failure, Structured, tool};
use upstream::{Http, Limits, Outside};
use url::Url;

use crate::{outside::get, variables};

/// The operator's setting: the search engine's address, such as `https://search.rust-lang.org`.
const VARIABLE: &str = "search_url";
/// The results of a call: one page of results.
const MAX_RESULTS: usize = 10;
/// A page of results has about 30 KiB.
const MAX_BYTES: usize = 1 << 20;
/// The engine asks other search engines, which takes a few seconds.
const TIME_LIMIT: Duration = Duration::from_secs(15);
/// Longer texts are cut. They are only for deciding what to read.
const MAX_TITLE_CHARS: usize = 200;
const MAX_SNIPPET_CHARS: usize = 500;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Search {
    /// What to look for, in the words that a page about it would have.
    #[schemars(length(min = 1, max = 400))]
    query: String,
    /// Only pages of the last day, month or year.
    time_range: Option<TimeRange>,
    /// Which page of the results, from 1.
    #[schemars(range(min = 1, max = 10))]
    page: Option<u32>,
}

#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum TimeRange {
    Day,
    Month,
    Year,
}

/// What was found.
#[derive(Serialize, JsonSchema, PartialEq, Eq, Debug)]
pub(crate) struct Results {
    results: Vec<Found>,
}

#[derive(Serialize, JsonSchema, PartialEq, Eq, Debug)]
struct Found {
    title: String,
    url: String,
    /// Some of what the page says.
    snippet: String,
    /// When the page was published, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<String>,
}

/// The part of a SearXNG response that is used (`/search?format=json`).
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    results: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    content: Option<String>,
    #[serde(default, rename = "publishedDate")]
    published: Option<String>,
}

/// Searches the web. Use it for what may have changed since you were trained, or what you do not know; then read the pages that look best
/// with `fetch`, since snippets are cut and may be old.
#[tool(title = "Search the web", read_only)]
pub(crate) async fn search(arguments: Search) -> Result<Structured<Results>, Failure> {
    look_up(&arguments, variables::get(VARIABLE).await.as_deref(), &Outside).await.map(Structured)
}

async fn look_up(arguments: &Search, base: Option<&str>, world: &impl Http) -> Result<Results, Failure> {
    let Some(base) = base else {
        return not_configured(format!(
            "No search engine is set up here. An operator sets `{VARIABLE}` to that of a SearXNG instance."
        ));
    };
    let Some(url) = address(base, arguments) else {
        return not_configured(format!(
            "The operator's `{VARIABLE}` is not an address such as https://search.rust-lang.org."
        ));
    };
    let limits = Limits { bytes: MAX_BYTES, wait: TIME_LIMIT };
    let answer = get(world, &url, "application/json", limits).await?;
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::FORBIDDEN => {
            return not_configured(
                "The search engine refuses to answer in JSON. An operator adds `json` to `search.formats` in its settings.".to_owned(),
            );
        }
        StatusCode::TOO_MANY_REQUESTS => {
            return Err(Failure::UpstreamFailed("the search engine is asked too often: wait a little".to_owned()));
        }
        status => return Err(Failure::UpstreamFailed(format!("the search engine answered {status}"))),
    }
    results(answer.body())
}

fn not_configured<T>(words: String) -> Result<T, Failure> {
    Err(Failure::NotConfigured(words))
}

fn address(base: &str, arguments: &Search) -> Option<Url> {
    let mut url = Url::parse(base).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    url.path_segments_mut().ok()?.pop_if_empty().push("search");
    url.set_fragment(None);
    let mut pairs = url.query_pairs_mut();
    pairs.clear().append_pair("q", &arguments.query).append_pair("format", "json");
    if let Some(range) = arguments.time_range {
        pairs.append_pair(
            "time_range",
            match range {
                TimeRange::Day => "day",
                TimeRange::Month => "month",
                TimeRange::Year => "year",
            },
        );
    }
    if let Some(page) = arguments.page {
        pairs.append_pair("pageno", &page.to_string());
    }
    drop(pairs);
    Some(url)
}

fn results(json: &[u8]) -> Result<Results, Failure> {
    let answer: Answer = serde_json::from_slice(json)
        .map_err(|_| Failure::UpstreamFailed("the search engine did not answer as SearXNG does".to_owned()))?;
    let found = answer.results.into_iter().filter_map(|entry| {
        let url = entry.url.filter(|url| Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https")))?;
        Some(Found {
            title: cut(&entry.title.unwrap_or_default(), MAX_TITLE_CHARS),
            url,
            snippet: cut(&entry.content.unwrap_or_default(), MAX_SNIPPET_CHARS),
            published: entry.published,
        })
    });
    Ok(Results { results: found.take(MAX_RESULTS).collect() })
}

/// The text on one line, cut to a length.
fn cut(text: &str, max_chars: usize) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    let text = words.join(" ");
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use scripted_server::{Asked, Scripted, answer};
    use upstream::Outcome;

    use super::*;

    /// A search engine that always gives the same response.
    fn engine(status: u16, body: &'static str) -> Scripted<impl Fn(&Asked) -> Outcome> {
        Scripted::new(move |_: &Asked| Ok(answer(status, &[], body)))
    }

    fn arguments(query: &str) -> Search {
        Search { query: query.to_owned(), time_range: None, page: None }
    }

    #[test]
    fn results_have_title_address_and_snippet() {
        let body = r#"{"query": "rust", "number_of_results": 0, "results": [
            {"url": "https://www.rust-lang.org/", "title": "Rust\n Language", "content": "A language  empowering everyone.", "engine": "x",
             "publishedDate": "2026-03-01T00:00:00", "positions": [1], "score": 9.0, "category": "general"},
            {"url": "javascript:alert(1)", "title": "Bad"}, {"title": "No address"},
            {"url": "https://doc.rust-lang.org/book/", "title": "The Book", "content": null}],
            "answers": [], "corrections": [], "infoboxes": [], "suggestions": ["rust game"], "unresponsive_engines": [["y", "timeout"]]}"#;
        let engine = engine(200, body);
        let found = block_on(look_up(&arguments("rust & co"), Some("http://127.0.0.1:8888/searx/"), &engine)).unwrap();
        let [asked] = engine.asked().clone().try_into().unwrap();
        assert_eq!(asked.uri, "http://127.0.0.1:8888/searx/search?q=rust+%26+co&format=json");
        let [first, second] = found.results.as_slice() else { panic!("{found:?}") };
        assert_eq!((first.title.as_str(), first.url.as_str()), ("Rust Language", "https://www.rust-lang.org/"));
        assert_eq!(first.snippet, "A language empowering everyone.");
        assert_eq!(first.published.as_deref(), Some("2026-03-01T00:00:00"));
        assert_eq!((second.title.as_str(), second.snippet.as_str()), ("The Book", ""));
    }

    #[test]
    fn a_time_range_and_a_page_are_asked_for() {
        let search = Search { query: "a b".to_owned(), time_range: Some(TimeRange::Month), page: Some(2) };
        let url = address("https://search.rust-lang.org", &search).unwrap();
        assert_eq!(url.as_str(), "https://search.rust-lang.org/search?q=a+b&format=json&time_range=month&pageno=2");
    }

    #[test]
    fn at_most_ten_results_of_bounded_length_are_given() {
        let entry =
            serde_json::json!({"url": "https://a.org/", "title": "t".repeat(5_000), "content": "ü".repeat(5_000)});
        let json = serde_json::json!({ "results": vec![entry; 30] }).to_string();
        let found = results(json.as_bytes()).unwrap().results;
        assert_eq!(found.len(), MAX_RESULTS);
        assert_eq!(found[0].title.chars().count(), MAX_TITLE_CHARS + 1);
        assert_eq!(found[0].snippet.chars().count(), MAX_SNIPPET_CHARS + 1);
    }

    #[test]
    fn what_the_operator_must_do_is_said() {
        let said = |base: Option<&str>, status, body| {
            let engine = engine(status, body);
            block_on(look_up(&arguments("rust"), base, &engine)).unwrap_err()
        };
        let base = Some("https://search.rust-lang.org");
        assert!(matches!(said(None, 200, ""), Failure::NotConfigured(words) if words.contains("search_url")));
        for base in ["search.rust-lang.org", "ftp://search.rust-lang.org", "mailto:x"] {
            assert!(
                matches!(said(Some(base), 200, ""), Failure::NotConfigured(words) if words.contains("search_url")),
                "{base}"
            );
        }
        assert!(matches!(said(base, 403, ""), Failure::NotConfigured(words) if words.contains("search.formats")));
        assert!(matches!(said(base, 429, ""), Failure::UpstreamFailed(words) if words.contains("too often")));
        assert!(matches!(said(base, 302, ""), Failure::UpstreamFailed(words) if words.contains("302")));
        assert!(matches!(said(base, 200, "<html>"), Failure::UpstreamFailed(words) if words.contains("SearXNG")));
    }
}
