//! How often somebody may try to log in. Passwords are expensive to check and cheap to guess, so an attempt is counted before anything is checked; one
//! that succeeds is given back.
//!
//! A browser in which somebody has logged in to the account with its password has an allowance of its own (`identity::known_browser`), so strangers
//! cannot lock a person out of it. Elsewhere an address uses up its own allowance before that of the account; many addresses together use up that as
//! well, and whoever shares an address shares its allowance. Addresses without an account are counted like others.

use domain::{Id, User};
use http::HeaderMap;
use identity::address;
use problem::Problem;
use sha2::{Digest, Sha256};
use storage::{
    Database,
    rate_limits::{Bucket, RetryAfterMs},
};
use web::{
    Result,
    client_address::{ClientAddress, client_address},
    log::{Level, log},
};

use crate::{COMPONENT, cookies, routes::Auth};

const SECOND_US: u64 = 1_000_000;
const MINUTE_US: u64 = 60 * SECOND_US;
const HOUR_US: u64 = 60 * MINUTE_US;

/// A rate: one in this time, after a number at once.
type Rate = (u64, u32);

/// Passwords for an account in a browser that it knows: its person mistypes some, and a thief of the browser guesses none.
const KNOWN_BROWSER: Rate = (MINUTE_US, 20);
/// Passwords for an account from one address, in other browsers: 96 a day.
const ADDRESS_AND_ACCOUNT: Rate = (15 * MINUTE_US, 10);
/// The same from an address that may be that of a proxy, so of everybody. It leaves others something of [`ACCOUNT`].
const SHARED_ADDRESS_AND_ACCOUNT: Rate = (MINUTE_US, 60);
/// Passwords for an account from everywhere, in other browsers: 1440 a day. Ten addresses use this up at once, or two that
/// may be shared, and fifteen keep it used up.
const ACCOUNT: Rate = (MINUTE_US, 100);
/// Passwords for all accounts from one address, in other browsers: an office whose people come in the morning with wrong passwords.
const ADDRESS: Rate = (10 * SECOND_US, 60);
/// Passwords that are hashed for one address, right and wrong ones and those of new accounts. Each costs some 30 ms of a processor, and one that is
/// right a session; nothing of this is given back.
const HASHES: Rate = (SECOND_US, 600);
/// Codes of an app, by whoever knows the password, in one known browser, or in all others.
const CODE: Rate = (HOUR_US, 10);
/// Codes of an app from everywhere: known browsers can be collected by whoever knows the password. Three of a million codes count at any time, so at 24
/// a day somebody guesses one in forty years on average. Recovery codes help when a thief of the password has used this up.
const ALL_CODES: Rate = (HOUR_US, 30);
/// Recovery codes for an account from one address. Nobody guesses 80 bits: this only keeps down the work and the record.
const RECOVERY_CODE: Rate = (MINUTE_US, 100);
/// Passwords that somebody enters again in their session. Right ones count, too: they cost as much.
const PROOF: Rate = (MINUTE_US, 10);

/// Copies of everything about a person: each reads all of it, and one that broke off is asked for again.
const EXPORT: Rate = (10 * MINUTE_US, 6);

/// An attempt that was counted, with what is given back if it succeeds.
pub(crate) struct Attempt(Vec<Bucket>);

impl Attempt {
    /// `spent` is never given back.
    async fn begin<D: Database>(auth: &Auth<D>, given_back: Vec<Bucket>, spent: Option<Bucket>) -> Result<Self> {
        match auth.store().take_rate(given_back.iter().cloned().chain(spent)).await? {
            Ok(()) => Ok(Self(given_back)),
            Err(RetryAfterMs(wait_ms)) => Err(too_many(wait_ms).into()),
        }
    }

    /// Begins to log in to the account with this address, which is in its one spelling, and with this password hash, if it exists and has one. Nothing
    /// tells whether there is such an account.
    pub(crate) async fn with_password<D: Database>(
        auth: &Auth<D>,
        headers: &HeaderMap,
        email: &str,
        password_hash: Option<&str>,
    ) -> Result<Self> {
        let ClientAddress { network, may_be_shared } = from(auth, headers);
        let hashes = Some(bucket("hashes", &network, HASHES));
        if let Some(browser) = known_browser(auth, headers, email, password_hash).await? {
            return Self::begin(auth, vec![bucket("browser", &browser, KNOWN_BROWSER)], hashes).await;
        }
        // The table of limits has no addresses of people.
        let account = hash(email);
        let pair = if may_be_shared { SHARED_ADDRESS_AND_ACCOUNT } else { ADDRESS_AND_ACCOUNT };
        let mut buckets =
            vec![bucket("account", &account, ACCOUNT), bucket("pair", &format!("{network}:{account}"), pair)];
        if !may_be_shared {
            buckets.push(bucket("address", &network, ADDRESS));
        }
        Self::begin(auth, buckets, hashes).await
    }

    /// Makes an account, whose password is hashed.
    pub(crate) async fn with_new_account<D: Database>(auth: &Auth<D>, headers: &HeaderMap) -> Result<Self> {
        Self::begin(auth, Vec::new(), Some(bucket("hashes", &from(auth, headers).network, HASHES))).await
    }

    /// Tries a code of an app.
    pub(crate) async fn with_code<D: Database>(
        auth: &Auth<D>,
        headers: &HeaderMap,
        user: &User,
        password_hash: Option<&str>,
    ) -> Result<Self> {
        let account = user.id.to_string();
        let narrow = match known_browser(auth, headers, &spelling(&user.email), password_hash).await? {
            Some(browser) => bucket("code-browser", &browser, CODE),
            None => bucket("code", &account, CODE),
        };
        Self::begin(auth, vec![narrow, bucket("codes", &account, ALL_CODES)], None).await
    }

    /// Tries a recovery code.
    pub(crate) async fn with_recovery_code<D: Database>(
        auth: &Auth<D>,
        headers: &HeaderMap,
        user: &User,
    ) -> Result<Self> {
        let of = format!("{}:{}", from(auth, headers).network, user.id);
        Self::begin(auth, vec![bucket("recovery", &of, RECOVERY_CODE)], None).await
    }

    /// Enters the password again in a session.
    pub(crate) async fn with_proof<D: Database>(auth: &Auth<D>, user_id: Id) -> Result<Self> {
        Self::begin(auth, Vec::new(), Some(bucket("proof", &user_id.to_string(), PROOF))).await
    }

    /// Asks for a copy of everything.
    pub(crate) async fn with_export<D: Database>(auth: &Auth<D>, user_id: Id) -> Result<Self> {
        Self::begin(auth, Vec::new(), Some(bucket("export", &user_id.to_string(), EXPORT))).await
    }

    /// It succeeded, so it does not count. If that cannot be stored, it counts and succeeds all the same.
    pub(crate) async fn succeeded<D: Database>(self, auth: &Auth<D>) {
        if let Err(error) = auth.store().give_back_rate(&self.0).await {
            log(
                COMPONENT,
                Level::Warn,
                "an attempt could not be given back",
                serde_json::json!({"detail": error.to_string()}),
            );
        }
    }
}

fn from<D: Database>(auth: &Auth<D>, headers: &HeaderMap) -> ClientAddress {
    client_address(headers, auth.config.client_address_header.as_ref())
}

/// An address of an account in its one spelling.
pub(crate) fn spelling(email: &str) -> String {
    address::spellings(email).unwrap_or_default().0
}

/// The name of the browser, if somebody has logged in to this account with its present password in it.
async fn known_browser<D: Database>(
    auth: &Auth<D>,
    headers: &HeaderMap,
    email: &str,
    password_hash: Option<&str>,
) -> Result<Option<String>> {
    if !cookies::has_mark(headers) {
        return Ok(None);
    }
    // An address without an account is looked at like others, or the time would say that there is none.
    let (issuer, _) = auth.issuer().await?;
    for name in issuer.mark_names(email)? {
        let Some(mark) = cookies::mark(headers, &name) else { continue };
        let browser = issuer.known_browser(email, password_hash.unwrap_or_default(), &mark)?;
        if let Some(browser) = browser.filter(|_| password_hash.is_some()) {
            return Ok(Some(browser));
        }
    }
    Ok(None)
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
