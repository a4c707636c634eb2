//! Runs a component's router natively on its own SQLite file, as Spin would call it: a request in, an answer out.
//!
//! For the tests of components and of the crates that they use. Behaviour that needs Spin itself is tested from outside.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot be set up fails")]

mod authorization;
pub mod inside;
pub mod openapi;
pub mod others;
pub mod permissions;
mod surroundings;

use axum::{
    Router,
    body::{Body, to_bytes},
};
use domain::{Id, Timestamp, User};
use futures::executor::block_on;
use http::{HeaderMap, Method, Request, StatusCode, header};
use identity::{Issuer, Purpose, api_key::ApiKey};
use jwt_simple::prelude::{Claims, Duration, Ed25519KeyPair, EdDSAKeyPairLike as _};
use native_sqlite::SqliteFile;
use serde_json::Value;
use storage::{
    accounts::{AccountChange, AccountChanged},
    api_keys::NewApiKey,
    invitations::Maker,
    migration::migrate,
    signing_keys::SigningKey,
    users::{NewUser, Opening},
};
use web::{App, Site};

pub use authorization::AuthorizationServer;
pub use surroundings::{ScriptedTask, Surroundings, ToolServer, paused};

/// Longer than all our answers.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// An app with a database and an issuer of tokens.
#[derive(Debug)]
pub struct Fixture {
    /// The app, with a migrated file.
    pub app: App<SqliteFile>,
    issuer: Issuer,
    folder: tempfile::TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body as JSON; null if it is not JSON.
    pub json: Value,
    /// The same as text.
    pub text: String,
}

impl Default for Fixture {
    fn default() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = SqliteFile::open(&folder.path().join("db")).expect("a file can be opened");
        let issuer = Issuer::generate();
        let private_key = Some(issuer.private_key());
        let key = SigningKey {
            id: issuer.id().to_owned(),
            public_key: issuer.public_key(),
            private_key,
            text_key: Some(issuer.text_key()),
        };
        let app = block_on(async {
            migrate(&file).await.expect("a new file can be migrated");
            let app = App::new(file, Site::default());
            app.store().add_first_signing_key(&key).await.expect("a key can be kept");
            app
        });
        Self { app, issuer, folder }
    }
}

impl Fixture {
    /// Makes an account, and a token of its session.
    #[must_use]
    pub fn person(&self, email: &str) -> (User, String) {
        let user = NewUser { email, name: "", password_hash: "none" };
        let user = block_on(self.app.store().create_user(user, Opening::Open))
            .expect("it answers")
            .expect("the address is free");
        let token = self.token(&user, Purpose::Session);
        (user, token)
    }

    /// The same with another role.
    #[must_use]
    pub fn person_with(&self, email: &str, role: &str) -> (User, String) {
        let (user, _) = self.person(email);
        let user = self.change(&user, AccountChange { role: Some(role), is_suspended: None });
        let token = self.token(&user, Purpose::Session);
        (user, token)
    }

    /// Changes an account, as an administrator would. [`Self::app`] may know of it up to a second later, a [new instance](Self::new_instance)
    /// at once.
    #[must_use]
    pub fn change(&self, user: &User, change: AccountChange<'_>) -> User {
        match block_on(self.app.store().change_account(user, change)) {
            Ok(AccountChanged::Changed(user)) => user,
            other => panic!("the account can be changed: {other:?}"),
        }
    }

    /// An app as another instance or host has it.
    #[must_use]
    pub fn new_instance(&self) -> App<SqliteFile> {
        App::new(self.another_connection(), Site::default())
    }

    /// Another connection to the same database.
    #[must_use]
    pub fn another_connection(&self) -> SqliteFile {
        SqliteFile::open(&self.folder.path().join("db")).expect("a file can be opened")
    }

    /// An API key of an account with these scopes, separated by spaces: its id, and the key itself.
    #[must_use]
    pub fn api_key(&self, user: &User, scopes: &str) -> (Id, String) {
        let key = ApiKey::new().expect("a key can be made");
        let new = NewApiKey { name: "key", prefix: key.prefix(), hash: &key.hash(), scopes, expires_at: None };
        let maker = Maker { user_id: user.id, access_version: user.access_version };
        let made = block_on(self.app.store().create_api_key(user.id, new, maker)).expect("it answers");
        (made.expect("there is room for a key").id, key.to_string())
    }

    /// A token of an account.
    #[must_use]
    pub fn token(&self, user: &User, purpose: Purpose) -> String {
        self.issuer.issue(user, None, purpose, Timestamp::now()).expect("a token can be signed")
    }

    /// A token of a session.
    #[must_use]
    pub fn token_of(&self, user: &User, session_id: Id) -> String {
        self.issuer.issue(user, Some(session_id), Purpose::Session, Timestamp::now()).expect("a token can be signed")
    }

    /// A token as a release before roles issues it: `admin` or `user`, and nothing about the session or the account's changes.
    #[must_use]
    pub fn token_of_earlier_release(&self, user: &User, role: &str) -> String {
        let key =
            Ed25519KeyPair::from_pem(&self.issuer.private_key()).expect("it is a key").with_key_id(self.issuer.id());
        let claims = Claims::with_custom_claims(FormerClaims { role: role.to_owned() }, Duration::from_mins(15))
            .with_subject(user.id)
            .with_issuer("edge-assistant")
            .with_audience("edge-assistant");
        key.sign(claims).expect("a token can be signed")
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct FormerClaims {
    role: String,
}

/// A request, with a JSON body if there is one.
#[must_use]
pub fn request(method: Method, path: &str, token: Option<&str>, body: Option<&Value>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    request.body(body.map_or_else(Body::empty, |body| Body::from(body.to_string()))).expect("it is well formed")
}

/// Sends a request through everything that a component does with it.
#[must_use]
pub fn send(router: Router, request: Request<Body>) -> Answer {
    block_on(answer(router, request))
}

/// The same on paused time.
pub async fn answer(router: Router, request: Request<Body>) -> Answer {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let (head, body) = web::serve("test", router, request).await.into_parts();
    let bytes = to_bytes(body, MAX_BODY_BYTES).await.expect("the body can be read");
    let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let answer = Answer { status: head.status, headers: head.headers, json, text };
    openapi::answers::check(&method, &path, &answer);
    answer
}
