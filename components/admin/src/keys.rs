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

/// A key of the installation. Nobody sees a private half.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Key, example = json!({"purpose": "tokens", "id": "4nZp0s", "created_at": "2026-01-01T12:00:00.000Z", "due_at": "2026-01-08T12:00:00.000Z", "state": "current", "verifies_until": null, "is_configured": false})))]
pub(crate) struct KeyBody {
    /// `tokens`, `inside` or `master`.
    purpose: &'static str,
    id: String,
    /// Null for a configured master key: nobody knows.
    created_at: Option<Timestamp>,
    /// When it should be rotated. Null for a key that was, and where keys are never due.
    due_at: Option<Timestamp>,
    /// `current`, `verifies` or `retired`. One that verifies will sign soon, or did until another took its place.
    state: &'static str,
    /// Until when what it signed counts, once another has taken its place.
    verifies_until: Option<Timestamp>,
    /// Whether it is rotated by configuration.
    is_configured: bool,
}

/// A request to rotate.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = KeyRotation, example = json!({"purpose": "tokens"})))]
pub(crate) struct Rotate {
    /// `tokens`, `inside` or `master`. Read as a string, so that an unknown one is reported as a wrong field.
    #[cfg_attr(test, schema(pattern = "^(tokens|inside|master)$"))]
    purpose: String,
    /// What the keys before have signed ends at once: for a key that somebody else may have.
    #[serde(default)]
    revoke: bool,
}

/// What came of it.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = RotatedKeys))]
pub(crate) struct Rotated {
    /// `false`: it was rotated a moment ago, and nothing was changed.
    rotated: bool,
    items: Vec<KeyBody>,
}

/// Lists the keys of the installation.
///
/// By purpose, the newest first.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/admin/keys", tag = "Keys of the installation", operation_id = "listKeys",
    responses(
        (status = 200, description = "All keys.", body = Page<KeyBody>),
    ),
))]
pub(crate) async fn list<D: Database>(
    State(admin): State<Admin<D>>,
    _: Allowed<KeysManage>,
) -> Result<Json<Page<KeyBody>>> {
    let (keys, _) = admin.store().keys().await?;
    Ok(Json(Page::whole(keys.into_iter().map(|key| body(&admin, key)))))
}

/// Replaces a key.
///
/// With `revoke`, what those before have signed ends at once, also the caller's session. Nothing is changed if it was done within the last hour
/// (`master`: the last ten seconds), or if there is none yet.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/admin/keys/rotate", tag = "Keys of the installation", operation_id = "rotateKey",
    request_body = Rotate,
    responses(
        (status = 200, description = "The keys for the purpose.", body = Rotated),
        (status = 409, description = "`key_configured`: it is in the configuration, and `detail` says how it is rotated there. `not_revocable`: a master key signs nothing. `too_many_keys`: earlier master keys are still needed."),
    ),
))]
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
