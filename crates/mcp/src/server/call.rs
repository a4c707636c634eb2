//! `tools/call`, answered as JSON or as a stream of events.

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use serde_json::Value;

use super::{
    Body, Refusal, input,
    request::{Asked, mismatch},
    results::Frame,
    tasks,
};
use crate::{
    header,
    model::{LogLevel, Map},
    provider::{Description, Failure, Notice, Outcome, Provider, Reply, ToolCall},
    wire::{self, Era, INVALID_PARAMS, METHOD_NOT_FOUND, PROGRESS_TOKEN},
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProgressParams<'a> {
    progress_token: &'a Value,
    progress: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

#[derive(Serialize)]
struct LogParams {
    level: LogLevel,
    #[serde(skip_serializing_if = "Option::is_none")]
    logger: Option<String>,
    data: Value,
}

/// Turns notices into messages.
struct Streaming {
    frame: Frame,
    progress_token: Option<Value>,
    progress: Option<f64>,
    log_level: Option<LogLevel>,
}

pub(crate) async fn call_tool<P: Provider>(
    provider: &P,
    mut asked: Asked<'_>,
    frame: Frame,
    description: Option<&Description>,
) -> Result<Body, Refusal> {
    let accepts_events = asked.accepts_events();
    let name = asked.params.name.take().ok_or_else(|| Refusal::within(INVALID_PARAMS, "Invalid params: no name"))?;
    let arguments = super::methods::arguments(asked.params.arguments.take())?;
    let tool = description.and_then(|it| it.tools.iter().find(|tool| tool.name == name));
    if let Some(tool) = tool
        && frame.era == Era::Legacy
    {
        tasks::check_asked(&mut asked, description.is_some_and(|it| it.has_tasks), tool)?;
    }
    // Legacy clients do not send these headers.
    if let Some(tool) = tool.filter(|_| frame.era == Era::Modern) {
        // With invalid annotations, clients need not send headers: they leave such a tool out.
        let parameters = header::parameters(&tool.input_schema).unwrap_or_default();
        if !parameters.is_empty() {
            let arguments: Map = serde_json::from_str(arguments.get()).unwrap_or_default();
            parameters.iter().try_for_each(|it| it.check(asked.headers, &arguments)).map_err(mismatch)?;
        }
    }
    let context = asked.context();
    let streaming = Streaming {
        frame,
        progress_token: context.meta.get(PROGRESS_TOKEN).filter(|_| context.wants_progress).cloned(),
        progress: None,
        log_level: context.log_level,
    };
    let (capabilities, takes_task) = (context.client_capabilities.clone(), context.takes_task);
    match provider.call_tool(ToolCall { name, arguments, context }).await {
        Ok(Reply::Done(outcome)) => Ok(Body::Json(streaming.frame.outcome(outcome))),
        Ok(Reply::Live(notices)) if accepts_events => Ok(Body::Events(Box::pin(events(streaming, notices)))),
        Ok(Reply::Live(mut notices)) => loop {
            match notices.next().await {
                Some(Notice::Done(end)) => return finish(&streaming.frame, end).map(Body::Json),
                Some(Notice::Task(task)) => return Ok(Body::Json(streaming.frame.created(&task))),
                Some(_) => {}
                None => return finish(&streaming.frame, Err(no_end())).map(Body::Json),
            }
        },
        Ok(Reply::NeedsInput(needed)) if streaming.frame.era == Era::Modern => {
            input::required(&streaming.frame, needed, &capabilities).map(Body::Json)
        }
        Ok(Reply::NeedsInput(_)) => {
            let words = "This tool asks for input, which works only with clients of the revision 2026-07-28.";
            Ok(Body::Json(streaming.frame.outcome(Outcome::error(words))))
        }
        Ok(Reply::Task(task)) if takes_task => Ok(Body::Json(streaming.frame.created(&task))),
        Ok(Reply::Task(_)) => finish(&streaming.frame, Err(Failure::OnlyAsTask)).map(Body::Json),
        Err(failure) => finish(&streaming.frame, Err(failure)).map(Body::Json),
    }
}

fn no_end() -> Failure {
    Failure::Internal("The tool ended without a result.".to_owned())
}

/// The last message of a call.
fn finish(frame: &Frame, end: Result<Outcome, Failure>) -> Result<Vec<u8>, Refusal> {
    match end {
        Ok(outcome) => Ok(frame.outcome(outcome)),
        Err(Failure::Unknown(name)) => Err(Refusal::within(INVALID_PARAMS, format!("Unknown tool: {name}"))),
        Err(failure @ Failure::InvalidState(_)) => Err(Refusal::within(INVALID_PARAMS, failure.to_string())),
        Err(Failure::MissingCapability(missing)) if frame.era == Era::Modern => Err(input::missing_capability(missing)),
        Err(Failure::OnlyAsTask) if frame.era == Era::Modern => Err(tasks::undeclared()),
        // 2025-11-25, "Tool-Level Negotiation".
        Err(failure @ Failure::OnlyAsTask) => Err(Refusal::within(METHOD_NOT_FOUND, failure.to_string())),
        Err(failure) => Ok(frame.failed(&failure)),
    }
}

/// Notices as server-sent events. The last event is the response.
fn events(streaming: Streaming, notices: impl Stream<Item = Notice> + Unpin) -> impl Stream<Item = Bytes> {
    stream::unfold(Some((streaming, notices)), |state| async {
        let (mut streaming, mut notices) = state?;
        loop {
            let end = match notices.next().await {
                Some(Notice::Done(end)) => end,
                Some(Notice::Task(task)) => return Some((event(&streaming.frame.created(&task)), None)),
                None => Err(no_end()),
                Some(notice) => match streaming.notification(notice) {
                    Some(message) => return Some((event(&message), Some((streaming, notices)))),
                    None => continue,
                },
            };
            let frame = &streaming.frame;
            let message = finish(frame, end).unwrap_or_else(|refusal| wire::error(Some(&frame.id), &refusal.error));
            return Some((event(&message), None));
        }
    })
}

impl Streaming {
    /// The notification for a notice, if the client wants it: progress that was asked for and that rises, and log messages of at least the severity
    /// that was asked for.
    fn notification(&mut self, notice: Notice) -> Option<Vec<u8>> {
        match notice {
            Notice::Progress { progress, total, message } => {
                let progress_token = self.progress_token.as_ref()?;
                if self.progress.is_some_and(|before| progress <= before) || !progress.is_finite() {
                    return None;
                }
                self.progress = Some(progress);
                let params = ProgressParams { progress_token, progress, total, message };
                Some(wire::call(None, "notifications/progress", params))
            }
            Notice::Log { level, logger, data } => (level >= self.log_level?)
                .then(|| wire::call(None, "notifications/message", LogParams { level, logger, data })),
            Notice::Task(_) | Notice::Done(_) => None,
        }
    }
}

/// One event. The JSON has no line breaks, so one `data` line holds it.
pub(crate) fn event(message: &[u8]) -> Bytes {
    [b"data: ", message, b"\n\n"].concat().into()
}
