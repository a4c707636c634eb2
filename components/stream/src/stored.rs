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

/// A stored provider with its key. `None`: it does not have the model that it is wanted for, so its key stays closed.
pub(crate) async fn opened<D: Database>(
    store: &Store<D>,
    config: &Config,
    stored: &StoredProvider,
    model: Option<&str>,
) -> Result<Option<Provider>, Unusable> {
    let written = written(stored)?;
    let provider = written.provider(Credentials::default())?;
    if model.is_some_and(|model| provider.model(model).is_none()) {
        return Ok(None);
    }
    if !config.allows_provider_at(&written.base_url) {
        return Err(Unusable::Host);
    }
    let credentials = credentials(store, &written.name, stored).await?;
    Ok(Some(written.provider(credentials)?))
}

/// All providers, or of the stored ones those that have a model. One that cannot be used is left out, and the log says why.
pub(crate) async fn all<D: Database>(
    store: &Store<D>,
    config: &Config,
    stored: &[StoredProvider],
    model: Option<&str>,
) -> Providers {
    let mut added = Vec::new();
    for row in stored {
        match opened(store, config, row, model).await {
            Ok(provider) => added.extend(provider),
            Err(error) => {
                let fields = serde_json::json!({ "cause": error.to_string() });
                log(COMPONENT, Level::Error, "a provider of models cannot be used", fields);
            }
        }
    }
    // What cannot be used is written nevertheless: without it a question would go to whoever is the standard.
    let standard = standard_beside(&config.standard, config.has_more || !stored.is_empty());
    Providers::new(standard, config.more.iter().cloned(), added)
}
