//! The tool `send_mail`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tool_provider::{Context, Failure, Structured, tool};
use upstream::{Http, Outside};

use crate::{
    letter::{self, Letter},
    outbox::{Outbox, Stored},
    recipients::Recipients,
};

#[derive(Deserialize, Serialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendMail {
    /// Whom it goes to: `ann@example.com` or `Ann <ann@example.com>` each.
    #[schemars(length(min = 1, max = 50), inner(length(max = 600)))]
    pub(crate) to: Vec<String>,
    /// Who gets a copy.
    #[serde(default)]
    #[schemars(length(max = 50), inner(length(max = 600)))]
    pub(crate) cc: Vec<String>,
    /// Who gets a copy without the others knowing. The copy in the mailbox of sent mails does not name them either.
    #[serde(default)]
    #[schemars(length(max = 50), inner(length(max = 600)))]
    pub(crate) bcc: Vec<String>,
    /// One line.
    #[schemars(length(max = 500))]
    pub(crate) subject: String,
    /// Plain text.
    #[schemars(length(max = 100_000))]
    pub(crate) body: String,
}

#[derive(Serialize, JsonSchema, Debug)]
pub(crate) struct Sent {
    /// To name it in other calls.
    pub(crate) id: String,
    /// Whom it went to.
    pub(crate) recipients: Vec<String>,
    /// An earlier attempt at this call had sent it, and it was not sent again.
    pub(crate) was_sent_before: bool,
}

/// Sends a new mail; what is sent cannot be called back. To answer a mail, use `reply_to_mail`.
#[tool(
    title = "Send a mail",
    idempotent,
    always_asks,
    secret = "url",
    secret = "username",
    secret = "password",
    secret = "address"
)]
pub(crate) async fn send_mail(arguments: SendMail, context: &Context) -> Result<Structured<Sent>, Failure> {
    run(&arguments, context, &Outside).await.map(Structured)
}

pub(crate) async fn run<T: Http>(arguments: &SendMail, context: &Context, transport: &T) -> Result<Sent, Failure> {
    let recipients = Recipients::read(&arguments.to, &arguments.cc, &arguments.bcc)?;
    let outbox = Outbox::open(context, transport).await?;
    let letter = Letter {
        message_id: letter::message_id(context, arguments, &outbox.from)?,
        from: outbox.from.clone(),
        recipients,
        subject: arguments.subject.clone(),
        body: arguments.body.clone(),
        in_reply_to: Vec::new(),
        references: Vec::new(),
    };
    let stored = outbox.send(&letter).await?;
    Ok(Sent::new(stored, letter.recipients.all()))
}

impl Sent {
    pub(crate) fn new(stored: Stored, recipients: Vec<String>) -> Self {
        Self { id: stored.id, recipients, was_sent_before: stored.was_before }
    }
}
