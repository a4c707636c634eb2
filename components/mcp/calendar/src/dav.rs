//! The server: where its calendars are, and requests to it. Its words for what went wrong say what to do.
//!
//! The person's password goes to the server in their settings and to no other, whatever an answer or a model says.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use tool_provider::{Context, Failure, address};
use url::Url;

use crate::{
    transport::Transport,
    xml::{self, Entry},
};

/// Addresses, names and passwords: longer ones are not what they should be.
const SECRET_BYTES_MAX: usize = 1_000;

/// The longest path of an event that is believed; URLs of 2,000 characters work everywhere.
const ID_BYTES_MAX: usize = 2_000;

/// From `.well-known/caldav` to where calendars begin is one redirect, sometimes two.
const REDIRECTS_MAX: usize = 4;

/// Calendars of a person; each that is asked for events is a request.
pub(crate) const CALENDARS_MAX: usize = 30;

const WELL_KNOWN: &str = "/.well-known/caldav";

const FIND: &str = r#"<d:propfind xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><d:prop><d:resourcetype/><d:displayname/><d:getetag/><d:current-user-principal/><d:current-user-privilege-set/><c:calendar-home-set/><c:calendar-description/><c:supported-calendar-component-set/></d:prop></d:propfind>"#;

/// A person's account there.
pub(crate) struct Server<'a, T> {
    transport: &'a T,
    url: Url,
    authorization: HeaderValue,
}

/// One of their calendars.
#[derive(Clone, Debug)]
pub(crate) struct Calendar {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) is_writable: bool,
}

/// An iCalendar object on the server, with its version if the server said it.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) id: String,
    pub(crate) etag: Option<String>,
    pub(crate) text: String,
}

/// What a write may find there.
pub(crate) enum Precondition<'a> {
    /// Nothing.
    Absent,
    /// This version, or any if the server has no versions.
    Unchanged(Option<&'a str>),
}

impl<'a, T: Transport> Server<'a, T> {
    /// The account that the secrets name.
    pub(crate) fn new(context: &Context, transport: &'a T) -> Result<Self, Failure> {
        let secret = |name: &str| context.secret(name).map(str::trim);
        let (address, user, password) = (secret("url")?, secret("username")?, context.secret("password")?);
        let is_long = [address, user, password].iter().any(|secret| secret.len() > SECRET_BYTES_MAX);
        // In Basic authentication a colon ends the name (RFC 7617).
        if is_long || user.contains(':') {
            return Err(Failure::NotConfigured(
                "The user name or another setting of this tool cannot be right.".into(),
            ));
        }
        let url = address::entered(address, "https://calendar.example.com/")?;
        let credentials = BASE64_STANDARD.encode(format!("{user}:{password}"));
        let mut authorization = HeaderValue::try_from(format!("Basic {credentials}")).map_err(unexpected)?;
        authorization.set_sensitive(true);
        Ok(Self { transport, url, authorization })
    }

    /// The calendars that can have events.
    pub(crate) async fn calendars(&self) -> Result<Vec<Calendar>, Failure> {
        let mut calendars: Vec<_> = self.home().await?.iter().filter_map(|entry| self.calendar(entry)).collect();
        calendars.truncate(CALENDARS_MAX);
        Ok(calendars)
    }

    fn calendar(&self, entry: &Entry) -> Option<Calendar> {
        let has_events = entry.components.is_empty() || entry.components.iter().any(|name| name == "VEVENT");
        if !entry.is_calendar || !has_events {
            return None;
        }
        let id = self.resolve(&entry.href).ok()?.path().to_owned();
        let last = id.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
        let writes = ["write", "write-content", "bind", "all"];
        Some(Calendar {
            name: entry.display_name.clone().unwrap_or(last),
            description: entry.description.clone(),
            is_writable: entry.privileges.is_empty()
                || entry.privileges.iter().any(|name| writes.contains(&name.as_str())),
            id,
        })
    }

    /// What is where the calendars are: at the address itself, or where the server says (RFC 6764, RFC 5397, RFC 4791 section 6.2.1).
    async fn home(&self) -> Result<Vec<Entry>, Failure> {
        for start in [self.url.clone(), self.resolve(WELL_KNOWN)?] {
            let Some(entries) = self.explore(start).await? else { continue };
            if entries.iter().any(|entry| entry.is_calendar) {
                return Ok(entries);
            }
            let mut home = entries.first().and_then(|own| own.home.clone());
            if let Some(principal) = entries.first().and_then(|own| own.principal.clone()).filter(|_| home.is_none()) {
                let entries = self.explore(self.resolve(&principal)?).await?.unwrap_or_default();
                home = entries.first().and_then(|own| own.home.clone());
            }
            if let Some(home) = home {
                return self.explore(self.resolve(&home)?).await?.ok_or_else(no_caldav);
            }
        }
        Err(no_caldav())
    }

    /// A resource, and then what is in it; `None` if there is no WebDAV.
    async fn explore(&self, mut url: Url) -> Result<Option<Vec<Entry>>, Failure> {
        for _ in 0..REDIRECTS_MAX {
            let response = self.send(&method("PROPFIND")?, &url, &[("depth", "1")], FIND.to_owned()).await?;
            if response.status().is_redirection() {
                let Some(to) = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()) else { break };
                url = self.resolve(url.join(to).map_err(unexpected)?.as_str())?;
                continue;
            }
            if response.status() == StatusCode::UNAUTHORIZED {
                return Err(refused(&response));
            }
            if response.status() != StatusCode::MULTI_STATUS {
                break;
            }
            let mut entries = xml::multistatus(&String::from_utf8_lossy(response.body()));
            // The resource itself first: what is said of those in it need not hold when they are asked themselves.
            let is_other = |entry: &Entry| {
                let path = self.resolve(&entry.href).map(|url| url.path().trim_end_matches('/').to_owned());
                path.is_ok_and(|path| path != url.path().trim_end_matches('/'))
            };
            entries.iter_mut().for_each(|entries| entries.sort_by_key(is_other));
            return Ok(entries);
        }
        Ok(None)
    }

    /// Asks a calendar for objects; `query` is a `calendar-query`.
    pub(crate) async fn query(&self, calendar: &str, query: String) -> Result<Vec<Object>, Failure> {
        let url = self.of_id(calendar)?;
        let response = self.send(&method("REPORT")?, &url, &[("depth", "1")], query).await?;
        if response.status() != StatusCode::MULTI_STATUS {
            return Err(refused(&response));
        }
        let entries = xml::multistatus(&String::from_utf8_lossy(response.body())).ok_or_else(no_caldav)?;
        let object = |entry: Entry| {
            let id = self.resolve(&entry.href).ok()?.path().to_owned();
            Some(Object { id, etag: entry.etag, text: entry.calendar_data? })
        };
        Ok(entries.into_iter().filter_map(object).collect())
    }

    /// One event, as it was stored. Refuses calendars and other folders, which some servers give as one large object.
    pub(crate) async fn event(&self, id: &str) -> Result<Object, Failure> {
        let url = self.of_id(id)?;
        let etag = self.version(&url).await?;
        let response = self.send(&Method::GET, &url, &[], String::new()).await?;
        if response.status() != StatusCode::OK {
            return Err(refused(&response));
        }
        let etag = self::etag(&response).or(etag);
        let text = String::from_utf8(response.into_body())
            .map_err(|_| Failure::UpstreamFailed("The calendar server's event is not UTF-8.".into()))?;
        Ok(Object { id: url.path().to_owned(), etag, text })
    }

    /// Stores an object, and says its version.
    pub(crate) async fn put(&self, id: &str, when: Precondition<'_>, text: String) -> Result<Option<String>, Failure> {
        let url = self.of_id(id)?;
        let mut headers = vec![("content-type", "text/calendar; charset=utf-8")];
        headers.extend(when.header());
        let response = self.send(&Method::PUT, &url, &headers, text).await?;
        if !response.status().is_success() {
            return Err(refused(&response));
        }
        // A server that changes what it is given says no version (RFC 4791 section 5.3.4).
        match self::etag(&response) {
            Some(etag) => Ok(Some(etag)),
            None => self.version(&url).await,
        }
    }

    /// Deletes an event, of this version if one is named.
    pub(crate) async fn delete(&self, id: &str, etag: Option<&str>) -> Result<(), Failure> {
        let url = self.of_id(id)?;
        let found = self.version(&url).await?;
        let when = Precondition::Unchanged(etag.or(found.as_deref()));
        let headers: Vec<_> = when.header().into_iter().collect();
        let response = self.send(&Method::DELETE, &url, &headers, String::new()).await?;
        if response.status().is_success() { Ok(()) } else { Err(refused(&response)) }
    }

    /// The version of an event. A calendar is none: nothing here may delete or replace one.
    async fn version(&self, url: &Url) -> Result<Option<String>, Failure> {
        let response = self.send(&method("PROPFIND")?, url, &[("depth", "0")], FIND.to_owned()).await?;
        if response.status() != StatusCode::MULTI_STATUS {
            return Err(refused(&response));
        }
        let entries = xml::multistatus(&String::from_utf8_lossy(response.body())).ok_or_else(no_caldav)?;
        match entries.into_iter().next() {
            Some(entry) if !entry.is_collection && !entry.is_calendar => Ok(entry.etag),
            _ => Err(Failure::InvalidArguments("That is the id of a calendar, not of an event.".into())),
        }
    }

    async fn send(
        &self,
        method: &Method,
        url: &Url,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<Response<Vec<u8>>, Failure> {
        let mut request = Request::builder().method(method).uri(url.as_str());
        if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header(header::CONTENT_TYPE, "application/xml; charset=utf-8");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        // Without, the host sends a body in chunks, which some servers take for none.
        if !body.is_empty() {
            request = request.header(header::CONTENT_LENGTH, body.len());
        }
        let request = request.header(header::AUTHORIZATION, self.authorization.clone());
        let request = request.body(body.into_bytes()).map_err(unexpected)?;
        self.transport.send(request).await
    }

    /// An address that the server gave, if it is the server's own.
    fn resolve(&self, href: &str) -> Result<Url, Failure> {
        let url = self.url.join(href).map_err(unexpected)?;
        if url.origin() == self.url.origin() {
            return Ok(url);
        }
        Err(Failure::NotConfigured(format!(
            "The calendar server sends on to {}: enter that as the address in the settings of this tool, if you trust it with the password.",
            url.origin().ascii_serialization()
        )))
    }

    /// What a model names.
    fn of_id(&self, id: &str) -> Result<Url, Failure> {
        let is_path = id.starts_with('/') && id.len() <= ID_BYTES_MAX && !id.contains(['?', '#']);
        let url = is_path.then(|| self.resolve(id).ok()).flatten();
        url.ok_or_else(|| {
            Failure::InvalidArguments(
                "Ids are what `list_calendars` and `list_events` give, and begin with `/`.".into(),
            )
        })
    }
}

impl Precondition<'_> {
    fn header(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Absent => Some(("if-none-match", "*")),
            Self::Unchanged(etag) => etag.map(|etag| ("if-match", etag)),
        }
    }
}

fn method(name: &str) -> Result<Method, Failure> {
    Method::from_bytes(name.as_bytes()).map_err(unexpected)
}

fn etag(response: &Response<Vec<u8>>) -> Option<String> {
    Some(response.headers().get(header::ETAG)?.to_str().ok()?.to_owned())
}

/// The event is another one than was read.
pub(crate) fn changed_meanwhile() -> Failure {
    Failure::InvalidArguments(
        "The event was changed meanwhile: read it again with `list_events`, and use the etag that it has now.".into(),
    )
}

fn no_caldav() -> Failure {
    Failure::NotConfigured(
        "There is no CalDAV server at the address in the settings of this tool: look for the CalDAV address in your calendar provider's help."
            .into(),
    )
}

fn unexpected(error: impl std::fmt::Display) -> Failure {
    Failure::UpstreamFailed(format!("The calendar server cannot be asked that way: {error}."))
}

fn refused(response: &Response<Vec<u8>>) -> Failure {
    match response.status() {
        StatusCode::UNAUTHORIZED => Failure::NotConfigured(
            "The calendar server does not take the user name and password: enter them again in the settings of this tool. \
             Many providers want an app password."
                .into(),
        ),
        StatusCode::FORBIDDEN => Failure::UpstreamFailed(
            "The calendar server does not allow that: the calendar is somebody else's, or may only be read. \
             `list_calendars` says which may be written to."
                .into(),
        ),
        StatusCode::NOT_FOUND | StatusCode::GONE => Failure::InvalidArguments(
            "There is no such calendar or event: `list_calendars` and `list_events` say which there are.".into(),
        ),
        StatusCode::PRECONDITION_FAILED => changed_meanwhile(),
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => no_caldav(),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Failure::UpstreamFailed("The calendar server has too much to do: try again in some minutes.".into())
        }
        StatusCode::INSUFFICIENT_STORAGE => {
            Failure::UpstreamFailed("The calendar server has no room left: delete something there first.".into())
        }
        status => Failure::UpstreamFailed(format!("The calendar server did not do that: its answer was {status}.")),
    }
}
