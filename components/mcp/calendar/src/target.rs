//! Which of an object's events a change is about. What is not understood well enough to be changed is refused here, with words.

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

/// Events are named by their places in the object.
#[derive(Debug)]
pub(crate) enum Target {
    /// The event itself; of a series, all of it.
    Whole(Whole),
    One(One),
}

#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) index: usize,
    pub(crate) is_recurring: bool,
    /// Times were changed, left out or added one by one: they would not move along.
    pub(crate) has_exceptions: bool,
    /// The time that was named, of a series.
    pub(crate) meant: Option<Stamp>,
}

/// One time of a series.
#[derive(Debug)]
pub(crate) struct One {
    /// Which: in the form that the series begins in.
    pub(crate) original: Stamp,
    /// When it is.
    pub(crate) times: Times,
    pub(crate) master: Option<usize>,
    /// It was changed by itself: its own events, the one that counts last.
    pub(crate) changed: Vec<usize>,
    /// Those that follow were changed with it.
    pub(crate) is_range: bool,
}

/// Refuses an object of several events: what is done to one would be done to all.
pub(crate) fn check_single(document: &Document) -> Result<(), Failure> {
    if Series::all(document, &TimeZone::UTC).len() == 1 {
        return Ok(());
    }
    invalid("Several events are stored as one here: change or delete them in another program.")
}

/// Finds what is meant by an occurrence's name, or by its absence.
pub(crate) fn find(document: &Document, occurrence: Option<&str>, whole_series: bool) -> Result<Target, Failure> {
    let here = TimeZone::UTC;
    check_single(document)?;
    let all = Series::all(document, &here);
    let Some(series) = all.first() else { return Err(not_understood()) };
    let is_recurring = series.is_recurring();
    let meant = match occurrence.filter(|_| is_recurring) {
        Some(name) => Some(series.find(name).ok_or_else(|| {
            Failure::InvalidArguments(
                "There is no such occurrence: `list_events` says in `occurrence` which there are.".into(),
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

/// Refuses to change what was changed from some time on, or has times that nobody here understands.
pub(crate) fn check(document: &Document) -> Result<(), Failure> {
    let here = TimeZone::UTC;
    for series in Series::all(document, &here) {
        if series.changed.iter().any(|changed| changed.is_range) {
            return invalid(
                "This series was changed from one time on, which is not understood well enough here: change it in another program.",
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
