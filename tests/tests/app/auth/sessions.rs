//! Sessions: the bearer token, the cookies, refreshing, logging out.

use anyhow::{Context as _, Result};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tests::{Person, anonymous, problem};

async fn with_refresh_token(path: &str, token: &str) -> Result<Response> {
    Ok(anonymous(Method::POST, path)?.header("cookie", format!("ea_refresh={token}")).send().await?)
}

fn refresh_token(response: &Response) -> Option<String> {
    let mut cookies = response.headers().get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok());
    let value = cookies.find_map(|cookie| cookie.strip_prefix("ea_refresh="))?;
    value.split(';').next().map(str::to_owned)
}

#[tokio::test]
async fn the_token_works_as_bearer_and_as_cookie() -> Result<()> {
    let person = Person::new().await?;
    assert_eq!(person.get("/auth/me").await?, person.user);
    for cookie in [format!("ea_access={}", person.token), format!("theme=dark; ea_access={}; x=y", person.token)] {
        let response = anonymous(Method::GET, "/auth/me")?.header("cookie", cookie).send().await?;
        assert_eq!(response.json::<Value>().await?, person.user);
    }
    let lower = anonymous(Method::GET, "/auth/me")?.header("authorization", format!("bearer {}", person.token));
    assert_eq!(lower.send().await?.status(), StatusCode::OK);
    Ok(())
}

#[tokio::test]
async fn a_refresh_token_works_once_and_gives_the_next() -> Result<()> {
    let person = Person::new().await?;
    let mut token = person.refresh.clone();
    for _ in 0..3 {
        let response = with_refresh_token("/auth/refresh", &token).await?;
        assert_eq!(response.status(), StatusCode::OK);
        let next = refresh_token(&response).context("no new refresh token")?;
        assert_ne!(next, token);
        token = next;
        let session: Value = response.json().await?;
        assert_eq!(session["user"], person.user);
        let access = session["access_token"].as_str().context("no token")?;
        let me = anonymous(Method::GET, "/auth/me")?.bearer_auth(access).send().await?;
        assert_eq!(me.json::<Value>().await?, person.user);
    }
    Ok(())
}

#[tokio::test]
async fn a_refresh_token_that_comes_long_after_its_turn_ends_the_whole_family() -> Result<()> {
    let person = Person::new().await?;
    let other_session = anonymous(Method::POST, "/auth/login")?
        .json(&json!({"email": person.email, "password": Person::PASSWORD}))
        .send()
        .await?;
    let response = with_refresh_token("/auth/refresh", &person.refresh).await?;
    let next = refresh_token(&response).context("no new refresh token")?;
    let last = refresh_token(&with_refresh_token("/auth/refresh", &next).await?).context("no new refresh token")?;
    problem(with_refresh_token("/auth/refresh", &person.refresh).await?, 401, "session_revoked").await?;
    // The thief's token and the owner's token belong to the same family.
    problem(with_refresh_token("/auth/refresh", &last).await?, 401, "session_ended").await?;
    // Another log-in begins another family.
    let other = refresh_token(&other_session).context("no refresh token")?;
    assert_eq!(with_refresh_token("/auth/refresh", &other).await?.status(), StatusCode::OK);
    Ok(())
}

#[tokio::test]
async fn of_many_refreshes_at_once_all_work_and_the_session_lives() -> Result<()> {
    let person = Person::new().await?;
    let refreshes = (0..20).map(|_| with_refresh_token("/auth/refresh", &person.refresh));
    for response in futures::future::try_join_all(refreshes).await? {
        assert_eq!(response.status(), StatusCode::OK);
        let token = refresh_token(&response).context("no new refresh token")?;
        assert_eq!(with_refresh_token("/auth/refresh", &token).await?.status(), StatusCode::OK);
    }
    Ok(())
}

#[tokio::test]
async fn logging_out_ends_the_session_though_its_token_was_exchanged_meanwhile() -> Result<()> {
    for _ in 0..5 {
        let person = Person::new().await?;
        let (refreshed, out) = tokio::try_join!(
            with_refresh_token("/auth/refresh", &person.refresh),
            with_refresh_token("/auth/logout", &person.refresh)
        )?;
        assert_eq!(out.status(), StatusCode::NO_CONTENT);
        for token in refresh_token(&refreshed).iter().chain([&person.refresh]) {
            problem(with_refresh_token("/auth/refresh", token).await?, 401, "session_ended").await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn logging_out_ends_the_session_and_clears_the_cookies() -> Result<()> {
    let person = Person::new().await?;
    let response = with_refresh_token("/auth/logout", &person.refresh).await?;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let cookies: Vec<_> =
        response.headers().get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok()).collect();
    assert_eq!(cookies.len(), 2);
    assert!(cookies.iter().all(|cookie| cookie.contains("=;") && cookie.contains("Max-Age=0")), "{cookies:?}");
    assert_eq!(with_refresh_token("/auth/refresh", &person.refresh).await?.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(anonymous(Method::POST, "/auth/logout")?.send().await?.status(), StatusCode::NO_CONTENT);
    Ok(())
}

#[tokio::test]
async fn a_refresh_token_that_was_never_given_out_is_refused() -> Result<()> {
    let person = Person::new().await?;
    let session = person.refresh.split('.').next().context("no session in the token")?;
    for token in ["", "x", "a.b", &format!("{session}.{}", "0".repeat(64)), &"x".repeat(4000)] {
        let refused = with_refresh_token("/auth/refresh", token).await?;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{token}");
    }
    problem(anonymous(Method::POST, "/auth/refresh")?.send().await?, 401, "unauthenticated").await?;
    Ok(())
}

#[tokio::test]
async fn a_change_that_a_page_elsewhere_asks_for_with_our_cookie_is_refused() -> Result<()> {
    let person = Person::new().await?;
    let post = |origin: &str| -> Result<reqwest::RequestBuilder> {
        let request = anonymous(Method::POST, "/api/conversations")?.json(&json!({}));
        Ok(request.header("cookie", format!("ea_access={}", person.token)).header("origin", origin))
    };
    for origin in ["https://evil.example", "null", &format!("http://evil.example@{}", person.app.authority())] {
        problem(post(origin)?.send().await?, 403, "cross_origin").await?;
    }
    assert_eq!(person.get("/api/conversations").await?["items"], json!([]));
    assert_eq!(post(person.app.url())?.send().await?.status(), StatusCode::CREATED);
    // A page elsewhere cannot make a browser send this header.
    let bearer = person.request(Method::POST, "/api/conversations").header("origin", "https://evil.example");
    assert_eq!(bearer.json(&json!({})).send().await?.status(), StatusCode::CREATED);
    for path in ["/auth/login", "/auth/signup", "/auth/refresh", "/auth/logout"] {
        let body = json!({"email": person.email, "password": Person::PASSWORD});
        let request = anonymous(Method::POST, path)?.json(&body).header("origin", "https://evil.example");
        problem(request.send().await?, 403, "cross_origin").await?;
    }
    Ok(())
}
