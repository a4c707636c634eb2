//! Files that are attached to a message: what the model gets of them.

use domain::Id;
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
        world.uploaded("plan.pdf", "application/pdf", b"%PDF").await,
    ];
    let run = world.send_with("What is this?", &files).await;
    assert_eq!(world.read(run, 0).await.text(), "I see.");
    let said = world.said(0);
    assert_eq!(said[1], json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}}));
    let words = said[0]["text"].as_str().unwrap();
    assert!(words.starts_with("What is this?\n\n<file_"), "{words}");
    assert!(words.contains("name=\"cat.png\" type=\"image/png\" bytes=\"4\"></file_"), "{words}");
    assert!(words.contains("name=\"notes.txt\">\nbuy milk\n</file_"), "{words}");
    assert!(words.contains("name=\"plan.pdf\"") && words.ends_with("(What is in it cannot be read here.)"), "{words}");
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
