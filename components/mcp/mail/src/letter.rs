//! A mail that is written, and its Message-ID.

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tool_provider::{Context, Failure};

use crate::{
    email::Address,
    recipients::{RECIPIENTS_MAX, Recipients},
};

/// A header line has at most 998 bytes (RFC 5322 section 2.1.1), and a character has up to four.
pub(crate) const SUBJECT_CHARS_MAX: usize = 500;

/// Pages of text. A call's arguments have at most 256 KiB.
pub(crate) const BODY_CHARS_MAX: usize = 100_000;

/// The bytes of the hash in a Message-ID: enough that no two calls share it.
const NAME_BYTES: usize = 16;

/// A mail to be stored or sent.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) from: Address,
    pub(crate) recipients: Recipients,
    pub(crate) subject: String,
    pub(crate) body: String,
    /// Without angle brackets, as in JMAP; the next two fields too.
    pub(crate) message_id: String,
    pub(crate) in_reply_to: Vec<String>,
    pub(crate) references: Vec<String>,
}

impl Letter {
    /// Refuses a mail that is not valid, or could become several mails.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.recipients.all().len() > RECIPIENTS_MAX {
            return invalid(format!("A mail goes to at most {RECIPIENTS_MAX} people at once."));
        }
        if self.subject.chars().count() > SUBJECT_CHARS_MAX || self.subject.chars().any(char::is_control) {
            return invalid(format!("A subject is one line of at most {SUBJECT_CHARS_MAX} characters."));
        }
        if self.body.chars().count() > BODY_CHARS_MAX || self.body.contains('\0') {
            return invalid(format!("The text has at most {BODY_CHARS_MAX} characters."));
        }
        Ok(())
    }

    /// The arguments of `Email/set` that create the draft. A draft that is sent at once is marked with the keyword `sending` and has no bcc, because
    /// not every server removes it before delivery.
    pub(crate) fn draft(&self, mailbox: &str, sending: Option<&str>) -> Value {
        let body = self.body.replace("\r\n", "\n").replace('\r', "\n");
        let mut email = json!({
            "mailboxIds": { mailbox: true },
            "keywords": { "$draft": true, "$seen": true },
            "from": [self.from],
            "subject": self.subject,
            "messageId": [self.message_id],
            "bodyStructure": { "type": "text/plain", "partId": "text" },
            "bodyValues": { "text": { "value": body } },
        });
        let Recipients { to, cc, bcc } = &self.recipients;
        let bcc = if sending.is_none() { bcc.as_slice() } else { &[] };
        if let Some((keyword, keywords)) = sending.zip(email.pointer_mut("/keywords").and_then(Value::as_object_mut)) {
            keywords.insert(keyword.into(), json!(true));
        }
        let lists = [("to", to.as_slice()), ("cc", cc), ("bcc", bcc)].map(|(name, list)| (name, json!(list)));
        let names = [("inReplyTo", &self.in_reply_to), ("references", &self.references)]
            .map(|(name, list)| (name, json!(list)));
        for (name, list) in lists.into_iter().chain(names) {
            if let Some(email) = email.as_object_mut().filter(|_| list.as_array().is_some_and(|list| !list.is_empty()))
            {
                email.insert(name.into(), list);
            }
        }
        email
    }
}

/// A Message-ID that is the same for every attempt at a call, so that the call makes only one mail.
pub(crate) fn message_id(context: &Context, arguments: &impl Serialize, from: &Address) -> Result<String, Failure> {
    let arguments = serde_json::to_vec(arguments).map_err(|error| Failure::InvalidArguments(error.to_string()))?;
    let hash = Sha256::new().chain_update(&context.id).chain_update([0]).chain_update(arguments).finalize();
    let name: String = hash.iter().take(NAME_BYTES).map(|byte| format!("{byte:02x}")).collect();
    let domain = from.email.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
    Ok(format!("{name}@{domain}"))
}

pub(crate) fn invalid<T>(words: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::InvalidArguments(words.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_has_limits() {
        let people =
            |count: usize| (0..count).map(|n| Address { name: None, email: format!("p{n}@example.com") }).collect();
        let letter = |subject: &str, to: usize, body: &str| Letter {
            from: Address::default(),
            recipients: Recipients { to: people(to), cc: people(1), bcc: Vec::new() },
            subject: subject.into(),
            body: body.into(),
            message_id: "m@example.com".into(),
            in_reply_to: Vec::new(),
            references: Vec::new(),
        };
        assert!(letter("Hi", RECIPIENTS_MAX, "text\r\n").check().is_ok());
        assert!(letter("Hi", RECIPIENTS_MAX + 1, "").check().is_err());
        assert!(letter("Hi\r\nBcc: eve@example.com", 1, "").check().is_err());
        assert!(letter(&"x".repeat(SUBJECT_CHARS_MAX + 1), 1, "").check().is_err());
        assert!(letter("Hi", 1, &"x".repeat(BODY_CHARS_MAX + 1)).check().is_err());
        let draft = letter("Hi", 2, "a\r\nb").draft("d", None);
        assert_eq!((&draft["bodyValues"]["text"]["value"], draft.get("bcc")), (&json!("a\nb"), None));
    }
}
