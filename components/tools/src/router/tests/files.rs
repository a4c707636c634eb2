//! The built-in server `files`: what its tools find of the files of a conversation, and what they say of those that they do not.

use passages::MAX_STRETCH_CHARS;
use storage::files::{FileCreated, NewFile, ReceivedPiece};

use super::*;

/// A person with two files in a conversation and one in another.
struct Attached {
    test: Test,
    outside: Surroundings,
    lease: Lease,
    plan: Id,
    notes: Id,
    elsewhere: Id,
    calls: std::cell::Cell<u32>,
}

impl Attached {
    async fn new(outside: Surroundings) -> Self {
        let mut test = Test::new(outside.clone());
        let servers = [crate::files::server()].into_iter().chain(test.config.servers.all.iter().cloned());
        test.config.servers = Arc::new(Servers { all: servers.collect(), unread: None });
        test.config.calls_per_minute = 100;
        let plan = file(&test, "plan (\"A\").pdf", "application/pdf").await;
        let notes = file(&test, "notes.txt", "text/plain").await;
        let elsewhere = file(&test, "elsewhere.txt", "text/plain").await;
        let lease = lease(&test, &[plan, notes]).await;
        lease_of_another_conversation(&test, elsewhere).await;
        test.offers().await;
        Self { test, outside, lease, plan, notes, elsewhere, calls: std::cell::Cell::new(0) }
    }

    /// What the model is told, and whether it is an error.
    async fn call(&self, name: &str, arguments: Value) -> (String, bool) {
        self.calls.set(self.calls.get() + 1);
        let Lease { run_id, owner } = self.lease;
        let body = json!({ "executor": { "run_id": run_id, "lease_owner": owner }, "call_id": format!("c{}", self.calls.get()),
            "name": name, "arguments": arguments.to_string() });
        let proof = self.test.fixture.proof("stream", COMPONENT, Some(self.test.user.id), run_id);
        let called = self.test.send_as(Some(&proof), Method::POST, CALLS_PATH, Some(body)).await;
        let answer: Value = serde_json::from_str(called.text.lines().last().unwrap()).unwrap();
        let answer = &answer["answer"];
        (answer["content"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned(), answer["is_error"] == true)
    }
}

async fn file(test: &Test, name: &str, media_type: &str) -> Id {
    let store = test.fixture.app.store();
    let new = NewFile { name, size: 4, is_in_objects: false, quota_bytes: 1_000_000 };
    let FileCreated::Created(file) = store.create_file(test.user.id, &new).await.unwrap() else { panic!("no room") };
    let sealed = Some(file.seal(0, b"kept").unwrap());
    let piece = ReceivedPiece { number: 0, sealed, received: 4, media_type: Some(media_type), is_last: true };
    assert!(store.receive_piece(test.user.id, &file, &piece).await.unwrap());
    file.id
}

async fn lease(test: &Test, files: &[Id]) -> Lease {
    let store = test.fixture.app.store();
    let conversation = store.create_conversation(test.user.id, "", None).await.unwrap().id;
    let incoming =
        IncomingMessage { content: "look", title: "t", default_model: "m", files, ..IncomingMessage::default() };
    let Appended::Stored(_, run, _) = store.append_message(test.user.id, conversation, &incoming).await.unwrap() else {
        panic!("it is stored")
    };
    let lease = Lease { run_id: run.id, owner: Id::new() };
    store.claim(lease, 600_000, "").await.unwrap().unwrap();
    lease
}

async fn lease_of_another_conversation(test: &Test, file: Id) {
    lease(test, &[file]).await;
}

fn page(id: Id, what: &str) -> String {
    format!("files.spin.internal/internal/files/{id}{what}")
}

#[test]
fn a_long_document_is_read_by_pages_and_in_stretches() {
    paused(|outside| async move {
        let attached = Attached::new(outside).await;
        let pages: String = (1..=9).map(|number| format!("[Page {number}]\n\n{}\n\n", "Wort ".repeat(1_000))).collect();
        attached.outside.set_page(&page(attached.plan, "/text"), 200, pages.clone());
        let read = async |arguments| attached.call("files_read_file", arguments).await;

        let (first, is_error) = read(json!({ "file": "plan __A__.pdf" })).await;
        assert!(
            !is_error && first.starts_with("\"plan __A__.pdf\", [Page 1], characters 0 to 16000:\n\n[Page 1]"),
            "{first}"
        );
        assert!(first.ends_with("(There is more: call it again with \"from\": 16000.)"), "{first}");
        let (next, _) = read(json!({ "file": "plan (\"A\").pdf", "from": MAX_STRETCH_CHARS })).await;
        assert!(next.contains(", [Page 4], characters 16000 to 32000:"), "{next}");
        let word = domain::file_word(attached.plan);
        let (ninth, _) = read(json!({ "file": format!("file_{word}"), "part": 9 })).await;
        assert!(ninth.contains(", [Page 9], characters ") && !ninth.contains("There is more"), "{ninth}");
        assert!(pages.ends_with(ninth.split_once(":\n\n").unwrap().1));
        assert_eq!(
            read(json!({ "file": word, "part": 10 })).await,
            ("\"plan __A__.pdf\" has no part 10: the last one is 9.".to_owned(), true)
        );
        let proofs = attached.outside.proofs();
        assert!(
            proofs.iter().any(|proof| proof.starts_with(&format!("files {}", attached.test.user.id))),
            "{proofs:?}"
        );
    });
}

#[test]
fn words_are_found_in_all_files_of_the_conversation_and_what_was_not_searched_is_said() {
    paused(|outside| async move {
        let attached = Attached::new(outside).await;
        let pages = "[Page 1]\n\nNothing.\n\n[Page 2]\n\n# Delivery\n\nThe houses are handed over in March.";
        attached.outside.set_page(&page(attached.plan, "/text"), 200, pages);
        attached.outside.set_page(&page(attached.notes, ""), 503, "");
        attached.outside.set_page(&page(attached.elsewhere, ""), 200, "A house elsewhere.");
        let search = async |arguments| attached.call("files_search_files", arguments).await;

        let (found, is_error) = search(json!({ "query": "When is the house handed over?" })).await;
        assert!(!is_error, "{found}");
        assert!(found.starts_with("1. \"plan __A__.pdf\", [Page 2], under \"Delivery\", characters "), "{found}");
        assert!(found.contains("handed over in March.") && !found.contains("elsewhere"), "{found}");
        assert!(
            found.ends_with(
                "(Not searched: \"notes.txt\" cannot be read at the moment. Call again later, or tell the person.)"
            ),
            "{found}"
        );

        attached.outside.set_page(&page(attached.notes, ""), 200, "Grüße aus Bern. ".repeat(400_000));
        let (long, _) = search(json!({ "query": "Grüße", "file": "notes.txt" })).await;
        assert!(
            long.contains("Grüße aus Bern")
                && long.ends_with("(Not searched: the end of \"notes.txt\" (it is too long))"),
            "{long}"
        );
        let (none, is_error) = search(json!({ "query": "submarine", "file": "plan (\"A\").pdf" })).await;
        assert!(none.starts_with("None of these words is in the files.") && !is_error, "{none}");
        assert!(search(json!({ "query": "?!" })).await.1);
    });
}

#[test]
fn a_file_that_is_not_in_the_conversation_is_not_reached() {
    paused(|outside| async move {
        let attached = Attached::new(outside).await;
        attached.outside.set_page(&page(attached.elsewhere, ""), 200, "secret");
        for file in
            ["elsewhere.txt", domain::file_word(attached.elsewhere).as_str(), &attached.elsewhere.to_string(), ""]
        {
            let (said, is_error) = attached.call("files_read_file", json!({ "file": file })).await;
            assert!(is_error, "{said}");
            let names = "There is no such file here. These are attached in this conversation: \"notes.txt\", \"plan __A__.pdf\".";
            assert_eq!(said, names);
        }
    });
}

#[test]
fn a_document_that_is_being_read_is_waited_for_a_while_and_one_that_cannot_be_read_says_why() {
    paused(|outside| async move {
        let attached = Attached::new(outside).await;
        let address = page(attached.plan, "/text");
        let read = async || attached.call("files_read_file", json!({ "file": "plan __A__.pdf" })).await;
        attached.outside.set_page(&address, 202, "");
        let began = attached.outside.now();
        let (said, is_error) = read().await;
        assert!(is_error && said.contains("is still being read"), "{said}");
        assert!((14..20).contains(&(attached.outside.now() - began).as_secs()));
        attached.outside.set_page(&address, 422, r#"{"detail": "It has a password."}"#);
        assert_eq!(read().await, ("\"plan __A__.pdf\" cannot be read. It has a password.".to_owned(), true));
        attached.outside.set_page(&address, 404, "");
        assert_eq!(read().await, ("\"plan __A__.pdf\" is gone, or damaged.".to_owned(), true));
    });
}
