//! The app under test: one for all tests of a binary, or a test's own.

use std::{
    env,
    sync::{Mutex, OnceLock, PoisonError},
};

use anyhow::{Context, Result};
use reqwest::{Client, Method, RequestBuilder};

use crate::{Host, Journal, Options, host, start_model};

/// The address of an app, and a client.
#[derive(Clone, Debug)]
pub struct App {
    url: String,
    client: Client,
}

struct Shared {
    url: String,
    journal: Option<Journal>,
    /// Kept alive until the process ends.
    _host: Option<Host>,
}

/// The app that all tests share. Each test has its own account in it.
///
/// # Errors
/// When it does not start.
pub fn shared() -> Result<App> {
    Ok(App::at(&the_shared()?.url))
}

/// The journal of the model that the shared app asks; `None` if it is not known, as it may be with `EA_URL`.
///
/// # Errors
/// When the app does not start.
pub fn journal() -> Result<Option<Journal>> {
    Ok(the_shared()?.journal.clone())
}

fn the_shared() -> Result<&'static Shared> {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if SHARED.get().is_none() {
        let _ = SHARED.set(start()?);
    }
    SHARED.get().context("the app has not started")
}

fn start() -> Result<Shared> {
    if let Ok(url) = env::var("EA_URL") {
        let journal = env::var("EA_MODEL_URL").ok().map(|url| Journal::at(url.trim_end_matches('/')));
        return Ok(Shared { url: url.trim_end_matches('/').to_owned(), journal, _host: None });
    }
    let model = start_model()?;
    let host = host(model.options())?;
    let url = host.as_ref().map(Host::url).context("no host was started")?;
    Ok(Shared { url, journal: Some(model.journal()), _host: host })
}

/// A request to the shared app, without an account.
///
/// # Errors
/// When the app does not start.
pub fn anonymous(method: Method, path: &str) -> Result<RequestBuilder> {
    Ok(shared()?.request(method, path))
}

impl App {
    /// The app at an address. Connections belong to a test's runtime, so every test has a client of its own.
    #[must_use]
    pub fn at(url: &str) -> Self {
        Self { url: url.to_owned(), client: Client::new() }
    }

    /// The app of a host.
    #[must_use]
    pub fn of(host: &Host) -> Self {
        Self::at(&host.url())
    }

    /// Starts a host of a test's own; `None` with `EA_URL`.
    ///
    /// # Errors
    /// When it does not serve.
    pub fn own(options: Options) -> Result<Option<(Host, Self)>> {
        Ok(host(options)?.map(|host| {
            let app = Self::of(&host);
            (host, app)
        }))
    }

    /// Its address, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its address in the form of the header `Host`.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.url.split_once("://").map_or(&self.url, |(_, authority)| authority)
    }

    /// A request to a path.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }
}
