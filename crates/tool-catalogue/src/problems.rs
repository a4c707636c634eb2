//! The messages for people about missing servers and tools, within limits. Must not ask a server anything.

use std::collections::BTreeMap;

use mcp::Listing;
use serde::{Deserialize, Serialize};
use serde_json::json;
use toolbox::{Catalog, catalog::Refused};

use crate::{
    Host,
    fault::Fault,
    server::{Server, fit},
};

/// How many log lines one listing may cause.
pub(crate) const MAX_REFUSED_LOGGED: usize = 10;
/// How many problems of one server are reported. Nobody reads more.
const MAX_PROBLEMS: usize = 50;

/// What is wrong with a server or a tool, in words.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// The server.
    pub server: String,
    /// `None`: the problem is the server itself.
    pub tool: Option<String>,
    /// The message for everybody.
    pub message: String,
    /// The advice for the operator.
    pub advice: Option<String>,
}

impl Problem {
    pub(crate) fn away(server: &Server, fault: &Fault) -> Self {
        let advice = Some(fault.advice(server).to_owned());
        Self { server: server.name.clone(), tool: None, message: fault.what(), advice }
    }

    /// The list of remote servers cannot be read, so there are none.
    pub(crate) fn unread(cause: &str) -> Self {
        let message = "remote_mcp_servers is not valid, so no remote servers are used.".to_owned();
        let advice = Some(format!("Correct remote_mcp_servers: {cause}."));
        Self { server: "remote_mcp_servers".to_owned(), tool: None, message, advice }
    }

    /// A tool or a whole server is left out.
    fn left_out(server: &str, tool: Option<&str>, reason: &str) -> Self {
        let what = if tool.is_some() { "tool" } else { "server" };
        let message = format!("This {what} is left out: {reason}.");
        Self { server: server.to_owned(), tool: tool.map(str::to_owned), message, advice: None }
    }

    /// A part of what a server has is missing.
    pub(crate) fn in_part(server: &str, reason: &str) -> Self {
        let message = format!("Not all of it is here: {reason}.");
        Self { server: server.to_owned(), tool: None, message, advice: None }
    }
}

/// The refused tools of the catalog, by server.
fn by_server(catalog: &Catalog) -> BTreeMap<&str, Vec<&Refused>> {
    let mut by_server: BTreeMap<&str, Vec<&Refused>> = BTreeMap::new();
    for refused in catalog.refused() {
        by_server.entry(&refused.server).or_default().push(refused);
    }
    by_server
}

/// Words about a server, in a form that may be shown.
fn masked(servers: &[Server], name: &str, words: &str) -> String {
    let server = servers.iter().find(|server| server.name == name);
    server.map_or_else(|| fit(words), |server| server.masked(words))
}

/// The problems of refused tools, within limits: tools' names are other people's words, and there may be two thousand.
pub(crate) fn of_catalog(catalog: &Catalog, servers: &[Server]) -> Vec<Problem> {
    let problems_of = |(name, all): (&str, Vec<&Refused>)| {
        let masked = |words: &str| masked(servers, name, words);
        let problems = all.iter().map(|refused| {
            let reason = masked(&refused.reason.to_string());
            match refused.reason.is_of_part() {
                true => Problem::in_part(&fit(name), &reason),
                false => Problem::left_out(&fit(name), refused.tool.as_deref().map(masked).as_deref(), &reason),
            }
        });
        first(&fit(name), problems.collect())
    };
    by_server(catalog).into_iter().flat_map(problems_of).collect()
}

/// Logs the same for the operator.
pub(crate) fn log(host: &impl Host, catalog: &Catalog, servers: &[Server]) {
    for (name, all) in by_server(catalog) {
        for refused in all.iter().take(MAX_REFUSED_LOGGED) {
            let (tool, cause) = (refused.name(), refused.reason.to_string());
            let (tool, cause) = (masked(servers, name, &tool), masked(servers, name, &cause));
            host.log("a tool is left out", json!({ "tool": tool, "cause": cause }));
        }
    }
}

/// The first problems of a server, and one that says how many more there are.
fn first(server: &str, mut problems: Vec<Problem>) -> Vec<Problem> {
    let more = problems.len().saturating_sub(MAX_PROBLEMS);
    if more > 0 {
        problems.truncate(MAX_PROBLEMS);
        problems.push(Problem::in_part(server, &format!("{more} more of its tools are left out")));
    }
    problems
}

/// The problems of a list: it may be incomplete, and some of its tools may be unusable.
pub(crate) fn of_listing(server: &Server, listing: &Listing) -> Vec<Problem> {
    let cut = listing.cut.as_ref().map(|cut| Problem::in_part(&server.name, &server.masked(&cut.to_string())));
    let refused = listing.refused.iter().map(|refused| {
        let name = server.masked(&refused.name);
        Problem::left_out(&server.name, Some(&name), &server.masked(&refused.reason))
    });
    first(&server.name, cut.into_iter().chain(refused).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use toolbox::{Annotations, KnownTool};

    use super::*;
    use crate::remote::RemoteServer;

    fn tool(name: String) -> KnownTool {
        KnownTool {
            server: "wiki".to_owned(),
            name,
            title: None,
            description: String::new(),
            input_schema: RawValue::from_string(r#"{"type":"object"}"#.to_owned()).unwrap(),
            output_schema: None,
            is_mended: false,
            task_support: toolbox::TaskSupport::Forbidden,
            annotations: Annotations::default(),
            remote: true,
            built_in: false,
            reads_private: false,
            always_asks: false,
            result_ttl_ms: None,
        }
    }

    #[test]
    fn what_is_told_of_tools_that_are_left_out_is_bounded_and_fit_to_be_shown() {
        let list = r#"[{"name":"wiki","url":"https://h/mcp","authorization":"Bearer a-token-of-ours"}]"#;
        let server = Server::remote(RemoteServer::parse_list(list).unwrap().remove(0));
        let named = |n: usize| format!("\u{1b}[2J\n a-token-of-ours {n}{}", "x".repeat(5_000));
        let tools = (0..200).map(|n| tool(named(n))).collect();
        let catalog = Catalog::new(vec![("wiki".to_owned(), tools), ("a\u{1b}*".to_owned(), Vec::new())]);
        let problems = of_catalog(&catalog, &[server]);
        assert_eq!(problems.iter().filter(|problem| problem.tool.is_some()).count(), MAX_PROBLEMS);
        let last = problems.last().unwrap();
        assert_eq!((last.server.as_str(), &last.tool), ("wiki", &None));
        assert!(last.message.contains("150 more"), "{}", last.message);
        for problem in &problems {
            let shown =
                format!("{} {} {}", problem.server, problem.tool.as_deref().unwrap_or_default(), problem.message);
            assert!(!shown.contains(char::is_control) && !shown.contains("a-token"), "{shown:?}");
            assert!(shown.chars().count() < 600, "{shown}");
        }
        assert_eq!(problems.iter().filter(|problem| problem.server != "wiki").count(), 1);
    }
}
