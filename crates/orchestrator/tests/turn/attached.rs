//! Files that are attached to a message: what the model gets of them.

use std::time::Duration;

use domain::Id;
use orchestrator::FileText;
use serde_json::{Value, json};
use storage::{
    files::{FileCreated, NewFile, ReceivedPiece},
    messages::{Appended, IncomingMessage},
};

use crate::{
    script::{answer, tool_call},
    world::World,
};

impl World {
    async fn uploaded(&self, name: &str, media_type: &str, bytes: &[u8]) -> Id {
        let size = bytes.len() as u64;
        let new = NewFile { name, size, is_in_objects: false, quota_bytes: 1_000_000 };
        let FileCreated::Created(file) = self.store.create_file(self.user, &new).await.unwrap() else { panic!() };
        let sealed = Some(file.seal(0, bytes).unwrap());
        let media_type = Some(media_type);
        let piece = ReceivedPiece { number: 0, sealed, received: size, media_type, is_last: true };
        assert!(self.store.receive_piece(self.user, &file, &piece).await.unwrap());
        file.id
    }

    /// What was read of a document. One that is not known is being read, for ever.
    pub(crate) async fn document_text(&self, id: Id, max_bytes: usize) -> FileText {
        self.files_read.set(self.files_read.get() + 1);
        let known = self.texts.borrow().get(&id).cloned();
        match known {
            Some(FileText::Read { mut text, notes, .. }) => {
                let is_cut = text.len() > max_bytes;
                text.truncate(max_bytes);
                FileText::Read { text, is_cut, notes }
            }
            Some(other) => other,
            None => std::future::pending().await,
        }
    }

    async fn document(&self, name: &str, text: FileText) -> Id {
        let id = self.uploaded(name, "application/pdf", b"%PDF").await;
        self.texts.borrow_mut().insert(id, text);
        id
    }

    async fn send_with(&self, content: &str, files: &[Id]) -> Id {
        let incoming = IncomingMessage { content, default_model: "m", files, ..IncomingMessage::default() };
        match self.store.append_message(self.user, self.conversation, &incoming).await.unwrap() {
            Appended::Stored(_, run, _) => run.id,
            other => panic!("not stored: {other:?}"),
        }
    }

    /// What the person said, in the request with this number.
    fn said(&self, number: usize) -> Value {
        let request = self.asked()[number].clone();
        let messages = request["messages"].as_array().unwrap();
        messages.iter().rfind(|message| message["role"] == "user").unwrap()["content"].clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_picture_is_shown_a_text_is_fenced_and_of_others_is_said_what_they_are() {
    let world = World::new([answer(&["I see."])]);
    let files = [
        world.uploaded("cat.png", "image/png", b"\x89PNG").await,
        world.uploaded("notes.txt", "text/plain", b"buy milk").await,
        world.uploaded("song.mp3", "audio/mpeg", b"ID3").await,
    ];
    let run = world.send_with("What is this?", &files).await;
    assert_eq!(world.read(run, 0).await.text(), "I see.");
    let said = world.said(0);
    assert_eq!(said[1], json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}}));
    let words = said[0]["text"].as_str().unwrap();
    assert!(words.starts_with("What is this?\n\n<file_"), "{words}");
    assert!(words.contains("name=\"cat.png\" type=\"image/png\" bytes=\"4\"></file_"), "{words}");
    assert!(words.contains("name=\"notes.txt\">\nbuy milk\n</file_"), "{words}");
    assert!(words.contains("name=\"song.mp3\"") && words.ends_with("(What is in it cannot be read here.)"), "{words}");
    let rules = world.asked()[0]["messages"][0]["content"].to_string();
    assert!(rules.contains("<file_WORD>"), "{rules}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_no_pictures_is_asked_without_them_and_the_person_is_told() {
    let body =
        json!({"error": {"message": "This model does not support image input.", "type": "invalid_request_error"}});
    let refuses = move |request: &Value| request.to_string().contains("image_url").then(|| (400, body.to_string()));
    let world = World::new([answer(&["A cat?"])]).refusing(refuses);
    let picture = world.uploaded("cat.png", "image/png", b"\x89PNG").await;
    let run = world.send_with("", &[picture]).await;
    let heard = world.read(run, 0).await;
    assert_eq!(heard.text(), "A cat?");
    let said = world.said(1).to_string();
    assert!(said.contains("cat.png") && said.contains("(This model sees no pictures.)"), "{said}");
    assert!(heard.data().iter().any(|data| data.to_string().contains("does not look at pictures")));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_deleted_meanwhile_is_no_longer_there_for_the_model() {
    let world = World::new([answer(&["One."]), answer(&["Two."])]);
    let notes = world.uploaded("notes.txt", "text/plain", b"buy milk").await;
    let run = world.send_with("Remember this.", &[notes]).await;
    world.read(run, 0).await;
    assert!(world.store.delete_file(world.user, notes).await.unwrap());
    let run = world.send("What did I say?").await;
    world.read(run, 0).await;
    assert!(!world.asked()[1].to_string().contains("milk"));
}

#[tokio::test(start_paused = true)]
async fn a_file_is_read_once_for_all_rounds_and_shown_once_however_often_it_is_attached() {
    let script = [answer(&["One."]), tool_call(&[("c1", "t", "{}")]), answer(&["Two."])];
    let world = World::new(script).with_tool("t", false);
    let notes = world.uploaded("notes.txt", "text/plain", b"buy milk").await;
    let run = world.send_with("Remember this.", &[notes]).await;
    world.read(run, 0).await;
    let run = world.send_with("What is in it?", &[notes]).await;
    assert_eq!(world.read(run, 0).await.text(), "Two.");
    assert_eq!(world.files_read.get(), 2, "once in each run");
    for number in [1, 2] {
        let said = world.said(number).to_string();
        assert!(said.contains("buy milk"), "{said}");
        let whole = world.asked()[number]["messages"].to_string();
        assert_eq!(whole.matches("buy milk").count(), 1, "{whole}");
        assert!(whole.contains("attached to a later message"), "{whole}");
    }
}

fn read(text: &str, notes: &[&str]) -> FileText {
    FileText::Read { text: text.into(), is_cut: false, notes: notes.iter().map(|note| (*note).to_owned()).collect() }
}

#[tokio::test(start_paused = true)]
async fn a_document_is_fenced_like_a_text_and_what_is_missing_of_it_is_said_to_the_model_and_the_person() {
    let world = World::new([answer(&["I see."])]);
    let files = [
        world.document("whole.pdf", read("[Page 1]\n\nTides.", &[])).await,
        world.document("half.pdf", read("[Page 2]\n\nShips.", &["scanned"])).await,
        world.document("scan.pdf", read("", &["scanned", "no_text"])).await,
        world.document("locked.pdf", FileText::Failed("The file is protected by a password.".into())).await,
        world.document("long.pdf", read(&"word ".repeat(100_000), &[])).await,
    ];
    let run = world.send_with("What is this?", &files).await;
    let heard = world.read(run, 0).await;
    assert_eq!(heard.text(), "I see.");
    let words = world.said(0);
    let words = words.as_str().unwrap();
    assert!(words.contains("name=\"whole.pdf\">\n[Page 1]\n\nTides.\n</file_"), "{words}");
    assert!(words.contains("Ships.\n</file_") && words.contains("\n(Pages of it are pictures of text"), "{words}");
    assert!(words.contains("(It cannot be read. The file is protected by a password.)"), "{words}");
    assert!(words.contains("(Only its beginning is here") && words.len() < 400_000, "{}", words.len());
    let told = heard.data().iter().map(ToString::to_string).collect::<String>();
    for expected in [
        "locked.pdf: The file is protected",
        "scan.pdf: Pages of it",
        "half.pdf: Pages of it",
        "long.pdf: Only its beginning",
    ] {
        assert!(told.contains(expected), "{expected} is not in {told}");
    }
    assert!(!told.contains("whole.pdf"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_waits_for_a_document_for_a_while_and_then_says_that_it_is_not_read_yet() {
    let world = World::new([tool_call(&[("c1", "t", "{}")]), answer(&["Later."])]).with_tool("t", false);
    let slow = world.uploaded("slow.pdf", "application/pdf", b"%PDF").await;
    let notes = world.uploaded("notes.txt", "text/plain", b"buy milk").await;
    let run = world.send_with("What is this?", &[slow, notes]).await;
    let heard = world.read(run, 0).await;
    assert_eq!(heard.text(), "Later.");
    // Once for all rounds, and nothing else that is attached is left out for it.
    let waited = world.times()[1];
    assert!(waited >= Duration::from_secs(20) && waited < Duration::from_secs(30), "{waited:?}");
    assert!(world.said(0).to_string().contains("buy milk"));
    let said = world.said(0).to_string();
    assert!(said.contains("name=\\\"slow.pdf\\\"") && said.contains("it is not read yet"), "{said}");
    assert!(heard.data().iter().any(|data| data.to_string().contains("slow.pdf: It is not read yet")));
}
