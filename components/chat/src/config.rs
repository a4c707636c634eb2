//! The operator's settings for conversations.

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
    /// The other models that a conversation may name: comma-separated, `*` at the end matches anything.
    pub(crate) other_models: String,
    /// How many messages may be sent in a minute.
    pub(crate) rates: Rates,
}

impl Config {
    /// Reads the variables that `spin.toml` grants.
    pub(crate) async fn read() -> Self {
        let rates = rates().await;
        Self {
            default_model: variable("openai_model").await,
            other_models: variable("openai_models").await,
            rates: Rates::parse(rates.each_ref().map(String::as_str)),
        }
    }

    /// Whether a conversation may name this model.
    pub(crate) fn allows_model(&self, model: &str) -> bool {
        model == self.default_model
            || self.other_models.split(',').map(str::trim).any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => model.starts_with(prefix),
                None => !pattern.is_empty() && model == pattern,
            })
    }
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
        let config =
            Config { default_model: "gpt".into(), other_models: "o1, scripted*,".into(), rates: Rates::default() };
        for allowed in ["gpt", "o1", "scripted", "scripted-delay=5"] {
            assert!(config.allows_model(allowed), "{allowed}");
        }
        for refused in ["", "gpt-2", "o1-mini", "script"] {
            assert!(!config.allows_model(refused), "{refused}");
        }
    }
}
