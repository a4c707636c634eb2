//! Who may call this tool server: `tools`, which proves it with a token (`crates/inside-token`). A tool server has no database and no key. It reads the
//! public keys from `ops`, which says them to everybody inside, and can sign nothing.
//!
//! The variable `audience` is this server's id in `spin.toml`. It is `*` where the adapter serves alone, outside the installation: then everybody may
//! call. Without the variable, nobody may.

use std::{
    cell::RefCell,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use inside_token::{InvalidToken, Keys, Published};

use crate::{
    log::{self, warn},
    tracing,
};

/// Where the keys are (`components/ops/src/keys.rs`).
const KEYS: &str = "http://ops.spin.internal/internal/keys";

/// Some keys of a few hundred bytes each.
const MAX_KEYS_BYTES: usize = 256 * 1024;

/// For so long, keys count that were read: a key that was revoked opens nothing after this.
const FRESH: Duration = Duration::from_secs(30);

/// An unknown key has them read anew, but not more often than this, whoever invents keys.
const REREAD: Duration = Duration::from_secs(1);

/// Everybody may call.
const ANYBODY: &str = "*";

/// The public keys, and how far the database's clock is ahead of this host's.
struct Known {
    at: Instant,
    keys: Keys,
    ahead_ms: i64,
}

thread_local! {
    static KNOWN: RefCell<Option<Known>> = const { RefCell::new(None) };
}

/// Why a caller is refused.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It proves nothing.
    Caller(InvalidToken),
    /// Nobody can be verified now.
    Unverifiable(String),
}

impl Refused {
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::Caller(_) => StatusCode::UNAUTHORIZED,
            Self::Unverifiable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The problem (RFC 9457), for whoever reads answers.
    pub(crate) fn body(&self) -> String {
        let (code, detail) = match self {
            Self::Caller(_) => (
                "inside_token",
                "Only components of this installation call this address, and each proves which one it is.",
            ),
            Self::Unverifiable(_) => ("unavailable", "It cannot be verified who calls. Try again in a moment."),
        };
        let status = self.status().as_u16();
        serde_json::json!({ "type": "about:blank", "status": status, "code": code, "detail": detail }).to_string()
    }
}

/// Refuses who may not call.
pub(crate) async fn check(headers: &HeaderMap) -> Result<(), Refused> {
    let audience = audience().await;
    let checked = match audience.as_str() {
        ANYBODY => return Ok(()),
        "" => {
            Err(Refused::Unverifiable("the variable audience is not set: it is this server's id, mcp-...".to_owned()))
        }
        audience => verified(headers, audience).await,
    };
    checked.inspect_err(|refused| match refused {
        Refused::Caller(cause) => warn("a call is refused", &cause.to_string()),
        Refused::Unverifiable(cause) => warn("nobody can be verified", cause),
    })
}

/// Sets up what says who this server is: its log, and what is recorded of its work. Requests that come together may all do it; each of them knows the same.
pub(crate) async fn set_up() {
    if !traces::is_decided() {
        let audience = audience().await;
        let name = Some(audience.as_str()).filter(|name| !name.is_empty() && *name != ANYBODY);
        log::set_up(name, &spin_sdk::variables::get("log_level").await.unwrap_or_default());
        tracing::set_up(name).await;
    }
}

async fn audience() -> String {
    spin_sdk::variables::get("audience").await.unwrap_or_default()
}

async fn verified(headers: &HeaderMap, audience: &str) -> Result<(), Refused> {
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let token = token.ok_or(Refused::Caller(InvalidToken::Refused))?;
    let is_fresh =
        |within: Duration| KNOWN.with_borrow(|known| known.as_ref().is_some_and(|known| known.at.elapsed() < within));
    if !is_fresh(FRESH) {
        read().await?;
    }
    let verify = || {
        KNOWN.with_borrow(|known| {
            let known = known.as_ref().ok_or_else(|| Refused::Unverifiable("no keys are known".to_owned()))?;
            let now_ms = host_ms().saturating_add(known.ahead_ms);
            known.keys.verify(token, audience, now_ms).map(drop).map_err(Refused::Caller)
        })
    };
    match verify() {
        Err(Refused::Caller(InvalidToken::UnknownKey)) if !is_fresh(REREAD) => {
            read().await?;
            verify()
        }
        verified => verified,
    }
}

async fn read() -> Result<(), Refused> {
    let at = Instant::now();
    let published = published().await.map_err(Refused::Unverifiable)?;
    let ahead_ms = published.now_ms.saturating_sub(host_ms());
    KNOWN.replace(Some(Known { at, keys: Keys::new(published.keys), ahead_ms }));
    Ok(())
}

async fn published() -> Result<Published, String> {
    let request = Request::get(KEYS).body(Bytes::new()).map_err(|error| error.to_string())?;
    let response = outgoing::send(request).await.map_err(|error| format!("ops does not tell the keys: {error}"))?;
    if response.status() != StatusCode::OK {
        return Err(format!("ops does not tell the keys: status {}", response.status()));
    }
    let body = Limited::new(response.into_body(), MAX_KEYS_BYTES).collect().await;
    let body = body.map_err(|error| format!("the keys cannot be read: {error}"))?.to_bytes();
    serde_json::from_slice(&body).map_err(|error| format!("the keys cannot be read: {error}"))
}

fn host_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
