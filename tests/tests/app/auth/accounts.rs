//! Signing up and logging in.

use anyhow::{Context as _, Result};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tests::{App, Person, anonymous, problem};

async fn log_in(email: &str, password: &str) -> Result<Response> {
    let body = json!({"email": email, "password": password});
    Ok(anonymous(Method::POST, "/auth/login")?.json(&body).send().await?)
}

#[tokio::test]
async fn signing_up_gives_a_session_and_cookies_that_scripts_cannot_read() -> Result<()> {
    let email = format!("{}@example.org", tests::unique("signup"));
    let body = json!({"email": format!("  {}", email.to_uppercase()), "password": "long enough", "name": "Ann"});
    let response = anonymous(Method::POST, "/auth/signup")?.json(&body).send().await?;
    assert_eq!(response.status(), StatusCode::CREATED);
    let cookies: Vec<String> = response
        .headers()
        .get_all("set-cookie")
        .iter()
        .map(|cookie| Ok(cookie.to_str()?.to_owned()))
        .collect::<Result<_>>()?;
    assert_eq!(cookies.len(), 3);
    for (name, path) in [("ea_access=", "/"), ("ea_refresh=", "/auth"), ("ea_known_", "/auth")] {
        let cookie = cookies.iter().find(|cookie| cookie.starts_with(name)).context("no cookie")?;
        let attributes: Vec<_> = cookie.split("; ").skip(1).collect();
        let path = format!("Path={path}");
        for attribute in ["HttpOnly", "SameSite=Lax", path.as_str()] {
            assert!(attributes.contains(&attribute), "{name}: {attributes:?}");
        }
        assert!(!attributes.contains(&"Secure"), "{name} would not come back over http: {attributes:?}");
    }
    let session: Value = response.json().await?;
    assert_eq!((&session["token_type"], &session["expires_in"]), (&json!("Bearer"), &json!(900)));
    let fields: Vec<_> = session["user"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    assert_eq!(fields, ["created_at", "email", "id", "name", "permissions", "role", "roles"]);
    assert_eq!((&session["user"]["email"], &session["user"]["name"]), (&json!(email), &json!("Ann")));
    Ok(())
}

#[tokio::test]
async fn behind_a_proxy_that_ends_tls_cookies_are_secure() -> Result<()> {
    let options = tests::Options::default().variable("public_url", "https://chat.example.org");
    let Some((_host, app)) = App::own(options)? else { tests::skip!("needs a host of its own") };
    let body = json!({"email": "ann@example.org", "password": "long enough"});
    let response = app.request(Method::POST, "/auth/signup").json(&body).send().await?;
    let secure = response.headers().get_all("set-cookie").iter();
    assert_eq!(secure.filter(|cookie| cookie.to_str().is_ok_and(|cookie| cookie.contains("; Secure"))).count(), 3);
    Ok(())
}

#[tokio::test]
async fn the_first_account_is_the_administrator_and_a_closed_installation_takes_no_other() -> Result<()> {
    let Some((_host, app)) = App::own(tests::Options::default().variable("signup", "closed"))? else {
        tests::skip!("needs a host of its own")
    };
    assert_eq!(Person::in_app(&app).await?.user["role"], "admin");
    let body = json!({"email": "second@example.org", "password": "long enough"});
    let refused = app.request(Method::POST, "/auth/signup").json(&body).send().await?;
    problem(refused, 403, "signup_closed").await?;
    Ok(())
}

#[tokio::test]
async fn later_accounts_are_users() -> Result<()> {
    Person::new().await?;
    assert_eq!(Person::new().await?.user["role"], "user");
    Ok(())
}

#[tokio::test]
async fn logging_in_gives_a_session_of_the_same_account() -> Result<()> {
    let person = Person::new().await?;
    let response = log_in(&person.email.to_uppercase(), Person::PASSWORD).await?;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers().get_all("set-cookie").iter().count(), 3);
    assert_eq!(response.json::<Value>().await?["user"], person.user);
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_are_answered_alike() -> Result<()> {
    let person = Person::new().await?;
    let mut told = Vec::new();
    for email in [person.email.as_str(), "nobody@example.org", "no address", ""] {
        let response = log_in(email, "wrong password").await?;
        assert!(response.headers().get("set-cookie").is_none());
        let mut body = problem(response, 401, "invalid_credentials").await?;
        body["request_id"].take();
        told.push(body);
    }
    assert!(told.iter().all(|body| Some(body) == told.first()), "{told:?}");
    Ok(())
}

#[tokio::test]
async fn an_address_has_one_account() -> Result<()> {
    let person = Person::new().await?;
    let body = json!({"email": person.email.to_uppercase(), "password": "another password"});
    problem(anonymous(Method::POST, "/auth/signup")?.json(&body).send().await?, 409, "email_taken").await?;
    assert_eq!(log_in(&person.email, Person::PASSWORD).await?.status(), StatusCode::OK);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_an_account_is_named() -> Result<()> {
    let long = "x".repeat(600);
    for (email, password, name, field) in [
        ("no address", "long enough", "", "email"),
        ("a@b c", "long enough", "", "email"),
        ("a@b\u{0}.c", "long enough", "", "email"),
        ("\u{430}nn@example.org", "long enough", "", "email"),
        ("ann@example.org", "1234567", "", "password"),
        ("ann@example.org", "12345678", "", "password"),
        ("ann@example.org", "        ", "", "password"),
        ("ann@example.org", long.as_str(), "", "password"),
        ("ann@example.org", "long enough", "An\nn", "name"),
        ("ann@example.org", "long enough", long.as_str(), "name"),
    ] {
        let body = json!({"email": email, "password": password, "name": name});
        let response = anonymous(Method::POST, "/auth/signup")?.json(&body).send().await?;
        assert_eq!(problem(response, 422, "invalid_field").await?["field"], field, "{body}");
    }
    Ok(())
}

#[tokio::test]
async fn a_person_takes_a_copy_of_everything_closes_the_account_and_comes_back_to_keep_it() -> Result<()> {
    // The first account is the administrator's, which stays.
    Person::new().await?;
    let person = Person::new().await?;
    let conversation = person.post("/api/conversations", &json!({"title": "Mine"})).await?;
    assert_eq!(conversation.status(), StatusCode::CREATED);
    let copy = person.request(Method::GET, "/api/account/export").send().await?;
    assert_eq!(copy.status(), StatusCode::OK);
    let archive = copy.bytes().await?;
    // A ZIP archive ends with its directory (APPNOTE, section 4.3.16): nothing broke off.
    assert!(archive.starts_with(b"PK\x03\x04") && archive.windows(4).any(|bytes| bytes == b"PK\x05\x06"));

    let proof = json!({"password": Person::PASSWORD});
    let asked = person.request(Method::DELETE, "/api/account").json(&proof).send().await?;
    assert_eq!(asked.status(), StatusCode::ACCEPTED);
    let asked: Value = asked.json().await?;
    let told = log_in(&person.email, Person::PASSWORD).await?;
    problem(told, 403, "erasure_pending").await?;
    let token = json!({"receipt_token": asked["receipt_token"]});
    let receipt = anonymous(Method::POST, "/api/account/receipt")?.json(&token).send().await?;
    assert_eq!(receipt.json::<Value>().await?["erase_at"], asked["erase_at"]);
    let keep = json!({"email": person.email, "password": Person::PASSWORD, "keep_account": true});
    let kept = anonymous(Method::POST, "/auth/login")?.json(&keep).send().await?;
    assert_eq!(kept.status(), StatusCode::OK);
    Ok(())
}
