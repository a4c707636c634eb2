//! Authenticates the caller by bearer token or session cookie. A handler that takes a [`Session`] cannot be reached without one.

use axum::extract::FromRequestParts;
use cookie::Cookie;
use domain::Id;
use http::{HeaderMap, header, request::Parts};
use identity::{Caller, Purpose};
use problem::Problem;
use storage::Database;

use crate::{App, Error, Result};

/// The cookie that carries the access token.
pub const ACCESS_COOKIE: &str = "ea_access";

/// A router state that can verify tokens.
pub trait Authenticator: Send + Sync {
    /// The app's database.
    type Database: Database;

    /// The app, which has the keys.
    fn app(&self) -> &App<Self::Database>;
}

/// The verified caller.
#[derive(Clone, Copy, Debug)]
pub struct Session(pub Caller);

impl Session {
    /// The caller's account.
    #[must_use]
    pub const fn user_id(&self) -> Id {
        self.0.user_id
    }
}

impl<S: Authenticator> FromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let app = state.app();
        let token = match bearer(&parts.headers) {
            Some(token) => token.to_owned(),
            None => {
                let token = cookie(&parts.headers, ACCESS_COOKIE).ok_or_else(Problem::unauthenticated)?;
                app.site().check_origin(&parts.method, &parts.headers)?;
                token
            }
        };
        Ok(Self(app.authenticate(&token, Purpose::Session).await?))
    }
}

/// The bearer token (RFC 6750, section 2.1). It proves nothing until it is verified.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
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
