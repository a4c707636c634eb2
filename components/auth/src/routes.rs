//! The routes of accounts and sessions.

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use domain::{Id, Timestamp, User, UserRole};
use http::{HeaderMap, Method, StatusCode};
use identity::{Issuer, Purpose, address, password, refresh_token, refresh_token::RefreshToken, session_token, signup};
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{
    Database, Store,
    sessions::{Lifetimes, Rotation, TokenHashes},
    users::NewUser,
};
use web::{App, Authenticator, Json, Result, Session};

use crate::{
    config::{Config, Signup},
    cookies, keys,
};

struct Auth<D> {
    app: App<D>,
    config: Config,
}

impl<D> Clone for Auth<D> {
    fn clone(&self) -> Self {
        Self { app: self.app.clone(), config: self.config.clone() }
    }
}

impl<D: Database> Authenticator for Auth<D> {
    type Database = D;

    fn app(&self) -> &App<D> {
        &self.app
    }
}

impl<D: Database> Auth<D> {
    fn store(&self) -> &Store<D> {
        self.app.store()
    }

    fn check_origin(&self, method: &Method, headers: &HeaderMap) -> Result<()> {
        self.app.site().check_origin(method, headers)
    }

    async fn issuer(&self) -> Result<(Issuer, Timestamp)> {
        keys::issuer(self.store(), &self.config.signing_key).await
    }
}

pub(crate) fn router<D: Database + 'static>(app: App<D>, config: Config) -> Router {
    Router::new()
        .route("/auth/signup", get(sign_up_state::<D>).post(sign_up::<D>))
        .route("/auth/login", post(log_in::<D>))
        .route("/auth/refresh", post(refresh::<D>))
        .route("/auth/logout", post(log_out::<D>))
        .route("/auth/me", get(me::<D>))
        .route("/auth/mcp-token", post(gateway_token::<D>))
        .route("/.well-known/jwks.json", get(jwks::<D>))
        .with_state(Auth { app, config })
}

#[derive(Deserialize)]
struct SignUp {
    email: String,
    password: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct LogIn {
    email: String,
    password: String,
}

#[derive(Serialize)]
struct UserBody {
    id: Id,
    email: String,
    name: String,
    role: UserRole,
    created_at: Timestamp,
}

#[derive(Serialize)]
struct TokenBody {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
}

impl TokenBody {
    fn new(access_token: String) -> Self {
        Self { access_token, token_type: "Bearer", expires_in: session_token::LIFETIME_S }
    }
}

#[derive(Serialize)]
struct SessionBody {
    #[serde(flatten)]
    token: TokenBody,
    user: UserBody,
}

/// Whether an account can be made, for the page to know before it shows the form.
#[derive(Serialize)]
struct SignUpState {
    open: bool,
    /// There is no account yet; the next one becomes the administrator's.
    first: bool,
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        Self { id: user.id, email: user.email, name: user.name, role: user.role, created_at: user.created_at }
    }
}

fn closed() -> Problem {
    let detail = "This installation accepts no new accounts. Ask the administrator.";
    Problem::new(StatusCode::FORBIDDEN, "signup_closed", detail)
}

async fn sign_up_state<D: Database>(State(auth): State<Auth<D>>) -> Result<Json<SignUpState>> {
    let first = !auth.store().has_users().await?;
    Ok(Json(SignUpState { open: first || auth.config.signup == Signup::Open, first }))
}

async fn sign_up<D: Database>(
    State(auth): State<Auth<D>>,
    method: Method,
    headers: HeaderMap,
    Json(body): Json<SignUp>,
) -> Result<Response> {
    auth.check_origin(&method, &headers)?;
    let email = address::email(&body.email)?;
    let name = signup::name(&body.name)?;
    password::check(&body.password, &email)?;
    if auth.config.signup == Signup::Closed && auth.store().has_users().await? {
        return Err(closed().into());
    }
    let password_hash = password::hash(&body.password)?;
    let user = NewUser { email: &email, name, password_hash: &password_hash };
    let user = match auth.config.signup {
        Signup::Closed => auth.store().create_first_user(user).await?.ok_or_else(closed)?,
        Signup::Open => auth.store().create_user(user).await?.ok_or_else(|| {
            Problem::conflict("email_taken", "There is an account with this address already. Log in instead.")
        })?,
    };
    begin_session(&auth, &headers, user, StatusCode::CREATED).await
}

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
    let fits = password::verify(&body.password, hash.as_deref());
    let user = user.filter(|_| fits).ok_or_else(|| {
        let detail = "The address or the password is wrong.";
        Problem::new(StatusCode::UNAUTHORIZED, "invalid_credentials", detail)
    })?;
    begin_session(&auth, &headers, user, StatusCode::OK).await
}

async fn begin_session<D: Database>(
    auth: &Auth<D>,
    headers: &HeaderMap,
    user: User,
    status: StatusCode,
) -> Result<Response> {
    let token = RefreshToken::new(Id::new())?;
    auth.store().create_session(token.session_id, user.id, &hashes(&token), refresh_token::LIFETIME_MS).await?;
    let issuer = auth.issuer().await?;
    session_response(auth, headers, &issuer, user, &token, status)
}

fn hashes(token: &RefreshToken) -> TokenHashes {
    TokenHashes { token: token.hash(), family: token.family_hash() }
}

fn session_response<D: Database>(
    auth: &Auth<D>,
    headers: &HeaderMap,
    (issuer, now): &(Issuer, Timestamp),
    user: User,
    refresh: &RefreshToken,
    status: StatusCode,
) -> Result<Response> {
    let access_token = issuer.issue(&user, Purpose::Session, *now)?;
    let body = SessionBody { token: TokenBody::new(access_token.clone()), user: user.into() };
    let mut response = (status, Json::<_>(body)).into_response();
    let secure = auth.app.site().is_https(headers);
    cookies::set(response.headers_mut(), access_token, refresh.to_string(), secure);
    Ok(response)
}

fn presented_token(headers: &HeaderMap) -> Option<RefreshToken> {
    RefreshToken::parse(&web::session::cookie(headers, cookies::REFRESH_COOKIE)?)
}

async fn refresh<D: Database>(State(auth): State<Auth<D>>, method: Method, headers: HeaderMap) -> Result<Response> {
    auth.check_origin(&method, &headers)?;
    let old = presented_token(&headers).ok_or_else(Problem::unauthenticated)?;
    let issuer = auth.issuer().await?;
    let new = issuer.0.successor(&old)?;
    let lifetimes = Lifetimes { session_ms: refresh_token::LIFETIME_MS, grace_ms: refresh_token::GRACE_MS };
    match auth.store().rotate_session(old.session_id, &hashes(&old), &new.hash(), lifetimes).await? {
        Rotation::Rotated(user) => session_response(&auth, &headers, &issuer, user, &new, StatusCode::OK),
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
fn over(code: &'static str, detail: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code, detail)
}

async fn log_out<D: Database>(State(auth): State<Auth<D>>, method: Method, headers: HeaderMap) -> Result<Response> {
    auth.check_origin(&method, &headers)?;
    if let Some(token) = presented_token(&headers) {
        auth.store().end_session(token.session_id, &hashes(&token)).await?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    let secure = auth.app.site().is_https(&headers);
    cookies::clear(response.headers_mut(), secure);
    Ok(response)
}

async fn me<D: Database>(State(auth): State<Auth<D>>, session: Session) -> Result<Json<UserBody>> {
    Ok(Json(account(&auth, session).await?.into()))
}

/// Issues a token for a program, valid only at the gateway.
async fn gateway_token<D: Database>(State(auth): State<Auth<D>>, session: Session) -> Result<Response> {
    let user = account(&auth, session).await?;
    let (issuer, now) = auth.issuer().await?;
    Ok(web::extract::created(TokenBody::new(issuer.issue(&user, Purpose::Gateway, now)?)))
}

/// A token may outlive its account by minutes. Its person then no longer exists.
async fn account<D: Database>(auth: &Auth<D>, session: Session) -> Result<User> {
    Ok(auth.store().user(session.user_id()).await?.ok_or_else(Problem::unauthenticated)?)
}

#[derive(Serialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

async fn jwks<D: Database>(State(auth): State<Auth<D>>) -> Result<Json<KeySet>> {
    let (keys, _) = auth.store().public_keys().await?;
    Ok(Json(KeySet { keys: keys.iter().filter_map(|key| serde_json::from_str(&key.public_key).ok()).collect() }))
}

#[cfg(test)]
mod tests;
