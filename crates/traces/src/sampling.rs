//! Which traces are recorded.

use std::hash::{DefaultHasher, Hash, Hasher};

use trace_context::TraceContext;

/// The decision about a trace. All components decide alike, however a request reached them: the page asks several of them for one answer.
#[derive(Clone, PartialEq, Debug)]
pub enum Sampling {
    /// Those whose caller says that it records them: for installations behind something that decides for everybody.
    Parent,
    /// A share of all traces, from 0 to 1, whatever their callers say.
    Share {
        /// The share.
        share: f64,
        /// What the decision depends on besides the trace. People choose the ids of their traces, and must not choose what is recorded.
        key: String,
    },
}

/// What [`Sampling::parse`] cannot read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("neither a number from 0 to 1 nor `parent`")]
pub struct InvalidSampling;

impl Sampling {
    /// Reads a number from 0 to 1, or `parent`. Nothing is 1.
    ///
    /// # Errors
    /// [`InvalidSampling`].
    pub fn parse(text: &str, key: &str) -> Result<Self, InvalidSampling> {
        let share = match text.trim() {
            "parent" => return Ok(Self::Parent),
            "" => 1.0,
            number => number.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or(InvalidSampling)?,
        };
        Ok(Self::Share { share, key: key.to_owned() })
    }

    /// Whether a trace is recorded.
    #[must_use]
    pub fn chooses(&self, trace: &TraceContext) -> bool {
        let (share, key) = match self {
            Self::Parent => return trace.is_sampled(),
            Self::Share { share, key } => (*share, key),
        };
        // The hash of the standard library is the same in all components of a build.
        let mut hasher = DefaultHasher::new();
        (key, trace.ids().0).hash(&mut hasher);
        #[expect(clippy::cast_precision_loss, reason = "of 64 bits the first 53 decide")]
        let place = hasher.finish() as f64 / 2f64.powi(64);
        place < share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traces(flag: &str) -> Vec<TraceContext> {
        (1..=10_000).map(|id| TraceContext::continued(Some(&format!("00-{id:032x}-00000000000000ff-{flag}")))).collect()
    }

    fn chosen(sampling: &Sampling, traces: &[TraceContext]) -> Vec<bool> {
        traces.iter().map(|trace| sampling.chooses(trace)).collect()
    }

    #[test]
    fn a_share_of_all_traces_is_chosen_whatever_their_callers_say() {
        for (text, least, most) in [("0", 0, 0), ("0.25", 2_300, 2_700), ("1", 10_000, 10_000), ("", 10_000, 10_000)] {
            let sampling = Sampling::parse(text, "k").unwrap();
            let said = chosen(&sampling, &traces("01"));
            let count = said.iter().filter(|chosen| **chosen).count();
            assert!((least..=most).contains(&count), "{text}: {count}");
            assert_eq!(said, chosen(&sampling, &traces("00")), "every component decides alike");
        }
    }

    #[test]
    fn whoever_chooses_ids_does_not_know_which_are_chosen() {
        let [one, other] = ["one", "other"].map(|key| chosen(&Sampling::parse("0.5", key).unwrap(), &traces("00")));
        let same = one.iter().zip(&other).filter(|(one, other)| one == other).count();
        assert!((4_700..=5_300).contains(&same), "{same}");
    }

    #[test]
    fn the_caller_decides_only_where_the_configuration_says_so() {
        let sampling = Sampling::parse(" parent ", "k").unwrap();
        assert!(chosen(&sampling, &traces("01")).iter().all(|chosen| *chosen));
        assert!(!chosen(&sampling, &traces("00")).iter().any(|chosen| *chosen));
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for text in ["1.1", "-0.1", "NaN", "inf", "half", "0,5"] {
            assert_eq!(Sampling::parse(text, ""), Err(InvalidSampling), "{text}");
        }
    }
}
