//! What the filters of a query mean here: `in:` with a kind, a conversation's id or a word of its title, `from:`, `before:` and `after:`.

use std::collections::BTreeSet;

use domain::{Id, Timestamp};
use jiff::{civil::Date, tz::TimeZone};
use search_terms::{Filters, IndexKey, Kind, MAX_WORDS, Query};
use storage::{search::SearchFilter, search_indexing::DocumentKind};
use web::preferences::Preferences;

/// The filter for the store. `None`: nothing that is indexed can fit it.
pub(crate) fn filter(filters: &Filters, keys: &[IndexKey], preferences: &Preferences) -> Option<SearchFilter> {
    // Files and memories are not indexed.
    let kinds: Vec<_> = filters.kinds.iter().filter_map(|kind| document_kind(*kind)).collect();
    let mut authors = Vec::new();
    for author in filters.from.iter().filter_map(|name| author(name)) {
        if !authors.contains(&author) {
            authors.push(author);
        }
    }
    let is_nothing = kinds.is_empty() && !filters.kinds.is_empty() || authors.is_empty() && !filters.from.is_empty();
    if is_nothing || filters.has_file {
        return None;
    }
    let zone = preferences.time_zone.as_deref().and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC);
    let (conversations, title_terms) = places(&filters.places, keys);
    let has_places = !filters.places.is_empty();
    Some(SearchFilter {
        kinds,
        authors,
        conversations: has_places.then_some(conversations),
        title_terms: has_places.then_some(title_terms),
        before: filters.before.and_then(|day| beginning(day, &zone)),
        after: filters.after.and_then(|day| beginning(day, &zone)),
    })
}

const fn document_kind(kind: Kind) -> Option<DocumentKind> {
    match kind {
        Kind::Conversations => Some(DocumentKind::Conversation),
        Kind::Messages => Some(DocumentKind::Message),
        Kind::Files | Kind::Memories => None,
    }
}

/// The role of whoever wrote a message.
fn author(name: &str) -> Option<&'static str> {
    match name.to_lowercase().as_str() {
        "me" | "user" => Some("user"),
        "assistant" | "ai" | "model" => Some("assistant"),
        _ => None,
    }
}

/// Conversations by their ids, and the terms of titles: of the first places, and of their first words, as of a query.
fn places(names: &[String], keys: &[IndexKey]) -> (BTreeSet<Id>, BTreeSet<i64>) {
    let (mut conversations, mut words) = (BTreeSet::new(), Vec::new());
    for name in names.iter().take(MAX_WORDS) {
        if let Ok(id) = name.parse() {
            conversations.insert(id);
        } else {
            words.extend(Query::parse(name).words);
        }
    }
    words.truncate(MAX_WORDS);
    let terms = keys.iter().flat_map(|key| words.iter().flat_map(|word| word.terms(key))).collect();
    (conversations, terms)
}

/// When a day begins. Without a known zone, days are those of UTC.
fn beginning(day: Date, zone: &TimeZone) -> Option<Timestamp> {
    let begins = day.to_zoned(zone.clone()).ok()?;
    Some(Timestamp::from_millis(begins.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(typed: &str, time_zone: Option<&str>) -> Option<SearchFilter> {
        let preferences = Preferences { locale: None, time_zone: time_zone.map(str::to_owned) };
        filter(&Query::parse(typed).filters, &[IndexKey::new(&[7; 32])], &preferences)
    }

    #[test]
    fn days_begin_where_the_person_is() {
        let at = |zone| of("x after:2026-07-01 before:2026-11", zone).map(|filter| (filter.after, filter.before));
        let times = |after: &str, before: &str| {
            let at =
                |text: &str| Some(Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond()));
            Some((at(after), at(before)))
        };
        assert_eq!(at(Some("Europe/Berlin")), times("2026-06-30T22:00:00Z", "2026-10-31T23:00:00Z"));
        let utc = times("2026-07-01T00:00:00Z", "2026-11-01T00:00:00Z");
        assert_eq!((at(None), at(Some("Nowhere/At_All"))), (utc, utc));
    }

    #[test]
    fn what_is_not_indexed_is_not_found() {
        for typed in ["x in:files", "x in:memories", "x has:file", "x from:somebody"] {
            assert_eq!(of(typed, None), None, "{typed}");
        }
        assert_eq!(of("x", None), Some(SearchFilter::default()));
        assert_eq!(of("x in:messages in:files", None).unwrap().kinds, [DocumentKind::Message]);
        assert_eq!(of("x from:Me from:ai from:user", None).unwrap().authors, ["user", "assistant"]);
    }

    #[test]
    fn a_place_is_a_conversation_or_a_word_of_its_title() {
        let id = Id::new();
        let named = of(&format!("x in:{id} in:Cabins"), None).unwrap();
        assert_eq!(named.conversations, Some(BTreeSet::from([id])));
        let key = IndexKey::new(&[7; 32]);
        let title = search_terms::index("The cabin", &key).postings;
        assert!(title.iter().any(|posting| named.title_terms.as_ref().unwrap().contains(&posting.term)));
        let many: Vec<_> = (0..MAX_WORDS + 4).map(|number| format!("in:cabin{number}")).collect();
        let first = of(&format!("x {}", many[..MAX_WORDS].join(" ")), None).unwrap();
        assert_eq!(of(&format!("x {}", many.join(" ")), None).unwrap(), first);
        let neither = of("x in:-", None).unwrap();
        assert_eq!((neither.conversations, neither.title_terms), (Some(BTreeSet::new()), Some(BTreeSet::new())));
    }
}
