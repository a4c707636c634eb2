//! What a turn reserves and what it is charged, however it ends. The context has room for 10,000 tokens, so an answer may have 2,500.

use std::time::Duration;

use domain::{RunState, prices::Prices};
use models::Pricing;
use storage::limits::{LimitKind, LimitsSet, Subject};

use crate::{
    distant::Statements,
    script::{Answer, answer, text, tool_call},
    world::World,
};

impl World {
    async fn with_budget(self, tokens: u64) -> Self {
        let set = self.store.set_limits(&Subject::Installation, false, &[(LimitKind::TokensPerDay, tokens)]).await;
        assert!(matches!(set.unwrap(), LimitsSet::Set { .. }));
        self.has_budgets.set(true);
        self
    }

    async fn taken(&self) -> u64 {
        self.store.limits().await.unwrap()[0].taken.unwrap()
    }
}

/// An answer without an end: after these pieces the model is silent.
fn endless(pieces: &[&str]) -> Answer {
    let pieces = pieces.iter().map(|piece| (5, Ok(text(piece)))).chain([(3_600_000, Ok(String::new()))]);
    Answer::Stream(pieces.collect())
}

#[tokio::test(start_paused = true)]
async fn a_turn_is_charged_what_the_server_reports() {
    let world = World::new([answer(&["Hello"])]).with_budget(5_000).await;
    let run = world.send("hi").await;
    assert_eq!(world.read(run, 0).await.types(), ["state", "token", "complete"]);
    assert_eq!(world.taken().await, 7);
}

#[tokio::test(start_paused = true)]
async fn each_round_of_a_turn_is_reserved_and_charged() {
    let calls = tool_call(&[("c1", "clock", "{}")]);
    let world = World::new([calls, answer(&["Noon."])]).with_tool("clock", true).with_budget(5_000).await;
    let run = world.send("What time is it?").await;
    world.read(run, 0).await;
    assert_eq!(world.run(run).await.state, RunState::Complete);
    assert_eq!(world.taken().await, world.run(run).await.usage.unwrap().total_tokens);
}

#[tokio::test(start_paused = true)]
async fn rounds_of_which_a_server_reports_zeros_are_charged_as_estimated() {
    let reporting_zeros = |answer: Answer| {
        let Answer::Stream(mut pieces) = answer else { panic!("no stream") };
        let zeros = r#"{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0}}"#;
        pieces.last_mut().unwrap().1 = Ok(format!("data: {zeros}\n\ndata: [DONE]\n\n"));
        Answer::Stream(pieces)
    };
    let rounds = [tool_call(&[("c1", "clock", "{}")]), answer(&["Noon."])].map(reporting_zeros);
    let world = World::new(rounds).with_tool("clock", true).with_budget(5_000).await;
    let run = world.send("What time is it?").await;
    world.read(run, 0).await;
    assert_eq!(world.run(run).await.state, RunState::Complete);
    let taken = world.taken().await;
    assert!((20..1_000).contains(&taken), "neither nothing nor the whole reservation: {taken}");
}

#[tokio::test(start_paused = true)]
async fn a_model_is_not_asked_when_too_little_is_left() {
    let world = World::new([answer(&["Hello"])]).with_budget(100).await;
    let run = world.send("hi").await;
    let reader = world.read(run, 0).await;
    assert_eq!(reader.types(), ["state", "error"]);
    let error = &reader.data()[1];
    assert!(error["content"].as_str().unwrap().contains("renews at 00:00 UTC"), "{error}");
    assert!(world.asked().is_empty());
    assert_eq!(world.run(run).await.failure.unwrap().code, "budget");
    assert_eq!((world.run(run).await.state, world.taken().await), (RunState::Error, 0));
}

#[tokio::test(start_paused = true)]
async fn one_answer_does_not_reserve_all_that_is_left() {
    let world = World::new([endless(&["Once upon a time"])]).with_budget(2_000).await;
    let run = world.send("hi").await;
    let look = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let taken = world.taken().await;
        assert!((900..1_100).contains(&taken), "{taken}");
        world.store.request_cancel(world.user, run, false).await.unwrap();
    };
    tokio::join!(world.read(run, 0), look);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_becomes_longer_than_the_budget_is_ended_and_kept() {
    let long = "word ".repeat(1_000);
    let world = World::new([endless(&[&long, &long])]).with_budget(1_200).await;
    let run = world.send("hi").await;
    let reader = world.read(run, 0).await;
    assert_eq!(reader.types(), ["state", "token", "error"]);
    assert!(reader.data()[2]["content"].as_str().unwrap().contains("The answer was ended here."));
    assert_eq!(world.stored().await, ["hi", long.as_str()]);
    assert!(world.taken().await > 1_000, "{}", world.taken().await);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_becomes_long_reserves_more() {
    let long = "word ".repeat(3_000);
    let world = World::new([answer(&[&long, "."])]).with_budget(20_000).await;
    let run = world.send("hi").await;
    world.read(run, 0).await;
    assert_eq!((world.run(run).await.state, world.taken().await), (RunState::Complete, 7));
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_have_all_that_is_left() {
    let long = "word ".repeat(2_400);
    let world = World::new([answer(&[&long, "."])]).with_budget(3_600).await;
    let run = world.send("hi").await;
    world.read(run, 0).await;
    assert_eq!(world.run(run).await.state, RunState::Complete, "3,000 tokens, though twice 2,500 are not left");
}

#[tokio::test(start_paused = true)]
async fn a_stopped_turn_is_charged_its_request_and_what_was_said() {
    let world = World::new([endless(&["Once upon a time"])]).with_budget(5_000).await;
    let run = world.send("Tell me a story").await;
    let stop = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(world.taken().await > 2_500, "the whole answer is reserved meanwhile");
        world.store.request_cancel(world.user, run, false).await.unwrap();
    };
    tokio::join!(world.read(run, 0), stop);
    assert_eq!(world.run(run).await.state, RunState::Cancelled);
    let taken = world.taken().await;
    assert!((10..100).contains(&taken), "{taken}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_the_server_refuses_costs_nothing() {
    let world = World::new([]).refusing(|_| Some((401, "no".into()))).with_budget(5_000).await;
    let run = world.send("hi").await;
    world.read(run, 0).await;
    assert_eq!((world.run(run).await.state, world.taken().await), (RunState::Error, 0));
}

#[tokio::test(start_paused = true)]
async fn a_turn_whose_host_died_is_charged_for_both_hosts() {
    let world = World::new([endless(&["Once upon a time"]), answer(&["Once upon a time", " there was."])]);
    let world = world.with_budget(5_000).await;
    let run = world.send("Tell me a story").await;
    world.read_and_die(run, Duration::from_secs(2)).await;
    assert!(world.taken().await > 2_500, "it stays reserved until somebody takes the run over");
    world.read(run, 0).await;
    assert_eq!(world.run(run).await.state, RunState::Complete);
    let taken = world.taken().await;
    assert!((17..100).contains(&taken), "the lost request and the reported seven: {taken}");
}

#[tokio::test(start_paused = true)]
async fn a_budget_costs_a_turn_one_statement_and_without_one_there_is_none() {
    let statements_of_a_turn = async |budget: Option<u64>| {
        let statements = Statements::default();
        let mut world = World::new([answer(&["Hello"])]).with_watched_database(&statements);
        if let Some(tokens) = budget {
            world = world.with_budget(tokens).await;
        }
        let run = world.send("hi").await;
        statements.lock().unwrap().clear();
        world.read(run, 0).await;
        assert_eq!(world.run(run).await.state, RunState::Complete);
        let mut of_the_turn = statements.lock().unwrap().clone();
        of_the_turn.truncate(of_the_turn.len() - 1);
        of_the_turn
    };
    let (without, mut with) = (statements_of_a_turn(None).await, statements_of_a_turn(Some(5_000)).await);
    assert!(!without.iter().any(|name| name.contains("budget")), "{without:?}");
    assert_eq!(with.iter().filter(|name| **name == "reserve_budget").count(), 1);
    with.retain(|name| *name != "reserve_budget");
    assert_eq!(with, without);
}

#[tokio::test(start_paused = true)]
async fn without_readable_prices_nobody_is_answered_for_whom_a_budget_of_money_counts() {
    for (kind, state) in [(LimitKind::CostPerDay, RunState::Error), (LimitKind::TokensPerDay, RunState::Complete)] {
        let mut world = World::new([answer(&["Hello"])]);
        world.pricing = Pricing::new(Prices::read("{"));
        let set = world.store.set_limits(&Subject::User(world.user), false, &[(kind, 1_000_000)]).await;
        assert!(matches!(set.unwrap(), LimitsSet::Set { .. }));
        world.has_budgets.set(true);
        let run = world.send("hi").await;
        world.read(run, 0).await;
        assert_eq!(world.run(run).await.state, state, "{kind:?}");
        if state == RunState::Error {
            assert_eq!(world.run(run).await.failure.unwrap().code, "budget");
            assert!(world.asked().is_empty());
        }
    }
}
