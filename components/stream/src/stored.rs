//! The providers that administrators added, with their keys, beside those that are configured.

use models::{Credentials, InvalidProviders, Provider, Providers, Written, standard_beside};
use storage::{Database, StorageError, Store, model_providers::StoredProvider};
use web::log::{Level, log};

use crate::{COMPONENT, config::Config};

/// Why a stored provider cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// Its row is not as this release writes it, or no provider. The words quote nothing of it.
    #[error("it cannot be read: {0}")]
    Invalid(#[from] InvalidProviders),
    /// It is where none may be, by now.
    #[error("model_provider_hosts does not allow its address")]
    Host,
    /// Its key cannot be opened.
    #[error("its key cannot be opened: {0}")]
    Key(#[from] StorageError),
}

/// A stored provider as it was written.
pub(crate) fn written(stored: &StoredProvider) -> Result<Written, Unusable> {
    Ok(serde_json::from_str(&stored.settings).map_err(InvalidProviders::from)?)
}

/// The credentials of a stored provider.
pub(crate) async fn credentials<D: Database>(
    store: &Store<D>,
    name: &str,
    stored: &StoredProvider,
) -> Result<Credentials, Unusable> {
    if stored.sealed.is_empty() {
        return Ok(Credentials::default());
    }
    let opened = store.open_provider_key(name, &stored.sealed).await?;
    Ok(serde_json::from_str(&opened).map_err(InvalidProviders::from)?)
}

async fn opened<D: Database>(store: &Store<D>, config: &Config, stored: &StoredProvider) -> Result<Provider, Unusable> {
    let written = written(stored)?;
    if !config.allows_provider_at(&written.base_url) {
        return Err(Unusable::Host);
    }
    let credentials = credentials(store, &written.name, stored).await?;
    Ok(written.provider(credentials)?)
}

/// All providers. One that cannot be used is left out, and the log says why; a configured one counts before a stored one of its name.
pub(crate) async fn all<D: Database>(store: &Store<D>, config: &Config, stored: &[StoredProvider]) -> Providers {
    let mut all = config.more.clone();
    for row in stored {
        match opened(store, config, row).await {
            Ok(provider) if all.iter().any(|known| known.name == provider.name) => {}
            Ok(provider) => all.push(provider),
            Err(error) => {
                let fields = serde_json::json!({ "cause": error.to_string() });
                log(COMPONENT, Level::Error, "a provider of models cannot be used", fields);
            }
        }
    }
    // The database does not say in which order they come.
    if let Some(added) = all.get_mut(config.more.len()..) {
        added.sort_by(|one, other| one.name.cmp(&other.name));
    }
    // What cannot be used is written nevertheless: without it a question would go to whoever is the standard.
    Providers::new(standard_beside(&config.standard, config.has_more || !stored.is_empty()), all)
}
