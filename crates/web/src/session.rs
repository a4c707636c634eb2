//! Authenticates the caller by bearer token or session cookie. A handler that takes a [`Session`] cannot be reached without one; one that takes
//! [`Allowed`] cannot be reached without the permission that it names.

use std::{marker::PhantomData, ops::Deref, sync::Arc};

use axum::extract::FromRequestParts;
use cookie::Cookie;
use domain::Id;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use identity::{Caller, Purpose, api_key::ApiKey};
use permissions::{Access, Action, Required, is_scope_token};
use problem::Problem;
use storage::{Database, limits::LimitKind};

use crate::{App, Error, Result, limits::RoleLimits};

/// The cookie that carries the access token.
pub const ACCESS_COOKIE: &str = "ea_access";

/// A router state that can verify tokens.
pub trait Authenticator: Send + Sync {
    /// The app's database.
    type Database: Database;

    /// Whether an API key is taken instead of a session for a request with this method. Not where accounts are changed: nobody makes more of a key
    /// than it is.
    fn takes_keys(method: &Method) -> bool;

    /// The app, which has the keys.
    fn app(&self) -> &App<Self::Database>;
}

/// The API key that a request came with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UsedKey {
    /// Its id.
    pub id: Id,
    /// Requests with it in a minute, if that is set for it; 0: no limit.
    pub requests_per_minute: Option<u32>,
}

/// The verified caller, and what they may do.
#[derive(Clone, Debug)]
pub struct Session {
    caller: Caller,
    access: Access,
    role_limits: Arc<RoleLimits>,
    key: Option<UsedKey>,
}

impl Session {
    pub(crate) const fn new(
        caller: Caller,
        access: Access,
        role_limits: Arc<RoleLimits>,
        key: Option<UsedKey>,
    ) -> Self {
        Self { caller, access, role_limits, key }
    }

    /// The API key that the request came with, if it is one.
    #[must_use]
    pub const fn api_key(&self) -> Option<UsedKey> {
        self.key
    }

    /// How many a minute the caller's roles allow; 0: no limit.
    #[must_use]
    pub fn per_minute(&self, kind: LimitKind, default: u32) -> u32 {
        self.role_limits.per_minute(self.caller.roles.iter().map(String::as_str), kind, default)
    }

    /// The caller's account.
    #[must_use]
    pub const fn user_id(&self) -> Id {
        self.caller.user_id
    }

    /// The session in which the token was made, if the token says it.
    #[must_use]
    pub const fn session_id(&self) -> Option<Id> {
        self.caller.session_id
    }

    /// How often the account's access had changed when the caller was found to be allowed.
    #[must_use]
    pub fn access_version(&self) -> i64 {
        // An earlier release's token says none, and then the account was read.
        self.caller.access_version.unwrap_or_default()
    }

    /// What the caller may do.
    #[must_use]
    pub const fn access(&self) -> &Access {
        &self.access
    }

    /// The path of the gateway that the caller's token opens, with all below it; `None`: all of them.
    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        self.caller.resource.as_deref()
    }

    /// Refuses what the caller may not do.
    ///
    /// # Errors
    /// 403, which names the permission.
    pub fn check(&self, action: &Action<'_>) -> Result<()> {
        if self.access.allows(action) {
            return Ok(());
        }
        let needs = action.needs().into_owned();
        let is_beyond_scopes = self.access.roles_allow(action);
        Err(if is_beyond_scopes { insufficient_scope(needs) } else { Problem::forbidden(needs) }.into())
    }

    /// Refuses to have a run start or go on for a caller whose scopes do not include all tools: a run calls tools for its person, with all that
    /// the person may do, and outlives the request.
    ///
    /// # Errors
    /// 403, which names the scope.
    pub fn check_may_run(&self) -> Result<()> {
        match self.access.scopes() {
            Some(scopes) if !scopes.include_all_tools() => Err(insufficient_scope("tools:call:*".to_owned()).into()),
            _ => Ok(()),
        }
    }

    /// The session as one that has a permission.
    ///
    /// # Errors
    /// 403, which names the permission.
    pub fn allowed<P: Required>(self) -> Result<Allowed<P>> {
        self.check(&Action::Route(P::NAME))?;
        Ok(Allowed { session: self, permission: PhantomData })
    }
}

/// 403: the roles allow it, the scopes of the key or token do not (RFC 6750, section 3.1).
fn insufficient_scope(permission: String) -> Problem {
    let detail = format!(
        "The key or token that you sent lacks the scope {permission}. Use one that has it: scopes are chosen when it is made."
    );
    let challenge = HeaderValue::try_from(format!("Bearer error=\"insufficient_scope\", scope=\"{permission}\""));
    let can_be_named = is_scope_token(&permission);
    let problem = Problem::lacking(permission, "insufficient_scope", detail);
    match challenge {
        Ok(challenge) if can_be_named => problem.with_header(header::WWW_AUTHENTICATE, challenge),
        _ => problem,
    }
}

fn no_key_here() -> Problem {
    let detail =
        "An API key cannot do this: it changes nothing about accounts and makes no keys. Sign in and do it yourself.";
    Problem::new(StatusCode::FORBIDDEN, "key_not_allowed", detail)
}

/// The session of a caller who has the permission `P`.
#[derive(Clone, Debug)]
pub struct Allowed<P> {
    session: Session,
    permission: PhantomData<P>,
}

impl<P> Deref for Allowed<P> {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl<S: Authenticator, P: Required> FromRequestParts<S> for Allowed<P> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        Session::from_request_parts(parts, state).await?.allowed()
    }
}

impl<S: Authenticator> FromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let app = state.app();
        let token = match bearer(&parts.headers) {
            Some(token) if ApiKey::has_prefix(token) && !S::takes_keys(&parts.method) => {
                return Err(no_key_here().into());
            }
            Some(token) => token.to_owned(),
            None => {
                let token = cookie(&parts.headers, ACCESS_COOKIE).filter(|token| !ApiKey::has_prefix(token));
                let token = token.ok_or_else(Problem::unauthenticated)?;
                app.site().check_origin(&parts.method, &parts.headers)?;
                token
            }
        };
        app.authenticate(&token, Purpose::Session).await
    }
}

/// The bearer token (RFC 6750, section 2.1). It proves nothing until it is verified.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Whether a request carries an access token, valid or not.
#[must_use]
pub fn has_token(headers: &HeaderMap) -> bool {
    bearer(headers).is_some() || cookie(headers, ACCESS_COOKIE).is_some()
}

/// The value of a cookie.
#[must_use]
pub fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let texts = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    texts
        .flat_map(Cookie::split_parse)
        .filter_map(std::result::Result::ok)
        .find(|cookie| cookie.name() == name)
        .map(|cookie| cookie.value().to_owned())
}
