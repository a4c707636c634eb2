//! `keys`: lists the keys of an installation and rotates them, in its database, while it runs: for whoever cannot log in, and for scripts.
//!
//! Must not print a private half.

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use domain::Id;
use storage::{
    Database, Store,
    data_key_rotation::Rotation,
    keys::{KeyPurpose, KeyRotation, KeyState},
};

use crate::{master_key, place::Place};

/// Who did it, in the record: nobody of the installation.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Say which keys there are, and until when they count
    List,
    /// Replace the key that signs; what the one before signed counts until it ends by itself. Only when all hosts run this release
    Rotate {
        /// What for: `tokens` of people and programs, `inside`, with which components prove to each other who calls, or `master`, which opens what people
        /// said. With SPIN_VARIABLE_MASTER_KEY as the app has it, new keys are sealed at once
        #[arg(long, default_value = "tokens", value_parser = purpose)]
        purpose: KeyPurpose,
        /// After a leak: what the keys before have signed ends now. With `tokens`, everybody is logged out, and programs register and sign in again
        #[arg(long)]
        revoke: bool,
    },
    /// After a leak of the master key together with a copy of the database: give everybody a new data key, and have everything encrypted anew with it while
    /// the app runs. Needs SPIN_VARIABLE_MASTER_KEY as the app has it
    RotateData {
        /// Only for this account
        #[arg(long, value_name = "ID", value_parser = person)]
        person: Option<Id>,
    },
}

fn tell_skipped(skipped: u64) {
    if skipped > 0 {
        println!(
            "{skipped} people keep theirs, because it cannot be used: set SPIN_VARIABLE_MASTER_KEY as the app has it, see /ready, and say it again"
        );
    }
}

fn person(text: &str) -> Result<Id, String> {
    text.parse().map_err(|_| "this is not the id of an account: Administration, People has them".to_owned())
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
        Place::Sqlite(path) => done(&master_key::store(native_sqlite::SqliteFile::open(path)?), command).await,
        Place::Postgres(url) => {
            done(&master_key::store(native_postgres::PostgresDatabase::open(url.clone()).await?), command).await
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
            bail!(
                "nothing was changed: they were rotated within the last hour, a master key within a moment, or there is none yet"
            );
        }
    }
    if let Command::RotateData { person } = command {
        match store.rotate_data_keys(*person, NOBODY.parse::<Id>().context("the id of nobody")?).await? {
            Rotation::Begun { made, skipped } => {
                println!(
                    "{made} people have a new key; what the former ones opened is encrypted anew in the background, which takes an hour or more"
                );
                tell_skipped(skipped);
            }
            Rotation::Nobody { skipped } => {
                tell_skipped(skipped);
                bail!("nothing was changed: nobody here has a key that can be replaced");
            }
            Rotation::TooEarly => bail!(
                "nothing was changed: the database was upgraded within the last hour, so hosts of the earlier release may still run"
            ),
        }
        return Ok(());
    }
    let (keys, now) = store.keys().await?;
    for key in keys {
        let kept = if key.is_configured { ", in the configuration" } else { "" };
        let until = match (key.state, key.verifies_until) {
            (KeyState::Retired, _) | (_, None) => String::new(),
            (_, Some(until)) => format!(", counts for {} minutes more", (until.as_millis() - now.as_millis()) / 60_000),
        };
        let made = key.created_at.map_or_else(String::new, |at| format!(", made {at}"));
        println!("{} {} {}{until}{kept}{made}", key.purpose.name(), key.id, key.state.name());
    }
    Ok(())
}
