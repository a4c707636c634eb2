//! `/ready`: the database answers and the configuration makes sense. Says which part does not, and what to do.

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use platform::{instance, variables::variable};
use serde::Serialize;
use toolbox::{Policy, RemoteServer};
use url::Url;
use web::{
    Json,
    log::{Level, log},
};

use crate::COMPONENT;

/// Below this nothing but a greeting fits.
const MIN_CONTEXT_WINDOW_TOKENS: u64 = 1_000;

#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    checks: Vec<Check>,
}

#[derive(Serialize)]
struct Check {
    name: &'static str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl Check {
    fn new(name: &'static str, result: Result<(), String>) -> Self {
        let status = if result.is_ok() { "ok" } else { "failed" };
        Self { name, status, detail: result.err() }
    }
}

pub(crate) async fn ready() -> Response {
    let checks = vec![
        Check::new("database", database().await),
        Check::new("openai_base_url", base_url(&variable("openai_base_url").await)),
        Check::new("openai_api_key", required("openai_api_key", &variable("openai_api_key").await)),
        Check::new("openai_model", required("openai_model", &variable("openai_model").await)),
        Check::new("context_window_tokens", context_window(&variable("context_window_tokens").await)),
        Check::new("signup", signup(&variable("signup").await)),
        Check::new("tool_policies", tool_policies(&variable("tool_policies").await)),
        Check::new("remote_mcp_servers", remote_mcp_servers(&variable("remote_mcp_servers").await)),
        Check::new("tool_calls_per_minute", number("tool_calls_per_minute", &variable("tool_calls_per_minute").await)),
        Check::new(
            "tool_changes_per_minute",
            number("tool_changes_per_minute", &variable("tool_changes_per_minute").await),
        ),
    ];
    let ready = checks.iter().all(|check| check.detail.is_none());
    let (code, status) = if ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not_ready") };
    (code, Json::<_>(Readiness { status, checks })).into_response()
}

/// The database's own words may name its server and its accounts: they are for the log.
async fn database() -> Result<(), String> {
    let answered = match instance::app(COMPONENT).await {
        Ok(app) => app.store().ping().await,
        Err(error) => Err(error),
    };
    answered.map_err(|error| {
        let cause = BTreeMap::from([("cause", error.to_string())]);
        log(COMPONENT, Level::Error, "the database does not answer", cause);
        "The database does not answer: the log says why.".to_owned()
    })
}

fn required(name: &str, value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Err(format!("{name} is not set: set SPIN_VARIABLE_{}", name.to_uppercase()));
    }
    Ok(())
}

fn base_url(value: &str) -> Result<(), String> {
    match Url::parse(value) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(()),
        _ => Err("openai_base_url is no http or https address: set SPIN_VARIABLE_OPENAI_BASE_URL, for example to https://api.openai.com/v1".to_owned()),
    }
}

fn context_window(value: &str) -> Result<(), String> {
    match value.parse::<u64>() {
        Ok(tokens) if tokens >= MIN_CONTEXT_WINDOW_TOKENS => Ok(()),
        _ => Err(format!("context_window_tokens must be a number of at least {MIN_CONTEXT_WINDOW_TOKENS}")),
    }
}

fn tool_policies(value: &str) -> Result<(), String> {
    let read = Policy::parse_list(value);
    read.map(drop).map_err(|error| format!("tool_policies cannot be read, so all tools are denied: {error}"))
}

fn remote_mcp_servers(value: &str) -> Result<(), String> {
    let read = RemoteServer::parse_list(value);
    read.map(drop).map_err(|error| format!("remote_mcp_servers cannot be read, so there are none: {error}"))
}

fn number(name: &str, value: &str) -> Result<(), String> {
    match value.parse::<u32>() {
        Ok(number) if number > 0 => Ok(()),
        _ => Err(format!("{name} must be a number above 0; its default is used")),
    }
}

fn signup(value: &str) -> Result<(), String> {
    match value {
        "open" | "closed" => Ok(()),
        _ => Err("signup must be open or closed; it is treated as closed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_setting_is_named_with_what_to_do() {
        assert!(required("openai_api_key", "").unwrap_err().contains("SPIN_VARIABLE_OPENAI_API_KEY"));
        assert!(base_url("localhost:80/v1").is_err() && base_url("ftp://x").is_err() && base_url("").is_err());
        assert!(base_url("http://127.0.0.1:4010/v1").is_ok());
        assert!(context_window("12").is_err() && context_window("many").is_err() && context_window("128000").is_ok());
        assert!(signup("opne").is_err() && signup("closed").is_ok());
        assert!(tool_policies("allow clock:*, deny mail:*").is_ok() && tool_policies("clock:*").is_err());
        assert!(remote_mcp_servers("").is_ok() && remote_mcp_servers("wiki").is_err());
        assert!(number("n", "5").is_ok() && number("n", "0").is_err() && number("n", "few").is_err());
    }
}
