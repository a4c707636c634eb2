//! An answer on its way to the program, piece by piece, as it comes: the work of a task that goes on when the program has left, so that what was used is
//! settled in any case.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::response::Response;
use bytes::Bytes;
use completions::Round;
use domain::Cost;
use futures::StreamExt as _;
use orchestrator::{api::Reading, budget::answer_tokens};
use passthrough::{Answer, Endpoint, Request, Usage};
use platform::{
    measuring,
    outlet::{self, Outlet},
};
use storage::{Database, model_requests::ModelRequestUsage};
use traces::names;
use web::log::{Level, log};

use super::{
    Programs,
    asking::Answered,
    beginning::Begun,
    upstream::{Alarm, Unheard},
};
use crate::COMPONENT;

/// How long a program may read nothing, before it counts as one that has left: it holds one of the instance's places.
const READING_PATIENCE: Duration = Duration::from_secs(60);

/// How many bytes of an answer that cannot be read count as a token.
const UNREAD_BYTES_PER_TOKEN: u64 = 4;

/// Where an answer goes.
pub(crate) trait Sink {
    /// Writes without waiting. `false`: the program has left.
    fn write(&mut self, bytes: &[u8]) -> bool;

    /// Whether everything that was written has gone. `false`: the program has left, or reads nothing any more.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<bool>;

    /// The answer ends here and is not whole.
    fn break_off(&mut self);
}

/// A program that reads.
struct Reader {
    outlet: Outlet,
    alarm: Alarm,
}

impl Sink for Reader {
    fn write(&mut self, bytes: &[u8]) -> bool {
        self.outlet.write_bytes(bytes)
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        let ready = self.outlet.poll_ready();
        if ready.is_ready() {
            self.alarm.hear();
            return ready;
        }
        if self.alarm.rings(context) { Poll::Ready(false) } else { Poll::Pending }
    }

    fn break_off(&mut self) {
        self.outlet.break_off();
    }
}

/// Work that writes an answer.
pub(crate) type Work = Box<dyn FnOnce(Box<dyn Sink>) -> Pin<Box<dyn Future<Output = ()>>>>;

/// Has work write the body of a response.
pub(crate) type Deliver = fn(Response, Work) -> Response;

/// On Spin: in a task of its own.
pub(crate) fn deliver(mut response: Response, work: Work) -> Response {
    let outflow = outlet::spawn("", async move |outlet| {
        work(Box::new(Reader { outlet, alarm: Alarm::new(READING_PATIENCE) })).await;
        measuring::soon(COMPONENT);
    });
    response.extensions_mut().insert(outflow);
    response
}

/// The work for an answer.
pub(crate) fn work<D: Database + 'static>(
    programs: &Programs<D>,
    begun: &Begun,
    endpoint: Endpoint,
    request: &Request<'_>,
    answered: Answered,
) -> Work {
    let (programs, begun) = (programs.clone(), begun.clone());
    let (model, prompt_tokens) = (request.model().to_owned(), request.prompt_tokens());
    Box::new(move |mut sink| {
        Box::pin(async move {
            let Answered { provider, first, mut rest, is_stream, hides_usage, mut span } = answered;
            let mut answer = Answer::new(endpoint, is_stream, hides_usage);
            let mut next: Option<Result<Bytes, Unheard>> = Some(Ok(first));
            let (mut is_there, mut is_whole) = (true, true);
            while let Some(piece) = next {
                match piece {
                    Ok(piece) => answer.feed(&piece, |bytes| is_there = is_there && sink.write(bytes)),
                    Err(error) => {
                        let fields = serde_json::json!({ "cause": error.to_string(), "provider": provider.name });
                        log(COMPONENT, Level::Error, "an answer to a program broke off", fields);
                        is_whole = false;
                        break;
                    }
                }
                // The next piece is read when this one has gone: nobody is sent more than they read.
                is_there = is_there && poll_fn(|context| sink.poll_ready(context)).await;
                // A provider stops a stream for somebody who has left. What is not streamed is done already, and says at its end what it cost.
                if !is_there && is_stream {
                    break;
                }
                next = rest.next().await;
            }
            drop(rest);
            let has_ended = is_whole && (is_there || !is_stream);
            if has_ended {
                answer.finish(|bytes| is_there = is_there && sink.write(bytes));
            } else if is_there {
                let message =
                    format!("The provider {} broke off in the middle of its answer. Try again.", provider.name);
                match answer.broken_off(&message) {
                    Some(event) => drop(sink.write(event.as_bytes())),
                    None => sink.break_off(),
                }
            }
            let (used, is_estimated) = used(&answer, endpoint, prompt_tokens, has_ended);
            let pricing = &programs.config.settings.pricing;
            let price = pricing.at(&provider, &model);
            let cost = price.map(|price| Cost {
                millionths: price.cost(used.prompt_tokens, used.completion_tokens),
                currency: pricing.currency().to_owned(),
            });
            let Usage { prompt_tokens, completion_tokens } = used;
            span.set(names::GEN_AI_USAGE_INPUT_TOKENS, prompt_tokens);
            span.set(names::GEN_AI_USAGE_OUTPUT_TOKENS, completion_tokens);
            if !is_whole {
                span.fail("broken_off");
            }
            drop(span);
            let provider = Some(provider.name);
            let usage = ModelRequestUsage { provider, prompt_tokens, completion_tokens, is_estimated, cost };
            if let Err(error) = begun.settle(programs.app.store(), &usage).await {
                let fields = serde_json::json!({ "cause": error.to_string() });
                log(COMPONENT, Level::Error, "what a program used cannot be stored", fields);
            }
        })
    })
}

/// The tokens, and whether they are estimated. What is reported before an answer has ended may be less than it cost.
fn used(answer: &Answer, endpoint: Endpoint, prompt_tokens: u64, has_ended: bool) -> (Usage, bool) {
    match answer.usage() {
        Some(reported) if has_ended => (reported, false),
        reported => {
            let estimated = Usage { prompt_tokens, completion_tokens: estimated_tokens(answer, endpoint) };
            (reported.map_or(estimated, |reported| reported.max(estimated)), true)
        }
    }
}

/// An estimate of an answer's tokens, read as a run reads it.
fn estimated_tokens(answer: &Answer, endpoint: Endpoint) -> u64 {
    let Some(api) = endpoint.api() else { return 0 };
    let (mut reading, mut round, mut said) = (Reading::of(api), Round::default(), Vec::new());
    let (kept, bytes) = answer.kept();
    let fed = reading.feed(&mut round, kept, &mut said);
    // Half a stream has tokens, too.
    let finished = reading.finish(&mut round, &mut said);
    let is_unread = fed.is_err() || (!answer.is_stream() && finished.is_err());
    if is_unread && !round.has_begun() {
        // It is no answer of this API, half of a JSON text, or compressed although nobody asked for that.
        return bytes / UNREAD_BYTES_PER_TOKEN;
    }
    let scaled = u128::from(answer_tokens(&round)) * u128::from(bytes) / (kept.len().max(1) as u128);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}
