//! Responses that other servers than Cyrus may give: empty, too large, too late.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use http::Request;
use scripted_server::Asked;
use serde_json::{Value, json};
use upstream::{Http, Outcome, Unanswered};

use super::*;
use crate::{
    create_draft,
    create_draft::CreateDraft,
    email::Got,
    mark_mail,
    mark_mail::MarkMail,
    move_mail,
    move_mail::{MoveMail, Named},
    read_mail,
    read_mail::ReadMail,
    reply_to_mail,
    reply_to_mail::ReplyToMail,
    send_draft,
    send_draft::SendDraft,
    send_mail,
    send_mail::SendMail,
};

type Said = Vec<(&'static str, Value)>;

/// A server that follows a script, which maps a method and its arguments to named responses.
fn jmap(script: impl Fn(&str, &Value) -> Option<Said>) -> Scripted<impl Fn(&Asked) -> Outcome> {
    Scripted::new(move |asked: &Asked| {
        if asked.body.is_empty() {
            return Ok(answer(200, &[], session(true).to_string()));
        }
        let mut answers = Vec::new();
        for (method, arguments, id) in calls_in(asked) {
            let said = script(&method, &arguments).unwrap_or_else(|| usual(&method, &arguments));
            if said.iter().any(|(name, _)| *name == LATE) {
                return Err(Unanswered::TimedOut);
            }
            answers.extend(said.into_iter().map(|(name, value)| json!([name, value, id])));
        }
        Ok(answer(200, &[], json!({ "methodResponses": answers }).to_string()))
    })
}

/// The methods that a request calls, with their arguments and names.
fn calls_in(asked: &Asked) -> Vec<(String, Value, Value)> {
    if asked.body.is_empty() {
        return Vec::new();
    }
    let body: Value = serde_json::from_slice(&asked.body).unwrap();
    let calls = body["methodCalls"].as_array().unwrap().iter();
    calls.map(|call| (call[0].as_str().unwrap().to_owned(), call[1].clone(), call[2].clone())).collect()
}

/// All methods that were called, with their arguments.
fn calls(asked: &[Asked]) -> Vec<(String, Value)> {
    asked.iter().flat_map(calls_in).map(|(method, arguments, _)| (method, arguments)).collect()
}

/// The requested updates of mails.
fn updates(asked: &[Asked]) -> Vec<Value> {
    calls(asked).into_iter().filter_map(|(_, arguments)| arguments.get("update").cloned()).collect()
}

fn count(asked: &[Asked], method: &str) -> usize {
    calls(asked).iter().filter(|(name, _)| name == method).count()
}

/// In place of a response that does not come.
const LATE: &str = "late";

const SENDING: &str = "keywords/edge-assistant-sending";

fn session(can_submit: bool) -> Value {
    let mut capabilities = json!({ "urn:ietf:params:jmap:mail": {} });
    if can_submit {
        capabilities["urn:ietf:params:jmap:submission"] = json!({});
    }
    json!({
        "apiUrl": "/api",
        "capabilities": { "urn:ietf:params:jmap:mail": {}, "urn:ietf:params:jmap:submission": {} },
        "accounts": { "a": { "accountCapabilities": capabilities } },
        "primaryAccounts": { "urn:ietf:params:jmap:mail": "a" },
    })
}

/// The server's only draft.
fn draft() -> Value {
    json!({
        "id": "d",
        "keywords": { "$draft": true },
        "from": [{ "email": "ada@localhost" }],
        "to": [{ "email": "dan@ext.example" }],
        "subject": "Plan",
        "textBody": [{ "partId": "1", "type": "text/plain" }],
        "htmlBody": [{ "partId": "1", "type": "text/plain" }],
        "attachments": [],
        "bodyValues": { "1": { "value": "Let us." } },
    })
}

/// The responses of a working server.
fn usual(method: &str, arguments: &Value) -> Said {
    let answer = match method {
        "Mailbox/get" => {
            json!({ "list": [{ "id": "D", "name": "D", "role": "drafts" }, { "id": "S", "name": "S", "role": "sent" }] })
        }
        "Identity/get" => json!({ "list": [{ "id": "I", "email": "ada@localhost" }] }),
        "Email/get" if arguments["ids"] == json!(["d"]) => json!({ "state": "1", "list": [draft()] }),
        "Email/get" => json!({ "state": "1", "list": [] }),
        "Email/query" => json!({ "ids": [] }),
        "Email/set" if arguments.get("create").is_some() => json!({ "created": { "draft": { "id": "n" } } }),
        "Email/set" => {
            let ids = arguments["update"].as_object().unwrap().keys();
            json!({ "updated": ids.map(|id| (id.clone(), Value::Null)).collect::<serde_json::Map<_, _>>() })
        }
        "EmailSubmission/set" => json!({ "created": { "sending": { "id": "s" } } }),
        other => panic!("{other}"),
    };
    vec![(method_name(method), answer)]
}

fn method_name(method: &str) -> &'static str {
    let known = ["Mailbox/get", "Identity/get", "Email/get", "Email/query", "Email/set", "EmailSubmission/set"];
    known.into_iter().find(|known| *known == method).unwrap()
}

fn call() -> Context {
    let secret = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Context {
        id: "call".into(),
        preferences: Vec::new(),
        deadline: Duration::from_secs(50),
        secrets: vec![secret("url", "https://mail.example"), secret("password", "a token")],
    }
}

fn hello() -> SendMail {
    SendMail { to: vec!["dan@ext.example".into()], subject: "Hi".into(), body: "Hi.".into(), ..SendMail::default() }
}

fn of_draft() -> SendDraft {
    SendDraft {
        id: "d".into(),
        subject: "Plan".into(),
        to: vec!["dan@ext.example".into()],
        cc: Vec::new(),
        body: "Let us.".into(),
    }
}

const UNKNOWN: &str = "not known whether the mail was sent";

#[tokio::test]
async fn a_draft_that_cannot_be_marked_is_not_sent() {
    let refused = json!({ "notUpdated": { "d": { "type": "tooManyKeywords" } } });
    let error = ("error", json!({ "type": "accountReadOnly" }));
    for (set, said) in [
        (vec![("Email/set", refused)], "tooManyKeywords"),
        (vec![("Email/set", json!({}))], "does not say why"),
        (vec![("Email/set", json!({ "updated": { "e": null } }))], "does not say why"),
        (vec![error], "does not allow"),
        (vec![], "left out an answer"),
    ] {
        let server = jmap(|method, _| (method == "Email/set").then(|| set.clone()));
        let words = words(send_draft::run(&of_draft(), &call(), &server).await);
        assert!(words.contains(said) && words.contains("was not sent"), "{words}");
        assert_eq!(count(&server.asked(), "EmailSubmission/set"), 0);
    }
    let server = jmap(|_, _| None);
    assert!(!send_draft::run(&of_draft(), &call(), &server).await.unwrap().was_sent_before);
}

#[tokio::test]
async fn only_a_mail_that_was_certainly_not_sent_can_be_sent_again() {
    let refused = json!({ "notCreated": { "sending": { "type": "forbiddenToSend" } } });
    let error = |kind: &str| vec![("error", json!({ "type": kind }))];
    for (submission, is_known) in [
        (vec![("EmailSubmission/set", refused)], true),
        (error("forbidden"), true),
        (error("serverPartialFail"), false),
        (error(""), false),
        (vec![], false),
        (vec![("EmailSubmission/set", json!({}))], false),
        (vec![("EmailSubmission/set", json!({ "created": { "sending": {} } }))], false),
        (vec![("EmailSubmission/set", json!({ "notCreated": { "other": { "type": "x" } } }))], false),
        (vec![("EmailSubmission/set", json!([]))], false),
    ] {
        let server = jmap(|method, _| (method == "EmailSubmission/set").then(|| submission.clone()));
        let sent = words(send_mail::run(&hello(), &call(), &server).await);
        assert_eq!((sent.contains("was not sent"), sent.contains(UNKNOWN)), (is_known, !is_known), "{sent}");
        assert_eq!(updates(&server.asked()), if is_known { vec![json!({ "n": { SENDING: null } })] } else { vec![] });
        let drafted = words(send_draft::run(&of_draft(), &call(), &server).await);
        assert_eq!((drafted.contains("was not sent"), drafted.contains(UNKNOWN)), (is_known, !is_known), "{drafted}");
        assert_eq!(updates(&server.asked()).contains(&json!({ "d": { SENDING: null } })), is_known);
    }
}

#[tokio::test]
async fn a_mail_whose_request_was_lost_may_have_been_sent_and_one_that_never_left_was_not() {
    for (unanswered, is_known) in [
        (Unanswered::NotSent("mail.example cannot be reached".into()), true),
        (Unanswered::Broken("mail.example broke off its answer".into()), false),
        (Unanswered::TimedOut, false),
    ] {
        let usual = jmap(|_, _| None);
        let server = Scripted::new(|asked: &Asked| {
            if calls_in(asked).iter().any(|(method, _, _)| method == "EmailSubmission/set") {
                return Err(unanswered.clone());
            }
            let request = Request::post(&asked.uri).body(asked.body.clone()).unwrap();
            futures::executor::block_on(usual.send(request, asked.limits))
        });
        let sent = words(send_mail::run(&hello(), &call(), &server).await);
        let drafted = words(send_draft::run(&of_draft(), &call(), &server).await);
        assert_eq!((sent.contains(UNKNOWN), drafted.contains(UNKNOWN)), (!is_known, !is_known), "{sent} {drafted}");
        assert_eq!(drafted.contains("was not sent"), is_known, "{drafted}");
        let unmarked = updates(&server.asked()).contains(&json!({ "d": { SENDING: null } }));
        assert_eq!(unmarked, is_known, "it can be sent again");
    }
}

#[tokio::test]
async fn a_draft_that_was_not_sent_and_may_keep_its_mark_is_said_to() {
    let refused = json!({ "notCreated": { "sending": { "type": "forbiddenToSend" } } });
    for (unmarked, is_known) in [
        (None, true),
        (Some((LATE, Value::Null)), false),
        (Some(("Email/set", json!({ "notUpdated": { "d": { "type": "forbidden" } } }))), false),
    ] {
        let server = jmap(|method, arguments| match method {
            "EmailSubmission/set" => Some(vec![("EmailSubmission/set", refused.clone())]),
            "Email/set" if arguments["update"]["d"] == json!({ SENDING: null }) => {
                unmarked.clone().map(|said| vec![said])
            }
            _ => None,
        });
        let words = words(send_draft::run(&of_draft(), &call(), &server).await);
        assert!(words.contains("was not sent"), "{words}");
        assert_eq!(words.contains("may still be marked"), !is_known, "{words}");
    }
    let server = jmap(|method, _| (method == "Email/set").then(|| vec![(LATE, Value::Null)]));
    let words = words(send_draft::run(&of_draft(), &call(), &server).await);
    assert!(words.contains("was not sent") && words.contains("may still be marked"), "{words}");
    assert_eq!((updates(&server.asked()).len(), count(&server.asked(), "EmailSubmission/set")), (1, 0));
}

#[tokio::test]
async fn of_a_change_whose_answer_is_lost_it_is_said_that_it_may_have_taken_effect() {
    let error = |kind: &str| vec![("error", json!({ "type": kind }))];
    for (said, is_known) in [
        (vec![(LATE, Value::Null)], false),
        (vec![], false),
        (error("serverPartialFail"), false),
        (vec![("Email/set", json!({}))], false),
        (error("accountReadOnly"), true),
    ] {
        let server = jmap(|method, _| (method == "Email/set").then(|| said.clone()));
        let drafting = CreateDraft { subject: Some("Hi".into()), body: "Hi.".into(), ..CreateDraft::default() };
        let mut call = call();
        call.secrets.push(("address".into(), "ada@localhost".into()));
        let moving = MoveMail { mails: vec![Named { id: "d".into(), subject: "Plan".into() }], mailbox: "sent".into() };
        let marking = MarkMail { ids: vec!["d".into()], read: Some(true), flagged: None };
        for words in [
            words(create_draft::run(&drafting, &call, &server).await),
            words(move_mail::run(&moving, &call, &server).await),
            words(mark_mail::run(&marking, &call, &server).await),
        ] {
            assert_eq!(words.ends_with("; whether it took effect is not known."), !is_known, "{words}");
        }
    }
}

#[tokio::test]
async fn a_mail_of_whose_making_nothing_is_said_may_have_been_sent() {
    for (made, is_known) in [
        (vec![], false),
        (vec![("Email/set", json!({}))], false),
        (vec![("error", json!({ "type": "serverPartialFail" }))], false),
        (vec![("error", json!({ "type": "forbidden" }))], true),
        (vec![("Email/set", json!({ "notCreated": { "draft": { "type": "overQuota" } } }))], true),
    ] {
        let server = jmap(|method, _| (method == "Email/set").then(|| made.clone()));
        let words = words(send_mail::run(&hello(), &call(), &server).await);
        assert_eq!(words.contains(UNKNOWN), !is_known, "{words}");
    }
}

#[tokio::test]
async fn a_draft_with_more_than_the_person_sees_is_not_sent() {
    for (field, value, said) in [
        ("attachments", json!([{ "partId": "2", "type": "image/png" }]), "attachments"),
        ("htmlBody", json!([{ "partId": "2", "type": "text/html" }]), "plain text"),
        ("from", json!([{ "email": "bob@localhost" }]), "not from ada@localhost"),
        ("from", Value::Null, "not from ada@localhost"),
        ("replyTo", json!([{ "email": "eve@ext.example" }]), "reply_to"),
        ("bodyValues", json!({ "1": { "value": "Let us.", "isTruncated": true } }), "longer"),
        ("bodyValues", json!({ "1": { "value": "Let us not." } }), "text of this draft is another"),
    ] {
        let server = jmap(|method, arguments| {
            let mut draft = draft();
            draft[field] = value.clone();
            let is = method == "Email/get" && arguments["ids"] == json!(["d"]);
            is.then(|| vec![("Email/get", json!({ "state": "1", "list": [draft] }))])
        });
        let words = words(send_draft::run(&of_draft(), &call(), &server).await);
        assert!(words.contains(said) && words.contains("nothing was sent"), "{words}");
        assert_eq!((count(&server.asked(), "Email/set"), count(&server.asked(), "EmailSubmission/set")), (0, 0));
    }
}

#[tokio::test]
async fn only_what_the_server_says_was_changed_counts_as_changed() {
    let some = json!({ "updated": { "d": null }, "notUpdated": { "e": { "type": "forbidden" } } });
    for (set, done) in [(some, Some(1)), (json!({ "updated": { "d": {} } }), Some(1)), (json!({}), None)] {
        let server = jmap(|method, _| (method == "Email/set").then(|| vec![("Email/set", set.clone())]));
        let named = |id: &str, subject: &str| Named { id: id.into(), subject: subject.into() };
        let moving = MoveMail { mails: vec![named("d", "Plan"), named("e", "?")], mailbox: "sent".into() };
        let moved = move_mail::run(&moving, &call(), &server).await;
        assert_eq!(moved.ok().map(|changed| (changed.done.len(), changed.failed.len())), done.map(|n| (n, 1)));
        let marking = MarkMail { ids: vec!["d".into(), "e".into()], read: Some(true), flagged: None };
        assert_eq!(mark_mail::run(&marking, &call(), &server).await.ok().map(|changed| changed.done.len()), done);
    }
}

#[tokio::test]
async fn a_mail_too_large_for_one_answer_is_read_in_part() {
    let server = jmap(|method, arguments| {
        let bytes = usize::try_from(arguments["maxBodyValueBytes"].as_u64().unwrap_or(0)).unwrap();
        let mails = (0..20).map(|n| {
            let mut mail = draft();
            mail["id"] = json!(if n == 0 { "d".into() } else { format!("d{n}") });
            let parts =
                (0..8).map(|part| (part.to_string(), json!({ "value": "x".repeat(bytes), "isTruncated": true })));
            mail["bodyValues"] = parts.collect::<serde_json::Map<_, _>>().into();
            mail
        });
        match method {
            "Email/get" if arguments["ids"].as_array().is_some_and(|ids| ids.len() > 1) => {
                Some(vec![("Email/get", json!({ "list": mails.collect::<Vec<_>>() }))])
            }
            "Email/get" => Some(vec![("Email/get", json!({ "list": mails.take(1).collect::<Vec<_>>() }))]),
            "Thread/get" => {
                let ids: Vec<_> = mails.map(|mail| mail["id"].clone()).collect();
                Some(vec![("Thread/get", json!({ "list": [{ "emailIds": ids }] }))])
            }
            _ => None,
        }
    });
    for (thread, mails) in [(false, 1), (true, 20)] {
        let reading = ReadMail { id: "d".into(), thread, ..ReadMail::default() };
        let read = read_mail::run(&reading, &call(), &server).await.unwrap();
        assert_eq!(read.mails.len(), mails);
        assert!(read.mails[0].text.starts_with("xxx") && read.notes[0].contains("first 8 KiB"), "{:?}", read.notes);
    }
}

#[tokio::test]
async fn an_answer_that_was_sent_is_told_even_if_it_cannot_be_noted() {
    let mail =
        json!({ "id": "m", "from": [{ "email": "dan@ext.example" }], "subject": "Plan", "messageId": ["x@ext"] });
    assert!(serde_json::from_value::<Got>(json!({ "list": [mail] })).is_ok());
    let server = jmap(|method, arguments| match method {
        "Email/get" if arguments["ids"] == json!(["m"]) => {
            Some(vec![("Email/get", json!({ "state": "1", "list": [mail] }))])
        }
        "Email/set" if arguments.get("update").is_some() => Some(vec![(LATE, Value::Null)]),
        _ => None,
    });
    let answer =
        ReplyToMail { id: "m".into(), to: vec!["dan@ext.example".into()], body: "Yes.".into(), ..Default::default() };
    assert!(!reply_to_mail::run(&answer, &call(), &server).await.unwrap().was_sent_before);
    // Important requests are awaited as long as the caller waits, the mark only for a moment.
    for asked in server.asked().iter() {
        for (method, arguments, _) in calls_in(asked) {
            let (least, most) = if arguments.get("update").is_some() { (0, 5) } else { (40, 50) };
            let wait = asked.limits.wait;
            assert!((Duration::from_secs(least)..=Duration::from_secs(most)).contains(&wait), "{method}: {wait:?}");
        }
    }
}

#[tokio::test]
async fn what_the_caller_does_not_wait_for_is_not_asked() {
    let server = jmap(|_, _| None);
    let hasty = Context { deadline: Duration::from_millis(100), ..call() };
    let words = words(send_mail::run(&hello(), &hasty, &server).await);
    assert!(words.contains("took too long") && !words.contains(UNKNOWN), "{words}");
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn an_account_that_cannot_send_is_not_asked_to_whatever_the_server_can() {
    let mut call = call();
    call.secrets.push(("address".into(), "ada@localhost".into()));
    let server = Scripted::new(|asked: &Asked| {
        if asked.body.is_empty() {
            return Ok(answer(200, &[], session(false).to_string()));
        }
        assert!(!String::from_utf8_lossy(&asked.body).contains("ubmission"));
        let said = calls_in(asked).into_iter().flat_map(|(method, arguments, id)| {
            let said = usual(&method, &arguments);
            said.into_iter().map(move |(name, answer)| json!([name, answer, id]))
        });
        Ok(answer(200, &[], json!({ "methodResponses": said.collect::<Vec<_>>() }).to_string()))
    });
    assert!(words(send_mail::run(&hello(), &call, &server).await).contains("does not let this account send"));
}
