//! The times of the discovery that all share: how long each step may take, and how long a list is valid. No other module of this crate has such
//! numbers.

use std::{ops::RangeInclusive, time::Duration};

/// The timeout for a server's list. A server that takes longer is down, and a person without any tools may be waiting.
pub(crate) const ASK_LIMIT: Duration = Duration::from_secs(5);

/// How long the list of a composed server is valid, and so all lists together. This is shorter than the time until a new deployment, or an author who
/// tries a change, needs the new list. A server without a known list is not asked again for as long: somebody may be setting it up.
pub(crate) const TTL_MS: i64 = 10_000;

/// How long after that a list is still used at once while it is refreshed. It covers the time between two messages in a busy installation, but not a
/// night after which another version answers.
pub(crate) const STALE_MS: i64 = 60_000;

/// How long a server is not asked again after it did not answer; its last list is valid until then. Long enough to delay nobody, short enough for an
/// operator who has just restarted the server.
pub(crate) const PAUSE_MS: i64 = 60_000;

/// How long the list of a remote server is valid: the default, and the maximum whatever the server says. A new tool there is found the same day. The
/// minimum is [`TTL_MS`].
pub const REMOTE_TTL_MS: i64 = 300_000;
pub(crate) const MAX_REMOTE_TTL_MS: i64 = 3_600_000;

/// How much later a list that is used although it has expired is refreshed: whoever came upon it waits for the first words of an answer, and a refresh
/// wakes every server.
pub(crate) const LATER: Duration = Duration::from_millis(500);

/// How long a request waits for new lists if there are old ones: a person waits for the answer. Our own servers take a tenth of this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// The same if there are no old ones, which happens once in an installation's life. It is longer than the timeout of a server that is down, also where
/// two hundred turns that begin at once start their instances first, and shorter than a run's wait for its tools.
pub(crate) const FIRST_PATIENCE: Duration = Duration::from_millis(19_500);

/// How long one instance's claim to ask the servers lasts. It is longer than asking takes. If the instance dies, the next one can still finish within
/// [`FIRST_PATIENCE`], because composed servers answer in a tenth of a second.
pub const CLAIM_MS: i64 = 7_000;

/// The poll interval, at first and in the end, while another instance makes the list. Each poll is a statement, and two hundred requests may poll at
/// once.
pub(crate) const LOOKS: RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_millis(500);
