//! The tool `move_mail`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tool_provider::{Context, Failure, Structured, tool};
use upstream::{Http, Outside};

use crate::{
    email,
    jmap::{Account, SetError, Uncalled, check_id, no_such_mail, unexpected},
    letter::invalid,
    mailboxes::{self, Mailboxes},
};

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveMail {
    /// The mails.
    #[schemars(length(min = 1, max = 50))]
    pub(crate) mails: Vec<Named>,
    /// Where they go: the mailbox's id, role, path or name. `archive` puts them away, `trash` throws them away, `inbox` gets them back.
    #[schemars(length(max = 500))]
    pub(crate) mailbox: String,
}

#[derive(Deserialize, JsonSchema, Clone)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    /// Its id, from `search_mail`.
    pub(crate) id: String,
    /// Its subject, so that the person sees it when asked.
    #[schemars(length(max = 500))]
    pub(crate) subject: String,
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
    updated: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    not_updated: Option<BTreeMap<String, SetError>>,
}

/// Moves mails to another mailbox, out of all that they are in. Servers empty the trash after some weeks; until then they can be moved back.
#[tool(title = "Move mails", idempotent, secret = "url", secret = "username", secret = "password")]
pub(crate) async fn move_mail(arguments: MoveMail, context: &Context) -> Result<Structured<Changed>, Failure> {
    run(&arguments, context, &Outside).await.map(Structured)
}

pub(crate) async fn run<T: Http>(arguments: &MoveMail, context: &Context, transport: &T) -> Result<Changed, Failure> {
    let ids: Vec<_> = arguments.mails.iter().map(|mail| mail.id.clone()).collect();
    ids.iter().try_for_each(|id| check_id(id))?;
    let account = Account::open(context, transport).await?;
    let get = ("Email/get", json!({ "ids": ids, "properties": ["id", "subject"] }));
    let answers = account.call(vec![mailboxes::get(), get]).await?;
    let mailboxes: Mailboxes = answers.read::<mailboxes::Got>(0)?.into();
    let mailbox = mailboxes.find(&arguments.mailbox)?;
    let emails = answers.read::<email::Got>(1)?.list;
    // The mails must be those that the person was asked about. A mail that does not exist is reported when it is not moved.
    for email in &emails {
        let (id, subject) = (&email.id, email.subject());
        if arguments.mails.iter().any(|mail| mail.id == *id && mail.subject.trim() != subject) {
            let words =
                format!("The subject of `{id}` is \"{subject}\": repeat that if it is meant; nothing was moved.");
            return invalid(words);
        }
    }
    update(&account, &ids, &json!({ "mailboxIds": { mailbox: true } })).await
}

/// Makes the same change to all these mails. Fails only if none could be changed.
pub(crate) async fn update<T: Http>(
    account: &Account<'_, T>,
    ids: &[String],
    patch: &Value,
) -> Result<Changed, Failure> {
    ids.iter().try_for_each(|id| check_id(id))?;
    let update: Map<_, _> = ids.iter().map(|id| (id.clone(), patch.clone())).collect();
    let answers = account.call(vec![("Email/set", json!({ "update": update }))]).await.map_err(Uncalled::of_change)?;
    let set: Set = answers.read_change(0).map_err(Uncalled::of_change)?;
    let (updated, errors) = (set.updated.unwrap_or_default(), set.not_updated.unwrap_or_default());
    let (done, others): (Vec<_>, Vec<_>) =
        ids.iter().cloned().partition(|id| updated.contains_key(id) && !errors.contains_key(id));
    if done.is_empty() {
        let is_there = |error: &&SetError| error.kind != "notFound";
        return Err(match others.iter().find(|id| !errors.contains_key(*id)) {
            Some(_) => Uncalled::Unclear(unexpected("it does not say that it changed anything")).of_change(),
            None => match errors.values().find(is_there) {
                Some(error) => Failure::UpstreamFailed(format!("Nothing was changed: {}.", error.words())),
                None => no_such_mail(),
            },
        });
    }
    let why = |id: &String| errors.get(id).map_or("the server did not report the result".into(), SetError::words);
    let failed = others.into_iter().map(|id| (id.clone(), why(&id))).collect();
    Ok(Changed { done, failed })
}
