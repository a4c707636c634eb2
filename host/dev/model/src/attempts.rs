//! Counts repeated requests, for the knob `failures`. Must not grow without limit.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// The most remembered keys. A test suite has a few hundred, and the oldest are no longer used.
const KEYS_MAX: usize = 1_000;

/// Counts requests by key.
#[derive(Default)]
pub(crate) struct Attempts(Mutex<VecDeque<(u64, u32)>>);

impl Attempts {
    /// Counts a request and returns how many came before it.
    pub(crate) fn count(&self, key: u64) -> u32 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = counts.iter_mut().find(|(known, _)| *known == key) {
            let before = *count;
            *count = count.saturating_add(1);
            return before;
        }
        if counts.len() >= KEYS_MAX {
            counts.pop_front();
        }
        counts.push_back((key, 1));
        0
    }
}
