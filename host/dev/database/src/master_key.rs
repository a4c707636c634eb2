//! The master key, as the app has it: with it, what is sealed can be read, and new keys are sealed. An environment variable and not a flag, since a command
//! line is there for every process to read.

use storage::{Database, MasterKey, Store};

/// A store over a database, with the key of this environment. Without one, the keys that are in the database open what they sealed.
pub(crate) fn store<D: Database>(database: D) -> Store<D> {
    let key = std::env::var("SPIN_VARIABLE_MASTER_KEY").unwrap_or_default();
    Store::with_master_key(database, MasterKey::new(key))
}
