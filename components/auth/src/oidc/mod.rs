//! Signing in with an organisation's provider (OpenID Connect): leaving for the provider, coming back, linking an account that has a password, and
//! logging out. The protocol is in the crate `oidc`; here are its routes and what they mean for accounts. docs/adr/0033 says why it is so.
//!
//! Whatever goes wrong on the way is told on the log-in page, in words: the browser is sent back to where it came from, with a code in the parameter
//! `sign_in`.

mod accounts;
pub(crate) mod back_channel;
mod config;
pub(crate) mod identities;
pub(crate) mod link;
mod outside;
mod providers;

use std::collections::BTreeMap;

use ::oidc::{
    Error as ProviderError, attempt, attempt::Attempt, provider::Provider, return_to, return_to::with_parameter,
};
use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use domain::{Id, User};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use identity::{IdentityError, Purpose, link_token::LinkToken, refresh_token, refresh_token::RefreshToken};
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{Database, StorageError, provider_sessions::ProviderSession};
use web::{
    Json, Result,
    extract::{PathName, Query},
    log::{Level, log},
};

use crate::{
    COMPONENT, cookies,
    record::record,
    routes::{Auth, hashes, presented_token},
    sign_up,
};

pub(crate) use config::{SignIn, checks};
pub(crate) use providers::end_session_url;

/// The cookies of attempts to sign in. Only the routes below ever see them. Each attempt has one, so that those of several tabs do not meet.
const ATTEMPT_COOKIE: &str = "ea_oidc_";

/// Attempts in one browser: with more, all are forgotten, because servers refuse requests with too many cookies.
const MAX_ATTEMPTS: usize = 8;

/// The cookie of the attempt with this `state`.
fn attempt_cookie(state: &str) -> String {
    format!("{ATTEMPT_COOKIE}{}", state.get(..8).unwrap_or_default())
}

const PATH: &str = "/auth/oidc";

/// The parameter with which the log-in page is told how it went.
const OUTCOME: &str = "sign_in";

/// How signing in can end, other than with a session. The page has the words for each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// The account with this address has a password, which is to be entered once.
    LinkAccount,
    /// The provider did not answer, or its answer was useless.
    ProviderUnavailable,
    /// The person did not agree at the provider, or may not use this client.
    Denied,
    /// The attempt is too old, or another one was begun since.
    Expired,
    /// A token of the provider was not accepted.
    Refused,
    /// The provider says no address.
    EmailMissing,
    /// The provider has not verified the address.
    EmailUnverified,
    /// The account with this address has no password with which it could be linked.
    AddressTaken,
    /// New accounts are not made this way.
    SignupClosed,
    /// The invitation does not count any more.
    InvitationInvalid,
    /// The account is suspended.
    AccountSuspended,
    /// The person asked for the erasure of the account, and can take that back.
    ErasurePending,
    /// Something is wrong here: the log says what.
    Failed,
}

impl Outcome {
    const fn code(self) -> &'static str {
        match self {
            Self::LinkAccount => "link_account",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::EmailMissing => "email_missing",
            Self::EmailUnverified => "email_unverified",
            Self::AddressTaken => "address_taken",
            Self::SignupClosed => "signup_closed",
            Self::InvitationInvalid => "invitation_invalid",
            Self::AccountSuspended => "account_suspended",
            Self::ErasurePending => "erasure_pending",
            Self::Failed => "failed",
        }
    }
}

impl From<&ProviderError> for Outcome {
    fn from(error: &ProviderError) -> Self {
        match error {
            ProviderError::Unavailable(_) | ProviderError::Random(_) => Self::ProviderUnavailable,
            ProviderError::CodeRefused(_) | ProviderError::UnknownKey | ProviderError::TokenRefused(_) => Self::Refused,
        }
    }
}

/// Why nobody is signed in.
enum Failure {
    /// It is told on the log-in page.
    Told(Outcome),
    /// It is told there, and its cause is logged.
    Provider(ProviderError),
    /// Our own fault.
    Ours(web::Error),
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        Self::Provider(error)
    }
}

impl From<web::Error> for Failure {
    fn from(error: web::Error) -> Self {
        Self::Ours(error)
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::Ours(error.into())
    }
}

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        Self::Ours(error.into())
    }
}

pub(crate) fn routes<D: Database + 'static>() -> Router<Auth<D>> {
    Router::new()
        .route("/auth/oidc/login", get(log_in::<D>).post(log_in_to::<D>))
        .route("/auth/oidc/callback/{provider}", get(come_back::<D>))
        .route("/auth/oidc/link", post(link::link::<D>))
        .route("/auth/oidc/backchannel-logout", post(back_channel::log_out::<D>))
        .route("/auth/oidc/identities", get(identities::list::<D>))
        .route("/auth/oidc/identities/remove", post(identities::remove::<D>))
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub(crate) struct LogIn {
    /// Its name.
    provider: String,
    /// Where to go afterwards, a path of the page. Anything else counts as `/`.
    return_to: Option<String>,
}

/// Sends the browser to a provider.
///
/// With a cookie for fifteen minutes. From another site's link, whoever is signed in is sent to `return_to` and stays so.
#[cfg_attr(test, utoipa::path(
    get, path = "/auth/oidc/login", tag = "Providers to sign in with", operation_id = "leaveForProvider",
    params(LogIn),
    responses(
        (status = 303, description = "To the provider, or back to the page with a code in `sign_in`."),
        (status = 404, description = "`not_found`: there is no such provider."),
    ),
))]
pub(crate) async fn log_in<D: Database>(
    State(auth): State<Auth<D>>,
    headers: HeaderMap,
    Query(query): Query<LogIn>,
) -> Result<Response> {
    let return_to = return_to::local_path(query.return_to.as_deref().unwrap_or(return_to::HOME));
    // Another site's link does not put somebody else in the place of whoever is signed in.
    let is_elsewhere = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site" || site == "same-site");
    if is_elsewhere && presented_token(&headers).is_some() {
        return see_other(&return_to);
    }
    begin(&auth, &headers, &query.provider, &return_to, Wish::default()).await
}

/// What somebody signs in for.
#[derive(Default)]
struct Wish {
    /// The secret of the invitation that they came with.
    invitation: Option<String>,
    /// They want to keep an account that is going to be erased.
    keep_account: bool,
}

/// The provider to sign in with, and why it is not a link.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ProviderLogIn, example = json!({"provider": "example", "invitation": "..."})))]
pub(crate) struct LogInTo {
    provider: String,
    /// The secret of the invitation's link, which is in no address.
    invitation: Option<String>,
    /// Takes back the erasure of the account. Only a request of our own page can want that, and no link that somebody was sent.
    #[serde(default)]
    keep_account: bool,
}

/// Where the browser goes on.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Leave, example = json!({"location": "https://login.example.com/authorize?client_id=..."})))]
pub(crate) struct Leave {
    /// Where the browser goes on.
    location: String,
}

/// Begins to sign in at a provider with an invitation, or to keep an account.
///
/// Answers with the address, because a secret or a wish is sent.
#[cfg_attr(test, utoipa::path(
    post, path = "/auth/oidc/login", tag = "Providers to sign in with", operation_id = "leaveForProviderWith",
    request_body = LogInTo,
    responses(
        (status = 200, description = "Where the browser goes on.", body = Leave),
        (status = 403, description = "`invitation_invalid`: it is no invitation. `cross_origin`."),
        (status = 404, description = "`not_found`: there is no such provider."),
    ),
))]
pub(crate) async fn log_in_to<D: Database>(
    State(auth): State<Auth<D>>,
    method: Method,
    headers: HeaderMap,
    Json(LogInTo { provider, invitation, keep_account }): Json<LogInTo>,
) -> Result<Response> {
    auth.check_origin(&method, &headers)?;
    let invitation = match invitation {
        Some(secret) => {
            let secret = LinkToken::parse(&secret).ok_or_else(|| sign_up::not_invited(auth.config.signup))?;
            Some(secret.to_string())
        }
        None => None,
    };
    let wish = Wish { invitation, keep_account };
    let mut response = begin(&auth, &headers, &provider, return_to::HOME, wish).await?;
    let location = response.headers_mut().remove(header::LOCATION);
    let location = location.as_ref().and_then(|location| location.to_str().ok()).unwrap_or(return_to::HOME).to_owned();
    let mut answer = Json::<_>(Leave { location }).into_response();
    answer.headers_mut().extend(response.headers().clone());
    Ok(answer)
}

async fn begin<D: Database>(
    auth: &Auth<D>,
    headers: &HeaderMap,
    name: &str,
    return_to: &str,
    Wish { invitation, keep_account }: Wish,
) -> Result<Response> {
    let provider = auth.sign_in.provider(name).ok_or_else(Problem::not_found)?;
    let began = async {
        let mut attempt = Attempt::new(&provider.name, return_to, invitation)?;
        attempt.keep_account = keep_account;
        let published = providers::published(auth, provider).await?;
        let redirect_uri = redirect_uri(auth, headers, provider)?;
        let url = published.authorization_url(provider, &attempt, &redirect_uri)?;
        Ok::<_, Failure>((url, attempt))
    };
    match began.await {
        Ok((url, attempt)) => {
            let mut response = see_other(url.as_str())?;
            let others: Vec<String> = cookies::names(headers, ATTEMPT_COOKIE).collect();
            for other in others.iter().filter(|_| others.len() >= MAX_ATTEMPTS) {
                clear_cookie(auth, headers, &mut response, other);
            }
            let cookie = attempt_cookie(&attempt.state());
            set_cookie(auth, headers, &mut response, &cookie, attempt.cookie(), attempt::LIFETIME_S);
            Ok(response)
        }
        Err(failure) => told(failure, name, return_to),
    }
}

#[derive(Default, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub(crate) struct Callback {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

/// Takes a person back from a provider.
///
/// Each provider has an address of its own, so that one cannot pass on what another said (RFC 9700, section 4.4). The browser goes on to `return_to`,
/// with the cookies of a session, or with `?sign_in=` and why there is none: `link_account`, `provider_unavailable`, `denied`, `expired`, `refused`,
/// `failed`, `email_missing`, `email_unverified`, `address_taken`, `signup_closed`, `invitation_invalid`, `account_suspended` or `erasure_pending`.
#[cfg_attr(test, utoipa::path(
    get, path = "/auth/oidc/callback/{provider}", tag = "Providers to sign in with", operation_id = "comeBackFromProvider",
    params(("provider" = String, Path, description = "Its name."), Callback),
    responses(
        (status = 303, description = "To the page."),
    ),
))]
pub(crate) async fn come_back<D: Database>(
    State(auth): State<Auth<D>>,
    PathName(provider): PathName,
    headers: HeaderMap,
    Query(query): Query<Callback>,
) -> Result<Response> {
    let cookie = attempt_cookie(query.state.as_deref().unwrap_or_default());
    let attempt = web::session::cookie(&headers, &cookie).and_then(|cookie| Attempt::parse(&cookie));
    let ours = attempt.filter(|attempt| query.state.as_deref().is_some_and(|state| attempt.has_state(state)));
    let Some(attempt) = ours else {
        // Somebody else's response, or one that comes a second time: whoever is signed in stays so.
        return told(Failure::Told(Outcome::Expired), &provider, return_to::HOME);
    };
    let signed_in = if attempt.provider == provider {
        signed_in(&auth, &headers, &attempt, query).await
    } else {
        Err(ProviderError::TokenRefused("the response came to the address of another provider".to_owned()).into())
    };
    let mut response = signed_in.or_else(|failure| told(failure, &attempt.provider, &attempt.return_to))?;
    clear_cookie(&auth, &headers, &mut response, &cookie);
    Ok(response)
}

async fn signed_in<D: Database>(
    auth: &Auth<D>,
    headers: &HeaderMap,
    attempt: &Attempt,
    query: Callback,
) -> Result<Response, Failure> {
    let provider = auth.sign_in.provider(&attempt.provider).ok_or(Failure::Told(Outcome::Expired))?;
    let published = providers::published(auth, provider).await?;
    if !published.accepts_sender(query.iss.as_deref()) {
        return Err(ProviderError::TokenRefused("the response names another issuer".to_owned()).into());
    }
    let code = match (query.code, query.error.as_deref()) {
        (Some(code), None) => code,
        (_, Some("access_denied" | "login_required" | "consent_required" | "interaction_required")) => {
            return Err(Failure::Told(Outcome::Denied));
        }
        // RFC 6749, section 4.1.2.1: at most a few words of ASCII. Anything else is not repeated.
        (_, error) => {
            let known =
                ["invalid_request", "unauthorized_client", "invalid_scope", "server_error", "temporarily_unavailable"];
            let error = known.into_iter().find(|known| Some(*known) == error).unwrap_or("no code");
            return Err(ProviderError::Unavailable(format!("it answered {error}")).into());
        }
    };
    let redirect_uri = redirect_uri(auth, headers, provider)?;
    let outside = &*auth.sign_in.outside;
    let tokens = providers::here(published.redeem(provider, attempt, &redirect_uri, code, outside)).await?;
    let now_s = auth.issuer().await?.1.as_millis() / 1000;
    let (person, published) = match published.verify(provider, attempt, &tokens, now_s) {
        Err(ProviderError::UnknownKey) => {
            let renewed = providers::with_new_keys(auth, provider, published).await?;
            (renewed.verify(provider, attempt, &tokens, now_s)?, renewed)
        }
        verified => (verified?, published),
    };
    let person = providers::here(published.complete(provider, person, &tokens, outside)).await?;
    match accounts::account(auth, provider, &person, attempt).await? {
        accounts::Found::Account(user) => {
            let mut response = see_other(&attempt.return_to)?;
            let session = accounts::session_of(provider, &person);
            let user = begin_session(auth, headers, &user, &session, response.headers_mut()).await?;
            record(auth, &user, "provider.log_in", "ok").await?;
            Ok(response)
        }
        accounts::Found::NeedsPassword(secret) => {
            let page = with_parameter(&attempt.return_to, OUTCOME, Outcome::LinkAccount.code());
            let mut response = see_other(&page)?;
            set_cookie(auth, headers, &mut response, link::COOKIE, secret.to_string(), link::LIFETIME_S);
            Ok(response)
        }
    }
}

/// Begins a session of an account that was found to be the person's, and sets its cookies. Returns the account with the roles that count from then on.
async fn begin_session<D: Database>(
    auth: &Auth<D>,
    headers: &HeaderMap,
    user: &User,
    session: &ProviderSession,
    to_browser: &mut HeaderMap,
) -> Result<User, Failure> {
    let token = RefreshToken::new(Id::new())?;
    let lifetime_ms = refresh_token::LIFETIME_MS;
    let begun =
        auth.store().create_provider_session(token.session_id, user, &hashes(&token), session, lifetime_ms).await?;
    if !begun {
        // The account was changed or suspended in this moment, or the person has logged out at the provider.
        return Err(Failure::Told(Outcome::Expired));
    }
    let user = auth.store().user(user.id).await?.ok_or(Failure::Told(Outcome::Expired))?;
    let (issuer, now) = auth.issuer().await?;
    let access = issuer.issue(&user, Some(token.session_id), Purpose::Session, now)?;
    cookies::set(to_browser, access, token.to_string(), auth.app.site().is_https(headers));
    Ok(user)
}

/// Sends the browser back to the page, which says what happened.
fn told(failure: Failure, provider: &str, return_to: &str) -> Result<Response> {
    let outcome = match failure {
        Failure::Told(outcome) => outcome,
        Failure::Provider(error) => {
            let fields = BTreeMap::from([("provider", provider.to_owned()), ("cause", error.to_string())]);
            log(COMPONENT, Level::Warn, "nobody was signed in by a provider", fields);
            Outcome::from(&error)
        }
        Failure::Ours(error) => {
            let cause = error.causes().unwrap_or_else(|| error.status().to_string());
            let fields = BTreeMap::from([("provider", provider.to_owned()), ("cause", cause)]);
            log(COMPONENT, Level::Error, "nobody was signed in by a provider", fields);
            Outcome::Failed
        }
    };
    see_other(&with_parameter(return_to, OUTCOME, outcome.code()))
}

/// The address at which the provider sends the browser back to us.
fn redirect_uri<D: Database>(
    auth: &Auth<D>,
    headers: &HeaderMap,
    provider: &Provider,
) -> Result<String, ProviderError> {
    let address = auth.app.site().address(headers);
    let address = address.ok_or_else(|| {
        ProviderError::Unavailable(
            "public_url is not set, so it does not know where to send anybody back to".to_owned(),
        )
    })?;
    Ok(format!("{address}{PATH}/callback/{}", provider.name))
}

fn see_other(location: &str) -> Result<Response> {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let location = HeaderValue::from_str(location).map_err(Problem::internal)?;
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn set_cookie<D: Database>(
    auth: &Auth<D>,
    headers: &HeaderMap,
    response: &mut Response,
    name: &str,
    value: String,
    age_s: i64,
) {
    let secure = auth.app.site().is_https(headers);
    cookies::append(response.headers_mut(), name, value, PATH, age_s, secure);
}

fn clear_cookie<D: Database>(auth: &Auth<D>, headers: &HeaderMap, response: &mut Response, name: &str) {
    set_cookie(auth, headers, response, name, String::new(), 0);
}

#[cfg(test)]
mod tests;
