//! What a model may be offered: everything that is not denied to the person and has of them what it needs. Definitions cost every request, and
//! what cannot work yet confuses models.
//!
//! What holds for everybody is a [`Catalog`](crate::Catalog) of its own, which `tools` keeps in the database, so that `stream` need not ask
//! it for every run. It is only what the model is told: every call is decided anew.

use std::collections::BTreeSet;

use domain::Effect;
use serde::{Deserialize, Serialize};

use crate::{
    Policy,
    wire::{Offer, Offers},
};

/// The tools that everybody is offered who wants them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Offerable {
    /// In a stable order.
    pub tools: Vec<OfferableTool>,
}

/// A tool that may be offered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OfferableTool {
    /// The server that has it.
    pub server: String,
    /// Its name there.
    pub name: String,
    /// The secrets without which it does not work.
    pub secrets: Vec<String>,
    /// What the model is told.
    pub offer: Offer,
}

impl Offerable {
    /// What is offered to a person for whom these policies are stored, and who has entered these secrets: server and name of each.
    #[must_use]
    pub fn to<'p>(self, stored: impl IntoIterator<Item = (&'p str, Effect)>, entered: &[(String, String)]) -> Offers {
        let policies: Vec<Policy> =
            stored.into_iter().filter_map(|(pattern, effect)| Policy::stored(pattern, effect)).collect();
        let mut unconfigured = BTreeSet::new();
        let mut items = Vec::new();
        for tool in self.tools {
            if policies.iter().any(|policy| policy.denies(&tool.server, &tool.name)) {
                continue;
            }
            let is_entered =
                |name: &String| entered.iter().any(|(server, entered)| *server == tool.server && entered == name);
            if tool.secrets.iter().all(is_entered) {
                items.push(tool.offer);
            } else {
                unconfigured.insert(tool.server);
            }
        }
        Offers { items, unconfigured: unconfigured.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn offerable() -> Offerable {
        let tool = |server: &str, name: &str, secrets: &[&str]| OfferableTool {
            server: server.into(),
            name: name.into(),
            secrets: secrets.iter().map(|&name| name.into()).collect(),
            offer: Offer {
                name: format!("{server}_{name}"),
                description: String::new(),
                input_schema: RawValue::NULL.to_owned(),
            },
        };
        Offerable {
            tools: vec![
                tool("clock", "now", &[]),
                tool("mail", "list", &["token"]),
                tool("mail", "send", &["token", "key"]),
            ],
        }
    }

    fn names(offers: &Offers) -> Vec<&str> {
        offers.items.iter().map(|offer| offer.name.as_str()).collect()
    }

    fn entered(names: &[(&str, &str)]) -> Vec<(String, String)> {
        names.iter().map(|&(server, name)| (server.into(), name.into())).collect()
    }

    #[test]
    fn what_wants_a_secret_is_offered_once_all_it_wants_is_entered_for_its_server() {
        let offers = offerable().to([], &entered(&[("clock", "token")]));
        assert_eq!((names(&offers), &*offers.unconfigured), (vec!["clock_now"], &["mail".to_owned()][..]));
        let offers = offerable().to([], &entered(&[("mail", "token")]));
        assert_eq!((names(&offers), &*offers.unconfigured), (vec!["clock_now", "mail_list"], &["mail".to_owned()][..]));
        let offers = offerable().to([], &entered(&[("mail", "token"), ("mail", "key")]));
        assert_eq!((names(&offers).len(), offers.unconfigured.len()), (3, 0));
    }

    #[test]
    fn what_is_denied_is_neither_offered_nor_spoken_of() {
        let offers = offerable().to([("mail:*", Effect::Deny)], &[]);
        assert_eq!((names(&offers), offers.unconfigured.len()), (vec!["clock_now"], 0));
        assert!(names(&offerable().to([("mail:*", Effect::Allow), ("clock:n*", Effect::Deny)], &[])).is_empty());
    }

    #[test]
    fn a_policy_that_cannot_be_read_counts_only_if_it_denies() {
        assert_eq!(names(&offerable().to([("rubbish", Effect::Allow)], &[])), ["clock_now"]);
        assert!(names(&offerable().to([("rubbish", Effect::Deny)], &[])).is_empty());
    }
}
