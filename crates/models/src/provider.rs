//! A provider: where it is, how it is asked, and which models it has.

use std::fmt;

use domain::prices::Price;
use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

use crate::{Address, known};

/// The name of the provider that `openai_base_url` and its neighbours configure.
pub const STANDARD: &str = "default";

/// The API that a provider has for answers.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ProviderDialect))]
pub enum Api {
    /// OpenAI's Chat Completions, which most servers have.
    #[default]
    ChatCompletions,
    /// OpenAI's Responses.
    Responses,
}

impl Api {
    /// The name in configuration and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Responses => "responses",
        }
    }
}

/// What proves to a provider who asks. It is shown to nobody, also not by `Debug`.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Credentials {
    /// The key, sent as `Authorization: Bearer`; empty: none is sent.
    pub key: String,
    /// Further headers, some of which may be secret, in order.
    pub headers: Vec<(String, String)>,
    /// The query of the address, in which some gateways want their key. Empty: none.
    pub query: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// What is known about a model, or what an operator says about it. `None`: it is not known.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Facts {
    /// How much it reads and writes together, in tokens.
    pub context_window_tokens: Option<u64>,
    /// Whether it sees pictures.
    pub sees: Option<bool>,
    /// Whether it calls tools.
    pub calls_tools: Option<bool>,
    /// Whether it reasons before it answers.
    pub reasons: Option<bool>,
    /// What it costs.
    pub price: Option<Price>,
}

impl Facts {
    /// These, and what others say where these say nothing.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            context_window_tokens: self.context_window_tokens.or(others.context_window_tokens),
            sees: self.sees.or(others.sees),
            calls_tools: self.calls_tools.or(others.calls_tools),
            reasons: self.reasons.or(others.reasons),
            price: self.price.or(others.price),
        }
    }
}

/// A model of a provider, or several.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Model {
    /// Its name. `*` stands for any text, `?` for any character.
    pub name: String,
    /// What the operator says about it.
    pub facts: Facts,
}

impl Model {
    /// Without a word about it.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), facts: Facts::default() }
    }

    /// Whether it is several.
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        self.name.contains(['*', '?'])
    }
}

/// Whether a model has this name, or one that the pattern stands for.
#[must_use]
pub fn fits(pattern: &str, model: &str) -> bool {
    !pattern.is_empty() && !model.is_empty() && (pattern == model || WildMatch::new(pattern).matches(model))
}

/// A provider of models.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Provider {
    /// Its name, unique in an installation.
    pub name: String,
    /// Where it is.
    pub address: Address,
    /// How it is asked.
    pub api: Api,
    /// Of two that have a model, the one with the higher priority is asked first.
    pub priority: i64,
    /// Its models. The first that fits a name says what is known about it, one without `*` before all others.
    pub models: Vec<Model>,
    /// What it wants to see.
    pub credentials: Credentials,
}

impl Provider {
    /// The one of `openai_base_url`, `openai_api_key`, `openai_model` and `openai_models` (comma-separated).
    #[must_use]
    pub fn standard(base_url: &str, key: &str, model: &str, others: &str) -> Self {
        let names = std::iter::once(model).chain(others.split(',')).map(str::trim).filter(|name| !name.is_empty());
        Self {
            name: STANDARD.to_owned(),
            address: Address::new(base_url),
            models: names.map(Model::named).collect(),
            credentials: Credentials { key: key.to_owned(), ..Credentials::default() },
            ..Self::default()
        }
    }

    /// The entry for a model. `None`: it does not have it.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&Model> {
        let exact = self.models.iter().find(|model| model.name == name);
        exact.or_else(|| self.models.iter().find(|model| fits(&model.name, name)))
    }

    /// What is known about one of its models: what the operator says, else what the table of known models says.
    #[must_use]
    pub fn facts(&self, name: &str) -> Facts {
        self.model(name).map(|model| model.facts).unwrap_or_default().or(known(name).unwrap_or_default())
    }

    /// The name under which is remembered how its server wants requests and what it wants back. Both differ from API to API, also at one address.
    #[must_use]
    pub fn remembered_as(&self) -> String {
        match self.api {
            Api::ChatCompletions => self.address.server.clone(),
            api @ Api::Responses => format!("{}#{}", self.address.server, api.as_str()),
        }
    }

    /// The headers of each request, the key among them.
    pub fn headers(&self) -> impl Iterator<Item = (&str, String)> {
        let key = &self.credentials.key;
        let key = (!key.is_empty()).then(|| ("authorization", format!("Bearer {key}")));
        let headers = self.credentials.headers.iter().map(|(name, value)| (name.as_str(), value.clone()));
        key.into_iter().chain(headers)
    }

    /// Everything of its credentials that a message must not repeat, one a line.
    #[must_use]
    pub fn secrets(&self) -> String {
        let query = self.credentials.query.split('&').map(str::to_owned);
        self.headers().map(|(_, value)| value).chain(query).collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_for_any_text() {
        for (pattern, model) in [("m", "m"), ("gpt-*", "gpt-5"), ("*", "x"), ("*/llama-?", "meta/llama-3")] {
            assert!(fits(pattern, model), "{pattern} {model}");
        }
        for (pattern, model) in [("", ""), ("*", ""), ("gpt-*", "o1"), ("m", "mm"), ("llama-?", "llama-33")] {
            assert!(!fits(pattern, model), "{pattern} {model}");
        }
    }

    #[test]
    fn what_is_said_about_a_model_counts_before_what_is_known() {
        let said = Facts { context_window_tokens: Some(8_000), ..Facts::default() };
        let models = vec![Model::named("*"), Model { name: "gpt-4.1-mini".to_owned(), facts: said }];
        let provider = Provider { models, ..Provider::default() };
        let facts = provider.facts("gpt-4.1-mini");
        assert_eq!((facts.context_window_tokens, facts.sees), (Some(8_000), Some(true)));
        assert_eq!(provider.facts("gpt-4.1").context_window_tokens, Some(1_047_576));
        assert_eq!(provider.facts("nobody's"), Facts::default());
    }

    #[test]
    fn the_standard_provider_has_the_models_of_the_older_variables() {
        let provider = Provider::standard("https://a.example/v1", "k", "m", " n*, o ,");
        let has = |model| provider.model(model).is_some();
        assert_eq!(["m", "n1", "o", "p", ""].map(has), [true, true, true, false, false]);
        assert_eq!(provider.headers().collect::<Vec<_>>(), [("authorization", "Bearer k".to_owned())]);
        assert!(!format!("{provider:?}").contains("\"k\""));
        assert_eq!(Provider::standard("https://a.example/v1", "", "m", "").headers().count(), 0);
    }
}
