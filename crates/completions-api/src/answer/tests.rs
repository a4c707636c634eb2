//! The answer in its form, of the events of a run.

use domain::{Timestamp, event::Event};

use super::*;

/// A run whose events are written as its readers get them.
#[derive(Default)]
struct Run {
    id: u64,
    frames: String,
}

impl Run {
    fn with(mut self, event: &Event<'_>) -> Self {
        event.write(&mut self.id, "r", Timestamp::from_millis(0), &mut self.frames);
        self
    }

    fn says(self, content: &str) -> Self {
        self.with(&Event::Token { content, token_count: 1 })
    }

    fn calls(self) -> Self {
        let request = Event::ToolRequest { name: "clock_now", title: None, call_id: "c", arguments: "{}" };
        let result =
            Event::ToolResult { content: "noon", call_id: "c", name: "clock_now", is_error: false, duration_ms: 1 };
        self.with(&request).with(&result)
    }

    fn ends(self, finish_reason: &str) -> String {
        let usage = Some(Usage { prompt_tokens: 9, completion_tokens: 4, total_tokens: 13 });
        let end = Event::Complete { finish_reason, usage, message_id: None, attempt: 1, answered: None };
        self.with(&end).frames
    }

    fn fails(self) -> String {
        self.with(&Event::Error { message: "Nothing is left.", code: "budget", retryable: false }).frames
    }
}

fn answer() -> Answer {
    Answer::new("chatcmpl-1".into(), "assistant:A".into(), 7)
}

/// What a stream has of these frames.
fn fed(answer: &mut Answer, frames: &str) -> String {
    answer.feed(frames);
    answer.take()
}

/// The data of a stream's events, and its comments.
fn events(stream: &str) -> Vec<Value> {
    let data = stream.split_terminator("\n\n").map(|event| event.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data.unwrap_or("\"comment\"")).unwrap_or(Value::Null)).collect()
}

fn content(events: &[Value]) -> String {
    events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect()
}

#[test]
fn a_stream_begins_with_the_role_and_ends_with_the_reason_the_tokens_and_done() {
    let mut answer = answer().streamed(true);
    let begun = events(&answer.beginning());
    let delta = json!({"role": "assistant", "content": ""});
    let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": null});
    let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "assistant:A",
        "choices": [choice], "usage": null});
    assert_eq!(begun, [chunk]);
    let first = events(&fed(&mut answer, &Run::default().says("Hel").frames));
    assert_eq!(first[0]["choices"][0]["delta"], json!({"content": "Hel"}));
    let said = events(&fed(&mut answer, &Run::default().says("lo").ends("stop")));
    let [second, last, report, done] = said.as_slice() else { panic!("{said:?}") };
    assert_eq!(second["choices"][0]["delta"], json!({"content": "lo"}));
    assert_eq!(last["choices"][0], json!({"index": 0, "delta": {}, "logprobs": null, "finish_reason": "stop"}));
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13});
    assert_eq!((&report["choices"], &report["usage"], done), (&json!([]), &usage, &Value::Null));
    assert_eq!(answer.ending(), Some(&Ending::Complete));
}

#[test]
fn tokens_are_reported_only_if_that_is_wanted() {
    let said = events(&fed(&mut answer().streamed(false), &Run::default().says("hi").ends("length")));
    let [word, last, done] = said.as_slice() else { panic!("{said:?}") };
    assert_eq!((word.get("usage"), &last["choices"][0]["finish_reason"]), (None, &json!("length")));
    assert_eq!(done, &Value::Null);
}

#[test]
fn a_whole_answer_is_one_object() {
    let mut answer = answer();
    assert_eq!(fed(&mut answer, &Run::default().says("Hel").says("lo").ends("stop")), "");
    let message = json!({"role": "assistant", "content": "Hello", "refusal": null});
    let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"});
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13});
    let whole = json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "assistant:A",
        "choices": [choice], "usage": usage});
    assert_eq!(answer.whole().unwrap(), whole);
}

#[test]
fn what_is_said_around_calls_is_one_answer_and_calls_are_not_told() {
    let run = || Run::default().says("Let me look.").calls().calls().says("Noon").says(".").ends("stop");
    let mut whole = answer();
    whole.feed(&run());
    assert_eq!(whole.whole().unwrap()["choices"][0]["message"]["content"], "Let me look.\n\nNoon.");
    let mut stream = answer().streamed(false);
    let said = fed(&mut stream, &run());
    assert_eq!(content(&events(&said)), "Let me look.\n\nNoon.");
    assert!(!said.contains("clock"), "{said}");
    let silent = events(&fed(&mut answer().streamed(false), &Run::default().calls().says("Noon.").ends("stop")));
    assert_eq!(content(&silent), "Noon.", "nothing stands before the first word");
}

#[test]
fn of_an_answer_in_a_form_only_the_last_word_counts() {
    let run = || Run::default().says("Let me look.").calls().says("{\"a\"").says(":1}").ends("stop");
    let mut whole = answer().in_a_form();
    whole.feed(&run());
    assert_eq!(whole.whole().unwrap()["choices"][0]["message"]["content"], "{\"a\":1}");
    let said = events(&fed(&mut answer().streamed(false).in_a_form(), &run()));
    assert_eq!((said.len(), content(&said)), (3, "{\"a\":1}".to_owned()));
}

#[test]
fn a_failure_is_an_error_in_the_place_of_the_end() {
    let mut stream = answer().streamed(true);
    let said = events(&fed(&mut stream, &Run::default().says("half").fails()));
    let error = json!({"message": "Nothing is left.", "type": "server_error", "param": null, "code": "budget"});
    assert_eq!(said[1..], [json!({ "error": error })], "and no [DONE]");
    let failure = Failure { code: "budget".into(), message: "Nothing is left.".into() };
    assert_eq!(stream.ending(), Some(&Ending::Failed(failure.clone())));
    stream.break_off("late", "too late");
    assert_eq!((stream.has_more(), stream.take()), (false, String::new()), "it has ended already");
    let mut whole = answer();
    whole.feed(&Run::default().fails());
    assert_eq!(whole.whole(), Err(failure));
    assert!(answer().whole().is_err(), "it has no end yet");
    let mut stopped = answer();
    stopped.feed(&Run::default().says("half").ends("cancelled"));
    assert!(matches!(stopped.ending(), Some(Ending::Failed(Failure { code, .. })) if code == "cancelled"));
    let mut gone = answer().streamed(false);
    gone.break_off("gone", "It is gone.");
    assert!(gone.take().contains("It is gone."));
}

#[test]
fn an_answer_that_is_begun_anew_replaces_what_was_not_sent_and_ends_what_was() {
    let run = || Run::default().says("Look.").calls().says("ol").with(&Event::Restarted).says("new").ends("stop");
    let mut whole = answer();
    whole.feed(&run());
    assert_eq!(whole.whole().unwrap()["choices"][0]["message"]["content"], "Look.\n\nnew");
    let mut stream = answer().streamed(false);
    let said = events(&fed(&mut stream, &run()));
    assert_eq!(said.last().unwrap()["error"]["code"], "answer_restarted");
    // Nothing of the round had been said.
    let early = Run::default().says("Look.").calls().with(&Event::Restarted).says("new").ends("stop");
    assert_eq!(content(&events(&fed(&mut answer().streamed(false), &early))), "Look.\n\nnew");
    let first = Run::default().with(&Event::Restarted).says("new").ends("stop");
    assert_eq!(content(&events(&fed(&mut answer().streamed(false), &first))), "new");
}

#[test]
fn a_stream_over_which_no_text_comes_is_kept_open() {
    let mut stream = answer().streamed(false);
    let thinks = Run::default().with(&Event::Thinking { content: "hm" }).frames;
    assert_eq!(fed(&mut stream, ": still here\n\n"), ":\n\n", "the run's own comment");
    let comments = (0..100).filter(|_| fed(&mut stream, &thinks) == ":\n\n").count();
    assert!((2..10).contains(&comments), "{comments}: now and then, not for each");
    stream.feed(&Run::default().ends("stop"));
    let _ = stream.take();
    assert_eq!(fed(&mut stream, ": still here\n\n"), "", "nothing comes after the end");
    assert_eq!(fed(&mut answer(), &thinks), "", "what is whole is silent until its end");
}

#[test]
fn who_reads_slowly_gets_as_much_in_fewer_chunks() {
    let mut stream = answer().streamed(false);
    stream.feed(&Run::default().says("Look.").frames);
    stream.feed(": still here\n\n");
    stream.feed(&Run::default().calls().says("é").frames);
    let said = events(&stream.take());
    assert_eq!((said.len(), content(&said)), (1, "Look.\n\né".to_owned()));
    // What was taken is no longer there to be begun anew.
    stream.feed(&Run::default().says("éé").calls().with(&Event::Restarted).says("!").ends("stop"));
    assert_eq!(content(&events(&stream.take())), "éé\n\n!");
}
