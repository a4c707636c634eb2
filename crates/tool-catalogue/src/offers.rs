//! The tools that are offered to a model: those that are not denied to the person, and that have what they need from the person. Definitions make
//! every request longer, and tools that cannot work yet confuse models.
//!
//! `tools` stores the offers for everybody in the database, so that `stream` need not ask it for every run. Offers are only what the model is told:
//! every call is decided separately.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use domain::{
    Effect,
    tool::{Offered, ToolDefinition},
};
use permissions::{Access, Action};
use serde::{Deserialize, Serialize};
use storage::tool_listings::{KeptOffers, ToolOffers};
use toolbox::{Chosen, Policy};

use crate::freshness::{Age, Found, List};

/// The path where `tools` returns the offers for everybody. It cannot be reached from outside, and its answer contains nothing about any person.
pub const OFFERS_PATH: &str = "/internal/offers";

/// The tools that could be offered to anybody.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Offerable {
    /// The tools, in a stable order.
    pub tools: Vec<OfferableTool>,
    /// The servers that people connect. What somebody has connected of another is not offered: it is no longer configured.
    #[serde(default)]
    pub personal: Vec<String>,
}

/// A tool that could be offered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OfferableTool {
    /// The server that has it.
    pub server: String,
    /// Its name there.
    pub name: String,
    /// The secrets without which it does not work.
    pub secrets: Vec<String>,
    /// The definition that the model gets.
    pub offer: ToolDefinition,
}

/// The last list that an instance has read, which is parsed once.
#[derive(Debug, Default)]
pub struct KnownOffers(RefCell<Option<(i64, Rc<Offerable>)>>);

impl KnownOffers {
    /// The version of the known list.
    #[must_use]
    pub fn version(&self) -> Option<i64> {
        self.0.borrow().as_ref().map(|(version, _)| *version)
    }

    /// Reads the offers that `tools` stored. A list that is not there is the known one, or older than that.
    #[must_use]
    pub fn read(&self, kept: &KeptOffers) -> Found<Rc<Offerable>> {
        let known = || self.0.borrow().as_ref().map(|(_, known)| Rc::clone(known));
        let list = kept.list.as_ref().map_or(List::Nothing, |kept| {
            let age = Age::of(kept.counts_for_ms);
            match kept.listing.as_deref().filter(|_| self.version() != Some(kept.version)) {
                Some("") => List::TooLong,
                Some(listing) => match serde_json::from_str(listing).map(Rc::new) {
                    Ok(offerable) => {
                        *self.0.borrow_mut() = Some((kept.version, Rc::clone(&offerable)));
                        List::Known(offerable, age)
                    }
                    // It was written by another version of this program.
                    Err(_) => List::Nothing,
                },
                None => known().map_or(List::Nothing, |known| List::Known(known, age)),
            }
        });
        Found { list, is_claimed: kept.is_claimed }
    }
}

impl Offerable {
    /// The offers for a person. They depend on what the person may do, the operator's policies, the patterns that the person or the installation
    /// denies, the secrets that the person has entered (server and name of each), what the servers offer that they have connected, and the tools that
    /// the conversation may use, all as [`ToolOffers`] has it.
    #[must_use]
    pub fn for_person(&self, access: &Access, configured: &[Policy], read: &ToolOffers) -> Offered {
        let ToolOffers { denied, secrets: entered, connected, chosen } = read;
        let chosen = Chosen::parse(chosen.as_deref());
        let denied = denied.iter().filter_map(|pattern| Policy::stored(pattern, Effect::Deny));
        let policies: Vec<Policy> = configured.iter().cloned().chain(denied).collect();
        let mut unconfigured = BTreeSet::new();
        let mut tools: Vec<ToolDefinition> = Vec::new();
        // What another version of this program wrote is not offered until it is asked for again.
        let connected: Vec<Vec<OfferableTool>> = serde_json::from_str(connected).unwrap_or_default();
        // The names of everybody's tools are different: the catalogue has made them so. Most people have connected nothing.
        let shared = self.tools.iter().filter(|_| !connected.is_empty());
        let mut names: BTreeSet<&str> = shared.map(|tool| tool.offer.name.as_str()).collect();
        let connected = connected.iter().flatten();
        let connected = connected.filter(|tool| self.personal.contains(&tool.server) && names.insert(&tool.offer.name));
        for tool in self.tools.iter().chain(connected) {
            let is_permitted = access.allows(&Action::CallTool { server: &tool.server, tool: &tool.name });
            if !is_permitted
                || !chosen.includes(&tool.server, &tool.name)
                || policies.iter().any(|policy| policy.denies(&tool.server, &tool.name))
            {
                continue;
            }
            let is_entered =
                |name: &String| entered.iter().any(|(server, entered)| *server == tool.server && entered == name);
            if tool.secrets.iter().all(is_entered) {
                tools.push(tool.offer.clone());
            } else {
                unconfigured.insert(tool.server.clone());
            }
        }
        Offered { tools, unconfigured: unconfigured.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use permissions::{Role, Roles};
    use serde_json::value::RawValue;
    use storage::tool_listings::KeptList;

    use super::*;

    fn offerable() -> Offerable {
        let tool = |server: &str, name: &str, secrets: &[&str]| OfferableTool {
            server: server.into(),
            name: name.into(),
            secrets: secrets.iter().map(|&name| name.into()).collect(),
            offer: ToolDefinition {
                name: format!("{server}_{name}"),
                title: None,
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
            personal: vec!["wiki".into()],
        }
    }

    fn offers(configured: &str, denied: &[&str], entered: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let configured = Policy::parse_list(configured).unwrap();
        let denied: Vec<String> = denied.iter().map(|&pattern| pattern.into()).collect();
        let entered: Vec<_> = entered.iter().map(|&(server, name)| (server.into(), name.into())).collect();
        let read = ToolOffers { denied, secrets: entered, ..ToolOffers::default() };
        let offers = offerable().for_person(&Roles::default().access(["member"]), &configured, &read);
        (offers.tools.into_iter().map(|offer| offer.name).collect(), offers.unconfigured)
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.into()).collect()
    }

    #[test]
    fn what_wants_secrets_is_offered_once_all_are_entered_for_its_server() {
        let mail = words(&["mail"]);
        assert_eq!(offers("", &[], &[("clock", "token")]), (words(&["clock_now"]), mail.clone()));
        assert_eq!(offers("", &[], &[("mail", "token")]), (words(&["clock_now", "mail_list"]), mail));
        let all = words(&["clock_now", "mail_list", "mail_send"]);
        assert_eq!(offers("", &[], &[("mail", "token"), ("mail", "key")]), (all, Vec::new()));
    }

    #[test]
    fn what_a_person_has_connected_is_offered_beside_the_rest_and_denied_like_it() {
        let own = |names: &[&str]| -> Vec<OfferableTool> {
            let tools = offerable().tools.into_iter().take(names.len());
            let named = tools.zip(names).map(|(tool, name)| OfferableTool {
                server: "wiki".into(),
                offer: ToolDefinition { name: format!("wiki_{name}"), ..tool.offer },
                name: (*name).into(),
                secrets: Vec::new(),
            });
            named.collect()
        };
        let names = |denied: &[&str], connected: &str| {
            let denied: Vec<String> = denied.iter().map(|&pattern| pattern.into()).collect();
            let access = Roles::default().access(["member"]);
            let read = ToolOffers { denied, connected: connected.to_owned(), ..ToolOffers::default() };
            let offers = offerable().for_person(&access, &[], &read);
            offers.tools.into_iter().map(|offer| offer.name).collect::<Vec<_>>()
        };
        let connected = serde_json::to_string(&[own(&["read", "write"]), own(&["read"])]).unwrap();
        assert_eq!(names(&[], &connected), words(&["clock_now", "wiki_read", "wiki_write"]), "each name once");
        assert_eq!(names(&["wiki:write"], &connected), words(&["clock_now", "wiki_read"]));
        let of_gone = connected.replace(r#""server":"wiki""#, r#""server":"gone""#);
        assert_eq!(names(&[], &of_gone), words(&["clock_now"]), "what is no longer configured is not offered");
        for nothing in ["", "rubbish", "[[]]"] {
            assert_eq!(names(&[], nothing), words(&["clock_now"]));
        }
    }

    #[test]
    fn what_the_persons_role_does_not_allow_is_neither_offered_nor_spoken_of() {
        let clock = Roles::new([Role::custom("clock", ["tools:call:clock:*"]).unwrap()]).access(["clock"]);
        for (access, offered) in [(clock, words(&["clock_now"])), (Access::default(), Vec::new())] {
            let offers = offerable().for_person(&access, &[], &ToolOffers::default());
            let names: Vec<String> = offers.tools.into_iter().map(|offer| offer.name).collect();
            assert_eq!((names, offers.unconfigured), (offered, Vec::new()));
        }
    }

    #[test]
    fn what_a_conversation_does_not_use_is_neither_offered_nor_spoken_of_and_nothing_else_is_allowed_by_that() {
        let offered = |chosen: &[&str], denied: &[&str]| {
            let [chosen, denied] = [chosen, denied].map(words);
            let secrets = [("mail", "token"), ("mail", "key")].map(|(server, name)| (server.into(), name.into()));
            let read = ToolOffers { chosen: Some(chosen), denied, secrets: secrets.into(), ..ToolOffers::default() };
            let offers = offerable().for_person(&Roles::default().access(["member"]), &[], &read);
            assert_eq!(offers.unconfigured, Vec::<String>::new());
            offers.tools.into_iter().map(|offer| offer.name).collect::<Vec<_>>()
        };
        assert_eq!(offered(&["clock:*"], &[]), words(&["clock_now"]));
        assert_eq!(offered(&["mail:l*", "clock:now"], &[]), words(&["clock_now", "mail_list"]));
        assert_eq!(offered(&["*:*"], &["mail:*"]), words(&["clock_now"]), "a policy counts all the same");
        for nothing in [&[][..], &["rubbish"]] {
            assert_eq!(offered(nothing, &[]), Vec::<String>::new());
        }
    }

    #[test]
    fn what_is_denied_is_neither_offered_nor_spoken_of() {
        let clock = (words(&["clock_now"]), Vec::new());
        assert_eq!(offers("", &["mail:*"], &[]), clock);
        assert_eq!(offers("deny mail:*, allow clock:*", &[], &[]), clock);
        assert_eq!(offers("allow *:*", &["mail:*", "clock:n*"], &[]), (Vec::new(), Vec::new()));
        assert_eq!(
            offers("", &["rubbish"], &[]),
            (Vec::new(), Vec::new()),
            "a deny that cannot be read denies everything"
        );
    }

    #[test]
    fn a_list_that_was_not_sent_is_the_last_that_was_read() {
        let known = KnownOffers::default();
        let kept = |version, listing: Option<&str>| KeptOffers {
            list: Some(KeptList { version, listing: listing.map(Into::into), counts_for_ms: 1 }),
            is_claimed: false,
        };
        let tools = |kept: &KeptOffers| match known.read(kept).list {
            List::Known(list, Age::Fresh) => Some(list.tools.len()),
            List::Known(..) | List::Nothing | List::TooLong => None,
        };
        assert_eq!((known.version(), tools(&kept(1, None))), (None, None));
        let listing = serde_json::to_string(&offerable()).unwrap();
        assert_eq!(tools(&kept(1, Some(&listing))), Some(3));
        assert_eq!((known.version(), tools(&kept(1, None))), (Some(1), Some(3)));
        assert_eq!(tools(&kept(2, Some(r#"{"tools": []}"#))), Some(0));
        // What does not count leaves what is known.
        for unusable in ["", "rubbish"] {
            assert_eq!(tools(&kept(3, Some(unusable))), None);
        }
        assert_eq!((known.version(), tools(&kept(2, None))), (Some(2), Some(0)));
    }
}
