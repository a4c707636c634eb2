//! `POST /oauth/token` and `POST /oauth/revoke`: codes and refresh tokens are exchanged for access tokens, and given back (RFC 6749, RFC 7009).

use std::collections::BTreeMap;

use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use domain::{Id, Timestamp, User};
use http::{StatusCode, header};
use identity::{
    Caller, IdentityError, Issuer, Purpose,
    grant_token::{GrantToken, Kind},
    refresh_token,
    session_token::{self, ProgramSession},
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use storage::{
    Database, StorageError,
    grants::{CodeBinding, GrantTerms},
    sessions::{Lifetimes, Rotation, TokenHashes},
};
use web::{Authenticator as _, Json, Result};

use crate::{authorization::resource_path, document::Documents, limits, refusal::Refusal, routes::OAuth};

/// A code, a verifier and two addresses.
const MAX_BYTES: usize = 16 * 1024;

/// Tokens for a program (RFC 6749, section 5.1).
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = OAuthTokens, example = json!({"access_token": "eyJhbGciOi...", "token_type": "Bearer", "expires_in": 900, "refresh_token": "...", "scope": "gateway:use tools:call:*"})))]
struct Tokens {
    /// Valid at the gateway and nowhere else.
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// In seconds.
    expires_in: u64,
    /// Replaces the one before.
    refresh_token: String,
    /// What was allowed, separated by spaces.
    scope: String,
}

/// What `/oauth/token` takes, each once (RFC 6749, sections 4.1.3 and 6).
#[cfg(test)]
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"grant_type": "authorization_code", "code": "...", "client_id": "...", "redirect_uri": "http://127.0.0.1/callback", "code_verifier": "..."}))]
#[expect(dead_code, reason = "it is described; Form reads it")]
struct TokenRequest {
    /// `authorization_code` or `refresh_token`.
    grant_type: String,
    /// The program.
    client_id: String,
    /// With `authorization_code`: the code.
    code: Option<String>,
    /// With `authorization_code`: as when the code was asked for.
    redirect_uri: Option<String>,
    /// With `authorization_code`: what the challenge was made of (RFC 7636).
    code_verifier: Option<String>,
    /// With `refresh_token`: the token.
    refresh_token: Option<String>,
    /// The gateway, or a server behind it (RFC 8707).
    resource: Option<String>,
}

/// What `/oauth/revoke` takes (RFC 7009, section 2.1).
#[cfg(test)]
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"token": "..."}))]
#[expect(dead_code, reason = "it is described; Form reads it")]
struct RevocationRequest {
    /// A refresh token or an access token.
    token: String,
}

/// Why there are no tokens.
enum Failed {
    Refused(Refusal),
    Fault(web::Error),
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<web::Error> for Failed {
    fn from(error: web::Error) -> Self {
        Self::Fault(error)
    }
}

impl From<StorageError> for Failed {
    fn from(error: StorageError) -> Self {
        Self::Fault(error.into())
    }
}

impl From<IdentityError> for Failed {
    fn from(error: IdentityError) -> Self {
        Self::Fault(error.into())
    }
}

/// The parameters of a form, each once (RFC 6749, section 3.2).
struct Form(BTreeMap<String, String>);

impl Form {
    async fn read(request: Request<Body>) -> Result<Self, Failed> {
        let (head, body) = request.into_parts();
        let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(Refusal::invalid_request("Send a form: application/x-www-form-urlencoded.").into());
        }
        let body = web::body::read(&head.headers, body, MAX_BYTES).await?;
        let mut parameters = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(&body) {
            if parameters.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                return Err(Refusal::invalid_request(format!("{name} is there twice.")).into());
            }
        }
        Ok(Self(parameters))
    }

    /// A parameter; an empty one counts as left out.
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| Refusal::invalid_request(format!("{name} is missing.")))
    }
}

/// Exchanges a code or a refresh token for tokens (RFC 6749).
#[cfg_attr(test, utoipa::path(
    post, path = "/oauth/token", tag = "Programs that sign in", operation_id = "exchangeToken",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The tokens.", body = Tokens),
        (status = 400, description = "`invalid_request`, `invalid_grant`, `invalid_target` or `unsupported_grant_type`.", body = Refusal),
        (status = 404, description = "`not_found`: the installation does not know its address."),
        (status = 429, description = "`temporarily_unavailable`: too many requests come from one address.", body = Refusal),
    ),
))]
pub(crate) async fn exchange<D: Database, F: Documents>(
    State(oauth): State<OAuth<D, F>>,
    request: Request,
) -> Result<Response> {
    if let Some(refusal) = limits::take(&oauth, "token", request.headers()).await? {
        return Ok(refusal.into_response());
    }
    match exchanged(&oauth, request).await {
        Ok(tokens) => Ok(Json::<_>(tokens).into_response()),
        Err(Failed::Refused(refusal)) => Ok(refusal.into_response()),
        Err(Failed::Fault(error)) => Err(error),
    }
}

async fn exchanged<D: Database, F: Documents>(oauth: &OAuth<D, F>, request: Request) -> Result<Tokens, Failed> {
    let here = oauth.address(request.headers())?;
    let form = Form::read(request).await?;
    match form.required("grant_type")? {
        "authorization_code" => with_code(oauth, &form, &here).await,
        "refresh_token" => with_refresh_token(oauth, &form, &here).await,
        _ => Err(Refusal::new("unsupported_grant_type", "Use authorization_code or refresh_token.").into()),
    }
}

async fn with_code<D: Database, F: Documents>(oauth: &OAuth<D, F>, form: &Form, here: &str) -> Result<Tokens, Failed> {
    let (client_id, verifier) = (form.required("client_id")?, form.required("code_verifier")?);
    let code = GrantToken::parse(Kind::Code, form.required("code")?).ok_or_else(Refusal::invalid_grant)?;
    let resource = resource(form, here)?;
    let (issuer, now) = oauth.issuer().await?;
    // A code is redeemed once, so only the key that signs counts.
    let next = issuer.successors_of_grant(&code)?.into_iter().next().ok_or_else(Refusal::invalid_grant)?;
    // RFC 7636, section 4.6.
    let challenge = BASE64.encode(Sha256::digest(verifier.as_bytes()));
    let bound = CodeBinding {
        client_id,
        redirect_uri: form.get("redirect_uri"),
        code_challenge: &challenge,
        resource: resource.as_deref(),
    };
    let (id, hashes, lifetime) = (code.session_id(), hashes(&code), refresh_token::LIFETIME_MS);
    let redeemed = oauth.store().redeem_code(id, &hashes, bound, &next.hash(), lifetime).await?;
    let (user, terms) = redeemed.ok_or_else(Refusal::invalid_grant)?;
    tokens(&issuer, now, &user, id, &next, terms)
}

async fn with_refresh_token<D: Database, F: Documents>(
    oauth: &OAuth<D, F>,
    form: &Form,
    here: &str,
) -> Result<Tokens, Failed> {
    let client_id = form.required("client_id")?;
    let token = GrantToken::parse(Kind::Refresh, form.required("refresh_token")?).ok_or_else(Refusal::invalid_grant)?;
    // Another program gets nothing for it, nor does this one for another resource (RFC 8707, section 2.2).
    let terms = oauth.store().grant_terms(token.session_id(), &hashes(&token)).await?;
    let terms = terms.filter(|terms| terms.client_id == client_id).ok_or_else(Refusal::invalid_grant)?;
    if resource(form, here)?.is_some_and(|resource| resource != terms.resource) {
        return Err(Refusal::new("invalid_target", "The person let this program in for another resource.").into());
    }
    let (issuer, now) = oauth.issuer().await?;
    let successors = issuer.successors_of_grant(&token)?;
    let next: Vec<String> = successors.iter().map(GrantToken::hash).collect();
    let lifetimes = Lifetimes { session_ms: refresh_token::LIFETIME_MS, grace_ms: refresh_token::GRACE_MS };
    let id = token.session_id();
    match oauth.store().rotate_session(id, &hashes(&token), &next, lifetimes).await? {
        Rotation::Rotated { user, successor } => {
            let next = successors.get(successor).ok_or_else(Refusal::invalid_grant)?;
            tokens(&issuer, now, &user, id, next, terms)
        }
        Rotation::Reused | Rotation::Ended | Rotation::Expired | Rotation::Unknown => {
            Err(Refusal::invalid_grant().into())
        }
    }
}

/// The path of the gateway for which a program wants tokens.
fn resource(form: &Form, here: &str) -> Result<Option<String>, Refusal> {
    let Some(resource) = form.get("resource") else { return Ok(None) };
    let unknown = || Refusal::new("invalid_target", "The resource is not the gateway here, nor a server behind it.");
    resource_path(here, Some(resource)).map(Some).ok_or_else(unknown)
}

fn hashes(token: &GrantToken) -> TokenHashes {
    TokenHashes { token: token.hash(), family: token.family_hash() }
}

fn tokens(
    issuer: &Issuer,
    now: Timestamp,
    user: &User,
    session_id: Id,
    refresh: &GrantToken,
    terms: GrantTerms,
) -> Result<Tokens, Failed> {
    let program = ProgramSession { session_id, scopes: &terms.scopes, resource: &terms.resource };
    Ok(Tokens {
        access_token: issuer.issue_to_program(user, program, now)?,
        token_type: "Bearer",
        expires_in: session_token::LIFETIME_S,
        refresh_token: refresh.to_string(),
        scope: terms.scopes,
    })
}

/// Gives a token back and ends its grant (RFC 7009).
///
/// Whatever token is sent, the answer is the same, unless the database does not answer: then the program tries again.
#[cfg_attr(test, utoipa::path(
    post, path = "/oauth/revoke", tag = "Programs that sign in", operation_id = "revokeToken",
    request_body(content = RevocationRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token opens nothing."),
        (status = 400, description = "`invalid_request`: there is no token.", body = Refusal),
    ),
))]
pub(crate) async fn revoke<D: Database, F: Documents>(
    State(oauth): State<OAuth<D, F>>,
    request: Request,
) -> Result<Response> {
    let form = match Form::read(request).await {
        Ok(form) => form,
        Err(Failed::Refused(refusal)) => return Ok(refusal.into_response()),
        Err(Failed::Fault(error)) => return Err(error),
    };
    let token = match form.required("token") {
        Ok(token) => token,
        Err(refusal) => return Ok(refusal.into_response()),
    };
    if let Some(token) = GrantToken::parse(Kind::Refresh, token) {
        oauth.store().end_session(token.session_id(), &hashes(&token)).await?;
        return Ok(StatusCode::OK.into_response());
    }
    // It may have become void for another reason, and still says which grant is to end.
    match oauth.app().signed_caller(token, Purpose::Gateway).await {
        Ok(Caller { user_id, session_id: Some(session_id), resource: Some(_), .. }) => {
            oauth.store().end_grant(user_id, session_id).await?;
        }
        Err(error) if error.status() != StatusCode::UNAUTHORIZED => return Err(error),
        _ => {}
    }
    Ok(StatusCode::OK.into_response())
}
