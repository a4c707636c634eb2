//! Signing in with a scripted provider, over HTTP requests.

mod keeping;
mod link;
mod log_out;
mod providers;
mod scripted;

use axum::body::Body;
use domain::Timestamp;
use futures::executor::block_on;
use http::Request;
use router_test::{Answer, Fixture, request};
use serde_json::{Value, json};
use storage::accounts::AccountChange;

use super::*;
use crate::{
    config::{Config, Signup},
    routes::router,
};
use scripted::{CLIENT_ID, ISSUER, Scripted, merged};

/// An installation with one provider.
struct Installation {
    fixture: Fixture,
    provider: Scripted,
    signup: Signup,
    sign_in: SignIn,
}

fn installation(settings: &Value) -> Installation {
    let entry = json!({"name": "corp", "issuer": ISSUER, "client_id": CLIENT_ID, "client_secret": "s3cret"});
    let entry = merged(entry, settings);
    let providers = Provider::parse_list(&json!([entry]).to_string()).unwrap();
    let provider = Scripted::new();
    let to = provider.clone();
    let sign_in = SignIn { providers: providers.into(), outside: std::sync::Arc::new(move |request| to.send(request)) };
    Installation { fixture: Fixture::default(), provider, signup: Signup::Open, sign_in }
}

fn now_s() -> i64 {
    Timestamp::now().as_millis() / 1000
}

/// The cookies that a response leaves in a browser.
fn kept(answer: &Answer) -> String {
    let values = answer.headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap());
    let pairs = values.filter_map(|cookie| cookie.split(';').next()).filter(|pair| !pair.ends_with('='));
    pairs.collect::<Vec<_>>().join("; ")
}

fn location(answer: &Answer) -> &str {
    answer.headers.get(header::LOCATION).map_or("", |value| value.to_str().unwrap())
}

fn parameter(url: &str, wanted: &str) -> String {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

impl Installation {
    fn send(&self, mut request: Request<Body>, cookies: &str) -> Answer {
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("127.0.0.1:3000"));
        if !cookies.is_empty() {
            request.headers_mut().insert(header::COOKIE, cookies.parse().unwrap());
        }
        let config = Config { signup: self.signup, ..Config::default() };
        router_test::send(router(self.fixture.new_instance(), config, self.sign_in.clone()), request)
    }

    fn get(&self, path: &str, cookies: &str) -> Answer {
        self.send(request(Method::GET, path, None, None), cookies)
    }

    fn post(&self, path: &str, body: &Value, cookies: &str) -> Answer {
        self.send(request(Method::POST, path, None, Some(body)), cookies)
    }

    /// Leaves for the provider. What the provider would see, and the browser's cookies.
    fn leave(&self) -> (String, String) {
        let answer = self.get("/auth/oidc/login?provider=corp&return_to=/c/x", "");
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        (location(&answer).to_owned(), kept(&answer))
    }

    /// The person agrees at the provider, which says this about them.
    fn agree(&self, authorization: &str, claims: &Value) {
        let base = json!({
            "iss": ISSUER,
            "aud": CLIENT_ID,
            "sub": "ada",
            "exp": now_s() + 300,
            "iat": now_s(),
            "nonce": parameter(authorization, "nonce"),
            "email": "ada@example.org",
            "email_verified": true,
            "name": "Ada",
            "sid": "session-1",
        });
        let mut script = self.provider.script();
        script.claims = merged(base, claims);
        script.challenge = parameter(authorization, "code_challenge");
    }

    fn come_back(&self, authorization: &str, cookies: &str) -> Answer {
        let state = parameter(authorization, "state");
        self.get(&format!("/auth/oidc/callback/corp?code=the-code&state={state}"), cookies)
    }

    /// The whole way.
    fn sign_in(&self, claims: &Value) -> Answer {
        let (authorization, cookies) = self.leave();
        self.agree(&authorization, claims);
        self.come_back(&authorization, &cookies)
    }
}

/// Where one is after signing in went wrong, and why.
fn outcome(answer: &Answer) -> (&str, String) {
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    assert!(!kept(answer).contains("ea_access"), "nobody is signed in");
    let path = location(answer);
    (path.split('?').next().unwrap_or_default(), parameter(path, OUTCOME))
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.json["code"].as_str().unwrap_or_default())
}

#[test]
fn whoever_leaves_for_the_provider_comes_back_signed_in_to_where_they_were() {
    let installation = installation(&json!({"label": "Corp"}));
    let (authorization, cookies) = installation.leave();
    assert!(authorization.starts_with("https://id.example.org/authorize?"), "{authorization}");
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("scope", "openid email profile"),
        ("redirect_uri", "http://127.0.0.1:3000/auth/oidc/callback/corp"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(parameter(&authorization, name), value);
    }
    installation.agree(&authorization, &json!({}));
    let back = installation.come_back(&authorization, &cookies);
    assert_eq!((back.status.as_u16(), location(&back)), (303, "/c/x"));
    let session = kept(&back);
    assert!(!session.contains("ea_oidc"), "the attempt is over");
    let me = installation.get("/auth/me", &session);
    assert_eq!((&me.json["email"], &me.json["name"]), (&json!("ada@example.org"), &json!("Ada")));
    assert_eq!(installation.post("/auth/refresh", &json!(null), &session).status, StatusCode::OK);
    // The same person again: the same account.
    let again = installation.get("/auth/me", &kept(&installation.sign_in(&json!({}))));
    assert_eq!(again.json["id"], me.json["id"]);
    let page = installation.get("/auth/signup", "");
    assert_eq!(page.json["providers"], json!([{"name": "corp", "label": "Corp"}]));
    assert_eq!(code(&installation.get("/auth/oidc/login?provider=other", "")), (404, "not_found"));
}

#[test]
fn an_account_of_a_provider_has_no_password_to_log_in_with() {
    let installation = installation(&json!({}));
    installation.sign_in(&json!({}));
    for password in ["", "correct horse"] {
        let body = json!({"email": "ada@example.org", "password": password});
        assert_eq!(code(&installation.post("/auth/login", &body, "")), (401, "invalid_credentials"));
    }
}

#[test]
fn a_response_counts_once_and_only_in_the_browser_that_asked_for_it() {
    let installation = installation(&json!({}));
    let (authorization, cookies) = installation.leave();
    let (_, of_another) = installation.leave();
    installation.agree(&authorization, &json!({}));
    for strange in ["", of_another.as_str(), "ea_oidc_=rubbish"] {
        assert_eq!(outcome(&installation.come_back(&authorization, strange)), ("/", "expired".to_owned()));
    }
    assert_eq!(location(&installation.come_back(&authorization, &cookies)), "/c/x");
    // The provider takes a code once, and the cookie is gone.
    assert_eq!(outcome(&installation.come_back(&authorization, "")).1, "expired");
}

#[test]
fn attempts_in_two_tabs_do_not_meet() {
    let installation = installation(&json!({}));
    let (first, of_first) = installation.leave();
    let (second, of_second) = installation.leave();
    let both = format!("{of_first}; {of_second}");
    installation.agree(&second, &json!({}));
    assert_eq!(location(&installation.come_back(&second, &both)), "/c/x");
    let strange = installation.get("/auth/oidc/callback/corp?code=the-code&state=strange", &both);
    assert_eq!(outcome(&strange), ("/", "expired".to_owned()));
    assert!(strange.headers.get(header::SET_COOKIE).is_none(), "what waits is not touched");
    installation.agree(&first, &json!({}));
    assert_eq!(location(&installation.come_back(&first, &both)), "/c/x");
    let many = (0..MAX_ATTEMPTS).map(|index| format!("ea_oidc_{index}=x")).collect::<Vec<_>>().join("; ");
    let answer = installation.get("/auth/oidc/login?provider=corp", &many);
    assert_eq!(answer.headers.get_all(header::SET_COOKIE).iter().count(), MAX_ATTEMPTS + 1, "they do not pile up");
}

#[test]
fn a_response_at_the_address_of_another_provider_is_refused_before_its_code_is_sent_anywhere() {
    let installation = installation(&json!({}));
    let (authorization, cookies) = installation.leave();
    installation.agree(&authorization, &json!({}));
    installation.provider.script().asked.clear();
    let state = parameter(&authorization, "state");
    let path = format!("/auth/oidc/callback/other?code=the-code&state={state}");
    assert_eq!(outcome(&installation.get(&path, &cookies)), ("/c/x", "refused".to_owned()));
    assert!(installation.provider.script().asked.is_empty());
}

#[test]
fn another_site_does_not_sign_in_whoever_is_signed_in() {
    let installation = installation(&json!({}));
    let session = kept(&installation.sign_in(&json!({})));
    let from = |site: &'static str, cookies: &str| {
        let mut request = request(Method::GET, "/auth/oidc/login?provider=corp&return_to=/c/x", None, None);
        request.headers_mut().insert("sec-fetch-site", HeaderValue::from_static(site));
        let answer = installation.send(request, cookies);
        location(&answer).starts_with(ISSUER)
    };
    assert!(!from("cross-site", &session) && !from("same-site", &session));
    assert!(from("same-origin", &session) && from("none", &session) && from("cross-site", ""));
}

#[test]
fn what_goes_wrong_here_is_told_on_the_page_too() {
    let installation = installation(&json!({}));
    let (authorization, cookies) = installation.leave();
    let sql = "ALTER TABLE identity_providers RENAME TO away";
    block_on(installation.fixture.another_connection().query(storage::Statement::new("t", sql, []))).unwrap();
    assert_eq!(outcome(&installation.come_back(&authorization, &cookies)), ("/c/x", "failed".to_owned()));
}

#[test]
fn an_id_token_that_is_not_for_this_attempt_signs_nobody_in() {
    let installation = installation(&json!({}));
    for wrong in [
        json!({"iss": "https://evil.example"}),
        json!({"iss": format!("{ISSUER}/")}),
        json!({"aud": "another"}),
        json!({"aud": null}),
        json!({"aud": [CLIENT_ID, "another"]}),
        json!({"azp": "another"}),
        json!({"aud": [CLIENT_ID, "another"], "azp": "another"}),
        json!({"nonce": "another"}),
        json!({"nonce": null}),
        json!({"exp": now_s() - 120}),
        json!({"exp": null}),
        json!({"iat": now_s() + 300}),
        json!({"iat": now_s() - 3600}),
        json!({"auth_time": now_s() + 300}),
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": "x".repeat(300)}),
    ] {
        // A token without these claims cannot be read at all.
        let unreadable = ["exp", "sub"].iter().any(|claim| wrong.get(claim).is_some_and(Value::is_null));
        let told = if unreadable { "provider_unavailable" } else { "refused" };
        assert_eq!(outcome(&installation.sign_in(&wrong)), ("/c/x", told.to_owned()), "{wrong}");
    }
    for header in
        [json!({"alg": "none"}), json!({"alg": "HS256"}), json!({"typ": "logout+jwt"}), json!({"alg": "RS256"})]
    {
        installation.provider.script().header = header.clone();
        assert_ne!(outcome(&installation.sign_in(&json!({}))).1, "", "{header}");
    }
    installation.provider.script().header = json!({});
    assert!(!block_on(installation.fixture.app.store().has_users()).unwrap());
    for right in [
        json!({"aud": [CLIENT_ID]}),
        json!({"aud": [CLIENT_ID, "api"], "azp": CLIENT_ID}),
        json!({"azp": CLIENT_ID}),
        // Clocks differ.
        json!({"exp": now_s() - 30, "iat": now_s() + 30}),
    ] {
        assert_eq!(location(&installation.sign_in(&right)), "/c/x", "{right}");
    }
}

#[test]
fn a_provider_may_be_asked_for_a_recent_log_in() {
    let installation = installation(&json!({"max_age_s": 600}));
    assert_eq!(parameter(&installation.leave().0, "max_age"), "600");
    for (auth_time, outcome_code) in
        [(json!(null), "refused"), (json!(now_s() - 900), "refused"), (json!(now_s() - 500), "")]
    {
        let answer = installation.sign_in(&json!({"auth_time": auth_time}));
        assert_eq!(parameter(location(&answer), OUTCOME), outcome_code, "{auth_time}");
    }
}

#[test]
fn what_the_id_token_does_not_say_is_asked_for_and_must_be_about_the_same_person() {
    let installation = installation(&json!({"roles": {"staff": "service"}}));
    installation.provider.script().document = json!({"userinfo_endpoint": format!("{ISSUER}/userinfo")});
    let bare = json!({"email": null, "email_verified": null, "name": null});
    installation.provider.script().userinfo =
        Some(json!({"sub": "eve", "email": "eve@example.org", "email_verified": true}));
    assert_eq!(outcome(&installation.sign_in(&bare)).1, "refused");
    let says =
        json!({"sub": "ada", "email": "ada@example.org", "email_verified": "true", "name": "Ada", "groups": ["staff"]});
    installation.provider.script().userinfo = Some(says);
    let me = installation.get("/auth/me", &kept(&installation.sign_in(&bare)));
    assert_eq!((&me.json["name"], &me.json["roles"]), (&json!("Ada"), &json!(["admin", "service"])));
}

#[test]
fn a_person_is_asked_about_only_as_far_as_it_matters() {
    let installation = installation(&json!({}));
    installation.provider.script().document = json!({"userinfo_endpoint": format!("{ISSUER}/userinfo")});
    let unverified = json!({"email_verified": null, "updated_at": "2025-12-23T10:59:07.841Z"});
    for (email, told) in [("eve@example.org", "email_unverified"), ("ada@example.org", "")] {
        let says = json!({"sub": "ada", "email": email, "email_verified": true, "updated_at": "2025-12-23T10:59:07Z"});
        installation.provider.script().userinfo = Some(says);
        assert_eq!(parameter(location(&installation.sign_in(&unverified)), OUTCOME), told, "{email}");
    }
    // Nothing that is necessary is missing, so nobody minds that the endpoint refuses.
    installation.provider.script().userinfo = None;
    assert_eq!(location(&installation.sign_in(&json!({"name": null}))), "/c/x");
    assert_eq!(outcome(&installation.sign_in(&json!({"email": null}))).1, "provider_unavailable");
}

#[test]
fn groups_give_roles_at_each_log_in_and_take_them_away() {
    let installation = installation(&json!({"roles": {"it": "admin", "staff": "service"}}));
    let first = kept(&installation.sign_in(&json!({"groups": []})));
    assert_eq!(installation.get("/auth/me", &first).json["roles"], json!(["admin"]), "the first account");
    let eve = |groups: Value| {
        let claims = json!({"sub": "eve", "email": "eve@example.org", "groups": groups});
        let session = kept(&installation.sign_in(&claims));
        (installation.get("/auth/me", &session).json["roles"].clone(), session)
    };
    let (roles, session) = eve(json!(["it", "unknown"]));
    assert_eq!(roles, json!(["member", "admin"]));
    assert_eq!(eve(json!(["staff"])).0, json!(["member", "service"]));
    // A token that was made with more roles is void on every host; the session goes on with those of now.
    assert_eq!(installation.get("/auth/me", &session).status, StatusCode::UNAUTHORIZED);
    let refreshed = installation.post("/auth/refresh", &json!(null), &session);
    assert_eq!(refreshed.json["user"]["roles"], json!(["member", "service"]));
    assert_eq!(eve(json!([])).0, json!(["member"]));
}

#[test]
fn whoever_gets_no_account_is_told_why() {
    let mut installation = installation(&json!({}));
    installation.sign_in(&json!({}));
    let eve = |email: Value, is_verified: Value| json!({"sub": "eve", "email": email, "email_verified": is_verified});
    let address = || json!("eve@example.org");
    for (claims, told) in [
        (eve(json!(null), json!(true)), "email_missing"),
        (eve(json!("not an address"), json!(true)), "email_missing"),
        (eve(address(), json!(false)), "email_unverified"),
        (eve(address(), json!(null)), "email_unverified"),
        // The provider has given the address, or another name, to somebody: without a password nobody can prove to be the same.
        (eve(json!("Ada@Example.org"), json!(true)), "address_taken"),
    ] {
        assert_eq!(outcome(&installation.sign_in(&claims)), ("/c/x", told.to_owned()), "{claims}");
    }
    installation.signup = Signup::Closed;
    assert_eq!(outcome(&installation.sign_in(&eve(address(), json!(true)))).1, "signup_closed");
    installation.signup = Signup::Invite;
    assert_eq!(outcome(&installation.sign_in(&eve(address(), json!(true)))).1, "signup_closed");
}

#[test]
fn a_provider_can_be_trusted_with_addresses_and_with_new_accounts() {
    let mut installation = installation(&json!({"trusts_email": true, "signup": "open"}));
    installation.signup = Signup::Closed;
    installation.sign_in(&json!({}));
    let claims = json!({"sub": "eve", "email": "eve@example.org", "email_verified": null});
    let me = installation.get("/auth/me", &kept(&installation.sign_in(&claims)));
    assert_eq!(me.json["roles"], json!(["member"]));
}

#[test]
fn who_is_invited_may_come_through_a_provider_once() {
    let mut installation = installation(&json!({}));
    let admin = installation.has_account("admin@example.org");
    installation.signup = Signup::Invite;
    let secret = LinkToken::new().unwrap();
    let store = installation.fixture.app.store();
    block_on(store.create_invitation(&secret.hash(), "service", (&admin).into(), 60_000)).unwrap().unwrap();
    let come = |claims: &Value| {
        let body = json!({"provider": "corp", "invitation": secret.to_string()});
        let left = installation.post("/auth/oidc/login", &body, "");
        let authorization = left.json["location"].as_str().unwrap();
        assert!(!authorization.contains(&secret.to_string()), "the secret is in no address");
        installation.agree(authorization, claims);
        installation.come_back(authorization, &kept(&left))
    };
    let me = installation.get("/auth/me", &kept(&come(&json!({}))));
    assert_eq!(me.json["roles"], json!(["service"]));
    let eve = json!({"sub": "eve", "email": "eve@example.org"});
    assert_eq!(outcome(&come(&eve)), ("/", "invitation_invalid".to_owned()));
}

#[test]
fn who_is_suspended_is_told_so() {
    let installation = installation(&json!({}));
    installation.has_account("admin@example.org");
    installation.sign_in(&json!({}));
    let store = installation.fixture.app.store();
    let (user, _) = block_on(store.user_by_email("ada@example.org", "")).unwrap().unwrap();
    let _ = installation.fixture.change(&user, AccountChange { role: None, is_suspended: Some(true) });
    assert_eq!(outcome(&installation.sign_in(&json!({}))), ("/c/x", "account_suspended".to_owned()));
}
