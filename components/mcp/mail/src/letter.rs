//! A mail that is written: who gets it, what it says, and the name that tells it from all others.

use std::collections::BTreeSet;

use email_address::{EmailAddress, Options};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tool_provider::{Context, Failure};

use crate::email::Address;

/// People of one mail, all together; servers take a hundred and more, and a mail to many is no job for a model.
pub(crate) const RECIPIENTS_MAX: usize = 50;

/// A header line has at most 998 bytes (RFC 5322 section 2.1.1), and a character has up to four.
pub(crate) const SUBJECT_CHARS_MAX: usize = 500;

/// Pages of text; what a call may have is 256 KiB.
pub(crate) const BODY_CHARS_MAX: usize = 100_000;

/// A name of more is not one.
const NAME_CHARS_MAX: usize = 200;

/// Bytes of the hash that names a mail: no two calls share them.
const NAME_BYTES: usize = 16;

/// What is written.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) from: Address,
    pub(crate) to: Vec<Address>,
    pub(crate) cc: Vec<Address>,
    pub(crate) bcc: Vec<Address>,
    pub(crate) subject: String,
    pub(crate) body: String,
    /// Without the angle brackets, as JMAP has them; so are the next two.
    pub(crate) message_id: String,
    pub(crate) in_reply_to: Vec<String>,
    pub(crate) references: Vec<String>,
}

impl Letter {
    /// Refuses what would not be one mail, or not a mail.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.recipients().len() > RECIPIENTS_MAX {
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

    /// Everybody who gets it, each once.
    pub(crate) fn recipients(&self) -> Vec<String> {
        recipients([&self.to, &self.cc, &self.bcc])
    }

    /// The arguments with which `Email/set` makes a draft of it. One that is sent at once, marked with a keyword, does not say who gets it
    /// unknown to the others: not every server takes that out again.
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
        let bcc = if sending.is_none() { self.bcc.as_slice() } else { &[] };
        if let Some((keyword, keywords)) = sending.zip(email.pointer_mut("/keywords").and_then(Value::as_object_mut)) {
            keywords.insert(keyword.into(), json!(true));
        }
        let lists =
            [("to", self.to.as_slice()), ("cc", &self.cc), ("bcc", bcc)].map(|(name, list)| (name, json!(list)));
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

/// Everybody in these lists, each once.
pub(crate) fn recipients<'a>(lists: impl IntoIterator<Item = &'a Vec<Address>>) -> Vec<String> {
    let mut known = BTreeSet::new();
    let new = |address: &&Address| known.insert(address.key());
    lists.into_iter().flatten().filter(new).map(|address| address.email.clone()).collect()
}

/// Reads addresses: `ann@example.com` or `Ann <ann@example.com>` each.
pub(crate) fn addresses(texts: &[String]) -> Result<Vec<Address>, Failure> {
    texts.iter().map(|text| address(text)).collect()
}

/// Reads one address.
pub(crate) fn address(text: &str) -> Result<Address, Failure> {
    let text = text.trim();
    let (name, email) = match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
        Some((name, email)) => (name.trim(), email),
        None => ("", text),
    };
    let options = Options::default().without_display_text().without_domain_literal();
    let quoted = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
    // What looks like another address must not pass for a name.
    let is_one =
        !quoted.unwrap_or(name).contains(['<', '>', '@', '"']) && (quoted.is_some() || !name.contains([',', ';']));
    let name = quoted.unwrap_or(name).trim();
    let is_name = is_one && name.chars().count() <= NAME_CHARS_MAX && !name.chars().any(char::is_control);
    let is_plain = !email.chars().any(|c| c.is_control() || c.is_whitespace() || c == '"');
    if !is_name || !is_plain || EmailAddress::parse_with_options(email, options).is_err() {
        return invalid(
            "One of the addresses is none, or several: write `ann@example.com` or `Ann <ann@example.com>`, each by itself.",
        );
    }
    Ok(Address { name: Some(name.to_owned()).filter(|name| !name.is_empty()), email: email.to_owned() })
}

/// A Message-ID that is the same for every attempt at a call, so that there is one mail of it.
pub(crate) fn message_id(context: &Context, arguments: &impl Serialize, from: &Address) -> Result<String, Failure> {
    let arguments = serde_json::to_vec(arguments).map_err(|error| Failure::InvalidArguments(error.to_string()))?;
    let hash = Sha256::new().chain_update(&context.id).chain_update([0]).chain_update(arguments).finalize();
    let name: String = hash.iter().take(NAME_BYTES).map(|byte| format!("{byte:02x}")).collect();
    let domain = from.email.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
    Ok(format!("{name}@{domain}"))
}

/// Fails with words for the model.
pub(crate) fn invalid<T>(words: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::InvalidArguments(words.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_nothing_else_is() {
        let read = |text: &str| address(text).map(|address| (address.name.unwrap_or_default(), address.email));
        for (text, name, email) in [
            ("ann@example.com", "", "ann@example.com"),
            (" Ann B. <ann+x@example.com> ", "Ann B.", "ann+x@example.com"),
            ("\"B, Ann\" <ann@example.com>", "B, Ann", "ann@example.com"),
            ("\"B; Ann\" <ann@example.com>", "B; Ann", "ann@example.com"),
            ("Ünï <ann@localhost>", "Ünï", "ann@localhost"),
        ] {
            assert_eq!(read(text).unwrap(), (name.to_owned(), email.to_owned()), "{text}");
            // What is shown can be repeated.
            assert_eq!(read(&address(text).unwrap().show()).unwrap(), (name.to_owned(), email.to_owned()), "{text}");
        }
        let long = format!("{}@example.com", "a".repeat(65));
        for text in [
            "",
            "ann",
            "ann@",
            "@example.com",
            "ann@example.com, bob@example.com",
            "ann@example.com\r\nBcc: eve@example.com",
            "Ann\r\nBcc: eve@example.com <ann@example.com>",
            "a b@example.com",
            "<ann@example.com",
            "ann@[127.0.0.1]",
            "Bob <bob@example.com>, Eve <eve@example.com>",
            "\"Bob <bob@example.com>, Eve\" <eve@example.com>",
            "bob@example.com, Eve <eve@example.com>",
            "bob@example.com <eve@example.com>",
            "\"bob@example.com\" <eve@example.com>",
            "\"Bob\", \"Eve\" <eve@example.com>",
            "Bob, Eve <eve@example.com>",
            "Bob; Eve <eve@example.com>",
            "\"a b\"@example.com",
            "Ann <ann@example.com> <",
            "ann@exa mple.com",
            &long,
            "é",
            "<é>",
            "@",
            "<>",
            "a@é\u{202e}\u{0}",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_letter_has_limits() {
        let people =
            |count: usize| (0..count).map(|n| Address { name: None, email: format!("p{n}@example.com") }).collect();
        let letter = |subject: &str, to: usize, body: &str| Letter {
            from: Address::default(),
            to: people(to),
            cc: people(1),
            bcc: Vec::new(),
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
