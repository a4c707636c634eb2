//! The tools of all servers together, and what a person should know about missing ones.

use std::collections::BTreeSet;

use domain::tool::ToolDefinition;
use mcp::Features;
use toolbox::{Catalog, KnownTool};

use crate::{
    offers::{Offerable, OfferableTool},
    problems::{Problem, of_catalog},
    secret::Secret,
    server::Server,
};

/// A tool and the secrets that it needs.
pub(crate) type ListedTool = (KnownTool, Vec<Secret>);

/// The tools of all servers.
#[derive(Debug)]
pub struct Listed {
    /// The tools, by the names that models use.
    pub catalog: Catalog,
    /// What a person should know about missing servers and tools.
    pub problems: Vec<Problem>,
    /// Server, tool, and a secret that the tool needs.
    secrets: Vec<(String, String, Secret)>,
    /// What each composed server has besides tools, if it has anything. In the order in which they are configured.
    pub features: Vec<(String, Features)>,
}

impl Listed {
    /// From each server's tools, in the order in which the servers are configured, and the known problems.
    pub(crate) fn new(
        servers: Vec<(String, Vec<ListedTool>)>,
        mut problems: Vec<Problem>,
        features: Vec<(String, Features)>,
        configured: &[Server],
    ) -> Self {
        let mut secrets = Vec::new();
        let tools = |(server, tools): (String, Vec<ListedTool>)| {
            let tools = tools.into_iter().map(|(tool, named)| {
                secrets.extend(named.into_iter().map(|secret| (server.clone(), tool.name.clone(), secret)));
                tool
            });
            let tools = tools.collect();
            (server, tools)
        };
        let catalog = Catalog::new(servers.into_iter().map(tools).collect());
        problems.extend(of_catalog(&catalog, configured));
        Self { catalog, problems, secrets, features }
    }

    /// The secrets that a tool needs.
    pub fn secrets_of(&self, tool: &KnownTool) -> impl Iterator<Item = &Secret> {
        let of_tool = |(server, name, _): &&(String, String, Secret)| *server == tool.server && *name == tool.name;
        self.secrets.iter().filter(of_tool).map(|(.., secret)| secret)
    }

    /// The secrets that each server's tools need, each once.
    #[must_use]
    pub fn secrets(&self) -> Vec<(&str, &Secret)> {
        let mut seen = BTreeSet::new();
        let all = self.secrets.iter().map(|(server, _, secret)| (server.as_str(), secret));
        all.filter(|(server, secret)| seen.insert((*server, secret.name.as_str()))).collect()
    }

    /// The tools that may be offered to anybody.
    #[must_use]
    pub fn offerable(&self) -> Offerable {
        let tool = |(name, tool): (&str, &KnownTool)| OfferableTool {
            server: tool.server.clone(),
            name: tool.name.clone(),
            secrets: self
                .secrets_of(tool)
                .filter(|secret| !secret.optional)
                .map(|secret| secret.name.clone())
                .collect(),
            offer: ToolDefinition {
                name: name.to_owned(),
                title: tool.title.clone(),
                description: tool.description.clone(),
                input_schema: tool.input_schema.clone(),
            },
        };
        Offerable { tools: self.catalog.iter().map(tool).collect() }
    }
}
