//! Whatever a server says and whatever a database contains, the strictest server accepts the next request, so no conversation gets stuck.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{script::Answer, strict, world::World};

/// Contents of fields in servers' answers, sensible or not.
fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just(" \n".to_owned()),
        Just("t".to_owned()),
        Just("call_0".to_owned()),
        Just("{}".to_owned()),
        Just("{\"a\": 6*7".to_owned()),
        Just("{\"a\":\"\\ud83d\"}".to_owned()),
        Just("x".repeat(90)),
        "\\PC{0,12}",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => words().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => Just(json!({"a": 1})),
        1 => Just(json!(7)),
        1 => Just(json!([{"type": "text", "text": "x"}])),
    ]
}

fn call() -> impl Strategy<Value = Value> {
    (
        prop::option::of(0_u8..3),
        prop::option::of(value()),
        prop::option::of(value()),
        prop::option::of(value()),
        any::<bool>(),
    )
        .prop_map(|(index, id, name, arguments, signed)| {
            let mut call = json!({"type": "function"});
            for (field, value) in [("index", index.map(Value::from)), ("id", id)] {
                call[field] = value.unwrap_or_default();
            }
            call["function"] = json!({"name": name, "arguments": arguments});
            if signed {
                call["extra_content"] = json!({"google": {"thought_signature": "c2ln"}});
            }
            call
        })
}

fn delta() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => value().prop_map(|content| json!({ "content": content })),
        1 => value().prop_map(|reasoning| json!({ "reasoning_content": reasoning })),
        6 => prop::collection::vec(call(), 1..4).prop_map(|calls| json!({ "tool_calls": calls })),
    ]
}

fn stream() -> impl Strategy<Value = String> {
    let finish =
        prop::sample::select(vec![Value::Null, json!("stop"), json!("tool_calls"), json!("length"), json!("")]);
    (prop::collection::vec(delta(), 0..6), finish, any::<bool>()).prop_map(|(deltas, finish, done)| {
        let mut stream = String::new();
        let chunk = |delta: &Value, finish: &Value| {
            format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}))
        };
        deltas.iter().for_each(|delta| stream += &chunk(delta, &Value::Null));
        stream += &chunk(&json!({}), &finish);
        if done { stream + "data: [DONE]\n\n" } else { stream }
    })
}

/// A row as any version may have written it.
fn row() -> impl Strategy<Value = Value> {
    let calls = prop::collection::vec((words(), words(), words()), 0..3);
    prop_oneof![
        words().prop_map(|content| json!({"role": "user", "content": content})),
        (words(), prop::sample::select(vec!["stop", "error", "cancelled"]))
            .prop_map(|(content, reason)| json!({"role": "assistant", "content": content, "finish_reason": reason})),
        (words(), calls).prop_map(|(content, calls)| {
            let call = |(id, name, arguments)| json!({"id": id, "name": name, "arguments": arguments});
            let calls: Vec<Value> = calls.into_iter().map(call).collect();
            json!({"role": "assistant", "content": content, "tool_calls": calls})
        }),
        (words(), words()).prop_map(|(content, id)| json!({"role": "tool", "content": content, "tool_call_id": id})),
    ]
}

fn with_paused_time(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(test);
}

/// Asks several questions and checks every request.
async fn ask(world: &World, questions: usize) {
    for question in 0..questions {
        let run = world.send(&format!("question {question}")).await;
        world.read(run, 0).await;
    }
    let also = ["reasoning_content".to_owned(), "extra_content".to_owned()];
    for request in world.asked() {
        assert_eq!(strict::complaint(&request, &also), None, "{request:#}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_a_server_says_the_next_request_is_valid(streams in prop::collection::vec(stream(), 1..5)) {
        with_paused_time(async {
            let script = streams.into_iter().map(|stream| Answer::Stream(vec![(0, Ok(stream))]));
            let world = World::new(script).with_tool("t", true).answering_afterwards("well");
            ask(&world, 3).await;
        });
    }

    #[test]
    fn whatever_a_database_holds_the_next_request_is_valid(rows in prop::collection::vec(row(), 0..12), tools in any::<bool>()) {
        with_paused_time(async {
            let world = World::new([]).answering_afterwards("well");
            let world = if tools { world.with_tool("t", true) } else { world };
            world.remember(&rows).await;
            ask(&world, 1).await;
        });
    }
}
