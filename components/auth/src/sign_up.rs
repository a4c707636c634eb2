//! `/auth/signup`: making an account, and whether somebody can.

use axum::{extract::State, response::Response};
use http::{HeaderMap, Method, StatusCode};
use identity::{address, link_token::LinkToken, password, signup};
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{
    Database,
    users::{NewUser, Opening},
};
use web::{Json, Result};

use crate::{config::Signup, limits::Attempt, record::record, routes::Auth, second_factor};

#[derive(Deserialize)]
pub(crate) struct SignUp {
    email: String,
    password: String,
    #[serde(default)]
    name: String,
    /// The secret of an invitation's link.
    invitation: Option<String>,
}

/// Whether an account can be made, for the page to know before it shows the form.
#[derive(Serialize)]
pub(crate) struct SignUpState {
    open: bool,
    /// There is no account yet; the next one becomes the administrator's.
    first: bool,
    /// An invitation makes an account.
    invite: bool,
    /// The organisations' providers that people can sign in with.
    providers: Vec<ProviderBody>,
}

#[derive(Serialize)]
struct ProviderBody {
    name: String,
    label: String,
}

fn closed(signup: Signup) -> Problem {
    let detail = match signup {
        Signup::Invite => {
            "An account here needs an invitation. Open the link that you were given, or ask an administrator for one."
        }
        Signup::Open | Signup::Closed => "This installation accepts no new accounts. Ask its administrator for one.",
    };
    Problem::new(StatusCode::FORBIDDEN, "signup_closed", detail)
}

pub(crate) fn not_invited(signup: Signup) -> Problem {
    let detail = match signup {
        Signup::Open => {
            "This invitation has expired, was withdrawn or has been used. You can sign up without it: open the page and create an account."
        }
        Signup::Invite | Signup::Closed => {
            "This invitation has expired, was withdrawn or has been used. Ask an administrator for another."
        }
    };
    Problem::new(StatusCode::FORBIDDEN, "invitation_invalid", detail)
}

/// `GET /auth/signup`.
pub(crate) async fn state<D: Database>(State(auth): State<Auth<D>>) -> Result<Json<SignUpState>> {
    let first = !auth.store().has_users().await?;
    let signup = auth.config.signup;
    let providers = auth.sign_in.providers.iter();
    let providers =
        providers.map(|provider| ProviderBody { name: provider.name.clone(), label: provider.label.clone() }).collect();
    Ok(Json(SignUpState { open: first || signup == Signup::Open, first, invite: signup != Signup::Closed, providers }))
}

/// `POST /auth/signup`.
pub(crate) async fn create<D: Database>(
    State(auth): State<Auth<D>>,
    method: Method,
    headers: HeaderMap,
    Json(body): Json<SignUp>,
) -> Result<Response> {
    auth.check_origin(&method, &headers)?;
    let email = address::email(&body.email)?;
    let name = signup::name(&body.name)?;
    password::check(&body.password, &email)?;
    let invitation = match &body.invitation {
        Some(secret) => Some(LinkToken::parse(secret).ok_or_else(|| not_invited(auth.config.signup))?.hash()),
        None => None,
    };
    let opening = match (auth.config.signup, invitation.as_deref()) {
        (Signup::Open | Signup::Invite, Some(hash)) => Opening::Invited(hash),
        (Signup::Open, None) => Opening::Open,
        (Signup::Invite, None) | (Signup::Closed, _) => Opening::OnlyFirst,
    };
    // Hashing a password takes long, so it is not done for whoever gets no account.
    if let Some(refusal) = refused(&auth, opening).await? {
        return Err(refusal.into());
    }
    Attempt::with_new_account(&auth, &headers).await?;
    let password_hash = password::hash(&body.password)?;
    let user = NewUser { email: &email, name, password_hash: &password_hash };
    let Some(user) = auth.store().create_user(user, opening).await? else {
        let taken =
            || Problem::conflict("email_taken", "There is an account with this address already. Log in instead.");
        return Err(refused(&auth, opening).await?.unwrap_or_else(taken).into());
    };
    record(&auth, &user, "account.create", "ok").await?;
    second_factor::after_password(&auth, &headers, (user, Some(&password_hash)), StatusCode::CREATED).await
}

/// Why nobody gets an account this way, whatever their address.
async fn refused<D: Database>(auth: &Auth<D>, opening: Opening<'_>) -> Result<Option<Problem>> {
    let refusal = match opening {
        Opening::Open => None,
        Opening::OnlyFirst => Some(closed(auth.config.signup)),
        Opening::Invited(hash) if auth.store().is_invited(hash).await? => None,
        Opening::Invited(_) => Some(not_invited(auth.config.signup)),
    };
    // The very first account needs no reason.
    Ok(if refusal.is_some() && !auth.store().has_users().await? { None } else { refusal })
}
