//! One server's list as it is stored in the database, and how its tools are read from it.

use mcp::Features;
use serde::{Deserialize, Serialize};
use toolbox::{Annotations, KnownTool};

use crate::{
    fault::Fault,
    problems::Problem,
    secret::{MAX_SECRETS_OF_TOOL, Secret},
    server::Server,
};

/// The key under which our adapter sends data that the protocol has no field for.
const META_TOOL: &str = "edge-assistant/tool";

/// A tool and the secrets that it needs.
pub(crate) type ListedTool = (KnownTool, Vec<Secret>);

#[derive(Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) tools: Vec<mcp::Tool>,
    /// Whether the schemas are already repaired.
    #[serde(default)]
    pub(crate) mended: bool,
    /// It has wanted a token of the person who asks, when it was listed or called. It keeps that: a server that is down is still one to be connected.
    #[serde(default)]
    pub(crate) signs_in: bool,
    /// Why the server could not be asked since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fault: Option<Fault>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) problems: Vec<Problem>,
    /// What a composed server has besides tools.
    #[serde(default)]
    pub(crate) features: Features,
}

impl Kept {
    /// The list of a server that has never answered.
    pub(crate) fn nothing() -> Self {
        Self {
            tools: Vec::new(),
            mended: true,
            signs_in: false,
            fault: None,
            problems: Vec::new(),
            features: Features::default(),
        }
    }

    /// Its tools. `is_authorized`: the server was told who asks, so its results may be private.
    pub(crate) fn listed(&self, server: &Server, is_authorized: bool) -> Vec<ListedTool> {
        self.tools.iter().map(|tool| listed(server, tool, self.mended, is_authorized)).collect()
    }

    /// The problems of the server, for a person.
    pub(crate) fn problems(&self, server: &Server) -> impl Iterator<Item = Problem> {
        let away = self.fault.as_ref().map(|fault| Problem::away(server, fault));
        away.into_iter().chain(self.problems.iter().cloned())
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

fn listed(server: &Server, tool: &mcp::Tool, is_mended: bool, is_authorized: bool) -> ListedTool {
    // A remote server's data under this key is not from our adapter.
    let extra = tool.meta.as_ref().filter(|_| !server.remote).and_then(|meta| meta.get(META_TOOL));
    let extra: Extra = extra.and_then(|extra| Extra::deserialize(extra).ok()).unwrap_or_default();
    let annotations = &tool.annotations;
    let defaults = Annotations::default();
    let secrets: Vec<Secret> = extra.secrets.into_iter().filter_map(Secret::shown).take(MAX_SECRETS_OF_TOOL).collect();
    let tool = KnownTool {
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
        built_in: server.is_built_in(),
        reads_private: if server.remote { is_authorized } else { !secrets.is_empty() },
        always_asks: extra.always_asks,
        task_support: tool.execution.task_support,
        result_ttl_ms: extra.cache_ms,
    };
    (tool, secrets)
}
