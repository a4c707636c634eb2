//! The record of what people did about their accounts and sessions. Must not contain what somebody entered: an address in the field may be a password.

use domain::{Id, User};
use storage::{Database, audit::AuditEvent};
use web::Result;

use crate::routes::Auth;

/// Somebody tried to log in, or did.
pub(crate) const LOG_IN: &str = "session.log_in";

/// Records what somebody did about their own account.
pub(crate) async fn record<D: Database>(auth: &Auth<D>, user: &User, action: &str, outcome: &str) -> Result<()> {
    record_of(auth, user.id, action, outcome).await
}

/// The same for whom only the id is known. [`Id::NIL`]: there is no such account.
pub(crate) async fn record_of<D: Database>(auth: &Auth<D>, user_id: Id, action: &str, outcome: &str) -> Result<()> {
    let subject = user_id.to_string();
    let event = AuditEvent { outcome, ..AuditEvent::new(user_id, action, &subject) };
    Ok(auth.store().append_audit(&event).await?)
}
