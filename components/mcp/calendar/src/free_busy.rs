//! The tool `free_busy`.

use jiff::Zoned;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tool_provider::{Context, Failure, Structured, tool};
use upstream::{Http, Outside};

use crate::{
    dav::Server,
    moment,
    window::{self, EVENTS_MAX, Window},
};

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct FreeBusy {
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
pub(crate) struct Times {
    /// When something is planned; what overlaps or touches is one.
    pub(crate) busy: Vec<Stretch>,
    /// The rest.
    pub(crate) free: Vec<Stretch>,
    /// What was not looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
}

#[derive(Serialize, JsonSchema, PartialEq, Eq, Debug)]
pub(crate) struct Stretch {
    pub(crate) start: String,
    pub(crate) end: String,
}

/// Says when the person is busy and when free, from all their calendars. Use it to find time for something. Events that are cancelled or
/// marked as leaving one free do not count.
#[tool(title = "Free and busy times", read_only, secret = "url", secret = "username", secret = "password")]
pub(crate) async fn free_busy(arguments: FreeBusy, context: &Context) -> Result<Structured<Times>, Failure> {
    run(&arguments, context, &Outside).await.map(Structured)
}

pub(crate) async fn run<T: Http>(arguments: &FreeBusy, context: &Context, transport: &T) -> Result<Times, Failure> {
    let zone = window::zone(arguments.time_zone.as_deref(), context)?;
    let window = Window::new(&arguments.from, &arguments.to, zone)?;
    let found = window.read(&Server::new(context, transport)?, arguments.calendar.as_deref()).await?;
    if found.is_cut {
        return moment::invalid(format!("There are more than {EVENTS_MAX} events: ask for less time at once."));
    }
    let counted = found.occurrences.iter().filter(|event| !event.is_cancelled && !event.is_transparent);
    let (busy, free) = merge(counted.map(|event| (&event.start, &event.end)), &window);
    Ok(Times { busy, free, notes: found.notes })
}

/// The busy and free stretches of a window. `events` are sorted by their start.
fn merge<'a>(events: impl Iterator<Item = (&'a Zoned, &'a Zoned)>, window: &Window) -> (Vec<Stretch>, Vec<Stretch>) {
    let mut busy: Vec<(Zoned, Zoned)> = Vec::new();
    for (start, end) in events {
        let (start, end) = (start.max(&window.from).clone(), end.min(&window.to).clone());
        match busy.last_mut() {
            _ if start >= end => {}
            Some((_, last)) if start <= *last => *last = end.max(last.clone()),
            _ => busy.push((start, end)),
        }
    }
    let stretch = |start: &Zoned, end: &Zoned| Stretch { start: moment::show(start), end: moment::show(end) };
    let mut free = Vec::new();
    let mut from = &window.from;
    for (start, end) in &busy {
        if from < start {
            free.push(stretch(from, start));
        }
        from = end;
    }
    if *from < window.to {
        free.push(stretch(from, &window.to));
    }
    (busy.iter().map(|(start, end)| stretch(start, end)).collect(), free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overlaps_is_one_and_the_rest_is_free() {
        let window = Window::new("2026-03-29", "2026-03-29", time_zone::named("Europe/Berlin").unwrap()).unwrap();
        let at = |text: &str| moment::read(text).unwrap().in_zone(&window.zone).unwrap();
        let events = [
            ("2026-03-28T23:00", "2026-03-29T01:00"),
            ("2026-03-29T09:00", "2026-03-29T12:00"),
            ("2026-03-29T10:00", "2026-03-29T11:00"),
            ("2026-03-29T12:00", "2026-03-29T12:30"),
            ("2026-03-29T15:00", "2026-03-29T15:00"),
        ]
        .map(|(start, end)| (at(start), at(end)));
        let (busy, free) = merge(events.iter().map(|(start, end)| (start, end)), &window);
        let texts = |all: &[Stretch]| all.iter().map(|one| format!("{}/{}", one.start, one.end)).collect::<Vec<_>>();
        assert_eq!(
            texts(&busy),
            [
                "2026-03-29T00:00:00+01:00/2026-03-29T01:00:00+01:00",
                "2026-03-29T09:00:00+02:00/2026-03-29T12:30:00+02:00"
            ]
        );
        assert_eq!(
            texts(&free),
            [
                "2026-03-29T01:00:00+01:00/2026-03-29T09:00:00+02:00",
                "2026-03-29T12:30:00+02:00/2026-03-30T00:00:00+02:00"
            ]
        );
    }
}
