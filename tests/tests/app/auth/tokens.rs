//! Access tokens: which are accepted, which are refused, and the keys that verify them.

use anyhow::{Context as _, Result};
use jwt_simple::prelude::{
    Claims, Duration, Ed25519KeyPair, Ed25519PublicKey, EdDSAKeyPairLike as _, EdDSAPublicKeyLike as _, HS256Key,
    MACLike as _, NoCustomClaims, UnixTimeStamp,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{App, Options, Person, array, problem, text};

/// `{"alg":"none","typ":"JWT"}`
const ALG_NONE: &str = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
const ISSUER: &str = "edge-assistant";

async fn key_set(app: &App) -> Result<Vec<Value>> {
    let response = app.request(Method::GET, "/.well-known/jwks.json").send().await?;
    assert_eq!(response.status(), StatusCode::OK);
    array(&response.json().await?, "/keys")
}

async fn refused(app: &App, token: &str) -> Result<()> {
    let response = app.request(Method::GET, "/api/conversations").header("authorization", format!("Bearer {token}"));
    let response = response.send().await?;
    assert_eq!(
        response.headers().get("www-authenticate").map(|value| value.as_bytes()),
        Some(&b"Bearer"[..]),
        "{token}"
    );
    problem(response, 401, "unauthenticated").await?;
    Ok(())
}

#[tokio::test]
async fn the_published_key_verifies_a_token() -> Result<()> {
    let person = Person::new().await?;
    let keys = key_set(&person.app).await?;
    let key = keys.first().context("no key")?;
    assert_eq!((&key["kty"], &key["crv"]), (&json!("OKP"), &json!("Ed25519")));
    assert!(keys.iter().all(|key| key.get("d").is_none()), "a private key is published");
    let public = Ed25519PublicKey::from_jwk(&key.to_string())?;
    let claims = public.verify_token::<NoCustomClaims>(&person.token, None)?;
    assert_eq!(claims.subject, person.user["id"].as_str().map(str::to_owned));
    Ok(())
}

#[tokio::test]
async fn without_a_session_every_route_that_needs_one_says_how_to_get_one() -> Result<()> {
    let id = "01990000-0000-7000-8000-000000000000";
    for (method, path) in [
        (Method::GET, "/auth/me".to_owned()),
        (Method::GET, "/api/conversations".to_owned()),
        (Method::POST, "/api/conversations".to_owned()),
        (Method::GET, format!("/api/conversations/{id}")),
        (Method::PATCH, format!("/api/conversations/{id}")),
        (Method::DELETE, format!("/api/conversations/{id}")),
        (Method::GET, format!("/api/conversations/{id}/messages")),
        (Method::POST, format!("/api/conversations/{id}/messages")),
        (Method::GET, format!("/api/runs/{id}")),
        (Method::GET, format!("/api/runs/{id}/events")),
        (Method::POST, format!("/api/runs/{id}/cancel")),
        (Method::POST, format!("/api/runs/{id}/retry")),
        (Method::GET, "/api/tools".to_owned()),
    ] {
        let response = tests::anonymous(method.clone(), &path)?.json(&json!({})).send().await?;
        assert!(response.headers().contains_key("www-authenticate"), "{method} {path}");
        problem(response, 401, "unauthenticated").await.with_context(|| format!("{method} {path}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn forged_tokens_are_refused() -> Result<()> {
    let person = Person::new().await?;
    let keys = key_set(&person.app).await?;
    let key_id = text(keys.first().context("no key")?, "/kid")?;
    let parts: Vec<&str> = person.token.split('.').collect();
    let [head, claims, signature] = parts.as_slice() else { anyhow::bail!("a token has three parts") };

    refused(&person.app, &format!("{ALG_NONE}.{claims}.")).await?;
    refused(&person.app, &format!("{ALG_NONE}.{claims}.{signature}")).await?;
    refused(&person.app, &format!("{head}.{claims}.")).await?;
    refused(&person.app, &format!("{head}.{claims}")).await?;
    let other = Person::new().await?;
    let other_claims = other.token.split('.').nth(1).context("a token has claims")?;
    refused(&person.app, &format!("{head}.{other_claims}.{signature}")).await?;
    for rubbish in ["", "x", "..", "ä", &"x".repeat(5000), &format!("{} x", person.token)] {
        refused(&person.app, rubbish).await?;
    }

    let ours = || {
        Claims::with_custom_claims(json!({"role": "admin"}), Duration::from_mins(10))
            .with_subject(person.user["id"].as_str().unwrap_or_default())
            .with_issuer(ISSUER)
            .with_audience(ISSUER)
    };
    refused(&person.app, &Ed25519KeyPair::generate().sign(ours())?).await?;
    refused(&person.app, &Ed25519KeyPair::generate().with_key_id(&key_id).sign(ours())?).await?;
    // The published key, used as a shared secret.
    let public = Ed25519PublicKey::from_jwk(&keys.first().context("no key")?.to_string())?;
    let confused = HS256Key::from_bytes(&public.to_bytes()).with_key_id(&key_id).authenticate(ours())?;
    refused(&person.app, &confused).await?;
    Ok(())
}

#[tokio::test]
async fn a_token_of_ours_holds_only_in_its_time_and_for_its_purpose() -> Result<()> {
    let key = Ed25519KeyPair::generate();
    let key_id = key.jwk_thumbprint();
    let key = key.with_key_id(&key_id);
    let Some((_host, app)) = App::own(Options::default().variable("signing_key", &key.to_pem()))? else {
        tests::skip!("needs a host of its own")
    };
    let person = Person::in_app(&app).await?;
    assert!(key_set(&app).await?.iter().any(|published| published["kid"] == key_id));

    let user = person.user["id"].as_str().unwrap_or_default();
    let ours = || {
        Claims::with_custom_claims(json!({"role": "user"}), Duration::from_mins(10))
            .with_subject(user)
            .with_issuer(ISSUER)
            .with_audience(ISSUER)
    };
    let good = app.request(Method::GET, "/auth/me").bearer_auth(key.sign(ours())?).send().await?;
    assert_eq!(good.json::<Value>().await?, person.user);

    let hour = |claims: &jwt_simple::prelude::JWTClaims<Value>, hours: i64| -> Option<UnixTimeStamp> {
        let seconds = claims.issued_at?.as_secs().checked_add_signed(hours * 3600)?;
        Some(UnixTimeStamp::from_secs(seconds))
    };
    let mut expired = ours();
    (expired.issued_at, expired.expires_at) = (hour(&expired, -2), hour(&expired, -1));
    expired.invalid_before = expired.issued_at;
    refused(&app, &key.sign(expired)?).await?;
    let mut not_yet = ours();
    not_yet.invalid_before = hour(&not_yet, 1);
    refused(&app, &key.sign(not_yet)?).await?;
    let mut endless = ours();
    endless.expires_at = None;
    refused(&app, &key.sign(endless)?).await?;
    refused(&app, &key.sign(ours().with_audience("mcp"))?).await?;
    refused(&app, &key.sign(ours().with_issuer("somebody else"))?).await?;
    refused(&app, &key.sign(ours().with_subject("nobody"))?).await?;
    refused(&app, &key.sign(ours().with_subject(""))?).await?;
    Ok(())
}

#[tokio::test]
async fn a_token_holds_after_a_restart() -> Result<()> {
    let Some((mut host, app)) = App::own(Options::default())? else { tests::skip!("needs a host of its own") };
    let person = Person::in_app(&app).await?;
    let keys = key_set(&app).await?;
    host.restart()?;
    let person = Person { app: App::of(&host), ..person };
    assert_eq!(person.get("/auth/me").await?, person.user);
    assert_eq!(key_set(&person.app).await?, keys);
    Ok(())
}
