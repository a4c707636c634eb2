//! Logging out here and at the provider, and being logged out by it.

use super::*;

impl Installation {
    fn log_out_by_provider(&self, claims: &Value) -> Answer {
        self.log_out_signed_by(&self.provider, claims)
    }

    fn log_out_signed_by(&self, signer: &Scripted, claims: &Value) -> Answer {
        let base = json!({
            "iss": ISSUER,
            "aud": CLIENT_ID,
            "iat": now_s(),
            "exp": now_s() + 120,
            "jti": domain::Id::new(),
            "sub": "ada",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        });
        let token = signer.script().sign(&merged(base, claims));
        let body = Body::from(format!("logout_token={token}"));
        let request = Request::post("/auth/oidc/backchannel-logout")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request.body(body).unwrap(), "")
    }
}

#[test]
fn logging_out_leads_to_the_provider_and_back() {
    let installation = installation(&json!({}));
    let session = kept(&installation.sign_in(&json!({})));
    let out = installation.post("/auth/logout", &json!(null), &session);
    let location = out.json["location"].as_str().unwrap();
    assert!(location.starts_with("https://id.example.org/logout?"), "{location}");
    assert_eq!(parameter(location, "post_logout_redirect_uri"), "http://127.0.0.1:3000/");
    assert_eq!(parameter(location, "client_id"), CLIENT_ID);
    assert_eq!(parameter(location, "id_token_hint").split('.').count(), 3);
    assert_eq!(kept(&out), "", "no cookie is left");
    assert_eq!(installation.get("/auth/me", &session).status, StatusCode::UNAUTHORIZED);
    assert_eq!(installation.post("/auth/logout", &json!(null), &session).status, StatusCode::NO_CONTENT);
    // A provider that is down keeps nobody in.
    let installation = self::installation(&json!({}));
    let session = kept(&installation.sign_in(&json!({})));
    block_on(installation.fixture.app.store().keep_provider(ISSUER, "{}", "{}")).unwrap();
    installation.provider.script().is_down = true;
    assert_eq!(installation.post("/auth/logout", &json!(null), &session).status, StatusCode::NO_CONTENT);
    assert_eq!(installation.get("/auth/me", &session).status, StatusCode::UNAUTHORIZED);
}

#[test]
fn a_session_that_goes_on_after_a_new_password_still_ends_with_the_one_at_the_provider() {
    let installation = installation(&json!({}));
    installation.has_account("ada@example.org");
    let waiting = kept(&installation.sign_in(&json!({"sid": "one"})));
    let linked = kept(&installation.post("/auth/oidc/link", &json!({"password": "correct horse"}), &waiting));
    let body = json!({"password": "correct horse", "new_password": "battery staple"});
    let changed = installation.post("/auth/password", &body, &linked);
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    let session = kept(&changed);
    assert_eq!(installation.get("/auth/me", &session).status, StatusCode::OK);
    assert_eq!(installation.log_out_by_provider(&json!({"sid": "one"})).status, StatusCode::OK);
    assert_eq!(installation.get("/auth/me", &session).status, StatusCode::UNAUTHORIZED);
}

#[test]
fn the_provider_logs_people_out_everywhere() {
    let installation = installation(&json!({}));
    let sessions = ["one", "two", "three"].map(|sid| kept(&installation.sign_in(&json!({"sid": sid}))));
    let of_eve = kept(&installation.sign_in(&json!({"sub": "eve", "email": "eve@example.org"})));
    let are_in = || sessions.each_ref().map(|session| installation.get("/auth/me", session).status == StatusCode::OK);
    assert_eq!(installation.log_out_by_provider(&json!({"sid": "one"})).status, StatusCode::OK);
    assert_eq!(are_in(), [false, true, true]);
    assert_eq!(installation.log_out_by_provider(&json!({"sub": null, "sid": "two"})).status, StatusCode::OK);
    assert_eq!(are_in(), [false, false, true]);
    installation.provider.script().header = json!({"typ": "logout+jwt"});
    assert_eq!(installation.log_out_by_provider(&json!({})).status, StatusCode::OK);
    assert_eq!(are_in(), [false, false, false]);
    assert_eq!(installation.get("/auth/me", &of_eve).status, StatusCode::OK);
    assert_eq!(code(&installation.post("/auth/refresh", &json!(null), &sessions[2])), (401, "session_ended"));
}

#[test]
fn a_log_out_token_that_is_not_one_ends_nothing() {
    let installation = installation(&json!({}));
    let session = kept(&installation.sign_in(&json!({})));
    let used = json!({"jti": "used", "sid": "another"});
    assert_eq!(installation.log_out_by_provider(&used).status, StatusCode::OK);
    for wrong in [
        json!({"iss": "https://evil.example"}),
        json!({"aud": "another"}),
        json!({"iat": now_s() - 3600}),
        json!({"iat": now_s() + 300}),
        json!({"exp": now_s() - 120}),
        json!({"exp": null}),
        json!({"iat": null}),
        json!({"events": {}}),
        json!({"events": null}),
        json!({"events": {"http://schemas.openid.net/event/backchannel-logout": true}}),
        json!({"nonce": "n"}),
        json!({"jti": null}),
        json!({"jti": "used"}),
        json!({"sub": null}),
        json!({"sub": 7, "sid": "session-1"}),
    ] {
        let answer = installation.log_out_by_provider(&wrong);
        assert_eq!((answer.status.as_u16(), &answer.json["error"]), (400, &json!("invalid_request")), "{wrong}");
    }
    for header in [json!({"typ": "at+jwt"}), json!({"alg": "none"}), json!({"alg": "HS256"}), json!({"crit": ["x"]})] {
        installation.provider.script().header = header.clone();
        assert_eq!(installation.log_out_by_provider(&json!({})).status, StatusCode::BAD_REQUEST, "{header}");
    }
    installation.provider.script().header = json!({});
    // Another's key of the same id.
    assert_eq!(installation.log_out_signed_by(&Scripted::new(), &json!({})).status, StatusCode::BAD_REQUEST);
    for body in ["", "logout_token=", "logout_token=a.b.c", "other=1"] {
        let request = Request::post("/auth/oidc/backchannel-logout").body(Body::from(body)).unwrap();
        assert_eq!(installation.send(request, "").status, StatusCode::BAD_REQUEST, "{body}");
    }
    assert_eq!(installation.get("/auth/me", &session).status, StatusCode::OK);
}
