//! The rights of one component: determined once at start from the manifest, shared by all its instances.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use manifest::allowed_hosts::AllowedHosts;
use manifest::files::Mount;

use crate::key_value::KeyValueFile;
use crate::logs::{Log, host_line};
use crate::postgres::Pools;
use crate::sqlite::DatabaseFile;

/// A component's permissions and configuration.
#[derive(Debug)]
pub(crate) struct Grants {
    pub(crate) id: String,
    pub(crate) environment: Vec<(String, String)>,
    /// The values of its variables.
    pub(crate) variables: HashMap<String, String>,
    /// Folders that it may read.
    pub(crate) files: Vec<Mount>,
    /// Hosts to which it may send requests.
    pub(crate) allowed_hosts: AllowedHosts,
    /// Labels of the stores it may open.
    pub(crate) key_value_stores: HashSet<String>,
    /// Labels of the databases it may open.
    pub(crate) sqlite_databases: HashSet<String>,
    /// The file of the databases.
    pub(crate) database_file: Arc<DatabaseFile>,
    /// The file of the stores.
    pub(crate) key_value_file: KeyValueFile,
    /// Its connections to PostgreSQL.
    pub(crate) postgres_pools: Pools,
    pub(crate) stdout: Log,
    pub(crate) stderr: Log,
}

impl Grants {
    /// Logs that the component lacks a right, and the manifest line that would grant it.
    pub(crate) fn report_missing(&self, key: &str, wanted: &str, entry: &str) {
        let id = &self.id;
        host_line(id, &format!("refused {wanted}: to grant it, add {entry:?} to component.{id}.{key} in the manifest"));
    }
}
