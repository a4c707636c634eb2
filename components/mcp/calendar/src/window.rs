//! The stretch of time that a person asks about, and the events in it from their calendars.

use jiff::{Timestamp, ToSpan as _, Zoned, tz::TimeZone};
use tool_provider::{Context, Failure};
use upstream::Http;

use crate::{
    dav::{CALENDARS_MAX, Object, Server},
    moment::{self, Moment, invalid},
    occurrences::{self, Occurrence},
    repeat::Budget,
};

/// Somewhat more than a year, so that a daily event has fewer than `EVENTS_MAX` occurrences.
const DAYS_MAX: i64 = 400;

/// The most events in a result: each has about 300 characters, and the model reads 100,000.
pub(crate) const EVENTS_MAX: usize = 500;

/// The most notes about missing events, each a sentence or two. Nobody reads more.
const NOTES_MAX: usize = 20;

/// A stretch of time.
pub(crate) struct Window {
    pub(crate) from: Zoned,
    pub(crate) to: Zoned,
    pub(crate) zone: TimeZone,
}

/// The events in a window.
#[derive(Default)]
pub(crate) struct Found {
    /// The occurrences, sorted by start.
    pub(crate) occurrences: Vec<Occurrence>,
    /// Notes about missing events.
    pub(crate) notes: Vec<String>,
    /// Whether there are more occurrences.
    pub(crate) is_cut: bool,
}

/// The zone that a call names, or else the person's.
pub(crate) fn zone(named: Option<&str>, context: &Context) -> Result<TimeZone, Failure> {
    let unknown = || Failure::InvalidArguments("The person's time zone is not known: say it in `time_zone`.".into());
    named.map_or_else(|| time_zone::of(context).ok_or_else(unknown), time_zone::named)
}

impl Window {
    /// If `to` is a date, the window includes that day.
    pub(crate) fn new(from: &str, to: &str, zone: TimeZone) -> Result<Self, Failure> {
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

    /// Reads one calendar, or all.
    pub(crate) async fn read<T: Http>(&self, server: &Server<'_, T>, calendar: Option<&str>) -> Result<Found, Failure> {
        let (calendars, is_all): (Vec<_>, _) = match calendar {
            Some(id) => (vec![(id.to_owned(), String::new())], false),
            None => {
                let all = server.calendars().await?;
                (all.into_iter().map(|calendar| (calendar.id, calendar.name)).collect(), true)
            }
        };
        let mut found = Found::default();
        let (mut refusal, mut has_answer) = (None, false);
        // Calendars that cannot be read are in the notes, or in the error.
        let budget = Budget::default();
        if calendars.len() == CALENDARS_MAX && is_all {
            found.note(format!("Only the first {CALENDARS_MAX} calendars were looked at. Name another in `calendar`."));
        }
        for (id, name) in calendars {
            match server.query(&id, self.query()?).await {
                Ok(answer) => {
                    has_answer = true;
                    answer.notes.into_iter().for_each(|note| found.note(note));
                    answer.objects.iter().for_each(|object| found.add(object, &id, self, &budget));
                }
                Err(failure) if is_all => {
                    found.note(format!(
                        "The calendar \"{name}\" ({id}) could not be read and is left out. {}",
                        words(&failure)
                    ));
                    refusal = refusal.or(Some(failure));
                }
                Err(failure) => return Err(failure),
            }
        }
        match refusal.filter(|_| !has_answer) {
            Some(refusal) => Err(refusal),
            None => Ok(found.finish()),
        }
    }

    /// A `calendar-query` (RFC 4791 section 7.8), with an additional day at both ends, because the server does not know the zone of dates and of
    /// times without a zone. The server does not expand recurring events: some ignore that the clocks change.
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

impl Found {
    fn add(&mut self, object: &Object, calendar: &str, window: &Window, budget: &Budget) {
        let (occurrences, notes) = occurrences::read(object, calendar, window, budget);
        self.occurrences.extend(occurrences);
        notes.into_iter().for_each(|note| self.note(note));
        // From time to time, occurrences far beyond the limit are dropped.
        if self.occurrences.len() > 4 * EVENTS_MAX {
            self.cut();
        }
    }

    fn note(&mut self, note: String) {
        let is_new = !self.notes.contains(&note);
        match self.notes.len() {
            _ if !is_new => {}
            NOTES_MAX => self.notes.push("There are more notes of this kind.".into()),
            length if length < NOTES_MAX => self.notes.push(note),
            _ => {}
        }
    }

    fn cut(&mut self) {
        self.occurrences.sort_by(|one, other| (&one.start, &one.id).cmp(&(&other.start, &other.id)));
        self.is_cut |= self.occurrences.len() > EVENTS_MAX;
        self.occurrences.truncate(EVENTS_MAX);
    }

    fn finish(mut self) -> Self {
        self.cut();
        if self.is_cut {
            let note = format!("There are more events than these first {EVENTS_MAX}: ask for less time at once.");
            self.notes.push(note);
        }
        self
    }
}

fn words(failure: &Failure) -> &str {
    match failure {
        Failure::InvalidArguments(words) | Failure::NotConfigured(words) | Failure::UpstreamFailed(words) => words,
        Failure::TimedOut => "Its server did not answer in time.",
    }
}
