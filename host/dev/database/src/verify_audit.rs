//! Checks the audit log of a database, whose app may go on meanwhile, and says which events were changed, removed, moved or inserted. Must not change
//! anything.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use audit::{
    chain::{Head, SealClaims},
    verification::{CheckedSeal, Verification, Verified},
};
use identity::statement::{About, StatementVerifier, key_id};
use native_postgres::PostgresDatabase;
use native_sqlite::SqliteFile;
use storage::{Database, Store, audit_chain::ChainState};

use crate::place::Place;

/// Places read at once: some hundred kilobytes.
const PAGE: u32 = 1000;
/// Seals read at once: there are never more of them than places.
const SEALS: u32 = PAGE + 1;
/// Events wait for seconds where something watches the installation, and for the next person elsewhere.
const MAX_WAIT_MS: i64 = 24 * 60 * 60 * 1000;
/// Events that went past the triggers, of which one is enough to know.
const MAX_OUTSIDE: u32 = 100;

/// What a check is compared with besides the database itself.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The head of an earlier check, from the app's log or the page, as POSITION:HASH. Finds out whether the record's end was cut off
    #[arg(long, value_name = "POSITION:HASH")]
    head: Option<String>,
    /// Public keys that may have signed, as /.well-known/jwks.json has them; those in the database if not given, which whoever changes the record can
    /// change too
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// Check the record in what `export` made, and not in a database
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
}

pub(crate) async fn run(place: &Place, arguments: &Arguments) -> Result<()> {
    let Some(file) = &arguments.export else { return check(place, arguments).await };
    let folder = tempfile::tempdir().context("cannot make a folder for a copy")?;
    let copy = Place::new(Some(folder.path().to_owned()), None)?;
    crate::import::run(&copy, file).await?;
    check(&copy, arguments).await
}

async fn check(place: &Place, arguments: &Arguments) -> Result<()> {
    let noted = arguments.head.as_deref().map(head).transpose()?;
    let keys = arguments.jwks.as_deref().map(keys).transpose()?;
    ensure!(place.exists(), "there is no database at {place}: name its folder with --state-dir");
    let verified = match place {
        Place::Sqlite(path) => verify(SqliteFile::open(path)?, noted, keys).await,
        Place::Postgres(url) => verify(PostgresDatabase::open(url.clone()).await?, noted, keys).await,
    };
    let (verified, waiting) = verified.with_context(|| {
        format!("cannot read the audit log of {place}; if its schema is older, run `cargo dev migrate` first")
    })?;
    for finding in &verified.findings {
        println!("{finding}");
    }
    if verified.erased_details > 0 {
        println!("{} details were erased with their accounts", verified.erased_details);
    }
    if verified.unread_details > 0 {
        println!(
            "{} details could not be checked: set SPIN_VARIABLE_MASTER_KEY as the app has it, or the people they are about were erased",
            verified.unread_details
        );
    }
    for warning in &verified.warnings {
        println!("warning: {warning}");
    }
    let Head { position, hash } = &verified.head;
    if waiting.waiting > 0 {
        println!("{} events wait for their place, the first for {} s", waiting.waiting, waiting.waiting_ms / 1000);
    }
    if waiting.waiting_ms > MAX_WAIT_MS {
        bail!(
            "nothing of the audit log of {place} was sealed for more than a day although events wait: start the app, or its chain was taken away"
        );
    }
    if !verified.findings.is_empty() {
        bail!("the audit log of {place} was tampered with: see above");
    }
    println!("the audit log of {place} is whole up to position {position}");
    if *position > 0 {
        let sealed_at = jiff::Timestamp::from_millisecond(verified.sealed_at)?;
        println!("sealed {sealed_at}; note the head for the next check: {position}:{hash}");
    }
    Ok(())
}

/// Prints the newest head as `POSITION:HASH` and nothing else, for a place that whoever owns the database cannot reach. It checks nothing: a check with
/// this head does, whenever it comes.
pub(crate) async fn say_head(place: &Place) -> Result<()> {
    ensure!(place.exists(), "there is no database at {place}: name its folder with --state-dir");
    let seal = match place {
        Place::Sqlite(path) => Store::new(SqliteFile::open(path)?).newest_audit_seal().await,
        Place::Postgres(url) => Store::new(PostgresDatabase::open(url.clone()).await?).newest_audit_seal().await,
    };
    let seal = seal.with_context(|| {
        format!("cannot read the audit log of {place}; if its schema is older, run `cargo dev migrate` first")
    })?;
    let seal = seal.with_context(|| format!("nothing of the audit log of {place} is sealed yet: start the app"))?;
    println!("{}:{}", seal.last_position, seal.hash);
    Ok(())
}

fn head(text: &str) -> Result<Head> {
    let wrong = || format!("{text} is no head: write POSITION:HASH as the app's log and an earlier check have it");
    let (position, hash) = text.split_once(':').with_context(wrong)?;
    Ok(Head { position: position.parse().with_context(wrong)?, hash: hash.to_owned() })
}

/// The keys of a JWK set (RFC 7517, section 5), with their ids.
fn keys(path: &Path) -> Result<Vec<(String, String)>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let set: serde_json::Value = serde_json::from_str(&text)?;
    let keys = set.get("keys").and_then(serde_json::Value::as_array);
    let keys = keys.with_context(|| format!("{} is no JWK set", path.display()))?;
    let key = |key: &serde_json::Value| Some((key.get("kid")?.as_str()?.to_owned(), key.to_string()));
    Ok(keys.iter().filter_map(key).collect())
}

async fn verify(
    database: impl Database,
    noted: Option<Head>,
    keys: Option<Vec<(String, String)>>,
) -> Result<(Verified, ChainState)> {
    let store = crate::master_key::store(database);
    let keys = match keys {
        Some(keys) => keys,
        None => store.all_public_keys().await?,
    };
    let verifier = StatementVerifier::new(keys.iter().map(|(id, jwk)| (id.as_str(), jwk.as_str())));
    let retired: BTreeMap<String, i64> = store.retired_signing_keys().await?.into_iter().collect();
    // What is recorded and sealed meanwhile is not part of this check.
    let end = store.audit_chain_state().await?.seal.map_or(0, |seal| seal.last_position);
    let mut verification = Verification::new(noted);
    loop {
        let after = verification.position();
        let mut entries = store.audit_links(after, PAGE).await?;
        let is_last = entries.len() < PAGE as usize || entries.last().is_some_and(|entry| entry.link.position >= end);
        // Places after the newest seal are part of it if nothing was sealed meanwhile: then somebody took the seal away.
        if is_last && store.audit_chain_state().await?.seal.map_or(0, |seal| seal.last_position) > end {
            entries.retain(|entry| entry.link.position <= end);
        }
        let last = entries.last().map_or(after, |entry| entry.link.position);
        let seals = store.audit_seals(after, if is_last { end } else { last }, SEALS).await?;
        let checked = seals.into_iter().map(|seal| CheckedSeal {
            first_position: seal.first_position,
            claims: verifier.verified::<SealClaims>(About::AuditSeal, &seal.signature),
            retired_at: key_id(&seal.signature).and_then(|id| retired.get(&id).copied()),
        });
        verification.page(entries, checked.collect());
        if is_last {
            break;
        }
    }
    for event in store.audit_outside_chain("", MAX_OUTSIDE).await? {
        verification.outside(event);
    }
    if store.has_audit_backlog().await? {
        verification.backlog();
    }
    for event in store.audit_arrivals_without_event("", MAX_OUTSIDE).await? {
        verification.arrival_without_event(event);
    }
    Ok((verification.finish(), store.audit_chain_state().await?))
}
