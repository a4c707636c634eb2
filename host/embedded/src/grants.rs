//! What one component may use: settled once at start from the manifest, shared by all its instances.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use manifest::allowed_hosts::AllowedHosts;
use manifest::files::Mount;

use crate::key_value::KeyValueFile;
use crate::logs::{Log, host_line};
use crate::postgres::Pools;

/// A component's permissions and configuration.
#[derive(Debug)]
pub(crate) struct Grants {
    /// The component's id.
    pub(crate) id: String,
    /// Its environment variables.
    pub(crate) environment: Vec<(String, String)>,
    /// Its variables, filled in.
    pub(crate) variables: HashMap<String, String>,
    /// Folders it may read.
    pub(crate) files: Vec<Mount>,
    /// Where it may send requests.
    pub(crate) allowed_hosts: AllowedHosts,
    /// Labels of the stores it may open.
    pub(crate) key_value_stores: HashSet<String>,
    /// Labels of the databases it may open.
    pub(crate) sqlite_databases: HashSet<String>,
    /// Where the databases lie.
    pub(crate) state_folder: PathBuf,
    /// Where the stores lie.
    pub(crate) key_value_file: KeyValueFile,
    /// Its connections to PostgreSQL.
    pub(crate) postgres_pools: Pools,
    /// Its standard output.
    pub(crate) stdout: Log,
    /// Its standard error.
    pub(crate) stderr: Log,
}

impl Grants {
    /// Logs that the component asked for something it was not granted, and the line that would grant it.
    pub(crate) fn report_missing(&self, key: &str, wanted: &str, entry: &str) {
        let id = &self.id;
        host_line(id, &format!("refused {wanted}: to grant it, add {entry:?} to component.{id}.{key} in the manifest"));
    }
}
