//! The tool `change_event`.

use calcard::icalendar::ICalendarProperty;
use jiff::{Timestamp, tz::TimeZone};
use schemars::JsonSchema;
use serde::Deserialize;
use tool_provider::{Context, Failure, Structured, tool};
use upstream::{Http, Outside};

use crate::{
    create_event::Created,
    dav::{Object, Server},
    document::{Document, Event},
    etag,
    moment::{self, Moment, invalid},
    objects::Precondition,
    recurrence,
    refusal::changed_meanwhile,
    stamp::Stamp,
    target::{self, Target},
    times::{self, not_understood},
    zones::ALL_YEARS,
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
    /// IANA time zone of `start` and `end`; the event's own when left out, or the person's if it has none.
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

pub(crate) async fn run<T: Http>(
    arguments: &ChangeEvent,
    context: &Context,
    transport: &T,
) -> Result<Created, Failure> {
    let server = Server::new(context, transport)?;
    let object = server.event(&arguments.id).await?;
    check_version(arguments.etag.as_deref(), object.etag.as_deref())?;
    let text = changed(arguments, &object, time_zone::of(context).as_ref(), Timestamp::now())?;
    let etag = object.etag.as_deref().or(arguments.etag.as_deref());
    let etag = server.put(&arguments.id, Precondition::Unchanged(etag), text).await?;
    let calendar = arguments.id.rsplit_once('/').map_or("/".into(), |(calendar, _)| format!("{calendar}/"));
    Ok(Created { id: arguments.id.clone(), etag, calendar })
}

/// Refuses the change before anything is done, if the event is not the version that was read.
pub(crate) fn check_version(read: Option<&str>, found: Option<&str>) -> Result<(), Failure> {
    match (read, found) {
        (Some(read), Some(found)) if !etag::is_same(read, found) => Err(changed_meanwhile()),
        _ => Ok(()),
    }
}

/// Records when an event was changed, and a new revision if its times were changed (RFC 5545 section 3.8.7.4).
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

/// `here`: where the person is, here and below.
fn changed(
    arguments: &ChangeEvent,
    object: &Object,
    here: Option<&TimeZone>,
    now: Timestamp,
) -> Result<String, Failure> {
    let mut document = Document::parse(&object.text, ALL_YEARS)?;
    target::check_single(&document)?;
    target::check(&document)?;
    match target::find(&document, arguments.occurrence.as_deref(), arguments.whole_series)? {
        Target::One(one) => {
            if arguments.recurrence.is_some() {
                return invalid("One occurrence has no `recurrence`: use `whole_series`.");
            }
            let index = match one.changed.last() {
                Some(index) => *index,
                None => {
                    let series =
                        one.master.and_then(|master| document.events().nth(master)).ok_or_else(not_understood)?;
                    let event = series.one(&one.original, &one.times);
                    document.add(event);
                    document.events().count().saturating_sub(1)
                }
            };
            change(document.event_mut(index).ok_or_else(not_understood)?, arguments, None, here, now)?;
        }
        Target::Whole(whole) => {
            let is_moved = arguments.start.is_some() || arguments.recurrence.is_some();
            if whole.is_recurring && is_moved && whole.has_exceptions {
                return invalid(
                    "Some occurrences were changed, deleted or added by themselves, which would be lost: move the occurrences one by one, or the series in another program.",
                );
            }
            let meant = whole.meant.as_ref().filter(|_| whole.is_recurring);
            change(document.event_mut(whole.index).ok_or_else(not_understood)?, arguments, meant, here, now)?;
        }
    }
    document.define_zones();
    Ok(document.text())
}

/// Applies the arguments. `meant` is the occurrence of a series that `start` and `end` are about.
fn change(
    event: &mut Event,
    arguments: &ChangeEvent,
    meant: Option<&Stamp>,
    here: Option<&TimeZone>,
    now: Timestamp,
) -> Result<(), Failure> {
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
    let is_moved = move_event(event, arguments, meant, here)?;
    let start = event.stamp("DTSTART").ok_or_else(not_understood)?;
    match arguments.recurrence.as_deref().map(str::trim) {
        None => {}
        Some("") => event.remove(&["RRULE", "RDATE", "EXDATE", "EXRULE"]),
        Some(rule) => event.set("RRULE", &format!("RRULE:{}", recurrence::rule(rule, &start)?)),
    }
    touch(event, now, is_moved || arguments.recurrence.is_some());
    Ok(())
}

fn move_event(
    event: &mut Event,
    arguments: &ChangeEvent,
    meant: Option<&Stamp>,
    here: Option<&TimeZone>,
) -> Result<bool, Failure> {
    let has_end = arguments.end.is_some() || arguments.duration_minutes.is_some();
    if arguments.start.is_none() && !has_end {
        if arguments.time_zone.is_some() {
            return invalid("`time_zone` is that of `start` and `end`: give them too.");
        }
        return Ok(false);
    }
    let old = event.stamp("DTSTART").ok_or_else(not_understood)?;
    // An event of days or in UTC has no zone in which a time without an offset could be meant.
    let has_zone = matches!(old, Stamp::Zoned(..) | Stamp::Floating(_));
    let is_civil = |text: &Option<String>| matches!(text.as_deref().map(moment::read), Some(Ok(Moment::Civil(_))));
    let here = here.filter(|_| !has_zone && (is_civil(&arguments.start) || is_civil(&arguments.end)));
    let zone = arguments.time_zone.as_deref().map(time_zone::named).transpose()?.or_else(|| here.cloned());
    let is_series = event.has("RRULE") || event.has("RDATE");
    if is_series && arguments.end.is_some() && arguments.start.is_none() {
        return invalid("Of a series, give `start` too, or `duration_minutes` instead of `end`.");
    }
    let mut start = match &arguments.start {
        Some(text) => new_start(moment::read(text)?, zone.as_ref(), &old)?,
        None => old.clone(),
    };
    let mut end = if has_end {
        let zone = zone.clone().or_else(|| old.zone());
        Some(times::end(&start, arguments.end.as_deref(), arguments.duration_minutes, zone.as_ref())?)
    } else {
        None
    };
    if is_series && arguments.start.is_some() {
        // The shift of one occurrence is applied to the first.
        if matches!((&old, &start), (Stamp::Zoned(..), Stamp::Utc(_))) && arguments.time_zone.is_none() {
            return Err(repeated_hour());
        }
        let Some(meant) = meant else { return invalid("Name the `occurrence` that is to begin at `start`.") };
        let first = recurrence::first_moved(&old, meant, &start)?;
        end = end.map(|end| Ok::<_, Failure>(end.with(times::moved(first.civil(), &start, &end)?))).transpose()?;
        if arguments.recurrence.is_none() {
            let rule = recurrence::moved(event.value("RRULE").as_deref(), &old, meant, &start, &first)?;
            event.set("RRULE", &format!("RRULE:{rule}"));
        }
        start = first;
    }
    times::set(event, &start, end)?;
    Ok(true)
}

/// A series that begins in the second of two repeated hours could be written only in UTC, and would shift when the clocks change.
pub(crate) fn repeated_hour() -> Failure {
    Failure::InvalidArguments(
        "The series would begin in an hour that the clocks repeat: give `start` without an offset, and `time_zone`."
            .into(),
    )
}

/// The new start in the given zone, or else in the event's zone.
fn new_start(moment: Moment, zone: Option<&TimeZone>, old: &Stamp) -> Result<Stamp, Failure> {
    match (moment, zone, old) {
        (Moment::Civil(civil), None, Stamp::Floating(_)) => Ok(old.with(civil)),
        (Moment::Civil(civil), None, Stamp::Zoned(..)) => match old.zone() {
            // As clocks show it, even if they skip this time.
            Some(zone) => Ok(old.with(moment.in_zone(&zone)?.datetime())),
            None => Ok(old.with(civil)),
        },
        (Moment::Point(point), None, Stamp::Zoned(..)) => {
            let zone = old.zone().ok_or_else(not_understood)?;
            Ok(old.at(&point.to_zoned(zone)))
        }
        (Moment::Point(_), None, Stamp::Floating(_)) => {
            invalid("The times of this event have no time zone: give `start` without an offset, or `time_zone` too.")
        }
        _ => Stamp::of_moment(moment, zone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_that_gets_a_time_gets_it_where_the_person_is() {
        let text = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20260701\r\nDTEND;VALUE=DATE:20260702\r\n\
                    END:VEVENT\r\nEND:VCALENDAR\r\n";
        let object = Object { id: "/c/1.ics".into(), etag: None, text: text.into() };
        let at_noon = |time_zone: Option<&str>| ChangeEvent {
            start: Some("2026-07-01T12:00".into()),
            duration_minutes: Some(60),
            time_zone: time_zone.map(str::to_owned),
            ..ChangeEvent::default()
        };
        let here = time_zone::named("Europe/Berlin").unwrap();
        let changed = |arguments, here| changed(&arguments, &object, here, Timestamp::UNIX_EPOCH);
        let own = changed(at_noon(None), Some(&here)).unwrap();
        assert!(own.contains("DTSTART;TZID=Europe/Berlin:20260701T120000"), "{own}");
        let named = changed(at_noon(Some("Asia/Tokyo")), Some(&here)).unwrap();
        assert!(named.contains("DTSTART;TZID=Asia/Tokyo:20260701T120000"), "{named}");
        let Err(Failure::InvalidArguments(words)) = changed(at_noon(None), None) else { panic!("guessed") };
        assert!(words.contains("time_zone"), "{words}");
    }
}
