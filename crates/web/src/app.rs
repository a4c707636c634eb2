//! What every component that keeps or reads something needs: the store, and the keys that tokens are verified with.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use identity::{Caller, Verifier, session_token::InvalidToken};
use problem::Problem;
use storage::{Database, Store};

use crate::{Authenticator, Result};

/// An unknown key makes us look for new ones, but not more often than this: tokens with invented keys cost nothing else.
const KEYS_LOOKUP_INTERVAL: Duration = Duration::from_secs(1);

/// How long a verified token is believed: well within the tolerance that its expiry has anyway.
const TRUST: Duration = Duration::from_secs(5);
/// Tokens remembered: an instance answers 128 requests in its life.
const MAX_VERIFIED: usize = 32;

/// The store and the verifier. Cheap to clone; one for each instance.
pub struct App<D> {
    inner: Arc<Inner<D>>,
}

struct Inner<D> {
    store: Store<D>,
    keys: Mutex<Option<(Instant, Arc<Verifier>)>>,
    verified: Mutex<Verified>,
}

/// Tokens that verified, with whose they are. A signature costs a guest more than the rest of a small request.
///
/// Only the very same token finds its entry, and none is believed for longer than [`TRUST`].
#[derive(Default)]
struct Verified {
    entries: VecDeque<(String, Caller, Instant)>,
}

impl Verified {
    fn find(&self, token: &str) -> Option<Caller> {
        let entry = self.entries.iter().find(|(known, _, since)| known == token && since.elapsed() < TRUST);
        entry.map(|(_, caller, _)| *caller)
    }

    fn remember(&mut self, token: &str, caller: Caller) {
        if self.entries.len() >= MAX_VERIFIED {
            self.entries.pop_front();
        }
        self.entries.push_back((token.to_owned(), caller, Instant::now()));
    }
}

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
    /// Over a database that is up to date.
    pub fn new(database: D) -> Self {
        Self {
            inner: Arc::new(Inner { store: Store::new(database), keys: Mutex::new(None), verified: Mutex::default() }),
        }
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Store<D> {
        &self.inner.store
    }

    fn verified(&self) -> MutexGuard<'_, Verified> {
        self.inner.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_keys(&self) -> Option<(Instant, Arc<Verifier>)> {
        self.inner.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn look_up_keys(&self) -> Result<Arc<Verifier>> {
        let keys = self.store().public_keys().await?;
        let verifier = Verifier::new(keys.iter().map(|key| (key.id.as_str(), key.public_key.as_str())));
        let verifier = Arc::new(verifier);
        let entry = Some((Instant::now(), Arc::clone(&verifier)));
        *self.inner.keys.lock().unwrap_or_else(PoisonError::into_inner) = entry;
        Ok(verifier)
    }
}

impl<D: Database> Authenticator for App<D> {
    async fn authenticate(&self, token: &str) -> Result<Caller> {
        if let Some(caller) = self.verified().find(token) {
            return Ok(caller);
        }
        let (since, verifier) = match self.known_keys() {
            Some((since, verifier)) => (Some(since), verifier),
            None => (None, self.look_up_keys().await?),
        };
        let verified = match verifier.verify(token) {
            Err(InvalidToken::UnknownKey) if since.is_some_and(|since| since.elapsed() > KEYS_LOOKUP_INTERVAL) => {
                self.look_up_keys().await?.verify(token)
            }
            verified => verified,
        };
        let caller = verified.map_err(|error| Problem::unauthenticated().with_cause(error))?;
        self.verified().remember(token, caller);
        Ok(caller)
    }
}
