//! Progress of a call while it runs. A call that reports progress has a live reply (see the contract). A call that reports nothing, or whose caller
//! does not listen, has a plain one.

use futures::{
    SinkExt as _, StreamExt as _,
    channel::mpsc,
    future::{Either, select},
};

use crate::{
    bindings::wit_stream,
    provider::contract::{self, Notice},
};

/// Reports the progress of a call to its caller: a parameter of the tool's function.
#[derive(Clone, Debug, Default)]
pub struct Progress(Option<mpsc::Sender<contract::Progress>>);

impl Progress {
    /// Reports that `done` steps of `total` are done, if the total is known, and what is being done, in a few words for the person. A report is shown
    /// only if `done` has grown, and only some reports a second are shown, so report as often as you like.
    pub async fn report(&self, done: u32, total: Option<u32>, message: &str) {
        let Some(listener) = &self.0 else { return };
        let message = Some(message.to_owned()).filter(|message| !message.is_empty());
        let progress = contract::Progress { progress: done.into(), total: total.map(Into::into), message };
        // Waits until the report is taken. An error means that nobody listens any more.
        let _ = listener.clone().send(progress).await;
    }
}

/// Does the work of a call. The reply is live if the call reports progress and the caller listens.
///
/// # Errors
/// The call's own.
pub(crate) async fn reply<F>(
    wants_progress: bool,
    work: impl FnOnce(Progress) -> F,
) -> Result<contract::Reply, contract::Failure>
where
    F: Future<Output = Result<contract::Outcome, contract::Failure>> + 'static,
{
    if !wants_progress {
        return work(Progress::default()).await.map(contract::Reply::Done);
    }
    let (sender, mut told) = mpsc::channel(0);
    let work = Box::pin(work(Progress(Some(sender))));
    let (first, work) = match select(work, told.next()).await {
        Either::Left((end, _)) => return end.map(contract::Reply::Done),
        Either::Right((None, work)) => return work.await.map(contract::Reply::Done),
        Either::Right((Some(first), work)) => (first, work),
    };
    let (mut writer, reader) = wit_stream::new();
    wasip3::spawn(async move {
        let mut work = work;
        let mut notice = Notice::Progress(first);
        // If the reader has left, the work is dropped.
        while writer.write_one(notice).await.is_none() {
            let end = match select(&mut work, told.next()).await {
                Either::Right((Some(progress), _)) => {
                    notice = Notice::Progress(progress);
                    continue;
                }
                Either::Left((end, _)) => end,
                // The call has dropped its `Progress` and will report no more.
                Either::Right((None, work)) => work.await,
            };
            let _ = writer.write_one(Notice::Done(end)).await;
            return;
        }
    });
    Ok(contract::Reply::Live(reader))
}
