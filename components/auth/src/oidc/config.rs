//! The settings for providers, and whether they are right.

use std::sync::Arc;

use ::oidc::{
    Outside,
    provider::{InvalidProvider, Provider},
};
use platform::variables::variable;
use web::{
    log::{Level, log},
    settings::{AllowedHost, Check},
};

use super::outside;
use crate::COMPONENT;

/// The providers, and the way to them.
#[derive(Clone)]
pub(crate) struct SignIn {
    pub(crate) providers: Arc<[Provider]>,
    pub(crate) outside: Arc<Outside>,
}

impl SignIn {
    /// Reads the variables that `spin.toml` grants. Providers that cannot be read are none; `/ready` says so.
    pub(crate) async fn read() -> Self {
        let providers = Settings::read().await.providers().unwrap_or_else(|error| {
            let fields = serde_json::json!({ "variable": "oidc_providers", "cause": error.to_string() });
            log(COMPONENT, Level::Error, "a variable cannot be read", fields);
            Vec::new()
        });
        Self { providers: providers.into(), outside: Arc::new(outside::send) }
    }

    /// The provider of this name.
    pub(crate) fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.name == name)
    }

    /// The provider of this issuer.
    pub(crate) fn provider_of(&self, issuer: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.issuer == issuer)
    }
}

/// No provider, and no way to one.
#[cfg(test)]
impl Default for SignIn {
    fn default() -> Self {
        Self { providers: Arc::new([]), outside: Arc::new(outside::send) }
    }
}

/// The variables.
struct Settings {
    public_url: String,
    providers: String,
    issuer: String,
    client_id: String,
    client_secret: String,
    host: String,
}

impl Settings {
    async fn read() -> Self {
        Self {
            public_url: variable("public_url").await,
            providers: variable("oidc_providers").await,
            issuer: variable("oidc_issuer").await,
            client_id: variable("oidc_client_id").await,
            client_secret: variable("oidc_client_secret").await,
            host: variable("oidc_host").await,
        }
    }

    fn providers(&self) -> Result<Vec<Provider>, InvalidProvider> {
        let mut providers = Provider::parse_list(&self.providers)?;
        let single = [&self.issuer, &self.client_id, &self.client_secret];
        if single.iter().any(|value| !value.is_empty()) {
            let single = Provider::single(&self.issuer, &self.client_id, &self.client_secret)?;
            if providers.iter().any(|known| known.name == single.name || known.issuer == single.issuer) {
                return Err(InvalidProvider::Twice(single.name));
            }
            providers.push(single);
        }
        Ok(providers)
    }

    /// Providers elsewhere send people back to an address. On this machine, it is that of the request.
    fn has_address(&self) -> Result<(), String> {
        let mut providers = self.providers().unwrap_or_default().into_iter();
        match providers.find(|provider| self.public_url.is_empty() && provider.issuer.starts_with("https:")) {
            None => Ok(()),
            Some(provider) => Err(format!(
                "public_url is not set, so {} does not know where to send people back to, and nobody can sign in. Set it to the address of this \
                 installation: https://chat.example.org.",
                provider.name
            )),
        }
    }

    fn checks(&self) -> Vec<Check> {
        let host = AllowedHost::parse(&self.host);
        let providers = match (self.providers(), &host) {
            (Err(error), _) => Err(format!("The providers are not valid, so nobody can sign in with one: {error}.")),
            (Ok(providers), Some(host)) => {
                let is_out_of_reach =
                    |provider: &&Provider| !provider.issuer.parse().is_ok_and(|issuer| host.allows(&issuer));
                providers.iter().find(is_out_of_reach).map_or(Ok(()), |provider| {
                    Err(format!("oidc_host does not allow the issuer of {}.", provider.name))
                })
            }
            (Ok(_), None) => Ok(()),
        };
        let providers = providers.and_then(|()| self.has_address());
        let wrong = || "oidc_host must be scheme://host:port without a path, for example https://id.example.org:443.";
        let host = host.map(drop).ok_or_else(|| wrong().to_owned());
        vec![Check::new("oidc_providers", providers), Check::new("oidc_host", host)]
    }
}

/// Checks the settings, for `/ready`.
pub(crate) async fn checks() -> Vec<Check> {
    Settings::read().await.checks()
}

#[cfg(test)]
mod tests {
    use web::settings::Status;

    use super::*;

    fn settings(providers: &str, issuer: &str, host: &str) -> Settings {
        let client_id = if issuer.is_empty() { "" } else { "c" };
        let (client_id, client_secret) = (client_id.to_owned(), String::new());
        let public_url = "https://chat.example.org".to_owned();
        let (providers, issuer, host) = (providers.into(), issuer.into(), host.into());
        Settings { public_url, providers, issuer, client_id, client_secret, host }
    }

    #[test]
    fn providers_come_from_a_list_and_from_single_variables_and_must_be_within_reach() {
        const LIST: &str = r#"[{"name":"corp","issuer":"https://id.example.org","client_id":"c"}]"#;
        let names = |settings: &Settings| {
            let names = settings.providers().map(|list| list.into_iter().map(|provider| provider.name).collect());
            names.map(|names: Vec<_>| names.join(" "))
        };
        assert_eq!(names(&settings("", "", "")), Ok(String::new()));
        assert_eq!(names(&settings(LIST, "https://other.example.org", "")), Ok("corp oidc".to_owned()));
        assert!(names(&settings(LIST, "https://id.example.org", "")).is_err(), "one issuer, two providers");
        let nameless = Settings { client_id: "c".into(), ..settings("", "", "") };
        assert!(names(&nameless).is_err(), "a client without an issuer");
        let fails = |settings: &Settings| -> Vec<bool> {
            settings.checks().iter().map(|check| check.status == Status::Failed).collect()
        };
        assert_eq!(fails(&settings("", "", "https://none.invalid")), [false, false]);
        assert_eq!(fails(&settings(LIST, "", "https://*:443")), [false, false]);
        assert_eq!(fails(&settings(LIST, "", "https://none.invalid")), [true, false]);
        assert_eq!(fails(&settings("{", "", "id.example.org")), [true, true]);
        let without_address = |settings: Settings| Settings { public_url: String::new(), ..settings };
        assert_eq!(fails(&without_address(settings(LIST, "", "https://*:443"))), [true, false]);
        assert_eq!(fails(&without_address(settings("", "", "https://*:443"))), [false, false]);
        let here = settings("", "http://127.0.0.1:9000", "http://127.0.0.1:9000");
        assert_eq!(fails(&without_address(here)), [false, false], "on this machine it works without");
    }
}
