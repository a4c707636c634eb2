//! A time in another zone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tool_provider::{Context, Failure, Structured, tool};

use crate::moment::{self, Here, Moment, Shown};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Convert {
    /// `2026-03-29T14:30` as the clocks in `from_zone` show it, or `2026-03-29T14:30:00+02:00`, or `now`.
    time: String,
    /// IANA time zone of `time`, such as `America/New_York`; the person's own when left out.
    from_zone: Option<String>,
    /// IANA time zone to convert to, such as `Asia/Tokyo`, or an offset such as `+02:00`.
    to_zone: String,
}

#[derive(Serialize, JsonSchema, Debug)]
pub(crate) struct Converted {
    /// The time as it was given.
    from: Shown,
    /// The same moment in the other zone.
    to: Shown,
    /// By how many days the date differs: 1 if it is already tomorrow there.
    day_shift: i32,
    /// How a local time that does not exist, or happens twice, was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// Converts a time from one time zone to another, with daylight saving time. Use it for calls, flights and meetings across zones.
#[tool(title = "Convert between time zones", read_only, closed_world)]
pub(crate) async fn convert(arguments: Convert, context: &Context) -> Result<Structured<Converted>, Failure> {
    at(&arguments, &Here::of(context)).map(Structured)
}

fn at(arguments: &Convert, here: &Here) -> Result<Converted, Failure> {
    let from_zone = arguments.from_zone.as_deref();
    let to_zone = moment::zone(&arguments.to_zone)?;
    let (from, note) = match moment::read(&arguments.time, from_zone, here)? {
        Moment::Point(zoned) => (zoned, None),
        Moment::Date(_) => return moment::invalid("`time` is only a date: add a time of day, such as T14:30."),
        Moment::Civil(civil) => {
            let zone = from_zone.map(moment::zone).transpose()?.or_else(|| here.zone.clone());
            let Some(zone) = zone else {
                return moment::invalid("`time` has no offset: say in `from_zone` which zone's clocks show it.");
            };
            moment::resolve(civil, zone)?
        }
    };
    let to = from.with_time_zone(to_zone);
    let day_shift = (to.date() - from.date()).get_days();
    Ok(Converted { from: moment::show(&from), to: moment::show(&to), day_shift, note })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(time: &str, from: Option<&str>, to: &str) -> Result<Converted, Failure> {
        let arguments = Convert { time: time.into(), from_zone: from.map(str::to_owned), to_zone: to.into() };
        at(&arguments, &moment::tests::here("2026-01-01T00:00:00Z", None))
    }

    #[test]
    fn a_time_in_one_zone_is_told_in_another() {
        let call = converted("2026-07-01T20:00", Some("America/New_York"), "Asia/Kolkata").unwrap();
        assert_eq!(call.to.time, "2026-07-02T05:30:00+05:30");
        assert_eq!((call.day_shift, call.note), (1, None));
        let call = converted("2026-07-01T20:00:00Z", None, "Australia/Adelaide").unwrap();
        assert_eq!(call.to.time, "2026-07-02T05:30:00+09:30");
        let call = converted("2026-07-01T20:00:00+02:00[Europe/Berlin]", None, "UTC").unwrap();
        assert_eq!(call.to.time, "2026-07-01T18:00:00+00:00");
        assert_eq!(converted("now", None, "Asia/Tokyo").unwrap().to.time, "2026-01-01T09:00:00+09:00");
        let own = Convert { time: "2026-07-01T20:00".into(), from_zone: None, to_zone: "UTC".into() };
        let own = at(&own, &moment::tests::here("2026-01-01T00:00:00Z", Some("Europe/Berlin"))).unwrap();
        assert_eq!(
            (own.from.time.as_str(), own.to.time.as_str()),
            ("2026-07-01T20:00:00+02:00", "2026-07-01T18:00:00+00:00")
        );
    }

    #[test]
    fn skipped_and_repeated_local_times_are_explained() {
        let gap = converted("2026-03-29T02:30", Some("Europe/Berlin"), "UTC").unwrap();
        assert_eq!(
            (gap.from.time.as_str(), gap.to.time.as_str()),
            ("2026-03-29T03:30:00+02:00", "2026-03-29T01:30:00+00:00")
        );
        assert!(gap.note.unwrap().contains("does not exist"));
        let fold = converted("2026-10-25T02:30", Some("Europe/Berlin"), "UTC").unwrap();
        assert_eq!(fold.to.time, "2026-10-25T00:30:00+00:00");
        assert!(fold.note.unwrap().contains("happens twice"));
        let second = converted("2026-10-25T02:30+01:00", Some("Europe/Berlin"), "UTC").unwrap();
        assert_eq!((second.to.time.as_str(), second.note), ("2026-10-25T01:30:00+00:00", None));
    }

    #[test]
    fn what_cannot_be_converted_is_answered_with_words() {
        let cases = [
            ("2026-03-29T14:30", None, "UTC", "from_zone"),
            ("2026-03-29", Some("UTC"), "UTC", "time of day"),
            ("2026-02-30T10:00", Some("UTC"), "UTC", "existing day"),
            ("tomorrow", Some("UTC"), "UTC", "not understood"),
            ("9999-12-31T23:59:59-12:00", None, "UTC", "-9999 to 9999"),
            ("2026-07-01T20:00:00+05:00[Europe/Berlin]", None, "UTC", "not understood"),
            ("2026-03-29T14:30", Some("Nowhere"), "UTC", "not known"),
        ];
        for (time, from, to, words) in cases {
            let Err(Failure::InvalidArguments(said)) = converted(time, from, to) else { panic!("{time} was taken") };
            assert!(said.contains(words), "{time}: {said}");
        }
    }
}
