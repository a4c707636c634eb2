//! Holds back a provider's progress, so that a tool with frequent progress fills neither the connection nor the client's limit for a response.

use std::{future::Future, pin::pin};

use futures::{
    Stream, StreamExt as _,
    future::{Either, select},
    stream,
};

use crate::provider::Notice;

/// This many progress notices are passed on at once, so that each step of a tool with few steps is seen.
const FREE: u32 = 16;

/// Passes notices on. After the first [`FREE`], each progress is followed by a pause. Of the progress during a pause, the highest is passed on when
/// the pause is over. Log messages and the end never wait. At the end, progress that is still held back is dropped.
pub fn throttle<P: Future<Output = ()> + Unpin>(
    notices: impl Stream<Item = Notice> + Unpin,
    pause: impl Fn() -> P,
) -> impl Stream<Item = Notice> {
    let state = State { notices, pause, free: FREE, pausing: None, held: None };
    stream::unfold(state, async |mut state| Some((state.next().await?, state)))
}

struct State<S, F, P> {
    notices: S,
    pause: F,
    free: u32,
    pausing: Option<P>,
    /// The highest progress that came during the pause.
    held: Option<Notice>,
}

impl<S: Stream<Item = Notice> + Unpin, F: Fn() -> P, P: Future<Output = ()> + Unpin> State<S, F, P> {
    async fn next(&mut self) -> Option<Notice> {
        loop {
            let Some(pausing) = &mut self.pausing else {
                let notice = self.notices.next().await?;
                if matches!(notice, Notice::Progress { .. }) {
                    match self.free.checked_sub(1) {
                        Some(free) => self.free = free,
                        None => self.pausing = Some((self.pause)()),
                    }
                }
                return Some(notice);
            };
            let came = match select(pin!(self.notices.next()), pausing).await {
                Either::Left((came, _)) => came,
                Either::Right(((), _)) => {
                    self.pausing = self.held.is_some().then(|| (self.pause)());
                    match self.held.take() {
                        None => continue,
                        held => return held,
                    }
                }
            };
            match came {
                Some(notice @ Notice::Progress { .. }) => {
                    if self.held.as_ref().is_none_or(|held| is_higher(&notice, held)) {
                        self.held = Some(notice);
                    }
                }
                other => return other,
            }
        }
    }
}

fn is_higher(one: &Notice, other: &Notice) -> bool {
    match (one, other) {
        (Notice::Progress { progress, .. }, Notice::Progress { progress: before, .. }) => progress > before,
        _ => false,
    }
}
