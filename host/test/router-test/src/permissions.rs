//! Walks every route and method of a component with every role and with nobody, and compares what is answered with `docs/permissions.md`. The
//! routes are those that the router has, so none can be forgotten.

use std::{collections::BTreeSet, fs, path::Path};

use axum::Router;
use futures::executor::block_on;
use http::Method;
use identity::Purpose;
use native_sqlite::SqliteFile;
use web::App;

use crate::{Answer, Fixture, answer, request};

/// The methods that a route may take. `HEAD` comes with `GET`.
pub(crate) const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// A role that allows nothing.
pub(crate) const NOTHING: &str = "nothing";

/// The roles that walk, besides nobody.
const ROLES: [&str; 4] = ["admin", "member", "service", NOTHING];

/// Set to anything, it makes the tests write the document instead of comparing with it.
const WRITE: &str = "WRITE_PERMISSIONS";

/// Somebody who asks: a token of a session, and one for programs.
struct Walker {
    tokens: Option<[String; 2]>,
}

/// Compares what a component's router answers with its table in the document. Runs on paused time ([`crate::paused`]).
///
/// # Panics
/// When they differ.
pub async fn compare_routes(component: &str, router: impl Fn(App<SqliteFile>) -> Router) {
    let fixture = Fixture::default();
    let _ = fixture.person("first@example.org");
    block_on(fixture.app.store().set_role(NOTHING, "", 1)).expect("a role can be made");
    let walkers = ROLES.map(|role| {
        let (user, token) = fixture.person_with(&format!("{role}@example.org"), role);
        Walker { tokens: Some([token, fixture.token(&user, Purpose::Gateway)]) }
    });
    let nobody = Walker { tokens: None };
    let app = fixture.new_instance();
    let mut table = String::from(
        "| route | needs | admin | member | service | no permission | nobody |\n|---|---|---|---|---|---|---|\n",
    );
    for path in paths(&router(app.clone())) {
        // Methods that need and answer the same are one row.
        let mut rows: Vec<(Vec<&str>, String)> = Vec::new();
        for method in &METHODS {
            let ask = async |walker: &Walker| walker.ask(|| router(app.clone()), method, &path).await;
            let without = ask(&nobody).await;
            if without.status.as_u16() == 405 {
                continue;
            }
            let [admin, member, service, nothing] = &walkers;
            let answers = [ask(admin).await, ask(member).await, ask(service).await, ask(nothing).await];
            let needs = needed(&answers, &without);
            let cells: Vec<&str> = answers.iter().chain([&without]).map(|answer| cell(answer, &needs)).collect();
            let said = format!("{needs} | {}", cells.join(" | "));
            match rows.iter_mut().find(|(_, row)| *row == said) {
                Some((methods, _)) => methods.push(method.as_str()),
                None => rows.push((vec![method.as_str()], said)),
            }
        }
        for (methods, said) in rows {
            table.push_str(&format!("| `{} {path}` | {said} |\n", methods.join(", ")));
        }
    }
    compare(component, &table);
}

impl Walker {
    /// With the token that the route takes.
    async fn ask(&self, router: impl Fn() -> Router, method: &Method, path: &str) -> Answer {
        let path = filled(path);
        let ask = |token: Option<&str>| answer(router(), request(method.clone(), &path, token, None));
        let Some([session, gateway]) = &self.tokens else { return ask(None).await };
        let answered = ask(Some(session)).await;
        if answered.status.as_u16() == 401 { ask(Some(gateway)).await } else { answered }
    }
}

/// A path with what is no id and no name: whoever may do something does it to nothing.
pub(crate) fn filled(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
    parts.join("/")
}

/// Where the routes begin that cannot be reached from outside.
const PRIVATE: &str = "/internal";

/// The paths that a router has, but those that cannot be reached from outside.
pub(crate) fn paths(router: &Router) -> BTreeSet<String> {
    all_paths(router).into_iter().filter(|path| !path.starts_with(PRIVATE)).collect()
}

/// The paths of a router that cannot be reached from outside.
pub(crate) fn private_paths(router: &Router) -> BTreeSet<String> {
    all_paths(router).into_iter().filter(|path| path.starts_with(PRIVATE)).collect()
}

/// The paths that a router has. axum shows them nowhere but here.
pub(crate) fn all_paths(router: &Router) -> BTreeSet<String> {
    let shown = format!("{router:?}");
    let ours = |text: &&str| text.len() > 1 && text.starts_with('/') && !text.contains("__private__axum_fallback");
    let paths: BTreeSet<String> = shown.split('"').filter(ours).map(str::to_owned).collect();
    assert!(!paths.is_empty(), "axum no longer shows its paths: {shown}");
    paths
}

/// What a route needs, from what it says to whoever has no permission.
fn needed(answers: &[Answer; 4], nobody: &Answer) -> String {
    let refused = |answer: &Answer| answer.status.as_u16() == 401;
    let [.., nothing] = answers;
    match nothing.json.get("permission").and_then(serde_json::Value::as_str) {
        Some(permission) => format!("`{permission}`"),
        None if !refused(nobody) => "*open*".to_owned(),
        None if answers.iter().all(refused) => "*its own proof*".to_owned(),
        None => "a session".to_owned(),
    }
}

fn cell(answer: &Answer, needs: &str) -> &'static str {
    assert!(!answer.status.is_server_error(), "{}", answer.text);
    match answer.status.as_u16() {
        401 if needs != "*its own proof*" => "401",
        403 if answer.json.get("permission").is_some() => "403",
        _ => "yes",
    }
}

/// Compares a section of the document with what it should be.
///
/// # Panics
/// When they differ.
pub fn compare(section: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/permissions.md");
    let document = fs::read_to_string(&path).expect("docs/permissions.md can be read");
    let (begin, end) = (format!("<!-- {section}: written by its test -->\n"), "<!-- end -->");
    let (before, rest) =
        document.split_once(&begin).unwrap_or_else(|| panic!("docs/permissions.md has no section {begin}"));
    let (written, after) = rest.split_once(end).expect("the section has an end");
    let wanted = format!("\n{table}\n");
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, format!("{before}{begin}{wanted}{end}{after}")).expect("docs/permissions.md can be written");
    } else {
        assert_eq!(
            written, wanted,
            "docs/permissions.md is not what the routes of {section} say. If that is meant, run the test again with {WRITE}=1"
        );
    }
}
