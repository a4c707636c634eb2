//! Private routes: what one component asks of another. A handler that takes [`Inside`] cannot be reached without a token of the component that it
//! names (`crates/inside-token`), whoever can reach the address.

use std::{marker::PhantomData, sync::Arc};

use axum::extract::FromRequestParts;
use domain::{Id, Timestamp};
use http::{HeaderValue, StatusCode, request::Parts};
use inside_token::{About, InvalidToken, Signer};
use problem::Problem;
use storage::{
    Database,
    inside_keys::{InsideKey, NewInsideKey},
};

use crate::{App, Authenticator, Error, Result, session::bearer};

/// A component that calls others, or several of which each may call, as a type.
pub trait Caller: Send + Sync + 'static {
    /// Their ids in `spin.toml`.
    const NAMES: &'static [&'static str];
}

macro_rules! callers {
    ($($(#[doc = $what:literal])* $marker:ident = $($name:literal)|+;)*) => {
        $(
            $(#[doc = $what])*
            #[derive(Clone, Copy, Debug)]
            pub enum $marker {}

            impl Caller for $marker {
                const NAMES: &'static [&'static str] = &[$($name),+];
            }
        )*
    };
}

callers! {
    /// Executes runs.
    Stream = "stream";
    /// Stops them.
    Chat = "chat";
    /// Erases accounts.
    Auth = "auth";
    /// Asks about settings.
    Ops = "ops";
    /// Those that have webhooks sent: where runs end and where work is done that nobody waits for.
    Waking = "auth" | "stream";
    /// Those that need what is in a person's files: for a copy of everything, and for models.
    Reading = "auth" | "stream" | "tools";
    /// Those that need the texts of a person's documents, for models.
    ReadingTexts = "stream" | "tools";
}

/// A call of the component `C`.
#[derive(Clone, Debug)]
pub struct Inside<C> {
    /// For which person it is made. `None`: for nobody in particular.
    pub user_id: Option<Id>,
    /// The caller's run or request.
    pub request_id: String,
    caller: PhantomData<C>,
}

impl<C> Inside<C> {
    /// The person for whom the call is made.
    ///
    /// # Errors
    /// 401: it is for nobody.
    pub fn person(&self) -> Result<Id> {
        self.user_id.ok_or_else(|| refused(NotAbout).into())
    }

    /// The run for which the call is made.
    ///
    /// # Errors
    /// 401: it is for none.
    pub fn run_id(&self) -> Result<Id> {
        self.request_id.parse().map_err(|_| refused(NotAbout).into())
    }

    /// Refuses a call that is not for this person.
    ///
    /// # Errors
    /// 401.
    pub fn check_person(&self, user_id: Id) -> Result<()> {
        if self.user_id == Some(user_id) { Ok(()) } else { Err(refused(NotAbout).into()) }
    }

    /// Refuses a call that is not for this run.
    ///
    /// # Errors
    /// 401.
    pub fn check_run(&self, run_id: Id) -> Result<()> {
        if self.run_id()? == run_id { Ok(()) } else { Err(refused(NotAbout).into()) }
    }
}

/// The token was made for another person or run, or for none.
#[derive(Debug, thiserror::Error)]
#[error("the token of the calling component is about something else")]
struct NotAbout;

/// 401. It says no more than that: whoever sees it is not meant to call.
fn refused(cause: impl std::error::Error + Send + Sync + 'static) -> Problem {
    let detail = "Only components of this installation call this address, and each proves which one it is.";
    Problem::new(StatusCode::UNAUTHORIZED, "inside_token", detail).with_cause(cause)
}

impl<S: Authenticator, C: Caller> FromRequestParts<S> for Inside<C> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let token = bearer(&parts.headers).ok_or_else(|| refused(InvalidToken::Refused))?;
        let call = state.app().inside_call(token).await?;
        if !C::NAMES.contains(&call.caller.as_str()) {
            return Err(refused(InvalidToken::NotAllowed).into());
        }
        let user_id = call.user_id.map(|id| id.parse()).transpose().map_err(|_| refused(NotAbout))?;
        Ok(Self { user_id, request_id: call.request_id, caller: PhantomData })
    }
}

impl<D: Database> App<D> {
    /// Verifies a token for this component.
    async fn inside_call(&self, token: &str) -> Result<inside_token::Call> {
        let mut known = self.known().await?;
        let now = |ahead_ms: i64| Timestamp::now().as_millis().saturating_add(ahead_ms);
        let mut verified = known.inside.verify(token, self.component(), now(known.ahead_ms));
        // The caller may just have made itself a key.
        if verified == Err(InvalidToken::UnknownKey) && self.may_be_new() {
            known = self.read().await?;
            verified = known.inside.verify(token, self.component(), now(known.ahead_ms));
        }
        Ok(verified.map_err(refused)?)
    }

    /// The proof, as a header, that this component calls another, for a person or for nobody in particular. `request_id` is its run or request.
    ///
    /// # Errors
    /// Those of the database, and of a damaged key.
    pub async fn prove(&self, callee: &str, user_id: Option<Id>, request_id: &str) -> Result<HeaderValue> {
        let (signer, now_ms) = self.signer().await?;
        let user_id = user_id.map(|id| id.to_string());
        let token = signer.sign(callee, About { user_id: user_id.as_deref(), request_id }, now_ms);
        let token = token.map_err(Problem::internal)?;
        let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(Problem::internal)?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// With the component's own key, which is made on first use, and the database's time.
    async fn signer(&self) -> Result<(Arc<Signer>, i64)> {
        let mut known = self.known().await?;
        if known.own_key.is_none() {
            let new = Signer::generate(self.component());
            let public = new.public_key();
            let key = InsideKey { id: public.id, caller: public.caller, public_key: public.jwk };
            self.store().add_inside_key(&NewInsideKey { key, private_key: new.private_key() }).await?;
            // Another instance may have stored one first: the stored key counts.
            known = self.read().await?;
        }
        let own = known.own_key.as_ref().ok_or_else(|| Problem::internal(NoKey))?;
        let now_ms = Timestamp::now().as_millis().saturating_add(known.ahead_ms);
        let mut cached = self.own_signer();
        if let Some(signer) = cached.as_ref().filter(|signer| signer.id() == own.id) {
            return Ok((Arc::clone(signer), now_ms));
        }
        let private_key = self.store().private_half(own)?;
        let signer = Signer::from_pem(self.component(), &own.id, &private_key).map_err(Problem::internal)?;
        let signer = Arc::new(signer);
        *cached = Some(Arc::clone(&signer));
        Ok((signer, now_ms))
    }
}

/// The component's key was replaced in the moment in which it was made.
#[derive(Debug, thiserror::Error)]
#[error("this component has no key to prove its calls with")]
struct NoKey;
