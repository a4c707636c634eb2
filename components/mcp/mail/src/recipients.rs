//! A mail's recipients: read, counted, and compared with those that the person was asked about. All tools read addresses with this module.

use std::collections::BTreeSet;

use email_address::{EmailAddress, Options};
use tool_provider::Failure;

use crate::{email::Address, letter::invalid};

/// The most recipients of a mail. Servers accept a hundred and more, but a mail to many people is no job for a model.
pub(crate) const RECIPIENTS_MAX: usize = 50;

/// Longer names are refused.
const NAME_CHARS_MAX: usize = 200;

/// The recipients of a mail.
#[derive(Clone, Default, Debug)]
pub(crate) struct Recipients {
    pub(crate) to: Vec<Address>,
    pub(crate) cc: Vec<Address>,
    pub(crate) bcc: Vec<Address>,
}

impl Recipients {
    /// Reads the addresses that a model gives.
    pub(crate) fn read(to: &[String], cc: &[String], bcc: &[String]) -> Result<Self, Failure> {
        let addresses = |texts: &[String]| texts.iter().map(|text| address(text)).collect::<Result<_, _>>();
        Ok(Self { to: addresses(to)?, cc: addresses(cc)?, bcc: addresses(bcc)? })
    }

    /// The addresses of all recipients, each once.
    pub(crate) fn all(&self) -> Vec<String> {
        let mut known = BTreeSet::new();
        let everybody = self.to.iter().chain(&self.cc).chain(&self.bcc);
        everybody.filter(|address| known.insert(address.key())).map(|address| address.email.clone()).collect()
    }

    /// Refuses `to` and `cc` if they differ from those of the mail: the person must be asked about exactly what is done.
    pub(crate) fn check(&self, meant: &Self) -> Result<(), Failure> {
        for (field, said, meant) in [("to", &self.to, &meant.to), ("cc", &self.cc, &meant.cc)] {
            let keys = |addresses: &[Address]| addresses.iter().map(Address::key).collect::<BTreeSet<_>>();
            if keys(said) == keys(meant) {
                continue;
            }
            let meant: Vec<_> = meant.iter().map(|address| address.email.as_str()).collect();
            let meant = if meant.is_empty() { "nobody".to_owned() } else { meant.join(", ") };
            return invalid(format!(
                "`{field}` differs from this mail's, which is {meant}. Nothing was sent. If the mail's is right, repeat the call with it."
            ));
        }
        Ok(())
    }
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
    // A text that looks like another address must not be accepted as a name.
    let is_one =
        !quoted.unwrap_or(name).contains(['<', '>', '@', '"']) && (quoted.is_some() || !name.contains([',', ';']));
    let name = quoted.unwrap_or(name).trim();
    let is_name = is_one && name.chars().count() <= NAME_CHARS_MAX && !name.chars().any(char::is_control);
    let is_plain = !email.chars().any(|c| c.is_control() || c.is_whitespace() || c == '"');
    if !is_name || !is_plain || EmailAddress::parse_with_options(email, options).is_err() {
        return invalid(
            "One of the addresses is not valid, or is several addresses: write each as `ann@example.com` or `Ann <ann@example.com>`.",
        );
    }
    Ok(Address { name: Some(name.to_owned()).filter(|name| !name.is_empty()), email: email.to_owned() })
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
            // An address can be read back as it is shown.
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
}
