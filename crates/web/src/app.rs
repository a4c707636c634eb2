//! State that every component with a database needs: the store, and what decides about tokens.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use cache::Cache;
use domain::{Id, Timestamp};
use http::{HeaderValue, Method, StatusCode, header};
use identity::{Caller, Purpose, api_key::ApiKey, session_token::InvalidToken};
use inside_token::Signer;
use permissions::{Roles, Scopes};
use problem::Problem;
use storage::{Database, StorageError, Store, access::Offers, api_keys::KeyHolder, tool_listings::KeptOffers};

use crate::{
    Authenticator, Result, Session,
    access::{FRESH, Known, USABLE, WINDOW_MS},
    limits::RoleLimits,
    session::UsedKey,
    site::Site,
};

/// How long a verified signature counts without a new check: well within the tolerance of the token's expiry.
const TRUST: Duration = Duration::from_secs(5);
/// How often within [`FRESH`] unknown keys have the keys read anew. After a rotation, and in a new installation, all sixteen requests of an instance may
/// meet a new key at once, before the first of them has read it.
const MAX_UNKNOWN: u32 = 20;
/// The most tokens in the cache: an instance answers 128 requests in its life.
const MAX_VERIFIED: usize = 32;

/// The store and the verifier. Cheap to clone; one for each instance.
pub struct App<D> {
    inner: Arc<Inner<D>>,
}

struct Inner<D> {
    store: Arc<Store<D>>,
    site: Site,
    access: Mutex<Access>,
    reads_offers: AtomicBool,
    verified: Mutex<Verified>,
    keys: Mutex<Keys>,
    /// Keys whose use is not stored yet.
    used_keys: Mutex<BTreeSet<Id>>,
    component: OnceLock<&'static str>,
    own_signer: Mutex<Option<Arc<Signer>>>,
    started: Instant,
}

/// What is known about tokens and roles, and since when a request reads it anew.
#[derive(Default)]
struct Access {
    known: Option<Arc<Known>>,
    reading_since: Option<Instant>,
    /// Since when unknown keys have had it read anew, and how often.
    unknown: Option<(Instant, u32)>,
}

/// Verified tokens with their purpose and their caller. Verifying a signature costs a guest more than the rest of a small request.
type Verified = Cache<String, (Purpose, Caller)>;

/// Who has which key, by its hash.
type Keys = Cache<String, Arc<KeyHolder>>;

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
    /// Over a migrated database, for an installation at this site whose master key is made on first use.
    pub fn new(database: D, site: Site) -> Self {
        Self::over(Store::new(database), site)
    }

    /// Over a store, for an installation at this site.
    pub fn over(store: Store<D>, site: Site) -> Self {
        let (access, verified, keys) =
            (Mutex::default(), Mutex::new(Cache::new(MAX_VERIFIED)), Mutex::new(Cache::new(MAX_VERIFIED)));
        let (store, started, used_keys) = (Arc::new(store), Instant::now(), Mutex::default());
        let reads_offers = AtomicBool::new(false);
        let (component, own_signer) = (OnceLock::new(), Mutex::default());
        let inner =
            Inner { store, site, access, reads_offers, verified, keys, used_keys, component, own_signer, started };
        Self { inner: Arc::new(inner) }
    }

    /// As the app of this component, by its id in `spin.toml`: under this name it calls others and is called by them.
    #[must_use]
    pub fn of_component(self, component: &'static str) -> Self {
        // A second name would be a mistake; the first counts.
        let _ = self.inner.component.set(component);
        self
    }

    /// The component's name. Empty: nobody calls it from inside, and it calls nobody.
    pub(crate) fn component(&self) -> &'static str {
        self.inner.component.get().copied().unwrap_or_default()
    }

    pub(crate) fn own_signer(&self) -> MutexGuard<'_, Option<Arc<Signer>>> {
        self.inner.own_signer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For an instance that executes runs: what everybody's tools are is read together with what decides about tokens.
    #[must_use]
    pub fn reading_offers(self) -> Self {
        self.inner.reads_offers.store(true, Ordering::Relaxed);
        self
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

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.inner.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn used_keys(&self) -> MutexGuard<'_, BTreeSet<Id>> {
        self.inner.used_keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn access(&self) -> MutexGuard<'_, Access> {
        self.inner.access.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known, if it is fresh enough; of the requests that find it a little old, one reads it anew.
    fn usable(&self) -> Option<Arc<Known>> {
        let mut access = self.access();
        let known = Arc::clone(access.known.as_ref()?);
        let age = known.at.elapsed();
        if age < FRESH {
            return Some(known);
        }
        let is_read = access.reading_since.is_some_and(|since| since.elapsed() < FRESH);
        if age < USABLE && is_read {
            return Some(known);
        }
        access.reading_since = Some(Instant::now());
        None
    }

    /// Whether an unknown key may be one that was made since what is known was read: a first key signs at once, and so do those of components. Whoever
    /// invents keys has them read no more often than [`MAX_UNKNOWN`] says.
    pub(crate) fn may_be_new(&self) -> bool {
        let mut access = self.access();
        let (since, count) = access.unknown.filter(|(since, _)| since.elapsed() < FRESH).unwrap_or((Instant::now(), 0));
        access.unknown = Some((since, count.saturating_add(1)));
        count < MAX_UNKNOWN
    }

    /// Whether what is known about tokens and roles is fresh enough for a request. If it is not, the caller has it read ([`Self::read_access`]).
    #[must_use]
    pub fn knows_access(&self) -> bool {
        let is_known = self.usable().is_some();
        metrics::cache_request(metrics::Cache::Access, is_known);
        is_known
    }

    /// Reads what decides about tokens and roles. [`Self::authenticate`] does so too; this is for a host that reads once for all concurrent requests.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn read_access(&self) -> Result<(), StorageError> {
        self.read().await.map(drop)
    }

    pub(crate) async fn read(&self) -> Result<Arc<Known>, StorageError> {
        let at = Instant::now();
        let before = self.access().known.clone();
        let version = || before.as_ref()?.offers.list.as_ref().map(|list| list.version);
        let offers =
            if self.inner.reads_offers.load(Ordering::Relaxed) { Offers::Unless(version()) } else { Offers::Unread };
        let state = self.store().access_state(self.component(), WINDOW_MS, offers).await?;
        let known = Arc::new(Known::new(at, state, before.as_deref()));
        let mut access = self.access();
        access.reading_since = None;
        // Another request may have asked later and been answered earlier.
        if access.known.as_ref().is_none_or(|other| other.at < at) {
            access.known = Some(Arc::clone(&known));
        }
        Ok(known)
    }

    pub(crate) async fn known(&self) -> Result<Arc<Known>, StorageError> {
        match self.usable() {
            Some(known) => Ok(known),
            None => self.read().await,
        }
    }

    /// All roles, as they were less than a second ago.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn roles(&self) -> Result<Roles, StorageError> {
        Ok(self.known().await?.roles.clone())
    }

    /// The offers of tools that are the same for everybody, as they were less than a second ago. None in an instance that does not read them
    /// ([`Self::reading_offers`]).
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn offers(&self) -> Result<KeptOffers, StorageError> {
        Ok(self.known().await?.offers.clone())
    }

    /// The rates that are set for roles, as they were less than a second ago.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn role_limits(&self) -> Result<Arc<RoleLimits>, StorageError> {
        Ok(Arc::clone(&self.known().await?.role_limits))
    }

    /// Whether anybody had a budget less than a second ago.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn has_budgets(&self) -> Result<bool, StorageError> {
        Ok(self.known().await?.has_budgets)
    }

    /// Whether a rule deleted conversations less than a second ago.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn has_retention_rules(&self) -> Result<bool, StorageError> {
        Ok(self.known().await?.has_retention_rules)
    }

    /// Whether anybody had a webhook when this instance last read what decides about tokens. It reads nothing: whoever asks has only something to tell if so.
    #[must_use]
    pub fn had_webhooks(&self) -> bool {
        self.access().known.as_ref().is_some_and(|known| known.has_webhooks)
    }

    /// Verifies a token or an API key and returns its session, with what the caller may do. A key opens what a session and the gateway do, within its
    /// scopes. It is no proof of a password, so it is no step of a log-in.
    ///
    /// # Errors
    /// 401 when it is invalid, has another purpose or has become void.
    pub async fn authenticate(&self, token: &str, purpose: Purpose) -> Result<Session> {
        if purpose != Purpose::SecondFactor && ApiKey::has_prefix(token) {
            return self.with_key(token).await;
        }
        let (known, caller) = self.verify(token, purpose).await?;
        let caller = match known.is_void(&caller) {
            Some(false) => caller,
            Some(true) => return Err(Problem::unauthenticated().into()),
            None => self.asked(caller).await?,
        };
        let access = known.roles.access(caller.roles.iter().map(String::as_str));
        let access = access.within(caller.scopes.as_deref().map(Scopes::stored).as_ref());
        Ok(Session::new(caller, access, Arc::clone(&known.role_limits), None))
    }

    /// Whom a token names that this installation signed for this purpose and that has not expired. It is never an API key. It may have become void
    /// since: this is for whoever asks the database about the account, or gives the token back.
    ///
    /// # Errors
    /// 401 when it is none.
    pub async fn signed_caller(&self, token: &str, purpose: Purpose) -> Result<Caller> {
        Ok(self.verify(token, purpose).await?.1)
    }

    async fn verify(&self, token: &str, purpose: Purpose) -> Result<(Arc<Known>, Caller)> {
        let mut known = self.known().await?;
        let now = self.inner.started.elapsed();
        // Only the identical token finds this cache entry.
        let verified = self.verified().get(token, now).cloned().filter(|(opens, _)| *opens == purpose);
        metrics::cache_request(metrics::Cache::Tokens, verified.is_some());
        let caller = match verified {
            Some((_, caller)) => caller,
            None => {
                let verified = match known.verifier.verify(token, purpose) {
                    Err(InvalidToken::UnknownKey) if self.may_be_new() => {
                        known = self.read().await?;
                        known.verifier.verify(token, purpose)
                    }
                    verified => verified,
                };
                let caller = verified.map_err(|error| refused(&error, purpose).with_cause(error))?;
                self.verified().insert(token.to_owned(), (purpose, caller.clone()), now.saturating_add(TRUST));
                caller
            }
        };
        Ok((known, caller))
    }

    /// The session of whoever has a key. What the database says about it counts for half a second, so a key that is revoked, and one whose owner is
    /// suspended, opens nothing any more within a second.
    async fn with_key(&self, token: &str) -> Result<Session> {
        let refused = || {
            let detail =
                "This API key is wrong, has expired or was revoked, or its account is suspended. Make another one.";
            Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
                .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""))
        };
        let hash = ApiKey::parse(token).ok_or_else(refused)?.hash();
        let known = self.known().await?;
        let now = self.inner.started.elapsed();
        let found = self.keys().get(&hash, now).cloned();
        metrics::cache_request(metrics::Cache::ApiKeys, found.is_some());
        let holder = match found {
            Some(holder) => holder,
            None => {
                let holder = Arc::new(self.store().key_holder(&hash).await?.ok_or_else(refused)?);
                self.keys().insert(hash, Arc::clone(&holder), now.saturating_add(FRESH));
                if holder.should_record_use {
                    self.used_keys().insert(holder.key_id);
                }
                holder
            }
        };
        let KeyHolder { user, scopes, key_id, requests_per_minute, .. } = &*holder;
        let key = UsedKey { id: *key_id, requests_per_minute: *requests_per_minute };
        let access = known.roles.access(user.roles()).within(Some(&Scopes::stored(scopes)));
        let caller = Caller {
            user_id: user.id,
            session_id: None,
            roles: user.roles().map(str::to_owned).collect(),
            access_version: Some(user.access_version),
            issued_at: Timestamp::now(),
            scopes: None,
            resource: None,
        };
        Ok(Session::new(caller, access, Arc::clone(&known.role_limits), Some(key)))
    }

    /// Whether [`Self::note_used_keys`] has anything to do.
    #[must_use]
    pub fn has_used_keys(&self) -> bool {
        !self.used_keys().is_empty()
    }

    /// Stores which keys were used, once a minute for each. It is for after the response, which need not wait for it.
    ///
    /// # Errors
    /// Whatever the database says. The next use is stored then.
    pub async fn note_used_keys(&self) -> Result<(), StorageError> {
        let used = std::mem::take(&mut *self.used_keys());
        self.store().note_key_uses(used).await
    }
}

impl<D: Database> App<D> {
    /// Asks the database about one caller.
    async fn asked(&self, caller: Caller) -> Result<Caller> {
        let user = self.store().user_of_token(caller.user_id, caller.session_id).await?;
        let user = user.ok_or_else(Problem::unauthenticated)?;
        match caller.access_version {
            Some(version) if version < user.access_version => Err(Problem::unauthenticated().into()),
            Some(_) => Ok(caller),
            None => {
                let roles = user.roles().map(str::to_owned).collect();
                Ok(Caller { roles, access_version: Some(user.access_version), ..caller })
            }
        }
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

    fn takes_keys(_: &Method) -> bool {
        true
    }

    fn app(&self) -> &Self {
        self
    }
}
