//! Documents and APIs of others: files, each with the correct result.

use std::{collections::BTreeMap, fs, path::PathBuf};

use http::Response;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{catalog, context, names, paths};
use crate::{answer, redaction::Redaction, request};

/// The files of a folder with this extension.
fn files(folder: &str, ending: &str) -> Vec<(PathBuf, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/tests/corpus").join(folder);
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<_> = paths
        .filter(|path| path.to_str().unwrap().ends_with(ending))
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect();
    assert!(!found.is_empty());
    found
}

/// The expected result of a document.
#[derive(Deserialize)]
struct Outcome {
    /// The arguments of each tool.
    tools: BTreeMap<String, Value>,
    /// The address of each tool.
    #[serde(default)]
    servers: BTreeMap<String, String>,
    /// A part of each tool's description.
    #[serde(default)]
    descriptions: BTreeMap<String, String>,
    /// The log messages.
    faults: Vec<String>,
}

#[test]
fn documents_become_the_tools_that_they_mean() {
    for (path, text) in files("documents", ".yaml") {
        let outcome = fs::read_to_string(path.with_extension("json")).unwrap();
        let outcome: Outcome = serde_json::from_str(&outcome).unwrap();
        let catalog = catalog(&[("api", &text)]);
        let shown = path.display();
        assert_eq!(catalog.faults(), outcome.faults, "{shown}");
        assert_eq!(names(&catalog), outcome.tools.keys().cloned().collect::<Vec<_>>(), "{shown}");
        for (name, arguments) in &outcome.tools {
            let schema: Value = serde_json::from_str(&catalog.find(name).unwrap().tool.input_schema).unwrap();
            assert_eq!(&schema["properties"], arguments, "{shown}: {name}");
        }
        for (name, server) in &outcome.servers {
            assert_eq!(catalog.find(name).unwrap().server.as_str(), server, "{shown}: {name}");
        }
        for (name, words) in &outcome.descriptions {
            let description = &catalog.find(name).unwrap().tool.description;
            assert!(description.contains(words), "{shown}: {name}: {description}");
        }
    }
}

/// A call, the expected request, and the expected result for a response.
#[derive(Deserialize)]
struct Call {
    path: String,
    method: String,
    #[serde(default)]
    parameters: Value,
    #[serde(default)]
    media_type: Option<String>,
    arguments: Box<RawValue>,
    /// The address, relative to the server's.
    sent: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    answer: Option<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    content_type: String,
    /// The response's bytes, one for each character below 256.
    body: String,
    text: String,
    /// Whether the result has fields.
    #[serde(default)]
    is_structured: bool,
}

#[test]
fn calls_say_what_was_meant_and_answers_are_told_as_they_came() {
    for (path, text) in files("calls", ".json") {
        let calls: Vec<Call> = serde_json::from_str(&text).unwrap();
        for call in calls {
            let body = call.media_type.map(|media_type| json!({ "content": { media_type: {} } }));
            let mut operation = json!({ "operationId": "call", "parameters": call.parameters });
            if let Some(body) = body {
                operation["requestBody"] = body;
            }
            let catalog = paths(&json!({ &call.path: { &call.method: operation } }));
            let shown = format!("{}: {}", path.display(), call.arguments);
            let operation = catalog.find("api_call").unwrap_or_else(|| panic!("{shown}: {:?}", catalog.faults()));
            let built = request::build(operation, call.arguments.get(), &context(&[])).unwrap();
            assert_eq!(built.request.uri().to_string(), format!("https://api.example/v1{}", call.sent), "{shown}");
            assert_eq!(String::from_utf8_lossy(built.request.body()), call.body, "{shown}");
            if let Some(Answer { content_type, body, text, is_structured }) = call.answer {
                let bytes: Vec<u8> = body.chars().map(|c| u8::try_from(c).unwrap()).collect();
                let response = Response::builder().header("content-type", content_type).body(bytes).unwrap();
                let told = answer::read(operation, &response, &Redaction::default()).unwrap();
                assert_eq!((told.text, told.structured.is_some()), (text, is_structured), "{shown}");
            }
        }
    }
}
