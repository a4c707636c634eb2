//! Events on the server, as objects: queries, reads, writes and deletions.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use http::{Method, Response, StatusCode, header};
use tool_provider::Failure;
use upstream::Http;
use url::Url;

use crate::{
    dav::{FIND, Object, Server, is_same_place, method},
    etag,
    line::join_characters,
    refusal::{no_caldav, refused, refused_report, unreadable},
    xml,
};

/// How many events are fetched one by one, from a server that lists them without their data. Each takes a request, and the call has a minute.
const FETCHES_MAX: usize = 100;

/// After this time, no other event is fetched: half of the call's minute.
const FETCHING_MAX: Duration = Duration::from_secs(30);

/// The objects of a calendar.
#[derive(Default, Debug)]
pub(crate) struct Answer {
    pub(crate) objects: Vec<Object>,
    /// Sentences about missing objects.
    pub(crate) notes: Vec<String>,
}

/// The condition of a write.
#[derive(Clone, Copy)]
pub(crate) enum Precondition<'a> {
    /// The object must not exist.
    Absent,
    /// The object must have this version, or any version if the server has none.
    Unchanged(Option<&'a str>),
}

impl<T: Http> Server<'_, T> {
    /// Queries a calendar for objects; `query` is a `calendar-query`. The notes say which objects the server could not return.
    pub(crate) async fn query(&self, calendar: &str, query: String) -> Result<Answer, Failure> {
        let url = self.of_id(calendar)?;
        let response = self.send(&method("REPORT")?, &url, &[("depth", "1")], query).await?;
        if !matches!(response.status(), StatusCode::MULTI_STATUS | StatusCode::OK) {
            return Err(refused_report(&response));
        }
        let found = xml::multistatus(response.body()).ok_or_else(unreadable)?;
        let mut answer = Answer::default();
        let (mut missing, mut failed, mut is_partial) = (Vec::new(), Vec::new(), found.is_cut);
        for entry in found.entries {
            let places: Vec<_> =
                [&entry.href].into_iter().chain(&entry.others).filter_map(|href| self.member(&url, href)).collect();
            let is_own = places.iter().any(|place| is_same_place(place.path(), url.path()));
            let status = entry.status.filter(|status| !xml::is_ok(Some(*status))).or(entry.data_status);
            match (status, places.first(), entry.calendar_data.filter(|data| !data.is_empty())) {
                // A calendar reports about itself that there is more (RFC 6578 section 3.6). Some servers report it about an event.
                (Some(_), _, _) if is_own => is_partial = true,
                (Some(507), _, None) => is_partial = true,
                // The event was just deleted.
                (Some(404 | 410), _, _) if entry.status.is_some() => {}
                (Some(404), Some(place), None) => missing.push((place.clone(), entry.etag)),
                (Some(status), _, None) => failed.extend(vec![status; places.len().max(1)]),
                (_, None, _) => failed.push(0),
                (_, Some(place), Some(text)) => {
                    answer.objects.push(Object { id: place.path().to_owned(), etag: entry.etag, text });
                }
                (None, Some(place), None) if !is_own && !entry.is_collection => {
                    missing.push((place.clone(), entry.etag));
                }
                _ => {}
            }
        }
        let (begun, mut unasked) = (Instant::now(), 0);
        for (number, (place, etag)) in missing.into_iter().enumerate() {
            if number >= FETCHES_MAX || begun.elapsed() > FETCHING_MAX {
                unasked += 1;
                continue;
            }
            match self.get(&place).await {
                Ok((own, text)) => {
                    answer.objects.push(Object { id: place.path().to_owned(), etag: etag.or(own), text });
                }
                Err(failure) if failure == refused(&gone()) => {}
                Err(_) => failed.push(0),
            }
        }
        // Some servers return an event twice.
        let mut seen = HashSet::new();
        answer.objects.retain(|object| seen.insert(object.id.clone()));
        answer.say(calendar, is_partial, &failed, unasked);
        Ok(answer)
    }

    /// One event, as it is stored. Refuses calendars and other collections, which some servers return as one large object.
    pub(crate) async fn event(&self, id: &str) -> Result<Object, Failure> {
        let url = self.of_id(id)?;
        let listed = self.version(&url).await?;
        let (own, text) = self.get(&url).await?;
        // The first ETag is the calendar's own. The second may have been changed by compression on the way.
        Ok(Object { id: url.path().to_owned(), etag: listed.or(own), text })
    }

    async fn get(&self, url: &Url) -> Result<(Option<String>, String), Failure> {
        let response = self.send(&Method::GET, url, &[], String::new()).await?;
        if response.status() != StatusCode::OK {
            return Err(refused(&response));
        }
        let etag = version_of(&response);
        let text = String::from_utf8(join_characters(response.body()))
            .map_err(|_| Failure::UpstreamFailed("The calendar server's event is not UTF-8.".into()))?;
        Ok((etag, text))
    }

    /// Stores an object and returns its version.
    pub(crate) async fn put(&self, id: &str, when: Precondition<'_>, text: String) -> Result<Option<String>, Failure> {
        let url = self.of_id(id)?;
        let response = self.write(&Method::PUT, &url, when, text).await?;
        if !response.status().is_success() {
            return Err(refused(&response));
        }
        // A server that modifies the stored object returns no version (RFC 4791 section 5.3.4). The object is stored even if its version cannot be
        // read.
        match version_of(&response) {
            Some(etag) => Ok(Some(etag)),
            None => Ok(self.version(&url).await.unwrap_or_default()),
        }
    }

    /// Deletes an event, of this version if given.
    pub(crate) async fn delete(&self, id: &str, etag: Option<&str>) -> Result<(), Failure> {
        let url = self.of_id(id)?;
        let found = self.version(&url).await?;
        let when = Precondition::Unchanged(etag.or(found.as_deref()));
        let response = self.write(&Method::DELETE, &url, when, String::new()).await?;
        if response.status().is_success() { Ok(()) } else { Err(refused(&response)) }
    }

    /// Writes with a condition. A server that compares strongly never accepts a weak version. Then the version is compared here, although it may
    /// change before the write.
    async fn write(
        &self,
        method: &Method,
        url: &Url,
        when: Precondition<'_>,
        text: String,
    ) -> Result<Response<Vec<u8>>, Failure> {
        let mut headers = Vec::new();
        if *method == Method::PUT {
            headers.push(("content-type", "text/calendar; charset=utf-8"));
        }
        let strong = match when {
            Precondition::Absent => None,
            Precondition::Unchanged(etag) => etag.map(etag::strong),
        };
        let condition = match (when, &strong) {
            (Precondition::Absent, _) => Some(("if-none-match", "*")),
            (_, strong) => strong.as_deref().map(|etag| ("if-match", etag)),
        };
        let conditional: Vec<_> = headers.iter().copied().chain(condition).collect();
        let response = self.send(method, url, &conditional, text.clone()).await?;
        let Precondition::Unchanged(Some(etag)) = when else { return Ok(response) };
        if response.status() != StatusCode::PRECONDITION_FAILED || !etag::is_weak(etag) {
            return Ok(response);
        }
        match self.version(url).await? {
            Some(now) if etag::is_same(&now, etag) => self.send(method, url, &headers, text).await,
            _ => Ok(response),
        }
    }

    /// The version of an event. Refuses a calendar: nothing here may delete or replace one.
    async fn version(&self, url: &Url) -> Result<Option<String>, Failure> {
        let response = self.send(&method("PROPFIND")?, url, &[("depth", "0")], FIND.to_owned()).await?;
        if response.status() != StatusCode::MULTI_STATUS {
            return Err(refused(&response));
        }
        let entries = xml::multistatus(response.body()).ok_or_else(no_caldav)?.entries;
        match entries.into_iter().next() {
            Some(entry) if matches!(entry.status, Some(404 | 410)) => Err(refused(&gone())),
            Some(entry) if !entry.is_collection && !entry.is_calendar => Ok(entry.etag),
            _ => Err(Failure::InvalidArguments("That is the id of a calendar, not of an event.".into())),
        }
    }
}

impl Answer {
    fn say(&mut self, calendar: &str, is_partial: bool, failed: &[u16], unasked: usize) {
        if is_partial {
            self.notes.push(format!(
                "This answer is partial: the calendar server did not give all events in {calendar}. Ask for less time at once."
            ));
        }
        if !failed.is_empty() {
            let mut codes: Vec<_> = failed.iter().filter(|code| **code > 0).map(u16::to_string).collect();
            codes.dedup();
            codes.truncate(3);
            let codes = if codes.is_empty() { String::new() } else { format!(" (HTTP {})", codes.join(", ")) };
            self.notes.push(format!(
                "This answer is partial: the calendar server could not give {} of the events in {calendar}{codes}. Look for them in another program.",
                failed.len()
            ));
        }
        if unasked > 0 {
            self.notes.push(format!(
                "This answer is partial: {unasked} events in {calendar} were not fetched. Ask for less time at once."
            ));
        }
    }
}

fn gone() -> Response<Vec<u8>> {
    let mut response = Response::new(Vec::new());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

fn version_of(response: &Response<Vec<u8>>) -> Option<String> {
    let etag = response.headers().get(header::ETAG)?.to_str().ok()?.trim();
    (!etag.is_empty()).then(|| etag.to_owned())
}
