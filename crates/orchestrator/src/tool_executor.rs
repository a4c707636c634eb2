//! Makes the calls that the model asks for, one after the other. A call is written down before it is made, and what is written down is not
//! made again, unless the tool says that this does no harm.

use std::time::Duration;

use domain::{Id, Message, MessageRole, RunStep, ToolCall, event::Event};
use serde_json::Value;
use storage::messages::NewMessage;

use crate::{
    Host, Reader, ToolAnswer, ToolDefinition,
    session_manager::{Interrupted, Session},
};

/// A tool that takes longer has hung, as far as the person who waits is concerned.
const CALL_LIMIT: Duration = Duration::from_secs(60);

/// The longest result kept; what the model sees of it is less.
const MAX_RESULT_CHARS: usize = 1_000_000;

/// The calls of the run's last round that have no result yet, in the model's order.
#[must_use]
pub fn pending(messages: &[Message], run_id: Id) -> Vec<&ToolCall> {
    let asked = messages.iter().rposition(|message| message.run_id == run_id && message.role == MessageRole::Assistant);
    let Some((round, after)) = asked.and_then(|at| messages.get(at..)).and_then(<[Message]>::split_first) else {
        return Vec::new();
    };
    let answered: Vec<&str> = after.iter().filter_map(|message| message.tool_call_id.as_deref()).collect();
    round.tool_calls.iter().filter(|call| !answered.contains(&call.id.as_str())).collect()
}

/// The arguments as an event shows them: an object if the model wrote one, else its words.
#[must_use]
pub fn shown_arguments(arguments: &str) -> Value {
    match serde_json::from_str(arguments) {
        Ok(Value::Object(object)) => Value::Object(object),
        _ if arguments.trim().is_empty() => Value::Object(serde_json::Map::new()),
        _ => Value::String(arguments.to_owned()),
    }
}

/// Makes the calls and stores their results.
///
/// # Errors
/// [`Interrupted`].
pub async fn execute<H: Host, R: Reader>(
    session: &mut Session<'_, H, R>,
    calls: &[&ToolCall],
    tools: &[ToolDefinition],
) -> Result<(), Interrupted> {
    for call in calls {
        let started = session.host().now();
        let answer = make(session, call, tools).await?;
        let content: String = answer.content.chars().take(MAX_RESULT_CHARS).collect();
        let duration = session.host().now().saturating_sub(started);
        session.outbox.write(&Event::ToolResult {
            content: &content,
            call_id: &call.id,
            name: &call.name,
            is_error: answer.is_error,
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        });
        let message = NewMessage {
            id: Id::new(),
            role: MessageRole::Tool,
            content,
            tool_calls: Vec::new(),
            tool_call_id: Some(call.id.clone()),
            finish_reason: None,
        };
        session.finish_tool_call(&message, answer.is_error).await?;
    }
    session.step(RunStep::ToolsFinished)
}

async fn make<H: Host, R: Reader>(
    session: &mut Session<'_, H, R>,
    call: &ToolCall,
    tools: &[ToolDefinition],
) -> Result<ToolAnswer, Interrupted> {
    let (host, run_id) = (session.host(), session.run.id);
    let first = host.store().start_tool_call(session.lease(), &call.id, &call.name).await?;
    let Some(tool) = tools.iter().find(|tool| tool.name == call.name) else {
        return Ok(failed(format!("There is no tool named {}.", call.name)));
    };
    if !first && !tool.idempotent {
        return Ok(failed(
            "This call was begun before a restart, and nobody knows whether it took effect. It was not made again."
                .to_owned(),
        ));
    }
    match session.attend(CALL_LIMIT, host.call_tool(run_id, call)).await {
        Err(Interrupted::TimedOut) => {
            Ok(failed(format!("The tool did not answer within {} seconds.", CALL_LIMIT.as_secs())))
        }
        other => other,
    }
}

const fn failed(content: String) -> ToolAnswer {
    ToolAnswer { content, is_error: true }
}
