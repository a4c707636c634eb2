//! A draft, sent as it is.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tool_provider::{Context, Failure, Structured, tool};

use crate::{
    email::Got,
    jmap::{check_id, no_such_mail},
    letter::{self, RECIPIENTS_MAX, invalid},
    outbox::{Outbox, Stored},
    reply_to_mail::check,
    send_mail::Sent,
    transport::{Outside, Transport},
};

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendDraft {
    /// The draft's id. A draft that is edited gets another.
    pub(crate) id: String,
    /// Its subject, so that the person sees it when asked.
    #[schemars(length(max = 500))]
    pub(crate) subject: String,
    /// Whom it goes to, likewise: the addresses in its `to`.
    #[schemars(length(max = 50), inner(length(max = 600)))]
    pub(crate) to: Vec<String>,
    /// The addresses in its `cc`, if any.
    #[serde(default)]
    #[schemars(length(max = 50), inner(length(max = 600)))]
    pub(crate) cc: Vec<String>,
    /// The addresses in its `bcc`, if any.
    #[serde(default)]
    #[schemars(length(max = 50), inner(length(max = 600)))]
    pub(crate) bcc: Vec<String>,
}

/// Sends a mail that is among the drafts, as it is; what is sent cannot be called back. Read it first with `read_mail`.
#[tool(
    title = "Send a draft",
    idempotent,
    secret = "url",
    secret = "username",
    secret = "password",
    secret = "address"
)]
pub(crate) async fn send_draft(arguments: SendDraft, context: &Context) -> Result<Structured<Sent>, Failure> {
    run(&arguments, context, &Outside).await.map(Structured)
}

pub(crate) async fn run<T: Transport>(
    arguments: &SendDraft,
    context: &Context,
    transport: &T,
) -> Result<Sent, Failure> {
    check_id(&arguments.id)?;
    let said = [&arguments.to, &arguments.cc, &arguments.bcc].map(|texts| letter::addresses(texts));
    let outbox = Outbox::open(context, transport).await?;
    let properties = ["id", "mailboxIds", "keywords", "to", "cc", "bcc", "subject"];
    let get = json!({ "ids": [arguments.id], "properties": properties });
    let email = outbox.account.call(vec![("Email/get", get)]).await?.read::<Got>(0)?.list;
    let email = email.into_iter().next().ok_or_else(no_such_mail)?;
    let meant = [&email.to, &email.cc, &email.bcc].map(|addresses| addresses.clone().unwrap_or_default());
    for ((said, meant), field) in said.into_iter().zip(&meant).zip(["to", "cc", "bcc"]) {
        check(&said?, meant, field)?;
    }
    if arguments.subject.trim() != email.subject() {
        return invalid(format!(
            "The subject of this draft is \"{}\": repeat that if it is meant; nothing was sent.",
            email.subject()
        ));
    }
    let recipients = letter::recipients(&meant);
    if recipients.is_empty() || recipients.len() > RECIPIENTS_MAX {
        return invalid(format!("A mail goes to one up to {RECIPIENTS_MAX} people: write a new one."));
    }
    if email.is_draft() {
        return Ok(Sent::new(outbox.submit_stored(&email.id, &recipients).await?, recipients));
    }
    if email.mailbox_ids.keys().any(|mailbox| outbox.is_sent(mailbox)) {
        return Ok(Sent::new(Stored { id: email.id, was_before: true }, recipients));
    }
    invalid("That mail is no draft: to pass on what it says, write a new one with `send_mail`.")
}
