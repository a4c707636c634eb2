//! An answer on its way to the program, piece by piece, as it comes: the work of a task that goes on when the program has left, so that what was used is
//! settled in any case.

use std::{future::poll_fn, pin::Pin, task::Poll};

use axum::response::Response;
use bytes::Bytes;
use completions::Round;
use domain::Cost;
use futures::StreamExt as _;
use orchestrator::{api::Reading, budget::answer_tokens};
use passthrough::{Answer, Endpoint, Request, Usage};
use platform::outlet::{self, Outlet};
use storage::{Database, model_requests::ModelRequestUsage};
use web::log::{Level, log};

use super::{Programs, asking::Answered, beginning::Begun, upstream::Unheard};
use crate::COMPONENT;

/// How much of an answer is kept until its end, in case that its provider reports no tokens and they must be estimated. What is longer is estimated by its
/// length. Sixteen answers of an instance stay far below its memory.
const MAX_KEPT_BYTES: usize = 512 * 1024;

/// Where an answer goes.
pub(crate) trait Sink {
    /// Writes without waiting. `false`: the program has left.
    fn write(&mut self, bytes: &[u8]) -> bool;

    /// Whether everything that was written has gone. `false`: the program has left.
    fn poll_ready(&mut self) -> Poll<bool>;
}

impl Sink for Outlet {
    fn write(&mut self, bytes: &[u8]) -> bool {
        self.write_bytes(bytes)
    }

    fn poll_ready(&mut self) -> Poll<bool> {
        Self::poll_ready(self)
    }
}

/// Work that writes an answer.
pub(crate) type Work = Box<dyn FnOnce(Box<dyn Sink>) -> Pin<Box<dyn Future<Output = ()>>>>;

/// Has work write the body of a response.
pub(crate) type Deliver = fn(Response, Work) -> Response;

/// On Spin: in a task of its own.
pub(crate) fn deliver(mut response: Response, work: Work) -> Response {
    let outflow = outlet::spawn("", move |outlet| work(Box::new(outlet)));
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
            let Answered { provider, first, mut rest, is_stream, hides_usage } = answered;
            let mut passing = Passing { answer: Answer::new(is_stream, hides_usage), kept: Kept::default() };
            let mut next: Option<Result<Bytes, Unheard>> = Some(Ok(first));
            let mut is_there = true;
            while let Some(piece) = next {
                match piece {
                    Ok(piece) => is_there = passing.pass(piece, &mut *sink),
                    Err(error) => {
                        // The program sees that its answer broke off.
                        let fields = serde_json::json!({ "cause": error.to_string(), "provider": provider.name });
                        log(COMPONENT, Level::Error, "an answer to a program broke off", fields);
                        break;
                    }
                }
                // The next piece is read when this one has gone: nobody is sent more than they read.
                is_there = is_there && poll_fn(|_| sink.poll_ready()).await;
                if !is_there {
                    break;
                }
                next = rest.next().await;
            }
            // The provider need not go on for somebody who has left.
            drop(rest);
            if is_there {
                passing.answer.finish(|bytes| {
                    let _ = sink.write(bytes);
                });
            }
            let (used, is_estimated) = passing.used(endpoint, prompt_tokens);
            let pricing = &programs.config.settings.pricing;
            let price = pricing.at(&provider, &model);
            let cost = price.map(|price| Cost {
                millionths: price.cost(used.prompt_tokens, used.completion_tokens),
                currency: pricing.currency().to_owned(),
            });
            let Usage { prompt_tokens, completion_tokens } = used;
            let provider = Some(provider.name);
            let usage = ModelRequestUsage { provider, prompt_tokens, completion_tokens, is_estimated, cost };
            if let Err(error) = begun.settle(programs.app.store(), &usage).await {
                let fields = serde_json::json!({ "cause": error.to_string() });
                log(COMPONENT, Level::Error, "what a program used cannot be stored", fields);
            }
        })
    })
}

/// An answer that is passed on, and what is kept of it.
struct Passing {
    answer: Answer,
    kept: Kept,
}

impl Passing {
    /// `false`: the program has left.
    fn pass(&mut self, piece: Bytes, sink: &mut dyn Sink) -> bool {
        let mut is_there = true;
        self.answer.feed(&piece, |bytes| is_there = is_there && sink.write(bytes));
        self.kept.keep(piece);
        is_there
    }

    /// The tokens, and whether they are estimated because nobody reported them.
    fn used(&self, endpoint: Endpoint, prompt_tokens: u64) -> (Usage, bool) {
        match self.answer.usage() {
            Some(usage) => (usage, false),
            None => (Usage { prompt_tokens, completion_tokens: self.kept.tokens(endpoint) }, true),
        }
    }
}

/// The beginning of an answer.
#[derive(Default)]
struct Kept {
    pieces: Vec<Bytes>,
    kept_bytes: usize,
    bytes: usize,
}

impl Kept {
    fn keep(&mut self, piece: Bytes) {
        self.bytes = self.bytes.saturating_add(piece.len());
        if self.bytes <= MAX_KEPT_BYTES {
            self.kept_bytes = self.bytes;
            self.pieces.push(piece);
        }
    }

    /// An estimate of the answer's tokens, read as a run reads it.
    fn tokens(&self, endpoint: Endpoint) -> u64 {
        let Some(api) = endpoint.api() else { return 0 };
        let (mut reading, mut round, mut said) = (Reading::of(api), Round::default(), Vec::new());
        for piece in &self.pieces {
            if reading.feed(&mut round, piece, &mut said).is_err() {
                break;
            }
            said.clear();
        }
        // Half an answer has tokens, too.
        let _ = reading.finish(&mut round, &mut said);
        let (kept, all) = (self.kept_bytes.max(1) as u64, self.bytes as u64);
        let scaled = u128::from(answer_tokens(&round)) * u128::from(all) / u128::from(kept);
        u64::try_from(scaled).unwrap_or(u64::MAX)
    }
}
