//! The tool `delete_event`.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use tool_provider::{Context, Failure, tool};
use upstream::{Http, Outside};

use crate::{
    change_event::{check_version, touch},
    dav::Server,
    document::Document,
    moment::invalid,
    objects::Precondition,
    target::{self, One, Target},
    zones::ALL_YEARS,
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

pub(crate) async fn run<T: Http>(arguments: &DeleteEvent, context: &Context, transport: &T) -> Result<String, Failure> {
    let server = Server::new(context, transport)?;
    let object = server.event(&arguments.id).await?;
    check_version(arguments.etag.as_deref(), object.etag.as_deref())?;
    let mut document = Document::parse(&object.text, ALL_YEARS)?;
    let etag = arguments.etag.as_deref().or(object.etag.as_deref());
    target::check_single(&document)?;
    let found = if arguments.whole_series {
        None
    } else {
        match target::find(&document, arguments.occurrence.as_deref(), false)? {
            Target::One(one) => Some(one),
            Target::Whole(_) => None,
        }
    };
    let Some(one) = found else {
        server.delete(&arguments.id, etag).await?;
        return Ok("The event is deleted.".into());
    };
    leave_out(&mut document, &one)?;
    if document.events().next().is_none() {
        server.delete(&arguments.id, etag).await?;
    } else {
        server.put(&arguments.id, Precondition::Unchanged(etag), document.text()).await?;
    }
    Ok("This occurrence is deleted; the others stay.".into())
}

fn leave_out(document: &mut Document, one: &One) -> Result<(), Failure> {
    if one.is_range {
        return invalid("The times after this one were changed with it: delete it in another program.");
    }
    if let Some(event) = one.master.and_then(|master| document.event_mut(master)) {
        event.add(&one.original.line("EXDATE"));
        touch(event, Timestamp::now(), true);
    }
    // An occurrence that is not made by the rule disappears with its own event.
    document.remove(&one.changed);
    Ok(())
}
