//! State that every component with a database needs: the store, and the keys that verify tokens.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use cache::Cache;
use http::{HeaderValue, StatusCode, header};
use identity::{Caller, Purpose, Verifier, session_token::InvalidToken};
use problem::Problem;
use storage::{Database, Store};

use crate::{Authenticator, Result, site::Site};

/// A token with an unknown key makes us read the keys again, but not more often than this. So tokens with invented keys cost nothing more.
const KEYS_LOOKUP_INTERVAL: Duration = Duration::from_secs(1);

/// How long a verified token counts without a new check: well within the tolerance of its expiry.
const TRUST: Duration = Duration::from_secs(5);
/// The most tokens in the cache: an instance answers 128 requests in its life.
const MAX_VERIFIED: usize = 32;

/// The store and the verifier. Cheap to clone; one for each instance.
pub struct App<D> {
    inner: Arc<Inner<D>>,
}

struct Inner<D> {
    store: Arc<Store<D>>,
    site: Site,
    keys: Mutex<Option<(Instant, Arc<Verifier>)>>,
    verified: Mutex<Verified>,
    started: Instant,
}

/// Verified tokens with their purpose and their caller. Verifying a signature costs a guest more than the rest of a small request.
type Verified = Cache<String, (Purpose, Caller)>;

impl<D> Clone for App<D> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<D> std::fmt::Debug for App<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

impl<D: Database> App<D> {
    /// Over a migrated database, for an installation at this site.
    pub fn new(database: D, site: Site) -> Self {
        let (keys, verified) = (Mutex::new(None), Mutex::new(Cache::new(MAX_VERIFIED)));
        let (store, started) = (Arc::new(Store::new(database)), Instant::now());
        Self { inner: Arc::new(Inner { store, site, keys, verified, started }) }
    }

    /// The address at which people reach the installation.
    #[must_use]
    pub fn site(&self) -> &Site {
        &self.inner.site
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<Store<D>> {
        &self.inner.store
    }

    fn verified(&self) -> MutexGuard<'_, Verified> {
        self.inner.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_keys(&self) -> Option<(Instant, Arc<Verifier>)> {
        self.inner.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn look_up_keys(&self) -> Result<Arc<Verifier>> {
        let (keys, now) = self.store().public_keys().await?;
        let verifier = Verifier::new(keys.iter().map(|key| (key.id.as_str(), key.public_key.as_str())));
        let verifier = Arc::new(match now {
            Some(now) => verifier.by_clock(now),
            None => verifier,
        });
        let entry = Some((Instant::now(), Arc::clone(&verifier)));
        *self.inner.keys.lock().unwrap_or_else(PoisonError::into_inner) = entry;
        Ok(verifier)
    }

    /// Verifies a token and returns its caller.
    ///
    /// # Errors
    /// 401 when the token is invalid or has another purpose.
    pub async fn authenticate(&self, token: &str, purpose: Purpose) -> Result<Caller> {
        let now = self.inner.started.elapsed();
        // Only the identical token finds this cache entry.
        let known = self.verified().get(token, now).copied();
        if let Some((_, caller)) = known.filter(|(opens, _)| *opens == purpose) {
            return Ok(caller);
        }
        let (since, verifier) = match self.known_keys() {
            Some((since, verifier)) => (Some(since), verifier),
            None => (None, self.look_up_keys().await?),
        };
        let verified = match verifier.verify(token, purpose) {
            Err(InvalidToken::UnknownKey) if since.is_some_and(|since| since.elapsed() > KEYS_LOOKUP_INTERVAL) => {
                self.look_up_keys().await?.verify(token, purpose)
            }
            verified => verified,
        };
        let caller = verified.map_err(|error| refused(&error, purpose).with_cause(error))?;
        self.verified().insert(token.to_owned(), (purpose, caller), now.saturating_add(TRUST));
        Ok(caller)
    }
}

fn refused(error: &InvalidToken, purpose: Purpose) -> Problem {
    let detail = match (error, purpose) {
        (InvalidToken::OtherPurpose, Purpose::Session) => "This token opens the gateway /mcp and nothing else.",
        (InvalidToken::OtherPurpose, Purpose::Gateway) => {
            "The gateway needs a special token: POST /auth/mcp-token makes one, with the token that you sent here."
        }
        _ => return Problem::unauthenticated(),
    };
    Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

impl<D: Database> Authenticator for App<D> {
    type Database = D;

    fn app(&self) -> &Self {
        self
    }
}
