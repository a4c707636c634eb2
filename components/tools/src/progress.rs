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
const MAX_MESSAGE_CHARS: usize = 200;
/// The least time between two: as often as a person sees something move.
const INTERVAL: Duration = Duration::from_millis(250);

/// Pieces of an answer that may wait for a slow client.
const MAX_WAITING: usize = 16;

/// What a call's server said last and nobody has been told. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Told(Rc<Cell<Option<ToolProgress>>>);

impl Told {
    /// Notes what a server says, without what must not be repeated.
    pub(crate) fn note(&self, said: mcp::Progress, redaction: &Redaction) {
        let mcp::Progress { progress, total, message } = said;
        if !progress.is_finite() {
            return;
        }
        let mut message = message.unwrap_or_default();
        redaction.text(&mut message);
        let shown = message.chars().map(|c| if c.is_control() { ' ' } else { c });
        self.0.set(Some(ToolProgress {
            progress,
            total: total.filter(|total| total.is_finite() && *total > 0.0),
            message: shown.take(MAX_MESSAGE_CHARS).collect(),
        }));
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
                told.0.take().map_or(Poll::Pending, |progress| Poll::Ready(Step::Progress(progress)))
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

/// The body of an answer that is made while it is sent.
pub(crate) fn body(host: &impl Host, mut pieces: impl Stream<Item = Bytes> + Unpin + 'static) -> Body {
    let (mut sender, receiver) = mpsc::channel::<Bytes>(MAX_WAITING);
    host.spawn(async move {
        while let Some(piece) = pieces.next().await {
            // The client has left.
            if sender.send(piece).await.is_err() {
                return;
            }
        }
    });
    Body::from_stream(receiver.map(Ok::<_, std::convert::Infallible>))
}
