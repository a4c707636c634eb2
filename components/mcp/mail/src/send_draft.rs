//! A draft, sent as it is.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tool_provider::{Context, Failure, Structured, tool};

use crate::{
    email::Got,
    jmap::{check_id, no_such_mail},
    letter::{self, RECIPIENTS_MAX, invalid},
    outbox::{ATTEMPTS_MAX, Outbox, Stored, busy},
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
}

/// Sends a mail that is among the drafts, as it is; what is sent cannot be called back. Read it first with `read_mail`.
#[tool(
    title = "Send a draft",
    idempotent,
    always_asks,
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
    let (to, cc) = (letter::addresses(&arguments.to)?, letter::addresses(&arguments.cc)?);
    let outbox = Outbox::open(context, transport).await?;
    for _ in 0..ATTEMPTS_MAX {
        let properties = ["id", "mailboxIds", "keywords", "to", "cc", "bcc", "subject"];
        let get = json!({ "ids": [arguments.id], "properties": properties });
        let got = outbox.account.call(vec![("Email/get", get)]).await?.read::<Got>(0)?;
        let draft = got.list.into_iter().next().ok_or_else(no_such_mail)?;
        let (draft_to, draft_cc) = (draft.to.clone().unwrap_or_default(), draft.cc.clone().unwrap_or_default());
        let recipients = letter::recipients([&draft_to, &draft_cc]);
        check(&to, &draft_to, "to")?;
        check(&cc, &draft_cc, "cc")?;
        if arguments.subject.trim() != draft.subject() {
            let words = format!(
                "The subject of this draft is \"{}\": repeat that if it is meant; nothing was sent.",
                draft.subject()
            );
            return invalid(words);
        }
        if !draft.is_draft() {
            if draft.mailbox_ids.keys().any(|mailbox| outbox.is_sent(mailbox)) {
                return Ok(Sent::new(Stored { id: draft.id, was_before: true }, recipients));
            }
            return invalid("That mail is no draft: to pass on what it says, write a new one with `send_mail`.");
        }
        if draft.bcc.as_ref().is_some_and(|bcc| !bcc.is_empty()) {
            return invalid(
                "Not every server keeps the `bcc` of a draft to itself: send it with `send_mail`, or from another program.",
            );
        }
        if recipients.is_empty() || recipients.len() > RECIPIENTS_MAX {
            return invalid(format!("A mail goes to one up to {RECIPIENTS_MAX} people: write a new one."));
        }
        if let Some(stored) = outbox.submit_stored(&draft, &got.state, &recipients).await? {
            return Ok(Sent::new(stored, recipients));
        }
    }
    Err(busy())
}
