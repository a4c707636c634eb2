//! Private routes: what one component proves to another, and a walk of a component's private routes with everything that proves nothing.

use std::collections::BTreeSet;

use axum::{Router, body::Body};
use domain::{Id, Timestamp};
use futures::executor::block_on;
use http::{Method, Request, header};
use identity::Purpose;
use inside_token::{About, Signer};
use native_sqlite::SqliteFile;
use storage::{
    api_keys::NewApiKey,
    inside_keys::{InsideKey, NewInsideKey},
    invitations::Maker,
};
use web::App;

use crate::{Fixture, answer, permissions, request};

impl Fixture {
    /// The proof that a component calls another for a person and a run, as a token.
    #[must_use]
    pub fn proof(&self, caller: &'static str, callee: &str, user_id: Option<Id>, run_id: Id) -> String {
        let app = self.new_instance().of_component(caller);
        let header = block_on(app.prove(callee, user_id, &run_id.to_string())).expect("a call can be signed");
        let text = header.to_str().expect("it is text");
        text.strip_prefix("Bearer ").expect("it is a bearer token").to_owned()
    }

    /// Tokens that open no private route of a component: none, those of people and programs, and those of components that are expired, of an unknown or
    /// another's key, or for other callees.
    fn wrong_proofs(&self, callee: &str) -> Vec<(String, Option<String>)> {
        let (user, session) = self.person("walker@example.org");
        let key = identity::api_key::ApiKey::new().expect("a key can be made");
        let new = NewApiKey { name: "k", prefix: key.prefix(), hash: &key.hash(), scopes: "*", expires_at: None };
        let maker = Maker { user_id: user.id, access_version: user.access_version };
        block_on(self.app.store().create_api_key(user.id, new, maker)).expect("it answers").expect("a key is stored");
        let mut all = vec![
            ("nothing".to_owned(), None),
            ("rubbish".to_owned(), Some("x.y.z".to_owned())),
            ("a session".to_owned(), Some(session)),
            ("a program".to_owned(), Some(self.token(&user, Purpose::Gateway))),
            ("an API key".to_owned(), Some(key.to_string())),
        ];
        let about = About { user_id: None, request_id: "r" };
        let now_ms = Timestamp::now().as_millis();
        for caller in ["stream", "chat", "ops", "tools", "auth", "mcp-web"] {
            let signer = Signer::generate(caller);
            let sign = |callee: &str, at_ms| signer.sign(callee, about, at_ms).expect("it can be signed");
            let unknown = Signer::generate(caller).sign(callee, about, now_ms).expect("it can be signed");
            all.push((format!("an unknown key of {caller}"), Some(unknown)));
            let public = signer.public_key();
            let key = InsideKey { id: public.id, caller: public.caller, public_key: public.jwk };
            let new = NewInsideKey { key, private_key: signer.private_key() };
            block_on(self.app.store().add_inside_key(&new)).expect("it answers");
            all.push((format!("an expired token of {caller}"), Some(sign(callee, now_ms - 60_000))));
            all.push((format!("a token of {caller} of the future"), Some(sign(callee, now_ms + 60_000))));
            for other in ["auth", "chat", "stream", "tools", "admin", "oauth", "mcp-clock", ""] {
                if other != callee {
                    all.push((format!("a token of {caller} for {other}"), Some(sign(other, now_ms))));
                }
            }
            if !inside_token::may_call(caller, callee) {
                all.push((format!("a token of {caller}"), Some(sign(callee, now_ms))));
            }
        }
        all
    }
}

/// Sends everything that proves nothing to every private route of a component. `callers` says who may call each; what others that may call the component
/// send is refused, too.
///
/// # Panics
/// When one is answered otherwise than with 401 `inside_token`, or there is a route that is not listed.
pub async fn walk(
    component: &'static str,
    callers: &[(&str, &'static str)],
    router: impl Fn(App<SqliteFile>) -> Router,
) {
    let fixture = Fixture::default();
    let app = || fixture.new_instance().of_component(component);
    let found = permissions::private_paths(&router(app()));
    let listed: BTreeSet<String> = callers.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(found, listed, "who may call each private route is written in the test");
    let wrong = fixture.wrong_proofs(component);
    for (path, caller) in callers {
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let ask = async |token: Option<&str>| {
                let mut asked: Request<Body> = request(method.clone(), path, token, None);
                asked.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
                answer(router(app()), asked).await
            };
            if ask(None).await.status.as_u16() == 405 {
                continue;
            }
            for (what, token) in &wrong {
                let answered = ask(token.as_deref()).await;
                let said = (answered.status.as_u16(), answered.json["code"].as_str().unwrap_or_default().to_owned());
                assert_eq!(said, (401, "inside_token".to_owned()), "{method} {path} with {what}: {}", answered.text);
            }
            let may_call = |other: &&str| callers.contains(&(*path, *other));
            for other in ["stream", "chat", "ops", "tools"].into_iter().filter(|other| !may_call(other)) {
                let token = fixture.proof(other, component, None, Id::new());
                let answered = ask(Some(&token)).await;
                assert_eq!(answered.json["code"], "inside_token", "{method} {path} with a token of {other}");
            }
            let token = fixture.proof(caller, component, Some(Id::new()), Id::new());
            let answered = ask(Some(&token)).await;
            assert_ne!(answered.json["code"], "inside_token", "{method} {path} refuses {caller}");
        }
    }
}
