//! Providers as an operator writes them, in `model_providers` and `model_provider_keys` (docs/configuration.md) or on the page of administration.

use std::collections::{BTreeMap, BTreeSet};

use domain::{limits::MAX_MODEL_BYTES, prices::Price};
use http::{HeaderName, HeaderValue, Uri, header};
use serde::{Deserialize, Serialize};

use crate::{Address, Api, Credentials, Facts, Model, Provider, STANDARD};

/// More providers than anybody has contracts with. Each is looked at for every run.
pub const MAX_PROVIDERS: usize = 30;
/// Entries of one provider. A pattern stands for many models.
const MAX_MODELS: usize = 200;
/// A name is shown beside every answer.
const MAX_NAME_BYTES: usize = 40;
/// Headers that a provider wants besides the key.
const MAX_HEADERS: usize = 10;
/// A key or a header: tokens of clouds have a few kilobytes. All of it together is sealed as one text of at most 4 KiB.
const MAX_SECRET_BYTES: usize = 3 * 1024;
/// Longer than any address.
const MAX_ADDRESS_BYTES: usize = 1_000;
/// No model holds less than a greeting, or more than this.
const CONTEXT_WINDOW_TOKENS: std::ops::RangeInclusive<u64> = 1_000..=100_000_000;
/// A range in which everybody finds a place before and behind another.
const PRIORITIES: std::ops::RangeInclusive<i64> = -1_000..=1_000;

/// Headers that are ours to set, or that change how a request is read.
const OUR_HEADERS: [HeaderName; 11] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::ACCEPT,
    header::UPGRADE,
    header::TE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
];

/// What is wrong with what an operator wrote. No message repeats a secret.
#[derive(Debug, thiserror::Error)]
pub enum InvalidProviders {
    /// It is not JSON of this form.
    #[error("it is not JSON as docs/configuration.md shows it (line {line}, column {column})")]
    Json {
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
    },
    /// There are too many.
    #[error("there are more than {MAX_PROVIDERS} providers")]
    TooMany,
    /// A name cannot be one.
    #[error("a provider's name has 1 to {MAX_NAME_BYTES} small letters, digits and hyphens")]
    Name,
    /// The name of the provider of `openai_base_url`.
    #[error("the name {STANDARD} is taken by the provider of openai_base_url")]
    Reserved,
    /// Two have the same name.
    #[error("there are two providers of the name {0}")]
    Twice(String),
    /// Not an address.
    #[error("the base_url of {0} is not an http or https address without a user and a password")]
    Address(String),
    /// A list of models that is none.
    #[error("the models of {0} must be 1 to {MAX_MODELS} names of at most {MAX_MODEL_BYTES} bytes without spaces")]
    Models(String),
    /// What is said about a model cannot be.
    #[error("what is said about the model {model} of {provider} cannot be: {what}")]
    Facts {
        /// The provider.
        provider: String,
        /// The model.
        model: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The priority is out of range.
    #[error("the priority of {0} must be from -1000 to 1000")]
    Priority(String),
    /// A key or a header cannot be sent.
    #[error(
        "a key or a header of {0} cannot be sent: at most {MAX_HEADERS} headers that are not ours to set, visible ASCII, {MAX_SECRET_BYTES} bytes"
    )]
    Secret(String),
    /// There is a key for nobody.
    #[error("there is a key for {0}, and no provider of this name")]
    KeyForNobody(String),
}

impl InvalidProviders {
    /// The field that it is about.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Address(_) => "base_url",
            Self::Models(_) | Self::Facts { .. } => "models",
            Self::Priority(_) => "priority",
            Self::Secret(_) | Self::KeyForNobody(_) => "key",
            Self::Json { .. } | Self::TooMany | Self::Name | Self::Reserved | Self::Twice(_) => "name",
        }
    }
}

impl From<serde_json::Error> for InvalidProviders {
    fn from(error: serde_json::Error) -> Self {
        // The message of serde quotes the text, which may be a key in the wrong place.
        Self::Json { line: error.line(), column: error.column() }
    }
}

impl From<InvalidProviders> for String {
    fn from(error: InvalidProviders) -> Self {
        error.to_string()
    }
}

/// A provider as it is written, without its secrets.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Its name.
    pub name: String,
    /// Its address, `/chat/completions` and the like left out.
    pub base_url: String,
    /// The API that it has.
    #[serde(default)]
    pub dialect: Api,
    /// Higher ones are asked first.
    #[serde(default)]
    pub priority: i64,
    /// Its models.
    #[serde(default = "all_models")]
    pub models: Vec<WrittenModel>,
}

/// A model of a provider: its name, or with what is known about it. A name may be a pattern, such as `gpt-*`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ProviderModel))]
pub enum WrittenModel {
    /// Its name.
    Name(String),
    /// With facts.
    Known(WrittenFacts),
}

/// A model and what is known about it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ProviderModelFacts))]
pub struct WrittenFacts {
    /// Its name, or a pattern.
    name: String,
    /// How much it can read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    context_window_tokens: Option<u64>,
    /// It takes pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    sees: Option<bool>,
    /// It calls tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    calls_tools: Option<bool>,
    /// It reasons before it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    reasons: Option<bool>,
    /// What it costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    price: Option<WrittenPrice>,
}

/// What a million tokens cost, in the currency of the installation.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ProviderModelPrice))]
struct WrittenPrice {
    /// Of what the model reads.
    input: f64,
    /// Of what it writes.
    output: f64,
}

fn all_models() -> Vec<WrittenModel> {
    vec![WrittenModel::Name("*".to_owned())]
}

/// The key of a provider, as it is written: a text, or with headers.
#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenKey {
    Key(String),
    Credentials(WrittenCredentials),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCredentials {
    #[serde(default)]
    key: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

impl Written {
    /// The provider with these credentials.
    ///
    /// # Errors
    /// [`InvalidProviders`].
    pub fn provider(&self, credentials: Credentials) -> Result<Provider, InvalidProviders> {
        let Self { name, base_url, dialect, priority, models } = self;
        check_name(name)?;
        if !is_address(base_url) {
            return Err(InvalidProviders::Address(name.clone()));
        }
        if !PRIORITIES.contains(priority) {
            return Err(InvalidProviders::Priority(name.clone()));
        }
        if models.is_empty() || models.len() > MAX_MODELS {
            return Err(InvalidProviders::Models(name.clone()));
        }
        if !can_be_sent(&credentials) {
            return Err(InvalidProviders::Secret(name.clone()));
        }
        let models = models.iter().map(|model| read_model(name, model)).collect::<Result<_, _>>()?;
        let address = match credentials.query.as_str() {
            "" => Address::new(base_url),
            query => Address::new(&format!("{}?{query}", base_url.trim())),
        };
        Ok(Provider { name: name.clone(), address, api: *dialect, priority: *priority, models, credentials })
    }
}

fn check_name(name: &str) -> Result<(), InvalidProviders> {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name == STANDARD {
        return Err(InvalidProviders::Reserved);
    }
    let is_name = (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_letter);
    if is_name { Ok(()) } else { Err(InvalidProviders::Name) }
}

fn is_address(base_url: &str) -> bool {
    let Ok(uri) = base_url.trim().parse::<Uri>() else { return false };
    let has_host = uri.authority().is_some_and(|host| !host.host().is_empty() && !host.as_str().contains('@'));
    base_url.len() <= MAX_ADDRESS_BYTES && matches!(uri.scheme_str(), Some("http" | "https")) && has_host
}

fn can_be_sent(Credentials { key, headers, query }: &Credentials) -> bool {
    let is_value = |value: &str| value.len() <= MAX_SECRET_BYTES && HeaderValue::from_str(value).is_ok();
    let is_header = |(name, value): &(String, String)| {
        let name = name.parse::<HeaderName>();
        name.is_ok_and(|name| !OUR_HEADERS.contains(&name)) && is_value(value)
    };
    let is_query = query.len() <= MAX_SECRET_BYTES && query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    is_value(key)
        && is_query
        && !key.contains(char::is_whitespace)
        && headers.len() <= MAX_HEADERS
        && headers.iter().all(is_header)
}

fn read_model(provider: &str, written: &WrittenModel) -> Result<Model, InvalidProviders> {
    let (name, facts) = match written {
        WrittenModel::Name(name) => (name, Facts::default()),
        WrittenModel::Known(known) => {
            let wrong =
                |what| InvalidProviders::Facts { provider: provider.to_owned(), model: known.name.clone(), what };
            if known.context_window_tokens.is_some_and(|tokens| !CONTEXT_WINDOW_TOKENS.contains(&tokens)) {
                return Err(wrong("context_window_tokens is at least 1000"));
            }
            let price = match known.price {
                Some(WrittenPrice { input, output }) => Some(
                    Price::per_million(input, output)
                        .ok_or_else(|| wrong("prices are from 0 to 100000 for a million tokens"))?,
                ),
                None => None,
            };
            let &WrittenFacts { context_window_tokens, sees, calls_tools, reasons, .. } = known;
            (&known.name, Facts { context_window_tokens, sees, calls_tools, reasons, price })
        }
    };
    let is_odd = |letter: char| letter.is_whitespace() || letter.is_control();
    if name.is_empty() || name.len() > MAX_MODEL_BYTES || name.contains(is_odd) {
        return Err(InvalidProviders::Models(provider.to_owned()));
    }
    Ok(Model { name: name.clone(), facts })
}

/// Reads the providers of `model_providers`, a list of [`Written`], with the keys of `model_provider_keys`, an object of their names: each a key, or
/// `{"key": ..., "headers": {...}}`. An empty text has none. A component that asks no provider gives no keys.
///
/// # Errors
/// [`InvalidProviders`].
pub fn parse(providers: &str, keys: &str) -> Result<Vec<Provider>, InvalidProviders> {
    let written: Vec<Written> = if providers.trim().is_empty() { Vec::new() } else { serde_json::from_str(providers)? };
    let mut keys: BTreeMap<String, WrittenKey> =
        if keys.trim().is_empty() { BTreeMap::new() } else { serde_json::from_str(keys)? };
    if written.len() > MAX_PROVIDERS {
        return Err(InvalidProviders::TooMany);
    }
    let mut names = BTreeSet::new();
    let mut all = Vec::with_capacity(written.len());
    for written in &written {
        if !names.insert(written.name.as_str()) {
            return Err(InvalidProviders::Twice(written.name.clone()));
        }
        let credentials = match keys.remove(&written.name) {
            Some(WrittenKey::Key(key)) => Credentials { key, ..Credentials::default() },
            Some(WrittenKey::Credentials(WrittenCredentials { key, headers })) => {
                Credentials { key, headers: headers.into_iter().collect(), ..Credentials::default() }
            }
            None => Credentials::default(),
        };
        all.push(written.provider(credentials)?);
    }
    match keys.into_keys().next() {
        Some(name) => Err(InvalidProviders::KeyForNobody(name)),
        None => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"[
        {"name": "local", "base_url": "http://127.0.0.1:8000/v1",
         "models": [{"name": "llama3", "context_window_tokens": 8192, "calls_tools": false, "price": {"input": 0.1, "output": 0.2}}]},
        {"name": "cloud", "base_url": "https://cloud.example/v1?version=1", "dialect": "responses", "priority": 10}]"#;

    #[test]
    fn providers_are_read_with_their_keys() {
        let keys = r#"{"cloud": {"key": "k", "headers": {"api-key": "h"}}, "local": "l"}"#;
        let providers = parse(TWO, keys).unwrap();
        let [local, cloud] = providers.as_slice() else { panic!("{providers:?}") };
        assert_eq!((local.api, local.priority, local.secrets().as_str()), (Api::ChatCompletions, 0, "Bearer l"));
        let facts = local.facts("llama3");
        assert_eq!((facts.context_window_tokens, facts.calls_tools), (Some(8192), Some(false)));
        assert_eq!(facts.price, Some(Price { input: 100_000, output: 200_000 }));
        assert_eq!((cloud.api, cloud.priority), (Api::Responses, 10));
        assert_eq!(
            cloud.headers().collect::<Vec<_>>(),
            [("authorization", "Bearer k".to_owned()), ("api-key", "h".to_owned())]
        );
        assert!(cloud.model("anything").is_some(), "all models if none are named");
        assert_eq!(parse("", " ").unwrap(), []);
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_reason_and_without_its_secrets() {
        let refused = |providers: &str, keys: &str| parse(providers, keys).unwrap_err().to_string();
        let one = |fields: &str| format!(r#"[{{"name": "a", "base_url": "https://a.example/v1"{fields}}}]"#);
        for (providers, words) in [
            ("{", "line 1"),
            (r#"[{"name": "A b", "base_url": "https://a.example"}]"#, "small letters"),
            (r#"[{"name": "default", "base_url": "https://a.example"}]"#, "openai_base_url"),
            (r#"[{"name": "a", "base_url": "a.example"}]"#, "base_url of a"),
            (r#"[{"name": "a", "base_url": "https://me:secret@a.example"}]"#, "base_url of a"),
            (&one(r#", "models": []"#), "models of a"),
            (&one(r#", "models": ["a b"]"#), "models of a"),
            (&one(r#", "priority": 5000"#), "priority of a"),
            (&one(r#", "models": [{"name": "m", "context_window_tokens": 1}]"#), "model m of a"),
            (&one(r#", "models": [{"name": "m", "price": {"input": -1, "output": 1}}]"#), "prices"),
            (&one(r#", "dialect": "telepathy""#), "line 1"),
            (&one(r#", "api_key": "planted""#), "line 1"),
        ] {
            let refused = refused(providers, "");
            assert!(refused.contains(words) && !refused.contains("planted"), "{providers}: {refused}");
        }
        let twice = TWO.replace("cloud\"", "local\"");
        assert!(refused(&twice, "").contains("two providers"));
        assert!(refused(TWO, r#"{"other": "planted"}"#).contains("key for other"));
        for keys in [r#"{"local": "plant\ned"}"#, r#"{"local": {"headers": {"host": "planted"}}}"#] {
            let refused = refused(TWO, keys);
            assert!(refused.contains("header of local") && !refused.contains("planted"), "{refused}");
        }
    }

    #[test]
    fn what_is_written_is_read_back_the_same() {
        let written: Vec<Written> = serde_json::from_str(TWO).unwrap();
        let again: Vec<Written> = serde_json::from_str(&serde_json::to_string(&written).unwrap()).unwrap();
        assert_eq!(again, written);
    }
}
