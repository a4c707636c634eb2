//! Tool calls: written down before they are made, so that none is made twice.

use crate::{Database, Statement, StorageError, Store, runs::Lease};

impl<D: Database> Store<D> {
    /// Writes down that a call is about to be made. `false`: it was before, or the lease is lost; do not make it.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn start_tool_call(&self, lease: Lease, call_id: &str, name: &str) -> Result<bool, StorageError> {
        let sql = "INSERT INTO tool_calls (run_id, call_id, name, started_at)
                   SELECT id, ?3, ?4, now_ms() FROM runs WHERE id = ?1 AND lease_owner = ?2
                   ON CONFLICT DO NOTHING RETURNING call_id";
        let parameters = [lease.run_id.into(), lease.owner.into(), call_id.into(), name.into()];
        Ok(!self.database.query(Statement::new("start_tool_call", sql, parameters).durably()).await?.is_empty())
    }
}
