//! The person's mailboxes, found by id, role, name or path.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use tool_provider::Failure;

use crate::jmap::{Call, is_id};

/// How many mailboxes are read. People with more have a program that makes them.
pub(crate) const MAILBOXES_MAX: usize = 500;

/// The longest path. Deeper mailboxes are named without the upper ones.
const DEPTH_MAX: usize = 16;

/// How many names are listed when a mailbox is not found.
const NAMES_SHOWN_MAX: usize = 30;

/// RFC 8621 section 2.
#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Mailbox {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) parent_id: Option<String>,
    #[serde(default)]
    pub(crate) role: Option<String>,
    #[serde(default)]
    pub(crate) total_emails: u64,
    #[serde(default)]
    pub(crate) unread_emails: u64,
    #[serde(default)]
    sort_order: u64,
}

/// All mailboxes, with their paths.
#[derive(Debug)]
pub(crate) struct Mailboxes {
    list: Vec<(String, Mailbox)>,
}

/// Whether a mailbox with a path matches the searched text.
type Rule<'a> = &'a dyn Fn(&str, &Mailbox) -> bool;

/// The call that gets all mailboxes.
pub(crate) fn get() -> Call {
    let properties = ["id", "name", "parentId", "role", "totalEmails", "unreadEmails", "sortOrder"];
    ("Mailbox/get", json!({ "ids": null, "properties": properties }))
}

/// The response to `get`.
#[derive(Deserialize)]
pub(crate) struct Got {
    list: Vec<Mailbox>,
}

impl From<Got> for Mailboxes {
    fn from(got: Got) -> Self {
        let mut mailboxes = got.list;
        // The tools cannot work without mailboxes that have a role, so these are kept.
        mailboxes.sort_by_key(|mailbox| mailbox.role.is_none());
        mailboxes.truncate(MAILBOXES_MAX);
        mailboxes.sort_by(|one, other| (one.sort_order, &one.name).cmp(&(other.sort_order, &other.name)));
        let by_id: BTreeMap<_, _> = mailboxes.iter().map(|mailbox| (mailbox.id.as_str(), mailbox)).collect();
        let path = |mailbox: &Mailbox| {
            let mut names = vec![mailbox.name.as_str()];
            let mut above = mailbox.parent_id.as_deref();
            while let Some(parent) = above.and_then(|id| by_id.get(id)).filter(|_| names.len() < DEPTH_MAX) {
                names.push(&parent.name);
                above = parent.parent_id.as_deref();
            }
            names.reverse();
            names.join("/")
        };
        let list = mailboxes.iter().map(|mailbox| (path(mailbox), mailbox.clone())).collect();
        Self { list }
    }
}

impl Mailboxes {
    /// The mailboxes with their paths.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Mailbox)> {
        self.list.iter().map(|(path, mailbox)| (path.as_str(), mailbox))
    }

    /// The id of the mailbox with a role: `inbox`, `drafts`, `sent`, `trash`, `junk`, `archive`.
    pub(crate) fn role(&self, role: &str) -> Option<&str> {
        let found = self.list.iter().find(|(_, mailbox)| mailbox.role.as_deref() == Some(role));
        found.map(|(_, mailbox)| mailbox.id.as_str())
    }

    /// The id of the mailbox with this id, role, path or name, in this order.
    pub(crate) fn find(&self, text: &str) -> Result<&str, Failure> {
        let text = text.trim();
        let is = |name: &str| name.to_lowercase() == text.to_lowercase();
        let rules: [Rule<'_>; 4] = [
            &|_, mailbox| mailbox.id == text && is_id(text),
            &|_, mailbox| mailbox.role.as_deref().is_some_and(is),
            &|path, _| is(path),
            &|_, mailbox| is(&mailbox.name),
        ];
        for rule in rules {
            let found: Vec<_> = self.iter().filter(|(path, mailbox)| rule(path, mailbox)).collect();
            match found.as_slice() {
                [] => {}
                [(_, only)] => return Ok(&only.id),
                several => {
                    let paths: Vec<_> = several.iter().map(|(path, _)| *path).take(NAMES_SHOWN_MAX).collect();
                    let paths = paths.join(", ");
                    return Err(Failure::InvalidArguments(format!(
                        "There are several such mailboxes: say which of {paths}."
                    )));
                }
            }
        }
        let paths: Vec<_> = self.iter().map(|(path, _)| path).take(NAMES_SHOWN_MAX).collect();
        Err(Failure::InvalidArguments(format!("There is no such mailbox: there are {}.", paths.join(", "))))
    }

    /// The paths of a mail's mailboxes.
    pub(crate) fn paths(&self, ids: &BTreeMap<String, bool>) -> Vec<String> {
        let of = |(path, mailbox): (&str, &Mailbox)| ids.contains_key(&mailbox.id).then(|| path.to_owned());
        self.iter().filter_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Mailboxes {
        let list = json!({ "list": [
            { "id": "a", "name": "Eingang", "role": "inbox" },
            { "id": "b", "name": "2026", "parentId": "c" },
            { "id": "c", "name": "Bills", "parentId": null },
            { "id": "d", "name": "2026", "parentId": "a" },
            { "id": "e", "name": "Round", "parentId": "e" },
        ]});
        serde_json::from_value::<Got>(list).unwrap().into()
    }

    #[test]
    fn a_mailbox_is_found_by_whatever_names_it() {
        let mailboxes = some();
        for (text, id) in [("a", "a"), ("inbox", "a"), ("EINGANG", "a"), ("bills/2026", "b"), ("Eingang/2026", "d")] {
            assert_eq!(mailboxes.find(text).unwrap(), id, "{text}");
        }
        for (text, said) in [("2026", "Eingang/2026, Bills/2026"), ("sent", "there are "), ("", "no such")] {
            let Err(Failure::InvalidArguments(words)) = mailboxes.find(text) else { panic!("{text}") };
            let words_of_both = said.split(", ").all(|part| words.contains(part));
            assert!(words_of_both, "{text}: {words}");
        }
    }

    #[test]
    fn of_too_many_those_with_a_role_are_kept() {
        let mut list: Vec<_> = (0..MAILBOXES_MAX).map(|n| json!({ "id": format!("m{n}"), "name": "x" })).collect();
        list.push(json!({ "id": "s", "name": "Gesendet", "role": "sent" }));
        let mailboxes: Mailboxes = serde_json::from_value::<Got>(json!({ "list": list })).unwrap().into();
        assert_eq!((mailboxes.role("sent"), mailboxes.iter().count()), (Some("s"), MAILBOXES_MAX));
    }

    #[test]
    fn a_mailbox_within_itself_ends() {
        let mailboxes = some();
        let (path, _) = mailboxes.iter().find(|(_, mailbox)| mailbox.id == "e").unwrap();
        assert_eq!(path.split('/').count(), DEPTH_MAX);
    }
}
