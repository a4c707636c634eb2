//! What an operator can set about models, and about which tools they are offered.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use domain::prices::Prices;
use http::{Method, Request, Uri};
use models::{Pricing, Provider, Providers, standard_beside};
use network_address::is_inside;
use orchestrator::Settings;
use platform::{
    http_client::{self, HttpError},
    instance,
    variables::variable,
};
use toolbox::Policy;
use web::{
    limits::{Rates, VARIABLES},
    settings::{self, AllowedHost, Check},
};

use crate::COMPONENT;

/// What most models hold at least; used when the variable makes no sense, which `/ready` says.
const DEFAULT_CONTEXT_WINDOW_TOKENS: u64 = 128_000;
/// Reasoning models are silent for a while before they begin, hardly longer than this.
const DEFAULT_SILENCE: Duration = Duration::from_secs(120);

/// Below this nothing but a greeting fits.
const MIN_CONTEXT_WINDOW_TOKENS: u64 = 1_000;
/// `/ready` waits this long for a server on the local network.
const PROBE_LIMIT: Duration = Duration::from_secs(1);

/// What is configured.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The one of the variables that begin with `openai_`.
    pub(crate) standard: Provider,
    /// Those of `model_providers`.
    pub(crate) more: Vec<Provider>,
    /// Whether anything is written in `model_providers`, also if it cannot be read.
    pub(crate) has_more: bool,
    /// Those that are asked if administrators have added none, in the order in which they are asked.
    pub(crate) providers: Providers,
    /// Where administrators may add others: comma-separated, as in `allowed_outbound_hosts`.
    pub(crate) provider_hosts: String,
    /// The model for conversations that name none.
    pub(crate) default_model: String,
    /// How runs are executed.
    pub(crate) settings: Settings,
    /// How many requests to models programs may send in a minute.
    pub(crate) rates: Rates,
}

impl Default for Config {
    /// Without any provider.
    fn default() -> Self {
        let settings = Settings {
            context_window_tokens: DEFAULT_CONTEXT_WINDOW_TOKENS,
            system_prompt: String::new(),
            silence: DEFAULT_SILENCE,
            pricing: Pricing::default(),
        };
        let (standard, more, providers) = (Provider::default(), Vec::new(), Providers::default());
        let (provider_hosts, default_model) = (String::new(), String::new());
        let rates = Rates::default();
        Self { standard, more, has_more: false, providers, provider_hosts, default_model, settings, rates }
    }
}

impl Config {
    /// Whether a provider that administrators added may be at this address.
    pub(crate) fn allows_provider_at(&self, base_url: &str) -> bool {
        let Some(address) = settings::web_address(base_url.trim()) else { return false };
        let is_own = address.host().is_some_and(is_inside);
        !is_own && self.provider_hosts.split(',').filter_map(provider_host).any(|host| host.allows(&address))
    }

    /// With these providers.
    pub(crate) fn with(self, standard: Provider, more: Vec<Provider>, has_more: bool) -> Self {
        let providers = Providers::new(standard_beside(&standard, has_more), more.iter().cloned(), []);
        Self { standard, more, has_more, providers, ..self }
    }
}

/// Reads the variables that `spin.toml` grants.
pub(crate) async fn read() -> Arc<Config> {
    let (base_url, key) = (variable("openai_base_url").await, variable("openai_api_key").await);
    let (model, others) = (variable("openai_model").await, variable("openai_models").await);
    let standard = Provider::standard(&base_url, &key, &model, &others);
    let written = variable("model_providers").await;
    let more = models::parse(&written, &variable("model_provider_keys").await);
    // Without those that cannot be read; `/ready` says what is wrong with them.
    let (provider_hosts, settings, rates) = (variable("model_provider_hosts").await, settings().await, rates().await);
    let config = Config { provider_hosts, default_model: model, settings, rates, ..Config::default() };
    Arc::new(config.with(standard, more.unwrap_or_default(), !written.trim().is_empty()))
}

/// What the operator says about tools. What cannot be read denies everything; `tools` says so in the log, and `/ready`.
pub(crate) async fn tool_policies() -> Vec<Policy> {
    Policy::parse_list(&variable("tool_policies").await).unwrap_or_else(|_| vec![Policy::deny_everything()])
}

/// How often programs may ask models. `chat`, where the same numbers count for messages, says at `/ready` what is wrong with them.
async fn rates() -> Rates {
    let [installation, person, session] = VARIABLES;
    let values = [variable(installation).await, variable(person).await, variable(session).await];
    Rates::parse(values.each_ref().map(String::as_str))
}

/// How runs are executed.
async fn settings() -> Settings {
    let tokens = variable("context_window_tokens").await.parse();
    let silence_ms = variable("model_silence_ms").await.parse();
    Settings {
        context_window_tokens: tokens.unwrap_or(DEFAULT_CONTEXT_WINDOW_TOKENS),
        system_prompt: variable("system_prompt").await,
        silence: silence_ms.map_or(DEFAULT_SILENCE, Duration::from_millis),
        // While they cannot be read, nobody is answered for whom a budget of money counts; `/ready` says what is wrong with them.
        pricing: Pricing::new(Prices::read(&variable("model_prices").await)),
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
    let more = models::parse(&variable("model_providers").await, &variable("model_provider_keys").await);
    let key = variable("openai_api_key").await;
    let key = match &more {
        // Another provider may be the only one.
        Ok(more) if key.is_empty() && (!more.is_empty() || has_stored().await) => Check::new("openai_api_key", Ok(())),
        _ => settings::required("openai_api_key", &key),
    };
    let wrong =
        |error| format!("model_providers or model_provider_keys cannot be used, so none of them is asked: {error}.");
    vec![
        address,
        key,
        Check::new("model_providers", more.map(drop).map_err(wrong)),
        Check::new("model_provider_hosts", hosts(&variable("model_provider_hosts").await)),
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

/// Whether administrators added a provider. A database that does not answer is the business of its own check.
async fn has_stored() -> bool {
    let stored = platform::within(PROBE_LIMIT, async {
        let app = instance::app(COMPONENT).await.ok()?;
        app.store().model_providers().await.ok()
    });
    stored.await.flatten().is_some_and(|stored| !stored.is_empty())
}

/// An entry of `model_provider_hosts`. Not an address range: nobody checks one exactly here, so it would let any host in.
fn provider_host(entry: &str) -> Option<AllowedHost<'_>> {
    AllowedHost::parse(entry.trim()).filter(|host| !host.is_range())
}

fn hosts(value: &str) -> Result<(), String> {
    let odd = value.split(',').map(str::trim).find(|host| !host.is_empty() && provider_host(host).is_none());
    let wrong = |odd| {
        format!(
            "model_provider_hosts must be scheme://host:port, comma-separated, and no address range; administrators can add no provider at {odd}."
        )
    };
    odd.map_or(Ok(()), |odd| Err(wrong(odd)))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(hosts: &str, address: &str) -> bool {
        Config { provider_hosts: hosts.to_owned(), ..Config::default() }.allows_provider_at(address)
    }

    #[test]
    fn no_provider_is_a_part_of_the_installation_however_its_address_is_written() {
        for host in ["tools.spin.internal", "Tools.Spin.Internal", "tools.spin.internal.", "self.alt"] {
            assert!(!allows("https://*:443", &format!("https://{host}/v1")), "{host}");
        }
        assert!(allows("https://*:443", "https://elsewhere.example/v1"));
    }

    #[test]
    fn an_address_range_lets_no_provider_in_and_is_reported() {
        for address in ["https://10.1.2.3:443/v1", "https://evil.example/v1"] {
            assert!(!allows("https://10.0.0.0/8:443", address), "{address}");
        }
        assert!(allows("https://10.0.0.0/8:443, https://near.example:443", "https://near.example/v1"));
        assert!(hosts("https://*:443, https://10.0.0.0/8:443").unwrap_err().contains("10.0.0.0/8"));
        assert_eq!(hosts("https://*:443, http://127.0.0.1:*"), Ok(()));
    }
}
