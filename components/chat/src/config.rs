//! The operator's settings for conversations.

use std::sync::Arc;

use domain::prices::Prices;
use models::{Pricing, Provider, Providers, standard_beside};
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
    /// The provider of the variables that begin with `openai_`, without its key.
    pub(crate) standard: Provider,
    /// Those of `model_providers`, without their keys.
    pub(crate) more: Vec<Provider>,
    /// Whether anything is written in `model_providers`, also if it cannot be read.
    pub(crate) has_more: bool,
    /// How many messages may be sent in a minute.
    pub(crate) rates: Rates,
    /// What models cost.
    pub(crate) pricing: Pricing,
}

impl Config {
    /// Reads the variables that `spin.toml` grants.
    pub(crate) async fn read() -> Arc<Self> {
        let (rates, base_url) = (rates().await, variable("openai_base_url").await);
        let (model, others) = (variable("openai_model").await, variable("openai_models").await);
        let written = variable("model_providers").await;
        // Only whether there is a key matters here: without one, and with nobody's own address, nobody has set this provider up.
        let key = if variable("openai_api_key").await.is_empty() { "" } else { "set" };
        Arc::new(Self {
            standard: Provider::standard(&base_url, key, &model, &others),
            // `stream` says at `/ready` what is wrong with them.
            more: models::parse(&written, "").unwrap_or_default(),
            has_more: !written.trim().is_empty(),
            default_model: model,
            rates: Rates::parse(rates.each_ref().map(String::as_str)),
            // `stream` says at `/ready` what is wrong with them.
            pricing: Pricing::new(Prices::read(&variable("model_prices").await)),
        })
    }

    /// All providers: those that are configured, and these. `has_stored`: whether administrators added any, usable or not.
    pub(crate) fn with(&self, has_stored: bool, stored: impl IntoIterator<Item = Provider>) -> Providers {
        let standard = standard_beside(&self.standard, self.has_more || has_stored);
        Providers::new(standard, self.more.iter().cloned(), stored)
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
