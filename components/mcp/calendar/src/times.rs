//! Converts the start and end that a model gives to iCalendar. In iCalendar, an end is the first moment or day after the event; for people, the last
//! day of a holiday is part of it.

use jiff::{SignedDuration, tz::TimeZone};
use tool_provider::Failure;

use crate::{
    document::Event,
    moment::{self, Moment, invalid},
    stamp::Stamp,
};

/// The DTEND of an event that begins at `start`.
pub(crate) fn end(
    start: &Stamp,
    end: Option<&str>,
    duration_minutes: Option<u32>,
    zone: Option<&TimeZone>,
) -> Result<Stamp, Failure> {
    let end = match (end, duration_minutes) {
        (Some(_), Some(_)) => return invalid("Give `end` or `duration_minutes`, not both."),
        (None, Some(_)) if start.is_date() => return invalid("An event of whole days ends on a day: give `end`."),
        (None, Some(minutes)) => start.later(SignedDuration::from_mins(minutes.into()))?,
        (None, None) if start.is_date() => start.later(SignedDuration::from_hours(24))?,
        (None, None) => return invalid("Say in `end` or `duration_minutes` when it ends."),
        (Some(text), None) => match (moment::read(text)?, start.is_date()) {
            (Moment::Date(last), true) => Stamp::Date(last.tomorrow().map_err(moment::out_of_range)?),
            (Moment::Date(_), false) | (_, true) => {
                return invalid("`start` and `end` are both days, or both times.");
            }
            (moment, false) => {
                let own = start.zone();
                Stamp::of_moment(moment, zone.or(own.as_ref()))?
            }
        },
    };
    let here = zone.cloned().unwrap_or(TimeZone::UTC);
    if end.begin(&here)? < start.begin(&here)? || (end.is_date() && end.civil() <= start.civil()) {
        return invalid("It ends before it begins.");
    }
    Ok(end)
}

/// Moves an event to another start. Without a new end, its length stays.
pub(crate) fn set(event: &mut Event, start: &Stamp, new_end: Option<Stamp>) -> Result<(), Failure> {
    let old = event.stamp("DTSTART").ok_or_else(not_understood)?;
    let new_end = match (new_end, event.stamp("DTEND")) {
        (Some(end), _) => Some(end),
        _ if old.is_date() != start.is_date() => {
            return invalid(
                "Give `end` or `duration_minutes` too: it had times and gets days, or had days and gets times.",
            );
        }
        // An end before the start means no length.
        (None, Some(end)) if is_before(&end, &old)? => {
            event.remove(&["DTEND"]);
            None
        }
        (None, Some(end)) => Some(shift(&end, &old, start)?),
        // The event has a DURATION, or neither.
        (None, None) => None,
    };
    event.set("DTSTART", &start.line("DTSTART"));
    if let Some(end) = new_end {
        event.remove(&["DURATION"]);
        event.set("DTEND", &end.line("DTEND"));
    }
    Ok(())
}

fn is_before(end: &Stamp, start: &Stamp) -> Result<bool, Failure> {
    let here = TimeZone::UTC;
    Ok(end.begin(&here)?.timestamp() <= start.begin(&here)?.timestamp())
}

/// The new end, as long after `start` as the old end was after `old`. If both are in the same zone, the length is measured on the clocks.
fn shift(end: &Stamp, old: &Stamp, start: &Stamp) -> Result<Stamp, Failure> {
    if std::mem::discriminant(end) == std::mem::discriminant(old) && end.zone() == old.zone() {
        return Ok(start.with(moved(start.civil(), old, end)?));
    }
    let here = TimeZone::UTC;
    start.later(end.begin(&here)?.timestamp().duration_since(old.begin(&here)?.timestamp()))
}

/// A time, moved by the difference between two others.
pub(crate) fn moved(civil: jiff::civil::DateTime, from: &Stamp, to: &Stamp) -> Result<jiff::civil::DateTime, Failure> {
    civil.checked_add(from.civil().duration_until(to.civil())).map_err(moment::out_of_range)
}

pub(crate) fn not_understood() -> Failure {
    Failure::InvalidArguments("The times of this event are not understood: change it in another program.".into())
}
