//! Which account somebody gets who comes from a provider.
//!
//! The subject decides, never the address: an address can change hands. An address only says which account might be theirs too, and then its password
//! must prove it.

use std::collections::BTreeMap;

use ::oidc::{attempt::Attempt, person::Person, provider::Provider};
use domain::User;
use identity::{address, link_token::LinkToken, signup};
use storage::{Database, identities::Identity, provider_sessions::ProviderSession, users::Opening};
use web::log::{Level, log};

use super::{Failure, Outcome, link};
use crate::{COMPONENT, config::Signup, routes::Auth};

/// What was found.
pub(super) enum Found {
    /// The account.
    Account(User),
    /// An account with this address, whose password is to be entered first. The secret leads to what waits for it.
    NeedsPassword(LinkToken),
}

/// The session at the provider.
pub(super) fn session_of(provider: &Provider, person: &Person) -> ProviderSession {
    ProviderSession {
        issuer: provider.issuer.clone(),
        subject: person.subject.clone(),
        sid: person.sid.clone(),
        hint: person.hint.clone(),
    }
}

pub(super) async fn account<D: Database>(
    auth: &Auth<D>,
    provider: &Provider,
    person: &Person,
    attempt: &Attempt,
) -> Result<Found, Failure> {
    if !provider.roles.is_empty() && person.groups.is_none() {
        let fields = BTreeMap::from([("provider", provider.name.clone()), ("claim", provider.groups_claim.clone())]);
        log(COMPONENT, Level::Warn, "a provider says nothing about groups, so they give nobody roles", fields);
    }
    let roles = provider.roles_of(person.groups.as_deref().unwrap_or_default());
    let identity = Identity { issuer: &provider.issuer, subject: &person.subject, roles: &roles };
    let is_verified = person.is_email_verified || provider.trusts_email;
    let spelled = person.email.as_deref().map(address::email);
    let verified = spelled.as_ref().and_then(|email| email.as_deref().ok()).filter(|_| is_verified);
    if let Some(user) = auth.store().use_identity(identity, verified).await? {
        return if user.is_suspended { closed(auth, &user, attempt).await } else { Ok(Found::Account(user)) };
    }
    let email = match (&spelled, verified) {
        (None | Some(Err(_)), _) => return told(Outcome::EmailMissing),
        (Some(Ok(_)), None) => return told(Outcome::EmailUnverified),
        (Some(Ok(_)), Some(email)) => email,
    };
    let (_, older) = address::spellings(person.email.as_deref().unwrap_or_default()).unwrap_or_default();
    if let Some((user, hash)) = auth.store().user_by_email(email, &older).await? {
        if hash.is_none() {
            return told(Outcome::AddressTaken);
        }
        let secret = LinkToken::new()?;
        let session = session_of(provider, person);
        let (hash, lifetime_ms) = (secret.hash(), link::LIFETIME_S * 1000);
        auth.store().keep_identity_link(&hash, user.id, identity, email, &session, lifetime_ms).await?;
        return Ok(Found::NeedsPassword(secret));
    }
    let invitation = attempt.invitation.as_deref().and_then(LinkToken::parse).map(|secret| secret.hash());
    let opening = opening(auth.config.signup, provider.signup, invitation.as_deref());
    // A name that no account can have is left out.
    let name = signup::name(&person.name).unwrap_or_default();
    match auth.store().create_user_with_identity(identity, email, name, opening).await? {
        Some(user) => Ok(Found::Account(user)),
        None if matches!(opening, Opening::Invited(_)) => told(Outcome::InvitationInvalid),
        None if opening == Opening::OnlyFirst => told(Outcome::SignupClosed),
        // Somebody else took the address in this moment.
        None => told(Outcome::Expired),
    }
}

/// An account that is closed. Who asked for its erasure keeps it if they want that: they have just shown at their provider that it is them.
async fn closed<D: Database>(auth: &Auth<D>, user: &User, attempt: &Attempt) -> Result<Found, Failure> {
    let erasure = auth.store().erasure(user.id).await?;
    if erasure.is_none_or(|erasure| erasure.erased_at.is_some() || erasure.requested_by != user.id) {
        return told(Outcome::AccountSuspended);
    }
    if !attempt.keep_account {
        return told(Outcome::ErasurePending);
    }
    // It has begun, or an administrator has suspended the account meanwhile.
    if !auth.store().take_back_erasure(user.id, user.id).await? {
        return told(Outcome::AccountSuspended);
    }
    match auth.store().user(user.id).await? {
        Some(user) if !user.is_suspended => Ok(Found::Account(user)),
        _ => told(Outcome::AccountSuspended),
    }
}

/// Why somebody who comes from a provider gets an account: the provider's own rule, or else the installation's.
fn opening(signup: Signup, of_provider: Option<bool>, invitation: Option<&str>) -> Opening<'_> {
    match (of_provider, signup, invitation) {
        (_, Signup::Open | Signup::Invite, Some(hash)) => Opening::Invited(hash),
        (Some(true), _, _) | (None, Signup::Open, None) => Opening::Open,
        _ => Opening::OnlyFirst,
    }
}

fn told(outcome: Outcome) -> Result<Found, Failure> {
    Err(Failure::Told(outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_has_its_own_rule_about_new_accounts_or_that_of_the_installation() {
        use Signup::{Closed, Invite, Open};
        let invited = Opening::Invited("h");
        for (signup, of_provider, invitation, expected) in [
            (Open, None, None, Opening::Open),
            (Open, None, Some("h"), invited),
            (Open, Some(false), None, Opening::OnlyFirst),
            (Invite, None, None, Opening::OnlyFirst),
            (Invite, None, Some("h"), invited),
            (Invite, Some(true), None, Opening::Open),
            (Invite, Some(false), Some("h"), invited),
            (Invite, Some(true), Some("h"), invited),
            (Open, Some(true), Some("h"), invited),
            (Closed, Some(true), Some("h"), Opening::Open),
            (Closed, None, None, Opening::OnlyFirst),
            (Closed, None, Some("h"), Opening::OnlyFirst),
            (Closed, Some(true), None, Opening::Open),
        ] {
            assert_eq!(opening(signup, of_provider, invitation), expected, "{signup:?} {of_provider:?} {invitation:?}");
        }
    }
}
