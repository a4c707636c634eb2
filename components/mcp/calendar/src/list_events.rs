//! The tool `list_events`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tool_provider::{Context, Failure, Structured, tool};
use upstream::{Http, Outside};

use crate::{
    dav::Server,
    moment,
    occurrences::Occurrence,
    window::{self, Window},
};

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListEvents {
    /// From when on: `2026-03-29`, `2026-03-29T14:30` or `2026-03-29T14:30:00+02:00`.
    pub(crate) from: String,
    /// Until when, written likewise. A day is included. At most 400 days after `from`.
    pub(crate) to: String,
    /// IANA time zone, such as `Europe/Berlin`, in which times are read and given; the person's own when left out.
    pub(crate) time_zone: Option<String>,
    /// A calendar's id; all calendars when left out.
    pub(crate) calendar: Option<String>,
}

#[derive(Serialize, JsonSchema, Debug)]
pub(crate) struct Events {
    /// By their start; of those that repeat, each time by itself.
    pub(crate) events: Vec<Event>,
    /// What is missing in this list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
}

#[derive(Serialize, JsonSchema, Debug)]
pub(crate) struct Event {
    /// To name it in other calls.
    pub(crate) id: String,
    /// Its version, to change it only if nobody else did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<String>,
    /// Of an event that repeats: which time this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) occurrence: Option<String>,
    /// Of an event that repeats: by which rule (RRULE).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recurrence: Option<String>,
    /// The id of its calendar.
    pub(crate) calendar: String,
    pub(crate) title: String,
    /// When it begins; of an all-day event, its first day.
    pub(crate) start: String,
    /// When it ends; of an all-day event, its last day.
    pub(crate) end: String,
    pub(crate) all_day: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    /// `confirmed`, `tentative` or `cancelled`.
    pub(crate) status: &'static str,
    /// Whether the person is free meanwhile, for other things.
    pub(crate) free: bool,
}

/// Lists the events of the person's calendars in a stretch of time, repeated ones each time they happen. Use it for "what is on
/// tomorrow", and before an event is changed or deleted.
#[tool(title = "List events", read_only, secret = "url", secret = "username", secret = "password")]
pub(crate) async fn list_events(arguments: ListEvents, context: &Context) -> Result<Structured<Events>, Failure> {
    run(&arguments, context, &Outside).await.map(Structured)
}

pub(crate) async fn run<T: Http>(arguments: &ListEvents, context: &Context, transport: &T) -> Result<Events, Failure> {
    let zone = window::zone(arguments.time_zone.as_deref(), context)?;
    let window = Window::new(&arguments.from, &arguments.to, zone)?;
    let found = window.read(&Server::new(context, transport)?, arguments.calendar.as_deref()).await?;
    Ok(Events { events: found.occurrences.into_iter().map(shown).collect(), notes: found.notes })
}

fn shown(occurrence: Occurrence) -> Event {
    let (start, end) = match occurrence.days {
        Some((first, last)) => (first.to_string(), last.to_string()),
        None => (moment::show(&occurrence.start), moment::show(&occurrence.end)),
    };
    Event {
        id: occurrence.id,
        etag: occurrence.etag,
        occurrence: occurrence.occurrence,
        recurrence: occurrence.recurrence,
        calendar: occurrence.calendar,
        title: occurrence.title,
        start,
        end,
        all_day: occurrence.days.is_some(),
        location: occurrence.location,
        description: occurrence.description,
        status: match (occurrence.is_cancelled, occurrence.is_tentative) {
            (true, _) => "cancelled",
            (_, true) => "tentative",
            _ => "confirmed",
        },
        free: occurrence.is_transparent || occurrence.is_cancelled,
    }
}
