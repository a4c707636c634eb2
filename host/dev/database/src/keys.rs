//! `keys`: lists the keys of an installation and rotates them, in its database, while it runs: for whoever cannot log in, and for scripts.
//!
//! Must not print a private half.

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use domain::Id;
use storage::{
    Database, Store,
    keys::{KeyPurpose, KeyRotation, KeyState},
};

use crate::place::Place;

/// Who did it, in the record: nobody of the installation.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Say which keys there are, and until when they count
    List,
    /// Replace the key that signs; what the one before signed counts until it ends by itself. Only when all hosts run this release
    Rotate {
        /// What for: `tokens` of people and programs, or `inside`, with which components prove to each other who calls
        #[arg(long, default_value = "tokens", value_parser = purpose)]
        purpose: KeyPurpose,
        /// After a leak: what the keys before have signed ends now. With `tokens`, everybody is logged out, and programs register and sign in again
        #[arg(long)]
        revoke: bool,
    },
}

fn purpose(name: &str) -> Result<KeyPurpose, String> {
    let names = KeyPurpose::ALL.map(KeyPurpose::name).join(", ");
    KeyPurpose::named(name).ok_or_else(|| format!("there are keys for {names}"))
}

pub(crate) async fn run(place: &Place, command: &Command) -> Result<()> {
    ensure!(place.exists(), "there is no database at {place}: name its folder with --state-dir");
    // Also brings an older one to the schema of this build.
    place.migrate().await?;
    match place {
        Place::Sqlite(path) => done(&Store::new(native_sqlite::SqliteFile::open(path)?), command).await,
        Place::Postgres(url) => {
            done(&Store::new(native_postgres::PostgresDatabase::open(url.clone()).await?), command).await
        }
    }
}

async fn done(store: &Store<impl Database>, command: &Command) -> Result<()> {
    if let Command::Rotate { purpose, revoke } = command {
        let user_id = NOBODY.parse::<Id>().context("the id of nobody")?;
        let rotation = KeyRotation { revokes: *revoke, user_id, detail: Some("cargo dev keys") };
        let rotated = web::keys::rotate(store, *purpose, &rotation).await;
        let rotated = rotated.map_err(|error| anyhow!(error.causes().unwrap_or_else(|| error.detail().to_owned())))?;
        if !rotated {
            bail!("nothing was changed: they were rotated within the last hour, or there is none yet");
        }
    }
    let (keys, now) = store.keys().await?;
    for key in keys {
        let kept = if key.is_configured { ", in the configuration" } else { "" };
        let until = match (key.state, key.verifies_until) {
            (KeyState::Retired, _) | (_, None) => String::new(),
            (_, Some(until)) => format!(", counts for {} minutes more", (until.as_millis() - now.as_millis()) / 60_000),
        };
        println!("{} {} {}{until}{kept}, made {}", key.purpose.name(), key.id, key.state.name(), key.created_at);
    }
    Ok(())
}
