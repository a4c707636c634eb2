//! All providers of an installation: who is asked for a model, in which order, and which models there are.

use std::collections::HashMap;

use wildmatch::WildMatch;

use crate::{Facts, Provider, listing::may_answer, provider::STANDARD};

/// The address that `openai_base_url` has if nobody sets it.
const UNSET: &str = "https://api.openai.com/v1";

/// A model that a person may choose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    /// Its name.
    pub id: String,
    /// The providers that have it, in the order in which they are asked.
    pub providers: Vec<String>,
    /// What is known about it at the first of them.
    pub facts: Facts,
}

/// Providers in the order in which they are asked.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Providers(Vec<Provider>);

/// Whether somebody has set up the standard provider: with a key, or with an address of their own.
#[must_use]
pub fn is_set_up(standard: &Provider) -> bool {
    !standard.credentials.key.is_empty() || standard.address.server != UNSET
}

/// The standard provider if it is asked: if somebody has set it up, or nothing is written about others. Others that are written and cannot be used count
/// too: a question must not go to a third party because a key is missing or a variable is broken (docs/adr/0045).
#[must_use]
pub fn standard_beside(standard: &Provider, others_are_written: bool) -> Option<Provider> {
    (is_set_up(standard) || !others_are_written).then(|| standard.clone())
}

impl Providers {
    /// Orders providers: higher priorities first, of equal ones the standard provider, if it is asked ([`standard_beside`]), then those of the
    /// configuration as they come, then those that administrators added, by the bytes of their names: databases order texts differently. A configured
    /// one counts before an added one of its name.
    #[must_use]
    pub fn new(
        standard: Option<Provider>,
        configured: impl IntoIterator<Item = Provider>,
        added: impl IntoIterator<Item = Provider>,
    ) -> Self {
        let mut all: Vec<_> = standard.into_iter().chain(configured).collect();
        let is_new = |added: &Provider| all.iter().all(|known| known.name != added.name);
        let mut added: Vec<_> = added.into_iter().filter(is_new).collect();
        added.sort_by(|one, other| one.name.cmp(&other.name));
        all.append(&mut added);
        all.sort_by_key(|provider| std::cmp::Reverse(provider.priority));
        Self(all)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Provider> {
        self.0.iter()
    }

    /// Those that have a model, in the order in which they are asked.
    #[must_use]
    pub fn of_model(&self, model: &str) -> Vec<&Provider> {
        self.0.iter().filter(|provider| provider.model(model).is_some()).collect()
    }

    /// Those that are asked for a run: as [`Self::of_model`]. If nobody has the model any more, the standard provider: what a person may ask for was
    /// decided when they asked, and the operator may have changed the names since.
    #[must_use]
    pub fn for_run(&self, model: &str) -> Vec<&Provider> {
        let fitting = self.of_model(model);
        if fitting.is_empty() { self.0.iter().filter(|provider| provider.name == STANDARD).collect() } else { fitting }
    }

    /// The model for a conversation that names none: the configured one if somebody has it and the person may use it, else the first of
    /// [`Self::offers`] that they may use. `None`: there is none.
    #[must_use]
    pub fn default_model<'a>(
        &self,
        configured: &'a str,
        may_use: impl Fn(&str) -> bool,
        offers: &'a [Offer],
    ) -> Option<&'a str> {
        if may_use(configured) && !self.of_model(configured).is_empty() {
            return Some(configured);
        }
        offers.iter().map(|offer| offer.id.as_str()).find(|id| may_use(id))
    }

    /// The models that can be named, each once: those that providers name, and those that `listed` says their servers have and a pattern of theirs
    /// stands for.
    #[must_use]
    pub fn offers<'a>(&'a self, listed: impl Fn(&'a Provider) -> &'a [String]) -> Vec<Offer> {
        let mut offers: Vec<Offer> = Vec::new();
        // Lists of resellers have hundreds of models.
        let mut places = HashMap::new();
        for provider in &self.0 {
            let (patterns, named): (Vec<_>, Vec<_>) = provider.models.iter().partition(|model| model.is_pattern());
            let patterns: Vec<_> = patterns.into_iter().map(|model| WildMatch::new(&model.name)).collect();
            let fits = |id: &&str| may_answer(id) && patterns.iter().any(|pattern| pattern.matches(id));
            let listed = listed(provider).iter().map(String::as_str).filter(fits);
            for id in named.into_iter().map(|model| model.name.as_str()).chain(listed) {
                let place = *places.entry(id).or_insert(offers.len());
                match offers.get_mut(place) {
                    Some(offer) if offer.providers.last() == Some(&provider.name) => {}
                    Some(offer) => offer.providers.push(provider.name.clone()),
                    None => offers.push(Offer {
                        id: id.to_owned(),
                        providers: vec![provider.name.clone()],
                        facts: provider.facts(id),
                    }),
                }
            }
        }
        offers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Model;

    fn provider(name: &str, priority: i64, models: &[&str]) -> Provider {
        let models = models.iter().map(|name| Model::named(name)).collect();
        Provider { name: name.to_owned(), priority, models, ..Provider::default() }
    }

    fn standard(key: &str) -> Option<Provider> {
        standard_beside(&Provider::standard(UNSET, key, "m", ""), true)
    }

    fn names(providers: &Providers, model: &str) -> Vec<String> {
        providers.of_model(model).iter().map(|provider| provider.name.clone()).collect()
    }

    #[test]
    fn the_higher_priority_is_asked_first_and_equal_ones_in_their_order() {
        let others = [provider("a", 0, &["m"]), provider("b", 7, &["m*"]), provider("c", 0, &["n"])];
        let providers = Providers::new(standard("k"), others, []);
        assert_eq!(names(&providers, "m"), ["b", "default", "a"]);
        assert_eq!(names(&providers, "m2"), ["b"]);
        assert_eq!(names(&providers, "x"), [""; 0]);
    }

    #[test]
    fn of_equal_priority_those_that_were_added_come_last_by_name_and_never_in_the_place_of_a_configured_one() {
        let added = ["b", "a", "B", "a-b"].map(|name| provider(name, 0, &["m"]));
        let providers = Providers::new(standard("k"), [provider("b", 0, &["m", "n"])], added);
        assert_eq!(names(&providers, "m"), ["default", "b", "B", "a", "a-b"]);
        assert_eq!(names(&providers, "n"), ["b"]);
    }

    #[test]
    fn a_standard_provider_that_nobody_set_up_is_not_asked_if_others_are_written() {
        let unset = Provider::standard(UNSET, "", "m", "");
        let local = Provider::standard("http://127.0.0.1:8000/v1", "", "m", "");
        let with_key = Provider::standard(UNSET, "k", "m", "");
        for (provider, beside_others, alone) in [(unset, false, true), (local, true, true), (with_key, true, true)] {
            assert_eq!(standard_beside(&provider, true).is_some(), beside_others, "{provider:?}");
            assert_eq!(standard_beside(&provider, false).is_some(), alone, "{provider:?}");
        }
        let without = Providers::new(None, [provider("a", 0, &["m"])], []);
        assert_eq!((names(&without, "m"), without.for_run("x").len()), (vec!["a".to_owned()], 0));
        assert!(Providers::new(None, [], []).for_run("m").is_empty());
    }

    #[test]
    fn the_default_is_the_configured_model_if_somebody_has_it_and_else_the_first() {
        let near = provider("near", 0, &["llama", "x*"]);
        let listed = ["x1".to_owned()];
        let default = |providers: &Providers, may_use: fn(&str) -> bool| {
            let offers = providers.offers(|provider| if provider.name == "near" { &listed } else { &[] });
            providers.default_model("m", may_use, &offers).map(str::to_owned)
        };
        let both = Providers::new(standard("k"), [near.clone()], []);
        assert_eq!(default(&both, |_| true).as_deref(), Some("m"));
        assert_eq!(default(&both, |model| model != "m").as_deref(), Some("llama"));
        assert_eq!(default(&both, |model| model == "x1").as_deref(), Some("x1"));
        assert_eq!(default(&both, |_| false), None);
        assert_eq!(default(&Providers::new(standard(""), [near], []), |_| true).as_deref(), Some("llama"));
    }

    #[test]
    fn a_run_whose_model_nobody_names_any_more_is_the_standard_providers() {
        let asked =
            |providers: Providers| providers.for_run("old").iter().map(|one| one.name.clone()).collect::<Vec<_>>();
        assert_eq!(asked(Providers::new(standard("k"), [provider("a", 0, &["x"])], [])), ["default"]);
        assert_eq!(asked(Providers::new(standard(""), [provider("a", 0, &["x"])], [])), [""; 0]);
        assert_eq!(asked(Providers::new(standard("k"), [provider("a", 0, &["old"])], [])), ["a"]);
    }

    #[test]
    fn models_are_those_that_are_named_and_those_that_are_listed_and_fit() {
        let others = [provider("a", 5, &["x", "gpt-*"]), provider("b", 0, &["*"])];
        let providers = Providers::new(standard("k"), others, []);
        let of_a = ["gpt-5", "other", "gpt-image-1", "x"].map(str::to_owned);
        let of_b = ["gpt-5", "gpt-5", "text-embedding-3-small"].map(str::to_owned);
        let offers = providers.offers(|provider| match provider.name.as_str() {
            "a" => &of_a,
            "b" => of_b.as_slice(),
            _ => &[],
        });
        let offers: Vec<_> = offers.iter().map(|offer| (offer.id.as_str(), offer.providers.join(" "))).collect();
        assert_eq!(offers, [("x", "a".into()), ("gpt-5", "a b".into()), ("m", "default".into())]);
    }
}
