//! The times that a rule produces, as the clocks of its event show them. This module does not know zones.
//!
//! It goes through the periods of the rule (a year, a month, ...) and begins with the first requested period, not with the rule's first one. So the
//! cost of a rule depends only on the window. A rule with a COUNT is counted from the beginning if its periods differ.

use std::cell::Cell;

use jiff::{
    SignedDuration, ToSpan as _,
    civil::{Date, DateTime},
};

use crate::rule::{Frequency, Nth, Rule};

/// The periods that every rule may use: for a daily rule more than the longest window. No invitation can take them from another.
const PERIODS_FREE: u32 = 1_000;

/// The additional periods of all rules of one result: about 100 ms.
const PERIODS_MAX: u32 = 200_000;

/// The additional periods of one rule: for counting day by day for 130 years.
const PERIODS_OF_RULE_MAX: u32 = 50_000;

/// The times that one rule may have in a window: every hour of more than a year.
const TIMES_MAX: usize = 10_000;

/// The remaining additional periods of a result.
#[derive(Debug)]
pub(crate) struct Budget(Cell<u32>);

impl Default for Budget {
    fn default() -> Self {
        Self::new(PERIODS_MAX)
    }
}

impl Budget {
    pub(crate) fn new(periods: u32) -> Self {
        Self(Cell::new(periods))
    }

    fn take(&self) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left > 0
    }
}

/// Sorted times.
#[derive(Debug, Default)]
pub(crate) struct Times {
    pub(crate) times: Vec<DateTime>,
    /// Whether there are more, which were not computed.
    pub(crate) is_cut: bool,
}

/// The times that `rule` produces from `from` to `to`, both included, for an event that begins at `start`. A COUNT begins with `start`, even if the
/// rule does not produce that time (RFC 5545 section 3.3.10). The caller applies UNTIL, which depends on the zone.
pub(crate) fn times(rule: &Rule, start: DateTime, from: DateTime, to: DateTime, budget: &Budget) -> Times {
    let rule = complete(rule, start);
    let mut found = Times::default();
    let mut left = rule.count.unwrap_or(u32::MAX);
    let mut is_first = true;
    let mut index = if rule.count.is_some() { 0 } else { rule.period_of(start, from) };
    let mut periods = 0_u32;
    while let Some(period) = rule.period(start, index).filter(|period| *period <= to) {
        periods = periods.saturating_add(1);
        let is_allowed = periods <= PERIODS_FREE || (periods <= PERIODS_OF_RULE_MAX && budget.take());
        if !is_allowed || found.times.len() >= TIMES_MAX {
            found.is_cut = true;
            break;
        }
        for time in rule.in_period(period).into_iter().filter(|time| *time >= start) {
            if rule.count.is_some() {
                let is_beside = std::mem::take(&mut is_first) && time != start;
                left = left.saturating_sub(u32::from(is_beside));
                if left == 0 {
                    return found;
                }
                left -= 1;
            }
            if (from..=to).contains(&time) {
                found.times.push(time);
            }
        }
        let next = if index == 0 { rule.period_of(start, from).max(1) } else { index + 1 };
        match (rule.count, rule.of_each_period()) {
            // Skips whole periods, which all have the same number of times.
            (Some(_), Some(each)) => {
                let skipped = u64::try_from(next - index - 1).unwrap_or_default().saturating_mul(each);
                left = u32::try_from(u64::from(left).saturating_sub(skipped)).unwrap_or_default();
                index = next;
            }
            _ => index += 1,
        }
    }
    found
}

/// The rule with its missing parts taken from the start of its event.
fn complete(rule: &Rule, start: DateTime) -> Rule {
    let mut rule = rule.clone();
    let each = |weekday| vec![Nth { number: 0, weekday }];
    let has_days = !(rule.year_days.is_empty() && rule.month_days.is_empty() && rule.weekdays.is_empty());
    if !has_days {
        match rule.frequency {
            Frequency::Yearly if !rule.weeks.is_empty() => rule.weekdays = each(start.weekday()),
            Frequency::Yearly => {
                if rule.months.is_empty() {
                    rule.months = vec![start.month().into()];
                }
                rule.month_days = vec![start.day().into()];
            }
            Frequency::Monthly => rule.month_days = vec![start.day().into()],
            Frequency::Weekly => rule.weekdays = each(start.weekday()),
            Frequency::Daily | Frequency::Hourly => {}
        }
    }
    let parts = [(&mut rule.minutes, start.minute()), (&mut rule.seconds, start.second())];
    for (list, own) in parts {
        if list.is_empty() {
            *list = vec![own.into()];
        }
    }
    if rule.hours.is_empty() && rule.frequency != Frequency::Hourly {
        rule.hours = vec![start.hour().into()];
    }
    rule
}

impl Rule {
    /// The index of the period that contains a time, counted from the period of the start; 0 if the time is before.
    fn period_of(&self, start: DateTime, time: DateTime) -> i64 {
        let months = |time: DateTime| i64::from(time.year()) * 12 + i64::from(time.month());
        let hours = |from: DateTime, to: DateTime| from.duration_until(to).as_hours();
        let day = |date: Date| date.to_datetime(jiff::civil::Time::midnight());
        let units = match self.frequency {
            Frequency::Yearly => i64::from(time.year()) - i64::from(start.year()),
            Frequency::Monthly => months(time) - months(start),
            Frequency::Weekly => hours(day(self.week(start.date())), day(self.week(time.date()))) / (7 * 24),
            Frequency::Daily => hours(day(start.date()), day(time.date())) / 24,
            Frequency::Hourly => hours(start, time),
        };
        (units / i64::from(self.interval)).max(0)
    }

    /// The number of times in each period, if it is the same for all.
    fn of_each_period(&self) -> Option<u64> {
        let lists = [&self.months, &self.weeks, &self.year_days, &self.month_days, &self.positions];
        let days = match self.frequency {
            _ if lists.iter().any(|list| !list.is_empty()) => return None,
            Frequency::Weekly => self.weekdays.len(),
            Frequency::Daily if self.weekdays.is_empty() => 1,
            Frequency::Hourly if self.weekdays.is_empty() && self.hours.is_empty() => 1,
            _ => return None,
        };
        let times = self.hours.len().max(1) * self.minutes.len() * self.seconds.len();
        u64::try_from(days * times).ok()
    }

    /// The first day of the week that contains a date.
    fn week(&self, date: Date) -> Date {
        let days = self.week_start.until(date.weekday());
        date.checked_sub(days.days()).unwrap_or(date)
    }

    /// The start of a period; `None` beyond the calendar.
    fn period(&self, start: DateTime, index: i64) -> Option<DateTime> {
        let units = index.checked_mul(i64::from(self.interval))?;
        let days = |date: Date, days: i64| date.checked_add(SignedDuration::from_hours(days.checked_mul(24)?)).ok();
        let date = match self.frequency {
            Frequency::Yearly => first_of(i64::from(start.year()).checked_add(units)?, 1),
            Frequency::Monthly => {
                let months = (i64::from(start.year()) * 12 + i64::from(start.month()) - 1).checked_add(units)?;
                first_of(months.div_euclid(12), months.rem_euclid(12) + 1)
            }
            Frequency::Weekly => days(self.week(start.date()), units.checked_mul(7)?),
            Frequency::Daily => days(start.date(), units),
            Frequency::Hourly => {
                let hour = start.with().minute(0).second(0).build().ok()?;
                return hour.checked_add(SignedDuration::from_secs(units.checked_mul(3_600)?)).ok();
            }
        };
        Some(date?.to_datetime(jiff::civil::Time::midnight()))
    }

    /// The times that the rule produces in one period, sorted.
    fn in_period(&self, period: DateTime) -> Vec<DateTime> {
        let date = period.date();
        let days = match self.frequency {
            Frequency::Yearly => (1..=12)
                .filter(|month| self.months.is_empty() || self.months.contains(month))
                .filter_map(|month| first_of(date.year().into(), month.into()))
                .flat_map(|first| self.named(first, first.days_in_month().into()))
                .collect(),
            Frequency::Monthly => self.named(date, date.days_in_month().into()),
            Frequency::Weekly => self.named(date, 7),
            Frequency::Daily | Frequency::Hourly => self.named(date, 1),
        };
        let own = [i16::from(period.hour())];
        let hours = match self.frequency {
            Frequency::Hourly if self.hours.is_empty() || own.iter().all(|own| self.hours.contains(own)) => &own[..],
            Frequency::Hourly => &[],
            _ => &self.hours,
        };
        let mut times = Vec::new();
        for day in days {
            for hour in hours {
                for minute in &self.minutes {
                    times.extend(self.seconds.iter().filter_map(|second| at(day, *hour, *minute, *second)));
                }
            }
        }
        if self.positions.is_empty() { times } else { self.positioned(&times) }
    }

    fn positioned(&self, times: &[DateTime]) -> Vec<DateTime> {
        let place = |position: &i16| {
            let distance = usize::from(position.unsigned_abs());
            if *position > 0 { distance.checked_sub(1) } else { times.len().checked_sub(distance) }
        };
        let mut places: Vec<_> = self.positions.iter().filter_map(place).collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter().filter_map(|place| times.get(place).copied()).collect()
    }

    /// The days that the rule allows, of `days` days from `first` on.
    fn named(&self, first: Date, days: i64) -> Vec<Date> {
        let day = |number: i64| first.checked_add(number.days()).ok();
        (0..days).filter_map(day).filter(|date| self.names(*date)).collect()
    }

    fn names(&self, date: Date) -> bool {
        let month_days = i16::from(date.days_in_month());
        let day = i16::from(date.day());
        let has = |list: &[i16], number: i16, all: i16| {
            list.is_empty() || list.contains(&number) || list.contains(&(number - all - 1))
        };
        let is_last_instead =
            self.is_skipped_back && day == month_days && self.month_days.iter().any(|day| *day > month_days);
        (self.months.is_empty() || self.months.contains(&date.month().into()))
            && has(&self.year_days, date.day_of_year(), date.days_in_year())
            && (has(&self.month_days, day, month_days) || is_last_instead)
            && (self.weekdays.is_empty() || self.weekdays.iter().any(|nth| self.is_nth(date, *nth)))
            && (self.weeks.is_empty() || self.is_in_weeks(date))
    }

    fn is_nth(&self, date: Date, nth: Nth) -> bool {
        let is_of_year = self.frequency == Frequency::Yearly && self.months.is_empty();
        let (day, all) = if is_of_year {
            (date.day_of_year(), date.days_in_year())
        } else {
            (i16::from(date.day()), i16::from(date.days_in_month()))
        };
        date.weekday() == nth.weekday
            && match nth.number {
                0 => true,
                number if number > 0 => (day - 1) / 7 + 1 == number,
                number => (all - day) / 7 + 1 == -number,
            }
    }

    /// Whether a date is in the rule's weeks. A week belongs to the year that has at least four of its days.
    fn is_in_weeks(&self, date: Date) -> bool {
        let first = self.week(date);
        let Ok(middle) = first.checked_add(3.days()) else { return false };
        let number = (middle.day_of_year() - 1) / 7 + 1;
        let all = (middle.day_of_year() - 1 + (middle.days_in_year() - middle.day_of_year()) / 7 * 7) / 7 + 1;
        self.weeks.contains(&number) || self.weeks.contains(&(number - all - 1))
    }
}

fn first_of(year: i64, month: i64) -> Option<Date> {
    let year = i16::try_from(year).ok().filter(|year| (1..=9_999).contains(year))?;
    Date::new(year, i8::try_from(month).ok()?, 1).ok()
}

fn at(day: Date, hour: i16, minute: i16, second: i16) -> Option<DateTime> {
    let part = |number: i16| i8::try_from(number).ok();
    let time = jiff::civil::Time::new(part(hour)?, part(minute)?, part(second)?, 0).ok()?;
    Some(day.to_datetime(time))
}
