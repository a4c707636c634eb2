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
#[cfg_attr(test, derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub(crate) struct Of {
    /// Only those of this account.
    pub(crate) user_id: Option<Id>,
}

/// A session that has not ended.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = OpenSession, example = json!({"id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f00", "user_id": "0199a0c2-8e4f-7d5c-8a3b-6c7d8e9f0a11", "email": "ada@example.com", "created_at": "2026-01-01T12:00:00.000Z", "used_at": "2026-01-01T12:00:04.000Z", "expires_at": "2026-01-08T12:00:00.000Z", "client_name": null})))]
pub(crate) struct SessionBody {
    id: Id,
    user_id: Id,
    email: String,
    created_at: Timestamp,
    /// When it was last refreshed.
    used_at: Timestamp,
    expires_at: Timestamp,
    /// Of the session of a program: its name.
    client_name: Option<String>,
}

impl From<OpenSession> for SessionBody {
    fn from(session: OpenSession) -> Self {
        let OpenSession { id, user_id, email, created_at, used_at, expires_at, client_name } = session;
        Self { id, user_id, email, created_at, used_at, expires_at, client_name }
    }
}

/// Lists who is signed in.
///
/// The sessions of browsers, and of programs that people let in.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/admin/sessions", tag = "Sessions", operation_id = "listSessions",
    params(Of, Listing),
    responses(
        (status = 200, description = "A page of sessions.", body = Page<SessionBody>),
    ),
))]
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

/// Ends a session.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/admin/sessions/{id}", tag = "Sessions", operation_id = "endSession",
    params(("id" = Id, Path)),
    responses(
        (status = 204, description = "It has ended."),
    ),
))]
pub(crate) async fn end<D: Database>(
    State(admin): State<Admin<D>>,
    session: Allowed<SessionsManage>,
    PathId(id): PathId,
) -> Result<StatusCode> {
    let user_id = admin.store().end_session_of_anybody(id).await?.ok_or_else(Problem::not_found)?;
    record(&admin, &session, "session.end", id, Some(&user_id.to_string())).await?;
    Ok(StatusCode::NO_CONTENT)
}
