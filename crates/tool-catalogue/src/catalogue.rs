//! The tools of all servers. Servers are asked seldom, and their lists are kept while a server is down.
//!
//! Both the instance and the database keep the lists, so a list outlives an instance and an outage. One refresh serves all requests of an instance,
//! and asks only the servers whose lists have expired. The database is written after the answer, so no request waits for that.

use std::{cell::RefCell, collections::BTreeMap, fmt, rc::Rc, sync::Arc, time::Duration};

use cache::SingleFlight;
use futures::future::join_all;
use mcp::Features;
use serde_json::json;
use storage::{
    Database, StorageError, Store,
    tool_listings::{NewListing, OFFERABLE, ToolListing},
};

use crate::{
    CatalogueError, Host,
    ask::ask,
    freshness::{Age, Flight, Found, List, Source, current},
    kept::Kept,
    listed::Listed,
    problems::{self, Problem},
    server::Server,
    timing::{CLAIM_MS, TTL_MS},
};

/// The longest list of offers that is stored. Reading a longer one for every run would cost more than asking for it.
const MAX_KEPT_BYTES: usize = 1024 * 1024;

/// The configured servers.
#[derive(Clone, Default, Debug)]
pub struct Servers {
    /// All servers, the composed ones first.
    pub all: Vec<Server>,
    /// Why `all` has no remote servers, if their list cannot be read.
    pub unread: Option<String>,
}

/// An instance's memory of the tools of all servers. Clones share it.
#[derive(Clone, Default)]
pub struct Memory(Rc<Remembered>);

#[derive(Default)]
struct Remembered {
    known: RefCell<Option<Known>>,
    /// One read of the stored lists for all requests.
    reading: SingleFlight<Result<Found<Rc<Listed>>, StorageError>>,
    /// One refresh for all requests.
    asking: Flight<Rc<Listed>, CatalogueError>,
}

#[derive(Clone)]
struct Known {
    listed: Rc<Listed>,
    /// By the instance's clock. It may be negative, because stored lists may be older than the instance.
    until_ms: i64,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

impl Memory {
    fn known(&self) -> Option<Known> {
        self.0.known.borrow().clone()
    }

    /// Keeps the list that is valid for longer.
    fn remember(&self, known: &Known) {
        let mut remembered = self.0.known.borrow_mut();
        if remembered.as_ref().is_none_or(|last| last.until_ms <= known.until_ms) {
            *remembered = Some(known.clone());
        }
    }
}

/// The tools of all servers, for one request.
pub struct Catalogue<D, H> {
    servers: Arc<Servers>,
    store: Arc<Store<D>>,
    host: H,
    memory: Memory,
}

impl<D, H: Clone> Clone for Catalogue<D, H> {
    fn clone(&self) -> Self {
        let (servers, store) = (Arc::clone(&self.servers), Arc::clone(&self.store));
        Self { servers, store, host: self.host.clone(), memory: self.memory.clone() }
    }
}

impl<D, H> fmt::Debug for Catalogue<D, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalogue").field("servers", &self.servers).finish_non_exhaustive()
    }
}

impl<D: Database + 'static, H: Host> Catalogue<D, H> {
    /// A catalogue of these servers, with the database, the way to the servers, and the instance's memory of them.
    pub const fn new(servers: Arc<Servers>, store: Arc<Store<D>>, host: H, memory: Memory) -> Self {
        Self { servers, store, host, memory }
    }

    /// The tools of all servers, as far as they are known.
    ///
    /// # Errors
    /// [`CatalogueError`] if nothing is known.
    pub async fn listed(&self) -> Result<Rc<Listed>, CatalogueError> {
        let found = match self.memory.known() {
            None => self.memory.0.reading.run_here(&self.host, || self.clone().read()).await?,
            Some(known) => Found { list: self.aged(known), is_claimed: false },
        };
        let listed = current(found, &self.memory.0.asking, &self.host, self).await;
        listed.unwrap_or(Err(CatalogueError::Slow))
    }

    /// Asks the servers whose lists have expired, and stores what they answer. The caller must hold the claim for that ([`Source`]).
    ///
    /// # Errors
    /// As [`Self::listed`].
    pub async fn made_anew(&self) -> Result<Rc<Listed>, CatalogueError> {
        self.clone().renewed().await
    }

    /// Notes that a server has wanted a token of a person, whether or not it lists its tools without one. If its list is replaced meanwhile, the next
    /// refusal notes it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn note_sign_in(&self, server: &Server) -> Result<(), StorageError> {
        if self.memory.known().is_some_and(|known| known.listed.sign_in.contains(&server.name)) {
            return Ok(());
        }
        let kept = self.store.tool_listings().await?.servers;
        let (former, list) =
            kept_of(server, &kept).map_or(("", Kept::nothing()), |(row, list)| (row.listing.as_str(), list));
        if !list.signs_in {
            let listing = serde_json::to_string(&Kept { signs_in: true, ..list }).unwrap_or_default();
            self.store.amend_tool_listing(&server.kept_as(), former, &listing).await?;
        }
        // So that this instance reads it, too.
        self.memory.0.known.take();
        Ok(())
    }

    /// The stored lists. A new server may have none: then no request continues without that server.
    async fn read(self) -> Result<Found<Rc<Listed>>, StorageError> {
        let kept = self.store.tool_listings().await?;
        let mut counts_for_ms = TTL_MS;
        let mut lists = Vec::with_capacity(self.servers.all.len());
        for server in &self.servers.all {
            let Some((row, list)) = kept_of(server, &kept.servers) else {
                return Ok(Found { list: List::Nothing, is_claimed: kept.is_claimed });
            };
            counts_for_ms = counts_for_ms.min(row.counts_for_ms);
            lists.push((server, list));
        }
        let known = Known { listed: Rc::new(self.together(&lists)), until_ms: self.until_ms(counts_for_ms) };
        self.memory.remember(&known);
        Ok(Found { list: self.aged(known), is_claimed: kept.is_claimed })
    }

    fn aged(&self, known: Known) -> List<Rc<Listed>> {
        List::Known(known.listed, Age::of(known.until_ms.saturating_sub(milliseconds(self.host.now()))))
    }

    /// Asks the servers whose lists have expired, and stores what they answer.
    async fn renewed(self) -> Result<Rc<Listed>, CatalogueError> {
        let kept = self.store.tool_listings().await?.servers;
        let lists = join_all(self.servers.all.iter().map(async |server| match kept_of(server, &kept) {
            Some((row, list)) if row.counts_for_ms > 0 => (server, list, None),
            last => {
                let (list, ttl_ms) = ask(&self.host, server, last.map(|(_, list)| list)).await;
                (server, list, Some(ttl_ms))
            }
        }));
        let lists = self.not_worse(lists.await).await?;
        let mut new = BTreeMap::new();
        for (server, list, ttl_ms) in &lists {
            if let (Some(ttl_ms), Ok(json)) = (ttl_ms, serde_json::to_string(list)) {
                // If two servers have one name, the list of the first is stored.
                new.entry(server.kept_as()).or_insert((json, *ttl_ms));
            }
        }
        let lists: Vec<_> = lists.into_iter().map(|(server, list, _)| (server, list)).collect();
        let listed = Rc::new(self.together(&lists));
        problems::log(&self.host, &listed.catalog, &self.servers.all);
        self.memory.remember(&Known { listed: Rc::clone(&listed), until_ms: self.until_ms(TTL_MS) });
        let (all, made) = (self.clone(), Rc::clone(&listed));
        self.host.spawn(async move { all.keep(new, &made).await });
        Ok(listed)
    }

    /// If a server did not answer this instance, another instance may have stored its list meanwhile. That list is used instead of the failure.
    async fn not_worse<'s>(
        &self,
        mut lists: Vec<(&'s Server, Kept, Option<i64>)>,
    ) -> Result<Vec<(&'s Server, Kept, Option<i64>)>, StorageError> {
        let is_away = |list: &Kept, ttl_ms: Option<i64>| ttl_ms.is_some() && list.fault.is_some();
        if lists.iter().any(|(_, list, ttl_ms)| is_away(list, *ttl_ms)) {
            let kept = self.store.tool_listings().await?.servers;
            for (server, list, ttl_ms) in &mut lists {
                let newer = kept_of(server, &kept).filter(|(row, _)| row.counts_for_ms > 0);
                if is_away(list, *ttl_ms)
                    && let Some((_, newer)) = newer
                {
                    (*list, *ttl_ms) = (newer, None);
                }
            }
        }
        Ok(lists)
    }

    fn together(&self, lists: &[(&Server, Kept)]) -> Listed {
        let unread = self.servers.unread.iter().map(|cause| Problem::unread(cause));
        let problems = unread.chain(lists.iter().flat_map(|(server, list)| list.problems(server))).collect();
        let tools =
            lists.iter().map(|(server, list)| (server.name.clone(), list.listed(server, server.is_authorized())));
        let features = lists.iter().filter(|(_, list)| list.features != Features::default());
        let features = features.map(|(server, list)| (server.name.clone(), list.features.clone()));
        let sign_in = lists.iter().filter(|(server, list)| list.signs_in && server.is_personal());
        let sign_in = sign_in.map(|(server, _)| server.name.clone()).collect();
        Listed::new(tools.collect(), problems, features.collect(), sign_in, &self.servers.all)
    }

    fn until_ms(&self, counts_for_ms: i64) -> i64 {
        milliseconds(self.host.now()).saturating_add(counts_for_ms)
    }

    /// Stores the servers' lists and the offers of all servers in one statement, in the order of their names. So instances that write at the same
    /// time wait for each other and never deadlock.
    async fn keep(&self, new: BTreeMap<String, (String, i64)>, listed: &Listed) {
        let offerable = serde_json::to_string(&listed.offerable()).ok().filter(|json| json.len() <= MAX_KEPT_BYTES);
        // An empty text says that the offers are too long. A reader then asks for them, instead of using the offers stored before.
        let json = offerable.unwrap_or_default();
        let offerable = [NewListing { server: OFFERABLE, listing: &json, ttl_ms: TTL_MS }];
        let new = new.iter().map(|(name, (json, ttl_ms))| NewListing { server: name, listing: json, ttl_ms: *ttl_ms });
        let listings: Vec<_> = offerable.into_iter().chain(new).collect();
        if let Err(error) = self.store.save_tool_listings(&listings).await {
            self.host.log("the lists of the tool servers cannot be stored", json!({ "cause": error.to_string() }));
        }
    }
}

impl<D: Database + 'static, H: Host> Source for Catalogue<D, H> {
    type Value = Rc<Listed>;
    type Error = CatalogueError;

    async fn find(&self) -> Result<Found<Rc<Listed>>, CatalogueError> {
        Ok(self.clone().read().await?)
    }

    async fn claim(&self) -> Result<bool, CatalogueError> {
        let claimed = self.store.claim_tool_listings(CLAIM_MS).await;
        Ok(claimed.inspect_err(|error| {
            self.host.log("asking the tool servers cannot be claimed", json!({ "cause": error.to_string() }));
        })?)
    }

    async fn make(&self) -> Result<Rc<Listed>, CatalogueError> {
        // This is logged here, because a request that continues with an old list does not report the failure.
        self.made_anew().await.inspect_err(|error| {
            self.host.log("the list of tools is not made anew", json!({ "cause": error.to_string() }));
        })
    }

    /// Never called: each server's list is stored by itself, so none is too long.
    async fn make_unkept(&self) -> Result<Rc<Listed>, CatalogueError> {
        self.make().await
    }
}

/// A server's stored list, if it can be read.
fn kept_of<'k>(server: &Server, kept: &'k [ToolListing]) -> Option<(&'k ToolListing, Kept)> {
    let name = server.kept_as();
    let row = kept.iter().find(|kept| kept.server == name)?;
    Some((row, serde_json::from_str(&row.listing).ok()?))
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
