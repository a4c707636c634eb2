//! The tool `send_draft`: sends a draft unchanged.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tool_provider::{Context, Failure, Structured, tool};
use upstream::{Http, Outside};

use crate::{
    email::{Address, Email, Got},
    jmap::{check_id, no_such_mail},
    letter::{BODY_CHARS_MAX, invalid},
    outbox::{ATTEMPTS_MAX, Outbox, Stored, busy},
    read_mail::text,
    recipients::{RECIPIENTS_MAX, Recipients},
    send_mail::Sent,
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
    /// Its whole text, likewise, as `read_mail` gives it.
    #[schemars(length(max = 100_000))]
    pub(crate) body: String,
}

/// How much of a draft's text is fetched: the most that `BODY_CHARS_MAX` characters can take.
const BODY_BYTES_MAX: usize = 4 * BODY_CHARS_MAX;

const PROPERTIES: [&str; 13] = [
    "id",
    "mailboxIds",
    "keywords",
    "from",
    "to",
    "cc",
    "bcc",
    "replyTo",
    "subject",
    "textBody",
    "htmlBody",
    "attachments",
    "bodyValues",
];

/// Sends a mail that is among the drafts, as it is; what is sent cannot be called back. Read it first with `read_mail`. Only drafts of plain text,
/// without attachments.
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

pub(crate) async fn run<T: Http>(arguments: &SendDraft, context: &Context, transport: &T) -> Result<Sent, Failure> {
    check_id(&arguments.id)?;
    let said = Recipients::read(&arguments.to, &arguments.cc, &[])?;
    let outbox = Outbox::open(context, transport).await?;
    for _ in 0..ATTEMPTS_MAX {
        let get = json!({
            "ids": [arguments.id],
            "properties": PROPERTIES,
            "bodyProperties": ["partId", "type"],
            "fetchTextBodyValues": true,
            "maxBodyValueBytes": BODY_BYTES_MAX,
        });
        let got = outbox.account.call(vec![("Email/get", get)]).await?.read::<Got>(0)?;
        let draft = got.list.into_iter().next().ok_or_else(no_such_mail)?;
        let (to, cc) = (draft.to.clone().unwrap_or_default(), draft.cc.clone().unwrap_or_default());
        let meant = Recipients { to, cc, bcc: Vec::new() };
        said.check(&meant)?;
        let recipients = meant.all();
        if arguments.subject.trim() != draft.subject() {
            let words = format!(
                "The subject of this draft is \"{}\": repeat that if it is meant; nothing was sent.",
                draft.subject()
            );
            return invalid(words);
        }
        if plain(&arguments.body) != plain(&text(&draft).0) {
            return invalid(
                "The text of this draft is another: read it with `read_mail`, and repeat the whole of it in `body` if it is meant; nothing was sent.",
            );
        }
        if !draft.is_draft() {
            if draft.mailbox_ids.keys().any(|mailbox| outbox.is_sent(mailbox)) {
                return Ok(Sent::new(Stored { id: draft.id, was_before: true }, recipients));
            }
            return invalid("That mail is not a draft: to send its text, write a new mail with `send_mail`.");
        }
        check_shown(&draft, &outbox.from)?;
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

/// The text for a comparison. Programs differ in line ends and in the white space before them.
fn plain(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let lines = text.split('\n').map(|line| {
        let line: String = line.chars().filter(|c| !c.is_control() || *c == '\t').collect();
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// Refuses a draft that contains more than the person is asked about.
fn check_shown(draft: &Email, own: &Address) -> Result<(), Failure> {
    let elsewhere =
        |words: &str| invalid(format!("This draft {words}: send it from another program; nothing was sent."));
    match draft.from.as_deref() {
        Some([from]) if from.key() == own.key() => {}
        _ => return elsewhere(&format!("is not from {}, the address that mails are sent from here", own.email)),
    }
    if draft.reply_to.as_ref().is_some_and(|addresses| !addresses.is_empty()) {
        return elsewhere("directs answers to another address (`reply_to`)");
    }
    let mut parts = draft.text_body.iter().chain(&draft.html_body).flatten();
    let is_attached = draft.attachments.as_ref().is_some_and(|parts| !parts.is_empty());
    if is_attached || !parts.all(|part| part.kind.as_deref() == Some("text/plain")) {
        return elsewhere("has attachments, or is more than plain text");
    }
    if text(draft).1 {
        return elsewhere("is longer than can be read here");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_compared_but_for_line_ends() {
        assert_eq!(plain(" a \r\nb\t\rc\n\n"), plain("a\nb\nc"));
        assert_ne!(plain("a b"), plain("a\nb"));
        assert_ne!(plain("a"), plain("A"));
    }
}
