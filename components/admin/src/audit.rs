//! `/api/admin/audit`: who did what.

use axum::extract::State;
use domain::{Id, Timestamp};
use permissions::table::AuditRead;
use serde::Serialize;
use storage::{Database, audit::AuditRecord};
use web::{Allowed, Json, Listing, Page, Query, Result};

use crate::{router::Admin, sessions::Of};

/// Records on a page, unless asked otherwise.
const DEFAULT_LIMIT: u32 = 100;

#[derive(Serialize)]
pub(crate) struct RecordBody {
    id: Id,
    at: Timestamp,
    user_id: Id,
    action: String,
    subject: String,
    run_id: Option<Id>,
    outcome: String,
    detail: Option<String>,
}

impl From<AuditRecord> for RecordBody {
    fn from(record: AuditRecord) -> Self {
        let AuditRecord { id, at, user_id, action, subject, run_id, outcome, detail } = record;
        Self { id, at, user_id, action, subject, run_id, outcome, detail }
    }
}

/// `GET /api/admin/audit`.
pub(crate) async fn list<D: Database>(
    State(admin): State<Admin<D>>,
    _: Allowed<AuditRead>,
    Query(Of { user_id }): Query<Of>,
    Query(listing): Query<Listing>,
) -> Result<Json<Page<RecordBody>>> {
    let limit = listing.limit(DEFAULT_LIMIT)?;
    let found = admin.store().audit_records(user_id, listing.before()?, limit + 1).await?;
    Ok(Json(Page::new(found, limit, |record| record.id.to_string(), Into::into)))
}
