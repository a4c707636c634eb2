//! An event that is already there, changed.

use calcard::icalendar::ICalendarProperty;
use jiff::{Timestamp, tz::TimeZone};
use schemars::JsonSchema;
use serde::Deserialize;
use tool_provider::{Context, Failure, Structured, tool};

use crate::{
    create_event::Created,
    dav::{Object, Precondition, Server, changed_meanwhile},
    document::{Document, Event},
    moment::{self, Moment, invalid},
    occurrences, recurrence,
    stamp::Stamp,
    times::{self, not_understood},
    transport::{Outside, Transport},
};

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeEvent {
    /// Its id, from `list_events`.
    pub(crate) id: String,
    /// Its version, from `list_events`: nothing is done if somebody changed it meanwhile.
    pub(crate) etag: Option<String>,
    /// Of an event that repeats: which time is meant, from `list_events`.
    pub(crate) occurrence: Option<String>,
    /// Of an event that repeats: change all of it. With `start`, name the `occurrence` too that is to begin then; the others move as far.
    #[serde(default)]
    pub(crate) whole_series: bool,
    #[schemars(length(min = 1, max = 500))]
    pub(crate) title: Option<String>,
    /// When it begins: `2026-03-29T14:30`, or with its offset, or only a day. Its length stays if no end is given.
    pub(crate) start: Option<String>,
    /// When it ends, written likewise; of whole days, the last.
    pub(crate) end: Option<String>,
    /// How long it is, instead of `end`.
    #[schemars(range(min = 0, max = 527_040))]
    pub(crate) duration_minutes: Option<u32>,
    /// IANA time zone of `start` and `end`; the event's own when left out.
    pub(crate) time_zone: Option<String>,
    /// Empty to remove it.
    #[schemars(length(max = 500))]
    pub(crate) location: Option<String>,
    /// Empty to remove it.
    #[schemars(length(max = 8_000))]
    pub(crate) description: Option<String>,
    /// How the series repeats: RRULE text of RFC 5545; empty if it no longer does. Only with `whole_series`, or for an event that does not repeat yet.
    pub(crate) recurrence: Option<String>,
}

/// Changes an event: only what is given changes. Of an event that repeats, say whether one `occurrence` or the `whole_series`.
#[tool(title = "Change an event", secret = "url", secret = "username", secret = "password")]
pub(crate) async fn change_event(arguments: ChangeEvent, context: &Context) -> Result<Structured<Created>, Failure> {
    run(&arguments, context, &Outside).await.map(Structured)
}

pub(crate) async fn run<T: Transport>(
    arguments: &ChangeEvent,
    context: &Context,
    transport: &T,
) -> Result<Created, Failure> {
    let server = Server::new(context, transport)?;
    let object = server.event(&arguments.id).await?;
    check_version(arguments.etag.as_deref(), object.etag.as_deref())?;
    let text = changed(arguments, &object, Timestamp::now())?;
    let etag = arguments.etag.as_deref().or(object.etag.as_deref());
    let etag = server.put(&arguments.id, Precondition::Unchanged(etag), text).await?;
    let calendar = arguments.id.rsplit_once('/').map_or("/".into(), |(calendar, _)| format!("{calendar}/"));
    Ok(Created { id: arguments.id.clone(), etag, calendar })
}

/// Says so before anything is done, if the event is not the one that was read.
pub(crate) fn check_version(read: Option<&str>, found: Option<&str>) -> Result<(), Failure> {
    match (read, found) {
        (Some(read), Some(found)) if read != found => Err(changed_meanwhile()),
        _ => Ok(()),
    }
}

/// An occurrence of this event, by what `list_events` calls it: when it is after the rule.
pub(crate) fn find_occurrence(object: &Object, name: &str) -> Result<Stamp, Failure> {
    if let Some(stamp) = Stamp::parse(None, name).filter(|stamp| occurrences::has(object, stamp, name)) {
        return Ok(stamp);
    }
    invalid("There is no such occurrence: `list_events` says in `occurrence` which there are.")
}

/// Notes when an event was changed, and, if its times were, that it is another revision (RFC 5545 section 3.8.7.4).
pub(crate) fn touch(event: &mut Event, now: Timestamp, is_moved: bool) {
    let now = now.strftime("%Y%m%dT%H%M%SZ");
    for name in ["DTSTAMP", "LAST-MODIFIED"] {
        if event.has(name) {
            event.set(name, &format!("{name}:{now}"));
        }
    }
    if is_moved {
        let sequence = event.value("SEQUENCE").and_then(|value| value.parse::<u32>().ok()).unwrap_or(0);
        event.set("SEQUENCE", &format!("SEQUENCE:{}", sequence.saturating_add(1)));
    }
}

fn changed(arguments: &ChangeEvent, object: &Object, now: Timestamp) -> Result<String, Failure> {
    let mut document = Document::parse(&object.text)?;
    let is_recurring = document.is_recurring();
    let occurrence = arguments.occurrence.as_deref().filter(|_| is_recurring);
    if is_recurring && occurrence.is_none() && !arguments.whole_series {
        return invalid("This event repeats: say which `occurrence`, or `whole_series`.");
    }
    let meant = occurrence.map(|name| find_occurrence(object, name)).transpose()?;
    if let Some(name) = occurrence.filter(|_| !arguments.whole_series) {
        if arguments.recurrence.is_some() {
            return invalid("One occurrence has no `recurrence`: use `whole_series`.");
        }
        if document.event_mut(Some(name)).is_none() {
            let original = meant.clone().ok_or_else(not_understood)?;
            let event = document.event_mut(None).ok_or_else(not_understood)?.at(&original)?;
            document.add(event);
        }
        let event = document.event_mut(Some(name)).ok_or_else(not_understood)?;
        change(event, arguments, None, now)?;
    } else {
        let is_moved = arguments.start.is_some() || arguments.recurrence.is_some();
        if is_recurring && is_moved && document.has_exceptions() {
            return invalid(
                "Some occurrences were changed or deleted by themselves, which would be lost: move the occurrences one by one, or the series in another program.",
            );
        }
        let event = document.event_mut(None).ok_or_else(not_understood)?;
        change(event, arguments, meant.as_ref().filter(|_| is_recurring), now)?;
    }
    document.define_zones();
    Ok(document.text())
}

/// `meant`: of a series, the occurrence that `start` and `end` are about.
fn change(event: &mut Event, arguments: &ChangeEvent, meant: Option<&Stamp>, now: Timestamp) -> Result<(), Failure> {
    let texts = [
        (ICalendarProperty::Summary, &arguments.title),
        (ICalendarProperty::Location, &arguments.location),
        (ICalendarProperty::Description, &arguments.description),
    ];
    for (property, text) in texts {
        if let Some(text) = text {
            event.set_text(property, text.trim());
        }
    }
    let is_moved = move_event(event, arguments, meant)?;
    let start = event.stamp("DTSTART").ok_or_else(not_understood)?;
    match arguments.recurrence.as_deref().map(str::trim) {
        None => {}
        Some("") => event.remove(&["RRULE", "RDATE", "EXDATE"]),
        Some(rule) => event.set("RRULE", &format!("RRULE:{}", recurrence::rule(rule, &start)?)),
    }
    touch(event, now, is_moved || arguments.recurrence.is_some());
    Ok(())
}

fn move_event(event: &mut Event, arguments: &ChangeEvent, meant: Option<&Stamp>) -> Result<bool, Failure> {
    let has_end = arguments.end.is_some() || arguments.duration_minutes.is_some();
    if arguments.start.is_none() && !has_end {
        if arguments.time_zone.is_some() {
            return invalid("`time_zone` is that of `start` and `end`: give them too.");
        }
        return Ok(false);
    }
    let old = event.stamp("DTSTART").ok_or_else(not_understood)?;
    let zone = arguments.time_zone.as_deref().map(moment::zone).transpose()?;
    let is_series = event.has("RRULE") || event.has("RDATE");
    if is_series && arguments.end.is_some() && arguments.start.is_none() {
        return invalid("Of a series, give `start` too, or `duration_minutes` instead of `end`.");
    }
    let mut start = match &arguments.start {
        Some(text) => new_start(moment::read(text)?, zone.as_ref(), &old)?,
        None => old.clone(),
    };
    let end = if has_end {
        let zone = zone.clone().or_else(|| old.zone());
        Some(times::end(&start, arguments.end.as_deref(), arguments.duration_minutes, zone.as_ref())?)
    } else {
        None
    };
    let mut end = end;
    if is_series && arguments.start.is_some() {
        // What was said about one occurrence is done to the first.
        let Some(meant) = meant else { return invalid("Name the `occurrence` that is to begin at `start`.") };
        let is_other_day = start.civil().date() != meant.civil().date();
        if is_other_day && arguments.recurrence.is_none() {
            return invalid("A series that moves to other days needs the `recurrence` that it gets.");
        }
        let first = start.with(times::moved(old.civil(), &old.with(meant.civil()), &start)?);
        end = end.map(|end| Ok::<_, Failure>(end.with(times::moved(first.civil(), &start, &end)?))).transpose()?;
        start = first;
    }
    times::set(event, &start, end)?;
    Ok(true)
}

/// In the zone that is named, or else the event's.
fn new_start(moment: Moment, zone: Option<&TimeZone>, old: &Stamp) -> Result<Stamp, Failure> {
    match (moment, zone, old) {
        (Moment::Civil(civil), None, Stamp::Zoned(..) | Stamp::Floating(_)) => Ok(old.with(civil)),
        (Moment::Point(point), None, Stamp::Zoned(..)) => {
            let zone = old.zone().ok_or_else(not_understood)?;
            Ok(old.with(zone.to_datetime(point)))
        }
        _ => Stamp::of_moment(moment, zone),
    }
}
