//! The tool `reply_to_mail`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tool_provider::{Context, Failure, Structured, tool};
use upstream::{Http, Outside};

use crate::{
    letter::{self, Letter},
    outbox::Outbox,
    recipients::Recipients,
    reply::Reply,
    send_mail::Sent,
};

#[derive(Deserialize, Serialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplyToMail {
    /// The id of the mail that it answers.
    pub(crate) id: String,
    /// Whom the answer goes to, so that the person sees it when asked: the addresses in the mail's `reply_to`, or `from` if it has none; of a mail
    /// of the person's own, those in `to`.
    #[schemars(length(min = 1, max = 50), inner(length(max = 600)))]
    pub(crate) to: Vec<String>,
    /// Answer all: then `cc` are all others in the mail's `to` and `cc` but the person.
    #[serde(default)]
    pub(crate) reply_all: bool,
    /// With `reply_all`: who gets a copy.
    #[serde(default)]
    #[schemars(length(max = 50), inner(length(max = 600)))]
    pub(crate) cc: Vec<String>,
    /// Plain text.
    #[schemars(length(max = 100_000))]
    pub(crate) body: String,
}

/// Sends an answer to a mail, in its conversation; what is sent cannot be called back. To write to others than an answer goes to, use `send_mail`.
#[tool(
    title = "Answer a mail",
    idempotent,
    always_asks,
    secret = "url",
    secret = "username",
    secret = "password",
    secret = "address"
)]
pub(crate) async fn reply_to_mail(arguments: ReplyToMail, context: &Context) -> Result<Structured<Sent>, Failure> {
    run(&arguments, context, &Outside).await.map(Structured)
}

pub(crate) async fn run<T: Http>(arguments: &ReplyToMail, context: &Context, transport: &T) -> Result<Sent, Failure> {
    let said = Recipients::read(&arguments.to, &arguments.cc, &[])?;
    let outbox = Outbox::open(context, transport).await?;
    let reply = Reply::read(&outbox.account, &arguments.id, &outbox.from, arguments.reply_all).await?;
    said.check(&reply.recipients)?;
    let letter = Letter {
        message_id: letter::message_id(context, arguments, &outbox.from)?,
        from: outbox.from.clone(),
        recipients: reply.recipients,
        subject: reply.subject,
        body: arguments.body.clone(),
        in_reply_to: reply.in_reply_to,
        references: reply.references,
    };
    let stored = outbox.send(&letter).await?;
    outbox.mark_answered(&arguments.id).await;
    Ok(Sent::new(stored, letter.recipients.all()))
}
