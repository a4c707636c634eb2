//! Schemas that servers send for their tools, one file each in `corpus`. A file has the schema that models' servers get (`shown`, or `as_sent`), or
//! the reason why the tool is left out (`left_out`). The strictest server must accept every such schema.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on fails")]

use std::{fs, path::Path};

use boon::{Compiler, Schemas};
use json_schema::{MAX_DEPTH, repaired};
use serde_json::{Value, value::RawValue};

/// Why a strict server would refuse a tool's schema, if it would.
fn complaint(schema: &Value) -> Option<String> {
    if schema["type"] != "object" || !schema["properties"].is_object() {
        return Some("the whole is no object with properties".to_owned());
    }
    let whole = ["anyOf", "oneOf", "allOf", "enum", "not", "const"];
    if let Some(keyword) = whole.into_iter().find(|keyword| schema.get(*keyword).is_some()) {
        return Some(format!("{keyword} at the top"));
    }
    let mut compiler = Compiler::new();
    let mut schemas = Schemas::new();
    compiler.add_resource("tool.json", schema.clone()).unwrap();
    if let Err(error) = compiler.compile("tool.json", &mut schemas) {
        return Some(format!("no schema of 2020-12: {error:#}"));
    }
    lists(schema, 0)
}

/// A complaint if a list does not say what its items are.
fn lists(schema: &Value, depth: usize) -> Option<String> {
    if depth > 4 * MAX_DEPTH {
        return Some("too deep".to_owned());
    }
    match schema {
        Value::Object(keywords) => {
            let kinds = match &keywords.get("type") {
                Some(Value::Array(kinds)) => kinds.clone(),
                Some(kind @ Value::String(_)) => vec![(*kind).clone()],
                _ => Vec::new(),
            };
            if kinds.iter().any(|kind| kind == "array") && !keywords.get("items").is_some_and(Value::is_object) {
                return Some(format!("a list of what: {schema}"));
            }
            let schemas =
                keywords.iter().filter(|(keyword, _)| !["default", "examples", "const"].contains(&keyword.as_str()));
            schemas.map(|(_, value)| value).find_map(|value| lists(value, depth + 1))
        }
        Value::Array(items) => items.iter().find_map(|item| lists(item, depth + 1)),
        _ => None,
    }
}

#[test]
fn what_is_shown_of_a_schema_is_what_every_models_server_takes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 40);
    let mut wrong = Vec::new();
    for file in files {
        #[derive(serde::Deserialize)]
        struct Case<'a> {
            #[serde(borrow)]
            schema: &'a RawValue,
        }
        let text = fs::read_to_string(&file).unwrap();
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let sent = serde_json::from_str::<Case<'_>>(&text).unwrap().schema.to_owned();
        let case: Value = serde_json::from_str(&text).unwrap();
        let expected = match (case.get("shown"), case.get("left_out")) {
            (Some(shown), None) => Ok(shown.clone()),
            (None, Some(left_out)) => Err(left_out.as_str().unwrap().to_owned()),
            (None, None) if case["as_sent"] == true => Ok(case["schema"].clone()),
            _ => panic!("{name}: what is right?"),
        };
        let found = repaired(&sent);
        let read = |schema: &RawValue| serde_json::from_str::<Value>(schema.get()).unwrap();
        let shown = found.as_ref().map(|schema| read(schema)).map_err(ToString::to_string);
        if shown != expected {
            wrong.push(format!("{name}: not {expected:?}\n     but {shown:?}"));
        }
        let Ok(schema) = found else { continue };
        if let Some(complaint) = complaint(&read(&schema)) {
            wrong.push(format!("{name}: {complaint}"));
        }
        if case["as_sent"] == true && schema.get() != sent.get() {
            wrong.push(format!("{name}: was written anew"));
        }
        if repaired(&schema).unwrap().get() != schema.get() {
            wrong.push(format!("{name}: mended twice is not mended once"));
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
