//! The stretch of time that a person asks about, and what is in it in which calendars.

use jiff::{Timestamp, ToSpan as _, Zoned, tz::TimeZone};
use tool_provider::Failure;

use crate::{
    dav::Server,
    moment::{self, Moment, invalid},
    occurrences::{self, Occurrence},
    stamp::Stamp,
    transport::Transport,
};

/// Somewhat more than a year: what recurs daily is then fewer than `EVENTS_MAX`.
const DAYS_MAX: i64 = 400;

/// Events of one answer: each has some 300 characters, of which the model reads 100,000.
pub(crate) const EVENTS_MAX: usize = 500;

/// From here on to there.
pub(crate) struct Window {
    pub(crate) from: Zoned,
    pub(crate) to: Zoned,
    pub(crate) zone: TimeZone,
}

/// What is in a window.
pub(crate) struct Found {
    /// By their start.
    pub(crate) occurrences: Vec<Occurrence>,
    /// What the answer lacks.
    pub(crate) notes: Vec<String>,
    /// There are more than these.
    pub(crate) is_cut: bool,
}

impl Window {
    /// A `to` that is a day is in the window.
    pub(crate) fn new(from: &str, to: &str, time_zone: &str) -> Result<Self, Failure> {
        let zone = moment::zone(time_zone)?;
        let from = moment::read(from)?.in_zone(&zone)?;
        let to = match moment::read(to)? {
            Moment::Date(date) => Moment::Date(date.tomorrow().map_err(moment::out_of_range)?),
            other => other,
        };
        let to = to.in_zone(&zone)?;
        if from >= to {
            return invalid("`to` is not after `from`.");
        }
        if from.duration_until(&to).as_hours() > DAYS_MAX * 24 {
            return invalid(format!("Ask for at most {DAYS_MAX} days at once."));
        }
        Ok(Self { from, to, zone })
    }

    /// Days enough to have a time in them, wherever it is meant.
    pub(crate) fn around(stamp: &Stamp) -> Option<Self> {
        let middle = stamp.begin(&TimeZone::UTC).ok()?;
        let (from, to) = (middle.checked_sub(48.hours()).ok()?, middle.checked_add(48.hours()).ok()?);
        Some(Self { from, to, zone: TimeZone::UTC })
    }

    /// Reads one calendar, or all of them.
    pub(crate) async fn read<T: Transport>(
        &self,
        server: &Server<'_, T>,
        calendar: Option<&str>,
    ) -> Result<Found, Failure> {
        let ids = match calendar {
            Some(id) => vec![id.to_owned()],
            None => server.calendars().await?.into_iter().map(|calendar| calendar.id).collect(),
        };
        let (mut occurrences, mut notes, mut is_cut) = (Vec::new(), Vec::new(), false);
        for id in ids {
            for object in server.query(&id, self.query()?).await? {
                let (found, note) = occurrences::read(&object, &id, self);
                occurrences.extend(found);
                notes.extend(note.filter(|note| !notes.contains(note)));
            }
            occurrences.sort_by(|one: &Occurrence, other| (&one.start, &one.id).cmp(&(&other.start, &other.id)));
            if occurrences.len() > EVENTS_MAX {
                occurrences.truncate(EVENTS_MAX);
                is_cut = true;
            }
        }
        if is_cut {
            notes.push(format!("There are more events than these first {EVENTS_MAX}: ask for less time at once."));
        }
        Ok(Found { occurrences, notes, is_cut })
    }

    /// A `calendar-query` (RFC 4791 section 7.8). A day more at both ends: of a day or a time without a zone the server does not know
    /// where it is meant. What recurs is not expanded by the server: some forget that the clocks change.
    fn query(&self) -> Result<String, Failure> {
        let utc = |timestamp: Timestamp| timestamp.strftime("%Y%m%dT%H%M%SZ").to_string();
        let from = self.from.timestamp().checked_sub(24.hours()).map_err(moment::out_of_range)?;
        let to = self.to.timestamp().checked_add(24.hours()).map_err(moment::out_of_range)?;
        Ok(format!(
            r#"<c:calendar-query xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><d:prop><d:getetag/><c:calendar-data/></d:prop><c:filter><c:comp-filter name="VCALENDAR"><c:comp-filter name="VEVENT"><c:time-range start="{}" end="{}"/></c:comp-filter></c:comp-filter></c:filter></c:calendar-query>"#,
            utc(from),
            utc(to)
        ))
    }
}
