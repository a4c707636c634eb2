//! `/api/admin/audit`: who did what.

use std::sync::Arc;

use audit::{event::StoredEvent, ocsf};
use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use domain::{Id, Timestamp};
use futures::stream;
use http::{HeaderValue, header};
use permissions::table::{AuditExport, AuditRead};
use serde::Serialize;
use storage::{Database, StorageError, Store, audit::AuditRecord};
use web::{Allowed, Json, Listing, Page, Query, Result};

use crate::{authority::record, router::Admin, sessions::Of};

/// Events read at once for an export: some hundred kilobytes of text.
const EXPORT_PAGE: u32 = 500;

/// Records on a page, unless asked otherwise.
const DEFAULT_LIMIT: u32 = 100;

/// What somebody did.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = AuditRecord, example = json!({"id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f00", "at": "2026-01-01T12:00:00.000Z", "user_id": "0199a0c2-8e4f-7d5c-8a3b-6c7d8e9f0a11", "action": "user.role", "subject": "0199a0c2-9f5a-7e6d-9b4c-7d8e9f0a1b22", "run_id": null, "outcome": "ok", "detail": "member"})))]
pub(crate) struct RecordBody {
    id: Id,
    at: Timestamp,
    /// Who.
    user_id: Id,
    /// What, such as `user.role`.
    action: String,
    /// To what or whom.
    subject: String,
    /// In which run.
    run_id: Option<Id>,
    /// `ok`, or why not.
    outcome: String,
    detail: Option<String>,
}

impl From<AuditRecord> for RecordBody {
    fn from(record: AuditRecord) -> Self {
        let AuditRecord { id, at, user_id, action, subject, run_id, outcome, detail } = record;
        Self { id, at, user_id, action, subject, run_id, outcome, detail }
    }
}

/// Lists who did what.
///
/// The newest first: tool calls, decisions, secrets, administration.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/admin/audit", tag = "Record", operation_id = "listAuditRecords",
    params(Of, Listing),
    responses(
        (status = 200, description = "A page of records.", body = Page<RecordBody>),
    ),
))]
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

/// Takes the record elsewhere.
///
/// JSON lines in the words of OCSF, the oldest first, of any length, written while it is read. It breaks off if the database fails: whoever reads it
/// sees that the body has no end.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/admin/audit/export", tag = "Record", operation_id = "exportAuditRecords",
    params(Of),
    responses(
        (status = 200, description = "The events, one in a line.", content((String = "application/jsonl"))),
    ),
))]
pub(crate) async fn export<D: Database + 'static>(
    State(admin): State<Admin<D>>,
    session: Allowed<AuditExport>,
    Query(Of { user_id }): Query<Of>,
) -> Result<Response> {
    let of = user_id.map_or_else(|| "all".to_owned(), |id| id.to_string());
    record(&admin, &session, "audit.export", of, None).await?;
    let begin = (Arc::clone(admin.store()), user_id, None);
    let mut response = Body::from_stream(stream::try_unfold(begin, next_lines)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jsonl"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Where an export is: the store, whose events, and the last one.
type Place<D> = (Arc<Store<D>>, Option<Id>, Option<StoredEvent>);

async fn next_lines<D: Database>((store, user_id, last): Place<D>) -> Result<Option<(String, Place<D>)>, StorageError> {
    let page = store.audit_export(user_id, last.as_ref(), EXPORT_PAGE).await?;
    let lines = page.iter().map(|(event, position)| format!("{}\n", ocsf::event(event, *position))).collect();
    let last = page.into_iter().last().map(|(event, _)| event);
    Ok(last.map(|last| (lines, (store, user_id, Some(last)))))
}
