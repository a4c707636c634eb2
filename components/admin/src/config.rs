//! The settings that administrators see. None of them is a secret.

use domain::prices::Prices;
use models::Pricing;
use platform::variables::variable;
use web::settings::{erasure_grace_ms, rotation_days};

/// The variables that are shown. Each is checked by the component that uses it.
const SHOWN: [&str; 17] = [
    "signup",
    "second_factor_roles",
    "client_address_header",
    "erasure_grace_days",
    KEY_ROTATION_DAYS,
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

/// After how many days a key is due.
const KEY_ROTATION_DAYS: &str = "key_rotation_days";

/// What is configured.
#[derive(Clone, Default, Debug)]
pub(crate) struct Config {
    /// Names and values, in order.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// After how many days a key is due to be rotated; 0: never.
    pub(crate) key_rotation_days: u32,
    /// What models cost.
    pub(crate) pricing: Pricing,
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
        let key_rotation_days = rotation_days(&variable(KEY_ROTATION_DAYS).await);
        let pricing = Pricing::new(Prices::read(&variable("model_prices").await));
        let erasure_grace_ms = erasure_grace_ms(&variable("erasure_grace_days").await);
        Self { settings, key_rotation_days, pricing, erasure_grace_ms }
    }
}
