//! Holds every answer that a test of a router gets against `static/public/openapi.json`: its status, the code of a problem, its media type, and whether
//! its JSON fits the schema. So every test of a route is one of the document, too.

use std::{
    collections::BTreeMap,
    sync::{Mutex, OnceLock, PoisonError},
};

use http::{Method, header};
use serde_json::Value;

use super::{WRITE, schemas, written};
use crate::Answer;

/// The document, and the schemas that were looked up in it, by their place.
#[derive(Default)]
struct Document {
    document: Value,
    schemas: Mutex<BTreeMap<String, Value>>,
}

/// Holds an answer against the document. What it does not describe, such as the routes of a test's own router, is let pass: that every route of a
/// component is described is another test.
///
/// # Panics
/// When the document does not say that the route may answer so.
pub(crate) fn check(method: &Method, path: &str, answer: &Answer) {
    static DOCUMENT: OnceLock<Document> = OnceLock::new();
    if std::env::var_os(WRITE).is_some() {
        return;
    }
    let Document { document, schemas: looked_up } =
        DOCUMENT.get_or_init(|| Document { document: written(), ..Document::default() });
    let Some(template) = template(document, path) else { return };
    let operation = &document["paths"][template][method.as_str().to_lowercase()];
    if operation.is_null() {
        return;
    }
    let status = answer.status.as_str();
    let responses = &operation["responses"];
    let mut response = responses.get(status).unwrap_or(&responses["default"]);
    let place = format!("{method} {template} {status}");
    assert!(response.is_object(), "openapi.json does not say that it may answer so: {place}: {}", answer.text);
    if let Some(name) = response["$ref"].as_str().and_then(|to| to.rsplit('/').next()) {
        response = &document["components"]["responses"][name];
    }
    let content_type =
        answer.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default();
    if answer.text.is_empty() {
        return;
    }
    let schema = &response["content"][media_type]["schema"];
    assert!(
        schema.is_object(),
        "openapi.json does not say that this has a body of {media_type}: {place}: {}",
        answer.text
    );
    if !media_type.ends_with("json") {
        return;
    }
    let mut looked_up = looked_up.lock().unwrap_or_else(PoisonError::into_inner);
    let schema = looked_up.entry(format!("{place} {media_type}")).or_insert_with(|| schemas::whole(schema, document));
    match json_schema::check(schema, &answer.json) {
        Ok(problems) if problems.is_empty() => {}
        Ok(problems) => panic!("{place} is answered otherwise than openapi.json says: {problems:?}: {}", answer.text),
        Err(error) => panic!("the schema of {place} cannot be used: {error}"),
    }
}

/// The path of the document that a path fits; one without parameters first.
fn template<'a>(document: &'a Value, path: &str) -> Option<&'a str> {
    let paths = document["paths"].as_object()?;
    let fits = |template: &&String| {
        let (mut wanted, mut given) = (template.split('/'), path.split('/'));
        loop {
            match (wanted.next(), given.next()) {
                (None, None) => return true,
                (Some(wanted), Some(given)) if wanted.starts_with('{') || wanted == given => {}
                _ => return false,
            }
        }
    };
    paths.get_key_value(path).map(|(template, _)| template).or_else(|| paths.keys().find(fits)).map(String::as_str)
}
