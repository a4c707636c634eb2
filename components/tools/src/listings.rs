//! What the servers have: asked for seldom, kept when a server is down.
//!
//! An instance remembers what they said, and the database does: a list outlives an instance and an outage, and of all instances that find
//! one too old, one asks its server. Composed servers change only with a deployment; waking them all is much of what a new instance would cost.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    rc::Rc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use mcp::{Listing, RefusedTool};
use platform::SpinDatabase;
use serde::{Deserialize, Serialize};
use storage::{StorageError, Store, tool_listings::ToolListing};
use toolbox::{Annotations, Catalog, Fault, Tool, catalog::mend};
use web::log::{Level, log};

use crate::{
    COMPONENT, clients,
    config::Config,
    problems::{self, MAX_REFUSED_LOGGED, Problem},
    servers::Server,
};

/// A server that takes longer to say what it has is down.
const LIMIT: Duration = Duration::from_secs(5);
/// Poll interval while another request asks the servers: a fraction of what asking takes.
const LOOK: Duration = Duration::from_millis(2);
/// How long an instance believes what it knows. Instances live for seconds when nobody asks.
const AGE: Duration = Duration::from_secs(60);
/// How long servers elsewhere are left alone after one of them did not answer; until then its last list counts.
const REMOTE_PAUSE_MS: i64 = 60_000;
/// The same when nothing is known of it yet: somebody may be setting it up.
const FIRST_PAUSE_MS: i64 = 10_000;
/// How long when a server did not answer.
const AGE_WITHOUT: Duration = Duration::from_secs(5);
/// The shortest and the longest time for which a list elsewhere is believed, whatever its server says.
const REMOTE_TTL_MS: std::ops::RangeInclusive<u64> = 10_000..=3_600_000;
/// For servers that do not say.
const REMOTE_DEFAULT_TTL_MS: u64 = 300_000;
/// How long the list of a composed server is believed: less than a new deployment, or an author who tries a change, takes to come to it.
const COMPOSED_TTL_MS: i64 = 10_000;
/// What lacks a server that did not answer is made anew sooner.
const INCOMPLETE_TTL_MS: i64 = 5_000;
/// How long the others believe an old list while one of them asks: longer than that takes.
const CLAIM_MS: i64 = 10_000;

/// Where the adapter says what the protocol has no place for.
const META_TOOL: &str = "edge-assistant/tool";

/// The secrets that a tool may name; a form with more is filled in by nobody.
const MAX_SECRETS_OF_TOOL: usize = 16;
/// The longest name of a secret that is known here, title and description: those longer are left out, or cut.
pub(crate) const MAX_SECRET_NAME_CHARS: usize = 64;
const MAX_SECRET_TITLE_CHARS: usize = 100;
const MAX_SECRET_DESCRIPTION_CHARS: usize = 1_000;

/// What all servers have.
#[derive(Debug)]
pub(crate) struct Listed {
    /// Their tools, by the names that models use.
    pub(crate) catalog: Catalog,
    /// What a person should know about what is missing.
    pub(crate) problems: Vec<Problem>,
    /// Server, tool, and a secret that it needs.
    secrets: Vec<(String, String, Secret)>,
    /// No server's list is missing.
    complete: bool,
    until: Instant,
}

impl Listed {
    /// The secrets that a tool needs.
    pub(crate) fn secrets_of(&self, tool: &Tool) -> impl Iterator<Item = &Secret> {
        let of_tool = |(server, name, _): &&(String, String, Secret)| *server == tool.server && *name == tool.name;
        self.secrets.iter().filter(of_tool).map(|(.., secret)| secret)
    }

    /// How long what is made of it is believed elsewhere.
    pub(crate) const fn ttl_ms(&self) -> i64 {
        if self.complete { COMPOSED_TTL_MS } else { INCOMPLETE_TTL_MS }
    }

    /// The tools of a server, with the secrets they need.
    fn of_server(&self, server: &str) -> Vec<ListedTool> {
        let tools = self.catalog.of_server(server);
        tools.map(|tool| (tool.clone(), self.secrets_of(tool).cloned().collect())).collect()
    }

    /// The secrets that tools of each server need, each once.
    pub(crate) fn secrets(&self) -> Vec<(&str, &Secret)> {
        let mut seen = BTreeSet::new();
        let all = self.secrets.iter().map(|(server, _, secret)| (server.as_str(), secret));
        all.filter(|(server, secret)| seen.insert((*server, secret.name.as_str()))).collect()
    }
}

/// What a person must enter once.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Secret {
    /// As the tools of its server name it.
    pub(crate) name: String,
    /// For people.
    pub(crate) title: String,
    /// Where to get it.
    pub(crate) description: String,
    /// Whether whoever entered it may see it again.
    pub(crate) visible: bool,
    /// Whether the tools that name it can do without it.
    pub(crate) optional: bool,
}

/// A tool and the secrets that it needs.
type ListedTool = (Tool, Vec<Secret>);

/// What a server was heard to have.
struct Heard {
    /// `None`: nothing is known of it.
    tools: Option<Vec<ListedTool>>,
    problems: Vec<Problem>,
}

thread_local! {
    static LISTED: RefCell<Option<Rc<Listed>>> = const { RefCell::new(None) };
    static ASKING: Cell<bool> = const { Cell::new(false) };
}

/// A listing as it is kept in the database.
#[derive(Serialize, Deserialize)]
struct Kept {
    tools: Vec<mcp::Tool>,
    /// Their schemas are as they are shown.
    #[serde(default)]
    mended: bool,
    /// Why it could not be asked since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fault: Option<Fault>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    problems: Vec<Problem>,
}

impl Kept {
    fn heard(self, server: &Server) -> Heard {
        let is_unknown = self.fault.is_some() && self.tools.is_empty();
        let away = self.fault.iter().map(|fault| Problem::away(server, fault));
        let problems = away.chain(self.problems).collect();
        let tools = || self.tools.iter().map(|tool| of_server(server, tool, self.mended)).collect();
        Heard { tools: (!is_unknown).then(tools), problems }
    }
}

/// What an adapter adds to a tool.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Extra {
    cache_ms: Option<u64>,
    secrets: Vec<Secret>,
    always_asks: bool,
}

/// While this lives, somebody asks the servers; it ends with their request, however that ends.
struct Asking;

impl Asking {
    fn begin() -> Self {
        ASKING.set(true);
        Self
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        ASKING.set(false);
    }
}

fn fresh() -> Option<Rc<Listed>> {
    LISTED.with_borrow(|known| known.clone().filter(|known| known.until > Instant::now()))
}

/// What all servers have, as far as is known.
///
/// # Errors
/// Whatever the database says.
pub(crate) async fn listed(config: &Config, store: &Store<SpinDatabase>) -> Result<Rc<Listed>, StorageError> {
    if let Some(fresh) = fresh() {
        return Ok(fresh);
    }
    // Of the sixteen that an instance serves one asks. Its tasks cannot wake each other, so the others look.
    while ASKING.get() {
        platform::sleep(LOOK).await;
        if let Some(fresh) = fresh() {
            return Ok(fresh);
        }
    }
    let _asking = Asking::begin();
    let known = LISTED.with_borrow(Clone::clone);
    let kept = kept(store).await?;
    let lists = join_all(config.servers.iter().map(|server| async {
        let name = server.kept_as();
        let kept = kept.iter().find(|kept| kept.server == name);
        (server.name.clone(), list(server, kept, store).await)
    }));
    let lists = lists.await;
    let complete = lists.iter().all(|(_, heard)| heard.tools.is_some());
    let mut secrets = Vec::new();
    let mut problems: Vec<Problem> = config.unread.iter().map(|cause| Problem::unread(cause)).collect();
    let tools = |(server, heard): (String, Heard)| {
        problems.extend(heard.problems);
        let before = || known.as_ref().map(|known| known.of_server(&server));
        let tools = heard.tools.or_else(before).unwrap_or_default().into_iter().map(|(tool, named)| {
            secrets.extend(named.into_iter().map(|secret| (server.clone(), tool.name.clone(), secret)));
            tool
        });
        let tools = tools.collect();
        (server, tools)
    };
    let catalog = Catalog::new(lists.into_iter().map(tools).collect());
    problems.extend(problems::of_catalog(&catalog, &config.servers));
    let listed = Rc::new(Listed {
        catalog,
        problems,
        secrets,
        complete,
        until: Instant::now() + if complete { AGE } else { AGE_WITHOUT },
    });
    LISTED.set(Some(Rc::clone(&listed)));
    Ok(listed)
}

/// What is kept. Of what is too old, only what nobody else asks for anew is not fresh.
async fn kept(store: &Store<SpinDatabase>) -> Result<Vec<ToolListing>, StorageError> {
    let mut kept = store.tool_listings().await?;
    if kept.iter().any(|kept| !kept.fresh) {
        // Old lists beat none: whoever cannot claim them, because others write, believes them.
        let ours = store.claim_tool_listings(CLAIM_MS).await.unwrap_or_else(|error| {
            let fields = serde_json::json!({ "cause": error.to_string() });
            log(COMPONENT, Level::Warn, "nobody can be asked for the tools", fields);
            Vec::new()
        });
        for kept in &mut kept {
            kept.fresh |= !ours.contains(&kept.server);
        }
    }
    Ok(kept)
}

async fn list(server: &Server, kept: Option<&ToolListing>, store: &Store<SpinDatabase>) -> Heard {
    let last = kept.and_then(|kept| serde_json::from_str::<Kept>(&kept.listing).ok());
    let last = match last {
        Some(last) if kept.is_some_and(|kept| kept.fresh) => return last.heard(server),
        last => last,
    };
    let client = Rc::new(server.client(None));
    let listed = platform::within(LIMIT, client.list_tools()).await;
    clients::close(client);
    let (fault, cause) = match listed {
        Some(Ok(listing)) => return taken(server, listing, kept, store).await,
        // Other people's words: they may be long, and repeat what they were sent.
        Some(Err(error)) => {
            let cause = server.masked(&error.to_string());
            (Fault::new(&error, &cause), cause)
        }
        None => (Fault::Silent, "it did not answer in time".to_owned()),
    };
    let pause_ms = if last.is_some() { REMOTE_PAUSE_MS } else { FIRST_PAUSE_MS };
    let last = last.unwrap_or(Kept { tools: Vec::new(), mended: true, fault: None, problems: Vec::new() });
    log(
        COMPONENT,
        Level::Warn,
        "a tool server cannot be listed",
        serde_json::json!({ "server": server.name, "cause": cause, "last_known_tools": last.tools.len() }),
    );
    let last = Kept { fault: Some(fault), ..last };
    if let Ok(json) = serde_json::to_string(&last) {
        // Not every answer is to wait for a server that is down.
        keep(server, &json, pause_ms, store).await;
    }
    last.heard(server)
}

async fn taken(
    server: &Server,
    mut listing: Listing,
    kept: Option<&ToolListing>,
    store: &Store<SpinDatabase>,
) -> Heard {
    let refused = &mut listing.refused;
    listing.tools.retain_mut(|tool| {
        let unfit = mend(tool).err();
        let left_out = unfit.map(|unfit| RefusedTool { name: tool.name.clone(), reason: unfit.to_string() });
        let is_fit = left_out.is_none();
        refused.extend(left_out);
        is_fit
    });
    for refused in listing.refused.iter().take(MAX_REFUSED_LOGGED) {
        let fields = serde_json::json!({ "server": server.name, "tool": server.masked(&refused.name), "cause": server.masked(&refused.reason) });
        log(COMPONENT, Level::Warn, "a tool is left out", fields);
    }
    let ttl_ms = if server.remote { remote_ttl_ms(&listing) } else { COMPOSED_TTL_MS };
    let problems = problems::of_listing(server, &listing);
    let kept_now = Kept { tools: listing.tools, mended: true, fault: None, problems };
    if let Ok(json) = serde_json::to_string(&kept_now) {
        // Whoever asks has claimed the old list, which counts again for as long.
        let counts = ttl_ms <= CLAIM_MS && kept.is_some_and(|kept| kept.listing == json);
        if !counts {
            keep(server, &json, ttl_ms, store).await;
        }
    }
    kept_now.heard(server)
}

fn remote_ttl_ms(listing: &Listing) -> i64 {
    let ttl_ms = listing.ttl_ms.unwrap_or(REMOTE_DEFAULT_TTL_MS);
    i64::try_from(ttl_ms.clamp(*REMOTE_TTL_MS.start(), *REMOTE_TTL_MS.end())).unwrap_or(i64::MAX)
}

async fn keep(server: &Server, listing: &str, ttl_ms: i64, store: &Store<SpinDatabase>) {
    if let Err(error) = store.save_tool_listing(&server.kept_as(), listing, ttl_ms).await {
        let fields = serde_json::json!({ "server": server.name, "cause": error.to_string() });
        log(COMPONENT, Level::Warn, "a listing cannot be kept", fields);
    }
}

fn of_server(server: &Server, tool: &mcp::Tool, is_mended: bool) -> ListedTool {
    // What a server elsewhere says there is other people's, and no adapter's.
    let extra = tool.meta.as_ref().filter(|_| !server.remote).and_then(|meta| meta.get(META_TOOL));
    let extra: Extra = extra.and_then(|extra| Extra::deserialize(extra).ok()).unwrap_or_default();
    let annotations = &tool.annotations;
    let defaults = Annotations::default();
    let secrets: Vec<Secret> = extra.secrets.into_iter().filter_map(secret).take(MAX_SECRETS_OF_TOOL).collect();
    let tool = Tool {
        server: server.name.clone(),
        name: tool.name.clone(),
        title: tool.title.clone().or_else(|| annotations.title.clone()),
        description: tool.description.clone().unwrap_or_default(),
        input_schema: tool.input_schema.clone(),
        output_schema: tool.output_schema.clone(),
        is_mended,
        annotations: Annotations {
            read_only: annotations.read_only.unwrap_or(defaults.read_only),
            destructive: annotations.destructive.unwrap_or(defaults.destructive),
            idempotent: annotations.idempotent.unwrap_or(defaults.idempotent),
            open_world: annotations.open_world.unwrap_or(defaults.open_world),
        },
        remote: server.remote,
        reads_private: if server.remote { server.is_authorized() } else { !secrets.is_empty() },
        always_asks: extra.always_asks,
        result_ttl_ms: extra.cache_ms,
    };
    (tool, secrets)
}

/// A secret as it is shown; a provider may be written in any language and say rubbish.
fn secret(secret: Secret) -> Option<Secret> {
    let cut = |text: &str, max_chars: usize| text.chars().take(max_chars).collect::<String>();
    let Secret { name, title, description, visible, optional } = secret;
    let named =
        !name.trim().is_empty() && name.chars().count() <= MAX_SECRET_NAME_CHARS && !name.contains(char::is_control);
    let title = if title.trim().is_empty() { name.clone() } else { cut(&title, MAX_SECRET_TITLE_CHARS) };
    let description = cut(&description, MAX_SECRET_DESCRIPTION_CHARS);
    named.then_some(Secret { name, title, description, visible, optional })
}
