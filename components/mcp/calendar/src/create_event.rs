//! The tool `create_event`.

use calcard::icalendar::ICalendarProperty;
use jiff::{Timestamp, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tool_provider::{Context, Failure, Structured, tool};
use upstream::{Http, Outside};

use crate::{
    change_event::repeated_hour,
    dav::{Calendar, Server},
    document::{Document, text_line},
    moment::{self, invalid},
    objects::Precondition,
    recurrence,
    refusal::changed_meanwhile,
    stamp::Stamp,
    times,
    zones::ALL_YEARS,
};

/// The bytes of the hash in an event's UID: enough that no two calls share it.
const UID_BYTES: usize = 16;

#[derive(Deserialize, Serialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateEvent {
    /// What it is called.
    #[schemars(length(min = 1, max = 500))]
    pub(crate) title: String,
    /// When it begins: `2026-03-29T14:30`, or with its offset, or only a day for an event of whole days.
    pub(crate) start: String,
    /// When it ends, written likewise; of whole days, the last.
    pub(crate) end: Option<String>,
    /// How long it is, instead of `end`.
    #[schemars(range(min = 0, max = 527_040))]
    pub(crate) duration_minutes: Option<u32>,
    /// IANA time zone in which it takes place, such as `Europe/Berlin`; the person's own when left out.
    pub(crate) time_zone: Option<String>,
    /// The id of the calendar; may be left out if only one can be written to.
    pub(crate) calendar: Option<String>,
    #[schemars(length(max = 500))]
    pub(crate) location: Option<String>,
    #[schemars(length(max = 8_000))]
    pub(crate) description: Option<String>,
    /// How it repeats: RRULE text of RFC 5545, such as `FREQ=WEEKLY;BYDAY=MO;UNTIL=20261231`. Where no time zone is known, its
    /// time is fixed in UTC, and moves where clocks change.
    pub(crate) recurrence: Option<String>,
}

#[derive(Serialize, JsonSchema, Debug)]
pub(crate) struct Created {
    /// To name it in other calls.
    pub(crate) id: String,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<String>,
    /// The id of its calendar.
    pub(crate) calendar: String,
}

/// Makes an event in the person's calendar. Nobody is invited.
#[tool(title = "Create an event", additive, idempotent, secret = "url", secret = "username", secret = "password")]
pub(crate) async fn create_event(arguments: CreateEvent, context: &Context) -> Result<Structured<Created>, Failure> {
    run(&arguments, context, &Outside).await.map(Structured)
}

pub(crate) async fn run<T: Http>(
    arguments: &CreateEvent,
    context: &Context,
    transport: &T,
) -> Result<Created, Failure> {
    let uid = uid(arguments, context)?;
    let text = event(arguments, &uid, time_zone::of(context), Timestamp::now())?;
    let server = Server::new(context, transport)?;
    let calendar = match &arguments.calendar {
        Some(id) => id.clone(),
        None => only_writable(server.calendars().await?)?,
    };
    let calendar = format!("{}/", calendar.trim_end_matches('/'));
    let id = format!("{calendar}{uid}.ics");
    match server.put(&id, Precondition::Absent, text).await {
        // The existing event was made by an earlier attempt at this call.
        Err(failure) if failure == changed_meanwhile() => {
            let object = server.event(&id).await?;
            Ok(Created { id, etag: object.etag, calendar })
        }
        stored => Ok(Created { id, etag: stored?, calendar }),
    }
}

/// A UID that is the same for every attempt at a call, so that the call makes only one event.
fn uid(arguments: &CreateEvent, context: &Context) -> Result<String, Failure> {
    let arguments = serde_json::to_vec(arguments).map_err(|error| Failure::InvalidArguments(error.to_string()))?;
    let hash = Sha256::new().chain_update(&context.id).chain_update([0]).chain_update(arguments).finalize();
    Ok(hash.iter().take(UID_BYTES).map(|byte| format!("{byte:02x}")).collect())
}

fn only_writable(calendars: Vec<Calendar>) -> Result<String, Failure> {
    let writable: Vec<_> = calendars.into_iter().filter(|calendar| calendar.is_writable).collect();
    match writable.as_slice() {
        [] => Err(Failure::UpstreamFailed(
            "There is no calendar that can be written to: make one at the server first.".into(),
        )),
        [only] => Ok(only.id.clone()),
        several => {
            let names: Vec<_> = several.iter().map(|calendar| format!("{} ({})", calendar.id, calendar.name)).collect();
            invalid(format!("Say in `calendar` which one it goes into: {}.", names.join(", ")))
        }
    }
}

/// `here`: where the person is.
fn event(arguments: &CreateEvent, uid: &str, here: Option<TimeZone>, now: Timestamp) -> Result<String, Failure> {
    let zone = arguments.time_zone.as_deref().map(time_zone::named).transpose()?.or(here);
    let start = Stamp::of_moment(moment::read(&arguments.start)?, zone.as_ref())?;
    let end = times::end(&start, arguments.end.as_deref(), arguments.duration_minutes, zone.as_ref())?;
    let mut lines = vec![
        "BEGIN:VCALENDAR".to_owned(),
        "VERSION:2.0".to_owned(),
        "PRODID:-//Edge Assistant//Calendar//EN".to_owned(),
        "BEGIN:VEVENT".to_owned(),
        format!("UID:{uid}"),
        format!("DTSTAMP:{}", now.strftime("%Y%m%dT%H%M%SZ")),
        start.line("DTSTART"),
        end.line("DTEND"),
        text_line(ICalendarProperty::Summary, &arguments.title),
    ];
    if let Some(rule) = &arguments.recurrence {
        let is_written_in_utc = matches!(start, Stamp::Utc(_));
        if is_written_in_utc && zone.as_ref().is_some_and(|zone| !matches!(zone.iana_name(), Some("UTC" | "Etc/UTC"))) {
            return Err(repeated_hour());
        }
        lines.push(format!("RRULE:{}", recurrence::rule(rule, &start)?));
    }
    for (property, text) in
        [(ICalendarProperty::Location, &arguments.location), (ICalendarProperty::Description, &arguments.description)]
    {
        let text = text.as_deref().map(str::trim).filter(|text| !text.is_empty());
        lines.extend(text.map(|text| text_line(property, text)));
    }
    lines.extend(["END:VEVENT", "END:VCALENDAR", ""].map(str::to_owned));
    let mut document = Document::parse(&lines.join("\r\n"), ALL_YEARS)?;
    document.define_zones();
    Ok(document.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(arguments: &CreateEvent) -> Result<String, Failure> {
        event(arguments, "u", None, "2026-01-01T00:00:00Z".parse().unwrap())
    }

    fn at(start: &str) -> CreateEvent {
        CreateEvent { title: "Tea".into(), start: start.into(), ..CreateEvent::default() }
    }

    #[test]
    fn times_are_written_in_the_zone_they_are_meant_in() {
        let zone = Some("Europe/Berlin".to_owned());
        let text = made(&CreateEvent { time_zone: zone.clone(), duration_minutes: Some(90), ..at("2026-03-28T23:30") })
            .unwrap();
        assert!(text.contains("DTSTART;TZID=Europe/Berlin:20260328T233000\r\n"), "{text}");
        assert!(text.contains("DTEND;TZID=Europe/Berlin:20260329T010000\r\n"), "{text}");
        assert!(text.contains("BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\n"), "{text}");
        let point =
            made(&CreateEvent { time_zone: zone, duration_minutes: Some(0), ..at("2026-07-01T12:00Z") }).unwrap();
        assert!(point.contains("DTSTART;TZID=Europe/Berlin:20260701T140000"), "{point}");
        let utc = made(&CreateEvent { end: Some("2026-07-01T15:00+02:00".into()), ..at("2026-07-01T12:00Z") }).unwrap();
        assert!(utc.contains("DTEND:20260701T130000Z") && !utc.contains("VTIMEZONE"), "{utc}");
    }

    #[test]
    fn a_time_without_a_zone_is_meant_where_the_person_is() {
        let here = time_zone::named("Europe/Berlin").unwrap();
        let made = |arguments| event(&arguments, "u", Some(here.clone()), Timestamp::UNIX_EPOCH).unwrap();
        let text = made(CreateEvent { duration_minutes: Some(60), ..at("2026-07-01T12:00") });
        assert!(text.contains("DTSTART;TZID=Europe/Berlin:20260701T120000"), "{text}");
        let elsewhere = Some("Asia/Tokyo".to_owned());
        let text = made(CreateEvent { time_zone: elsewhere, duration_minutes: Some(60), ..at("2026-07-01T12:00") });
        assert!(text.contains("DTSTART;TZID=Asia/Tokyo:20260701T120000"), "{text}");
    }

    #[test]
    fn the_last_day_is_one_of_the_event() {
        let week = made(&CreateEvent { end: Some("2026-08-07".into()), ..at("2026-08-03") }).unwrap();
        assert!(week.contains("DTSTART;VALUE=DATE:20260803\r\nDTEND;VALUE=DATE:20260808\r\n"), "{week}");
        assert!(made(&at("2026-08-03")).unwrap().contains("DTEND;VALUE=DATE:20260804"));
    }

    #[test]
    fn what_makes_no_sense_is_answered_with_words() {
        let end = |start: &str, end: &str| CreateEvent { end: Some(end.into()), ..at(start) };
        for (arguments, words) in [
            (at("2026-08-03T10:00"), "time_zone"),
            (at("2026-08-03T10:00Z"), "duration_minutes"),
            (end("2026-08-03T10:00Z", "2026-08-03T09:00Z"), "before"),
            (end("2026-08-03", "2026-08-02"), "before"),
            (end("2026-08-03", "2026-08-03T09:00Z"), "both"),
            (at("soon"), "not understood"),
            (CreateEvent { time_zone: Some("Mars".into()), ..at("2026-08-03") }, "Europe/Berlin"),
            (CreateEvent { recurrence: Some("often".into()), ..at("2026-08-03") }, "RRULE"),
        ] {
            let Err(Failure::InvalidArguments(said)) = made(&arguments) else { panic!("{words}") };
            assert!(said.contains(words), "{said}");
        }
    }
}
