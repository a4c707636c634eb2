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

/// An account to be made.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = SignUp, example = json!({"email": "ada@example.com", "password": "correct horse battery", "name": "Ada"})))]
pub(crate) struct SignUp {
    /// The address, in any spelling.
    email: String,
    /// 8 characters to 512 bytes.
    #[cfg_attr(test, schema(min_length = 8))]
    password: String,
    /// What the person wants to be called.
    #[serde(default)]
    #[cfg_attr(test, schema(max_length = 100))]
    name: String,
    /// What follows the `#` of an invitation.
    invitation: Option<String>,
}

/// Whether an account can be made, for the page to know before it shows the form.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct SignUpState {
    /// An account can be made now.
    open: bool,
    /// There is no account yet; the next one becomes the administrator's.
    first: bool,
    /// An invitation makes an account.
    invite: bool,
    /// The organisations' providers that people can sign in with.
    providers: Vec<ProviderBody>,
}

/// An organisation's provider to sign in with.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = SignInProvider, example = json!({"name": "example", "label": "Example Inc."})))]
struct ProviderBody {
    /// For `/auth/oidc/login`.
    name: String,
    /// For people.
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

/// Says whether an account can be made.
///
/// For the page to know before it shows the form.
#[cfg_attr(test, utoipa::path(
    get, path = "/auth/signup", tag = "Signing in", operation_id = "getSignUpState",
    responses(
        (status = 200, description = "Whether, and how.", body = SignUpState),
    ),
))]
pub(crate) async fn state<D: Database>(State(auth): State<Auth<D>>) -> Result<Json<SignUpState>> {
    let first = !auth.store().has_users().await?;
    let signup = auth.config.signup;
    let providers = auth.sign_in.providers.iter();
    let providers =
        providers.map(|provider| ProviderBody { name: provider.name.clone(), label: provider.label.clone() }).collect();
    Ok(Json(SignUpState { open: first || signup == Signup::Open, first, invite: signup != Signup::Closed, providers }))
}

/// Makes an account and logs in to it.
///
/// The first account is an administrator's, later ones are members', or have the role of the invitation.
#[cfg_attr(test, utoipa::path(
    post, path = "/auth/signup", tag = "Signing in", operation_id = "signUp",
    request_body = SignUp,
    responses(
        (status = 201, description = "The session, and its cookies.", body = crate::routes::SessionBody),
        (status = 401, description = "`second_factor_setup_required`: the account was made, and its role needs a second factor. `invalid_credentials`: the account was changed in the same moment."),
        (status = 403, description = "`signup_closed`: no account is made this way. `invitation_invalid`: it has expired, was withdrawn or has been used. `cross_origin`."),
        (status = 409, description = "`email_taken`: there is an account with this address."),
        (status = 429, description = "`rate_limited`."),
    ),
))]
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
