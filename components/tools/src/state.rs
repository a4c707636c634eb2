//! What every route of this component has at hand: the app, the configuration, the world, and what the instance remembers.

use std::{cell::RefCell, fmt, rc::Rc, sync::Arc};

use cache::Cache;
use domain::Id;
use http::Method;
use problem::Problem;
use send_wrapper::SendWrapper;
use serde_json::json;
use storage::{Database, Store};
use tool_catalogue::{Catalogue, CatalogueError, Host, Listed, Server};
use toolbox::Outcome;
use web::{
    App, Authenticator, Result,
    log::{Level, log},
};

use crate::{
    config::{COMPONENT, Config},
    sessions::Sessions,
};

/// Results that an instance remembers. It lives for seconds when nobody asks.
const MAX_RESULTS: usize = 64;
/// People whose tools an instance remembers: each may have megabytes of them.
const MAX_PERSONAL: usize = 16;

/// A person's tools, and what they were made of.
pub(crate) struct Personal {
    pub(crate) shared: Rc<Listed>,
    /// Server, version of the tokens, and version of the list: a connection that is made anew is another one.
    pub(crate) connections: Vec<(String, i64, i64)>,
    pub(crate) listed: Rc<Listed>,
}

/// What an instance remembers between requests. What is somebody's is found under their id only.
pub(crate) struct Memory<H> {
    catalogue: tool_catalogue::Memory,
    pub(crate) sessions: Sessions<H>,
    /// By person and call.
    pub(crate) results: RefCell<Cache<(Id, String), Outcome>>,
    /// By person: their tools, with those of the servers that they have connected.
    pub(crate) personal: RefCell<Cache<Id, Personal>>,
}

impl<H> Default for Memory<H> {
    fn default() -> Self {
        Self {
            catalogue: tool_catalogue::Memory::default(),
            sessions: Sessions::default(),
            results: RefCell::new(Cache::new(MAX_RESULTS)),
            personal: RefCell::new(Cache::new(MAX_PERSONAL)),
        }
    }
}

/// The router's state.
pub(crate) struct Tools<D, H> {
    app: App<D>,
    pub(crate) config: Arc<Config>,
    inside: SendWrapper<Inside<H>>,
}

#[derive(Clone)]
struct Inside<H> {
    host: H,
    memory: Rc<Memory<H>>,
}

impl<D, H: Clone> Clone for Tools<D, H> {
    fn clone(&self) -> Self {
        let (app, config) = (self.app.clone(), Arc::clone(&self.config));
        Self { app, config, inside: self.inside.clone() }
    }
}

impl<D, H> fmt::Debug for Tools<D, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tools").field("config", &self.config).finish_non_exhaustive()
    }
}

impl<D, H> Tools<D, H> {
    /// A server that is configured.
    pub(crate) fn server(&self, name: &str) -> Option<&Server> {
        self.config.servers.all.iter().find(|server| server.name == name)
    }
}

impl<D: Database + 'static, H: Host> Tools<D, H> {
    pub(crate) fn new(app: App<D>, config: Config, host: H, memory: Rc<Memory<H>>) -> Self {
        Self { app, config: Arc::new(config), inside: SendWrapper::new(Inside { host, memory }) }
    }

    /// The store.
    pub(crate) fn store(&self) -> &Store<D> {
        self.app.store()
    }

    /// The world.
    pub(crate) fn host(&self) -> &H {
        &self.inside.host
    }

    /// What the instance remembers.
    pub(crate) fn memory(&self) -> &Memory<H> {
        &self.inside.memory
    }

    /// What the servers have.
    pub(crate) async fn listed(&self) -> Result<SendWrapper<Rc<Listed>>> {
        here(async { said(self.catalogue().listed().await) }).await
    }

    /// What the servers say now, for whoever has claimed to ask them.
    pub(crate) async fn listed_anew(&self) -> Result<SendWrapper<Rc<Listed>>> {
        here(async { said(self.catalogue().made_anew().await) }).await
    }

    /// Notes that a server has wanted a token of a person. If that fails, the next call notes it.
    pub(crate) async fn note_sign_in(&self, server: &Server) {
        if let Err(error) = self.catalogue().note_sign_in(server).await {
            let fields = json!({ "server": server.name, "cause": error.to_string() });
            log(COMPONENT, Level::Warn, "it is not noted that people connect a server", fields);
        }
    }

    fn catalogue(&self) -> Catalogue<D, H> {
        let (servers, store) = (Arc::clone(&self.config.servers), Arc::clone(self.app.store()));
        Catalogue::new(servers, store, self.host().clone(), self.memory().catalogue.clone())
    }
}

fn said(listed: std::result::Result<Rc<Listed>, CatalogueError>) -> Result<SendWrapper<Rc<Listed>>> {
    listed.map(SendWrapper::new).map_err(|error| match error {
        CatalogueError::Storage(error) => error.into(),
        CatalogueError::Slow => Problem::unavailable(error).into(),
    })
}

impl<D: Database, H> Authenticator for Tools<D, H> {
    type Database = D;

    fn takes_keys(_: &Method) -> bool {
        true
    }

    fn app(&self) -> &App<D> {
        &self.app
    }
}

/// axum wants futures that may move to another thread. A guest has one, so none ever does.
pub(crate) fn here<F: Future>(future: F) -> SendWrapper<F> {
    SendWrapper::new(future)
}
