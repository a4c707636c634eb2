//! How long anything about discovery takes or is believed. Nowhere else are there such numbers.

use std::{ops::RangeInclusive, time::Duration};

/// A server that takes longer to say what it has is down. Somebody may be waiting who knows of no tools at all.
pub(crate) const ASK_LIMIT: Duration = Duration::from_secs(5);

/// How long the list of a composed server is believed, and so all lists together: less than a new deployment, or an author who tries a change,
/// takes to come to it. A server of which nothing is known yet is left alone for as long: somebody may be setting it up.
pub(crate) const TTL_MS: i64 = 10_000;

/// How long, after that, a list is still used at once while it is made anew: the time between two messages in a lively installation, not the
/// night after which another version answers.
pub(crate) const STALE_MS: i64 = 60_000;

/// How long a server is left alone that did not answer; until then its last list counts. Long enough to cost nobody anything, short enough
/// for whoever has just started it again.
pub(crate) const PAUSE_MS: i64 = 60_000;

/// How long the list of a server elsewhere is believed that does not say it, and at most, whatever it says: a tool that is new there is found
/// the same day. At least, it is [`TTL_MS`].
pub(crate) const REMOTE_TTL_MS: i64 = 300_000;
pub(crate) const MAX_REMOTE_TTL_MS: i64 = 3_600_000;

/// How long new lists are waited for when there are old ones: a person waits for their answer. Our own servers take a tenth of it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// And when there are none, which is once in an installation's life: longer than a server that is down is waited for, and less than a run waits
/// for its tools.
pub(crate) const FIRST_PATIENCE: Duration = Duration::from_millis(9_500);

/// For how long one instance has it to itself to ask the servers: longer than that takes, and short enough for the next one to do it within
/// [`FIRST_PATIENCE`], should it die. What composed servers say comes in a tenth of a second.
pub const CLAIM_MS: i64 = 7_000;

/// How often, at first and in the end, one who waits for another instance looks whether there is a list: each look is a statement, and two
/// hundred may look at once.
pub(crate) const LOOKS: RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_millis(500);
