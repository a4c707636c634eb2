//! A mail from the server (RFC 8621 section 4), and how it is shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How many addresses of a mail are shown. Mails to lists have thousands.
const ADDRESSES_SHOWN_MAX: usize = 50;

/// Longer subjects and names are cut, because strangers write them.
pub(crate) const HEADER_CHARS_MAX: usize = 500;

/// RFC 8621 section 4.1.2.3.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Address {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) email: String,
}

/// The requested properties of a mail. The others are empty.
#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Email {
    pub(crate) id: String,
    pub(crate) thread_id: String,
    pub(crate) mailbox_ids: BTreeMap<String, bool>,
    pub(crate) keywords: BTreeMap<String, bool>,
    pub(crate) received_at: Option<String>,
    pub(crate) sent_at: Option<String>,
    pub(crate) message_id: Option<Vec<String>>,
    pub(crate) in_reply_to: Option<Vec<String>>,
    pub(crate) references: Option<Vec<String>>,
    pub(crate) from: Option<Vec<Address>>,
    pub(crate) to: Option<Vec<Address>>,
    pub(crate) cc: Option<Vec<Address>>,
    pub(crate) bcc: Option<Vec<Address>>,
    pub(crate) reply_to: Option<Vec<Address>>,
    pub(crate) subject: Option<String>,
    pub(crate) preview: Option<String>,
    pub(crate) has_attachment: bool,
    pub(crate) text_body: Option<Vec<Part>>,
    pub(crate) html_body: Option<Vec<Part>>,
    pub(crate) attachments: Option<Vec<Part>>,
    pub(crate) body_values: Option<BTreeMap<String, BodyValue>>,
}

/// RFC 8621 section 4.1.4.
#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Part {
    pub(crate) part_id: Option<String>,
    pub(crate) name: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) size: u64,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct BodyValue {
    pub(crate) value: String,
    pub(crate) is_truncated: bool,
}

/// The response to `Email/get`.
#[derive(Deserialize)]
pub(crate) struct Got {
    pub(crate) list: Vec<Email>,
    #[serde(default)]
    pub(crate) state: String,
}

impl Email {
    /// The mail's flags, as words.
    pub(crate) fn flags(&self) -> Vec<String> {
        let has = |keyword: &str| self.keywords.contains_key(keyword);
        let flags = [
            ("unread", !has("$seen")),
            ("flagged", has("$flagged")),
            ("answered", has("$answered")),
            ("draft", self.is_draft()),
        ];
        flags.into_iter().filter(|(_, is)| *is).map(|(name, _)| name.to_owned()).collect()
    }

    pub(crate) fn is_draft(&self) -> bool {
        self.keywords.contains_key("$draft")
    }

    pub(crate) fn subject(&self) -> String {
        line(self.subject.as_deref().unwrap_or_default())
    }
}

impl Address {
    /// `Name <address>`, in the form that `recipients::address` reads.
    pub(crate) fn show(&self) -> String {
        match self.name.as_deref().map(line).filter(|name| !name.is_empty()) {
            Some(name) if name.contains([',', ';', '<', '>', '@', '"']) => {
                format!("\"{}\" <{}>", name.replace('"', "'"), line(&self.email))
            }
            Some(name) => format!("{name} <{}>", line(&self.email)),
            None => line(&self.email),
        }
    }

    /// Addresses with the same key reach the same mailbox. Letters outside ASCII are compared unchanged, because lower case turns some of them into
    /// others.
    pub(crate) fn key(&self) -> String {
        self.email.trim().to_ascii_lowercase()
    }
}

/// The addresses of a field, as they are shown.
pub(crate) fn show(addresses: Option<&Vec<Address>>) -> Vec<String> {
    let all = addresses.map(Vec::as_slice).unwrap_or_default();
    let mut shown: Vec<_> = all.iter().take(ADDRESSES_SHOWN_MAX).map(Address::show).collect();
    if all.len() > ADDRESSES_SHOWN_MAX {
        shown.push(format!("and {} more", all.len() - ADDRESSES_SHOWN_MAX));
    }
    shown
}

/// The text as one line of limited length.
pub(crate) fn line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(HEADER_CHARS_MAX)
        .collect::<String>()
        .trim()
        .to_owned()
}
