//! The parts of an answer that come from the answered mail: recipients, subject, and the header fields that connect the two (RFC 5322 section 3.6.4).

use serde_json::json;
use tool_provider::Failure;
use upstream::Http;

use crate::{
    email::{Address, Email, Got, line},
    jmap::{Account, check_id, no_such_mail},
    letter::SUBJECT_CHARS_MAX,
    recipients::Recipients,
};

/// How many earlier mails of a conversation are referenced. The first and the last ones are enough to find it.
const REFERENCES_MAX: usize = 20;

/// The parts of an answer that come from the answered mail.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) recipients: Recipients,
    pub(crate) subject: String,
    pub(crate) in_reply_to: Vec<String>,
    pub(crate) references: Vec<String>,
}

impl Reply {
    /// Prepares an answer to a mail of this account.
    pub(crate) async fn read<T: Http>(
        account: &Account<'_, T>,
        id: &str,
        own: &Address,
        to_all: bool,
    ) -> Result<Self, Failure> {
        check_id(id)?;
        let properties = ["id", "messageId", "references", "inReplyTo", "from", "replyTo", "to", "cc", "subject"];
        let got = account.call(vec![("Email/get", json!({ "ids": [id], "properties": properties }))]).await?;
        let email = got.read::<Got>(0)?.list.into_iter().next().ok_or_else(no_such_mail)?;
        Ok(Self::to(&email, own, to_all))
    }

    fn to(email: &Email, own: &Address, to_all: bool) -> Self {
        let list = |addresses: &Option<Vec<Address>>| addresses.clone().unwrap_or_default();
        let is_own = |address: &Address| address.key() == own.key();
        let (from, reply_to) = (list(&email.from), list(&email.reply_to));
        // An answer to the person's own mail goes to the same recipients.
        let (to, mut cc) = match (from.iter().any(is_own), reply_to.is_empty()) {
            (true, _) if !list(&email.to).is_empty() => (list(&email.to), list(&email.cc)),
            (_, false) => (reply_to, [list(&email.to), list(&email.cc)].concat()),
            (_, true) => (from, [list(&email.to), list(&email.cc)].concat()),
        };
        if !to_all {
            cc.clear();
        }
        let mut known: Vec<_> = to.iter().map(Address::key).collect();
        cc.retain(|address| {
            let is_new = !is_own(address) && !known.contains(&address.key());
            known.push(address.key());
            is_new
        });
        let subject = email.subject();
        let subject = if subject.to_lowercase().starts_with("re:") { subject } else { format!("Re: {subject}") };
        let in_reply_to = email.message_id.clone().unwrap_or_default();
        let earlier = email.references.clone().or_else(|| email.in_reply_to.clone()).unwrap_or_default();
        let mut references = [earlier, in_reply_to.clone()].concat();
        if references.len() > REFERENCES_MAX {
            references.drain(1..references.len() + 1 - REFERENCES_MAX);
        }
        let clean = |address: Address| Address { name: address.name.map(|name| line(&name)), ..address };
        Self {
            recipients: Recipients {
                to: to.into_iter().map(clean).collect(),
                cc: cc.into_iter().map(clean).collect(),
                bcc: Vec::new(),
            },
            subject: subject.chars().take(SUBJECT_CHARS_MAX).collect(),
            in_reply_to,
            references,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(names: &[&str]) -> Option<Vec<Address>> {
        Some(names.iter().map(|name| Address { name: None, email: format!("{name}@example.com") }).collect())
    }

    fn names(addresses: &[Address]) -> Vec<&str> {
        addresses.iter().map(|address| address.email.split('@').next().unwrap()).collect()
    }

    #[test]
    fn an_answer_goes_where_the_mail_asks_for_it() {
        let own = Address { name: None, email: "Me@example.com".into() };
        let email = Email {
            from: people(&["ann"]),
            to: people(&["me", "bob"]),
            cc: people(&["cy", "bob", "ann"]),
            subject: Some("Plan\r\nBcc: x".into()),
            message_id: Some(vec!["m2".into()]),
            references: Some((0..40).map(|n| format!("r{n}")).collect()),
            ..Email::default()
        };
        let reply = Reply::to(&email, &own, false);
        assert_eq!((names(&reply.recipients.to), names(&reply.recipients.cc)), (vec!["ann"], vec![]));
        assert_eq!((reply.subject.as_str(), reply.in_reply_to), ("Re: Plan  Bcc: x", vec!["m2".to_owned()]));
        let known = reply.references;
        assert_eq!((known.len(), known[0].as_str(), known[1].as_str(), known[19].as_str()), (20, "r0", "r22", "m2"));
        let all = Reply::to(&email, &own, true);
        assert_eq!((names(&all.recipients.to), names(&all.recipients.cc)), (vec!["ann"], vec!["bob", "cy"]));
        let email = Email { reply_to: people(&["list"]), subject: Some("RE: Plan".into()), ..email };
        let reply = Reply::to(&email, &own, false);
        assert_eq!((names(&reply.recipients.to), reply.subject.as_str()), (vec!["list"], "RE: Plan"));
        let mine = Email { from: people(&["me"]), to: people(&["ann"]), cc: people(&["bob"]), ..Email::default() };
        let reply = Reply::to(&mine, &own, true);
        assert_eq!((names(&reply.recipients.to), names(&reply.recipients.cc)), (vec!["ann"], vec!["bob"]));
    }
}
