//! The operator's settings for conversations.

use models::Provider;
use platform::variables::variable;
use web::{
    limits::{Rates, VARIABLES},
    settings::{self, Check},
};

use crate::encryption;

#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The model for a conversation that names none.
    pub(crate) default_model: String,
    /// The providers that are configured, without their keys: which models a conversation may name.
    pub(crate) providers: Vec<Provider>,
    /// How many messages may be sent in a minute.
    pub(crate) rates: Rates,
}

impl Config {
    /// Reads the variables that `spin.toml` grants.
    pub(crate) async fn read() -> Self {
        let rates = rates().await;
        Self {
            default_model: variable("openai_model").await,
            providers: providers(
                &variable("openai_model").await,
                &variable("openai_models").await,
                &variable("model_providers").await,
            ),
            rates: Rates::parse(rates.each_ref().map(String::as_str)),
        }
    }

    /// Whether a conversation may name this model.
    pub(crate) fn allows_model(&self, model: &str) -> bool {
        self.providers.iter().any(|provider| provider.model(model).is_some())
    }

    /// The model for a person whose conversation names none: the default, or the first other one with a name of its own that they may use. If they
    /// may use none, the default, and they are told why not.
    pub(crate) fn default_for(&self, may_use: impl Fn(&str) -> bool) -> &str {
        if may_use(&self.default_model) {
            return &self.default_model;
        }
        let named = self.providers.iter().flat_map(|provider| &provider.models).filter(|model| !model.is_pattern());
        named.map(|model| model.name.as_str()).find(|name| may_use(name)).unwrap_or(&self.default_model)
    }
}

/// The providers of the variables, of which only the models matter here. `stream` says at `/ready` what is wrong with them.
pub(crate) fn providers(model: &str, others: &str, providers: &str) -> Vec<Provider> {
    let standard = Provider::standard("", "", model, others);
    std::iter::once(standard).chain(models::parse(providers, "").unwrap_or_default()).collect()
}

async fn rates() -> [String; 3] {
    let [installation, person, session] = VARIABLES;
    [variable(installation).await, variable(person).await, variable(session).await]
}

/// Checks the settings, for `/ready`.
pub(crate) async fn checks() -> Vec<Check> {
    let mut checks = vec![settings::required("openai_model", &variable("openai_model").await)];
    checks.extend(Rates::checks(rates().await.each_ref().map(String::as_str)));
    checks.extend(encryption::checks().await);
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_models_that_the_operator_lists_are_allowed() {
        let more = r#"[{"name": "near", "base_url": "http://near.example/v1", "models": ["llama-?", "own"]}]"#;
        let providers = providers("gpt", "o1, scripted*,", more);
        let config = Config { default_model: "gpt".into(), providers, rates: Rates::default() };
        for allowed in ["gpt", "o1", "scripted", "scripted-delay=5", "llama-3", "own"] {
            assert!(config.allows_model(allowed), "{allowed}");
        }
        for refused in ["", "gpt-2", "o1-mini", "script", "llama-33"] {
            assert!(!config.allows_model(refused), "{refused}");
        }
        assert_eq!(config.default_for(|_| true), "gpt");
        assert_eq!(config.default_for(|model| model == "own"), "own");
        assert_eq!(config.default_for(|_| false), "gpt");
    }
}
