//! How often somebody may try to log in. Passwords are expensive to check and cheap to guess, so an attempt is counted before anything is checked; one
//! that succeeds is given back.
//!
//! Strangers cannot lock a person out. A browser in which somebody has logged in to the account before has an allowance of its own
//! (`identity::known_browser`), and elsewhere an address uses up its own allowance long before that of the account. Addresses without an account are
//! counted like others.

use domain::{Id, User};
use http::HeaderMap;
use identity::address;
use problem::Problem;
use sha2::{Digest, Sha256};
use storage::{
    Database,
    rate_limits::{Bucket, RetryAfterMs},
};
use web::{Result, client_address::client_address};

use crate::{cookies, routes::Auth};

const SECOND_US: u64 = 1_000_000;
const MINUTE_US: u64 = 60 * SECOND_US;
const HOUR_US: u64 = 60 * MINUTE_US;

/// A rate: one in this time, after a number at once.
type Rate = (u64, u32);

/// Passwords for an account in a browser that it knows: its person mistypes some, and a thief of the browser guesses none.
const KNOWN_BROWSER: Rate = (MINUTE_US, 20);
/// Passwords for an account from one address, in other browsers: 96 a day.
const ADDRESS_AND_ACCOUNT: Rate = (15 * MINUTE_US, 10);
/// Passwords for an account from everywhere, in other browsers. 1440 a day guess no password that may be chosen, and fifteen addresses must try all day
/// to use them up.
const ACCOUNT: Rate = (MINUTE_US, 100);
/// Passwords for all accounts from one address, in other browsers: an office whose people come in the morning with wrong passwords, and some 30 ms of a
/// processor for each.
const ADDRESS: Rate = (10 * SECOND_US, 60);
/// Codes of an app, by whoever knows the password. Three of a million codes count at any time: at 24 a day, somebody guesses one in
/// forty years on average. Recovery codes have 80 bits and need no limit, so they help when a thief of the password has used this up.
const CODE: Rate = (HOUR_US, 10);
/// Passwords that somebody enters again in their session.
const PROOF: Rate = (MINUTE_US, 10);

/// An attempt that was counted.
pub(crate) struct Attempt(Vec<Bucket>);

impl Attempt {
    async fn begin<D: Database>(auth: &Auth<D>, buckets: Vec<Bucket>) -> Result<Self> {
        match auth.store().take_rate(&buckets).await? {
            Ok(()) => Ok(Self(buckets)),
            Err(RetryAfterMs(wait_ms)) => Err(too_many(wait_ms).into()),
        }
    }

    /// Begins to log in to the account with this address, which is in its one spelling. Nothing tells whether there is such an account.
    pub(crate) async fn with_password<D: Database>(auth: &Auth<D>, headers: &HeaderMap, email: &str) -> Result<Self> {
        if let Some(browser) = known_browser(auth, headers, email).await? {
            return Self::begin(auth, vec![bucket("browser", &browser, KNOWN_BROWSER)]).await;
        }
        // The table of limits has no addresses of people.
        let account = hash(email);
        let mut buckets = vec![bucket("account", &account, ACCOUNT)];
        if let Some(from) = client_address(headers, auth.config.client_address_header.as_ref()) {
            buckets.push(bucket("address", &from, ADDRESS));
            buckets.push(bucket("pair", &format!("{from}:{account}"), ADDRESS_AND_ACCOUNT));
        }
        Self::begin(auth, buckets).await
    }

    /// Tries a code of an app.
    pub(crate) async fn with_code<D: Database>(auth: &Auth<D>, headers: &HeaderMap, user: &User) -> Result<Self> {
        let bucket = match known_browser(auth, headers, &spelling(&user.email)).await? {
            Some(browser) => bucket("code-browser", &browser, CODE),
            None => bucket("code", &user.id.to_string(), CODE),
        };
        Self::begin(auth, vec![bucket]).await
    }

    /// Enters the password again in a session.
    pub(crate) async fn with_proof<D: Database>(auth: &Auth<D>, user_id: Id) -> Result<Self> {
        Self::begin(auth, vec![bucket("proof", &user_id.to_string(), PROOF)]).await
    }

    /// It succeeded, so it does not count.
    pub(crate) async fn succeeded<D: Database>(self, auth: &Auth<D>) -> Result<()> {
        Ok(auth.store().give_back_rate(&self.0).await?)
    }
}

/// An address of an account in its one spelling.
pub(crate) fn spelling(email: &str) -> String {
    address::spellings(email).unwrap_or_default().0
}

/// The name of the browser, if somebody has logged in to this account in it before.
async fn known_browser<D: Database>(auth: &Auth<D>, headers: &HeaderMap, email: &str) -> Result<Option<String>> {
    if !cookies::has_mark(headers) {
        return Ok(None);
    }
    let (issuer, _) = auth.issuer().await?;
    let Some(mark) = cookies::mark(headers, &issuer.mark_name(email)?) else { return Ok(None) };
    Ok(issuer.known_browser(email, &mark)?)
}

fn bucket(kind: &str, of: &str, (interval_us, burst): Rate) -> Bucket {
    Bucket { key: format!("log-in:{kind}:{of}"), interval_us, burst }
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn too_many(wait_ms: u64) -> Problem {
    let seconds = wait_ms.div_ceil(1000).max(1);
    let wait = match seconds {
        1 => "1 second".to_owned(),
        2..=90 => format!("{seconds} seconds"),
        91..=5400 => format!("{} minutes", seconds.div_ceil(60)),
        _ => format!("{} hours", seconds.div_ceil(3600)),
    };
    Problem::rate_limited(
        format!("There were too many attempts. Nothing was checked this time. Try again in {wait}."),
        seconds,
    )
}

#[cfg(test)]
mod tests;
