//! Calls that go on at their servers as tasks, while their run waits and nobody executes it.

use std::time::Duration;

use domain::{Decision, Id, RunState, ToolCall};
use orchestrator::ToolAnswer;
use serde_json::{Value, json};
use storage::{
    Database, Statement,
    runs::Lease,
    tool_tasks::{NewTask, Said},
};

use crate::{
    heard::Heard,
    script::{answer, tool_call},
    world::World,
};

/// Due whenever somebody looks.
const DUE: Said<'static> = Said { message: Some("begun"), poll_ms: 0, lifetime_ms: 3_600_000 };

impl World {
    fn with_tasks_that_last(self, asked: u32) -> Self {
        self.task_lasts.set(Some(asked));
        self
    }

    pub(crate) async fn begin_task(&self, lease: Lease, call: &ToolCall) -> ToolAnswer {
        let title = format!("Title of {}", call.name);
        let (name, title, server, tool, task_id) = (call.name.as_str(), title.as_str(), "world", "report", "t1");
        let task = NewTask { call_id: &call.id, name, title, server, tool, task_id, session: None, said: DUE };
        let kept = self.store.keep_tool_task(lease, self.user, task).await.unwrap();
        kept.map_or(ToolAnswer::LeaseLost, |started_at| self.waits(call, started_at))
    }

    fn waits(&self, call: &ToolCall, started_at: domain::Timestamp) -> ToolAnswer {
        ToolAnswer::Task { server: "world".to_owned(), title: format!("Title of {}", call.name), started_at }
    }

    pub(crate) async fn look_after_tasks(&self, run_id: Id) {
        let user_id = self.user;
        for task in self.store.claim_due_tool_tasks(user_id, run_id, 60_000, u32::MAX).await.unwrap() {
            self.task_asked.set(self.task_asked.get() + 1);
            let words = format!("step {}", self.task_asked.get());
            if self.task_lasts.get().is_some_and(|lasts| self.task_asked.get() >= lasts) {
                let result = format!("report of {}", task.call_id);
                self.store.end_tool_task(user_id, run_id, &task.call_id, &result, false).await.unwrap();
            } else {
                let said = Said { message: Some(&words), ..DUE };
                self.store.note_tool_task(user_id, run_id, &task.call_id, said).await.unwrap();
            }
        }
    }
}

fn reporting(lasts: u32) -> World {
    World::new([tool_call(&[("c1", "lab_report", "{}")]), answer(&["Here it is."])])
        .with_tool("lab_report", false)
        .with_tasks_that_last(lasts)
}

fn words_of_progress(heard: &Heard) -> Vec<Value> {
    heard
        .data()
        .into_iter()
        .filter(|data| data["type"] == "tool_progress")
        .map(|data| data["content"].clone())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_run_waits_for_a_task_without_an_executor_and_its_reader_hears_how_far_it_is() {
    let world = reporting(3);
    let run = world.send("write it").await;
    let (reader, ()) = tokio::join!(world.read(run, 0), async {
        world.until(run, RunState::AwaitingTask).await;
        assert_eq!(world.calls(), ["c1"]);
    });
    let data = reader.data();
    let task = data.iter().find(|data| data["type"] == "tool_task").unwrap();
    assert_eq!((&task["content"], &task["metadata"]["call_id"]), (&json!("lab_report"), &json!("c1")));
    assert_eq!(
        (&task["metadata"]["server"], &task["metadata"]["title"]),
        (&json!("world"), &json!("Title of lab_report"))
    );
    assert!(task["metadata"]["started_at"].is_string());
    assert_eq!(words_of_progress(&reader), ["begun", "step 1", "step 2"], "each once");
    let result = data.iter().find(|data| data["type"] == "tool_result").unwrap();
    assert_eq!((&result["content"], &result["metadata"]["is_error"]), (&json!("report of c1"), &json!(false)));
    assert_eq!(world.stored().await, ["write it", "", "report of c1", "Here it is."]);
    assert_eq!((world.calls(), world.task_asked.get()), (vec!["c1".to_owned()], 3));
    assert_eq!(world.replay(run, 0).await.logged(), reader.logged());
    assert_eq!(world.run(run).await.state, RunState::Complete);
}

#[tokio::test(start_paused = true)]
async fn nobody_asks_while_nobody_reads_and_the_next_reader_does() {
    let world = reporting(2);
    let run = world.send("write it").await;
    world.read_with(run, 0, world.reader_that_leaves_after(3)).await;
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert_eq!((world.run(run).await.state, world.task_asked.get()), (RunState::AwaitingTask, 0));
    let an_hour_ago = Statement::new("t", "UPDATE tool_tasks SET started_at = started_at - 3600000", []);
    world.file().query(an_hour_ago).await.unwrap();
    let reader = world.read(run, 0).await;
    assert_eq!(reader.text(), "Here it is.");
    let result = reader.data().into_iter().find(|data| data["type"] == "tool_result").unwrap();
    let took_ms = result["metadata"]["duration_ms"].as_u64().unwrap();
    assert!((3_600_000..3_700_000).contains(&took_ms), "what is told is how long the task took: {took_ms}");
    assert_eq!((world.calls().len(), world.task_asked.get()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn two_readers_ask_no_more_often_than_one_and_both_hear_it() {
    let world = reporting(4);
    let run = world.send("write it").await;
    let (one, other) = tokio::join!(world.read(run, 0), async {
        world.until(run, RunState::AwaitingTask).await;
        world.read(run, 0).await
    });
    assert_eq!(one.logged(), other.logged());
    assert!(words_of_progress(&one).last().is_some() && words_of_progress(&other).last().is_some());
    assert_eq!((world.calls().len(), world.task_asked.get()), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_executor_died_before_the_run_waited_is_waited_for_and_not_made_again() {
    let world = reporting(2).with_slow_tools(Duration::from_secs(30));
    let run = world.send("write it").await;
    // The task is kept, and nobody has written down that the run waits.
    let dead = world.read_and_die(run, Duration::from_secs(5)).await;
    assert_eq!(dead.types().last().map(String::as_str), Some("tool_request"));
    let reader = world.read(run, 0).await;
    assert_eq!(reader.text(), "Here it is.");
    assert_eq!(world.calls(), ["c1"]);
}

#[tokio::test(start_paused = true)]
async fn a_result_that_an_executor_did_not_live_to_tell_is_told_by_the_next() {
    let world = reporting(1);
    let run = world.send("write it").await;
    world.read_with(run, 0, world.reader_that_leaves_after(3)).await;
    world.look_after_tasks(run).await;
    let lease = Lease { run_id: run, owner: Id::new() };
    world.store.claim(lease, 6_000, "").await.unwrap().unwrap();
    world.expire_lease(run).await;
    assert_eq!(world.read(run, 0).await.text(), "Here it is.");
    assert_eq!((world.calls().len(), world.task_asked.get()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_for_a_task_can_be_stopped() {
    let world = reporting(1_000_000);
    let run = world.send("write it").await;
    let (reader, ()) = tokio::join!(world.read(run, 0), async {
        world.until(run, RunState::AwaitingTask).await;
        assert!(world.store.request_cancel(world.user, run, false).await.unwrap().unwrap().claimable);
    });
    assert_eq!(reader.data().last().unwrap()["metadata"]["finish_reason"], "cancelled");
    assert_eq!(world.run(run).await.state, RunState::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_asked_about_can_become_a_task_when_it_is_allowed() {
    let world = World::new([tool_call(&[("c1", "lab_report", "{}")]), answer(&["Here it is."])])
        .with_asking_tool("lab_report")
        .with_tasks_that_last(2);
    let run = world.send("write it").await;
    let (reader, ()) = tokio::join!(world.read(run, 0), async {
        world.decide(run, "c1", Decision::AllowOnce).await;
        world.until(run, RunState::AwaitingTask).await;
    });
    let kinds = ["tool_approval", "tool_task", "tool_result"];
    let heard: Vec<_> = reader.types().into_iter().filter(|kind| kinds.contains(&kind.as_str())).collect();
    assert_eq!(heard, kinds);
    assert_eq!(world.calls(), ["c1"]);
}

#[tokio::test(start_paused = true)]
async fn a_task_holds_up_no_other_call_of_its_round() {
    let calls = [("c1", "lab_report", "{}"), ("c2", "mail_send", "{}")];
    let world = World::new([tool_call(&calls), answer(&["ok"])])
        .with_tool("lab_report", false)
        .with_asking_tool("mail_send")
        .with_tasks_that_last(1);
    let run = world.send("go").await;
    let (reader, ()) = tokio::join!(world.read(run, 0), async {
        world.until(run, RunState::AwaitingApproval).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(world.task_asked.get(), 1, "it is asked about while the person thinks");
        world.decide(run, "c2", Decision::Deny).await;
    });
    let types = reader.types();
    assert!(types.contains(&"tool_task".to_owned()) && types.contains(&"tool_approval".to_owned()), "{types:?}");
    assert_eq!(world.stored().await[2..4], ["report of c1", "The person declined."]);
    assert_eq!(world.run(run).await.state, RunState::Complete);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_allowed_is_made_while_a_task_of_its_round_goes_on() {
    let calls = [("c1", "lab_report", "{}"), ("c2", "mail_send", "{}")];
    let world = World::new([tool_call(&calls), answer(&["ok"])])
        .with_tool("lab_report", false)
        .with_asking_tool("mail_send")
        .with_tasks_that_last(1_000_000);
    let run = world.send("go").await;
    let (reader, ()) = tokio::join!(world.read(run, 0), async {
        world.until(run, RunState::AwaitingApproval).await;
        // Only the first call becomes a task.
        world.task_lasts.set(None);
        world.decide(run, "c2", Decision::AllowOnce).await;
        while world.stored().await.len() < 3 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(world.run(run).await.state, RunState::AwaitingTask);
        world.task_lasts.set(Some(0));
    });
    assert_eq!(world.stored().await[2..], ["result of c2", "report of c1", "ok"]);
    assert_eq!(world.calls(), ["c1", "c2"], "each once");
    assert_eq!(reader.types().iter().filter(|kind| *kind == "tool_task").count(), 1);
}

/// A run with two tasks, of which the first has ended.
async fn half_ended() -> (World, Id) {
    let calls = [("c1", "lab_report", "{}"), ("c2", "lab_report", "{}")];
    let world =
        World::new([tool_call(&calls), answer(&["ok"])]).with_tool("lab_report", false).with_tasks_that_last(1_000_000);
    let run = world.send("go").await;
    world.read_with(run, 0, world.reader_that_leaves_after(4)).await;
    world.until(run, RunState::AwaitingTask).await;
    assert!(world.store.end_tool_task(world.user, run, "c1", "the first", false).await.unwrap());
    (world, run)
}

#[tokio::test(start_paused = true)]
async fn a_task_that_has_ended_is_told_while_another_one_goes_on() {
    let (world, run) = half_ended().await;
    let (reader, ()) = tokio::join!(world.read(run, 0), async {
        while world.stored().await.len() < 3 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        world.until(run, RunState::AwaitingTask).await;
        assert!(world.store.end_tool_task(world.user, run, "c2", "the second", false).await.unwrap());
    });
    assert_eq!(world.stored().await[2..], ["the first", "the second", "ok"]);
    let results: Vec<_> = reader.data().into_iter().filter(|data| data["type"] == "tool_result").collect();
    assert_eq!((results.len(), &results[0]["content"]), (2, &json!("the first")));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_keeps_the_result_of_a_task_that_has_ended() {
    let (world, run) = half_ended().await;
    world.store.request_cancel(world.user, run, false).await.unwrap().unwrap();
    let reader = world.read(run, 0).await;
    assert_eq!(world.stored().await[2..], ["the first"]);
    assert_eq!(reader.data().last().unwrap()["metadata"]["finish_reason"], "cancelled");
}

#[tokio::test(start_paused = true)]
async fn a_reader_is_served_while_a_question_takes_its_time() {
    let world = reporting(1_000_000);
    world.question_takes.set(Some(Duration::from_secs(1_000_000)));
    let run = world.send("write it").await;
    let (reader, ()) = tokio::join!(world.read(run, 0), async {
        world.until(run, RunState::AwaitingTask).await;
        tokio::time::sleep(Duration::from_secs(130)).await;
        assert_eq!(world.questions.get(), 3, "a question without an answer is given up");
        world.store.request_cancel(world.user, run, false).await.unwrap().unwrap();
    });
    assert_eq!(reader.data().last().unwrap()["metadata"]["finish_reason"], "cancelled");
    assert!(reader.comments() > 10);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_cannot_be_asked_is_not_repeated_at_once() {
    let world = reporting(1_000_000);
    world.question_takes.set(None);
    let run = world.send("write it").await;
    tokio::join!(world.read(run, 0), async {
        world.until(run, RunState::AwaitingTask).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!((5..=13).contains(&world.questions.get()), "{}", world.questions.get());
        world.store.request_cancel(world.user, run, false).await.unwrap().unwrap();
    });
}
