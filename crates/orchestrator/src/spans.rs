//! What is recorded of a run and of its requests to models (OpenTelemetry, "Semantic conventions for generative AI"): names, numbers and codes, and never what
//! somebody said.

use completions::Round;
use domain::Usage;
use storage::claims::Claim;
use trace_context::TraceContext;
use traces::{Kind, Span, names};

use crate::llm_client::{Asked, Stopped};

/// The finish reasons that have a name; others are a server's words.
const FINISH_REASONS: [&str; 4] = ["stop", "length", "content_filter", "tool_calls"];

/// A run, from its claim by one executor to its end or to the next wait. It is a part of its reader's request, and linked to where the run was begun, as are those
/// of all its executors.
pub(crate) fn of_run(claim: &Claim) -> Span {
    let mut span = Span::begin(Kind::Internal, "invoke_agent");
    if span.is_recorded() {
        let run = &claim.run;
        span.set(names::GEN_AI_OPERATION_NAME, "invoke_agent");
        span.set(names::GEN_AI_CONVERSATION_ID, run.conversation_id.to_string().as_str());
        span.set(names::GEN_AI_REQUEST_MODEL, run.model.as_str());
        span.set(names::RUN_ID, run.id.to_string().as_str());
        span.set(names::RUN_ATTEMPT, claim.attempt);
        span.link(&TraceContext::named(run.id.as_u128()));
    }
    span
}

/// How a run's rounds ended, and what it has used, over all its executors.
pub(crate) fn run_ended(span: &mut Span, stopped: &Result<(), Stopped>, usage: Option<Usage>) {
    used(span, usage.map(|usage| (usage.prompt_tokens, usage.completion_tokens)));
    if let Some(code) = code(stopped) {
        span.fail(code);
    }
}

/// A request to a model.
pub(crate) fn of_request(asked: Asked<'_>, model: &str) -> Span {
    let mut span = Span::begin(Kind::Client, format_args!("chat {model}"));
    span.set(names::GEN_AI_OPERATION_NAME, "chat");
    span.set(names::GEN_AI_PROVIDER_NAME, asked.provider.name.as_str());
    span.set(names::GEN_AI_REQUEST_MODEL, model);
    span
}

/// What a request to a model came to.
pub(crate) fn answered(span: &mut Span, round: &Round, heard: &Result<(), Stopped>) {
    used(span, round.usage.map(|usage| (usage.prompt_tokens, usage.completion_tokens)));
    if let Some(reason) = &round.finish_reason {
        let known = FINISH_REASONS.into_iter().find(|known| known == reason);
        span.set(names::GEN_AI_RESPONSE_FINISH_REASONS, &[known.unwrap_or("other")][..]);
    }
    if let Some(code) = code(heard) {
        span.fail(code);
    }
}

fn used(span: &mut Span, tokens: Option<(u64, u64)>) {
    if let Some((input, output)) = tokens {
        span.set(names::GEN_AI_USAGE_INPUT_TOKENS, input);
        span.set(names::GEN_AI_USAGE_OUTPUT_TOKENS, output);
    }
}

/// The code of a failure. Whoever stops a run has not failed.
fn code(stopped: &Result<(), Stopped>) -> Option<&'static str> {
    match stopped {
        Err(Stopped::Failed(failure)) => Some(failure.code),
        Err(Stopped::Refused(refused)) => Some(refused.1.code),
        Ok(()) | Err(Stopped::Interrupted(_)) => None,
    }
}
