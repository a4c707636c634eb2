//! Finds the event of an object that a change is about. Objects that are not understood well enough to be changed are refused with a message.

use jiff::tz::TimeZone;
use tool_provider::Failure;

use crate::{
    document::Document,
    extent::Times,
    moment::invalid,
    repeat::Budget,
    series::{Doubt, Series},
    stamp::Stamp,
    times::not_understood,
};

/// The target of a change. Events are given by their indices in the object.
#[derive(Debug)]
pub(crate) enum Target {
    /// The event itself; for a series, all of it.
    Whole(Whole),
    One(One),
}

#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) index: usize,
    pub(crate) is_recurring: bool,
    /// Whether some occurrences were changed, deleted or added. They would not move with the series.
    pub(crate) has_exceptions: bool,
    /// The given occurrence, if it is a series.
    pub(crate) meant: Option<Stamp>,
}

/// One occurrence of a series.
#[derive(Debug)]
pub(crate) struct One {
    /// The original time, in the form of the series' start.
    pub(crate) original: Stamp,
    /// The times of the occurrence.
    pub(crate) times: Times,
    pub(crate) master: Option<usize>,
    /// The indices of its changes, the valid one last.
    pub(crate) changed: Vec<usize>,
    /// Whether the change is also for all following occurrences.
    pub(crate) is_range: bool,
}

/// Refuses an object with several events: a change of one would affect all.
pub(crate) fn check_single(document: &Document) -> Result<(), Failure> {
    if Series::all(document, &TimeZone::UTC).len() == 1 {
        return Ok(());
    }
    invalid("Several events are stored as one here: change or delete them in another program.")
}

/// Finds the target by the occurrence's name, or without one.
pub(crate) fn find(document: &Document, occurrence: Option<&str>, whole_series: bool) -> Result<Target, Failure> {
    let here = TimeZone::UTC;
    check_single(document)?;
    let all = Series::all(document, &here);
    let Some(series) = all.first() else { return Err(not_understood()) };
    let is_recurring = series.is_recurring();
    let meant = match occurrence.filter(|_| is_recurring) {
        Some(name) => Some(series.find(name).ok_or_else(|| {
            Failure::InvalidArguments(
                "There is no such occurrence: take it from the field `occurrence` in `list_events`.".into(),
            )
        })?),
        None if is_recurring && !whole_series => {
            return invalid("This event repeats: say which `occurrence`, or `whole_series`.");
        }
        None => None,
    };
    match meant {
        Some((original, times)) if !whole_series => Ok(Target::One(One {
            master: series.master.map(|(index, _)| index),
            changed: series.changed_at(&original).map(|changed| changed.indices.clone()).unwrap_or_default(),
            is_range: series.changed_at(&original).is_some_and(|changed| changed.is_range),
            original,
            times,
        })),
        meant => {
            let Some((index, event)) = series.master else {
                return invalid("Only single times of this series are here: name the `occurrence`.");
            };
            let has_dates = ["RDATE", "EXDATE", "EXRULE"].iter().any(|name| event.has(name));
            Ok(Target::Whole(Whole {
                index,
                is_recurring,
                has_exceptions: has_dates || !series.changed.is_empty(),
                meant: meant.map(|(original, _)| original),
            }))
        }
    }
}

/// Refuses objects with a change of "this and all following", or with times that are not understood.
pub(crate) fn check(document: &Document) -> Result<(), Failure> {
    let here = TimeZone::UTC;
    for series in Series::all(document, &here) {
        if series.changed.iter().any(|changed| changed.is_range) {
            return invalid(
                "This series contains a change of \"this and all following events\", which is not supported here: change it in another program.",
            );
        }
        let start = series.master.map(|(_, event)| event.stamp("DTSTART").ok_or_else(not_understood)).transpose()?;
        let Some(begin) = start.and_then(|start| start.begin(&here).ok()) else { continue };
        let doubts = series.instances(&begin, &begin, &Budget::default()).1;
        if doubts.iter().any(|doubt| matches!(doubt, Doubt::Times)) {
            return Err(not_understood());
        }
    }
    Ok(())
}
