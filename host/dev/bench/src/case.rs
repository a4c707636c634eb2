//! A case: how many streams of how many tokens at once, how far apart.

use std::str::FromStr;

use anyhow::{bail, ensure};
use serde::Serialize;

/// Tokens of every stream.
pub(crate) const TOKENS: u64 = 50;
/// Pause between two tokens of the paced model: about that of hosted models.
pub(crate) const PACE_MS: u64 = 20;
/// A number of streams at once, repeated for some rounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Case {
    pub(crate) streams: usize,
    pub(crate) delay_ms: u64,
    /// A few streams use less CPU than the kernel's clock can measure, so they are repeated.
    #[serde(skip)]
    pub(crate) rounds: usize,
}

impl FromStr for Case {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let numbers = text.split(':').map(str::parse).collect::<Result<Vec<u32>, _>>()?;
        let [streams, delay_ms, rounds] = numbers[..] else { bail!("three numbers, for example 32:20:4") };
        ensure!(streams > 0 && rounds > 0, "nothing to measure");
        Ok(Self { streams: streams as usize, delay_ms: delay_ms.into(), rounds: rounds as usize })
    }
}

/// From small to large, because a process keeps the memory of a large case.
pub(crate) const CASES: [Case; 6] = [
    Case { streams: 1, delay_ms: PACE_MS, rounds: 4 },
    Case { streams: 1, delay_ms: 0, rounds: 32 },
    Case { streams: 32, delay_ms: PACE_MS, rounds: 1 },
    Case { streams: 32, delay_ms: 0, rounds: 4 },
    Case { streams: 256, delay_ms: PACE_MS, rounds: 1 },
    Case { streams: 256, delay_ms: 0, rounds: 1 },
];
/// A quick run skips cases with more streams than this.
pub(crate) const QUICK_STREAMS_MAX: usize = 32;

impl Case {
    /// The name of the scripted model that streams so.
    pub(crate) fn model(self) -> String {
        format!("scripted-chunks={TOKENS}-delay={}-ttft={}", self.delay_ms, self.delay_ms)
    }
}
