//! `/api/admin/keys`: which keys the installation has, and their rotation. Nobody sees a private half.
//!
//! A key in the database is rotated here. One in the configuration is rotated there, because nothing here can write it; the answer says how.

use axum::extract::State;
use domain::Timestamp;
use permissions::table::KeysManage;
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{
    Database,
    keys::{KeyPurpose, KeyRecord, KeyState},
};
use web::{Allowed, Json, Page, Result, Session, issuing};

use crate::{authority::record, router::Admin};

#[derive(Serialize)]
pub(crate) struct KeyBody {
    purpose: &'static str,
    id: String,
    created_at: Timestamp,
    /// When it should be rotated. Null for a key that was, and where keys are never due.
    due_at: Option<Timestamp>,
    state: &'static str,
    /// Until when what it signed counts, once another has taken its place.
    verifies_until: Option<Timestamp>,
    /// Whether it is rotated by configuration.
    is_configured: bool,
}

/// A request to rotate.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotate {
    /// Read as a string, so that an unknown one is reported as a wrong field.
    purpose: String,
    /// What the keys before have signed ends at once: for a key that somebody else may have.
    #[serde(default)]
    revoke: bool,
}

/// What came of it.
#[derive(Serialize)]
pub(crate) struct Rotated {
    /// `false`: it was rotated a moment ago, and nothing was changed.
    rotated: bool,
    items: Vec<KeyBody>,
}

/// `GET /api/admin/keys`.
pub(crate) async fn list<D: Database>(
    State(admin): State<Admin<D>>,
    _: Allowed<KeysManage>,
) -> Result<Json<Page<KeyBody>>> {
    let (keys, _) = admin.store().keys().await?;
    Ok(Json(Page::whole(keys.into_iter().map(|key| body(&admin, key)))))
}

/// `POST /api/admin/keys/rotate`.
pub(crate) async fn rotate<D: Database>(
    State(admin): State<Admin<D>>,
    session: Allowed<KeysManage>,
    Json(Rotate { purpose, revoke }): Json<Rotate>,
) -> Result<Json<Rotated>> {
    let purpose = KeyPurpose::named(&purpose).ok_or_else(unknown_purpose)?;
    let rotated = match purpose {
        KeyPurpose::Tokens => rotate_tokens(&admin, revoke).await?,
        KeyPurpose::Inside => admin.store().replace_inside_keys(revoke).await? > 0,
    };
    if rotated {
        note(&admin, &session, purpose, revoke).await?;
    }
    let (keys, _) = admin.store().keys().await?;
    let items = keys.into_iter().filter(|key| key.purpose == purpose).map(|key| body(&admin, key)).collect();
    Ok(Json(Rotated { rotated, items }))
}

async fn note<D: Database>(admin: &Admin<D>, session: &Session, purpose: KeyPurpose, revoke: bool) -> Result<()> {
    record(admin, session, if revoke { "key.revoke" } else { "key.rotate" }, purpose.name(), None).await
}

async fn rotate_tokens<D: Database>(admin: &Admin<D>, revoke: bool) -> Result<bool> {
    let (keys, _) = admin.store().keys().await?;
    let verifying = || keys.iter().filter(|key| key.purpose == KeyPurpose::Tokens && key.state != KeyState::Retired);
    let is_configured = verifying().any(|key| key.is_configured && key.verifies_until.is_none());
    let has_former = verifying().any(|key| key.verifies_until.is_some());
    match (is_configured, revoke) {
        (true, false) => return Err(configured().into()),
        (true, true) if !has_former => return Err(still_configured().into()),
        _ => {}
    }
    let stored = admin.store().rotate_signing_key(&issuing::generate()?, revoke).await?;
    // Where a key is configured, none is stored; the others have ended all the same.
    Ok(stored || is_configured)
}

fn body<D>(admin: &Admin<D>, key: KeyRecord) -> KeyBody {
    KeyBody {
        purpose: key.purpose.name(),
        created_at: key.created_at,
        due_at: key.due_at(admin.config.key_rotation_days),
        state: key.state.name(),
        verifies_until: key.verifies_until,
        is_configured: key.is_configured,
        id: key.id,
    }
}

fn unknown_purpose() -> Problem {
    let names: Vec<&str> = KeyPurpose::ALL.into_iter().map(KeyPurpose::name).collect();
    Problem::invalid_field("purpose", format!("There are keys for {}.", names.join(", ")))
}

fn configured() -> Problem {
    let detail = "The key that signs tokens is in the configuration, so it is rotated there: make a new one (openssl genpkey -algorithm ed25519), add it to the variable signing_key after the present one, deploy, then put it first and deploy again. The runbook \"Rotate keys\" has the steps.";
    Problem::conflict("key_configured", detail)
}

fn still_configured() -> Problem {
    let detail = "The key that signs tokens is in the configuration. First put another one in its place in the variable signing_key, deploy, and log in; then revoke. Until then, nothing was ended.";
    Problem::conflict("key_configured", detail)
}
