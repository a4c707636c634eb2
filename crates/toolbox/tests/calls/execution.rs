//! The rules for executing a call.

use mcp::{Content, FailureKind, InputNeeded, Map};
use serde_json::{Value, json};
use toolbox::{
    Annotations, Approval, AuditCode, AuditEntry, CallFailure,
    Effect::{Allow, Ask, Deny},
    Execution, KnownTool, Outcome, Started,
    content::MAX_RESULT_CHARS,
    execution::{CALL_LIMIT, MAX_OUTCOME_BYTES},
    text_for_model,
};

use crate::{
    raw, tool,
    world::{Scripted, StoreFailed, Tools, answer, world},
};

fn send() -> KnownTool {
    let schema = json!({"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]});
    KnownTool { input_schema: raw(&schema), title: Some("Send mail".to_owned()), ..tool("mail", "send") }
}

fn read() -> KnownTool {
    KnownTool { annotations: Annotations { read_only: true, ..Annotations::default() }, ..tool("mail", "read") }
}

const TO: &str = r#"{"to": "a@example.org"}"#;

fn allowed() -> Scripted {
    Scripted { installation: vec![("*:*", Allow)], ..world() }
}

/// The failure's message. Also checks that it is an error, that it was audited under this code, and that nothing was called.
fn refused(world: &Scripted, tool: &KnownTool, arguments: &str, code: AuditCode) -> String {
    let (words, found, is_error) = world.words(tool, arguments);
    assert_eq!((found, is_error, world.codes()), (code, true, vec![code]), "{words}");
    assert!(!world.steps().contains(&"call"));
    words
}

#[test]
fn a_call_goes_its_way() {
    let world = allowed();
    assert_eq!(world.words(&send(), TO), ("done".to_owned(), AuditCode::Ok, false));
    assert_eq!(world.steps(), ["permission", "rate", "start", "call", "audit"]);
    let entry = AuditEntry { server: Some("mail".to_owned()), tool: "send".to_owned(), code: AuditCode::Ok };
    assert_eq!(world.audited.take(), [entry]);
    assert_eq!(world.called_with.take(), [TO]);
}

#[test]
fn what_is_called_is_what_the_model_wrote_byte_for_byte() {
    let world = allowed();
    let written = r#"{"n": 12345678901234567890123, "price": 10.10,  "z": 1, "a": "\u00e9"}"#;
    assert_eq!(world.words(&tool("s", "t"), &format!(" {written}\n")).1, AuditCode::Ok);
    assert_eq!(world.words(&tool("s", "t"), "").1, AuditCode::Ok);
    assert_eq!(world.called_with.take(), [written, "{}"]);
}

#[test]
fn a_tool_nobody_has_is_audited_too() {
    let world = allowed();
    let Ok(Execution::Result { outcome, code }) = world.try_execute(&send(), &"x".repeat(500), "") else { panic!() };
    assert!(outcome.is_error && text_for_model(&outcome).starts_with("There is no tool named xxx"));
    assert_eq!(code, AuditCode::UnknownTool);
    let entry = world.audited.take().remove(0);
    assert_eq!((entry.server, entry.tool.chars().count(), entry.code), (None, 192, AuditCode::UnknownTool));
}

#[test]
fn arguments_that_do_not_fit_are_said_before_anybody_is_asked() {
    let world = world();
    let words = refused(&world, &send(), r#"{"to": 1}"#, AuditCode::InvalidArguments);
    assert_eq!(
        words,
        "The arguments for Send mail are not valid, so it was not called:\n/to: must be a string, not a number"
    );
    assert!(!world.steps().contains(&"permission"));
}

#[test]
fn what_is_denied_is_not_called_even_if_it_was_approved() {
    for approval in [Approval::None, Approval::Allowed] {
        let world = Scripted { user: vec![("mail:*", Deny)], approval, ..allowed() };
        let words = refused(&world, &send(), TO, AuditCode::Denied);
        assert_eq!(words, "Send mail is not allowed here. It was not called.");
    }
}

#[test]
fn what_the_persons_role_does_not_allow_is_not_called_whatever_policies_and_approvals_say() {
    for approval in [Approval::None, Approval::Allowed] {
        let world = Scripted { role: "none", user: vec![("mail:send", Allow)], approval, ..allowed() };
        let words = refused(&world, &send(), TO, AuditCode::NotPermitted);
        assert!(words.contains("tools:call:mail:send") && words.contains("Send mail"), "{words}");
    }
}

#[test]
fn what_the_conversation_does_not_use_is_not_called_whatever_was_allowed() {
    for approval in [Approval::None, Approval::Allowed] {
        let world = Scripted { chosen: Some("mail:read"), user: vec![("mail:send", Allow)], approval, ..allowed() };
        let words = refused(&world, &send(), TO, AuditCode::NotChosen);
        assert!(words.contains("does not use Send mail"), "{words}");
    }
    let world = Scripted { chosen: Some("mail:*"), user: vec![("mail:*", Deny)], ..allowed() };
    refused(&world, &send(), TO, AuditCode::Denied);
}

#[test]
fn a_person_is_asked_and_the_call_waits() {
    let world = world();
    let needed = Execution::ApprovalNeeded {
        server: "mail".to_owned(),
        title: "Send mail".to_owned(),
        always_asks: false,
        may_disclose: false,
        expires_at_ms: 1_000,
    };
    assert_eq!(world.execute(&send(), TO), needed);
    assert_eq!((world.codes(), world.steps()), (vec![AuditCode::ApprovalAsked], vec!["permission", "ask", "audit"]));
}

#[test]
fn nobody_is_asked_about_what_is_not_set_up() {
    let world = Scripted { missing: Some("enter a password first"), ..world() };
    let words = refused(&world, &send(), TO, AuditCode::NotConfigured);
    assert!(words.contains("enter a password first"), "{words}");
    assert!(!world.steps().contains(&"ask"));
}

#[test]
fn who_was_asked_is_not_asked_again() {
    let world = Scripted { approval: Approval::Pending { expires_at_ms: 77 }, ..world() };
    assert!(matches!(world.execute(&send(), TO), Execution::ApprovalNeeded { expires_at_ms: 77, .. }));
    assert_eq!(world.steps(), ["permission"]);
}

#[test]
fn an_approved_call_is_made() {
    let world = Scripted { approval: Approval::Allowed, ..world() };
    assert_eq!(world.words(&send(), TO), ("done".to_owned(), AuditCode::Ok, false));
}

#[test]
fn a_declined_call_is_not_made_whatever_is_allowed_since() {
    for installation in [vec![], vec![("*:*", Allow)]] {
        let world = Scripted { approval: Approval::Denied, installation, ..world() };
        let words = refused(&world, &send(), TO, AuditCode::Declined);
        assert!(words.starts_with("The person declined this call of Send mail."), "{words}");
    }
}

#[test]
fn a_question_nobody_answered_ends_the_call() {
    let world = Scripted { approval: Approval::Expired, ..world() };
    let words = refused(&world, &send(), TO, AuditCode::Expired);
    assert_eq!(words, "Nobody approved this call of Send mail in time. It was not made.");
}

#[test]
fn what_a_client_changes_is_in_the_audit_before_it_can_leave() {
    let world = Scripted { can_ask: false, ..allowed() };
    world.execute(&send(), TO);
    assert_eq!(world.codes(), [AuditCode::Begun, AuditCode::Ok]);
    assert!(world.steps().ends_with(&["audit", "call", "audit"]), "{:?}", world.steps());
    let reading = Scripted { can_ask: false, ..allowed() };
    reading.execute(&read(), "{}");
    assert_eq!(reading.codes(), [AuditCode::Ok]);
}

#[test]
fn a_client_that_cannot_wait_is_told_what_to_allow() {
    let world = Scripted { can_ask: false, user: vec![("mail:*", Ask)], ..world() };
    let words = refused(&world, &send(), TO, AuditCode::CannotAsk);
    assert!(words.contains("set the tool policy mail:send to allow"), "{words}");
    let world = Scripted { can_ask: false, ..allowed() };
    let always = KnownTool { always_asks: true, ..send() };
    let words = refused(&world, &always, TO, AuditCode::CannotAsk);
    assert!(words.contains("every time") && words.contains("in the chat"), "{words}");
}

#[test]
fn a_run_that_nobody_attends_asks_nobody_and_needs_no_approval_for_what_is_allowed() {
    let world = Scripted { unattended: true, user: vec![("mail:*", Ask)], ..world() };
    let words = refused(&world, &send(), TO, AuditCode::CannotAsk);
    assert!(words.contains("set the tool policy mail:send to allow"), "{words}");
    let steps = world.steps();
    assert!(!steps.contains(&"ask_approval") && !steps.contains(&"call"), "{steps:?}");
    let world = Scripted { unattended: true, ..allowed() };
    world.execute(&send(), TO);
    assert_eq!(world.codes(), [AuditCode::Ok]);
}

#[test]
fn too_many_calls_are_told_when_to_come_again() {
    let world = Scripted { rate: Err(1_200), ..allowed() };
    let words = refused(&world, &send(), TO, AuditCode::TooMany);
    assert_eq!(words, "There were too many tool calls, so Send mail was not called. Try again in 2 s.");
    assert!(!world.steps().contains(&"start"));
}

#[test]
fn a_call_begun_before_is_made_again_only_if_that_does_no_harm() {
    let world = Scripted { started: Started::Again, ..allowed() };
    let words = refused(&world, &send(), TO, AuditCode::NotRepeated);
    assert!(words.contains("It is unknown whether it took effect"), "{words}");
    let idempotent =
        KnownTool { annotations: Annotations { idempotent: true, ..Annotations::default() }, ..tool("mail", "file") };
    for tool in [idempotent, read()] {
        let world = Scripted { started: Started::Again, ..allowed() };
        assert_eq!(world.words(&tool, "").1, AuditCode::Ok);
    }
}

#[test]
fn nobody_is_told_that_a_call_was_not_made_when_it_was_begun() {
    let against = || {
        [
            Scripted { begun: true, rate: Err(1_000), ..allowed() },
            Scripted { begun: true, installation: vec![("*:*", Deny)], ..world() },
        ]
    };
    for world in against() {
        refused(&world, &send(), TO, AuditCode::NotRepeated);
        assert_eq!(world.words(&tool("mail", "gone"), "no json").1, AuditCode::NotRepeated);
    }
    let again = Scripted { begun: true, rate: Err(1_000), started: Started::Again, ..allowed() };
    assert_eq!(again.words(&read(), "").1, AuditCode::Ok, "what was begun has been counted");
}

#[test]
fn what_a_server_elsewhere_says_of_its_tool_is_only_said() {
    let annotations = Annotations { read_only: true, idempotent: true, ..Annotations::default() };
    let tool = KnownTool { annotations, remote: true, ..tool("mail", "file") };
    let world = Scripted { started: Started::Again, ..allowed() };
    assert_eq!(world.words(&tool, "").1, AuditCode::NotRepeated);
}

#[test]
fn a_persons_yes_is_not_lost_to_a_limit() {
    let world = Scripted { approval: Approval::Allowed, rate: Err(1_000), ..world() };
    assert_eq!(world.words(&send(), TO).1, AuditCode::Ok);
}

#[test]
fn who_lost_the_lease_calls_nothing() {
    let world = Scripted { started: Started::LeaseLost, ..allowed() };
    assert_eq!(world.execute(&send(), TO), Execution::LeaseLost);
    assert_eq!((world.steps(), world.codes()), (vec!["permission", "rate", "start"], vec![]));
    let world = Scripted { installation: vec![], ..world };
    assert_eq!(world.execute(&send(), TO), Execution::LeaseLost, "nor asks anybody");
    assert_eq!((world.steps(), world.codes()), (vec!["permission", "ask"], vec![]));
}

#[test]
fn results_are_kept_for_tools_that_read_and_say_so() {
    let tool = KnownTool { result_ttl_ms: Some(60_000), ..read() };
    let world = allowed();
    assert_eq!(world.words(&tool, r#"{"a": 1, "b": 2}"#).1, AuditCode::Ok);
    assert_eq!(world.steps(), ["permission", "rate", "cached", "start", "call", "cache", "audit"]);
    assert_eq!(world.words(&tool, r#"{"b":2.0,"a":1}"#), ("done".to_owned(), AuditCode::Cached, false));
    assert_eq!(world.steps(), ["permission", "rate", "cached", "audit"]);
    assert_eq!(world.words(&tool, r#"{"a": 1}"#).1, AuditCode::Ok, "other arguments");
}

#[test]
fn results_of_other_tools_and_failures_are_not_kept() {
    let writes = KnownTool { result_ttl_ms: Some(60_000), ..send() };
    let silent = read();
    for (tool, arguments) in [(writes, TO), (silent, "")] {
        let world = allowed();
        world.execute(&tool, arguments);
        assert!(!world.steps().contains(&"cache"), "{}", tool.name);
    }
    let failed = Outcome::error("no");
    let world = Scripted { tools: Tools::Answer(failed), ..allowed() };
    let tool = KnownTool { result_ttl_ms: Some(60_000), ..read() };
    assert_eq!(world.words(&tool, ""), ("no".to_owned(), AuditCode::ToolError, true));
    assert!(!world.steps().contains(&"cache"));
}

#[test]
fn a_failure_that_a_tool_tells_the_kind_of_is_recorded_as_that() {
    for (kind, code) in [
        (FailureKind::InvalidArguments, AuditCode::RefusedArguments),
        (FailureKind::NotConfigured, AuditCode::NotConfigured),
        (FailureKind::UpstreamFailed, AuditCode::UpstreamFailed),
        (FailureKind::TimedOut, AuditCode::TimedOut),
        (FailureKind::TooLarge, AuditCode::TooLarge),
    ] {
        let world = Scripted { tools: Tools::Say(kind), ..allowed() };
        assert_eq!(world.words(&read(), ""), ("no".to_owned(), code, true), "the words stay the tool's");
        assert_eq!(world.codes(), [code]);
    }
}

#[test]
fn a_denied_tool_gives_nothing_from_the_cache() {
    let tool = KnownTool { result_ttl_ms: Some(60_000), ..read() };
    let mut world = allowed();
    world.execute(&tool, "");
    world.user = vec![("mail:*", Deny)];
    assert_eq!(world.words(&tool, "").1, AuditCode::Denied);
}

#[test]
fn a_tool_that_hangs_is_given_up() {
    let world = Scripted { tools: Tools::Hang, ..allowed() };
    let (words, code, is_error) = world.words(&send(), TO);
    assert_eq!((code, is_error, world.slept.get()), (AuditCode::TimedOut, true, CALL_LIMIT));
    assert_eq!(words, "Send mail: it took longer than 55 s and was given up; whether it took effect is not known.");
    let world = Scripted { tools: Tools::Hang, ..allowed() };
    assert_eq!(
        world.words(&read(), "").0,
        "read: it took longer than 55 s and was given up. It only reads, so it can be called again."
    );
}

#[test]
fn a_result_that_is_too_large_is_not_taken() {
    let large = || Scripted { tools: Tools::Answer(answer(&"x".repeat(MAX_OUTCOME_BYTES))), ..allowed() };
    assert_eq!(large().words(&send(), TO).1, AuditCode::TooLarge);
    assert_eq!(large().words(&read(), "").0, "read: its answer is too large; ask for less.");
}

fn crash(seconds: u64) -> CallFailure {
    CallFailure::Crashed { component: "mcp-mail".to_owned(), seconds }
}

#[test]
fn a_tool_that_only_reads_is_not_said_to_have_taken_effect_when_it_crashes() {
    let world = Scripted { tools: Tools::Fail(crash(30)), ..allowed() };
    let (words, ..) = world.words(&read(), "");
    let why = "its component, mcp-mail, ended after 30 s while it worked. It only reads";
    assert!(words.contains(why) && !words.contains("effect"), "{words}");
}

#[test]
fn every_failure_of_a_call_is_a_result_with_words_and_a_code() {
    let failures = [
        (CallFailure::Unknown, "Send mail: its server no longer has it.", AuditCode::GoneTool),
        (
            CallFailure::InvalidArguments("no such box".to_owned()),
            "Send mail: its server does not take these arguments: no such box.",
            AuditCode::RefusedArguments,
        ),
        (
            CallFailure::NotConfigured("no account".to_owned()),
            "Send mail: it is not set up here: no account.",
            AuditCode::NotConfigured,
        ),
        (CallFailure::Upstream("HTTP 500".to_owned()), "Send mail: it failed: HTTP 500.", AuditCode::UpstreamFailed),
        (
            CallFailure::TimedOut,
            "Send mail: it took longer than 55 s and was given up; whether it took effect is not known.",
            AuditCode::TimedOut,
        ),
        (
            crash(1),
            "Send mail: its component, mcp-mail, ended after 1 s while it worked; whether it took effect is not known. \
             The log of the component names the reason.",
            AuditCode::UpstreamFailed,
        ),
        (
            CallFailure::NotInstalled { component: "mcp-mail".to_owned() },
            "Send mail: it is not part of this installation: spin.toml has no component mcp-mail.",
            AuditCode::Unreachable,
        ),
        (
            CallFailure::TooLarge,
            "Send mail: its answer is too large; whether it took effect is not known.",
            AuditCode::TooLarge,
        ),
        (
            CallFailure::Unreachable("connection refused".to_owned()),
            "Send mail: its server cannot be reached: connection refused.",
            AuditCode::Unreachable,
        ),
    ];
    for (failure, words, code) in failures {
        let world = Scripted { tools: Tools::Fail(failure), ..allowed() };
        assert_eq!(world.words(&send(), TO), (words.to_owned(), code, true));
        assert_eq!(world.codes(), [code]);
    }
    let long = CallFailure::Upstream("x".repeat(1_000_000));
    let world = Scripted { tools: Tools::Fail(long), ..allowed() };
    assert!(world.words(&send(), TO).0.len() < 3_000, "somebody else's words are cut");
}

#[test]
fn an_audit_that_fails_does_not_lose_the_result() {
    let world = Scripted { audit_fails: true, ..allowed() };
    assert_eq!(world.words(&send(), TO), ("done".to_owned(), AuditCode::Ok, false));
}

#[test]
fn nothing_is_called_when_the_store_fails() {
    let world = Scripted { permission_fails: true, ..allowed() };
    assert_eq!(world.try_execute(&send(), "mail_send", TO), Err(StoreFailed));
    assert_eq!(world.steps(), ["permission"]);
}

#[test]
fn a_result_of_another_form_than_was_announced_is_given_and_it_is_said() {
    let schema = json!({"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]});
    let listed = KnownTool { output_schema: Some(raw(&schema)), ..tool("remote", "count") };
    let told = |content: Vec<Content>, structured: Value| {
        let outcome = Outcome { content, structured: Some(structured), is_error: false };
        let world = Scripted { tools: Tools::Answer(outcome), installation: vec![("*:*", Allow)], ..world() };
        world.words(&listed, "{}")
    };
    let note = "the tool's answer does not fit the tool's output schema";
    for (content, structured, said) in [
        (vec![Content::text("three")], json!({"count": "three"}), "three"),
        (vec![], json!({"count": "three"}), "{\"count\":\"three\"}"),
        (vec![], json!({}), "{}"),
        (vec![], json!([1]), "[1]"),
    ] {
        let (words, code, is_error) = told(content, structured);
        assert!(words.starts_with(said) && words.contains(note), "{words}");
        assert_eq!((code, is_error), (AuditCode::Ok, false));
    }
    assert_eq!(told(vec![Content::text("3")], json!({"count": 3})).0, "3");
    let long = told(vec![], json!({"x".repeat(200_000): 1}));
    assert!(long.0.contains(note) && long.0.chars().count() <= MAX_RESULT_CHARS, "{}", long.0.len());
    let odd = KnownTool { output_schema: Some(raw(&json!({"$ref": "#/nowhere"}))), ..listed.clone() };
    let outcome = Outcome { content: vec![], structured: Some(json!({"count": 3})), is_error: false };
    let world = Scripted { tools: Tools::Answer(outcome), installation: vec![("*:*", Allow)], ..world() };
    assert_eq!(world.words(&odd, "{}").0, "{\"count\":3}", "what cannot be compared is not");
}

#[test]
fn a_result_is_right_by_what_a_schema_plainly_stands_for() {
    for (property, value, is_right) in [
        (json!({"type": "string", "nullable": true}), json!(null), true),
        (json!({"type": "string", "nullable": true}), json!(1), false),
        (json!({"type": "float"}), json!(1.5), true),
        (json!({"type": "float"}), json!("x"), false),
        (json!({"type": "list", "items": {"type": "str"}}), json!(["x"]), true),
    ] {
        let schema = json!({"type": "object", "properties": {"it": property, "other": {"required": true}}});
        let listed = KnownTool { output_schema: Some(raw(&schema)), ..tool("remote", "count") };
        let outcome = Outcome { content: vec![], structured: Some(json!({"it": value, "other": 1})), is_error: false };
        let world = Scripted { tools: Tools::Answer(outcome), installation: vec![("*:*", Allow)], ..world() };
        let words = world.words(&listed, "{}").0;
        assert_eq!(!words.contains("does not fit the tool's output schema"), is_right, "{words}");
    }
}

#[test]
fn a_question_is_for_a_client_that_can_be_asked_and_words_for_everybody_else() {
    let request = json!({ "method": "elicitation/create", "params": { "message": "Which account?" } });
    let needed = InputNeeded { requests: Map::from_iter([("account".to_owned(), request)]), state: None };
    let asks = |can_ask| {
        let tools = Tools::Fail(CallFailure::InputNeeded(needed.clone()));
        Scripted { tools, can_ask, ..allowed() }
    };
    assert_eq!(asks(false).execute(&send(), TO), Execution::InputNeeded(needed.clone()));
    let elsewhere = KnownTool { remote: true, ..send() };
    for (world, tool, why) in [
        (asks(true), &send(), "a run waits for nobody's answer"),
        (asks(false), &elsewhere, "nobody is asked in the name of a server elsewhere"),
    ] {
        let (words, code, is_error) = world.words(tool, TO);
        assert_eq!((code, is_error), (AuditCode::InputAsked, true), "{why}");
        assert!(words.contains("Which account?"), "{why}: {words}");
    }
}
