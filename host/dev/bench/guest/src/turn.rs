//! From a model's bytes to our events.

use std::{convert::Infallible, fmt::Display};

use bytes::Bytes;
use completions::{Piece, Round};
use domain::{Id, Timestamp, event::Event};
use futures::{Stream, StreamExt as _};

/// A model's answer as our events: one item for each chunk with content, up to `complete` or `error`.
pub fn frames<E: Display>(
    body: impl Stream<Item = Result<Bytes, E>> + Unpin,
) -> impl Stream<Item = Result<String, Infallible>> {
    let turn =
        Turn { body, round: Round::default(), run_id: Id::new().to_string(), last_id: 0, token_count: 0, ended: false };
    futures::stream::unfold(turn, async |mut turn| {
        let frames = turn.next().await?;
        Some((Ok(frames), turn))
    })
}

struct Turn<B> {
    body: B,
    round: Round,
    run_id: String,
    last_id: u64,
    token_count: u64,
    ended: bool,
}

impl<B: Stream<Item = Result<Bytes, E>> + Unpin, E: Display> Turn<B> {
    /// The next chunk's content as frames; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        let (mut pieces, mut frames) = (Vec::new(), String::new());
        while !self.ended && frames.is_empty() {
            let heard = match self.body.next().await {
                Some(Ok(bytes)) => self.round.feed(&bytes, &mut pieces).map_err(|error| error.to_string()),
                Some(Err(error)) => Err(error.to_string()),
                None => {
                    self.ended = true;
                    self.round.finish(&mut pieces).map_err(|error| error.to_string())
                }
            };
            for piece in pieces.drain(..) {
                // The relay keeps no text, so pieces that correct earlier text have no use here.
                let (Piece::Text(text) | Piece::Reasoning(text)) = piece else { continue };
                self.token_count += 1;
                self.write(&Event::Token { content: &text, token_count: self.token_count }, &mut frames);
            }
            if let Err(message) = heard {
                self.ended = true;
                self.write(&Event::Error { message: &message, code: "upstream", retryable: true }, &mut frames);
            } else if self.ended {
                let complete = Event::Complete {
                    finish_reason: "stop",
                    usage: None,
                    message_id: None,
                    attempt: 1,
                    answered: None,
                };
                self.write(&complete, &mut frames);
            }
        }
        (!frames.is_empty()).then_some(frames)
    }

    fn write(&mut self, event: &Event<'_>, frames: &mut String) {
        event.write(&mut self.last_id, &self.run_id, Timestamp::now(), frames);
    }
}
