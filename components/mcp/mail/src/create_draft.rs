//! The tool `create_draft`: a mail that the person sends later.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tool_provider::{Context, Failure, Structured, tool};
use upstream::{Http, Outside};

use crate::{
    email,
    letter::{self, Letter},
    outbox::Outbox,
    recipients::Recipients,
    reply::Reply,
};

#[derive(Deserialize, Serialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateDraft {
    /// Whom it is for: `ann@example.com` or `Ann <ann@example.com>` each. May be left out with `in_reply_to`, or until it is known.
    #[serde(default)]
    #[schemars(length(max = 50), inner(length(max = 600)))]
    pub(crate) to: Vec<String>,
    /// Who gets a copy.
    #[serde(default)]
    #[schemars(length(max = 50), inner(length(max = 600)))]
    pub(crate) cc: Vec<String>,
    /// Who gets a copy without the others knowing. Such a draft can only be sent from another program.
    #[serde(default)]
    #[schemars(length(max = 50), inner(length(max = 600)))]
    pub(crate) bcc: Vec<String>,
    /// One line. May be left out with `in_reply_to`.
    #[schemars(length(max = 500))]
    pub(crate) subject: Option<String>,
    /// Plain text.
    #[schemars(length(max = 100_000))]
    pub(crate) body: String,
    /// The id of the mail that it answers.
    pub(crate) in_reply_to: Option<String>,
}

#[derive(Serialize, JsonSchema, Debug)]
pub(crate) struct Draft {
    /// To name it in other calls.
    pub(crate) id: String,
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) subject: String,
}

/// Writes a mail and keeps it among the drafts; nobody gets it. Use it when the person wants to look at a mail before it is sent, or to send it
/// from another program.
#[tool(
    title = "Write a draft",
    additive,
    idempotent,
    secret = "url",
    secret = "username",
    secret = "password",
    secret = "address"
)]
pub(crate) async fn create_draft(arguments: CreateDraft, context: &Context) -> Result<Structured<Draft>, Failure> {
    run(&arguments, context, &Outside).await.map(Structured)
}

pub(crate) async fn run<T: Http>(arguments: &CreateDraft, context: &Context, transport: &T) -> Result<Draft, Failure> {
    let mut recipients = Recipients::read(&arguments.to, &arguments.cc, &arguments.bcc)?;
    let outbox = Outbox::open(context, transport).await?;
    let reply = match &arguments.in_reply_to {
        Some(id) => Some(Reply::read(&outbox.account, id, &outbox.from, false).await?),
        None => None,
    };
    let subject = arguments.subject.clone().or_else(|| reply.as_ref().map(|reply| reply.subject.clone()));
    if let Some(reply) = reply.as_ref().filter(|_| recipients.to.is_empty()) {
        recipients.to.clone_from(&reply.recipients.to);
    }
    let (in_reply_to, references) = reply.map(|reply| (reply.in_reply_to, reply.references)).unwrap_or_default();
    let letter = Letter {
        message_id: letter::message_id(context, arguments, &outbox.from)?,
        from: outbox.from.clone(),
        recipients,
        subject: subject.unwrap_or_default(),
        body: arguments.body.clone(),
        in_reply_to,
        references,
    };
    let stored = outbox.store(&letter).await?;
    Ok(Draft {
        id: stored.id,
        from: letter.from.show(),
        to: email::show(Some(&letter.recipients.to)),
        subject: letter.subject,
    })
}
