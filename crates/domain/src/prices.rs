//! What models cost, as the operator says it (`model_prices` in docs/configuration.md). Money is counted in millionths of the currency, as whole
//! numbers. Must not know budgets.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Tokens for which a price is named.
const PER_TOKENS: u64 = 1_000_000;
/// The parts of a unit of the currency in which money is counted.
pub const MILLIONTHS: u64 = 1_000_000;
/// A higher price is a slip: a hundred times what the dearest model costs.
const MAX_PRICE: f64 = 100_000.0;

/// The price of a model's tokens, in millionths of the currency for a million tokens. 0 if it is not known.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Price {
    /// Of what the model reads.
    pub input: u64,
    /// Of what it writes, its reasoning included.
    pub output: u64,
}

impl Price {
    /// From prices for a million tokens in the currency. `None`: one is below zero or absurd.
    #[must_use]
    pub fn per_million(input: f64, output: f64) -> Option<Self> {
        Some(Self { input: millionths(input)?, output: millionths(output)? })
    }

    /// What these tokens cost, in millionths of the currency, rounded up.
    #[must_use]
    pub fn cost(self, prompt_tokens: u64, completion_tokens: u64) -> u64 {
        let of = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        let cost = (of(prompt_tokens, self.input) + of(completion_tokens, self.output)).div_ceil(PER_TOKENS.into());
        // The database counts in signed numbers.
        u64::try_from(cost).unwrap_or(u64::MAX).min(i64::MAX.unsigned_abs())
    }
}

/// The prices of all models that have one.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Prices {
    currency: String,
    models: BTreeMap<String, Price>,
    are_unreadable: bool,
}

/// What is wrong with the text of [`Prices::parse`].
#[derive(Debug, thiserror::Error)]
pub enum InvalidPrices {
    /// It is not JSON of this form.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// The currency is not a code of three letters.
    #[error("the currency must be a code of three capital letters, such as EUR (ISO 4217)")]
    Currency,
    /// A price is below zero or absurd.
    #[error("the prices of {0} must be from 0 to 100000 for a million tokens")]
    Price(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    currency: String,
    models: BTreeMap<String, WrittenPrice>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPrice {
    input: f64,
    output: f64,
}

impl Prices {
    /// Reads `{"currency": "EUR", "models": {"gpt-4.1-mini": {"input": 0.4, "output": 1.6}, "gpt-*": ...}}`, the prices for a million tokens. An
    /// empty text has none.
    ///
    /// # Errors
    /// [`InvalidPrices`].
    pub fn parse(text: &str) -> Result<Self, InvalidPrices> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let Written { currency, models } = serde_json::from_str(text)?;
        if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(InvalidPrices::Currency);
        }
        let mut prices = BTreeMap::new();
        for (model, WrittenPrice { input, output }) in models {
            let Some(price) = Price::per_million(input, output) else { return Err(InvalidPrices::Price(model)) };
            prices.insert(model, price);
        }
        Ok(Self { currency, models: prices, are_unreadable: false })
    }

    /// As [`Self::parse`], and what cannot be read counts as prices that nobody knows: nothing may be used for which a budget of money counts.
    #[must_use]
    pub fn read(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(|_| Self { are_unreadable: true, ..Self::default() })
    }

    /// Whether there are prices that cannot be read.
    #[must_use]
    pub const fn are_unreadable(&self) -> bool {
        self.are_unreadable
    }

    /// The currency's code; empty if there are no prices.
    #[must_use]
    pub const fn currency(&self) -> &str {
        self.currency.as_str()
    }

    /// The price of a model: under its name, or under the longest pattern that fits, where `*` at the end stands for any rest. `None`: it is not
    /// known.
    #[must_use]
    pub fn of(&self, model: &str) -> Option<Price> {
        let fitting = |(pattern, _): &(&String, &Price)| {
            pattern.strip_suffix('*').is_some_and(|beginning| model.starts_with(beginning))
        };
        let longest = || self.models.iter().filter(fitting).max_by_key(|(pattern, _)| pattern.len());
        self.models.get(model).or_else(|| longest().map(|(_, price)| price)).copied()
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 100 billion")]
fn millionths(price: f64) -> Option<u64> {
    (0.0..=MAX_PRICE).contains(&price).then(|| (price * MILLIONTHS as f64).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICES: &str = r#"{"currency": "USD", "models": {"gpt-4.1-mini": {"input": 0.4, "output": 1.6},
        "gpt-*": {"input": 2, "output": 8}, "gpt-4*": {"input": 3, "output": 9}}}"#;

    #[test]
    fn a_model_costs_what_its_name_says_or_the_longest_pattern() {
        let prices = Prices::parse(PRICES).unwrap();
        let input = |model| prices.of(model).map(|price| price.input);
        assert_eq!(input("gpt-4.1-mini"), Some(400_000));
        assert_eq!(input("gpt-4.1"), Some(3_000_000));
        assert_eq!(input("gpt-5"), Some(2_000_000));
        assert_eq!(input("llama"), None);
        assert_eq!(prices.currency(), "USD");
    }

    #[test]
    fn money_is_whole_and_rounded_up() {
        let price = Prices::parse(PRICES).unwrap().of("gpt-4.1-mini").unwrap();
        assert_eq!(price.cost(1_000_000, 1_000_000), 2_000_000);
        assert_eq!(price.cost(1, 0), 1);
        assert_eq!(price.cost(0, 0), 0);
        assert_eq!(price.cost(u64::MAX, u64::MAX), i64::MAX.unsigned_abs());
    }

    #[test]
    fn what_is_no_price_is_refused_with_its_reason() {
        assert_eq!(Prices::parse(" ").unwrap(), Prices::default());
        assert!(Prices::read("{").are_unreadable() && !Prices::read("").are_unreadable());
        let refused = |text| Prices::parse(text).unwrap_err().to_string();
        assert!(refused("{}").contains("currency"));
        assert!(refused(r#"{"currency": "euro", "models": {}}"#).contains("EUR"));
        assert!(refused(r#"{"currency": "EUR", "models": {"m": {"input": -1, "output": 1}}}"#).contains("m must"));
        assert!(refused(r#"{"currency": "EUR", "models": {"m": {"input": 1}}}"#).contains("output"));
    }
}
