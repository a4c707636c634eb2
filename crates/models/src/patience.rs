//! How long a provider is waited for while another one could be asked instead (docs/adr/0045). The same for runs and for requests of programs.

use std::time::Duration;

/// Most servers send the head of a stream at once, and reason afterwards.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait for the head of an answer. `silence`: the longest silence that is allowed. A server that does not stream sends its head with the
/// whole answer.
#[must_use]
pub fn head_patience(silence: Duration, has_successor: bool, streams: bool) -> Duration {
    if has_successor && streams { silence.min(HEAD_PATIENCE) } else { silence }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_stream_that_another_provider_could_send_is_waited_for_less() {
        let seconds = Duration::from_secs;
        assert_eq!(head_patience(seconds(120), true, true), seconds(30));
        assert_eq!(head_patience(seconds(5), true, true), seconds(5));
        assert_eq!(head_patience(seconds(120), false, true), seconds(120));
        assert_eq!(head_patience(seconds(120), true, false), seconds(120));
    }
}
