//! The second step of a log-in, and what people do about their own second factor.
//!
//! Whoever knows the password of an account with a second factor, or of one whose role needs it, gets a challenge and no session. A challenge is a token
//! that opens nothing but these routes, for as long as nothing changes about the account; with it comes a code, or a second factor is set up. A code
//! counts once, which the database decides. What is being set up is not stored: its sealed secret travels with the person.

pub(crate) mod challenge;

use axum::{extract::State, response::Response};
use domain::{Timestamp, User};
use http::{HeaderMap, StatusCode};
use identity::{
    password,
    refresh_token::RefreshToken,
    second_factor::{RecoveryCode, TotpSecret, TypedCode},
};
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{
    Database,
    second_factors::{NewSecondFactor, SECRET, SecondFactor},
};
use vault::VaultError;
use web::{Json, Result, Session, extract::created};
use zeroize::Zeroizing;

use crate::{
    limits::Attempt,
    record::record,
    routes::{Auth, hashes, log_in_session, over},
};

/// Time to install an app and read the picture with it.
const SETUP_MS: i64 = 30 * 60 * 1000;

/// The name under which a secret is sealed that is being set up. One that counts has the name [`SECRET`].
const NEW: &str = "second_factor_setup";

/// The first code of a second factor that is being set up.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = SecondFactorConfirmation, example = json!({"setup": "...", "code": "123456"})))]
pub(crate) struct Confirmation {
    /// As it was given when it began.
    setup: String,
    /// What the app shows now.
    code: String,
}

/// Shows that it is the person and not whoever found their browser: the password, or a code.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Proof, example = json!({"password": "correct horse battery"})))]
pub(crate) struct Proof {
    /// The password, or a code.
    password: Option<String>,
    /// Six digits of the app, or a recovery code.
    code: Option<String>,
}

impl Proof {
    /// Whether nothing was entered.
    pub(crate) const fn is_empty(&self) -> bool {
        self.password.is_none() && self.code.is_none()
    }

    /// The password.
    pub(crate) fn by_password(password: String) -> Self {
        Self { password: Some(password), code: None }
    }
}

/// A second factor that is being set up.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = SecondFactorSetup, example = json!({"setup": "...", "secret": "JBSWY3DPEHPK3PXP", "address": "otpauth://totp/..."})))]
pub(crate) struct SetupBody {
    /// To send back with the first code.
    setup: String,
    /// For apps that cannot read the picture, in base 32.
    secret: String,
    /// What the picture says (`otpauth://totp/...`).
    address: String,
}

/// Recovery codes. They are shown only now.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = RecoveryCodes, example = json!({"recovery_codes": ["4f9k-2m8q-7x3r"]})))]
struct RecoveryCodesBody {
    recovery_codes: Vec<String>,
}

/// One's own second factor.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = SecondFactor, example = json!({"enabled": true, "created_at": "2026-01-01T12:00:00.000Z", "recovery_codes_left": 10, "required": false, "has_password": true})))]
pub(crate) struct StateBody {
    /// There is one.
    enabled: bool,
    created_at: Option<Timestamp>,
    recovery_codes_left: i64,
    /// A role needs one, so it can be replaced and not removed.
    required: bool,
    /// Whoever has no password logs in elsewhere, and needs none here.
    has_password: bool,
}

/// Goes on after the right password, or after an account was made: with a session, or with a challenge if a second factor is needed.
pub(crate) async fn after_password<D: Database>(
    auth: &Auth<D>,
    headers: &HeaderMap,
    (user, password_hash): (User, Option<&str>),
    status: StatusCode,
) -> Result<Response> {
    let problem = if user.has_second_factor {
        code_required()
    } else if auth.config.needs_second_factor(&user) {
        let detail = "Your role needs a second factor. Set one up to go on.";
        Problem::new(StatusCode::UNAUTHORIZED, "second_factor_setup_required", detail)
    } else {
        return log_in_session(auth, headers, (user, password_hash), status, None).await;
    };
    let (issuer, now) = auth.issuer().await?;
    let challenge = issuer.issue_challenge(&user, now)?;
    Err(problem.with_challenge(challenge).into())
}

/// The password was right, and a code is needed besides.
pub(crate) fn code_required() -> Problem {
    let detail = "Enter the code that your app shows, or a recovery code.";
    Problem::new(StatusCode::UNAUTHORIZED, "second_factor_required", detail)
}

/// The code does not count.
pub(crate) fn wrong_code() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "invalid_code", WRONG_CODE)
}

/// Ends a session that began with a password, if a role of its person needs a second factor by now and they have none.
pub(crate) async fn check_session<D: Database>(auth: &Auth<D>, user: &User, token: &RefreshToken) -> Result<()> {
    if !is_missing(auth, user) || auth.store().provider_session_of(token.session_id).await?.is_some() {
        return Ok(());
    }
    auth.store().end_session(token.session_id, &hashes(token)).await?;
    Err(needed_by_now().into())
}

/// Whether a role of a person needs a second factor and they have none.
pub(crate) fn is_missing<D: Database>(auth: &Auth<D>, user: &User) -> bool {
    auth.config.needs_second_factor(user) && !user.has_second_factor
}

/// A session that began with a password does not go on without a second factor.
pub(crate) fn needed_by_now() -> Problem {
    over("second_factor_setup_required", "Your role needs a second factor by now. Log in again to set one up.")
}

/// Reads the state of one's own second factor.
#[cfg_attr(test, utoipa::path(
    get, path = "/auth/second-factor", tag = "Second factor", operation_id = "getSecondFactor",
    responses(
        (status = 200, description = "Whether there is one.", body = StateBody),
    ),
))]
pub(crate) async fn read<D: Database>(State(auth): State<Auth<D>>, session: Session) -> Result<Json<StateBody>> {
    let found = auth.store().user_with_password(session.user_id()).await?;
    let (user, hash) = found.ok_or_else(Problem::unauthenticated)?;
    let kept = auth.store().second_factor(user.id).await?;
    Ok(Json(StateBody {
        enabled: kept.is_some(),
        created_at: kept.as_ref().map(|kept| kept.created_at),
        recovery_codes_left: kept.map_or(0, |kept| kept.recovery_codes_left),
        required: auth.config.needs_second_factor(&user),
        has_password: hash.is_some(),
    }))
}

/// Begins to set up a second factor.
///
/// The first, or one instead of another.
#[cfg_attr(test, utoipa::path(
    post, path = "/auth/second-factor/setup", tag = "Second factor", operation_id = "beginSecondFactor",
    request_body = Proof,
    responses(
        (status = 200, description = "What is set up.", body = SetupBody),
        (status = 409, description = "`second_factor_unreadable`: the key that it was encrypted with is missing; use the password."),
        (status = 429, description = "`rate_limited`."),
    ),
))]
pub(crate) async fn setup<D: Database>(
    State(auth): State<Auth<D>>,
    session: Session,
    headers: HeaderMap,
    Json(proof): Json<Proof>,
) -> Result<Json<SetupBody>> {
    let user = proven(&auth, &session, &headers, proof).await?;
    begin_setup(&auth, &user).await
}

/// Sets up a second factor.
///
/// That it is the person was shown when it began, and what was given then is void when the account has changed since. Ends all other sessions; the
/// first one deletes the account's API keys.
#[cfg_attr(test, utoipa::path(
    post, path = "/auth/second-factor/confirm", tag = "Second factor", operation_id = "confirmSecondFactor",
    request_body = Confirmation,
    responses(
        (status = 201, description = "The recovery codes.", body = RecoveryCodesBody),
        (status = 409, description = "`changed_meanwhile`: the account was changed in the same moment."),
    ),
))]
pub(crate) async fn confirm<D: Database>(
    State(auth): State<Auth<D>>,
    session: Session,
    Json(confirmation): Json<Confirmation>,
) -> Result<Response> {
    let user = auth.store().user(session.user_id()).await?.ok_or_else(Problem::unauthenticated)?;
    let codes = finish_setup(&auth, &user, &confirmation, Some(&session)).await?.ok_or_else(changed)?;
    Ok(created(RecoveryCodesBody { recovery_codes: codes }))
}

/// Removes one's own second factor.
#[cfg_attr(test, utoipa::path(
    post, path = "/auth/second-factor/remove", tag = "Second factor", operation_id = "removeSecondFactor",
    request_body = Proof,
    responses(
        (status = 204, description = "There is none any more."),
        (status = 409, description = "`second_factor_needed`: a role needs one. `second_factor_unreadable`: the key that it was encrypted with is missing; use the password."),
        (status = 429, description = "`rate_limited`."),
    ),
))]
pub(crate) async fn remove<D: Database>(
    State(auth): State<Auth<D>>,
    session: Session,
    headers: HeaderMap,
    Json(proof): Json<Proof>,
) -> Result<StatusCode> {
    let user = proven(&auth, &session, &headers, proof).await?;
    if auth.config.needs_second_factor(&user) {
        let detail = "Your role needs a second factor. You can replace it by another, and not remove it.";
        return Err(Problem::conflict("second_factor_needed", detail).into());
    }
    if auth.store().remove_second_factor(user.id, false).await? {
        record(&auth, &user, "second_factor.remove", "ok").await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Makes new recovery codes instead of all before.
#[cfg_attr(test, utoipa::path(
    post, path = "/auth/second-factor/recovery-codes", tag = "Second factor", operation_id = "renewRecoveryCodes",
    request_body = Proof,
    responses(
        (status = 201, description = "The codes.", body = RecoveryCodesBody),
        (status = 409, description = "`no_second_factor`: there is none. `changed_meanwhile`: the account was changed in the same moment. `second_factor_unreadable`: the key that it was encrypted with is missing; use the password."),
        (status = 429, description = "`rate_limited`."),
    ),
))]
pub(crate) async fn renew_recovery_codes<D: Database>(
    State(auth): State<Auth<D>>,
    session: Session,
    headers: HeaderMap,
    Json(proof): Json<Proof>,
) -> Result<Response> {
    let user = proven(&auth, &session, &headers, proof).await?;
    if !user.has_second_factor {
        let detail = "You have no second factor, so you need no recovery codes. Set one up first.";
        return Err(Problem::conflict("no_second_factor", detail).into());
    }
    let codes = RecoveryCode::set()?;
    let hashes: Vec<String> = codes.iter().map(RecoveryCode::hash).collect();
    if !auth.store().renew_recovery_codes(&user, &hashes).await? {
        return Err(changed().into());
    }
    Ok(created(RecoveryCodesBody { recovery_codes: codes.iter().map(ToString::to_string).collect() }))
}

pub(crate) fn changed() -> Problem {
    Problem::conflict("changed_meanwhile", "Your account has changed meanwhile. Look at it again.")
}

const WRONG_CODE: &str =
    "This code is wrong, is over or has been used. Enter the one that your app shows now, or a recovery code.";

/// The person of a session, who has shown that it is them.
pub(crate) async fn proven<D: Database>(
    auth: &Auth<D>,
    session: &Session,
    headers: &HeaderMap,
    Proof { password, code }: Proof,
) -> Result<User> {
    let found = auth.store().user_with_password(session.user_id()).await?;
    let (user, hash) = found.ok_or_else(Problem::unauthenticated)?;
    if let Some(text) = password {
        Attempt::with_proof(auth, user.id).await?;
        if !password::verify(&text, hash.as_deref()) {
            return Err(Problem::invalid_field("password", "This is not your password.").into());
        }
        return Ok(user);
    }
    let Some(code) = code else {
        return Err(Problem::invalid_field("password", "Enter your password, or a code of your app.").into());
    };
    if counts(auth, headers, (&user, hash.as_deref()), &code).await? {
        Ok(user)
    } else {
        Err(Problem::invalid_field("code", WRONG_CODE).into())
    }
}

/// Whether this is a code of the account, which has this password hash, that was not used before. It is used by this.
pub(crate) async fn counts<D: Database>(
    auth: &Auth<D>,
    headers: &HeaderMap,
    (user, password_hash): (&User, Option<&str>),
    typed: &str,
) -> Result<bool> {
    match TypedCode::parse(typed) {
        None => Ok(false),
        Some(TypedCode::Recovery(code)) => {
            let attempt = Attempt::with_recovery_code(auth, headers, user).await?;
            let used = auth.store().use_recovery_code(user.id, &code.hash()).await?;
            record(auth, user, "recovery_code.use", if used { "ok" } else { "refused" }).await?;
            if used {
                attempt.succeeded(auth).await;
            }
            Ok(used)
        }
        Some(TypedCode::App(code)) => {
            let Some(kept) = auth.store().second_factor(user.id).await? else { return Ok(false) };
            let attempt = Attempt::with_code(auth, headers, user, password_hash).await?;
            let secret = open(auth, user, &kept).await?;
            let used = match secret.check(&code, kept.now)? {
                Some(step) => auth.store().use_code(user.id, kept.created_at, step).await?,
                None => false,
            };
            if used {
                attempt.succeeded(auth).await;
            } else {
                // Whoever comes here knows the password.
                record(auth, user, "second_factor.code", "refused").await?;
            }
            Ok(used)
        }
    }
}

async fn open<D: Database>(auth: &Auth<D>, user: &User, kept: &SecondFactor) -> Result<TotpSecret> {
    let unreadable = |cause: VaultError| {
        let detail = "Your second factor can no longer be read: the key that it was encrypted with is missing. Enter a recovery code, or ask an \
                      administrator to take it away.";
        Problem::conflict("second_factor_unreadable", detail).with_cause(cause)
    };
    let key = auth.store().secrets_key_to_read(user.id).await?;
    let key = key.ok_or(VaultError::NoKey).map_err(unreadable)?;
    let secret = key.open("", SECRET, &kept.sealed).map_err(unreadable)?;
    Ok(TotpSecret::parse(&secret).ok_or(VaultError::Unopenable).map_err(unreadable)?)
}

async fn begin_setup<D: Database>(auth: &Auth<D>, user: &User) -> Result<Json<SetupBody>> {
    let secret = TotpSecret::new()?;
    let base32 = secret.base32();
    let until_ms = auth.issuer().await?.1.as_millis().saturating_add(SETUP_MS);
    let text = Zeroizing::new(format!("{until_ms}.{}.{}", user.access_version, *base32));
    let key = auth.store().secrets_key(user.id).await?;
    let setup = key.seal("", NEW, &text).map_err(Problem::internal)?;
    Ok(Json(SetupBody { setup, secret: base32.to_string(), address: secret.address(&user.email)?.to_string() }))
}

/// Sets up what [`begin_setup`] began, and returns the recovery codes. Without a session, it must be the first of the account. `None`: it is not, or
/// the account has changed in this moment.
async fn finish_setup<D: Database>(
    auth: &Auth<D>,
    user: &User,
    Confirmation { setup, code }: &Confirmation,
    session: Option<&Session>,
) -> Result<Option<Vec<String>>> {
    let expired = || {
        Problem::invalid_field(
            "setup",
            "Setting it up took too long, or your account has changed meanwhile. Begin again.",
        )
    };
    let (_, now) = auth.issuer().await?;
    let key = auth.store().secrets_key(user.id).await?;
    let text = key.open("", NEW, setup).map_err(|cause| expired().with_cause(cause))?;
    let (until_ms, rest) = text.split_once('.').ok_or_else(expired)?;
    let (version, base32) = rest.split_once('.').ok_or_else(expired)?;
    let secret = TotpSecret::parse(base32).ok_or_else(expired)?;
    let in_time = until_ms.parse().is_ok_and(|until_ms: i64| now.as_millis() <= until_ms);
    if !in_time || version.parse() != Ok(user.access_version) {
        return Err(expired().into());
    }
    let step = match TypedCode::parse(code) {
        Some(TypedCode::App(code)) => secret.check(&code, now)?,
        _ => None,
    };
    let Some(step) = step else {
        let detail = "This is not the code that the app shows now. If it goes on like this, set the clock of the device with the app.";
        return Err(Problem::invalid_field("code", detail).into());
    };
    let codes = RecoveryCode::set()?;
    let recovery_hashes: Vec<String> = codes.iter().map(RecoveryCode::hash).collect();
    let sealed = key.seal("", SECRET, base32).map_err(Problem::internal)?;
    let new = NewSecondFactor {
        sealed: &sealed,
        step,
        recovery_hashes: &recovery_hashes,
        only_first: session.is_none(),
        kept_session: session.and_then(|session| session.session_id()),
    };
    if !auth.store().set_second_factor(user, new).await? {
        return Ok(None);
    }
    Ok(Some(codes.iter().map(ToString::to_string).collect()))
}

#[cfg(test)]
mod tests;
