//! The tool `list_mailboxes`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tool_provider::{Context, Failure, Structured, tool};
use upstream::{Http, Outside};

use crate::{
    email::line,
    jmap::Account,
    mailboxes::{self, Mailboxes},
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListMailboxes {}

#[derive(Serialize, JsonSchema, Debug)]
pub(crate) struct Listed {
    pub(crate) mailboxes: Vec<Mailbox>,
}

#[derive(Serialize, JsonSchema, Debug)]
pub(crate) struct Mailbox {
    /// To name it in other calls.
    pub(crate) id: String,
    pub(crate) name: String,
    /// Its name after those of the mailboxes it is in, with `/` in between.
    pub(crate) path: String,
    /// What it is for, such as `inbox`, `drafts`, `sent`, `archive`, `junk` or `trash`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<String>,
    pub(crate) mails: u64,
    pub(crate) unread: u64,
}

/// Lists the person's mailboxes (folders), with how many mails are in each and how many of them are unread.
#[tool(title = "List mailboxes", read_only, secret = "url", secret = "username", secret = "password")]
pub(crate) async fn list_mailboxes(_: ListMailboxes, context: &Context) -> Result<Structured<Listed>, Failure> {
    run(context, &Outside).await.map(Structured)
}

pub(crate) async fn run<T: Http>(context: &Context, transport: &T) -> Result<Listed, Failure> {
    let account = Account::open(context, transport).await?;
    let found: Mailboxes = account.call(vec![mailboxes::get()]).await?.read::<mailboxes::Got>(0)?.into();
    let mailbox = |(path, mailbox): (&str, &mailboxes::Mailbox)| Mailbox {
        id: mailbox.id.clone(),
        name: line(&mailbox.name),
        path: line(path),
        role: mailbox.role.clone(),
        mails: mailbox.total_emails,
        unread: mailbox.unread_emails,
    };
    Ok(Listed { mailboxes: found.iter().map(mailbox).collect() })
}
