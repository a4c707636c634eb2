//! The person's calendar server: its calendars, and requests to it. Error messages say what to do.
//!
//! The person's password goes only to the server in their settings, whatever a response or a model says.

use std::time::Duration;

use http::{Method, Response, StatusCode, header};
use percent_encoding::percent_decode_str;
use tool_provider::{Context, Failure};
use upstream::{Account, Http, Limits, Redirect, Unanswered, redirect};
use url::Url;

use crate::{
    refusal::{no_caldav, refused, unexpected},
    xml::{self, Entry},
};

/// A response is at most as large as a tool's result may be, which is more than 500 events of a few KiB. Three responses fit into the minute that a
/// call has.
const LIMITS: Limits = Limits { bytes: 4 << 20, wait: Duration::from_secs(20) };

/// The longest accepted path of an event. URLs of 2,000 characters work everywhere.
const ID_BYTES_MAX: usize = 2_000;

/// From `.well-known/caldav` to the calendars there is one redirect, sometimes two.
const REDIRECTS_MAX: usize = 4;

/// How many calendars of a person are used. Each that is searched for events takes a request.
pub(crate) const CALENDARS_MAX: usize = 30;

const WELL_KNOWN: &str = "/.well-known/caldav";

pub(crate) const FIND: &str = r#"<d:propfind xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><d:prop><d:resourcetype/><d:displayname/><d:getetag/><d:current-user-principal/><d:current-user-privilege-set/><c:calendar-home-set/><c:calendar-description/><c:supported-calendar-component-set/></d:prop></d:propfind>"#;

/// A person's account on a calendar server.
pub(crate) struct Server<'a, T> {
    transport: &'a T,
    account: Account,
}

/// A calendar of the person.
#[derive(Clone, Debug)]
pub(crate) struct Calendar {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) is_writable: bool,
}

/// An iCalendar object on the server, with its version if the server named it.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) id: String,
    pub(crate) etag: Option<String>,
    pub(crate) text: String,
}

impl<'a, T: Http> Server<'a, T> {
    /// Opens the account in the tool's settings.
    pub(crate) fn new(context: &Context, transport: &'a T) -> Result<Self, Failure> {
        let account = Account::with_password(context, "calendar server", "https://calendar.example.com/")?;
        Ok(Self { transport, account })
    }

    /// The calendars that can contain events.
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
        let id = entry.href.clone();
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

    /// The entries of the calendar home: at the entered address, or at one that the server names (RFC 6764, RFC 5397, RFC 4791 section 6.2.1).
    async fn home(&self) -> Result<Vec<Entry>, Failure> {
        for start in [self.account.url().clone(), self.resolve(WELL_KNOWN)?] {
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

    /// A resource and its members, by their paths; `None` if there is no WebDAV.
    async fn explore(&self, mut url: Url) -> Result<Option<Vec<Entry>>, Failure> {
        for _ in 0..REDIRECTS_MAX {
            let response = self.send(&method("PROPFIND")?, &url, &[("depth", "1")], FIND.to_owned()).await?;
            match redirect(&url, &response) {
                Some(Redirect::To(to)) => {
                    url = self.account.own(to)?;
                    continue;
                }
                Some(Redirect::Nowhere) => break,
                None => {}
            }
            if response.status() == StatusCode::UNAUTHORIZED {
                return Err(refused(&response));
            }
            if response.status() != StatusCode::MULTI_STATUS {
                break;
            }
            let Some(mut entries) = xml::multistatus(response.body()).map(|answer| answer.entries) else { break };
            entries.retain_mut(|entry| match self.member(&url, &entry.href) {
                Some(path) if xml::is_ok(entry.status) => {
                    entry.href = path.path().to_owned();
                    true
                }
                _ => false,
            });
            for entry in &mut entries {
                for place in [&mut entry.principal, &mut entry.home].into_iter().flatten() {
                    *place = url.join(place).map_err(unexpected)?.into();
                }
            }
            // The resource itself comes first. What it says about its members need not be what they say themselves.
            entries.sort_by_key(|entry| !is_same_place(&entry.href, url.path()));
            return Ok(Some(entries));
        }
        Ok(None)
    }

    pub(crate) async fn send(
        &self,
        method: &Method,
        url: &Url,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<Response<Vec<u8>>, Failure> {
        let mut request = self.account.request(method, url)?;
        if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header(header::CONTENT_TYPE, "application/xml; charset=utf-8");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into_bytes()).map_err(unexpected)?;
        let is_change = matches!(*method, Method::PUT | Method::DELETE);
        if is_change {
            return self.transport.send(request, LIMITS).await.map_err(Unanswered::of_change);
        }
        Ok(self.transport.read(request, LIMITS).await?)
    }

    /// An address from the server, if it is on the same server. Some servers know their name, but not the scheme or port by which they are reached
    /// from outside.
    fn resolve(&self, href: &str) -> Result<Url, Failure> {
        let base = self.account.url();
        let url = base.join(href).map_err(unexpected)?;
        if url.host() == base.host() {
            return self.member(base, href).ok_or_else(no_caldav);
        }
        Err(self.account.elsewhere(&url))
    }

    /// The address of a resource in a response from `base`. Only its path is used: requests go to the person's server.
    pub(crate) fn member(&self, base: &Url, href: &str) -> Option<Url> {
        let found = base.join(href.trim()).ok().filter(|url| url.has_host() && !href.trim().is_empty())?;
        let mut own = self.account.url().clone();
        own.set_path(found.path());
        own.set_query(None);
        own.set_fragment(None);
        Some(own)
    }

    /// The address of an id from the model.
    pub(crate) fn of_id(&self, id: &str) -> Result<Url, Failure> {
        let is_path = id.starts_with('/') && id.len() <= ID_BYTES_MAX && !id.contains(['?', '#']);
        let url = is_path.then(|| self.resolve(id).ok()).flatten();
        url.ok_or_else(|| {
            Failure::InvalidArguments(
                "Ids are what `list_calendars` and `list_events` give, and begin with `/`.".into(),
            )
        })
    }
}

pub(crate) fn method(name: &str) -> Result<Method, Failure> {
    Method::from_bytes(name.as_bytes()).map_err(unexpected)
}

/// Whether two paths name the same resource: some servers escape more characters than others.
pub(crate) fn is_same_place(one: &str, other: &str) -> bool {
    let plain = |path: &str| percent_decode_str(path.trim_end_matches('/')).collect::<Vec<_>>();
    plain(one) == plain(other)
}
