//! The tool `mark_mail`: marks mails as read or flagged.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tool_provider::{Context, Failure, Structured, tool};
use upstream::{Http, Outside};

use crate::{
    jmap::Account,
    letter::invalid,
    move_mail::{Changed, update},
};

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct MarkMail {
    /// The mails' ids, from `search_mail`.
    #[schemars(length(min = 1, max = 50))]
    pub(crate) ids: Vec<String>,
    /// Mark them as read, or as unread.
    pub(crate) read: Option<bool>,
    /// Flag them (a star), or take the flag away.
    pub(crate) flagged: Option<bool>,
}

/// Marks mails as read or unread, or flags them.
#[tool(title = "Mark mails", additive, idempotent, secret = "url", secret = "username", secret = "password")]
pub(crate) async fn mark_mail(arguments: MarkMail, context: &Context) -> Result<Structured<Changed>, Failure> {
    run(&arguments, context, &Outside).await.map(Structured)
}

pub(crate) async fn run<T: Http>(arguments: &MarkMail, context: &Context, transport: &T) -> Result<Changed, Failure> {
    let wanted = [("keywords/$seen", arguments.read), ("keywords/$flagged", arguments.flagged)];
    let patch: Map<_, _> = wanted
        .into_iter()
        .filter_map(|(keyword, wanted)| Some((keyword.to_owned(), if wanted? { json!(true) } else { Value::Null })))
        .collect();
    if patch.is_empty() {
        return invalid("Say in `read` or `flagged` how they are to be marked.");
    }
    let account = Account::open(context, transport).await?;
    update(&account, &arguments.ids, &Value::Object(patch)).await
}
