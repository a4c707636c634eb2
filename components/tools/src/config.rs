//! What an operator can set about tools.

use std::sync::Arc;

use platform::variables::variable;
use tool_catalogue::{RemoteServer, Server, Servers};
use toolbox::Policy;
use web::{
    log::{Level, log},
    settings::{self, AllowedHost, Check},
};

/// This component's id in `spin.toml` and in the log.
pub(crate) const COMPONENT: &str = "tools";

/// The brief's thirty requests a minute and person.
const CALLS_PER_MINUTE: u32 = 30;
/// The brief's five executions a minute, for tools that may change something.
const CHANGES_PER_MINUTE: u32 = 5;

/// The configuration of `tools`.
#[derive(Clone, Default, Debug)]
pub(crate) struct Config {
    /// All servers.
    pub(crate) servers: Arc<Servers>,
    /// What holds for everybody.
    pub(crate) policies: Vec<Policy>,
    /// Calls of a person in a minute.
    pub(crate) calls_per_minute: u32,
    /// Calls of a person in a minute of one tool that may change something.
    pub(crate) changes_per_minute: u32,
}

impl Config {
    /// Reads the variables that `spin.toml` grants. What is wrong with them is logged, `/ready` says it too, and what would loosen a rule is
    /// left out: policies that cannot be read deny everything.
    pub(crate) async fn read(built_in: impl IntoIterator<Item = Server>) -> Self {
        let composed = variable("tool_servers").await;
        let all = composed.split(',').map(str::trim).filter(|name| !name.is_empty()).filter_map(Server::composed);
        // What is built in comes first: no other server can take its name.
        let mut servers = Servers { all: built_in.into_iter().chain(all).collect(), unread: None };
        match RemoteServer::parse_list(&variable("remote_mcp_servers").await) {
            Ok(remote) => servers.all.extend(remote.into_iter().map(Server::remote)),
            Err(error) => {
                wrong("remote_mcp_servers", &error.to_string());
                servers.unread = Some(error.to_string());
            }
        }
        let policies = Policy::parse_list(&variable("tool_policies").await).unwrap_or_else(|error| {
            wrong("tool_policies", &error.to_string());
            vec![Policy::deny_everything()]
        });
        let number = async |name, default| per_minute(&variable(name).await, default);
        Self {
            servers: Arc::new(servers),
            policies,
            calls_per_minute: number("tool_calls_per_minute", CALLS_PER_MINUTE).await,
            changes_per_minute: number("tool_changes_per_minute", CHANGES_PER_MINUTE).await,
        }
    }
}

/// A number of calls. 0 counts as the default, as `/ready` says: only a role can be without a limit.
fn per_minute(value: &str, default: u32) -> u32 {
    value.parse().ok().filter(|per_minute| *per_minute > 0).unwrap_or(default)
}

fn wrong(name: &str, cause: &str) {
    log(COMPONENT, Level::Error, "a variable cannot be read", serde_json::json!({ "variable": name, "cause": cause }));
}

/// What is wrong with them, for `/ready`.
pub(crate) async fn checks() -> Vec<Check> {
    let remote = remote_servers(&variable("remote_mcp_servers").await, &variable("remote_mcp_host").await);
    let policies = Policy::parse_list(&variable("tool_policies").await)
        .map(drop)
        .map_err(|error| format!("tool_policies is not valid, so all tools are denied: {error}."));
    let number = async |name, default: u32| {
        settings::number(name, &variable(name).await, 1, &format!("{default} is used instead"))
    };
    vec![
        Check::new("remote_mcp_servers", remote),
        Check::new("tool_policies", policies),
        number("tool_calls_per_minute", CALLS_PER_MINUTE).await,
        number("tool_changes_per_minute", CHANGES_PER_MINUTE).await,
    ]
}

fn remote_servers(value: &str, host: &str) -> Result<(), String> {
    let servers = RemoteServer::parse_list(value)
        .map_err(|error| format!("remote_mcp_servers is not valid, so no remote servers are used: {error}."))?;
    let Some(allowed) = AllowedHost::parse(host) else { return Ok(()) };
    match servers.iter().find(|server| !allowed.allows(&server.url)) {
        None => Ok(()),
        Some(server) => {
            Err(format!("remote_mcp_host does not allow the address of {} in remote_mcp_servers.", server.name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_calls_that_is_none_or_0_counts_as_the_default() {
        assert_eq!(["7", "0", "-1", "many", ""].map(|value| per_minute(value, 30)), [7, 30, 30, 30, 30]);
    }

    #[test]
    fn a_remote_server_must_be_where_requests_may_go() {
        let servers = r#"[{"name":"wiki","url":"https://wiki.example.org/mcp"}]"#;
        assert_eq!(remote_servers("", "https://none.invalid"), Ok(()));
        assert_eq!(remote_servers(servers, "https://*:*"), Ok(()));
        assert!(remote_servers(servers, "https://none.invalid").is_err_and(|detail| detail.contains("wiki")));
        assert!(remote_servers("wiki", "https://*:*").is_err());
    }
}
