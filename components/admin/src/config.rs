//! The settings that administrators see. None of them is a secret.

use platform::variables::variable;
use web::settings;

/// The variables that are shown. Each is checked by the component that uses it.
const SHOWN: [&str; 12] = [
    "signup",
    "second_factor_roles",
    "client_address_header",
    "erasure_grace_days",
    "public_url",
    "openai_base_url",
    "openai_model",
    "openai_models",
    "context_window_tokens",
    "tool_policies",
    "tool_calls_per_minute",
    "tool_changes_per_minute",
];

/// Names and values, in order.
#[derive(Clone, Default, Debug)]
pub(crate) struct Config {
    pub(crate) settings: Vec<(&'static str, String)>,
    /// How long an erasure can be taken back before it begins.
    pub(crate) erasure_grace_ms: i64,
}

impl Config {
    /// Reads the variables that `spin.toml` grants.
    pub(crate) async fn read() -> Self {
        let mut settings = Vec::with_capacity(SHOWN.len());
        for name in SHOWN {
            settings.push((name, variable(name).await));
        }
        let erasure_grace_ms = settings::erasure_grace_ms(&variable("erasure_grace_days").await);
        Self { settings, erasure_grace_ms }
    }
}
