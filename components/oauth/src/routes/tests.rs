//! Programs sign in, over HTTP requests: a program registers, its person decides, tokens are given, refreshed and end.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use domain::User;
use http::{HeaderValue, Method, Request, header};
use identity::Purpose;
use permissions::Action;
use router_test::{Answer, Fixture};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use storage::accounts::AccountChange;
use url::{Url, form_urlencoded};

use super::*;
use crate::document::DocumentError;

mod documents;
mod limits;
mod sessions;

const HERE: &str = "http://127.0.0.1:3000";
const REDIRECT: &str = "http://127.0.0.1:49152/callback";
const DOCUMENT: &str = "https://app.example.org/client.json";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// The one document that there is outside.
#[derive(Clone)]
pub(super) struct Scripted(pub(super) Value);

impl Documents for Scripted {
    async fn fetch(&self, address: &Url) -> Result<Vec<u8>, DocumentError> {
        if address.as_str() == DOCUMENT {
            return Ok(self.0.to_string().into_bytes());
        }
        Err(DocumentError::Unanswered("it is answered with the status 404 Not Found".into()))
    }
}

struct Test {
    fixture: Fixture,
    user: User,
    token: String,
    document: Value,
}

type Parameters = BTreeMap<&'static str, String>;

impl Test {
    fn new() -> Self {
        let fixture = Fixture::default();
        let _ = fixture.person("first@example.org");
        let (user, token) = fixture.person("ada@example.org");
        let document =
            json!({"client_id": DOCUMENT, "client_name": "App", "redirect_uris": ["https://app.example.org/cb"]});
        Self { fixture, user, token, document }
    }

    fn send(&self, mut request: Request<Body>) -> Answer {
        let config = Config { signing_key: String::new(), reads_documents: true, client_address_header: None };
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("127.0.0.1:3000"));
        let app = self.fixture.new_instance();
        router_test::send(router(app, config, Scripted(self.document.clone())), request)
    }

    fn get(&self, path: &str, token: Option<&str>) -> Answer {
        self.send(router_test::request(Method::GET, path, token, None))
    }

    fn register(&self, metadata: &Value) -> Answer {
        self.send(router_test::request(Method::POST, "/oauth/register", None, Some(metadata)))
    }

    fn registered(&self) -> String {
        let metadata = json!({"client_name": "Editor", "redirect_uris": ["http://127.0.0.1/callback"]});
        let answer = self.register(&metadata);
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        answer.json["client_id"].as_str().unwrap().to_owned()
    }

    fn form(&self, path: &str, parameters: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(body)).unwrap())
    }

    fn decide(&self, request: &str, decision: &str) -> Answer {
        let body = json!({"request": request, "decision": decision});
        self.send(router_test::request(Method::POST, "/oauth/authorization", Some(&self.token), Some(&body)))
    }

    fn show(&self, asked: &Parameters) -> Answer {
        self.get(&format!("/oauth/authorization?{}", query(asked)), Some(&self.token))
    }

    /// What the program is called back with, after the person decided.
    fn called_back(&self, asked: &Parameters, decision: &str) -> BTreeMap<String, String> {
        let shown = self.show(asked);
        assert_eq!(shown.status, StatusCode::OK, "{}", shown.text);
        let decided = self.decide(shown.json["request"].as_str().unwrap(), decision);
        assert_eq!(decided.status, StatusCode::OK, "{}", decided.text);
        sent_back(decided.json["redirect_to"].as_str().unwrap())
    }

    fn code(&self, asked: &Parameters) -> String {
        self.called_back(asked, "allow").remove("code").unwrap()
    }

    fn exchange(&self, asked: &Parameters, code: &str) -> Answer {
        self.exchange_with(asked, code, &[])
    }

    fn exchange_with(&self, asked: &Parameters, code: &str, changes: &[(&str, &str)]) -> Answer {
        let mut form = BTreeMap::from([
            ("grant_type", "authorization_code"),
            ("code", code),
            ("client_id", &asked["client_id"]),
            ("redirect_uri", &asked["redirect_uri"]),
            ("code_verifier", VERIFIER),
            ("resource", &asked["resource"]),
        ]);
        form.extend(changes.iter().copied());
        self.form("/oauth/token", &form.into_iter().collect::<Vec<_>>())
    }

    fn refresh(&self, client_id: &str, refresh_token: &str) -> Answer {
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token), ("client_id", client_id)];
        self.form("/oauth/token", &form)
    }

    /// Whether an access token opens the gateway, on another host.
    fn opens(&self, access_token: &Value) -> bool {
        self.opens_at(&self.fixture.new_instance(), access_token)
    }

    fn opens_at(&self, app: &App<impl Database>, access_token: &Value) -> bool {
        let token = access_token.as_str().unwrap();
        futures::executor::block_on(app.authenticate(token, Purpose::Gateway)).is_ok()
    }
}

/// A request as an MCP client makes it.
fn asked(client_id: &str) -> Parameters {
    BTreeMap::from([
        ("client_id", client_id.to_owned()),
        ("redirect_uri", REDIRECT.to_owned()),
        ("response_type", "code".to_owned()),
        ("code_challenge", BASE64.encode(Sha256::digest(VERIFIER))),
        ("code_challenge_method", "S256".to_owned()),
        ("state", "a&b=c".to_owned()),
        ("resource", format!("{HERE}/mcp")),
    ])
}

fn with(mut parameters: Parameters, changes: &[(&'static str, &str)]) -> Parameters {
    for (name, value) in changes {
        parameters.insert(name, (*value).to_owned());
        if value.is_empty() {
            parameters.remove(name);
        }
    }
    parameters
}

fn query(parameters: &Parameters) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

fn sent_back(address: &str) -> BTreeMap<String, String> {
    Url::parse(address).unwrap().query_pairs().into_owned().collect()
}

fn error(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.json["error"].as_str().unwrap_or_default())
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.json["code"].as_str().unwrap_or_default())
}

#[test]
fn a_program_that_was_let_in_has_a_token_for_the_gateway_with_its_scopes() {
    let test = Test::new();
    let asked = with(asked(&test.registered()), &[("scope", "gateway:use tools:call:clock:* openid")]);
    let shown = test.show(&asked).json;
    assert_eq!((&shown["client_name"], &shown["client_host"]), (&json!("Editor"), &Value::Null));
    assert_eq!(shown["redirect_host"], "this computer");
    assert_eq!(shown["scopes"], json!(["gateway:use", "tools:call:clock:*"]));
    let back = test.called_back(&asked, "allow");
    assert_eq!((back["state"].as_str(), back["iss"].as_str()), ("a&b=c", HERE));
    let answer = test.exchange(&asked, &back["code"]);
    assert_eq!((answer.status, &answer.json["token_type"]), (StatusCode::OK, &json!("Bearer")), "{}", answer.text);
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(
        (&answer.json["expires_in"], &answer.json["scope"]),
        (&json!(900), &json!("gateway:use tools:call:clock:*"))
    );
    let token = answer.json["access_token"].as_str().unwrap();
    let app = test.fixture.new_instance();
    let session = futures::executor::block_on(app.authenticate(token, Purpose::Gateway)).unwrap();
    assert_eq!((session.user_id(), session.resource()), (test.user.id, Some("/mcp")));
    let call = |server| session.access().allows(&Action::CallTool { server, tool: "x" });
    assert!(call("clock") && !call("mail"));
    let me = test.get("/oauth/grants", Some(token));
    assert_eq!(code(&me), (401, "unauthenticated"), "it opens nothing else");
    let denied = test.called_back(&asked, "deny");
    assert_eq!((denied["error"].as_str(), denied["iss"].as_str()), ("access_denied", HERE));
    assert!(!denied.contains_key("code"));
}

#[test]
fn a_code_is_used_once_and_one_that_comes_again_ends_what_it_gave() {
    let test = Test::new();
    let asked = asked(&test.registered());
    let code = test.code(&asked);
    let tokens = test.exchange(&asked, &code).json;
    assert!(test.opens(&tokens["access_token"]));
    assert_eq!(error(&test.exchange(&asked, &code)), (400, "invalid_grant"));
    assert!(!test.opens(&tokens["access_token"]));
    let refresh = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(error(&test.refresh(&asked["client_id"], refresh)), (400, "invalid_grant"));
}

#[test]
fn a_code_is_bound_to_its_client_its_redirect_its_verifier_and_its_resource() {
    let test = Test::new();
    let asked = asked(&test.registered());
    let other = test.register(&json!({"client_name": "Other", "redirect_uris": ["http://127.0.0.1/callback"]}));
    let other = other.json["client_id"].as_str().unwrap();
    let wrong_verifier = "x".repeat(43);
    for (change, expected) in [
        (("client_id", other), "invalid_grant"),
        (("redirect_uri", "http://127.0.0.1:49153/callback"), "invalid_grant"),
        (("code_verifier", wrong_verifier.as_str()), "invalid_grant"),
        (("resource", "http://127.0.0.1:3000/mcp/mail"), "invalid_grant"),
        (("resource", "http://other.example/mcp"), "invalid_target"),
        (("code", "eac_x"), "invalid_grant"),
        (("code_verifier", ""), "invalid_request"),
        (("grant_type", "password"), "unsupported_grant_type"),
    ] {
        let code = test.code(&asked);
        let refused = test.exchange_with(&asked, &code, &[change]);
        assert_eq!(error(&refused), (400, expected), "{change:?}");
        if expected == "invalid_grant" && change.0 != "code" {
            assert_eq!(
                error(&test.exchange(&asked, &code)),
                (400, "invalid_grant"),
                "who guesses has one try: {change:?}"
            );
        }
        assert!(refused.json["error_description"].is_string());
    }
    let code = test.code(&asked);
    let sql = "UPDATE sessions SET expires_at = expires_at - 61000";
    let shift = storage::Statement::new("t", sql, []);
    futures::executor::block_on(test.fixture.another_connection().query(shift)).unwrap();
    assert_eq!(error(&test.exchange(&asked, &code)), (400, "invalid_grant"), "after a minute");
    // It is no refresh token either, also not under another name.
    let code = test.code(&asked);
    for token in [code.clone(), code.replacen("eac_", "ear_", 1)] {
        assert_eq!(error(&test.refresh(&asked["client_id"], &token)), (400, "invalid_grant"), "{token}");
    }
}

#[test]
fn a_refresh_token_is_replaced_and_one_that_is_used_late_ends_the_grant() {
    let test = Test::new();
    let asked = asked(&test.registered());
    let client = &asked["client_id"];
    let token = |answer: &Answer| answer.json["refresh_token"].as_str().unwrap_or_default().to_owned();
    let first = token(&test.exchange(&asked, &test.code(&asked)));
    let (second, again) = (test.refresh(client, &first), test.refresh(client, &first));
    assert_eq!((second.status, token(&second)), (again.status, token(&again)), "its answer may have been lost");
    assert_ne!(token(&second), first);
    let other = test.register(&json!({"redirect_uris": ["https://other.example.org/cb"]}));
    let other = other.json["client_id"].as_str().unwrap();
    assert_eq!(error(&test.refresh(other, &token(&second))), (400, "invalid_grant"));
    let third = test.refresh(client, &token(&second));
    assert!(third.status.is_success() && test.opens(&third.json["access_token"]));
    assert_eq!(error(&test.refresh(client, &first)), (400, "invalid_grant"), "two others came after it");
    assert_eq!(error(&test.refresh(client, &token(&third))), (400, "invalid_grant"));
    assert!(!test.opens(&third.json["access_token"]));
}

#[test]
fn nobody_is_sent_where_the_program_is_not_and_a_wrong_request_is_told_to_the_program_if_the_person_wants_it() {
    let test = Test::new();
    let right = asked(&test.registered());
    // A link that everybody can make leads to the page and nowhere else, whatever is in it.
    for request in
        [right.clone(), with(right.clone(), &[("response_type", "token")]), with(right.clone(), &[("client_id", "x")])]
    {
        let began = test.get(&format!("/oauth/authorize?{}", query(&request)), None);
        assert_eq!(began.status.as_u16(), 303);
        assert_eq!(began.headers[header::LOCATION], format!("/authorize?{}", query(&request)));
    }
    let long_scope: String = (0..99).map(|n| format!("tools:call:server:{n:010} ")).collect();
    for (change, expected) in [
        (("redirect_uri", "https://evil.example/callback"), "redirect_refused"),
        (("redirect_uri", "http://127.0.0.1/other"), "redirect_refused"),
        (("client_id", "x"), "client_unknown"),
        (("client_id", ""), "client_unknown"),
        (("state", "x".repeat(3000).as_str()), "invalid_request"),
    ] {
        assert_eq!(code(&test.show(&with(right.clone(), &[change]))), (400, expected), "{change:?}");
    }
    for (change, expected) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("response_mode", "fragment"), "invalid_request"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge_method", ""), "invalid_request"),
        (("resource", "https://other.example.org/mcp"), "invalid_target"),
        (("scope", long_scope.as_str()), "invalid_scope"),
    ] {
        let shown = test.show(&with(right.clone(), &[change])).json;
        assert_eq!(shown["redirect_host"], "this computer");
        let address = shown["redirect_to"].as_str().unwrap();
        assert!(address.starts_with(&format!("{REDIRECT}?")), "{change:?}");
        let back = sent_back(address);
        assert_eq!((back["error"].as_str(), back["iss"].as_str(), back["state"].as_str()), (expected, HERE, "a&b=c"));
    }
}

#[test]
fn a_program_with_one_redirect_need_not_name_it() {
    let test = Test::new();
    let asked = with(asked(&test.registered()), &[("redirect_uri", ""), ("resource", "")]);
    assert_eq!(test.show(&asked).json["resource"], "/mcp");
    let code = test.code(&asked);
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("client_id", &asked["client_id"]),
        ("code_verifier", VERIFIER),
    ];
    let tokens = test.form("/oauth/token", &form);
    assert!(test.opens(&tokens.json["access_token"]), "{}", tokens.text);
}

#[test]
fn a_person_decides_about_what_they_saw_and_nobody_else_decides_for_them() {
    let test = Test::new();
    let asked = asked(&test.registered());
    let path = format!("/oauth/authorization?{}", query(&asked));
    assert_eq!(code(&test.get(&path, None)), (401, "unauthenticated"));
    let (_, nobody) = test.fixture.person_with("c@example.org", "nothing");
    assert_eq!(code(&test.get(&path, Some(&nobody))), (403, "forbidden"));
    let shown = test.show(&asked).json;
    let request = shown["request"].as_str().unwrap();
    assert_eq!(code(&test.decide(request, "maybe")), (422, "invalid_field"));
    let (text, signature) = request.split_once('.').unwrap();
    let text = String::from_utf8(BASE64.decode(text).unwrap()).unwrap();
    let forged = BASE64.encode(text.replace(REDIRECT, "https://evil.example"));
    assert_eq!(code(&test.decide(&format!("{forged}.{signature}"), "allow")), (400, "request_expired"));
    assert_eq!(
        code(&test.decide(&asked["client_id"], "allow")),
        (400, "request_expired"),
        "it is signed for another use"
    );
    // A page of another site, with the person's cookie.
    let body = json!({"request": request, "decision": "allow"});
    let mut from_elsewhere = router_test::request(Method::POST, "/oauth/authorization", None, Some(&body));
    let cookie = HeaderValue::from_str(&format!("ea_access={}", test.token)).unwrap();
    from_elsewhere.headers_mut().insert(header::COOKIE, cookie);
    from_elsewhere.headers_mut().insert(header::ORIGIN, HeaderValue::from_static("https://evil.example"));
    assert_eq!(code(&test.send(from_elsewhere)), (403, "cross_origin"));
}

#[test]
fn a_decision_stands_and_old_grants_are_gone_sooner_or_later() {
    let test = Test::new();
    let asked = asked(&test.registered());
    let database = test.fixture.another_connection();
    let query = |sql| futures::executor::block_on(database.query(storage::Statement::new("t", sql, []))).unwrap();
    let grants = || query("SELECT id FROM sessions WHERE client_id IS NOT NULL").len();
    let _ = test.code(&asked);
    query("UPDATE sessions SET expires_at = 1");
    query("CREATE TRIGGER broken BEFORE DELETE ON sessions BEGIN SELECT RAISE(ABORT, 'broken'); END");
    assert_eq!(test.exchange(&asked, &test.code(&asked)).status, StatusCode::OK);
    assert_eq!(grants(), 2);
    query("DROP TRIGGER broken");
    let _ = test.code(&asked);
    assert_eq!(grants(), 2, "the two that have not ended");
}

#[test]
fn who_registers_with_an_unsafe_redirect_or_an_odd_name_is_told_so() {
    let test = Test::new();
    for (metadata, expected) in [
        (json!({}), "invalid_redirect_uri"),
        (json!({"redirect_uris": ["http://app.example.org/cb"]}), "invalid_redirect_uri"),
        (json!({"redirect_uris": ["javascript:alert(1)"]}), "invalid_redirect_uri"),
        (json!({"redirect_uris": "https://app.example.org/cb"}), "invalid_client_metadata"),
        (json!({"redirect_uris": ["https://app.example.org/cb"], "client_name": "a\nb"}), "invalid_client_metadata"),
        (json!({"redirect_uris": vec![format!("https://a.example/{}", "x".repeat(990)); 9]}), "invalid_redirect_uri"),
    ] {
        assert_eq!(error(&test.register(&metadata)), (400, expected), "{metadata}");
    }
    let metadata =
        json!({"redirect_uris": ["https://app.example.org/cb"], "token_endpoint_auth_method": "client_secret_post"});
    let registered = test.register(&metadata).json;
    assert_eq!(
        (&registered["token_endpoint_auth_method"], &registered["client_secret"]),
        (&json!("none"), &Value::Null)
    );
    assert_eq!(registered["client_name"], "app.example.org");
}

#[test]
fn a_person_sees_the_programs_they_let_in_and_ends_each_within_a_second() {
    let test = Test::new();
    let asked = asked(&test.registered());
    let _ = test.code(&asked);
    let grants = || test.get("/oauth/grants", Some(&test.token)).json["items"].clone();
    assert_eq!(grants(), json!([]), "a code that was not used gives nothing");
    let tokens = test.exchange(&asked, &test.code(&asked)).json;
    let listed = grants();
    assert_eq!((&listed[0]["client_name"], &listed[0]["redirect_host"]), (&json!("Editor"), &json!("this computer")));
    let app = test.fixture.new_instance();
    assert!(test.opens_at(&app, &tokens["access_token"]));
    let path = format!("/oauth/grants/{}", listed[0]["id"].as_str().unwrap());
    let delete = |token: &str| test.send(router_test::request(Method::DELETE, &path, Some(token), None));
    let (_, other) = test.fixture.person("b@example.org");
    assert_eq!(code(&delete(&other)), (404, "not_found"));
    assert_eq!(delete(&test.token).status, StatusCode::NO_CONTENT);
    let since = Instant::now();
    while test.opens_at(&app, &tokens["access_token"]) && since.elapsed() < Duration::from_secs(5) {}
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    assert_eq!((grants(), code(&delete(&test.token))), (json!([]), (404, "not_found")));
    let refresh = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(error(&test.refresh(&asked["client_id"], refresh)), (400, "invalid_grant"));
}

#[test]
fn what_is_given_back_or_belongs_to_who_is_suspended_opens_nothing_any_more() {
    let test = Test::new();
    let asked = asked(&test.registered());
    for given_back in ["refresh_token", "access_token"] {
        let tokens = test.exchange(&asked, &test.code(&asked)).json;
        for token in ["x", tokens[given_back].as_str().unwrap()] {
            assert_eq!(test.form("/oauth/revoke", &[("token", token)]).status, StatusCode::OK);
        }
        assert!(!test.opens(&tokens["access_token"]), "{given_back}");
        let refresh = tokens["refresh_token"].as_str().unwrap();
        assert_eq!(error(&test.refresh(&asked["client_id"], refresh)), (400, "invalid_grant"));
    }
    assert_eq!(error(&test.form("/oauth/revoke", &[])), (400, "invalid_request"));
    // Also with an access token that a change of roles has made void.
    let tokens = test.exchange(&asked, &test.code(&asked)).json;
    let person = test.fixture.change(&test.user, AccountChange { role: Some("admin"), is_suspended: None });
    assert!(!test.opens(&tokens["access_token"]));
    let _ = test.form("/oauth/revoke", &[("token", tokens["access_token"].as_str().unwrap())]);
    let refresh = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(error(&test.refresh(&asked["client_id"], refresh)), (400, "invalid_grant"));
    let test = Test { token: test.fixture.token(&person, Purpose::Session), user: person, ..test };
    let tokens = test.exchange(&asked, &test.code(&asked)).json;
    let code = test.code(&asked);
    let _ = test.fixture.change(&test.user, AccountChange { role: None, is_suspended: Some(true) });
    assert!(!test.opens(&tokens["access_token"]));
    assert_eq!(error(&test.exchange(&asked, &code)), (400, "invalid_grant"));
}

#[test]
fn a_program_finds_all_it_needs_in_the_metadata() {
    let test = Test::new();
    let metadata = test.get("/.well-known/oauth-authorization-server", None).json;
    assert_eq!(metadata["issuer"], HERE);
    for endpoint in ["authorization_endpoint", "token_endpoint", "registration_endpoint", "revocation_endpoint"] {
        assert!(metadata[endpoint].as_str().unwrap().starts_with(&format!("{HERE}/oauth/")), "{endpoint}");
    }
    assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
    assert_eq!(metadata["client_id_metadata_document_supported"], true);
}
