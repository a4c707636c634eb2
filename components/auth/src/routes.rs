//! The routes of accounts and sessions.

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use domain::{Id, Timestamp, User};
use http::{HeaderMap, Method, StatusCode};
use identity::{Issuer, Purpose, address, password, refresh_token, refresh_token::RefreshToken, session_token};
use permissions::{Roles, role::former, table::GatewayUse};
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{
    Database, Store,
    provider_sessions::ProviderSession,
    sessions::{Lifetimes, Rotation, TokenHashes},
};
use web::{Allowed, App, Authenticator, Json, Result, Session};

use crate::{
    COMPONENT, account, api_keys,
    config::Config,
    cookies, erasure, export,
    limits::{self, Attempt},
    oidc::{self, SignIn},
    record::{LOG_IN, record, record_of},
    second_factor, sign_up,
};

/// The router's state.
pub(crate) struct Auth<D> {
    pub(crate) app: App<D>,
    pub(crate) config: Config,
    pub(crate) sign_in: SignIn,
}

impl<D> Clone for Auth<D> {
    fn clone(&self) -> Self {
        Self { app: self.app.clone(), config: self.config.clone(), sign_in: self.sign_in.clone() }
    }
}

impl<D: Database> Authenticator for Auth<D> {
    type Database = D;

    fn takes_keys(_: &Method) -> bool {
        false
    }

    fn app(&self) -> &App<D> {
        &self.app
    }
}

impl<D: Database> Auth<D> {
    pub(crate) fn store(&self) -> &Store<D> {
        self.app.store()
    }

    pub(crate) fn check_origin(&self, method: &Method, headers: &HeaderMap) -> Result<()> {
        self.app.site().check_origin(method, headers)
    }

    pub(crate) async fn issuer(&self) -> Result<(Issuer, Timestamp)> {
        web::issuing::issuer(COMPONENT, self.store(), &self.config.signing_key).await
    }
}

pub(crate) fn router<D: Database + 'static>(app: App<D>, config: Config, sign_in: SignIn) -> Router {
    Router::new()
        .route("/auth/signup", get(sign_up::state::<D>).post(sign_up::create::<D>))
        .route("/auth/login", post(log_in::<D>))
        .route("/auth/login/second-factor", post(second_factor::challenge::log_in::<D>))
        .route("/auth/login/second-factor/setup", post(second_factor::challenge::log_in_setup::<D>))
        .route("/auth/login/second-factor/confirm", post(second_factor::challenge::log_in_confirm::<D>))
        .route("/auth/refresh", post(refresh::<D>))
        .route("/auth/logout", post(log_out::<D>))
        .route("/auth/password-reset", post(account::reset_password::<D>))
        .route("/auth/me", get(me::<D>).patch(account::rename::<D>))
        .route("/auth/api-keys", get(api_keys::list::<D>).post(api_keys::create::<D>))
        .route("/auth/api-keys/{id}", delete(api_keys::revoke::<D>))
        .route("/auth/password", post(account::change_password::<D>))
        .route("/auth/second-factor", get(second_factor::read::<D>))
        .route("/auth/second-factor/setup", post(second_factor::setup::<D>))
        .route("/auth/second-factor/confirm", post(second_factor::confirm::<D>))
        .route("/auth/second-factor/remove", post(second_factor::remove::<D>))
        .route("/auth/second-factor/recovery-codes", post(second_factor::renew_recovery_codes::<D>))
        .route("/auth/mcp-token", post(gateway_token::<D>))
        .route("/api/account", delete(erasure::request::<D>))
        .route("/api/account/export", get(export::read::<D>))
        .route("/api/account/receipt-keys", get(erasure::receipt_keys::<D>))
        .route("/api/account/receipt", post(erasure::receipt::<D>))
        .route("/.well-known/jwks.json", get(jwks::<D>))
        .merge(oidc::routes())
        .with_state(Auth { app, config, sign_in })
}

/// An address and a password.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = LogIn, example = json!({"email": "ada@example.com", "password": "correct horse battery"})))]
struct LogIn {
    email: String,
    password: String,
    /// Takes back the erasure of the account that the person asked for themselves.
    #[serde(default)]
    keep_account: bool,
    /// With that, a code of the second factor.
    code: Option<String>,
}

/// An account, for its person.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = User, example = json!({"id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f00", "email": "ada@example.com", "name": "Ada", "role": "user", "roles": ["member"], "permissions": ["conversations:read", "conversations:write"], "created_at": "2026-01-01T12:00:00.000Z"})))]
pub(crate) struct UserBody {
    id: Id,
    email: String,
    /// What the person wants to be called; may be empty.
    name: String,
    /// `admin` or `user`, as releases before roles said it. `roles` says it exactly.
    role: &'static str,
    /// All roles, also those of groups.
    roles: Vec<String>,
    /// What the roles allow together.
    permissions: Vec<String>,
    created_at: Timestamp,
}

/// An access token.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Token, example = json!({"access_token": "eyJhbGciOi...", "token_type": "Bearer", "expires_in": 900})))]
pub(crate) struct TokenBody {
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// In seconds.
    expires_in: u64,
}

impl TokenBody {
    fn new(access_token: String) -> Self {
        Self { access_token, token_type: "Bearer", expires_in: session_token::LIFETIME_S }
    }
}

/// A session.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Session))]
pub(crate) struct SessionBody {
    #[serde(flatten)]
    token: TokenBody,
    user: UserBody,
    /// Of a second factor that was set up on the way. They are shown only now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(nullable = false))]
    recovery_codes: Option<Vec<String>>,
}

pub(crate) fn user_body(user: User, roles: &Roles) -> UserBody {
    let access = roles.access(user.roles());
    UserBody {
        id: user.id,
        role: former(&user.role),
        roles: user.roles().map(str::to_owned).collect(),
        permissions: access.permissions().map(ToString::to_string).collect(),
        email: user.email,
        name: user.name,
        created_at: user.created_at,
    }
}

pub(crate) fn suspended(status: StatusCode) -> Problem {
    Problem::new(status, "account_suspended", "This account is suspended. Ask an administrator.")
}

/// Logs in with an address and a password.
///
/// Sets the cookies of the session. A wrong password and an unknown address give the same answer after the same time.
#[cfg_attr(test, utoipa::path(
    post, path = "/auth/login", tag = "Signing in", operation_id = "logIn",
    request_body = LogIn,
    responses(
        (status = 200, description = "The session.", body = SessionBody),
        (status = 401, description = "`invalid_credentials`: the address or the password is wrong. `second_factor_required`: send a code with the `challenge`. `second_factor_setup_required`: a role needs a second factor, to be set up with the `challenge`. `invalid_code`: with `keep_account`, the code does not count."),
        (status = 403, description = "`account_suspended`: only with the right password. `erasure_pending`: the account is going to be erased. `cross_origin`."),
        (status = 409, description = "`second_factor_unreadable`: the key that it was encrypted with is missing."),
        (status = 429, description = "`rate_limited`."),
    ),
))]
async fn log_in<D: Database>(
    State(auth): State<Auth<D>>,
    method: Method,
    headers: HeaderMap,
    Json(body): Json<LogIn>,
) -> Result<Response> {
    auth.check_origin(&method, &headers)?;
    // A wrong password and an unknown address give the same response after the same time.
    let (email, older) = address::spellings(&body.email).unwrap_or_default();
    let (user, hash) =
        auth.store().user_by_email(&email, &older).await?.map_or((None, None), |(user, hash)| (Some(user), hash));
    let attempt = Attempt::with_password(&auth, &headers, &email, hash.as_deref()).await?;
    let fits = password::verify(&body.password, hash.as_deref());
    let Some(user) = user.as_ref().filter(|_| fits).cloned() else {
        // Of an unknown address too, so that both take the same time. The address is not recorded: it may be a password in the wrong place.
        record_of(&auth, user.map_or(Id::NIL, |user| user.id), LOG_IN, "refused").await?;
        return Err(wrong_credentials().into());
    };
    attempt.succeeded(&auth).await;
    let (user, hash) = if user.is_suspended {
        let kept = match body.keep_account {
            true => erasure::keep(&auth, &headers, (&user, hash.as_deref()), body.code.as_deref()).await?,
            false => None,
        };
        let Some((user, hash)) = kept else {
            record(&auth, &user, LOG_IN, "suspended").await?;
            return Err(erasure::pending(&auth, &user)
                .await?
                .unwrap_or_else(|| suspended(StatusCode::FORBIDDEN))
                .into());
        };
        // A code counts once, so nobody is asked for another.
        if user.has_second_factor {
            return log_in_session(&auth, &headers, (user, hash.as_deref()), StatusCode::OK, None).await;
        }
        (user, hash)
    } else {
        (user, hash)
    };
    second_factor::after_password(&auth, &headers, (user, hash.as_deref()), StatusCode::OK).await
}

pub(crate) fn wrong_credentials() -> Problem {
    let detail = "The address or the password is wrong.";
    Problem::new(StatusCode::UNAUTHORIZED, "invalid_credentials", detail)
}

/// Begins the session of somebody who has logged in, on record.
pub(crate) async fn log_in_session<D: Database>(
    auth: &Auth<D>,
    headers: &HeaderMap,
    (user, password_hash): (User, Option<&str>),
    status: StatusCode,
    recovery_codes: Option<Vec<String>>,
) -> Result<Response> {
    let user_id = user.id;
    let response = begin_session(auth, headers, (user, password_hash), None, status, recovery_codes).await?;
    record_of(auth, user_id, LOG_IN, "ok").await?;
    Ok(response)
}

/// Begins a session for an account that was read as `user` with this password hash, in a browser that is known from then on. `at_provider` is the
/// session there that it goes on with; `recovery_codes` are new ones to show.
pub(crate) async fn begin_session<D: Database>(
    auth: &Auth<D>,
    headers: &HeaderMap,
    (user, password_hash): (User, Option<&str>),
    at_provider: Option<&ProviderSession>,
    status: StatusCode,
    recovery_codes: Option<Vec<String>>,
) -> Result<Response> {
    let token = RefreshToken::new(Id::new())?;
    let (id, hashes, lifetime_ms) = (token.session_id, hashes(&token), refresh_token::LIFETIME_MS);
    let begun = match at_provider {
        Some(there) => auth.store().create_provider_session(id, &user, &hashes, there, lifetime_ms).await?,
        None => auth.store().create_session(id, &user, &hashes, lifetime_ms).await?,
    };
    if !begun {
        // The password was reset or the account suspended while it was checked.
        return Err(wrong_credentials().into());
    }
    let issuer = auth.issuer().await?;
    let email = user.email.clone();
    let body = session_body(auth, &issuer, user, &token).await?;
    let mut response = session_response(auth, headers, SessionBody { recovery_codes, ..body }, &token, status);
    // A session begins only if the account has not changed since it was read, so this is its password.
    if let Some(password_hash) = password_hash {
        mark_browser(auth, headers, &issuer.0, (&email, password_hash), &mut response)?;
    }
    Ok(response)
}

/// The browser is known for the account with this address and password hash from now on. A mark that it has already is kept.
pub(crate) fn mark_browser<D: Database>(
    auth: &Auth<D>,
    headers: &HeaderMap,
    issuer: &Issuer,
    (email, password_hash): (&str, &str),
    response: &mut Response,
) -> Result<()> {
    let email = limits::spelling(email);
    let name = issuer.mark_name(&email)?;
    let mark = match cookies::mark(headers, &name) {
        Some(mark) if issuer.known_browser(&email, password_hash, &mark)?.is_some() => mark,
        _ => issuer.mark(&email, password_hash)?,
    };
    cookies::set_mark(response.headers_mut(), headers, &name, mark, auth.app.site().is_https(headers));
    Ok(())
}

pub(crate) fn hashes(token: &RefreshToken) -> TokenHashes {
    TokenHashes { token: token.hash(), family: token.family_hash() }
}

async fn session_body<D: Database>(
    auth: &Auth<D>,
    (issuer, now): &(Issuer, Timestamp),
    user: User,
    refresh: &RefreshToken,
) -> Result<SessionBody> {
    let access_token = issuer.issue(&user, Some(refresh.session_id), Purpose::Session, *now)?;
    let user = user_body(user, &auth.app.roles().await?);
    Ok(SessionBody { token: TokenBody::new(access_token), user, recovery_codes: None })
}

fn session_response<D: Database>(
    auth: &Auth<D>,
    headers: &HeaderMap,
    body: SessionBody,
    refresh: &RefreshToken,
    status: StatusCode,
) -> Response {
    let access_token = body.token.access_token.clone();
    let mut response = (status, Json::<_>(body)).into_response();
    let secure = auth.app.site().is_https(headers);
    cookies::set(response.headers_mut(), access_token, refresh.to_string(), secure);
    response
}

pub(crate) fn presented_token(headers: &HeaderMap) -> Option<RefreshToken> {
    RefreshToken::parse(&web::session::cookie(headers, cookies::REFRESH_COOKIE)?)
}

/// Renews the session of the cookie.
///
/// A refresh token can be used again for thirty seconds and gives the same answer, in case the first was lost. One that is used later, or after its
/// successor was used, ends the whole session.
#[cfg_attr(test, utoipa::path(
    post, path = "/auth/refresh", tag = "Signing in", operation_id = "refreshSession",
    responses(
        (status = 200, description = "The session, and new cookies.", body = SessionBody),
        (status = 401, description = "`session_revoked`: it was used from two places. `session_expired`: it was not used for thirty days. `session_ended`: it was logged out or revoked. `account_suspended`: the account is suspended. `second_factor_setup_required`: a role needs a second factor by now, which a log-in sets up."),
        (status = 403, description = "`cross_origin`."),
    ),
))]
async fn refresh<D: Database>(State(auth): State<Auth<D>>, method: Method, headers: HeaderMap) -> Result<Response> {
    auth.check_origin(&method, &headers)?;
    let old = presented_token(&headers).ok_or_else(Problem::unauthenticated)?;
    let issuer = auth.issuer().await?;
    let successors = issuer.0.successors(&old)?;
    let new: Vec<String> = successors.iter().map(RefreshToken::hash).collect();
    let lifetimes = Lifetimes { session_ms: refresh_token::LIFETIME_MS, grace_ms: refresh_token::GRACE_MS };
    match auth.store().rotate_session(old.session_id, &hashes(&old), &new, lifetimes).await? {
        Rotation::Rotated { user, .. } if user.is_suspended => Err(suspended(StatusCode::UNAUTHORIZED).into()),
        Rotation::Rotated { user, successor } => {
            let new = successors.get(successor).ok_or_else(Problem::unauthenticated)?;
            second_factor::check_session(&auth, &user, new).await?;
            let body = session_body(&auth, &issuer, user, new).await?;
            Ok(session_response(&auth, &headers, body, new, StatusCode::OK))
        }
        Rotation::Unknown => Err(Problem::unauthenticated().into()),
        Rotation::Reused => {
            Err(over("session_revoked", "This session was used from two places and has been ended. Log in again.")
                .into())
        }
        Rotation::Ended => Err(over("session_ended", "You have been logged out. Log in again.").into()),
        Rotation::Expired => {
            let detail = "Your session has expired after 30 days without use. Log in again.";
            Err(over("session_expired", detail).into())
        }
    }
}

/// The problem for a session that has ended.
pub(crate) fn over(code: &'static str, detail: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code, detail)
}

/// Ends the session of the cookie.
///
/// With everything that was made in it, also tokens for programs, and clears the cookies.
#[cfg_attr(test, utoipa::path(
    post, path = "/auth/logout", tag = "Signing in", operation_id = "logOut",
    responses(
        (status = 204, description = "The browser has no session any more."),
        (status = 200, description = "The same, and where the browser ends its session at the provider that it signed in with.", body = LoggedOut),
        (status = 403, description = "`cross_origin`."),
    ),
))]
async fn log_out<D: Database>(State(auth): State<Auth<D>>, method: Method, headers: HeaderMap) -> Result<Response> {
    auth.check_origin(&method, &headers)?;
    let mut location = None;
    if let Some(token) = presented_token(&headers) {
        let at_provider = auth.store().provider_session(token.session_id, &hashes(&token)).await?;
        if let Some(user_id) = auth.store().end_session(token.session_id, &hashes(&token)).await? {
            record_of(&auth, user_id, "session.log_out", "ok").await?;
        }
        if let Some(session) = at_provider {
            location = oidc::end_session_url(&auth, &headers, session).await;
        }
    }
    let mut response = signed_out(&auth, &headers);
    if let Some(location) = location {
        let cookies = std::mem::take(response.headers_mut());
        response = Json::<_>(LoggedOut { location }).into_response();
        response.headers_mut().extend(cookies);
    }
    Ok(response)
}

/// Where the browser goes on, to log out at the provider as well.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = LoggedOut, example = json!({"location": "https://login.example.com/logout"})))]
struct LoggedOut {
    location: String,
}

/// 204, and the browser has no session any more.
pub(crate) fn signed_out<D: Database>(auth: &Auth<D>, headers: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    cookies::clear(response.headers_mut(), auth.app.site().is_https(headers));
    response
}

/// Reads one's own account.
#[cfg_attr(test, utoipa::path(
    get, path = "/auth/me", tag = "Account", operation_id = "getOwnAccount",
    responses(
        (status = 200, description = "The account.", body = UserBody),
    ),
))]
async fn me<D: Database>(State(auth): State<Auth<D>>, session: Session) -> Result<Json<UserBody>> {
    Ok(Json(user_body(account_of(&auth, &session).await?, &auth.app.roles().await?)))
}

/// Makes a token for a program.
///
/// It is valid at the gateway and nowhere else.
#[cfg_attr(test, utoipa::path(
    post, path = "/auth/mcp-token", tag = "Signing in", operation_id = "createGatewayToken",
    responses(
        (status = 201, description = "The token.", body = TokenBody),
    ),
))]
async fn gateway_token<D: Database>(State(auth): State<Auth<D>>, session: Allowed<GatewayUse>) -> Result<Response> {
    let user = account_of(&auth, &session).await?;
    let (issuer, now) = auth.issuer().await?;
    let token = issuer.issue(&user, session.session_id(), Purpose::Gateway, now)?;
    Ok(web::extract::created(TokenBody::new(token)))
}

/// A token may outlive its account by minutes. Its person then no longer exists.
pub(crate) async fn account_of<D: Database>(auth: &Auth<D>, session: &Session) -> Result<User> {
    Ok(auth.store().user(session.user_id()).await?.ok_or_else(Problem::unauthenticated)?)
}

/// Public keys as a JWK set (RFC 7517).
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = KeySet))]
struct KeySet {
    #[cfg_attr(test, schema(value_type = Vec<std::collections::BTreeMap<String, serde_json::Value>>))]
    keys: Vec<serde_json::Value>,
}

/// Lists the public keys of this installation (RFC 7517).
#[cfg_attr(test, utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "Signing in", operation_id = "listPublicKeys",
    responses(
        (status = 200, description = "The keys.", body = KeySet),
    ),
))]
async fn jwks<D: Database>(State(auth): State<Auth<D>>) -> Result<Json<KeySet>> {
    let keys = auth.store().public_keys().await?;
    Ok(Json(KeySet { keys: keys.iter().filter_map(|key| serde_json::from_str(key).ok()).collect() }))
}

#[cfg(test)]
mod described;
#[cfg(test)]
mod others_tests;
#[cfg(test)]
mod tests;
