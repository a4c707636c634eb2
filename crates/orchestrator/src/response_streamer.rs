//! Writes events, once for the log and for the current reader.
//!
//! The reader gets each piece as soon as the model says it. The log gets pieces in batches. A reader that leaves or cannot keep up is dropped, and
//! can find everything in the log.

use domain::{
    Timestamp,
    event::{self, Event, Progress},
};
use storage::runs::Batch;

use crate::Reader;

/// A batch of this size is logged at once; a smaller one at the next tick.
pub const BATCH_BYTES: usize = 16 * 1024;

/// Sent at the start of a stream. It opens the reader's connection completely, and says how soon to come back after a break.
pub const PREAMBLE: &str = "retry: 1000\n\n";

/// Keeps proxies from closing an idle stream.
pub const KEEPALIVE: &str = ": still here\n\n";

/// The writer of a run's events.
#[derive(Debug)]
pub struct Outbox<R> {
    run_id: String,
    reader: Option<R>,
    /// The reader has seen everything up to this id.
    seen: u64,
    /// The id of the last event written.
    id: u64,
    token_count: u64,
    /// Events that are written but not logged.
    unlogged: String,
    /// The length of the part of `unlogged` that was sent to the reader, and the id of the last sent event.
    sent: usize,
    sent_id: u64,
    /// Whether anything was sent since the last [`Self::keep_alive`].
    sent_anything: bool,
}

impl<R: Reader> Outbox<R> {
    /// For a run with this progress, and a reader that has seen everything up to `seen`.
    pub const fn new(run_id: String, progress: &Progress, reader: Option<R>, seen: u64) -> Self {
        Self {
            run_id,
            reader,
            seen,
            id: progress.last_id,
            token_count: progress.token_count,
            unlogged: String::new(),
            sent: 0,
            sent_id: progress.last_id,
            sent_anything: false,
        }
    }

    /// Writes an event. The reader gets it with the next [`Self::deliver`].
    pub fn write(&mut self, event: &Event<'_>) {
        event.write(&mut self.id, &self.run_id, Timestamp::now(), &mut self.unlogged);
    }

    /// Writes a piece of the answer.
    pub fn write_token(&mut self, content: &str) {
        self.token_count += 1;
        self.write(&Event::Token { content, token_count: self.token_count });
    }

    /// Sends an event only to the reader, not to the log.
    pub fn tell(&mut self, event: &Event<'_>) {
        let mut frames = String::new();
        let mut id = self.id;
        event.write(&mut id, &self.run_id, Timestamp::now(), &mut frames);
        self.send(&frames);
    }

    /// Sends the reader all events that were written since the last call.
    pub fn deliver(&mut self) {
        let frames = self.unlogged.get(self.sent..).unwrap_or_default();
        if frames.is_empty() {
            return;
        }
        let Some(reader) = &mut self.reader else {
            self.sent = self.unlogged.len();
            return;
        };
        // A reader can be ahead of this executor only if it had seen more than the log of a run that was taken over.
        let alive = if self.seen > 0 {
            let unseen = event::after(frames, self.seen);
            unseen.is_empty() || reader.send(&unseen)
        } else {
            reader.send(frames)
        };
        self.sent_anything = true;
        self.sent = self.unlogged.len();
        self.sent_id = self.id;
        if self.id > self.seen {
            self.seen = 0;
        }
        if !alive {
            self.reader = None;
        }
    }

    /// Sends a comment if nothing else was sent since the last call.
    pub fn keep_alive(&mut self) {
        if !std::mem::take(&mut self.sent_anything) {
            self.send(KEEPALIVE);
        }
    }

    fn send(&mut self, frames: &str) {
        if self.reader.as_mut().is_some_and(|reader| !reader.send(frames)) {
            self.reader = None;
        }
    }

    /// Whether there are events to log.
    #[must_use]
    pub const fn has_unlogged(&self) -> bool {
        !self.unlogged.is_empty()
    }

    /// Whether there are so many events that they should be logged now.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.unlogged.len() >= BATCH_BYTES
    }

    /// Takes the events to log. The reader gets them first.
    #[must_use]
    pub fn take_batch(&mut self) -> Batch {
        self.deliver();
        self.sent = 0;
        Batch { last_id: self.id, frames: std::mem::take(&mut self.unlogged) }
    }

    /// The last batch, which is logged before the reader gets it: readers learn of a run's end only once it is stored.
    #[must_use]
    pub fn seal(&self) -> Batch {
        Batch { last_id: self.id, frames: self.unlogged.clone() }
    }

    /// Returns the reader, which may still be served, with the id of the last event that it has.
    pub fn into_reader(self) -> Option<(R, u64)> {
        let seen = self.sent_id.max(self.seen);
        self.reader.map(|reader| (reader, seen))
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use super::*;

    #[derive(Clone, Default)]
    struct Seen {
        frames: Rc<RefCell<String>>,
        left: bool,
    }

    impl Reader for Seen {
        fn send(&mut self, frames: &str) -> bool {
            self.frames.borrow_mut().push_str(frames);
            !self.left
        }
    }

    impl Seen {
        fn text(&self) -> String {
            event::frames(&self.frames.borrow()).map(|frame| frame.content()).collect()
        }
    }

    fn outbox(reader: &Seen, progress: &Progress, seen: u64) -> Outbox<Seen> {
        Outbox::new("r".into(), progress, Some(reader.clone()), seen)
    }

    #[test]
    fn the_reader_gets_everything_once_and_the_log_the_same() {
        let reader = Seen::default();
        let mut outbox = outbox(&reader, &Progress::default(), 0);
        let mut log = String::new();
        for (at, piece) in ["a", "b", "c", "d"].iter().enumerate() {
            outbox.write_token(piece);
            outbox.deliver();
            outbox.deliver();
            if at == 1 {
                log += &outbox.take_batch().frames;
            }
        }
        log += &outbox.take_batch().frames;
        assert_eq!(reader.text(), "abcd");
        assert_eq!(*reader.frames.borrow(), log);
    }

    #[test]
    fn a_reader_who_had_seen_more_than_the_log_gets_only_the_rest() {
        let reader = Seen::default();
        let progress = Progress { last_id: 3, text: "abc".into(), ..Progress::default() };
        let mut outbox = outbox(&reader, &progress, 5);
        for piece in ["d", "efg", "h"] {
            outbox.write_token(piece);
            outbox.deliver();
        }
        assert_eq!(reader.text(), "fgh");
        assert_eq!(
            event::frames(&outbox.take_batch().frames).map(|frame| frame.content()).collect::<String>(),
            "defgh"
        );
    }

    #[test]
    fn whoever_goes_on_serving_a_reader_is_told_what_it_was_sent_and_no_more() {
        let reader = Seen::default();
        let mut outbox = outbox(&reader, &Progress::default(), 0);
        outbox.write_token("a");
        outbox.deliver();
        outbox.write_token("b");
        assert_eq!(outbox.into_reader().map(|(_, seen)| seen), Some(1));
    }

    #[test]
    fn a_reader_who_left_is_not_written_to_again() {
        let reader = Seen { left: true, ..Seen::default() };
        let mut outbox = outbox(&reader, &Progress::default(), 0);
        for piece in ["a", "b"] {
            outbox.write_token(piece);
            outbox.deliver();
        }
        assert_eq!(reader.text(), "a");
        assert_eq!(outbox.take_batch().last_id, 2);
        assert!(outbox.into_reader().is_none());
    }
}
