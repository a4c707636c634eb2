//! The progress of a call: readers get it while the tool works, and it is not stored.

use orchestrator::{ToolAnswer, ToolProgress};
use serde_json::json;

use crate::{
    script::{answer, tool_call},
    world::World,
};

fn step(progress: f64) -> ToolProgress {
    ToolProgress { progress, total: Some(2.0), message: format!("step {progress}") }
}

#[tokio::test(start_paused = true)]
async fn a_reader_hears_how_far_a_call_is_while_it_works_and_the_log_does_not_keep_it() {
    let world = World::new([tool_call(&[("c1", "t", "{}")]), answer(&["ok"])]).with_tool("t", false);
    world.tell_with_the_next_call(vec![step(0.0), step(1.0)]);
    let run = world.send("go").await;
    let reader = world.read(run, 0).await;
    assert_eq!(
        reader.types(),
        ["state", "tool_request", "tool_progress", "tool_progress", "tool_result", "token", "complete"]
    );
    let data = reader.data();
    assert_eq!((&data[3]["content"], &data[3]["metadata"]["call_id"]), (&json!("step 1"), &json!("c1")));
    assert_eq!((&data[3]["metadata"]["progress"], &data[3]["metadata"]["total"]), (&json!(1.0), &json!(2.0)));
    let again = world.read(run, 0).await;
    assert_eq!(again.types(), ["tool_request", "tool_result", "token", "complete"]);
    assert_eq!(again.logged(), reader.logged());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_tells_and_tells_is_given_up_like_one_that_is_silent() {
    let world = World::new([tool_call(&[("c1", "t", "{}")]), answer(&["ok"])]).with_tool("t", false);
    world.tell_with_the_next_call((0..600).map(|at| step(f64::from(at))).collect());
    world.answer_calls_with(ToolAnswer::failed("it came to an end"));
    let run = world.send("go").await;
    let reader = world.read(run, 0).await;
    let data = reader.data();
    let result = data.iter().find(|data| data["type"] == "tool_result").unwrap();
    assert_eq!(result["content"], "The tool did not answer within 75 seconds.");
    assert!(data.iter().filter(|data| data["type"] == "tool_progress").count() < 80);
}
