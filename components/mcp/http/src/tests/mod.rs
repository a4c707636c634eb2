//! Documents of several kinds and their tools, and calls of a real API. Everything but the way out is the code of the component.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod calls;
mod corpus;
mod documents;
mod requests;
mod schemas;
mod server;

use std::time::Duration;

use serde_json::Value;
use tool_provider::{Context, Failure};

use crate::{catalog::Catalog, folder::ApiFile};

fn catalog(files: &[(&str, &str)]) -> Catalog {
    let file = |(name, text): &(&str, &str)| ApiFile { name: (*name).to_owned(), text: Ok((*text).to_owned()) };
    Catalog::new(files.iter().map(file).collect())
}

/// The catalog of a document with these paths at `https://api.example/v1`.
fn paths(paths: &Value) -> Catalog {
    let document = serde_json::json!({
        "openapi": "3.1.0",
        "info": { "title": "Example", "version": "1" },
        "servers": [{ "url": "https://api.example/v1" }],
        "paths": paths,
    });
    catalog(&[("api", &document.to_string())])
}

fn names(catalog: &Catalog) -> Vec<String> {
    catalog.offer().tools.into_iter().map(|tool| tool.name).collect()
}

fn schema(catalog: &Catalog, tool: &str) -> Value {
    serde_json::from_str(&catalog.find(tool).expect(tool).tool.input_schema).unwrap()
}

fn context(secrets: &[(&str, &str)]) -> Context {
    Context {
        id: "call".to_owned(),
        preferences: Vec::new(),
        deadline: Duration::from_secs(20),
        secrets: secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    }
}

fn words<T: std::fmt::Debug>(result: Result<T, Failure>) -> String {
    match result {
        Ok(answer) => panic!("it worked: {answer:?}"),
        Err(Failure::InvalidArguments(words) | Failure::NotConfigured(words) | Failure::UpstreamFailed(words)) => words,
        Err(Failure::TimedOut) => "it took too long".to_owned(),
    }
}
