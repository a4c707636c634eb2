//! The record of what calls came to.

use domain::Id;
use serde_json::json;
use storage::{Database, StorageError, audit::AuditEvent};
use tool_catalogue::Host;
use toolbox::{AuditCode, AuditEntry};
use web::log::{Level, log};

use crate::{config::COMPONENT, state::Tools};

/// Records what a call came to; the run and the model's id of the call, if it is a run's.
pub(crate) async fn record<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    user_id: Id,
    call: Option<(Id, &str)>,
    entry: &AuditEntry,
) -> Result<(), StorageError> {
    let subject = format!("{}:{}", entry.server.as_deref().unwrap_or("?"), entry.tool);
    let event = AuditEvent {
        run_id: call.map(|(run_id, _)| run_id),
        call_id: call.map(|(_, call_id)| call_id),
        outcome: entry.code.as_str(),
        ..AuditEvent::new(user_id, "tool.call", &subject)
    };
    if matches!(
        entry.code,
        AuditCode::TimedOut
            | AuditCode::Unreachable
            | AuditCode::UpstreamFailed
            | AuditCode::TooLarge
            | AuditCode::GoneTool
    ) {
        let fields = json!({ "run_id": event.run_id, "tool": subject, "outcome": event.outcome });
        log(COMPONENT, Level::Warn, "a tool failed", fields);
    }
    let stored = tools.store().append_audit(&event).await;
    if let Err(error) = &stored {
        let fields = json!({ "tool": subject, "outcome": event.outcome, "cause": error.to_string() });
        log(COMPONENT, Level::Error, "a call cannot be recorded", fields);
    }
    stored
}
