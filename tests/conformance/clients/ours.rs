//! The client of the crate `mcp` as a program: lists a server's tools and calls them, as the conformance suite's scenarios require.
//!
//! `mcp-client URL`. In the suite's scenarios `auth/…` it signs in. The suite names the scenario in `MCP_CONFORMANCE_SCENARIO` and its data in `MCP_CONFORMANCE_CONTEXT`.

mod authorization;

use std::{cell::RefCell, rc::Rc, time::Duration};

use anyhow::{Context as _, bail};
use authorization::{SignedIn, sign_in};
use bytes::Bytes;
use clap::Parser;
use futures::StreamExt;
use mcp::{
    BodyStream, Client, ClientError, ClientOptions, Implementation, InputHandler, Listing, Map, Transport,
    TransportError,
};
use serde_json::{Value, json, value::to_raw_value};

/// The app's limit.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// How often a client signs in: once, once more for more scopes, and once after a change at the server. More is a loop.
const MAX_SIGN_INS: usize = 3;

/// Longer than any scenario takes. A server may keep its client waiting for ever.
const DEADLINE: Duration = Duration::from_secs(8);

/// Calls the tools of an MCP server.
#[derive(Parser)]
struct Args {
    /// What to do: the name of a client scenario of the suite. Without one the tools are listed.
    #[arg(long, env = "MCP_CONFORMANCE_SCENARIO")]
    scenario: Option<String>,
    /// What the scenario needs, as JSON.
    #[arg(long, env = "MCP_CONFORMANCE_CONTEXT", default_value = "{}")]
    context: String,
    /// The server.
    url: http::Uri,
}

#[derive(Clone)]
struct Http(reqwest::Client);

impl Transport for Http {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<BodyStream>, TransportError> {
        let connection = |error: reqwest::Error| TransportError::Connection(error.to_string());
        let request = request.try_into().map_err(connection)?;
        let mut response = self.0.execute(request).await.map_err(connection)?;
        let mut answer = http::Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            headers.extend(response.headers_mut().drain());
        }
        let body: BodyStream = Box::pin(response.bytes_stream().map(move |chunk| chunk.map_err(connection)));
        answer.body(body).map_err(|error| TransportError::Connection(error.to_string()))
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Accepts every form with its default values.
fn accept(method: &str, params: &Value) -> Option<Value> {
    if method != "elicitation/create" {
        return None;
    }
    let properties = params.get("requestedSchema")?.get("properties")?.as_object()?;
    let content: Map = properties
        .iter()
        .filter_map(|(name, schema)| {
            let anything = match schema.get("type")?.as_str()? {
                "boolean" => Some(json!(true)),
                _ => None,
            };
            Some((name.clone(), schema.get("default").cloned().or(anything)?))
        })
        .collect();
    Some(json!({"action": "accept", "content": content}))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    tokio::time::timeout(DEADLINE, run(Args::parse())).await?
}

async fn run(args: Args) -> anyhow::Result<()> {
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let software = Implementation {
        name: env!("CARGO_BIN_NAME").to_owned(),
        title: None,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let scenario = args.scenario.as_deref().unwrap_or_default();
    let mut options = ClientOptions::new(software, MAX_ANSWER_BYTES);
    if matches!(scenario, "elicitation-sep1034-client-defaults" | "sep-2322-client-request-state") {
        let capabilities = Map::from_iter([("elicitation".to_owned(), json!({"form": {"applyDefaults": true}}))]);
        options.input = Some(InputHandler { capabilities, answer: Rc::new(accept) });
    }
    let context: Value = serde_json::from_str(&args.context).context("MCP_CONFORMANCE_CONTEXT")?;
    let mut scope = String::new();
    for _ in 0..MAX_SIGN_INS {
        let client = Client::new(Http(http.clone()), args.url.clone(), options.clone());
        let Err(error) = use_tools(&client, scenario, &context).await else { return Ok(()) };
        let refusal = error.downcast_ref::<ClientError>().filter(|_| scenario.starts_with("auth/"));
        let Some(refusal) = refusal else { return Err(error) };
        let signed_in = sign_in(&Http(http.clone()), &http, &args.url, &context, refusal, &scope).await?;
        let Some(SignedIn { access_token, scope: asked }) = signed_in else { return Err(error) };
        scope = asked;
        options.authorization = Some(format!("Bearer {access_token}").parse()?);
    }
    bail!("it was signed in {MAX_SIGN_INS} times")
}

/// Lists the tools and calls those that the scenario wants called.
async fn use_tools(client: &Client<Http>, scenario: &str, context: &Value) -> anyhow::Result<()> {
    let listing = client.list_tools().await?;
    for refused in &listing.refused {
        eprintln!("{}: {}", refused.name, refused.reason);
    }
    let calls: Vec<(String, Value)> = match (scenario, context.get("toolCalls")) {
        (_, Some(Value::Array(calls))) => calls.iter().filter_map(planned).collect(),
        ("" | "initialize", _) => {
            println!("{}", serde_json::to_string_pretty(&listing.tools)?);
            Vec::new()
        }
        ("json-schema-2020-12-preservation", _) => {
            let schema = listing.tools.iter().find(|tool| tool.name == "json_schema_2020_12_tool");
            let schema = schema.map(|tool| &tool.input_schema).context("the tool with the schema is missing")?;
            vec![("json_schema_echo".to_owned(), json!({"schema": schema}))]
        }
        _ => listing.tools.iter().map(|tool| (tool.name.clone(), arguments(tool))).collect(),
    };
    for (name, arguments) in calls {
        call(client, &listing, &name, &arguments).await?;
    }
    Ok(())
}

fn planned(call: &Value) -> Option<(String, Value)> {
    Some((call.get("name")?.as_str()?.to_owned(), call.get("arguments").cloned().unwrap_or_else(|| json!({}))))
}

/// Arguments that fit the required properties of simple schemas.
fn arguments(tool: &mcp::Tool) -> Value {
    let schema: Value = serde_json::from_str(tool.input_schema.get()).unwrap_or_default();
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let filled = required.map(|name| {
        let kind = schema.get("properties").and_then(|it| it.get(name)?.get("type")?.as_str()).unwrap_or("string");
        let value = match kind {
            "number" | "integer" => json!(2),
            "boolean" => json!(true),
            _ => json!("test"),
        };
        (name.to_owned(), value)
    });
    Value::Object(filled.collect())
}

async fn call(client: &Client<Http>, listing: &Listing, name: &str, arguments: &Value) -> anyhow::Result<()> {
    let Some(tool) = listing.tools.iter().find(|tool| tool.name == name) else { bail!("there is no tool {name}") };
    let seen = RefCell::new(0);
    let mut on_progress = |_| *seen.borrow_mut() += 1;
    match client.call_tool(tool, &to_raw_value(arguments)?, Map::new(), Some(&mut on_progress)).await {
        Ok(result) => println!("{name}: {result:?} after {} notices of progress", seen.borrow()),
        // If one tool refuses, the others are still called.
        Err(error @ ClientError::Protocol { .. }) => eprintln!("{name}: {error}"),
        Err(error) => return Err(error).with_context(|| name.to_owned()),
    }
    Ok(())
}
