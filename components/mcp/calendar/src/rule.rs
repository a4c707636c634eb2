//! Recurrence rules (RRULE, RFC 5545 section 3.3.10, with SKIP of RFC 7529) as values. They are parsed strictly, so that an unknown rule is never
//! confused with another. This module does not know zones; `repeat` computes a rule's times.

use jiff::civil::Weekday;

use crate::stamp::Stamp;

/// The longest sensible rule names all days of a year.
const BYTES_MAX: usize = 1_500;

/// The most times a day: every hour. More frequent events would fill a result within a day.
const TIMES_OF_DAY_MAX: usize = 24;

/// The longest list: all days of a year.
const LIST_MAX: usize = 366;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Frequency {
    Hourly,
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

/// A weekday: every one, or the nth of the month or year, counted from the end if negative.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Nth {
    /// 0 means every one.
    pub(crate) number: i16,
    pub(crate) weekday: Weekday,
}

/// A rule. Lists that the rule does not have are empty.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Rule {
    pub(crate) frequency: Frequency,
    pub(crate) interval: u32,
    pub(crate) count: Option<u32>,
    pub(crate) until: Option<Stamp>,
    pub(crate) week_start: Weekday,
    pub(crate) months: Vec<i16>,
    pub(crate) weeks: Vec<i16>,
    pub(crate) year_days: Vec<i16>,
    pub(crate) month_days: Vec<i16>,
    pub(crate) weekdays: Vec<Nth>,
    pub(crate) hours: Vec<i16>,
    pub(crate) minutes: Vec<i16>,
    pub(crate) seconds: Vec<i16>,
    pub(crate) positions: Vec<i16>,
    /// A day that a month does not have is moved to its last day. Otherwise it is skipped.
    pub(crate) is_skipped_back: bool,
}

/// Why a rule is not used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// It is not a rule, or it uses an unknown extension.
    Unknown,
    /// It repeats more than `TIMES_OF_DAY_MAX` times a day.
    Dense,
}

impl Rule {
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        if text.len() > BYTES_MAX {
            return Err(Fault::Unknown);
        }
        let text = text.trim().to_ascii_uppercase();
        let mut parts: Vec<(&str, &str)> = Vec::new();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or(Fault::Unknown)?;
            // An empty part counts as missing.
            if value.trim().is_empty() {
                continue;
            }
            if parts.iter().any(|(known, _)| *known == name) {
                return Err(Fault::Unknown);
            }
            parts.push((name, value));
        }
        let frequency = parts.iter().find(|(name, _)| *name == "FREQ").ok_or(Fault::Unknown)?.1;
        let frequency = match frequency {
            "YEARLY" => Frequency::Yearly,
            "MONTHLY" => Frequency::Monthly,
            "WEEKLY" => Frequency::Weekly,
            "DAILY" => Frequency::Daily,
            "HOURLY" => Frequency::Hourly,
            "MINUTELY" | "SECONDLY" => return Err(Fault::Dense),
            _ => return Err(Fault::Unknown),
        };
        let mut rule = Self::new(frequency);
        parts.into_iter().try_for_each(|(name, value)| rule.take(name, value).ok_or(Fault::Unknown))?;
        rule.check()?;
        Ok(rule)
    }

    fn new(frequency: Frequency) -> Self {
        let list = Vec::new;
        Self {
            frequency,
            interval: 1,
            count: None,
            until: None,
            week_start: Weekday::Monday,
            months: list(),
            weeks: list(),
            year_days: list(),
            month_days: list(),
            weekdays: Vec::new(),
            hours: list(),
            minutes: list(),
            seconds: list(),
            positions: list(),
            is_skipped_back: false,
        }
    }

    fn take(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "FREQ" => {}
            "INTERVAL" => self.interval = value.parse().ok().filter(|number| *number > 0)?,
            "COUNT" => self.count = Some(value.parse().ok().filter(|number| *number > 0)?),
            "UNTIL" => self.until = Some(Stamp::parse(None, value)?),
            "WKST" => self.week_start = weekday(value)?,
            "BYMONTH" => self.months = list(value, 1..=12, false)?,
            "BYWEEKNO" => self.weeks = list(value, 1..=53, true)?,
            "BYYEARDAY" => self.year_days = list(value, 1..=366, true)?,
            "BYMONTHDAY" => self.month_days = list(value, 1..=31, true)?,
            "BYDAY" => self.weekdays = weekdays(value)?,
            "BYHOUR" => self.hours = list(value, 0..=23, false)?,
            "BYMINUTE" => self.minutes = list(value, 0..=59, false)?,
            "BYSECOND" => self.seconds = list(value, 0..=59, false)?,
            "BYSETPOS" => self.positions = list(value, 1..=366, true)?,
            // Other calendars have other months and leap days.
            "RSCALE" if value == "GREGORIAN" => {}
            "SKIP" if value == "OMIT" => {}
            "SKIP" if value == "BACKWARD" => self.is_skipped_back = true,
            _ => return None,
        }
        Some(())
    }

    /// Refuses combinations that the RFC forbids.
    fn check(&self) -> Result<(), Fault> {
        let is_yearly = self.frequency == Frequency::Yearly;
        let is_long = is_yearly || self.frequency == Frequency::Monthly;
        let has_numbers = self.weekdays.iter().any(|day| day.number != 0);
        let is_wrong = (!self.weeks.is_empty() && !is_yearly)
            || (!self.year_days.is_empty() && !is_yearly && self.frequency != Frequency::Hourly)
            || (!self.month_days.is_empty() && self.frequency == Frequency::Weekly)
            || (has_numbers && (!is_long || !self.weeks.is_empty()))
            || (!self.positions.is_empty() && !self.has_lists());
        if is_wrong {
            return Err(Fault::Unknown);
        }
        let hours = if self.frequency == Frequency::Hourly { 24 } else { self.hours.len().max(1) };
        let times = hours * self.minutes.len().max(1) * self.seconds.len().max(1);
        if times > TIMES_OF_DAY_MAX { Err(Fault::Dense) } else { Ok(()) }
    }

    fn has_lists(&self) -> bool {
        let lists =
            [&self.months, &self.weeks, &self.year_days, &self.month_days, &self.hours, &self.minutes, &self.seconds];
        !self.weekdays.is_empty() || lists.iter().any(|list| !list.is_empty())
    }

    /// Whether the rule itself sets times of the day.
    pub(crate) fn has_times(&self) -> bool {
        !(self.hours.is_empty() && self.minutes.is_empty() && self.seconds.is_empty())
    }
}

fn weekday(text: &str) -> Option<Weekday> {
    Some(match text {
        "MO" => Weekday::Monday,
        "TU" => Weekday::Tuesday,
        "WE" => Weekday::Wednesday,
        "TH" => Weekday::Thursday,
        "FR" => Weekday::Friday,
        "SA" => Weekday::Saturday,
        "SU" => Weekday::Sunday,
        _ => return None,
    })
}

/// Parses a list of numbers in the range, also negative ones if `is_signed`. The result is sorted and without duplicates.
fn list(text: &str, range: std::ops::RangeInclusive<i16>, is_signed: bool) -> Option<Vec<i16>> {
    let number = |text: &str| {
        let number: i16 = text.trim().parse().ok()?;
        let is_inside = range.contains(&number) || (is_signed && range.contains(&number.checked_neg()?));
        is_inside.then_some(number)
    };
    let mut numbers: Vec<_> = text.split(',').take(LIST_MAX + 1).map(number).collect::<Option<_>>()?;
    numbers.sort_unstable();
    numbers.dedup();
    Some(numbers)
}

/// Parses a list of weekdays: `MO`, `1MO`, `+1MO`, `-1MO`.
fn weekdays(text: &str) -> Option<Vec<Nth>> {
    let day = |text: &str| {
        let text = text.trim();
        let (number, name) = text.split_at_checked(text.len().checked_sub(2)?)?;
        let number = if number.is_empty() { 0 } else { number.parse().ok().filter(|number| *number != 0)? };
        (-53..=53).contains(&number).then_some(Nth { number, weekday: weekday(name)? })
    };
    let mut days: Vec<Nth> = Vec::new();
    for found in text.split(',').take(LIST_MAX + 1).map(day) {
        let found = found?;
        if !days.contains(&found) {
            days.push(found);
        }
    }
    Some(days)
}
