//! An answer, sent.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tool_provider::{Context, Failure, Structured, tool};

use crate::{
    email::Address,
    letter::{self, Letter, invalid},
    outbox::Outbox,
    reply::Reply,
    send_mail::Sent,
    transport::{Outside, Transport},
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

pub(crate) async fn run<T: Transport>(
    arguments: &ReplyToMail,
    context: &Context,
    transport: &T,
) -> Result<Sent, Failure> {
    let (to, cc) = (letter::addresses(&arguments.to)?, letter::addresses(&arguments.cc)?);
    let outbox = Outbox::open(context, transport).await?;
    let reply = Reply::read(&outbox.account, &arguments.id, &outbox.from, arguments.reply_all).await?;
    check(&to, &reply.to, "to")?;
    check(&cc, &reply.cc, "cc")?;
    let letter = Letter {
        message_id: letter::message_id(context, arguments, &outbox.from)?,
        from: outbox.from.clone(),
        to: reply.to,
        cc: reply.cc,
        bcc: Vec::new(),
        subject: reply.subject,
        body: arguments.body.clone(),
        in_reply_to: reply.in_reply_to,
        references: reply.references,
    };
    let stored = outbox.send(&letter).await?;
    outbox.mark_answered(&arguments.id).await;
    Ok(Sent::new(stored, letter.recipients()))
}

/// What the person was asked about must be what is done.
pub(crate) fn check(said: &[Address], meant: &[Address], field: &str) -> Result<(), Failure> {
    let keys = |addresses: &[Address]| addresses.iter().map(Address::key).collect::<BTreeSet<_>>();
    if keys(said) == keys(meant) {
        return Ok(());
    }
    let meant: Vec<_> = meant.iter().map(|address| address.email.as_str()).collect();
    let meant = if meant.is_empty() { "nobody".to_owned() } else { meant.join(", ") };
    invalid(format!(
        "`{field}` is not what this mail has there, which is {meant}: repeat that if it is meant, and nothing was sent."
    ))
}
