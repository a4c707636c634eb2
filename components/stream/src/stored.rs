//! The providers that administrators added, with their keys, beside those that are configured.

use models::{Credentials, InvalidProviders, Provider, Providers, Written};
use storage::{Database, StorageError, Store, model_providers::StoredProvider};
use web::log::{Level, log};

use crate::{COMPONENT, config::Config};

/// Why a stored provider cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// Its row is not as this release writes it.
    #[error("it cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// It is no provider.
    #[error(transparent)]
    Invalid(#[from] InvalidProviders),
    /// Its key cannot be opened.
    #[error("its key cannot be opened: {0}")]
    Key(#[from] StorageError),
}

/// A stored provider as it was written.
pub(crate) fn written(stored: &StoredProvider) -> Result<Written, Unusable> {
    Ok(serde_json::from_str(&stored.settings)?)
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
    Ok(serde_json::from_str(&store.open_provider_key(name, &stored.sealed).await?)?)
}

async fn opened<D: Database>(store: &Store<D>, stored: &StoredProvider) -> Result<Provider, Unusable> {
    let written = written(stored)?;
    let credentials = credentials(store, &written.name, stored).await?;
    Ok(written.provider(credentials)?)
}

/// All providers. One that cannot be used is left out, and the log says why; a configured one counts before a stored one of its name.
pub(crate) async fn all<D: Database>(store: &Store<D>, config: &Config, stored: &[StoredProvider]) -> Providers {
    let mut all = config.more.clone();
    for stored in stored {
        match opened(store, stored).await {
            Ok(provider) if all.iter().any(|known| known.name == provider.name) => {}
            Ok(provider) => all.push(provider),
            Err(error) => {
                let fields = serde_json::json!({ "cause": error.to_string() });
                log(COMPONENT, Level::Error, "a provider of models cannot be used", fields);
            }
        }
    }
    Providers::new(config.standard.clone(), all)
}
