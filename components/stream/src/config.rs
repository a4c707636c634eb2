//! What an operator can set about models, and about which tools they are offered.

use std::time::Duration;

use completions::Address;
use orchestrator::Settings;
use platform::variables::variable;
use toolbox::Policy;

/// What most models hold at least; used when the variable makes no sense, which `/ready` says.
const DEFAULT_CONTEXT_WINDOW_TOKENS: u64 = 128_000;
/// Reasoning models are silent for a while before they begin, hardly longer than this.
const DEFAULT_SILENCE: Duration = Duration::from_secs(120);

/// Where the model is.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    /// Its address.
    pub(crate) address: Address,
    /// `Bearer ...`, or empty for a server that wants none.
    pub(crate) authorization: String,
}

/// The model's address and key.
pub(crate) async fn provider() -> Provider {
    let base = variable("openai_base_url").await;
    let key = variable("openai_api_key").await;
    let authorization = if key.is_empty() { key } else { format!("Bearer {key}") };
    Provider { address: Address::new(&base), authorization }
}

/// What the operator says about tools. What cannot be read denies everything; `tools` says so in the log, and `/ready`.
pub(crate) async fn tool_policies() -> Vec<Policy> {
    Policy::parse_list(&variable("tool_policies").await).unwrap_or_else(|_| vec![Policy::deny_everything()])
}

/// How runs are executed.
pub(crate) async fn settings() -> Settings {
    let tokens = variable("context_window_tokens").await.parse();
    let silence_ms = variable("model_silence_ms").await.parse();
    Settings {
        context_window_tokens: tokens.unwrap_or(DEFAULT_CONTEXT_WINDOW_TOKENS),
        system_prompt: variable("system_prompt").await,
        silence: silence_ms.map_or(DEFAULT_SILENCE, Duration::from_millis),
    }
}
