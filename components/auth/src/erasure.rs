//! `/api/account`: a person has everything about them erased. They ask with a proof that it is them, have some days to take it back by logging in, and
//! get a signed receipt. This component does the work too (`background.rs`), because the receipt is signed with the signing key.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use domain::{Id, Timestamp, User};
use http::{HeaderMap, Method};
use identity::{link_token::LinkToken, statement::About};
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{
    Database, Store,
    erasures::{Erasure, ErasureRequested},
};
use web::{Json, Result, Session};

use crate::{
    COMPONENT,
    routes::{Auth, signed_out},
    second_factor::{Proof, code_required, counts, proven, wrong_code},
};

/// Who has neither a password nor a second factor here shows that it is them by having logged in at their provider just now.
const FRESH_MS: i64 = 10 * 60 * 1000;
/// The sessions of a person among which the present one is looked for.
const MAX_SESSIONS: u32 = 100;
/// Batches in one visit: a hundred thousand rows. Another visit goes on.
const MAX_BATCHES: u32 = 200;

/// An erasure that was asked for.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = RequestedErasure, example = json!({"erase_at": "2026-01-08T12:00:00.000Z", "receipt_token": "..."})))]
struct Requested {
    /// When the erasure begins. Until then, logging in with `keep_account` takes it back.
    erase_at: Timestamp,
    /// With this, and nothing else, the person gets the receipt later. It is shown only now.
    receipt_token: String,
}

/// Has one's own account erased.
///
/// It is closed at once, and erased later. Until then, a log-in with `keep_account` takes it back. Whoever has neither a password nor a second factor
/// sends `{}` within ten minutes after they logged in.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/account", tag = "Account", operation_id = "eraseOwnAccount",
    request_body = Proof,
    responses(
        (status = 202, description = "When, and what opens the receipt.", body = Requested),
        (status = 403, description = "`log_in_again`: the log-in is longer ago than ten minutes."),
        (status = 409, description = "`last_administrator`: nobody could look after the installation. `changed_meanwhile`: the account was changed in the same moment. `second_factor_unreadable`: the key that it was encrypted with is missing; use the password."),
        (status = 429, description = "`rate_limited`."),
    ),
))]
pub(crate) async fn request<D: Database>(
    State(auth): State<Auth<D>>,
    session: Session,
    headers: HeaderMap,
    Json(proof): Json<Proof>,
) -> Result<Response> {
    let user = match logged_in_just_now(&auth, &session, &proof).await? {
        Some(user) => user,
        None => proven(&auth, &session, &headers, proof).await?,
    };
    let token = LinkToken::new()?;
    let receipt_hash = token.hash();
    let grace_ms = auth.config.erasure_grace_ms;
    let erase_at = match auth.store().request_erasure(&user, user.id, grace_ms, Some(&receipt_hash)).await? {
        ErasureRequested::Due(at) => at,
        ErasureRequested::Stale => {
            let detail = "Your account has changed meanwhile. Look at it again, and ask again if you still want to.";
            return Err(Problem::conflict("changed_meanwhile", detail).into());
        }
        ErasureRequested::LastAdministrator => {
            let detail = "You are the last administrator: without you nobody could look after this installation. Make somebody else an administrator first.";
            return Err(Problem::conflict("last_administrator", detail).into());
        }
    };
    let mut response =
        (StatusCode::ACCEPTED, Json::<_>(Requested { erase_at, receipt_token: token.to_string() })).into_response();
    response.headers_mut().extend(std::mem::take(signed_out(&auth, &headers).headers_mut()));
    Ok(response)
}

/// The person of a session that began just now, if they have nothing here that they could enter again. `None`: they have.
async fn logged_in_just_now<D: Database>(auth: &Auth<D>, session: &Session, proof: &Proof) -> Result<Option<User>> {
    if !proof.is_empty() {
        return Ok(None);
    }
    let found = auth.store().user_with_password(session.user_id()).await?;
    let (user, hash) = found.ok_or_else(Problem::unauthenticated)?;
    if hash.is_some() || user.has_second_factor {
        return Ok(None);
    }
    let (_, now) = auth.issuer().await?;
    let sessions = auth.store().open_sessions(Some(user.id), None, MAX_SESSIONS).await?;
    let began = sessions.iter().find(|open| Some(open.id) == session.session_id()).map(|open| open.created_at);
    if began.is_some_and(|began| now.as_millis().saturating_sub(began.as_millis()) < FRESH_MS) {
        return Ok(Some(user));
    }
    let detail = "Log out and log in again at your provider, and ask within ten minutes after that: so it is sure that it is you.";
    Err(Problem::new(StatusCode::FORBIDDEN, "log_in_again", detail).into())
}

/// What somebody is told who logs in to an account that is to be erased. `None`: it is suspended for another reason.
pub(crate) async fn pending<D: Database>(auth: &Auth<D>, user: &User) -> Result<Option<Problem>> {
    let erasure = auth.store().erasure(user.id).await?.filter(|erasure| erasure.erased_at.is_none());
    Ok(erasure.map(|erasure| {
        let what_to_do = if erasure.requested_by == user.id {
            "To keep it, log in and say that you want to keep it."
        } else {
            "An administrator ordered that. Ask one if it is a mistake."
        };
        let detail = format!("This account is going to be erased on {}. {what_to_do}", erasure.due_at);
        Problem::new(StatusCode::FORBIDDEN, "erasure_pending", detail)
    }))
}

/// Takes back the erasure that somebody asked for themselves, who has just entered the password, and shows a code if the account has a second factor.
/// `None`: it has begun, or somebody else asked for it.
pub(crate) async fn keep<D: Database>(
    auth: &Auth<D>,
    headers: &HeaderMap,
    (user, password_hash): (&User, Option<&str>),
    code: Option<&str>,
) -> Result<Option<(User, Option<String>)>> {
    if user.has_second_factor {
        let code = code.ok_or_else(code_required)?;
        if !counts(auth, headers, (user, password_hash), code).await? {
            return Err(wrong_code().into());
        }
    }
    if !auth.store().take_back_erasure(user.id, user.id).await? {
        return Ok(None);
    }
    Ok(auth.store().user_with_password(user.id).await?.filter(|(user, _)| !user.is_suspended))
}

/// What opens a receipt.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ReceiptRequest, example = json!({"receipt_token": "..."})))]
pub(crate) struct Ask {
    /// It came with the request for the erasure.
    receipt_token: String,
}

/// Public keys as a JWK set (RFC 7517).
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ReceiptKeys))]
pub(crate) struct Keys {
    #[cfg_attr(test, schema(value_type = Vec<std::collections::BTreeMap<String, serde_json::Value>>))]
    keys: Vec<serde_json::Value>,
}

/// Lists all public keys that ever signed here.
///
/// They verify receipts. Keys that are retired sign no tokens, and what they said stays said.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/account/receipt-keys", tag = "Account", operation_id = "listReceiptKeys",
    responses(
        (status = 200, description = "The keys.", body = Keys),
    ),
))]
pub(crate) async fn receipt_keys<D: Database>(State(auth): State<Auth<D>>) -> Result<Json<Keys>> {
    let keys = auth.store().all_public_keys().await?;
    Ok(Json(Keys { keys: keys.iter().filter_map(|(_, jwk)| serde_json::from_str(jwk).ok()).collect() }))
}

/// How far an erasure is.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ErasureReceipt, example = json!({"erase_at": "2026-01-08T12:00:00.000Z", "erased_at": null, "receipt": null})))]
pub(crate) struct ReceiptBody {
    erase_at: Timestamp,
    erased_at: Option<Timestamp>,
    /// A JWT that the keys of `/api/account/receipt-keys` verify, once it is done.
    receipt: Option<String>,
}

impl From<Erasure> for ReceiptBody {
    fn from(Erasure { due_at, erased_at, receipt, .. }: Erasure) -> Self {
        Self { erase_at: due_at, erased_at, receipt }
    }
}

/// Reads how far an erasure is, and its receipt.
///
/// For whoever has the token that came with the request. The account is gone, so there is no session; the token is in the body, because addresses are
/// logged.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/account/receipt", tag = "Account", operation_id = "getErasureReceipt",
    request_body = Ask,
    responses(
        (status = 200, description = "How far it is.", body = ReceiptBody),
        (status = 403, description = "`cross_origin`."),
        (status = 404, description = "`not_found`: there is no such erasure."),
    ),
))]
pub(crate) async fn receipt<D: Database>(
    State(auth): State<Auth<D>>,
    method: Method,
    headers: HeaderMap,
    Json(Ask { receipt_token }): Json<Ask>,
) -> Result<Json<ReceiptBody>> {
    auth.check_origin(&method, &headers)?;
    let hash = LinkToken::parse(&receipt_token).ok_or_else(Problem::not_found)?.hash();
    Ok(Json(auth.store().erasure_of_receipt(&hash).await?.ok_or_else(Problem::not_found)?.into()))
}

/// What a receipt says and its signature covers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct ReceiptClaims {
    /// The account's id, a pseudonym from now on.
    person: Id,
    requested_by: Id,
    /// As everywhere, RFC 3339 in UTC.
    requested_at: String,
    erased_at: String,
    /// The number of rows of each kind that there were.
    erased: BTreeMap<String, u64>,
}

/// Does an erasure that is due, if no other host has it. `revoke` has the tokens of the person's connections revoked at their servers, which takes their data
/// key.
pub(crate) async fn erase_due<D: Database>(
    store: &Store<D>,
    signing_key: &str,
    revoke: impl AsyncFnOnce(Id),
) -> Result<()> {
    let Some(turn) = store.take_erasure_turn().await? else { return Ok(()) };
    let erased: BTreeMap<String, u64> = serde_json::from_str(&turn.inventory).unwrap_or_default();
    if erased.get("tool_connections").is_some_and(|connections| *connections > 0) {
        revoke(turn.user_id).await;
    }
    let mut step = 0;
    store.destroy_data_key(turn.user_id).await?;
    for _ in 0..MAX_BATCHES {
        if store.erase_next(turn.user_id, &mut step).await? {
            continue;
        }
        let (issuer, now) = web::issuing::issuer(COMPONENT, store, signing_key).await?;
        let claims = ReceiptClaims {
            person: turn.user_id,
            requested_by: turn.requested_by,
            requested_at: turn.requested_at.to_string(),
            erased_at: now.to_string(),
            erased,
        };
        let receipt = issuer.sign_statement(About::Erasure, claims, now)?;
        return Ok(store.end_erasure(turn.user_id, &receipt, now).await?);
    }
    Ok(store.give_back_erasure_turn(turn.user_id).await?)
}

#[cfg(test)]
mod tests;
