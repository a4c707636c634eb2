//! Keys are rotated in a running installation, and nobody notices.

use anyhow::Result;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{App, Options, Person, array, text};

#[tokio::test]
async fn a_rotation_publishes_the_new_key_logs_nobody_out_and_interrupts_no_tools() -> Result<()> {
    let Some((_host, app)) = App::own(Options::default())? else { tests::skip!("needs a host of its own") };
    let admin = Person::in_app(&app).await?;
    let rotate = async |purpose: &str| -> Result<Value> {
        let body = json!({ "purpose": purpose });
        let response = admin.request(Method::POST, "/api/admin/keys/rotate").json(&body).send().await?;
        assert_eq!(response.status(), StatusCode::OK);
        Ok(response.json().await?)
    };
    let tools = async || -> Result<usize> { Ok(array(&admin.get("/api/tools").await?, "/items")?.len()) };
    let before = tools().await?;
    let rotated = rotate("tokens").await?;
    assert_eq!((&rotated["rotated"], array(&rotated, "/items")?.len()), (&json!(true), 2));
    let published: Value = app.request(Method::GET, "/.well-known/jwks.json").send().await?.json().await?;
    assert_eq!(array(&published, "/keys")?.len(), 2, "it is published before it signs");
    assert_eq!(rotate("tokens").await?["rotated"], false, "one rotation at a time");
    // The token from before, and a new one.
    assert_eq!(tools().await?, before);
    let refresh = app.request(Method::POST, "/auth/refresh").header("cookie", format!("ea_refresh={}", admin.refresh));
    let refreshed: Value = refresh.send().await?.error_for_status()?.json().await?;
    let token = text(&refreshed, "/access_token")?;
    let asked = app.request(Method::GET, "/auth/me").header("authorization", format!("Bearer {token}")).send().await?;
    assert_eq!(asked.status(), StatusCode::OK);
    let ready: Value = app.request(Method::GET, "/ready").send().await?.json().await?;
    let checks = array(&ready, "/checks")?;
    for name in ["keys", "signing_key", "tool_policies"] {
        assert!(checks.iter().any(|check| check["name"] == name && check["status"] == "ok"), "{ready}");
    }
    Ok(())
}
