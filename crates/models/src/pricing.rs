//! What a model costs at a provider.

use domain::prices::{Price, Prices};

use crate::{CURRENCY, Provider, known};

/// Prices of all models.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Pricing(Prices);

impl Pricing {
    /// With what the operator says in `model_prices`.
    #[must_use]
    pub const fn new(prices: Prices) -> Self {
        Self(prices)
    }

    /// The currency's code: the operator's, else that of the table of known models.
    #[must_use]
    pub fn currency(&self) -> &str {
        if self.0.currency().is_empty() { CURRENCY } else { self.0.currency() }
    }

    /// Whether the operator names no prices, so that those of the table of known models count.
    #[must_use]
    pub const fn is_of_table(&self) -> bool {
        self.0.currency().is_empty() && !self.0.are_unreadable()
    }

    /// Whether the operator's prices cannot be read.
    #[must_use]
    pub const fn are_unreadable(&self) -> bool {
        self.0.are_unreadable()
    }

    /// The price at a provider: what the provider's entry says, else as [`Self::of_model`].
    #[must_use]
    pub fn at(&self, provider: &Provider, model: &str) -> Option<Price> {
        provider.model(model).and_then(|entry| entry.facts.price).or_else(|| self.of_model(model))
    }

    /// The price to count with; nothing for a model whose price nobody knows. `None`: the operator says one that cannot be read.
    #[must_use]
    pub fn counted(&self, provider: &Provider, model: &str) -> Option<Price> {
        self.at(provider, model).or_else(|| (!self.0.are_unreadable()).then(Price::default))
    }

    /// The price anywhere: what `model_prices` says. Only if it is empty, what the table of known models says: its currency may be another.
    #[must_use]
    pub fn of_model(&self, model: &str) -> Option<Price> {
        let table = || known(model).and_then(|facts| facts.price).filter(|_| self.is_of_table());
        self.0.of(model).or_else(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Facts, Model};

    fn price(input: u64) -> Price {
        Price { input, output: 0 }
    }

    #[test]
    fn the_nearest_word_about_a_price_counts() {
        let entry = Model { name: "a".to_owned(), facts: Facts { price: Some(price(7)), ..Facts::default() } };
        let provider = Provider { models: vec![entry, Model::named("*")], ..Provider::default() };
        let said = Prices::parse(r#"{"currency": "EUR", "models": {"b": {"input": 1, "output": 0}}}"#).unwrap();
        let said = Pricing::new(said);
        assert_eq!((said.at(&provider, "a"), said.at(&provider, "b")), (Some(price(7)), Some(price(1_000_000))));
        assert_eq!((said.at(&provider, "gpt-4.1-mini"), said.currency()), (None, "EUR"));
        assert_eq!((said.counted(&provider, "a"), said.counted(&provider, "c")), (Some(price(7)), Some(price(0))));
        let unreadable = Pricing::new(Prices::read("{"));
        assert_eq!((unreadable.counted(&provider, "a"), unreadable.of_model("gpt-4.1-mini")), (Some(price(7)), None));
        assert_eq!(unreadable.counted(&provider, "gpt-4.1-mini"), None);
        let unsaid = Pricing::default();
        assert_eq!(unsaid.at(&provider, "gpt-4.1-mini").map(|price| price.input), Some(400_000));
        assert_eq!((unsaid.of_model("b"), unsaid.currency()), (None, "USD"));
    }
}
