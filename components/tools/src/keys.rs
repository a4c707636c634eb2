//! The keys that people's secrets for tools are sealed with.

use master_key::KeysError;
use storage::Database;
use tool_catalogue::Host;
use vault::Keys;

use crate::{config::COMPONENT, state::Tools};

/// The keys there are; `None`: none is configured, and none was needed yet.
pub(crate) async fn existing<D: Database + 'static, H: Host>(tools: &Tools<D, H>) -> Result<Option<Keys>, KeysError> {
    tools.config.master_key.existing(tools.store(), &tools.memory().generated_key).await
}

/// The keys there are, and if there are none, a new one.
pub(crate) async fn to_seal<D: Database + 'static, H: Host>(tools: &Tools<D, H>) -> Result<Keys, KeysError> {
    tools.config.master_key.to_seal(COMPONENT, tools.store(), &tools.memory().generated_key).await
}
