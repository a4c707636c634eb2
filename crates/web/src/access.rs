//! What an instance knows about tokens and roles, and about the offers of tools if it executes runs, read from the database about twice a second while requests come. So a change of access takes
//! effect on every host within a second, and a request needs no query of its own (docs/adr/0032).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{Id, Timestamp};
use identity::{Caller, Verifier, session_token::LIFETIME_S};
use permissions::{Access, Role, Roles};
use storage::{
    access::{AccessState, OwnKey, PersonRoles},
    roles::StoredRole,
    tool_listings::KeptOffers,
};

use crate::limits::RoleLimits;

/// For so long, what was read counts.
pub(crate) const FRESH: Duration = Duration::from_millis(500);
/// For so long, it counts while another request of the instance reads it anew. With the time to read it, changes take effect within a second.
pub(crate) const USABLE: Duration = Duration::from_millis(800);

/// Older changes do not matter: no token is older. A minute more than tokens live, for their tolerance and clocks that are set.
#[expect(clippy::cast_possible_wrap, reason = "minutes")]
pub(crate) const WINDOW_MS: i64 = (LIFETIME_S as i64 + 60) * 1000;

/// The built-in roles and the stored ones.
#[must_use]
pub fn roles_of(stored: &[StoredRole]) -> Roles {
    Roles::new(stored.iter().map(|role| Role::stored(&role.name, role.permissions.split_whitespace())))
}

/// What a person may do, by the roles that were read with what they want to do.
#[must_use]
pub fn access_of(roles: &PersonRoles) -> Access {
    roles_of(&roles.custom).access(roles.names.iter().map(String::as_str))
}

/// What was read at one moment.
#[derive(Debug)]
pub(crate) struct Known {
    /// When it was asked for.
    pub(crate) at: Instant,
    /// Verifies tokens.
    pub(crate) verifier: Verifier,
    /// All roles.
    pub(crate) roles: Roles,
    versions: BTreeMap<Id, i64>,
    ended: BTreeSet<Id>,
    incomplete_before: Option<Timestamp>,
    /// The offers of tools, if this instance reads them.
    pub(crate) offers: KeptOffers,
    /// Verifies the tokens of components.
    pub(crate) inside: inside_token::Keys,
    /// With which this component proves that it calls.
    pub(crate) own_key: Option<OwnKey>,
    /// How far the database's clock is ahead of this host's.
    pub(crate) ahead_ms: i64,
    /// The rates that are set for roles.
    pub(crate) role_limits: Arc<RoleLimits>,
    /// Whether anybody has a budget.
    pub(crate) has_budgets: bool,
    /// Whether a rule deletes conversations.
    pub(crate) has_retention_rules: bool,
    /// Whether anybody has a webhook.
    pub(crate) has_webhooks: bool,
}

impl Known {
    /// From what the database says, asked at this moment. A list of tools that it need not say again is the one that was known before.
    pub(crate) fn new(at: Instant, mut state: AccessState, before: Option<&Self>) -> Self {
        if let Some(list) = state.offers.list.as_mut().filter(|list| list.listing.is_none()) {
            let known = before.and_then(|before| before.offers.list.as_ref());
            list.listing = known.filter(|known| known.version == list.version).and_then(|known| known.listing.clone());
        }
        let keys = state.keys.iter().map(|key| (key.id.as_str(), key.jwk.as_str()));
        Self {
            at,
            verifier: Verifier::new(keys).by_clock(state.now),
            roles: roles_of(&state.roles),
            versions: state.changed_users.into_iter().collect(),
            ended: state.ended_sessions.into_iter().collect(),
            incomplete_before: state.incomplete_before,
            offers: state.offers,
            inside: inside_token::Keys::new(state.inside_keys.into_iter().map(|key| inside_token::PublicKey {
                id: key.id,
                caller: key.caller,
                jwk: key.public_key,
            })),
            own_key: state.own_key,
            ahead_ms: state.now.as_millis().saturating_sub(Timestamp::now().as_millis()),
            role_limits: Arc::new(RoleLimits::new(state.role_limits)),
            has_budgets: state.has_budgets,
            has_retention_rules: state.has_retention_rules,
            has_webhooks: state.has_webhooks,
        }
    }

    /// Whether a token has become void since it was made. `None`: the database has to be asked about this one, because it says too little (an
    /// earlier release made it, or its person has many roles), or because too much changed since it was made.
    pub(crate) fn is_void(&self, caller: &Caller) -> Option<bool> {
        let version = caller.access_version?;
        let is_known = self.versions.get(&caller.user_id).is_some_and(|newest| version < *newest)
            || caller.session_id.is_some_and(|session| self.ended.contains(&session));
        if !is_known && self.incomplete_before.is_some_and(|moment| caller.issued_at < moment) {
            return None;
        }
        Some(is_known)
    }
}
