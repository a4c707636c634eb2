//! What an administrator may decide about others, and the record of what they did.

use std::fmt::Display;

use http::StatusCode;
use permissions::Roles;
use problem::Problem;
use storage::{Database, audit::AuditEvent, invitations::Maker};
use web::{Result, Session};

use crate::router::Admin;

/// Refuses to give or take roles that allow more than the caller may do.
pub(crate) fn check_may_give<'a>(
    session: &Session,
    roles: &Roles,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<()> {
    if session.access().allows_giving(&roles.access(names)) {
        return Ok(());
    }
    let detail = "This would give or take away more than you may do yourself. Ask somebody whose role allows it.";
    Err(Problem::new(StatusCode::FORBIDDEN, "beyond_own_role", detail).into())
}

/// The caller as the maker of a link.
pub(crate) fn maker(session: &Session) -> Maker {
    Maker { user_id: session.user_id(), access_version: session.access_version() }
}

/// Refuses the name of a role that does not exist.
pub(crate) fn check_exists(roles: &Roles, field: &'static str, name: &str) -> Result<()> {
    if roles.find(name).is_some() {
        return Ok(());
    }
    Err(Problem::invalid_field(field, "There is no role of this name.").into())
}

/// Records what an administrator did, with what, and a detail that contains nothing that people said.
pub(crate) async fn record<D: Database>(
    admin: &Admin<D>,
    session: &Session,
    action: &str,
    subject: impl Display,
    detail: Option<&str>,
) -> Result<()> {
    let subject = subject.to_string();
    let event = AuditEvent { detail, ..AuditEvent::new(session.user_id(), action, &subject) };
    Ok(admin.store().append_audit(&event).await?)
}
