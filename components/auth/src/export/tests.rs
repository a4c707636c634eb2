//! The archive as a person gets it, read with another reader's eyes.

use std::io::{Cursor, Read as _};

use futures::executor::block_on;
use http::{Method, Request};
use router_test::Fixture;
use storage::{messages::IncomingMessage, tool_secrets::ToolSecret};
use zip::ZipArchive;

use super::*;
use crate::{config::Config, oidc::SignIn, routes::router};

fn export(fixture: &Fixture, token: &str) -> Response<Body> {
    let router = router(fixture.new_instance(), Config::default(), SignIn::default());
    let request = Request::builder().method(Method::GET).uri("/api/account/export");
    let request = request.header(header::AUTHORIZATION, format!("Bearer {token}")).body(Body::empty()).unwrap();
    block_on(web::serve("test", router, request))
}

#[test]
fn a_person_gets_everything_of_theirs_and_nothing_of_others_or_secret() {
    let fixture = Fixture::default();
    let (user, token) = fixture.person("ada@example.org");
    let (other, _) = fixture.person("b@example.org");
    let store = fixture.app.store();
    for (owner, words) in [(&user, "my words"), (&other, "words of another")] {
        // More than a page of conversations.
        for number in 0..=PAGE {
            let conversation = block_on(store.create_conversation(owner.id, &format!("About {number}"), None)).unwrap();
            let content = format!("{words} {number}");
            let incoming =
                IncomingMessage { content: &content, title: "t", default_model: "m", ..IncomingMessage::default() };
            block_on(store.append_message(owner.id, conversation.id, &incoming)).unwrap();
        }
        let secret = ToolSecret { server: "mail".into(), name: "password".into(), sealed: "SEALED".into() };
        block_on(store.set_tool_secret(owner.id, &secret)).unwrap();
    }
    let answer = export(&fixture, &token);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/zip");
    let bytes = block_on(axum::body::to_bytes(answer.into_body(), usize::MAX)).unwrap();
    let mut archive = ZipArchive::new(Cursor::new(bytes.to_vec())).unwrap();
    let mut read = |name: &str| {
        let mut text = String::new();
        archive.by_name(name).unwrap().read_to_string(&mut text).unwrap();
        text
    };
    let count = |text: &str| text.lines().count();
    let expected = usize::try_from(PAGE).unwrap() + 1;
    let (conversations, messages) = (read("conversations.jsonl"), read("messages.jsonl"));
    assert_eq!((count(&conversations), count(&messages), count(&read("runs.jsonl"))), (expected, expected, expected));
    let words: Value = serde_json::from_str(messages.lines().last().unwrap()).unwrap();
    assert!(words["content"].as_str().unwrap().starts_with("my words"), "{words}");
    assert!(read("conversations.md").contains("**You**"));
    assert!(read("profile.json").contains("ada@example.org"));
    assert!(read("tool_secrets.jsonl").contains("\"name\":\"password\""));
    assert!(read("record.jsonl").contains("account.export"));
    let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    for name in names {
        let mut text = String::new();
        archive.by_name(&name).unwrap().read_to_string(&mut text).unwrap();
        for foreign in ["words of another", "SEALED", &other.id.to_string()] {
            assert!(!text.contains(foreign), "{name} contains {foreign}");
        }
        assert!(README.contains(&name) || name == "README.md", "{name} is not explained");
    }
}

#[test]
fn an_archive_is_written_while_it_is_read() {
    let fixture = Fixture::default();
    let (user, token) = fixture.person("ada@example.org");
    let long = "x".repeat(100_000);
    for number in 0..40 {
        let conversation = block_on(fixture.app.store().create_conversation(user.id, "", None)).unwrap();
        let content = format!("{number}{long}");
        let incoming =
            IncomingMessage { content: &content, title: "t", default_model: "m", ..IncomingMessage::default() };
        block_on(fixture.app.store().append_message(user.id, conversation.id, &incoming)).unwrap();
    }
    let mut body = export(&fixture, &token).into_body().into_data_stream();
    let mut pieces = 0;
    while let Some(piece) = block_on(body.next()) {
        assert!(piece.unwrap().len() < 1024 * 1024, "no more than a page");
        pieces += 1;
    }
    assert!(pieces > 5, "{pieces}");
}
