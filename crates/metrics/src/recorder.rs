//! What an instance has observed and not yet stored.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{BUCKETS_US, INFINITE, Kind, MAX_LABELS, Metric, SUM, Sample, VALUE};

/// More series than an instance meets between two times that they are stored. What is beyond is not counted.
const MAX_SERIES: usize = 512;

/// The most samples that wait after a failure: those of some minutes.
const MAX_UNSTORED: usize = 4_096;

/// Counts and histograms. An observation of a series that is there allocates nothing.
#[derive(Debug)]
pub struct Recorder {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    series: Vec<Series>,
    unstored: Vec<Sample>,
}

#[derive(Debug)]
struct Series {
    metric: &'static Metric,
    labels: [String; MAX_LABELS],
    /// A counter, or the sum of a histogram.
    total: i64,
    /// Of a histogram: one for each bound, and one for what is above.
    buckets: [i64; BUCKETS_US.len() + 1],
}

impl Recorder {
    /// Without observations.
    #[must_use]
    pub const fn new() -> Self {
        Self { inner: Mutex::new(Inner { series: Vec::new(), unstored: Vec::new() }) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one.
    pub fn count(&self, metric: &'static Metric, labels: &[&str]) {
        self.add(metric, labels, 1);
    }

    /// Counts several.
    pub fn add(&self, metric: &'static Metric, labels: &[&str], count: u64) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.change(metric, labels, |series| series.total = series.total.saturating_add(count));
    }

    /// Adds a duration to a histogram.
    pub fn observe(&self, metric: &'static Metric, labels: &[&str], took: Duration) {
        let took_us = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
        let place = BUCKETS_US.iter().position(|bound| took_us <= *bound).unwrap_or(BUCKETS_US.len());
        self.change(metric, labels, |series| {
            series.total = series.total.saturating_add(took_us);
            if let Some(bucket) = series.buckets.get_mut(place) {
                *bucket = bucket.saturating_add(1);
            }
        });
    }

    fn change(&self, metric: &'static Metric, labels: &[&str], change: impl FnOnce(&mut Series)) {
        let mut inner = self.inner();
        if let Some(series) = inner.series.iter_mut().find(|series| series.is(metric, labels)) {
            return change(series);
        }
        if inner.series.len() < MAX_SERIES {
            let mut values = labels.iter().map(|label| (*label).to_owned());
            let labels = std::array::from_fn(|_| values.next().unwrap_or_default());
            let mut series = Series { metric, labels, total: 0, buckets: [0; BUCKETS_US.len() + 1] };
            change(&mut series);
            inner.series.push(series);
        }
    }

    /// Whether there is nothing to store.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let inner = self.inner();
        inner.series.is_empty() && inner.unstored.is_empty()
    }

    /// Everything since the last time, without zeros.
    #[must_use]
    pub fn take(&self) -> Vec<Sample> {
        let mut inner = self.inner();
        let mut samples = std::mem::take(&mut inner.unstored);
        for series in std::mem::take(&mut inner.series) {
            series.write(&mut samples);
        }
        samples
    }

    /// What could not be stored. The oldest stay; what is beyond the limit is lost.
    pub fn put_back(&self, samples: Vec<Sample>) {
        let mut inner = self.inner();
        let room = MAX_UNSTORED.saturating_sub(inner.unstored.len());
        inner.unstored.extend(samples.into_iter().take(room));
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Series {
    fn is(&self, metric: &'static Metric, labels: &[&str]) -> bool {
        let own = self.labels.iter().map(String::as_str);
        std::ptr::eq(self.metric, metric) && own.take(labels.len()).eq(labels.iter().copied())
    }

    fn write(self, samples: &mut Vec<Sample>) {
        let Self { metric, labels, total, buckets } = self;
        let sample = |bucket, value| Sample { metric: metric.name.to_owned(), labels: labels.clone(), bucket, value };
        if metric.kind != Kind::Histogram {
            samples.push(sample(VALUE, total));
            return;
        }
        let bounds = BUCKETS_US.into_iter().chain([INFINITE]);
        samples.extend(bounds.zip(buckets).filter(|(_, count)| *count > 0).map(|(bound, count)| sample(bound, count)));
        samples.push(sample(SUM, total));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{CACHE_REQUESTS, HTTP_REQUEST_DURATION, TIME_TO_FIRST_TOKEN};

    fn numbers(samples: &[Sample]) -> Vec<(&str, &str, i64, i64)> {
        samples
            .iter()
            .map(|sample| (sample.metric.as_str(), sample.labels[0].as_str(), sample.bucket, sample.value))
            .collect()
    }

    #[test]
    fn an_observation_is_in_the_first_bucket_that_is_not_below_it() {
        let recorder = Recorder::new();
        for took_us in [0, 5_000, 5_001, 60_000_000, 60_000_001, u64::MAX] {
            recorder.observe(&TIME_TO_FIRST_TOKEN, &["m"], Duration::from_micros(took_us));
        }
        let name = "time_to_first_token_seconds";
        assert_eq!(
            numbers(&recorder.take()),
            [
                (name, "m", 5_000, 2),
                (name, "m", 10_000, 1),
                (name, "m", 60_000_000, 1),
                (name, "m", INFINITE, 2),
                (name, "m", SUM, i64::MAX)
            ]
        );
        assert!(recorder.is_empty() && recorder.take().is_empty(), "each is taken once");
    }

    #[test]
    fn series_are_told_apart_by_all_labels() {
        let recorder = Recorder::new();
        for labels in [["a", "hit"], ["a", "miss"], ["a", "hit"], ["b", "hit"]] {
            recorder.count(&CACHE_REQUESTS, &labels);
        }
        recorder.observe(&HTTP_REQUEST_DURATION, &["a", "hit", ""], Duration::ZERO);
        let taken = recorder.take();
        let counted: Vec<_> = taken.iter().filter(|sample| sample.bucket == VALUE).map(|sample| sample.value).collect();
        assert_eq!((counted.as_slice(), taken.len()), (&[2, 1, 1][..], 5));
    }

    #[test]
    fn what_was_not_stored_is_taken_again_and_nothing_grows_without_end() {
        let recorder = Recorder::new();
        recorder.count(&CACHE_REQUESTS, &["a", "hit"]);
        recorder.put_back(recorder.take());
        recorder.count(&CACHE_REQUESTS, &["a", "hit"]);
        assert_eq!(recorder.take().iter().map(|sample| sample.value).sum::<i64>(), 2);
        for at in 0..10_000 {
            recorder.count(&CACHE_REQUESTS, &[&at.to_string(), "hit"]);
        }
        let many = recorder.take();
        assert_eq!(many.len(), MAX_SERIES);
        for _ in 0..100 {
            recorder.put_back(many.clone());
        }
        assert_eq!(recorder.take().len(), MAX_UNSTORED);
    }
}
