//! `/api/admin/sessions`: who is signed in.

use axum::extract::State;
use domain::{Id, Timestamp};
use http::StatusCode;
use permissions::table::SessionsManage;
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{Database, sessions::OpenSession};
use web::{Allowed, Json, Listing, Page, PathId, Query, Result};

use crate::{authority::record, router::Admin};

/// Sessions on a page, unless asked otherwise.
const DEFAULT_LIMIT: u32 = 50;

/// Whose.
#[derive(Deserialize)]
pub(crate) struct Of {
    pub(crate) user_id: Option<Id>,
}

#[derive(Serialize)]
pub(crate) struct SessionBody {
    id: Id,
    user_id: Id,
    email: String,
    created_at: Timestamp,
    used_at: Timestamp,
    expires_at: Timestamp,
    client_name: Option<String>,
}

impl From<OpenSession> for SessionBody {
    fn from(session: OpenSession) -> Self {
        let OpenSession { id, user_id, email, created_at, used_at, expires_at, client_name } = session;
        Self { id, user_id, email, created_at, used_at, expires_at, client_name }
    }
}

/// `GET /api/admin/sessions`.
pub(crate) async fn list<D: Database>(
    State(admin): State<Admin<D>>,
    _: Allowed<SessionsManage>,
    Query(Of { user_id }): Query<Of>,
    Query(listing): Query<Listing>,
) -> Result<Json<Page<SessionBody>>> {
    let limit = listing.limit(DEFAULT_LIMIT)?;
    let found = admin.store().open_sessions(user_id, listing.before()?, limit + 1).await?;
    Ok(Json(Page::new(found, limit, |session| session.id.to_string(), Into::into)))
}

/// `DELETE /api/admin/sessions/{id}`.
pub(crate) async fn end<D: Database>(
    State(admin): State<Admin<D>>,
    session: Allowed<SessionsManage>,
    PathId(id): PathId,
) -> Result<StatusCode> {
    let user_id = admin.store().end_session_of_anybody(id).await?.ok_or_else(Problem::not_found)?;
    record(&admin, &session, "session.end", id, Some(&user_id.to_string())).await?;
    Ok(StatusCode::NO_CONTENT)
}
