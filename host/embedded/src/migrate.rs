//! `embedded-host migrate`: brings the database to the schema of this build ahead of time. Serving would do it too, on first use.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use native_sqlite::SqliteFile;
use storage::migration;

use crate::sqlite::DATABASE_FILE;

/// The flags of `migrate`.
#[derive(Debug, Args)]
pub struct Migrate {
    /// Where the database lies.
    #[arg(long, default_value = ".spin")]
    state_dir: PathBuf,
}

impl Migrate {
    /// Applies what is missing and says what it did.
    ///
    /// # Errors
    /// When the folder cannot be made or the database refuses.
    pub async fn run(self) -> Result<()> {
        std::fs::create_dir_all(&self.state_dir)
            .with_context(|| format!("cannot make the folder {}", self.state_dir.display()))?;
        let path = self.state_dir.join(DATABASE_FILE);
        let database = SqliteFile::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let applied = migration::migrate(&database).await?;
        if applied.is_empty() {
            println!("{} is up to date", path.display());
        }
        for name in applied {
            println!("applied {name} to {}", path.display());
        }
        Ok(())
    }
}
