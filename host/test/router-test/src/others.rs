//! Sends every method to every route of a component that has an id in its path, once with the id of something that belongs to another person and once
//! with an id that nothing has. The two answers must be the same, byte for byte but for the id, and cost the same statements in the same number: then
//! neither says, and neither takes a time that says, whether there is such a thing. The routes are those that the router has, so none can be forgotten.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{Router, body::Body};
use domain::{AssistantContents, Id, RunState, User};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use identity::Purpose;
use native_sqlite::SqliteFile;
use serde_json::json;
use storage::{
    Database, DatabaseError, Dialect, Row, Statement, Store, TransactionOutcome,
    approvals::Question,
    assistants::{AssistantSaved, Viewer},
    files::{FileCreated, NewFile, ReceivedPiece},
    grants::NewGrant,
    invitations::Maker,
    messages::{Appended, IncomingMessage},
    runs::{Batch, Ending, Lease},
    sessions::TokenHashes,
    webhooks::{NewWebhook, WebhookOwner},
};
use web::{App, Site};

use crate::{Answer, Fixture, answer, permissions::all_paths, request};

/// The methods that a route may take.
const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// Where everything is the installation's and permissions decide: who has none learns nothing, and an administrator may see all.
const OF_INSTALLATION: &str = "/api/admin/";

/// Longer than a test, on however busy a machine.
const LONG_MS: i64 = 60 * 60 * 1_000;

/// A database that records its statements.
#[derive(Debug)]
pub struct Watched {
    file: SqliteFile,
    statements: Arc<Mutex<Vec<String>>>,
}

impl Database for Watched {
    fn dialect(&self) -> Dialect {
        self.file.dialect()
    }

    async fn query(&self, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        let said = format!("{}: {}", statement.name, statement.sql);
        self.statements.lock().unwrap_or_else(PoisonError::into_inner).push(said);
        self.file.query(statement).await
    }

    async fn transaction(&self, statements: Vec<Statement>) -> Result<TransactionOutcome, DatabaseError> {
        self.file.transaction(statements).await
    }
}

/// The answer of a component's router to a request at an instance that knows nothing yet, and the statements that it cost.
pub async fn with_statements(
    fixture: &Fixture,
    router: impl Fn(App<Watched>) -> Router,
    request: Request<Body>,
) -> (Answer, Vec<String>) {
    // Another instance, which knows nothing yet: so each request reads the same.
    let (app, statements) = watched(fixture);
    let answer = answer(router(app), request).await;
    let statements = std::mem::take(&mut *statements.lock().unwrap_or_else(PoisonError::into_inner));
    (answer, statements)
}

/// What a request came to.
#[derive(PartialEq, Eq, Debug)]
struct Heard {
    status: StatusCode,
    headers: HeaderMap,
    /// The body, with `ID` for the id of the request.
    text: String,
    statements: Vec<String>,
}

/// Compares the answers of a component's router for other people's things with those for things that do not exist. Runs on paused time
/// ([`crate::paused`]).
///
/// # Panics
/// When they differ, or when something of the other person has changed.
pub async fn compare_others(router: impl Fn(App<Watched>) -> Router) {
    let fixture = Fixture::default();
    // The first account is an administrator's.
    let (administrator, _) = fixture.person("admin@example.org");
    let (member, _) = fixture.person("member@example.org");
    let (owner, _) = fixture.person("owner@example.org");
    let store = fixture.app.store();
    let things = things_of(&fixture, &owner).await;
    let before = seen_by_owner(store, &owner, &things).await;
    let routes = all_paths(&router(watched(&fixture).0));
    let routes: Vec<&String> = routes.iter().filter(|path| !ids(path).is_empty()).collect();
    assert!(!routes.is_empty(), "no route has an id in its path");
    for (user, sees_all) in [(&member, false), (&administrator, true)] {
        // Who asks has as much, so nothing has to be made for them first.
        let _ = things_of(&fixture, user).await;
        let tokens = [fixture.token(user, Purpose::Session), fixture.token(user, Purpose::Gateway)];
        for path in routes.iter().filter(|path| !(sees_all && path.starts_with(OF_INSTALLATION))) {
            for (kind, thing) in &things {
                for (method, token) in METHODS.iter().flat_map(|method| tokens.iter().map(move |it| (method, it))) {
                    let ask = async |id: Id| ask(&fixture, &router, (method, path.as_str()), token, id).await;
                    let (theirs, nothing) = (ask(*thing).await, ask(Id::new()).await);
                    assert_eq!(theirs, nothing, "{method} {path} tells whether there is a {kind}");
                    let expected = match theirs.status.as_u16() {
                        405 | 401 => true,
                        403 => path.starts_with(OF_INSTALLATION),
                        status => status == 404,
                    };
                    assert!(expected, "{method} {path} of somebody else's {kind}: {} {}", theirs.status, theirs.text);
                }
            }
        }
    }
    assert_eq!(seen_by_owner(store, &owner, &things).await, before, "what somebody else did changed it");
}

/// The ids in a route's path, as it names them.
fn ids(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| part.starts_with('{') && part.trim_end_matches('}').ends_with("id")).collect()
}

fn watched(fixture: &Fixture) -> (App<Watched>, Arc<Mutex<Vec<String>>>) {
    let statements = Arc::<Mutex<Vec<String>>>::default();
    let database = Watched { file: fixture.another_connection(), statements: Arc::clone(&statements) };
    (App::new(database, Site::default()), statements)
}

async fn ask(
    fixture: &Fixture,
    router: &impl Fn(App<Watched>) -> Router,
    (method, path): (&Method, &str),
    token: &str,
    id: Id,
) -> Heard {
    let id = id.to_string();
    let parts: Vec<&str> = path.split('/').map(|part| if part.starts_with('{') { id.as_str() } else { part }).collect();
    // What any of the routes wants.
    let body = json!({"title": "t", "content": "hello", "call_id": "call", "decision": "allow_once"});
    let body = (*method != Method::GET && *method != Method::DELETE).then_some(&body);
    let mut request = request(method.clone(), &parts.join("/"), Some(token), body);
    request.headers_mut().insert(problem::REQUEST_ID, HeaderValue::from_static("request"));
    let (answer, statements) = with_statements(fixture, router, request).await;
    Heard { status: answer.status, headers: answer.headers, text: answer.text.replace(&id, "ID"), statements }
}

/// Something of everything that a person can have and a path can name, with what it is.
async fn things_of(fixture: &Fixture, owner: &User) -> Vec<(&'static str, Id)> {
    let store = fixture.app.store();
    let mut things = vec![("account", owner.id), ("API key", fixture.api_key(owner, "*").0)];
    for kind in ["run that waits", "run that goes on", "run that was stopped"] {
        let conversation = store.create_conversation(owner.id, "t", None).await.expect("it answers").id;
        let incoming =
            IncomingMessage { content: "hello", title: "t", default_model: "m", ..IncomingMessage::default() };
        let sent = store.append_message(owner.id, conversation, &incoming).await.expect("it answers");
        let Appended::Stored(message, run, _) = sent else { panic!("not stored: {sent:?}") };
        things.extend([("conversation", conversation), ("message", message.id), (kind, run.id)]);
        if kind == "run that waits" {
            continue;
        }
        let lease = Lease { run_id: run.id, owner: Id::new() };
        store.claim(lease, LONG_MS, "").await.expect("it answers").expect("nobody has it");
        let question = Question { call_id: "call", server: "clock", tool: "now", always_asks: false };
        store.ask_approval(lease, owner.id, question, LONG_MS).await.expect("it answers").expect("it is asked");
        if kind == "run that was stopped" {
            let batch = Batch { last_id: 1, frames: "end".into() };
            let ending = Ending { state: RunState::Cancelled, failure: None, usage: None, message: None, batch };
            assert!(store.finish_run(lease, &ending).await.expect("it answers"));
        }
    }
    let contents = AssistantContents { name: "a".into(), ..AssistantContents::default() };
    let made = store.create_assistant(owner.id, &contents, &[]).await.expect("it answers");
    let AssistantSaved::Saved(assistant) = made else { panic!("not made: {made:?}") };
    things.push(("assistant", assistant.id));
    let run = things.iter().find(|(kind, _)| kind.starts_with("run")).expect("it was begun").1;
    store.remember(owner.id, run, "likes tea", None).await.expect("it answers");
    let memories = store.memories(owner.id).await.expect("it answers");
    things.extend(memories.iter().map(|memory| ("memory", memory.id)));
    let hashes = |name: &str| TokenHashes { token: name.into(), family: name.into() };
    let (session, program) = (Id::new(), Id::new());
    let begun = store.create_session(session, owner, &hashes("session"), LONG_MS).await.expect("it answers");
    let new = NewGrant {
        client_id: "c",
        client_name: "c",
        redirect_uri: "https://a.example/cb",
        code_challenge: "x",
        resource: "/mcp",
        scopes: "gateway:use",
    };
    let of = (owner.id, owner.access_version);
    assert!(begun && store.create_grant(program, of, &hashes("code"), new, LONG_MS).await.expect("it answers"));
    let maker = Maker { user_id: owner.id, access_version: owner.access_version };
    let invitation = store.create_invitation(&session.to_string(), "member", maker, LONG_MS).await;
    let invitation = invitation.expect("it answers").expect("its maker may").id;
    things.extend([("session", session), ("program's grant", program), ("invitation", invitation)]);
    let webhook =
        NewWebhook { id: Id::new(), server: "https://a.example:443", events: &["run.ended".to_owned()], sealed: "" };
    assert!(store.add_webhook(WebhookOwner::Person(owner.id), webhook).await.expect("it answers"));
    things.push(("webhook", webhook.id));
    for is_ready in [false, true] {
        let new = NewFile { name: "f", size: 5, is_in_objects: false, quota_bytes: 10 };
        let FileCreated::Created(file) = store.create_file(owner.id, &new).await.expect("it answers") else { panic!() };
        things.push(("file", file.id));
        if is_ready {
            let sealed = Some(file.seal(0, b"hello").expect("it has a key"));
            let piece = ReceivedPiece { number: 0, sealed, received: 5, media_type: Some("text/plain"), is_last: true };
            assert!(store.receive_piece(owner.id, &file, &piece).await.expect("it answers"));
        }
    }
    things
}

/// What the owner sees of their things.
async fn seen_by_owner(store: &Store<SqliteFile>, owner: &User, things: &[(&'static str, Id)]) -> String {
    let mut seen = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        store.memories(owner.id).await.expect("it answers"),
        store.files(owner.id, None, 100).await.expect("it answers"),
        store.webhooks(WebhookOwner::Person(owner.id)).await.expect("it answers"),
        store.user(owner.id).await.expect("it answers"),
        store.conversations(owner.id, None, 100, true).await.expect("it answers"),
        store.assistants(Viewer { user_id: owner.id, manages_shared: false }, None, 100).await.expect("it answers"),
        store.api_keys(owner.id).await.expect("it answers"),
        store.open_sessions(Some(owner.id), None, 100).await.expect("it answers"),
        store.invitations(None, 100).await.expect("it answers").iter().map(|it| (it.id, it.revoked_at)).next_back(),
    );
    for (_, id) in things {
        seen.push_str(&format!(
            " {:?} {:?}",
            store.run(owner.id, *id).await.expect("it answers"),
            store.messages(owner.id, *id, 0, 100, 1_000).await.expect("it answers")
        ));
    }
    seen
}
