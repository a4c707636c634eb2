//! The text that Prometheus reads: its own format 0.0.4, or OpenMetrics 1.0.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
};

use crate::{INFINITE, Kind, MAX_LABELS, Metric, SUM, Sample, VALUE, table};

/// What every name begins with.
pub const PREFIX: &str = "edge_assistant_";

/// Units that a name may end with.
const UNITS: [&str; 2] = ["seconds", "ratio"];

/// The two formats.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Prometheus' text format 0.0.4, which everybody reads.
    Prometheus,
    /// OpenMetrics 1.0, for whoever asks for it.
    OpenMetrics,
}

impl Format {
    /// The format that a client's `Accept` asks for. Which one it prefers is not looked at: whoever names OpenMetrics can read it.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The value of `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

type Labels<'a> = &'a [String; MAX_LABELS];
/// The numbers of one series, by what they are.
type Numbers = BTreeMap<i64, i64>;

/// Writes all metrics of the table. Of the same number of the same series, samples are added up; those of metrics that are not in the table, as a later
/// release may store them, are left out.
#[must_use]
pub fn write(samples: &[Sample], format: Format) -> String {
    let mut series: BTreeMap<&str, BTreeMap<Labels<'_>, Numbers>> = BTreeMap::new();
    for Sample { metric, labels, bucket, value } in samples {
        let number = series.entry(metric).or_default().entry(labels).or_default().entry(*bucket).or_default();
        *number = number.saturating_add(*value);
    }
    let (mut text, none) = (String::new(), [const { String::new() }; MAX_LABELS]);
    for metric in table::ALL {
        let mut found = series.remove(metric.name).unwrap_or_default();
        // A series that cannot have another name is there from the beginning, so that its first change is seen as one.
        if metric.labels.is_empty() {
            found.entry(&none).or_default().entry(VALUE).or_default();
        }
        // Writing to a text never fails.
        let _ = write_metric(&mut text, metric, &found, format);
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

fn write_metric(
    text: &mut String,
    metric: &Metric,
    series: &BTreeMap<Labels<'_>, Numbers>,
    format: Format,
) -> fmt::Result {
    let Metric { name, help, kind, labels, .. } = metric;
    let total = if *kind == Kind::Counter { "_total" } else { "" };
    let family = if format == Format::Prometheus { total } else { "" };
    let kind_name = match kind {
        Kind::Counter => "counter",
        Kind::Histogram => "histogram",
        Kind::Gauge => "gauge",
    };
    writeln!(text, "# HELP {PREFIX}{name}{family} {help}")?;
    writeln!(text, "# TYPE {PREFIX}{name}{family} {kind_name}")?;
    let unit = UNITS.into_iter().find(|unit| name.ends_with(unit)).filter(|_| format == Format::OpenMetrics);
    if let Some(unit) = unit {
        writeln!(text, "# UNIT {PREFIX}{name} {unit}")?;
    }
    for (values, numbers) in series {
        let values = labels.iter().copied().zip(values.iter().map(String::as_str));
        let labels: Vec<(&str, &str)> = values.collect();
        if *kind == Kind::Histogram {
            write_histogram(text, name, &labels, numbers)?;
        } else {
            let value = numbers.get(&VALUE).copied().unwrap_or_default();
            writeln!(
                text,
                "{PREFIX}{name}{total}{} {}",
                Braces(&labels, None),
                Number(value, metric.is_in_millionths)
            )?;
        }
    }
    Ok(())
}

/// Buckets are cumulative here. Bounds of another release that were stored stand beside those of this one.
fn write_histogram(text: &mut String, name: &str, labels: &[(&str, &str)], numbers: &Numbers) -> fmt::Result {
    let bounds: BTreeSet<i64> = crate::BUCKETS_US.into_iter().chain(numbers.keys().copied()).collect();
    let mut count = 0_i64;
    for bound in bounds.into_iter().filter(|bound| *bound != SUM && *bound != INFINITE) {
        count = count.saturating_add(numbers.get(&bound).copied().unwrap_or_default());
        let le = Number(bound, true).to_string();
        writeln!(text, "{PREFIX}{name}_bucket{} {count}", Braces(labels, Some(&le)))?;
    }
    count = count.saturating_add(numbers.get(&INFINITE).copied().unwrap_or_default());
    writeln!(text, "{PREFIX}{name}_bucket{} {count}", Braces(labels, Some("+Inf")))?;
    let sum = numbers.get(&SUM).copied().unwrap_or_default();
    writeln!(text, "{PREFIX}{name}_sum{} {}", Braces(labels, None), Number(sum, true))?;
    writeln!(text, "{PREFIX}{name}_count{} {count}", Braces(labels, None))
}

/// A number, with a point if it is kept in millionths: `0.25`, `5.0`.
struct Number(i64, bool);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(value, is_in_millionths) = *self;
        if !is_in_millionths {
            return write!(f, "{value}");
        }
        let (whole, rest) = (value.unsigned_abs() / 1_000_000, value.unsigned_abs() % 1_000_000);
        let rest = format!("{rest:06}");
        let rest = match rest.trim_end_matches('0') {
            "" => "0",
            rest => rest,
        };
        write!(f, "{}{whole}.{rest}", if value < 0 { "-" } else { "" })
    }
}

/// Labels in braces, with the bound of a bucket last; nothing if there is none.
struct Braces<'a>(&'a [(&'a str, &'a str)], Option<&'a str>);

impl fmt::Display for Braces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(labels, le) = self;
        let all = labels.iter().copied().chain(le.map(|le| ("le", le)));
        let mut separator = '{';
        for (name, value) in all {
            write!(f, "{separator}{name}=\"")?;
            separator = ',';
            for letter in value.chars() {
                match letter {
                    '\\' => f.write_str("\\\\")?,
                    '"' => f.write_str("\\\"")?,
                    '\n' => f.write_str("\\n")?,
                    letter => f.write_char(letter)?,
                }
            }
            f.write_char('"')?;
        }
        if separator == ',' { f.write_char('}') } else { Ok(()) }
    }
}
