//! A chat turn on a real SQLite file, with a model, tools and a clock under the test's control.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod answers;
mod approvals;
mod attached;
mod budgets;
mod distant;
mod heard;
mod progress;
mod properties;
mod providers;
mod script;
mod servers;
mod spans;
mod strict;
mod tasks;
mod wanted;
mod world;

use std::time::Duration;

use distant::Statements;
use domain::{Id, MessageRole, RunState};
use orchestrator::ToolAnswer;
use script::{Answer, answer, chunk, text, tool_call};
use serde_json::json;
use storage::{Database, Statement};
use world::World;

#[tokio::test(start_paused = true)]
async fn an_answer_is_relayed_logged_and_stored_alike() {
    let world = World::new([answer(&["Hel", "lo ", "漢🦀"])]);
    let run = world.send("hi").await;
    let reader = world.read(run, 0).await;
    assert_eq!(reader.types(), ["state", "token", "token", "token", "complete"]);
    assert_eq!(reader.text(), "Hello 漢🦀");
    assert_eq!(world.stored().await, ["hi", "Hello 漢🦀"]);
    assert_eq!(world.replay(run, 0).await.logged(), reader.logged(), "the log says what the reader heard");
    let run = world.run(run).await;
    assert_eq!((run.state, run.usage.unwrap().total_tokens), (RunState::Complete, 7));
}

#[tokio::test(start_paused = true)]
async fn the_prompt_has_the_system_prompt_the_history_and_the_question() {
    let world = World::new([answer(&["one"]), answer(&["two"])]);
    for question in ["first", "second"] {
        let run = world.send(question).await;
        world.read(run, 0).await;
    }
    let asked = world.asked();
    let contents: Vec<_> = asked[1]["messages"].as_array().unwrap().iter().map(|m| m["content"].clone()).collect();
    assert_eq!(contents, [json!("Be kind."), json!("first"), json!("one"), json!("second")]);
    assert_eq!(asked[1]["stream_options"], json!({"include_usage": true}));
}

#[tokio::test(start_paused = true)]
async fn a_busy_model_is_asked_again_when_it_said() {
    let busy = Answer::Refuse(429, Some(Duration::from_secs(3)), String::new());
    let world = World::new([busy, Answer::Refuse(500, None, String::new()), answer(&["ok"])]);
    let run = world.send("hi").await;
    let reader = world.read(run, 0).await;
    assert_eq!(reader.types(), ["state", "state", "state", "token", "complete"]);
    assert_eq!(reader.data()[1]["metadata"]["retry_after_ms"], 3_000);
    let times = world.times();
    assert!(times[1] - times[0] >= Duration::from_secs(3), "{times:?}");
    assert!(times[2] - times[1] >= Duration::from_secs(1), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_the_model_refuses_is_not_repeated_and_its_reason_is_told() {
    let refusal = Answer::Refuse(400, None, r#"{"error":{"message":"too long"}}"#.into());
    let world = World::new([refusal]);
    let run = world.send("hi").await;
    let reader = world.read(run, 0).await;
    assert_eq!(reader.types(), ["state", "error"]);
    assert!(reader.data()[1]["content"].as_str().unwrap().contains("too long"));
    assert_eq!(reader.data()[1]["metadata"]["retryable"], false);
    let run = world.run(run).await;
    assert_eq!((run.state, run.failure.unwrap().code.as_str()), (RunState::Error, "model_refused"));
    assert_eq!(world.stored().await, ["hi"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_stored_ends_with_words_and_goes_on_when_it_can() {
    let pieces = |pieces: &[&str]| Answer::Stream(pieces.iter().map(|piece| (400, Ok(text(piece)))).collect());
    let world = World::new([pieces(&["one", "two", "three"]), answer(&["onetwothree"])]);
    let world = world.with_disk_read_only_from(Duration::from_millis(600));
    let run = world.send("hi").await;
    let reader = world.read(run, 0).await;
    assert_eq!(reader.types(), ["state", "token", "token", "error"]);
    let error = &reader.data()[3];
    assert!(error["content"].as_str().unwrap().contains("disk of this installation is full"), "{error}");
    assert_eq!((&error["metadata"]["code"], &error["metadata"]["retryable"]), (&json!("unwritable"), &json!(true)));
    assert_eq!(reader.last_id(), 6, "it is no event of the log: whoever comes again misses nothing");
    let world = world.with_disk_read_only_from(Duration::MAX);
    world.expire_lease(run).await;
    assert_eq!(world.read(run, 6).await.text(), "three");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_in_the_middle_keeps_what_was_written_and_is_not_asked_again() {
    let world = World::new([Answer::Stream(vec![(0, Ok(text("half"))), (5, Err("reset".into()))])]);
    let run = world.send("hi").await;
    let reader = world.read(run, 0).await;
    assert_eq!(reader.types(), ["state", "token", "error"]);
    assert_eq!(reader.data()[2]["metadata"]["code"], "model_broke_off");
    assert_eq!(world.stored().await, ["hi", "half"]);
    assert_eq!(world.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_before_the_first_word_is_tried_again() {
    let world = World::new([Answer::Unreachable, Answer::Stream(vec![(5, Err("reset".into()))]), answer(&["ok"])]);
    let run = world.send("hi").await;
    assert_eq!(world.read(run, 0).await.text(), "ok");
}

#[tokio::test(start_paused = true)]
async fn a_model_that_falls_silent_is_given_up() {
    let world = World::new([Answer::Stream(vec![(0, Ok(text("so"))), (3_600_000, Ok(text("late")))])]);
    let run = world.send("hi").await;
    let reader = world.read(run, 0).await;
    assert_eq!(reader.data().last().unwrap()["metadata"]["code"], "model_silent");
    assert_eq!(world.stored().await, ["hi", "so"]);
    assert!(world.now() < Duration::from_secs(40), "{:?}", world.now());
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_gets_comments() {
    let world = World::new([Answer::Stream(vec![(25_000, Ok(text("late"))), (0, Ok(chunk(json!({}), Some("stop"))))])]);
    let run = world.send("hi").await;
    assert_eq!(world.read(run, 0).await.comments(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stream_in_which_much_happens_that_readers_are_not_told_gets_comments() {
    let calling = |arguments: &str| {
        chunk(json!({"tool_calls": [{"index": 0, "id": "1", "function": {"name": "t", "arguments": arguments}}]}), None)
    };
    let pieces = (0..1_250).map(|_| (20, Ok(calling(" "))));
    let ended = [(0, Ok(calling("{}"))), (0, Ok(chunk(json!({}), Some("tool_calls"))))];
    let world = World::new([Answer::Stream(pieces.chain(ended).collect()), answer(&["done"])]);
    let run = world.send("hi").await;
    let reader = world.read(run, 0).await;
    assert_eq!((reader.comments(), reader.text().as_str()), (2, "done"));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_wants_a_connection_lets_go_on_what_has_one() {
    let longer_than_a_tick = 250;
    let world = World::new([tool_call(&[("1", "t", "{}")]), answer(&["done"])]).with_tool("t", false);
    let world = world.with_one_connection(longer_than_a_tick);
    let run = world.send("hi").await;
    let read = tokio::time::timeout(Duration::from_secs(60), world.read(run, 0)).await;
    assert_eq!(read.expect("each waits for the other").text(), "done");
}

#[tokio::test(start_paused = true)]
async fn stop_reaches_the_model_within_a_fifth_of_a_second() {
    for begun in [false, true] {
        let beginning = if begun { vec![(0, Ok(text("half")))] } else { Vec::new() };
        let silence = [(3_600_000, Ok(text("never")))];
        let world = World::new([Answer::Stream(beginning.into_iter().chain(silence).collect())]);
        let run = world.send("hi").await;
        let stop = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            world.store.request_cancel(world.user, run, false).await.unwrap().unwrap();
            world.now()
        };
        let (reader, stopped_at) = tokio::join!(world.read(run, 0), stop);
        assert!(world.dropped_at() - stopped_at <= Duration::from_millis(200));
        assert_eq!(reader.data().last().unwrap()["metadata"]["finish_reason"], "cancelled");
        assert_eq!(world.run(run).await.state, RunState::Cancelled);
        assert_eq!(world.stored().await.len(), if begun { 2 } else { 1 }, "what was written stays");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_goes_on_when_its_reader_leaves() {
    let world = World::new([answer(&["a", "b", "c"])]);
    let run = world.send("hi").await;
    let reader = world.reader_that_leaves_after(1);
    world.read_with(run, 0, reader).await;
    assert_eq!(world.stored().await, ["hi", "abc"]);
    assert_eq!(world.replay(run, 1).await.text(), "bc");
}

#[tokio::test(start_paused = true)]
async fn two_readers_hear_the_same() {
    let pieces: Vec<(u64, _)> = (0..50).map(|n| (20, Ok(text(&format!("{n} "))))).collect();
    let world =
        World::new([Answer::Stream(pieces.into_iter().chain([(0, Ok(chunk(json!({}), Some("stop"))))]).collect())]);
    let run = world.send("hi").await;
    let (first, second) = tokio::join!(world.read(run, 0), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        world.read(run, 0).await
    });
    assert_eq!(first.logged(), second.logged());
    assert_eq!(world.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn tokens_are_logged_in_batches() {
    let pieces: Vec<(u64, _)> = (0..100).map(|_| (10, Ok(text("word ")))).collect();
    let world =
        World::new([Answer::Stream(pieces.into_iter().chain([(0, Ok(chunk(json!({}), Some("stop"))))]).collect())]);
    let run = world.send("hi").await;
    world.read(run, 0).await;
    let batches = world.store.log(run, 0).await.unwrap();
    assert!((5..=9).contains(&batches.len()), "{} batches for a second of tokens", batches.len());
}

#[tokio::test(start_paused = true)]
async fn runs_that_share_a_statement_lose_nothing_when_one_of_them_ends_meanwhile() {
    const RUNS: usize = 5;
    let script = (0..RUNS).map(|run| {
        let pieces = (0..30 + 3 * run).map(|_| (17, Ok(text("word "))));
        Answer::Stream(pieces.chain([(0, Ok(chunk(json!({}), Some("stop"))))]).collect())
    });
    let world = World::new(script).with_distant_database(15);
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push(world.send_elsewhere("hi").await);
    }
    let heard = futures::future::join_all(runs.iter().map(|run| world.read(*run, 0))).await;
    for (run, heard) in runs.iter().zip(&heard) {
        assert_eq!(world.run(*run).await.state, RunState::Complete);
        assert_eq!(world.replay(*run, 0).await.logged(), heard.logged());
    }
}

/// A model that speaks for this long, twenty pieces a second.
fn speaking(seconds: usize) -> Answer {
    let pieces = (0..20 * seconds).map(|_| (50, Ok(text("word "))));
    Answer::Stream(pieces.chain([(0, Ok(chunk(json!({}), Some("stop"))))]).collect())
}

#[tokio::test(start_paused = true)]
async fn a_run_goes_on_while_the_database_is_away_for_less_than_its_lease() {
    let away = Duration::from_millis(500)..Duration::from_millis(4_500);
    let world = World::new([speaking(6)]).with_outage(away);
    let run = world.send("hi").await;
    let heard = world.read(run, 0).await;
    assert_eq!(heard.data().last().unwrap()["metadata"]["attempt"], 1);
    assert_eq!(world.replay(run, 0).await.logged(), heard.logged());
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_lease_can_have_lapsed_is_left_to_others() {
    let away = Duration::from_millis(500)..Duration::from_secs(3_600);
    let world = World::new([speaking(60)]).with_outage(away);
    let run = world.send("hi").await;
    let heard = world.read(run, 0).await;
    let ended = world.dropped_at();
    assert!(ended > Duration::from_secs(4) && ended < Duration::from_secs(6), "it stopped asking after {ended:?}");
    assert!(!heard.types().contains(&"complete".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn who_takes_over_a_dead_executor_goes_on_where_its_readers_are() {
    let cut = Answer::Stream(vec![
        (0, Ok(text("one "))),
        (400, Ok(text("two "))),
        (50, Ok(text("three "))),
        (3_600_000, Ok(text("never"))),
    ]);
    let whole = Answer::Stream(vec![
        (0, Ok(text("one two t"))),
        (5, Ok(text("hree four"))),
        (0, Ok(chunk(json!({}), Some("stop")))),
    ]);
    let world = World::new([cut, whole]);
    let run = world.send("hi").await;
    // "three " was sent but not logged.
    let first = world.read_and_die(run, Duration::from_millis(460)).await;
    assert_eq!(first.text(), "one two three ");
    let second = world.read(run, first.last_id()).await;
    assert_eq!(second.text(), "four");
    assert_eq!(world.stored().await, ["hi", "one two three four"]);
    assert_eq!(world.replay(run, 0).await.text(), "one two three four");
    assert_eq!(second.data().last().unwrap()["metadata"]["attempt"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_reader_whose_own_connection_broke_does_not_wait_for_the_whole_lease() {
    let world = World::new([
        Answer::Stream(vec![(0, Ok(text("one "))), (3_600_000, Ok(text("never")))]),
        answer(&["one ", "two"]),
    ]);
    let run = world.send("hi").await;
    let first = world.read_and_die(run, Duration::from_secs(1)).await;
    world.shorten_lease(run, 2_500).await;
    let came_back = world.now();
    assert_eq!(world.read(run, first.last_id()).await.text(), "two");
    assert!(world.now() - came_back < Duration::from_secs(1), "it waited for {:?}", world.now() - came_back);
    assert!(world.run(run).await.state.is_terminal());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ten_executors_died_of_is_given_up_and_keeps_what_was_said() {
    let never = || Answer::Stream(vec![(0, Ok(text("Once "))), (3_600_000, Ok(text("never")))]);
    let world = World::new((0..11).map(|_| never()));
    let run = world.send("hi").await;
    for _ in 0..10 {
        world.read_and_die(run, Duration::from_secs(1)).await;
    }
    assert_eq!(world.read(run, 0).await.data().last().unwrap()["metadata"]["code"], "run_given_up");
    assert_eq!(world.asked().len(), 10);
    assert_eq!(world.stored().await, ["hi", "Once "]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_differs_the_second_time_makes_readers_drop_the_first() {
    let world = World::new([
        Answer::Stream(vec![(0, Ok(text("Once upon"))), (3_600_000, Ok(text("never")))]),
        answer(&["Once ", "there ", "was"]),
    ]);
    let run = world.send("hi").await;
    let first = world.read_and_die(run, Duration::from_secs(1)).await;
    assert_eq!(first.text(), "Once upon");
    let second = world.read(run, first.last_id()).await;
    assert_eq!(second.types(), ["state", "state", "token", "token", "complete"]);
    assert_eq!((second.data()[1]["content"].as_str(), second.text().as_str()), (Some("restarted"), "Once there was"));
    assert!(second.ids().is_sorted() && second.ids()[0] > first.last_id());
    assert_eq!(world.stored().await, ["hi", "Once there was"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_shorter_the_second_time_makes_readers_drop_the_first() {
    let world =
        World::new([Answer::Stream(vec![(0, Ok(text("long answer"))), (3_600_000, Ok(text("")))]), answer(&["long"])]);
    let run = world.send("hi").await;
    let first = world.read_and_die(run, Duration::from_secs(1)).await;
    let second = world.read(run, first.last_id()).await;
    assert_eq!((second.data()[1]["content"].as_str(), second.text().as_str()), (Some("restarted"), "long"));
    assert_eq!(world.stored().await, ["hi", "long"]);
}

#[tokio::test(start_paused = true)]
async fn tools_are_called_and_their_results_go_back_to_the_model() {
    let world =
        World::new([tool_call(&[("c1", "clock", "{\"zone\":\"UTC\"}"), ("c2", "nothing", "{}")]), answer(&["noon"])])
            .with_tool("clock", false);
    let run = world.send("time?").await;
    let reader = world.read(run, 0).await;
    assert_eq!(
        reader.types(),
        ["state", "tool_request", "tool_request", "tool_result", "tool_result", "token", "complete"]
    );
    let data = reader.data();
    assert_eq!(data[1]["metadata"]["arguments"], json!({"zone": "UTC"}));
    assert_eq!((&data[3]["content"], &data[3]["metadata"]["is_error"]), (&json!("result of c1"), &json!(false)));
    assert_eq!(data[4]["metadata"]["is_error"], true, "there is no such tool");
    assert_eq!(world.calls(), ["c1"]);
    let messages = &world.asked()[1]["messages"];
    assert_eq!(messages[2]["tool_calls"][0]["function"]["name"], "clock");
    assert_eq!(
        (&messages[3]["role"], &messages[3]["tool_call_id"]),
        (&json!("tool"), &messages[2]["tool_calls"][0]["id"])
    );
    assert_eq!(world.asked()[0]["tools"][0]["function"]["name"], "clock");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_may_have_been_made_is_not_made_again_unless_that_does_no_harm() {
    for (idempotent, expected) in [(false, 1), (true, 2)] {
        let world = World::new([tool_call(&[("c1", "send", "{}")]), answer(&["done"])])
            .with_tool("send", idempotent)
            .with_slow_tools(Duration::from_secs(30));
        let run = world.send("send it").await;
        let first = world.read_and_die(run, Duration::from_secs(1)).await;
        assert_eq!(first.types(), ["state", "tool_request"]);
        let second = world.read(run, first.last_id()).await;
        assert_eq!(world.calls().len(), expected);
        assert_eq!(second.types(), ["state", "tool_result", "token", "complete"]);
        assert_eq!(second.data()[1]["metadata"]["is_error"], !idempotent);
        assert_eq!(second.data()[3]["metadata"]["usage"]["total_tokens"], 14, "what the dead executor used is counted");
        assert_eq!(world.asked().len(), 2, "the model's round was a finished step");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_hangs_is_an_error_that_the_model_hears_of() {
    let world = World::new([tool_call(&[("c1", "slow", "{}")]), answer(&["sorry"])])
        .with_tool("slow", false)
        .with_slow_tools(Duration::from_secs(3_600));
    let run = world.send("go").await;
    let reader = world.read(run, 0).await;
    assert_eq!(reader.data()[2]["metadata"]["is_error"], true);
    assert_eq!(reader.text(), "sorry");
}

#[tokio::test(start_paused = true)]
async fn a_model_that_wants_tools_for_ever_must_answer_in_the_end() {
    let rounds = (0..11).map(|n| tool_call(&[(format!("c{n}").leak(), "t", "{}")])).chain([answer(&["enough"])]);
    let world = World::new(rounds).with_tool("t", false);
    let run = world.send("go").await;
    assert_eq!(world.read(run, 0).await.text(), "enough");
    let last = world.asked().pop().unwrap();
    assert_eq!((&last["tool_choice"], last["tools"].as_array().unwrap().len()), (&json!("none"), 1));
}

#[tokio::test(start_paused = true)]
async fn an_executor_whose_lease_was_taken_writes_nothing_and_its_reader_hears_the_other() {
    let world = World::new([
        Answer::Stream(vec![(0, Ok(text("one "))), (2_000, Ok(text("two "))), (3_600_000, Ok(text("never")))]),
        answer(&["one ", "two ", "three"]),
    ]);
    let run = world.send("hi").await;
    let (first, ()) = tokio::join!(world.read(run, 0), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.expire_lease(run).await;
        world.read(run, 0).await;
    });
    assert_eq!(first.text(), "one two three");
    assert_eq!(world.stored().await, ["hi", "one two three"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_conversation_is_deleted_ends_quietly() {
    let world = World::new([Answer::Stream(vec![(0, Ok(text("one"))), (3_600_000, Ok(text("never")))])]);
    let run = world.send("hi").await;
    let (reader, ()) = tokio::join!(world.read(run, 0), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(world.store.delete_conversation(world.user, world.conversation).await.unwrap());
    });
    assert_eq!(reader.text(), "one");
    assert!(world.dropped_at() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_run_and_one_that_was_heard_to_the_end_are_not_streams() {
    let world = World::new([answer(&["a"])]);
    let run = world.send("hi").await;
    let last = world.read(run, 0).await.last_id();
    let open = |user, seen| orchestrator::open(&world, user, run, seen);
    assert!(matches!(open(Id::new(), 0).await, Ok(orchestrator::Opened::NotFound)));
    assert!(matches!(open(world.user, last).await, Ok(orchestrator::Opened::NothingMore)));
    assert!(matches!(open(world.user, last - 1).await, Ok(orchestrator::Opened::Events(_))));
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_run_costs_the_statements_of_one_that_is_not_there() {
    let statements = Statements::default();
    let world = World::new([]).with_watched_database(&statements);
    let queued = world.send("hi").await;
    let statements_for = async |run| {
        statements.lock().unwrap().clear();
        assert!(matches!(orchestrator::open(&world, Id::new(), run, 0).await, Ok(orchestrator::Opened::NotFound)));
        statements.lock().unwrap().clone()
    };
    assert_eq!(statements_for(queued).await, statements_for(Id::new()).await);
}

#[tokio::test(start_paused = true)]
async fn what_a_tool_says_is_stored_with_its_call() {
    let world = World::new([tool_call(&[("c1", "t", "not json")]), answer(&["ok"])]).with_tool("t", false);
    world.answer_calls_with(ToolAnswer::failed("x".repeat(3)));
    let run = world.send("go").await;
    let reader = world.read(run, 0).await;
    assert_eq!(reader.data()[1]["metadata"]["arguments"], "not json");
    let page = world.store.messages(world.user, world.conversation, 0, 10, 10_000).await.unwrap();
    let roles: Vec<_> = page.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [MessageRole::User, MessageRole::Assistant, MessageRole::Tool, MessageRole::Assistant]);
    let finished = Statement::new("t", "SELECT is_error FROM tool_calls WHERE finished_at IS NOT NULL", []);
    assert_eq!(world.file().query(finished).await.unwrap()[0].0, [storage::Value::Integer(1)]);
    assert_eq!(world.store.progress(run).await.unwrap().last_id, 5);
}
