//! Frames as they are written and read.

use proptest::prelude::*;
use serde::Serialize;

use super::*;

const RUN_ID: &str = "01990000-0000-7000-8000-000000000000";

fn log(pieces: &[String]) -> String {
    let (mut id, mut frames) = (0, String::new());
    for (index, content) in pieces.iter().enumerate() {
        let token_count = index as u64 + 1;
        Event::Token { content, token_count }.write(&mut id, RUN_ID, Timestamp::from_millis(0), &mut frames);
    }
    frames
}

fn said(frames_text: &str) -> String {
    frames(frames_text).map(|frame| frame.content()).collect()
}

#[test]
fn a_token_has_the_documented_form() {
    let (mut id, mut out) = (4, String::new());
    Event::Token { content: "Hé\n", token_count: 2 }.write(
        &mut id,
        RUN_ID,
        Timestamp::from_millis(1_767_225_600_000),
        &mut out,
    );
    assert_eq!(
        out,
        format!(
            "id: 7\nevent: token\ndata: {{\"type\":\"token\",\"content\":\"Hé\\n\",\"metadata\":{{\"token_count\":2,\
             \"run_id\":\"{RUN_ID}\",\"timestamp\":\"2026-01-01T00:00:00.000Z\"}}}}\n\n"
        )
    );
}

#[test]
fn what_is_not_logged_has_no_id() {
    let (mut id, mut out) = (4, String::new());
    Event::Retrying { attempt: 2, retry_after_ms: 1500 }.write(&mut id, RUN_ID, Timestamp::from_millis(0), &mut out);
    assert_eq!(id, 4);
    assert!(out.starts_with("event: state\n"), "{out}");
    assert_eq!(frames(&out).count(), 0);
}

#[test]
fn progress_starts_anew_after_a_tool_event() {
    let (mut id, mut out) = (0, String::new());
    let at = Timestamp::from_millis(0);
    Event::Thinking { content: "hm" }.write(&mut id, RUN_ID, at, &mut out);
    Event::Token { content: "a", token_count: 1 }.write(&mut id, RUN_ID, at, &mut out);
    Event::ToolRequest { name: "t", title: None, call_id: "c", arguments: "" }.write(&mut id, RUN_ID, at, &mut out);
    Event::Token { content: "b", token_count: 2 }.write(&mut id, RUN_ID, at, &mut out);
    let mut progress = Progress::default();
    progress.read(&out);
    assert_eq!(progress, Progress { last_id: 5, token_count: 2, text: "b".into(), ..Progress::default() });
}

#[test]
fn what_was_said_still_holds_after_a_request_was_shortened_and_not_after_a_restart() {
    let at = Timestamp::from_millis(0);
    let read = |events: &[Event<'_>]| {
        let (mut id, mut out, mut progress) = (0, String::new(), Progress::default());
        events.iter().for_each(|event| event.write(&mut id, RUN_ID, at, &mut out));
        progress.read(&out);
        progress.text
    };
    let said = Event::Token { content: "a", token_count: 1 };
    assert_eq!(read(&[said.clone(), Event::Shortened { message: "m" }]), "a");
    assert_eq!(read(&[said, Event::Restarted]), "");
}

#[test]
fn a_question_for_approval_is_logged_and_its_call_remembered() {
    let (mut id, mut out) = (4, String::new());
    Event::ToolApproval {
        name: "mail_send",
        call_id: "c1",
        server: "mail",
        title: "Send mail",
        arguments: r#"{"to":"a@example.org","sum":10.10}"#,
        always_asks: false,
        may_disclose: true,
        expires_at: Timestamp::from_millis(1_767_225_600_000),
    }
    .write(&mut id, RUN_ID, Timestamp::from_millis(0), &mut out);
    let frame = frames(&out).next().unwrap();
    assert!(frame.data.contains("\"sum\":10.10}"), "as it is written: {}", frame.data);
    assert_eq!((frame.id, frame.event, frame.content().as_str()), (5, "tool_approval", "mail_send"));
    let data: Value = serde_json::from_str(frame.data).unwrap();
    assert_eq!(
        data["metadata"],
        serde_json::json!({
            "call_id": "c1", "name": "mail_send", "server": "mail", "title": "Send mail", "arguments": {"to": "a@example.org", "sum": 10.1},
            "expires_at": "2026-01-01T00:00:00.000Z", "always_asks": false, "may_disclose": true, "run_id": RUN_ID, "timestamp": "1970-01-01T00:00:00.000Z",
        })
    );
    let mut progress = Progress { text: "before".into(), last_id: 4, ..Progress::default() };
    progress.read(&out);
    assert_eq!(progress, Progress { last_id: 5, approvals_asked: vec!["c1".into()], ..Progress::default() });
}

#[test]
fn arguments_are_told_in_the_letters_of_the_model() {
    let told = |arguments: &str| {
        let (mut id, mut out) = (0, String::new());
        Event::ToolRequest { name: "t", title: None, call_id: "c", arguments }.write(
            &mut id,
            RUN_ID,
            Timestamp::from_millis(0),
            &mut out,
        );
        let data = frames(&out).next().unwrap().data.to_owned();
        let (_, rest) = data.split_once("\"arguments\":").unwrap();
        rest.split_once(",\"run_id\"").unwrap().0.to_owned()
    };
    for written in
        [r#"{"n": 12345678901234567890123.10, "n":1.0e2}"#, r#"{"s":"\u0041\ud83d\n","deep":{"a":[1.50,-0]}}"#, "{}"]
    {
        assert_eq!(told(written), written);
    }
    assert_eq!(told(" {\n\"a\":\r\n 1}\n"), r#"{ "a":   1}"#);
    assert_eq!(told(" "), "{}");
    for none in [r#"{"a": "#, "[1]", "12", "{}{}", "{\"a\":\"\n\"}"] {
        assert_eq!(told(none), serde_json::to_string(none).unwrap());
    }
}

/// Names each kind of event once, so that the examples cannot lack a new kind.
macro_rules! kinds {
    ($($kind:ident),+ $(,)?) => {
        const KINDS: &[&str] = &[$(stringify!($kind)),+];

        fn kind_of(event: &Event<'_>) -> &'static str {
            match event {
                $(Event::$kind { .. } => stringify!($kind),)+
            }
        }
    };
}

kinds!(
    Token,
    Thinking,
    ToolRequest,
    ToolApproval,
    ToolTask,
    ToolProgress,
    ToolResult,
    Error,
    Complete,
    Restarted,
    Shortened,
    Switched,
    Unkept,
    Processing,
    Retrying,
);

/// One event of each kind, with all its fields.
fn examples(cost: &Cost) -> Vec<Event<'_>> {
    let arguments = r#"{"to":"a@example.org","sum":10.10}"#;
    let usage = Usage { prompt_tokens: 12, completion_tokens: 3, total_tokens: 15 };
    vec![
        Event::Token { content: "Hé\n", token_count: 2 },
        Event::Thinking { content: "Hmm" },
        Event::ToolRequest { name: "mail_send", title: Some("Send mail"), call_id: "c1", arguments },
        Event::ToolApproval {
            name: "mail_send",
            call_id: "c1",
            server: "mail",
            title: "Send mail",
            arguments,
            always_asks: true,
            may_disclose: true,
            expires_at: Timestamp::from_millis(1_767_225_600_000),
        },
        Event::ToolTask {
            name: "mail_send",
            call_id: "c1",
            server: "mail",
            title: "Send mail",
            started_at: Timestamp::from_millis(1_767_225_600_000),
        },
        Event::ToolProgress { call_id: "c1", progress: Some(3.0), total: Some(8.0), message: "Looking for a route" },
        Event::ToolResult { content: "No route", call_id: "c1", name: "mail_send", is_error: true, duration_ms: 340 },
        Event::Error { message: "The model is away.", code: "model_unreachable", retryable: true },
        Event::Complete {
            finish_reason: "length",
            usage: Some(usage),
            message_id: Some(RUN_ID.parse().unwrap()),
            attempt: 1,
            answered: Some(Answered { model: "m", provider: "cloud", cost: Some(cost) }),
        },
        Event::Restarted,
        Event::Shortened { message: "Older messages were left out." },
        Event::Switched { message: "cloud does not answer. near answers instead.", provider: "near" },
        Event::Unkept { message: "The disk is full.", code: "unwritable" },
        Event::Processing,
        Event::Retrying { attempt: 2, retry_after_ms: 1500 },
    ]
}

/// An event of one kind as it is sent, in the form that the page's tests read.
#[derive(Serialize)]
struct Example {
    kind: &'static str,
    frame: String,
}

/// The page has its own types for events, and its tests read this file. This test fails if the file differs from the events that are sent.
#[test]
fn the_pages_tests_have_one_of_each_event_as_it_is_sent() {
    let mut id = 0;
    let cost = Cost { millionths: 1_234, currency: "EUR".to_owned() };
    let sent: Vec<Example> = examples(&cost)
        .iter()
        .map(|event| {
            let mut frame = String::new();
            event.write(&mut id, RUN_ID, Timestamp::from_millis(0), &mut frame);
            Example { kind: kind_of(event), frame }
        })
        .collect();
    assert_eq!(sent.iter().map(|example| example.kind).collect::<Vec<_>>(), KINDS);

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../static/test/events.json");
    let written = serde_json::to_string_pretty(&sent).unwrap() + "\n";
    if std::env::var_os("EA_RENEW").is_some() {
        std::fs::write(path, &written).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == written, "static/test/events.json is old: renew it with EA_RENEW=1 cargo test --package domain");
}

proptest! {
    /// Wherever a reader stopped, and however the text was cut, it gets the rest and nothing twice.
    #[test]
    fn a_reader_gets_exactly_what_it_has_not_seen(
        pieces in prop::collection::vec("\\PC{1,12}|[\\n\"\\\\é漢🦀]{1,4}", 1..12),
        seen in 0_usize..200,
    ) {
        let whole: String = pieces.concat();
        let seen = seen.min(whole.chars().count());
        let frames_text = log(&pieces);
        let rest = after(&frames_text, seen as u64);
        let expected: String = whole.chars().skip(seen).collect();
        prop_assert_eq!(said(&rest), expected);
        prop_assert!(frames(&rest).all(|frame| frame.id > seen as u64));
    }

    /// The log may be malformed.
    #[test]
    fn rubbish_is_passed_over(text in "\\PC{0,200}|(id: [0-9]{1,30}\n|event: token\n|data: .{0,9}\n|\n){0,20}", seen: u64) {
        let _ = after(&text, seen);
        let mut progress = Progress::default();
        progress.read(&text);
    }
}
