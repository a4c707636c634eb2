//! The tools of all servers together, and what a person should know about missing ones.

use std::collections::BTreeSet;

use domain::tool::ToolDefinition;
use mcp::Features;
use toolbox::{Catalog, KnownTool};

use crate::{
    kept::{Kept, ListedTool},
    offers::{Offerable, OfferableTool},
    problems::{Problem, of_catalog},
    secret::Secret,
    server::Server,
};

/// What a person has connected.
#[derive(Clone, Copy, Debug)]
pub struct Connected<'a> {
    /// The server.
    pub server: &'a str,
    /// Its list for this person, as [`crate::kept_for_person`] returned it. It stays when the connection is lost.
    pub listing: Option<&'a str>,
}

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
    /// The servers that have wanted a token which each person has for themselves.
    pub sign_in: Vec<String>,
    /// The servers that people may connect, whatever these have answered.
    personal: Vec<String>,
}

fn personal(configured: &[Server]) -> Vec<String> {
    configured.iter().filter(|server| server.is_personal()).map(|server| server.name.clone()).collect()
}

impl Listed {
    /// From each server's tools, in the order in which the servers are configured, and the known problems.
    pub(crate) fn new(
        servers: Vec<(String, Vec<ListedTool>)>,
        mut problems: Vec<Problem>,
        features: Vec<(String, Features)>,
        sign_in: Vec<String>,
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
        Self { catalog, problems, secrets, features, sign_in, personal: personal(configured) }
    }

    /// The same with what a person has connected. A server's list for one person is in nobody else's.
    #[must_use]
    pub fn for_person(&self, configured: &[Server], connected: &[Connected<'_>]) -> Self {
        let mut problems = self.problems.clone();
        let mut of_server = |server: &Server| -> Vec<KnownTool> {
            let is_of_server = |connected: &&Connected<'_>| server.is_personal() && connected.server == server.name;
            let own = connected.iter().find(is_of_server);
            let list = own.and_then(|own| serde_json::from_str::<Kept>(own.listing?).ok());
            match list {
                Some(list) => {
                    problems.extend(list.problems(server));
                    list.listed(server, true).into_iter().map(|(tool, _)| tool).collect()
                }
                // They are as the catalog shows them.
                None => {
                    let shared = self.catalog.of_server(&server.name).cloned();
                    shared.map(|tool| KnownTool { is_mended: true, ..tool }).collect()
                }
            }
        };
        let tools = configured.iter().map(|server| (server.name.clone(), of_server(server))).collect();
        let catalog = Catalog::new(tools);
        problems.extend(of_catalog(&catalog, configured));
        let (secrets, features, sign_in) = (self.secrets.clone(), self.features.clone(), self.sign_in.clone());
        Self { catalog, problems, secrets, features, sign_in, personal: personal(configured) }
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
        Offerable { tools: self.offers().collect(), personal: self.personal.clone() }
    }

    /// Those of one server.
    #[must_use]
    pub fn offerable_of(&self, server: &str) -> Vec<OfferableTool> {
        self.offers().filter(|tool| tool.server == server).collect()
    }

    fn offers(&self) -> impl Iterator<Item = OfferableTool> {
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
        self.catalog.iter().map(tool)
    }
}
