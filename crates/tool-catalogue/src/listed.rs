//! What all servers have together, and what a person should know about what is missing.

use std::collections::BTreeSet;

use domain::tool::ToolDefinition;
use serde::{Deserialize, Serialize};
use toolbox::{Catalog, Tool};

use crate::{
    fault::Fault,
    offers::{Offerable, OfferableTool},
    secret::Secret,
    server::Server,
};

/// A tool and the secrets that it needs.
pub(crate) type ListedTool = (Tool, Vec<Secret>);

/// What all servers have.
#[derive(Debug)]
pub struct Listed {
    /// Their tools, by the names that models use.
    pub catalog: Catalog,
    /// What a person should know about what is missing.
    pub problems: Vec<Problem>,
    /// Server, tool, and a secret that it needs.
    secrets: Vec<(String, String, Secret)>,
}

impl Listed {
    /// From what each server has, in the order in which they are configured, and what is known to be wrong.
    pub(crate) fn new(servers: Vec<(String, Vec<ListedTool>)>, mut problems: Vec<Problem>) -> Self {
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
        for refused in catalog.refused() {
            let reason = refused.reason.to_string();
            problems.push(match refused.reason.is_of_part() {
                true => Problem::in_part(&refused.server, &reason),
                false => Problem::left_out(&refused.server, refused.tool.as_deref(), &reason),
            });
        }
        Self { catalog, problems, secrets }
    }

    /// The secrets that a tool needs.
    pub fn secrets_of(&self, tool: &Tool) -> impl Iterator<Item = &Secret> {
        let of_tool = |(server, name, _): &&(String, String, Secret)| *server == tool.server && *name == tool.name;
        self.secrets.iter().filter(of_tool).map(|(.., secret)| secret)
    }

    /// The secrets that tools of each server need, each once.
    #[must_use]
    pub fn secrets(&self) -> Vec<(&str, &Secret)> {
        let mut seen = BTreeSet::new();
        let all = self.secrets.iter().map(|(server, _, secret)| (server.as_str(), secret));
        all.filter(|(server, secret)| seen.insert((*server, secret.name.as_str()))).collect()
    }

    /// What may be offered to anybody.
    #[must_use]
    pub fn offerable(&self) -> Offerable {
        let tool = |(name, tool): (&str, &Tool)| OfferableTool {
            server: tool.server.clone(),
            name: tool.name.clone(),
            secrets: self
                .secrets_of(tool)
                .filter(|secret| !secret.optional)
                .map(|secret| secret.name.clone())
                .collect(),
            offer: ToolDefinition {
                name: name.to_owned(),
                description: tool.description.clone(),
                input_schema: tool.input_schema.clone(),
            },
        };
        Offerable { tools: self.catalog.iter().map(tool).collect() }
    }
}

/// What is wrong with a server or a tool, in words.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// The server.
    pub server: String,
    /// `None`: the server itself.
    pub tool: Option<String>,
    /// For everybody.
    pub message: String,
    /// For whoever runs the installation.
    pub advice: Option<String>,
}

impl Problem {
    pub(crate) fn away(server: &Server, fault: &Fault) -> Self {
        let advice = Some(fault.advice(server.remote).to_owned());
        Self { server: server.name.clone(), tool: None, message: fault.what(), advice }
    }

    /// None of the servers elsewhere is there.
    pub(crate) fn unread(cause: &str) -> Self {
        let message = "The list of servers elsewhere cannot be read, so there are none.".to_owned();
        let advice = Some(format!("Correct remote_mcp_servers: {cause}."));
        Self { server: "remote_mcp_servers".to_owned(), tool: None, message, advice }
    }

    /// A tool, or all of a server.
    pub(crate) fn left_out(server: &str, tool: Option<&str>, reason: &str) -> Self {
        let what = if tool.is_some() { "tool" } else { "server" };
        let message = format!("This {what} is left out: {reason}.");
        Self { server: server.to_owned(), tool: tool.map(str::to_owned), message, advice: None }
    }

    /// Some of a server's tools.
    pub(crate) fn in_part(server: &str, reason: &str) -> Self {
        let message = format!("Not all of it is here: {reason}.");
        Self { server: server.to_owned(), tool: None, message, advice: None }
    }
}
