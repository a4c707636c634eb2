//! Keeping an account whose erasure its person asked for, for somebody who has no password here.

use super::*;

impl Installation {
    fn sign_in_to_keep(&self) -> Answer {
        let answer = self.post("/auth/oidc/login", &json!({"provider": "corp", "keep_account": true}), "");
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let authorization = answer.json["location"].as_str().unwrap().to_owned();
        self.agree(&authorization, &json!({}));
        self.come_back(&authorization, &kept(&answer))
    }
}

#[test]
fn who_signs_in_elsewhere_takes_back_an_erasure_that_they_asked_for_and_no_other() {
    let installation = installation(&json!({}));
    installation.has_account("admin@example.org");
    installation.sign_in(&json!({}));
    let store = installation.fixture.app.store();
    let ada = || block_on(store.user_by_email("ada@example.org", "")).unwrap().unwrap().0;
    let admin = block_on(store.user_by_email("admin@example.org", "")).unwrap().unwrap().0;
    let session = kept(&installation.sign_in(&json!({})));
    let asked = installation.send(request(Method::DELETE, "/api/account", None, Some(&json!({}))), &session);
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{}", asked.text);
    assert_eq!(outcome(&installation.sign_in(&json!({}))).1, "erasure_pending");
    assert!(ada().is_suspended, "signing in alone keeps nothing");
    let back = kept(&installation.sign_in_to_keep());
    assert_eq!(installation.get("/auth/me", &back).json["email"], "ada@example.org");
    assert!(!ada().is_suspended);
    assert_eq!(block_on(store.erasure(ada().id)).unwrap(), None);

    block_on(store.request_erasure(&ada(), admin.id, 60_000, None)).unwrap();
    for answer in [installation.sign_in(&json!({})), installation.sign_in_to_keep()] {
        assert_eq!(outcome(&answer).1, "account_suspended");
    }
    let elsewhere = {
        let body = json!({"provider": "corp", "keep_account": true});
        let mut request = request(Method::POST, "/auth/oidc/login", None, Some(&body));
        request.headers_mut().insert("sec-fetch-site", HeaderValue::from_static("cross-site"));
        request.headers_mut().insert(header::ORIGIN, HeaderValue::from_static("https://evil.example"));
        installation.send(request, "")
    };
    assert_eq!(elsewhere.status, StatusCode::FORBIDDEN, "no other site asks for it");
}
