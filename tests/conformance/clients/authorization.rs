//! Signs in at a protected server for the client of the crate `mcp`, as a person's browser would: whoever opens the page agrees at once.

use anyhow::{Context as _, bail, ensure};
use http::{StatusCode, Uri};
use mcp::{ClientError, Transport};
use oauth_client::{Begun, Challenge, Registered, Us, begin, scopes_together};
use serde_json::Value;
use url::Url;

/// Nothing listens there: the address is read from the redirect.
const REDIRECT_URI: &str = "http://localhost:3000/callback";
/// The document about the suite's client, as its authorization servers know it.
const DOCUMENT: &str = "https://conformance-test.local/client-metadata.json";

/// A token, and the scopes that were asked for.
pub(crate) struct SignedIn {
    pub(crate) access_token: String,
    pub(crate) scope: String,
}

/// Signs in after a refusal; `scope` is what was asked for before. `None`: the refusal is about something else.
pub(crate) async fn sign_in(
    transport: &impl Transport,
    browser: &reqwest::Client,
    server: &Uri,
    context: &Value,
    refusal: &ClientError,
    scope: &str,
) -> anyhow::Result<Option<SignedIn>> {
    let ClientError::Http { status, www_authenticate } = refusal else { return Ok(None) };
    let challenge = Challenge::read(www_authenticate.as_ref());
    match *status {
        StatusCode::UNAUTHORIZED => {}
        StatusCode::FORBIDDEN if challenge.wants_more() => {}
        _ => return Ok(None),
    }
    let scope = scopes_together(scope, challenge.scope.as_deref().unwrap_or_default());
    let registered = registered(browser, context, &challenge).await?;
    let us = Us {
        redirect_uri: REDIRECT_URI,
        document: Some(DOCUMENT),
        registered: registered.as_ref(),
        known_scope: &scope,
    };
    let Begun { url, state, attempt } = begin(transport, server, &challenge, &us).await?;
    let answer = browser.get(url.as_str()).send().await?;
    let location = answer.headers().get("location").context("the page leads nowhere")?.to_str()?;
    let location = Url::parse(location)?;
    let said = |name: &str| location.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    ensure!(said("state").as_deref() == Some(state.as_str()), "the state is another");
    attempt.check_issuer(said("iss").as_deref())?;
    let Some(code) = said("code") else { bail!("there is no code: {:?}", said("error")) };
    let (_, tokens) = attempt.finish(transport, &code).await?;
    Ok(Some(SignedIn { access_token: tokens.access.to_string(), scope }))
}

/// The client that the scenario has registered, at the authorization server that its MCP server names.
async fn registered(
    browser: &reqwest::Client,
    context: &Value,
    challenge: &Challenge,
) -> anyhow::Result<Option<Registered>> {
    let (Some(client_id), Some(metadata)) =
        (context.get("client_id").and_then(Value::as_str), &challenge.resource_metadata)
    else {
        return Ok(None);
    };
    let metadata: Value = browser.get(metadata).send().await?.json().await?;
    let issuer = metadata.pointer("/authorization_servers/0").and_then(Value::as_str);
    let issuer = issuer.context("no authorization server")?.to_owned();
    let client_secret = context.get("client_secret").and_then(Value::as_str).map(str::to_owned);
    Ok(Some(Registered { client_id: client_id.to_owned(), client_secret, scope: None, issuer }))
}
