//! Mails in another mailbox.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tool_provider::{Context, Failure, Structured, tool};

use crate::{
    jmap::{Account, SetError, check_id, no_such_mail},
    mailboxes::{self, Mailboxes},
    transport::{Outside, Transport},
};

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveMail {
    /// The mails' ids, from `search_mail`.
    #[schemars(length(min = 1, max = 50))]
    pub(crate) ids: Vec<String>,
    /// Where they go: the mailbox's id, role, path or name. `archive` puts them away, `trash` throws them away, `inbox` gets them back.
    #[schemars(length(max = 500))]
    pub(crate) mailbox: String,
}

#[derive(Serialize, JsonSchema, Debug)]
pub(crate) struct Changed {
    /// The ids of the mails that are now as was asked for.
    pub(crate) done: Vec<String>,
    /// The ids of the others, each with why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) failed: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Set {
    #[serde(default)]
    not_updated: Option<BTreeMap<String, SetError>>,
}

/// Moves mails to another mailbox, out of all that they are in. Servers empty the trash after some weeks; until then they can be moved back.
#[tool(title = "Move mails", idempotent, secret = "url", secret = "username", secret = "password")]
pub(crate) async fn move_mail(arguments: MoveMail, context: &Context) -> Result<Structured<Changed>, Failure> {
    run(&arguments, context, &Outside).await.map(Structured)
}

pub(crate) async fn run<T: Transport>(
    arguments: &MoveMail,
    context: &Context,
    transport: &T,
) -> Result<Changed, Failure> {
    let account = Account::open(context, transport).await?;
    let mailboxes: Mailboxes = account.call(vec![mailboxes::get()]).await?.read::<mailboxes::Got>(0)?.into();
    let mailbox = mailboxes.find(&arguments.mailbox)?;
    update(&account, &arguments.ids, &json!({ "mailboxIds": { mailbox: true } })).await
}

/// Changes all these mails in the same way. Fails only if none could be changed.
pub(crate) async fn update<T: Transport>(
    account: &Account<'_, T>,
    ids: &[String],
    patch: &Value,
) -> Result<Changed, Failure> {
    ids.iter().try_for_each(|id| check_id(id))?;
    let update: Map<_, _> = ids.iter().map(|id| (id.clone(), patch.clone())).collect();
    let set: Set = account.call(vec![("Email/set", json!({ "update": update }))]).await?.read(0)?;
    let errors = set.not_updated.unwrap_or_default();
    if ids.iter().all(|id| errors.contains_key(id)) {
        return Err(match errors.values().find(|error| error.kind != "notFound") {
            Some(error) => Failure::UpstreamFailed(format!("Nothing was changed: {}.", error.words())),
            None => no_such_mail(),
        });
    }
    let done = ids.iter().filter(|id| !errors.contains_key(*id)).cloned().collect();
    Ok(Changed { done, failed: errors.into_iter().map(|(id, error)| (id, error.words())).collect() })
}
