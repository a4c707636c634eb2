//! The keys that people's secrets are sealed with: from configuration, else one made on first use and kept in the database.
//!
//! The kept one still opens what it sealed after others have been configured.

use problem::Problem;
use serde_json::json;
use storage::{Database, StorageError};
use tool_catalogue::Host;
use vault::{Keys, VaultError};
use web::log::{Level, log};
use zeroize::Zeroizing;

use crate::{config::COMPONENT, state::Tools};

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysError {
    #[error("master_key cannot be read: {0}")]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<KeysError> for web::Error {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::Storage(error) => error.into(),
            KeysError::Vault(error) => Problem::internal(error).into(),
        }
    }
}

/// The keys there are; `None`: none is configured, and none was needed yet.
pub(crate) async fn existing<D: Database + 'static, H: Host>(tools: &Tools<D, H>) -> Result<Option<Keys>, KeysError> {
    let configured = &tools.config.master_key;
    // Read it first: what is wrong with it must not be hidden by a database that is down.
    if let Some(error) = configured.fault() {
        return Err(error.into());
    }
    let generated = generated(tools).await?;
    let all = match (configured.is_empty(), generated) {
        (true, None) => return Ok(None),
        (true, Some(generated)) => generated,
        (false, None) => configured.0.clone(),
        (false, Some(generated)) => Zeroizing::new(format!("{},{}", *configured.0, *generated)),
    };
    Ok(Some(Keys::parse(&all)?))
}

/// The keys there are, and if there are none, a new one.
pub(crate) async fn to_seal<D: Database + 'static, H: Host>(tools: &Tools<D, H>) -> Result<Keys, KeysError> {
    if let Some(keys) = existing(tools).await? {
        return Ok(keys);
    }
    tools.store().add_generated_master_key(&Keys::generate()?).await?;
    // Another instance may have been first: what is kept counts.
    let keys = existing(tools).await?.ok_or(VaultError::NoKey)?;
    log(
        COMPONENT,
        Level::Warn,
        "made a key for people's secrets and kept it in the database; set the variable master_key to keep it elsewhere",
        json!({ "key_id": keys.id() }),
    );
    Ok(keys)
}

async fn generated<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
) -> Result<Option<Zeroizing<String>>, StorageError> {
    if let Some(known) = tools.memory().generated_key.borrow().clone() {
        return Ok(known);
    }
    let found = tools.store().generated_master_key().await?.map(Zeroizing::new);
    if found.is_some() || !tools.config.master_key.is_empty() {
        *tools.memory().generated_key.borrow_mut() = Some(found.clone());
    }
    Ok(found)
}
