//! An event, or one time of it, that is no more.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use tool_provider::{Context, Failure, tool};

use crate::{
    change_event::{check_version, find_occurrence, touch},
    dav::{Precondition, Server},
    document::Document,
    moment::invalid,
    times::not_understood,
    transport::{Outside, Transport},
};

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteEvent {
    /// Its id, from `list_events`.
    pub(crate) id: String,
    /// Its version, from `list_events`: it is not deleted if somebody changed it meanwhile.
    pub(crate) etag: Option<String>,
    /// Of an event that repeats: which time is deleted, from `list_events`.
    pub(crate) occurrence: Option<String>,
    /// Of an event that repeats: delete all of it.
    #[serde(default)]
    pub(crate) whole_series: bool,
}

/// Deletes an event from the person's calendar; it cannot be brought back. Of an event that repeats, say whether one `occurrence` or the
/// `whole_series`.
#[tool(title = "Delete an event", secret = "url", secret = "username", secret = "password")]
pub(crate) async fn delete_event(arguments: DeleteEvent, context: &Context) -> Result<String, Failure> {
    run(&arguments, context, &Outside).await
}

pub(crate) async fn run<T: Transport>(
    arguments: &DeleteEvent,
    context: &Context,
    transport: &T,
) -> Result<String, Failure> {
    let server = Server::new(context, transport)?;
    let object = server.event(&arguments.id).await?;
    check_version(arguments.etag.as_deref(), object.etag.as_deref())?;
    let mut document = Document::parse(&object.text)?;
    let is_recurring = document.is_recurring();
    let etag = arguments.etag.as_deref().or(object.etag.as_deref());
    match arguments.occurrence.as_deref().filter(|_| is_recurring) {
        _ if arguments.whole_series || !is_recurring => {
            server.delete(&arguments.id, etag).await?;
            Ok("The event is deleted.".into())
        }
        None => invalid("This event repeats: say which `occurrence`, or `whole_series`."),
        Some(occurrence) => {
            let times = find_occurrence(&object, occurrence)?;
            document.remove(occurrence);
            // An occurrence that its rule does not make is gone with its own event.
            if let Some(event) = document.event_mut(None) {
                let start = event.stamp("DTSTART").ok_or_else(not_understood)?;
                event.add(&start.with(times.civil()).line("EXDATE"));
                touch(event, Timestamp::now(), true);
            }
            if document.events().next().is_none() {
                server.delete(&arguments.id, etag).await?;
            } else {
                server.put(&arguments.id, Precondition::Unchanged(etag), document.text()).await?;
            }
            Ok("This occurrence is deleted; the others stay.".into())
        }
    }
}
