//! The routes of accounts and sessions.

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use domain::{Id, Timestamp, User, UserRole};
use http::{HeaderMap, Method, StatusCode};
use identity::{Caller, Issuer, password, refresh_token, refresh_token::RefreshToken, session_token, signup};
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{Database, Store, sessions::Rotation, users::NewUser};
use web::{App, Authenticator, Json, Result, Session, session::check_origin};

use crate::{
    config::{Config, Signup},
    cookies, keys,
};

/// The router's state.
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
    async fn authenticate(&self, token: &str) -> Result<Caller> {
        self.app.authenticate(token).await
    }
}

impl<D: Database> Auth<D> {
    fn store(&self) -> &Store<D> {
        self.app.store()
    }

    async fn issuer(&self) -> Result<Issuer> {
        keys::issuer(self.store(), &self.config.signing_key).await
    }
}

/// All routes of this component.
pub(crate) fn router<D: Database + 'static>(app: App<D>, config: Config) -> Router {
    Router::new()
        .route("/auth/signup", post(sign_up::<D>))
        .route("/auth/login", post(log_in::<D>))
        .route("/auth/refresh", post(refresh::<D>))
        .route("/auth/logout", post(log_out::<D>))
        .route("/auth/me", get(me::<D>))
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
struct SessionBody {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    user: UserBody,
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        Self { id: user.id, email: user.email, name: user.name, role: user.role, created_at: user.created_at }
    }
}

fn closed() -> Problem {
    let detail = "This installation takes no new accounts. Ask whoever runs it.";
    Problem::new(StatusCode::FORBIDDEN, "signup_closed", detail)
}

async fn sign_up<D: Database>(
    State(auth): State<Auth<D>>,
    method: Method,
    headers: HeaderMap,
    Json(body): Json<SignUp>,
) -> Result<Response> {
    check_origin(&method, &headers)?;
    let email = signup::email(&body.email)?;
    let name = signup::name(&body.name)?;
    let password = signup::password(&body.password)?;
    if auth.config.signup == Signup::Closed && auth.store().has_users().await? {
        return Err(closed().into());
    }
    let password_hash = password::hash(password)?;
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
    check_origin(&method, &headers)?;
    // A wrong password and an unknown address look the same and take as long.
    let email = signup::email(&body.email).unwrap_or_default();
    let (user, hash) =
        auth.store().user_by_email(&email).await?.map_or((None, None), |(user, hash)| (Some(user), hash));
    let fits = body.password.len() <= signup::MAX_PASSWORD_BYTES && password::verify(&body.password, hash.as_deref());
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
    auth.store().create_session(token.session_id, user.id, &token.hash(), refresh_token::LIFETIME_MS).await?;
    session_response(auth, headers, user, &token, status).await
}

async fn session_response<D: Database>(
    auth: &Auth<D>,
    headers: &HeaderMap,
    user: User,
    refresh: &RefreshToken,
    status: StatusCode,
) -> Result<Response> {
    let access_token = auth.issuer().await?.issue(&user)?;
    let body = SessionBody {
        access_token: access_token.clone(),
        token_type: "Bearer",
        expires_in: session_token::LIFETIME_S,
        user: user.into(),
    };
    let mut response = (status, Json::<_>(body)).into_response();
    let secure = cookies::is_secure(&auth.config.public_url, headers);
    cookies::set(response.headers_mut(), access_token, refresh.to_string(), secure);
    Ok(response)
}

fn presented_token(headers: &HeaderMap) -> Option<RefreshToken> {
    RefreshToken::parse(&web::session::cookie(headers, cookies::REFRESH_COOKIE)?)
}

async fn refresh<D: Database>(State(auth): State<Auth<D>>, method: Method, headers: HeaderMap) -> Result<Response> {
    check_origin(&method, &headers)?;
    let old = presented_token(&headers).ok_or_else(Problem::unauthenticated)?;
    let new = RefreshToken::new(old.session_id)?;
    let rotation =
        auth.store().rotate_session(old.session_id, &old.hash(), &new.hash(), refresh_token::LIFETIME_MS).await?;
    match rotation {
        Rotation::Rotated(user) => session_response(&auth, &headers, user, &new, StatusCode::OK).await,
        Rotation::Unknown => Err(Problem::unauthenticated().into()),
        Rotation::Reused => {
            let detail = "This session was used from two places and has been ended. Log in again.";
            Err(Problem::new(StatusCode::UNAUTHORIZED, "session_revoked", detail).into())
        }
    }
}

async fn log_out<D: Database>(State(auth): State<Auth<D>>, method: Method, headers: HeaderMap) -> Result<Response> {
    check_origin(&method, &headers)?;
    if let Some(token) = presented_token(&headers) {
        auth.store().end_session(token.session_id, &token.hash()).await?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    let secure = cookies::is_secure(&auth.config.public_url, &headers);
    cookies::clear(response.headers_mut(), secure);
    Ok(response)
}

async fn me<D: Database>(State(auth): State<Auth<D>>, session: Session) -> Result<Json<UserBody>> {
    // A token outlives its account by minutes at most; the person behind it is then nobody.
    let user = auth.store().user(session.user_id()).await?.ok_or_else(Problem::unauthenticated)?;
    Ok(Json(user.into()))
}

#[derive(Serialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

async fn jwks<D: Database>(State(auth): State<Auth<D>>) -> Result<Json<KeySet>> {
    let keys = auth.store().public_keys().await?;
    Ok(Json(KeySet { keys: keys.iter().filter_map(|key| serde_json::from_str(&key.public_key).ok()).collect() }))
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};
    use router_test::{Answer, Fixture, request};
    use serde_json::{Value, json};

    use super::*;

    fn send(fixture: &Fixture, signup: Signup, path: &str, body: Option<&Value>, cookie: Option<&str>) -> Answer {
        let config = Config { signup, signing_key: String::new(), public_url: String::new() };
        let method = if path == "/auth/me" { Method::GET } else { Method::POST };
        let mut request = request(method, path, None, body);
        if let Some(cookie) = cookie {
            request.headers_mut().insert(header::COOKIE, HeaderValue::from_str(cookie).unwrap());
        }
        router_test::send(router(fixture.app.clone(), config), request)
    }

    fn sign_up(fixture: &Fixture) -> Answer {
        let body = json!({"email": "Ada@Example.org", "password": "correct horse", "name": "Ada"});
        send(fixture, Signup::Open, "/auth/signup", Some(&body), None)
    }

    /// The cookies of an answer as a browser would send them back.
    fn cookies(answer: &Answer) -> String {
        let values = answer.headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap());
        values.filter_map(|cookie| cookie.split(';').next()).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn who_signs_up_is_signed_in() {
        let fixture = Fixture::default();
        let answer = sign_up(&fixture);
        assert_eq!((answer.status, &answer.json["user"]["email"]), (StatusCode::CREATED, &json!("ada@example.org")));
        assert_eq!((&answer.json["token_type"], &answer.json["expires_in"]), (&json!("Bearer"), &json!(900)));
        for cookie in answer.headers.get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.contains("HttpOnly; SameSite=Lax") && !cookie.contains("Secure"), "{cookie}");
        }
        let me = send(&fixture, Signup::Open, "/auth/me", None, Some(&cookies(&answer)));
        assert_eq!(me.json, answer.json["user"]);
        assert_eq!(sign_up(&fixture).json["code"], "email_taken");
    }

    #[test]
    fn a_wrong_password_and_an_unknown_address_look_the_same() {
        let fixture = Fixture::default();
        sign_up(&fixture);
        let log_in = |email: &str, password: &str| {
            let body = json!({"email": email, "password": password});
            send(&fixture, Signup::Open, "/auth/login", Some(&body), None)
        };
        assert_eq!(log_in("ada@example.org", "correct horse").status, StatusCode::OK);
        let (wrong, unknown) = (log_in("ada@example.org", "x"), log_in("eve@example.org", "x"));
        assert_eq!((wrong.status.as_u16(), &wrong.json["code"]), (401, &json!("invalid_credentials")));
        assert_eq!((wrong.status, &wrong.json["detail"]), (unknown.status, &unknown.json["detail"]));
    }

    #[test]
    fn a_refresh_token_works_once_and_a_second_use_ends_the_session() {
        let fixture = Fixture::default();
        let first = cookies(&sign_up(&fixture));
        let refresh = |cookies: &str| send(&fixture, Signup::Open, "/auth/refresh", None, Some(cookies));
        let second = refresh(&first);
        assert_eq!(second.status, StatusCode::OK);
        assert_eq!(refresh(&first).json["code"], "session_revoked");
        assert_eq!(refresh(&cookies(&second)).json["code"], "unauthenticated");
    }

    #[test]
    fn who_logs_out_cannot_come_back_with_the_old_cookie() {
        let fixture = Fixture::default();
        let session = cookies(&sign_up(&fixture));
        let out = send(&fixture, Signup::Open, "/auth/logout", None, Some(&session));
        assert_eq!((out.status, cookies(&out).as_str()), (StatusCode::NO_CONTENT, "ea_access=; ea_refresh="));
        assert_eq!(send(&fixture, Signup::Open, "/auth/refresh", None, Some(&session)).status, 401);
    }

    #[test]
    fn a_closed_installation_takes_its_first_account_and_no_other() {
        let fixture = Fixture::default();
        let sign_up = |email: &str| {
            let body = json!({"email": email, "password": "correct horse"});
            send(&fixture, Signup::Closed, "/auth/signup", Some(&body), None)
        };
        assert_eq!(sign_up("a@example.org").json["user"]["role"], "admin");
        assert_eq!(
            (sign_up("b@example.org").status.as_u16(), &sign_up("b@example.org").json["code"]),
            (403, &json!("signup_closed"))
        );
    }

    #[test]
    fn each_field_that_cannot_be_taken_is_named() {
        let fixture = Fixture::default();
        for (field, body) in [
            ("email", json!({"email": "ada", "password": "correct horse"})),
            ("password", json!({"email": "a@b.c", "password": "short"})),
            ("name", json!({"email": "a@b.c", "password": "correct horse", "name": "x".repeat(101)})),
        ] {
            let answer = send(&fixture, Signup::Open, "/auth/signup", Some(&body), None);
            assert_eq!((answer.status.as_u16(), &answer.json["field"]), (422, &json!(field)));
        }
    }
}
