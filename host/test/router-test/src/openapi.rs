//! Holds that `static/public/openapi.json` says what the routers answer.
//!
//! Each handler is described beside its code by `#[utoipa::path]`, in test builds only, so that no guest carries it. A component's test gives the
//! descriptions of its handlers to [`compare`], which asks the router itself who may call what, adds what holds for every route ([`common`]), and
//! compares the result with the document. [`answers`] holds every answer that any test of a router gets against the document.

pub(crate) mod answers;
mod common;
mod schemas;

use std::{collections::BTreeSet, fs, path::PathBuf};

use axum::Router;
use futures::executor::block_on;
use http::Method;
use identity::Purpose;
use native_sqlite::SqliteFile;
use serde_json::{Map, Value};
use web::App;

use crate::{
    Fixture, answer,
    permissions::{METHODS, NOTHING, filled, paths},
    request,
};

/// Set to anything, it makes the tests write the document instead of comparing with it.
const WRITE: &str = "WRITE_OPENAPI";

/// The gateway, which says to all methods but one that they are not allowed, once it knows who asks.
const GATEWAY: &str = "/mcp";

/// A method of a path, and who may call it.
#[derive(Debug)]
struct Route {
    path: String,
    method: Method,
    access: Access,
}

/// Who may call a route, as the router answers.
#[derive(Debug)]
enum Access {
    /// Everybody.
    Open,
    /// Whoever has a secret that the route itself takes, which is no session.
    OwnProof,
    /// Whoever has one of these, and the permission if there is one.
    Secured { permission: Option<String>, session: bool, key: bool, gateway_token: bool },
}

/// Compares what a component says about its routes with what its router answers, and both with the document. Runs on paused time ([`crate::paused`]).
///
/// # Panics
/// When they differ.
pub async fn compare(part: utoipa::openapi::OpenApi, router: impl Fn(App<SqliteFile>) -> Router) {
    let part = serde_json::to_value(part).expect("a description is JSON");
    let routes = walk(router).await;
    let described = operations(&part).map(|(path, method, _)| format!("{} {path}", method.to_uppercase()));
    let described: BTreeSet<String> = described.collect();
    let found = routes.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    assert_eq!(described, found, "left are the routes that are described, right those that the router has");
    held(part, &routes);
}

/// The same for a component whose routes are open to everybody and cannot be asked natively.
///
/// # Panics
/// When its description and the document differ.
pub fn compare_open(part: utoipa::openapi::OpenApi) {
    let part = serde_json::to_value(part).expect("a description is JSON");
    let route = |(path, method, _): (&str, &str, &Value)| Route {
        path: path.to_owned(),
        method: method.to_uppercase().parse().expect("a method"),
        access: Access::Open,
    };
    let routes: Vec<Route> = operations(&part).map(route).collect();
    held(part, &routes);
}

/// Completes a component's part, and holds the document against it, or writes it.
fn held(mut part: Value, routes: &[Route]) {
    let mut answers = Map::new();
    for Route { path, method, access } in routes {
        let operation = &mut part["paths"][path][method.as_str().to_lowercase()];
        answers.extend(common::complete(operation, path, method, access));
    }
    part["components"]["responses"] = Value::Object(answers);
    schemas::tidy(&mut part);
    let document = written();
    let joined = joined(&document, &part);
    if std::env::var_os(WRITE).is_some() {
        let text = serde_json::to_string_pretty(&sorted(&joined)).expect("it is JSON");
        fs::write(file(), text + "\n").expect("the document can be written");
    } else if let Some(place) = difference("", &document, &joined) {
        panic!(
            "openapi.json is not what the code says: {place}. If the code is right, run the test again with {WRITE}=1"
        );
    }
}

/// Asks for every method of every path, without anything and with everything that may open it.
async fn walk(router: impl Fn(App<SqliteFile>) -> Router) -> Vec<Route> {
    let fixture = Fixture::default();
    let _ = fixture.person("first@example.org");
    block_on(fixture.app.store().set_role(NOTHING, "", 1)).expect("a role can be made");
    let (admin, session) = fixture.person_with("admin@example.org", "admin");
    let gateway_token = fixture.token(&admin, Purpose::Gateway);
    let (_, key) = fixture.api_key(&admin, "*");
    let (nobody, nobodys_session) = fixture.person_with("nothing@example.org", NOTHING);
    let nobodys_token = fixture.token(&nobody, Purpose::Gateway);
    let app = fixture.new_instance();
    let all = paths(&router(app.clone()));
    // A path with a slash at its end is the same as without.
    let is_twin = |path: &str| path.strip_suffix('/').is_some_and(|path| all.contains(path));
    let mut routes = Vec::new();
    for path in all.iter().filter(|path| !is_twin(path)) {
        for method in METHODS.into_iter().filter(|method| *method == Method::POST || !path.starts_with(GATEWAY)) {
            let ask = async |token: Option<&str>| {
                answer(router(app.clone()), request(method.clone(), &filled(path), token, None)).await
            };
            let opens = async |token: &str| {
                let answer = ask(Some(token)).await;
                answer.status.as_u16() != 401 && answer.json["code"] != "key_not_allowed"
            };
            let without = ask(None).await.status.as_u16();
            let (session, key) = (opens(&session).await, opens(&key).await);
            let with_token = ask(Some(&gateway_token)).await.status.as_u16();
            if without == 405 || with_token == 405 {
                continue;
            }
            let gateway_token = with_token != 401;
            let access = match (without != 401, session || key || gateway_token) {
                (true, _) => Access::Open,
                (false, false) => Access::OwnProof,
                (false, true) => {
                    let token = if session { &nobodys_session } else { &nobodys_token };
                    let permission = ask(Some(token)).await.json["permission"].as_str().map(str::to_owned);
                    Access::Secured { permission, session, key, gateway_token }
                }
            };
            // A rest of a path is a parameter like others.
            routes.push(Route { path: path.replace("{*", "{"), method, access });
        }
    }
    routes
}

/// The operations of a document: path, method in small letters, and what is said.
fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten();
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

/// The document with this part instead of what it had of the component. A tag belongs to one component, so it says whose an operation is.
fn joined(document: &Value, part: &Value) -> Value {
    let tags = |document: &Value| document["tags"].as_array().cloned().unwrap_or_default();
    let ours: Vec<Value> = tags(part).into_iter().map(|mut tag| tag["name"].take()).collect();
    let mut joined = common::document();
    let is_ours = |operation: &Value| {
        operation["tags"].as_array().is_some_and(|tags| tags.first().is_some_and(|tag| ours.contains(tag)))
    };
    for (path, method, operation) in operations(document).filter(|(_, _, operation)| !is_ours(operation)) {
        joined["paths"][path][method] = operation.clone();
    }
    for (path, method, operation) in operations(part) {
        assert!(is_ours(operation), "{method} {path} needs a tag that its component describes");
        joined["paths"][path][method] = operation.clone();
    }
    // Theirs stay in their order, and ours where they were.
    let before = tags(document);
    let place = before.iter().position(|tag| ours.contains(&tag["name"])).unwrap_or(before.len());
    let (first, last) = before.split_at(place);
    let last = last.iter().filter(|tag| !ours.contains(&tag["name"]));
    let all = first.iter().cloned().chain(tags(part)).chain(last.cloned()).collect();
    joined["tags"] = Value::Array(all);
    for kind in ["schemas", "responses"] {
        let named = |document: &Value| document["components"][kind].as_object().cloned().unwrap_or_default();
        for (name, value) in named(document).into_iter().chain(named(part)) {
            joined["components"][kind][name] = value;
        }
    }
    schemas::keep_used(&mut joined);
    joined
}

/// What is written; nothing if there is no document yet.
fn written() -> Value {
    let text = fs::read_to_string(file()).unwrap_or_else(|_| "{}".to_owned());
    serde_json::from_str(&text).expect("the document is JSON")
}

fn file() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../static/public/openapi.json"))
}

/// Where two values differ first, and how.
fn difference(place: &str, written: &Value, wanted: &Value) -> Option<String> {
    match (written, wanted) {
        (Value::Object(before), Value::Object(after)) => {
            let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            names.into_iter().find_map(|name| difference(&format!("{place}/{name}"), &written[name], &wanted[name]))
        }
        _ if written == wanted => None,
        _ => Some(format!("at {place} there is {written}, and should be {wanted}")),
    }
}

/// With the fields of all objects in one order, whatever a build of the JSON crate does with them.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let names: BTreeSet<&String> = fields.keys().collect();
            Value::Object(names.into_iter().map(|name| (name.clone(), sorted(&fields[name]))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component whose test forgot to describe its routes has them in the table of permissions.
    #[test]
    fn every_route_of_the_table_of_permissions_is_described_and_no_other() {
        let table = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/permissions.md")).unwrap();
        let routes = table.lines().filter_map(|row| row.strip_prefix("| `")?.split_once('`')?.0.rsplit_once(' '));
        let mut listed = BTreeSet::from(["GET /health".to_owned(), "GET /ready".to_owned()]);
        for (methods, path) in routes {
            let is_twin = path.ends_with('/');
            let is_taken = |method: &&str| !path.starts_with(GATEWAY) || *method == "POST";
            let taken = methods.split(", ").filter(is_taken).filter(|_| !is_twin);
            listed.extend(taken.map(|method| format!("{method} {}", path.replace("{*", "{"))));
        }
        let document = written();
        let described = operations(&document).map(|(path, method, _)| format!("{} {path}", method.to_uppercase()));
        assert_eq!(described.collect::<BTreeSet<_>>(), listed, "left is openapi.json, right docs/permissions.md");
    }
}
