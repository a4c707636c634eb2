//! What providers publish, kept in the database for all hosts: an instance lives for seconds, so one of its own would be asked for with each log-in.

use ::oidc::{Error as ProviderError, logout, provider::Provider, relying_party::Published};
use http::HeaderMap;
use send_wrapper::SendWrapper;
use storage::{Database, StorageError, provider_sessions::ProviderSession};

use super::Failure;
use crate::routes::Auth;

/// For so long, what was published counts without asking again. Changes of endpoints are announced days before.
const FRESH_MS: i64 = 60 * 60 * 1000;

/// For so long, it counts if the provider's discovery does not answer: somebody may still be able to sign in.
const USABLE_MS: i64 = 24 * 60 * 60 * 1000;

/// A token with an unknown key makes us ask for the keys at once, but not more often than this, and what is no longer fresh is asked for no more
/// often. Anybody can make such tokens, and a provider that is down is not asked by everybody.
const PAUSE_MS: i64 = 10 * 1000;

/// The same if nothing is known, so that nobody can sign in meanwhile.
const SHORT_PAUSE_MS: i64 = 1000;

/// Awaits an exchange with a provider. axum wants futures that may move to another thread, which the compiler cannot prove of these. A guest has one
/// thread, so none ever does.
pub(super) fn here<T>(exchange: impl Future<Output = T>) -> impl Future<Output = T> + Send {
    SendWrapper::new(exchange)
}

/// What is known of a provider, if it can be used, and how old it is.
async fn known<D: Database>(auth: &Auth<D>, provider: &Provider) -> Result<Option<(Published, i64)>, StorageError> {
    let known = auth.store().known_provider(&provider.issuer).await?;
    Ok(known.filter(|known| known.age_ms < USABLE_MS).and_then(|known| {
        let published = Published::from_texts(provider, &known.document, &known.keys).ok()?;
        Some((published, known.age_ms))
    }))
}

/// What a provider publishes.
pub(super) async fn published<D: Database>(auth: &Auth<D>, provider: &Provider) -> Result<Published, Failure> {
    let known = known(auth, provider).await?;
    if let Some((published, age_ms)) = &known
        && *age_ms < FRESH_MS
    {
        return Ok(published.clone());
    }
    let pause_ms = if known.is_some() { PAUSE_MS } else { SHORT_PAUSE_MS };
    let asked = if auth.store().may_ask_provider(&provider.issuer, pause_ms).await? {
        here(Published::fetch(provider, &*auth.sign_in.outside)).await
    } else {
        Err(ProviderError::Unavailable("it was asked a moment ago and has not answered".to_owned()))
    };
    match (asked, known) {
        (Ok(published), _) => {
            let (document, keys) = published.texts()?;
            auth.store().keep_provider(&provider.issuer, &document, &keys).await?;
            Ok(published)
        }
        (Err(_), Some((published, _))) => Ok(published),
        (Err(error), None) => Err(error.into()),
    }
}

/// The same with the keys that the provider signs with now: those that another instance has fetched meanwhile, or else the provider's. Fails with
/// [`ProviderError::UnknownKey`] if they were asked for a moment ago.
pub(super) async fn with_new_keys<D: Database>(
    auth: &Auth<D>,
    provider: &Provider,
    published: Published,
) -> Result<Published, Failure> {
    let is_news =
        |other: &Published| matches!((other.texts(), published.texts()), (Ok(other), Ok(mine)) if other != mine);
    let fetched = |known: Option<(Published, i64)>| known.map(|(known, _)| known).filter(is_news);
    if let Some(other) = fetched(known(auth, provider).await?) {
        return Ok(other);
    }
    if !auth.store().may_ask_for_keys(&provider.issuer, PAUSE_MS).await? {
        // Whoever asks for them may be about to store them.
        return fetched(known(auth, provider).await?).ok_or_else(|| ProviderError::UnknownKey.into());
    }
    let published = here(published.with_new_keys(&*auth.sign_in.outside)).await?;
    let (_, keys) = published.texts()?;
    auth.store().keep_provider_keys(&provider.issuer, &keys).await?;
    Ok(published)
}

/// Where the browser goes to end its session at the provider as well (RP-Initiated Logout 1.0). `None`: nowhere, as far as is known; nobody waits for
/// the provider, and the session here has ended anyway.
pub(crate) async fn end_session_url<D: Database>(
    auth: &Auth<D>,
    headers: &HeaderMap,
    session: ProviderSession,
) -> Option<String> {
    let provider = auth.sign_in.provider_of(&session.issuer)?;
    let (published, _) = known(auth, provider).await.ok()??;
    let home = format!("{}/", auth.app.site().address(headers)?);
    logout::end_session_url(provider, &published, session.hint.as_deref(), &home).map(Into::into)
}
