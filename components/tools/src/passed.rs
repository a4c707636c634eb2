//! What a call gets of what people entrust to tools. It goes to the server that declared it and nowhere else.

use domain::Id;
use serde_json::json;
use storage::{Database, secrets::SecretsKey, tool_secrets::ToolSecret};
use tool_catalogue::{Host, Listed, Secret};
use toolbox::{CallFailure, KnownTool};
use vault::VaultError;
use web::log::{Level, log};
use zeroize::Zeroizing;

use crate::{config::COMPONENT, state::Tools};

/// A person's secret, opened.
pub(crate) fn open(key: Option<&SecretsKey>, kept: &ToolSecret) -> Result<Zeroizing<String>, VaultError> {
    key.ok_or(VaultError::NoKey)?.open(&kept.server, &kept.name, &kept.sealed)
}

/// A value on its way to a tool. Without `Debug`.
pub(crate) struct Passed {
    pub(crate) name: String,
    pub(crate) value: Zeroizing<String>,
    /// It may be shown to whoever entered it, so results may repeat it: it is a user's name or an address.
    pub(crate) visible: bool,
}

/// What a call of this tool gets: of the secrets that it names, those that the person entered. Whether it can do without the others,
/// it knows itself.
pub(crate) async fn passed<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    listed: &Listed,
    user_id: Id,
    tool: &KnownTool,
) -> Result<Vec<Passed>, CallFailure> {
    let named: Vec<&Secret> = listed.secrets_of(tool).collect();
    // What a server elsewhere says it needs is never listed; that nothing is sent there does not depend on it.
    if named.is_empty() || tool.remote {
        return Ok(Vec::new());
    }
    let failed = |cause: &dyn std::error::Error, words: &str| {
        let fields = json!({ "server": tool.server, "tool": tool.name, "cause": cause.to_string() });
        log(COMPONENT, Level::Error, "secrets cannot be read", fields);
        CallFailure::Upstream(words.to_owned())
    };
    let kept = tools.store().tool_secrets_of(user_id, &tool.server).await;
    let kept = kept.map_err(|error| failed(&error, "its secrets cannot be read at the moment; try again later"))?;
    let kept: Vec<_> = kept
        .iter()
        .filter_map(|kept| named.iter().find(|secret| secret.name == kept.name).map(|secret| (*secret, kept)))
        .collect();
    if kept.is_empty() {
        return Ok(Vec::new());
    }
    let key = tools.store().secrets_key_to_read(user_id).await;
    let key = key.map_err(|error| failed(&error, "its secrets cannot be decrypted; tell the administrator"))?;
    let opened = |(secret, kept): (&Secret, &ToolSecret)| match open(key.as_ref(), kept) {
        Ok(value) => Ok(Passed { name: secret.name.clone(), value, visible: secret.visible }),
        Err(error) => {
            let fields = json!({ "server": kept.server, "secret": kept.name, "cause": error.to_string() });
            log(COMPONENT, Level::Warn, "a secret cannot be opened", fields);
            let words =
                format!("\"{}\" can no longer be read; enter it again under Tools in the settings", secret.title);
            Err(CallFailure::NotConfigured(words))
        }
    };
    kept.into_iter().map(opened).collect()
}

/// Whether the person has entered what this tool cannot do without, and it can be read.
pub(crate) async fn entered<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    listed: &Listed,
    user_id: Id,
    tool: &KnownTool,
) -> Result<(), CallFailure> {
    let passed = passed(tools, listed, user_id, tool).await?;
    let is_missing = |secret: &&Secret| !secret.optional && !passed.iter().any(|passed| passed.name == secret.name);
    match listed.secrets_of(tool).filter(|_| !tool.remote).find(is_missing) {
        None => Ok(()),
        Some(secret) => {
            let words = format!("enter \"{}\" under Tools in the settings first", secret.title);
            Err(CallFailure::NotConfigured(words))
        }
    }
}
