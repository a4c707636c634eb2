//! `/api/admin/keys`: which keys the installation has, and their rotation. Nobody sees a private half.
//!
//! A key in the database is rotated here (`web::keys`). One in the configuration is rotated there, because nothing here can write it; the answer says
//! how.

use axum::extract::State;
use domain::Timestamp;
use permissions::table::KeysManage;
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{
    Database,
    keys::{KeyPurpose, KeyRecord, KeyRotation},
};
use web::{Allowed, Json, Page, Result};

use crate::router::Admin;

#[derive(Serialize)]
pub(crate) struct KeyBody {
    purpose: &'static str,
    id: String,
    /// Null for a configured master key: nobody knows.
    created_at: Option<Timestamp>,
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
    let rotation = KeyRotation { revokes: revoke, user_id: session.user_id(), detail: None };
    let rotated = web::keys::rotate(admin.store(), purpose, &rotation).await?;
    let (keys, _) = admin.store().keys().await?;
    let items = keys.into_iter().filter(|key| key.purpose == purpose).map(|key| body(&admin, key)).collect();
    Ok(Json(Rotated { rotated, items }))
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
