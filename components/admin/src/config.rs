//! The settings that administrators see. None of them is a secret.

use domain::prices::Prices;
use platform::variables::variable;

/// The variables that are shown. Each is checked by the component that uses it.
const SHOWN: [&str; 15] = [
    "signup",
    "second_factor_roles",
    "client_address_header",
    "public_url",
    "openai_base_url",
    "openai_model",
    "openai_models",
    "context_window_tokens",
    "tool_policies",
    "requests_per_minute",
    "person_requests_per_minute",
    "session_requests_per_minute",
    "tool_calls_per_minute",
    "tool_changes_per_minute",
    "model_prices",
];

/// Names and values, in order.
#[derive(Clone, Default, Debug)]
pub(crate) struct Config {
    pub(crate) settings: Vec<(&'static str, String)>,
    /// What models cost.
    pub(crate) prices: Prices,
}

impl Config {
    /// Reads the variables that `spin.toml` grants.
    pub(crate) async fn read() -> Self {
        let mut settings = Vec::with_capacity(SHOWN.len());
        for name in SHOWN {
            settings.push((name, variable(name).await));
        }
        let prices = Prices::parse(&variable("model_prices").await).unwrap_or_default();
        Self { settings, prices }
    }
}
