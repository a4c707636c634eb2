//! What an operator can set about models, and about which tools they are offered.

use std::time::Duration;

use bytes::Bytes;
use completions::Address;
use domain::prices::Prices;
use http::{Method, Request, Uri};
use orchestrator::Settings;
use platform::{
    http_client::{self, HttpError},
    variables::variable,
};
use toolbox::Policy;
use web::settings::{self, Check};

/// What most models hold at least; used when the variable makes no sense, which `/ready` says.
const DEFAULT_CONTEXT_WINDOW_TOKENS: u64 = 128_000;
/// Reasoning models are silent for a while before they begin, hardly longer than this.
const DEFAULT_SILENCE: Duration = Duration::from_secs(120);

/// Below this nothing but a greeting fits.
const MIN_CONTEXT_WINDOW_TOKENS: u64 = 1_000;
/// `/ready` waits this long for a server on the local network.
const PROBE_LIMIT: Duration = Duration::from_secs(1);

/// Where the model is.
#[derive(Clone, Debug)]
pub(crate) struct ModelServer {
    /// Its address.
    pub(crate) address: Address,
    /// `Bearer ...`, or empty for a server that wants none.
    pub(crate) authorization: String,
}

/// The model's address and key.
pub(crate) async fn provider() -> ModelServer {
    let base = variable("openai_base_url").await;
    let key = variable("openai_api_key").await;
    let authorization = if key.is_empty() { key } else { format!("Bearer {key}") };
    ModelServer { address: Address::new(&base), authorization }
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
        // While they cannot be read, nobody is answered for whom a budget of money counts; `/ready` says what is wrong with them.
        prices: Prices::read(&variable("model_prices").await),
    }
}

/// What is wrong with them, for `/ready`.
pub(crate) async fn checks() -> Vec<Check> {
    let base = variable("openai_base_url").await;
    let mut address = settings::address("openai_base_url", &base, "https://api.openai.com/v1");
    if let Some(plain) = settings::web_address(&base).filter(needs_a_right)
        && is_denied(&plain).await
    {
        let detail = "openai_base_url is plain http to another machine, which spin.toml does not allow: use https, or add the address to allowed_outbound_hosts of the component stream.";
        address = Check::new("openai_base_url", Err(detail.to_owned()));
    }
    vec![
        address,
        settings::required("openai_api_key", &variable("openai_api_key").await),
        settings::number(
            "context_window_tokens",
            &variable("context_window_tokens").await,
            MIN_CONTEXT_WINDOW_TOKENS,
            "128000 is used instead",
        ),
        Check::new("model_prices", prices(&variable("model_prices").await)),
        settings::number("model_silence_ms", &variable("model_silence_ms").await, 1, "120000 is used instead"),
    ]
}

fn prices(value: &str) -> Result<(), String> {
    let wrong =
        |error| format!("model_prices is not valid, so nobody is answered for whom a budget of money counts: {error}.");
    Prices::parse(value).map(drop).map_err(wrong)
}

/// Whether `spin.toml` as it is delivered does not let us go there.
fn needs_a_right(base: &Uri) -> bool {
    base.scheme_str() == Some("http") && !matches!(base.host(), Some("127.0.0.1" | "[::1]" | "localhost"))
}

/// Asks the host, the only one who knows what the operator added to `spin.toml`. Whatever else goes wrong says nothing about settings.
async fn is_denied(base: &Uri) -> bool {
    let Ok(request) = Request::builder().method(Method::HEAD).uri(base.clone()).body(Bytes::new()) else {
        return false;
    };
    let sent = platform::within(PROBE_LIMIT, http_client::send(request)).await;
    matches!(sent, Some(Err(HttpError::Denied)))
}
