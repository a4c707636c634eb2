//! How API keys are listed, made and revoked over HTTP: by people for themselves, and by administrators for service accounts. It decides nothing
//! about who may: that is the handlers' part.

use axum::response::Response;
use domain::{Id, Timestamp};
use identity::{api_key::ApiKey, signup};
use permissions::Scopes;
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{
    Database, Store,
    api_keys::{MAX_KEYS, NewApiKey},
    audit::AuditEvent,
    invitations::Maker,
};

use crate::{Page, Result, extract::created};

/// A key to be made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = NewApiKey, example = json!({"name": "nightly report", "scopes": ["conversations:read"]})))]
pub struct NewKey {
    /// What it is for.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 100))]
    name: String,
    /// What it may do: permissions, or parts of them. Left out: what is usual where it is made.
    scopes: Option<Vec<String>>,
    /// RFC 3339; if there is none, the key is valid until it is revoked.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    expires_at: Option<String>,
}

/// A key as it is listed.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKey, example = json!({"id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f00", "name": "nightly report", "prefix": "ea_4f9k2m", "scopes": ["conversations:read"], "created_at": "2026-01-01T12:00:00.000Z", "expires_at": null, "last_used_at": null})))]
pub struct ApiKeyBody {
    id: Id,
    name: String,
    /// The first characters of the key.
    prefix: String,
    scopes: Vec<String>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    last_used_at: Option<Timestamp>,
}

/// A key that was just made.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = MadeApiKey))]
pub struct MadeBody {
    #[serde(flatten)]
    listed: ApiKeyBody,
    /// The key itself, shown only now.
    key: String,
}

impl From<storage::api_keys::ApiKey> for ApiKeyBody {
    fn from(key: storage::api_keys::ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            prefix: key.prefix,
            scopes: key.scopes.split_whitespace().map(str::to_owned).collect(),
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.used_at,
        }
    }
}

/// The keys of an account.
///
/// # Errors
/// Whatever the database says.
pub async fn list(store: &Store<impl Database>, owner: Id) -> Result<Page<ApiKeyBody>> {
    Ok(Page::whole(store.api_keys(owner).await?.into_iter().map(Into::into)))
}

/// Makes a key for an account: 201, with the key. `usual`: its scopes, unless others are wanted.
///
/// # Errors
/// 422, which names the field; 409 if the account has too many keys; 401 if the maker's access has changed meanwhile.
pub async fn make(
    store: &Store<impl Database>,
    owner: Id,
    maker: Maker,
    new: &NewKey,
    usual: Scopes,
) -> Result<Response> {
    let name = signup::name(&new.name)?;
    if name.is_empty() {
        return Err(
            Problem::invalid_field("name", "Give the key a name, so that you know later what it is for.").into()
        );
    }
    let scopes = match &new.scopes {
        None => usual,
        Some(scopes) => Scopes::new(scopes.iter().map(String::as_str))
            .map_err(|error| Problem::invalid_field("scopes", format!("This cannot be a scope: {error}.")))?,
    };
    let expires_at = new.expires_at.as_deref().map(future).transpose()?;
    let key = ApiKey::new()?;
    let (hash, scopes) = (key.hash(), scopes.to_string());
    let stored = NewApiKey { name, prefix: key.prefix(), hash: &hash, scopes: &scopes, expires_at };
    let Some(made) = store.create_api_key(owner, stored, maker).await? else {
        return Err(if store.api_keys(owner).await?.len() < MAX_KEYS as usize {
            // The maker's access has changed.
            Problem::unauthenticated().into()
        } else {
            let detail = format!("There are {MAX_KEYS} keys already. Revoke one that is no longer needed.");
            Problem::conflict("too_many_keys", detail).into()
        });
    };
    record(store, maker.user_id, "api_key.create", made.id, owner).await?;
    Ok(created(MadeBody { listed: made.into(), key: key.to_string() }))
}

/// A time that is still to come, by this host's clock. The database's clock decides when a key has expired.
fn future(text: &str) -> Result<Timestamp> {
    let time = text.parse().ok().filter(|time| *time > Timestamp::now());
    let wrong = || {
        let detail = "Use a time to come, with its offset from UTC, such as 2030-01-31T12:00:00Z.";
        Problem::invalid_field("expires_at", detail)
    };
    Ok(time.ok_or_else(wrong)?)
}

/// Revokes a key of an account.
///
/// # Errors
/// 404 if there is no such key.
pub async fn revoke(store: &Store<impl Database>, owner: Id, by: Id, key_id: Id) -> Result<()> {
    if !store.revoke_api_key(owner, key_id).await? {
        return Err(Problem::not_found().into());
    }
    record(store, by, "api_key.revoke", key_id, owner).await
}

async fn record(store: &Store<impl Database>, by: Id, action: &str, key_id: Id, owner: Id) -> Result<()> {
    let (subject, owner) = (key_id.to_string(), owner.to_string());
    let event = AuditEvent { detail: Some(&owner), ..AuditEvent::new(by, action, &subject) };
    Ok(store.append_audit(&event).await?)
}
