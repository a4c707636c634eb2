//! How far a call is, on its way from a server to whoever waits. A server may say anything, as often as it likes: it is checked and cut here, and
//! passed on a few times a second, of many only the last.

use std::{cell::Cell, future::Future, future::poll_fn, rc::Rc, task::Poll, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use domain::tool::ToolProgress;
use futures::{FutureExt, SinkExt as _, Stream, StreamExt as _, channel::mpsc, future::LocalBoxFuture, stream};
use tool_catalogue::Host;
use toolbox::Redaction;

/// The longest words about how far a call is: two lines on a phone.
pub(crate) const MAX_MESSAGE_CHARS: usize = 200;
/// The least time between two: as often as a person sees something move.
const INTERVAL: Duration = Duration::from_millis(250);

/// Pieces of an answer that may wait for a slow client.
const MAX_WAITING: usize = 16;

/// The last progress of a call that nobody has been told yet. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Told(Rc<Noted>);

#[derive(Default)]
struct Noted {
    next: Cell<Option<ToolProgress>>,
    highest: Cell<Option<f64>>,
}

impl Told {
    /// Notes the progress that a server tells, without secrets. Progress goes up: what does not is left out, as MCP has it.
    pub(crate) fn note(&self, said: mcp::Progress, redaction: &Redaction) {
        let mcp::Progress { progress, total, message } = said;
        if !progress.is_finite() || self.0.highest.get().is_some_and(|highest| progress <= highest) {
            return;
        }
        self.0.highest.set(Some(progress));
        // The secrets go before the message is cut: half a secret would not be found.
        let mut message = message.unwrap_or_default();
        redaction.text(&mut message);
        let shown = message.chars().map(|c| if c.is_control() { ' ' } else { c });
        self.0.next.set(Some(ToolProgress {
            progress,
            total: total.filter(|total| total.is_finite() && *total > 0.0),
            message: shown.take(MAX_MESSAGE_CHARS).collect(),
        }));
    }

    fn take(&self) -> Option<ToolProgress> {
        self.0.next.take()
    }
}

/// What happens while somebody waits for a call.
pub(crate) enum Step<T> {
    /// It is so far.
    Progress(ToolProgress),
    /// It has ended; nothing follows.
    End(T),
}

/// Does a call's work step by step. What its server says is noted in `told` while it is worked on.
pub(crate) fn steps<T: 'static, H: Host>(
    host: H,
    told: Told,
    work: impl Future<Output = T> + 'static,
) -> impl Stream<Item = Step<T>> {
    let pause: Option<LocalBoxFuture<'static, ()>> = None;
    stream::unfold(Some((work.boxed_local(), pause)), move |state| {
        let (host, told) = (host.clone(), told.clone());
        async move {
            let (mut work, mut pause) = state?;
            let step = poll_fn(|context| {
                if let Poll::Ready(end) = work.poll_unpin(context) {
                    return Poll::Ready(Step::End(end));
                }
                if pause.as_mut().is_some_and(|pause| pause.poll_unpin(context).is_pending()) {
                    return Poll::Pending;
                }
                pause = None;
                told.take().map_or(Poll::Pending, |progress| Poll::Ready(Step::Progress(progress)))
            });
            match step.await {
                Step::End(end) => Some((Step::End(end), None)),
                progress @ Step::Progress(_) => {
                    let pause = async move { cache::Clock::sleep(&host, INTERVAL).await };
                    Some((progress, Some((work, Some(pause.boxed_local())))))
                }
            }
        }
    })
}

/// The body of an answer that is made while it is sent. A client that reads slowly does not hold up the call: while [`MAX_WAITING`] pieces wait for
/// the client, newer progress is dropped. The last piece is the end of the call, and waits for room.
pub(crate) fn body(host: &impl Host, mut pieces: impl Stream<Item = Bytes> + Unpin + 'static) -> Body {
    let (mut sender, receiver) = mpsc::channel::<Bytes>(MAX_WAITING);
    host.spawn(async move {
        let mut last = None;
        while let Some(piece) = pieces.next().await {
            last = match sender.try_send(piece) {
                Ok(()) => None,
                Err(full) if full.is_full() => Some(full.into_inner()),
                // The client has left.
                Err(_) => return,
            };
        }
        if let Some(end) = last {
            // It fails when the client has left.
            let _ = sender.send(end).await;
        }
    });
    Body::from_stream(receiver.map(Ok::<_, std::convert::Infallible>))
}

#[cfg(test)]
mod tests {
    use router_test::paused;

    use super::*;

    fn said(progress: f64, message: &str) -> mcp::Progress {
        mcp::Progress { progress, total: None, message: Some(message.to_owned()) }
    }

    #[test]
    fn a_client_that_does_not_read_holds_up_no_call_and_still_gets_its_end() {
        paused(|outside| async move {
            let (told, is_over) = (Told::default(), Rc::new(Cell::new(false)));
            let (noted, ended, clock) = (told.clone(), Rc::clone(&is_over), outside.clone());
            let work = async move {
                for step in 0..60 {
                    noted.note(said(f64::from(step), "working"), &Redaction::default());
                    cache::Clock::sleep(&clock, Duration::from_secs(1)).await;
                }
                ended.set(true);
            };
            let pieces = steps(outside.clone(), told, work).map(|step| match step {
                Step::Progress(progress) => Bytes::from(format!("{}\n", progress.progress)),
                Step::End(()) => Bytes::from_static(b"end"),
            });
            let body = body(&outside, pieces.boxed_local());
            cache::Clock::sleep(&outside, Duration::from_secs(61)).await;
            assert!(is_over.get());
            let text = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let lines: Vec<&str> = std::str::from_utf8(&text).unwrap().lines().collect();
            assert_eq!((lines.first(), lines.last()), (Some(&"0"), Some(&"end")));
            assert!(lines.len() < 30, "{lines:?}");
        });
    }

    #[test]
    fn a_secret_in_progress_is_masked_before_the_message_is_cut() {
        let (told, secret) = (Told::default(), "hunter2-hunter2");
        let dots = ".".repeat(MAX_MESSAGE_CHARS - 8);
        told.note(said(1.0, &format!("{dots}{secret} and more")), &Redaction::new([secret]));
        assert_eq!(told.take().unwrap().message, format!("{dots}[secret]"));
    }

    #[test]
    fn progress_that_does_not_go_up_is_left_out() {
        let told = Told::default();
        let taken = [1.0, 1.0, 0.5, f64::NAN, 2.0].map(|progress| {
            told.note(said(progress, ""), &Redaction::default());
            told.take().map(|told| told.progress)
        });
        assert_eq!(taken, [Some(1.0), None, None, None, Some(2.0)]);
    }
}
