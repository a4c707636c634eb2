//! Calls that become tasks: a caller that can ask later keeps the task, and any other waits as long as for every call.

use std::time::Duration;

use mcp::{Content, Map, TaskState};
use serde_json::json;
use toolbox::{
    AuditCode, CallFailure, Called, Effect::Allow, Execution, KnownTool, Outcome, Started, end_of, judged,
    text_for_model,
};

use crate::{
    raw, tool,
    world::{Scripted, Tools, world},
};

fn report() -> KnownTool {
    KnownTool { title: Some("Write a report".to_owned()), remote: true, ..tool("lab", "report") }
}

fn going_on(states: &[TaskState]) -> Scripted {
    Scripted { tools: Tools::GoOn(states.to_vec()), installation: vec![("*:*", Allow)], ..world() }
}

#[test]
fn a_task_is_kept_before_anybody_waits_for_it() {
    let world = going_on(&[]);
    let Execution::Task { server, tool, title, task, started_at_ms } = world.execute(&report(), "{}") else { panic!() };
    assert_eq!((server.as_str(), tool.as_str(), title.as_str()), ("lab", "report", "Write a report"));
    assert_eq!((task.id.as_str(), started_at_ms), ("t1", 1_000));
    assert_eq!(world.steps(), ["permission", "rate", "start", "call", "keep", "audit"]);
    assert_eq!(world.codes(), [AuditCode::Task]);
}

#[test]
fn a_task_for_which_nobody_waits_any_more_is_stopped() {
    let world = going_on(&[]);
    // Another executor has the run by the time the task is stored.
    world.lost_when_kept.set(true);
    assert_eq!(world.execute(&report(), "{}"), Execution::LeaseLost);
    assert_eq!(world.steps().last(), Some(&"cancel"));
}

#[test]
fn who_cannot_ask_later_gets_what_it_comes_to_in_time() {
    let done = TaskState::Completed(Outcome::text("the report"));
    let world = Scripted { can_wait: false, ..going_on(&[TaskState::Working, TaskState::Working, done]) };
    assert_eq!(world.words(&report(), "{}"), ("the report".to_owned(), AuditCode::Ok, false));
    assert_eq!(world.asked.get(), 3);
    assert!(!world.steps().contains(&"cancel"));
}

#[test]
fn who_cannot_ask_later_is_told_when_it_takes_too_long_and_its_server_is_told_to_stop() {
    let world = Scripted { can_wait: false, ..going_on(&[TaskState::Working]) };
    let (words, code, is_error) = world.words(&report(), "{}");
    assert!(words.contains("longer than 55 s") && words.contains("io.modelcontextprotocol/tasks"), "{words}");
    assert_eq!((code, is_error), (AuditCode::TimedOut, true));
    assert!((2..=11).contains(&world.asked.get()), "as often as the server says: {}", world.asked.get());
    assert_eq!(world.steps().iter().filter(|step| **step == "cancel").count(), 1);
}

#[test]
fn what_a_task_comes_to_goes_the_way_of_every_result() {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
    let tool = KnownTool { output_schema: Some(raw(&schema)), ..report() };
    let wrong = Outcome { structured: Some(json!({"n": "x"})), ..Outcome::default() };
    let end = |state| end_of(state).map(|end| judged(&tool, end));
    let (outcome, code) = end(TaskState::Completed(wrong)).unwrap();
    let said = text_for_model(&outcome);
    assert!(code == AuditCode::Ok && said.contains("does not fit the tool's output schema"), "{said}");
    let large = Outcome { content: vec![Content::text("x".repeat(5_000_000))], ..Outcome::default() };
    assert_eq!(end(TaskState::Completed(large)).unwrap().1, AuditCode::TooLarge);
    let failed = Called::from(Outcome::error("no"));
    assert_eq!(judged(&tool, Ok(failed)).1, AuditCode::ToolError);
    for (state, words) in [
        (
            TaskState::Failed { code: -32603, message: "it broke".to_owned() },
            "its server answered error -32603: it broke",
        ),
        (TaskState::Cancelled, "it was stopped at its server"),
        (TaskState::InputRequired(Map::new()), "its server asks for input that cannot be given"),
    ] {
        let (outcome, code) = end(state).unwrap();
        let said = text_for_model(&outcome);
        assert!(outcome.is_error && said.contains(words), "{said}");
        assert_eq!(code, AuditCode::UpstreamFailed);
    }
    assert_eq!(end(TaskState::Working), None);
    assert!(judged(&tool, Err(CallFailure::TaskLost)).0.is_error);
}

#[test]
fn a_task_that_asks_for_something_is_stopped() {
    let world = Scripted { can_wait: false, ..going_on(&[TaskState::InputRequired(Map::new())]) };
    assert_eq!(world.words(&report(), "{}").1, AuditCode::UpstreamFailed);
    assert!(world.steps().contains(&"cancel"));
}

#[test]
fn a_call_that_was_begun_is_no_second_task() {
    let world = Scripted { begun: true, started: Started::Again, ..going_on(&[]) };
    assert_eq!(world.words(&report(), "{}").1, AuditCode::NotRepeated);
    assert!(!world.steps().contains(&"call"));
}

#[test]
fn a_task_that_cannot_be_kept_is_stopped() {
    let world = Scripted { keeping_fails: true, ..going_on(&[]) };
    assert!(world.try_execute(&report(), "lab_report", "{}").is_err());
    assert_eq!(world.steps().last(), Some(&"cancel"));
}

#[test]
fn a_task_is_asked_about_before_the_time_is_over_whatever_its_interval() {
    let done = TaskState::Completed(Outcome::text("the report"));
    for seconds in [50, 54, 60] {
        let poll = Duration::from_secs(seconds);
        let world = Scripted { can_wait: false, poll, ..going_on(std::slice::from_ref(&done)) };
        assert_eq!(world.words(&report(), "{}"), ("the report".to_owned(), AuditCode::Ok, false), "{seconds}");
    }
}

#[test]
fn what_a_task_is_when_it_is_made_is_no_result() {
    let begins = TaskState::Completed(Outcome::default());
    let world = Scripted { can_wait: false, begins, ..going_on(&[TaskState::Completed(Outcome::text("the report"))]) };
    assert_eq!(world.words(&report(), "{}").0, "the report");
    assert_eq!(world.asked.get(), 1);
}

#[test]
fn a_question_without_an_answer_ends_no_task() {
    let done = TaskState::Completed(Outcome::text("the report"));
    let world = Scripted { can_wait: false, ..going_on(&[done]) };
    world.unanswered.set(2);
    assert_eq!(world.words(&report(), "{}").0, "the report");
    assert!(!world.steps().contains(&"cancel"));
}
